//! Rules for the code that a test can check: which module may use which, and the length of functions.

use std::path::{Path, PathBuf};

/// From bottom to top. A module uses only modules of lower layers.
const LAYERS: &[&[&str]] = &[
    &[
        "random",
        "event",
        "metrics",
        "times",
        "permissions",
        "disk",
        "client_address",
        "forwarded",
        "signing_key",
        "unencoded",
    ],
    &["clock", "files", "tls"],
    &["key", "db"],
    &["config", "imported_hash"],
    &["password_hasher", "assets"],
    &["models"],
    &["current_user"],
    &["frame"],
    &["mail"],
    &["app"],
    &["accounts"],
    &["next_path", "flash"],
    &["error"],
    &["forms"],
    &["page"],
    &["visitor"],
    &["middleware"],
    &["controllers"],
    &["routes"],
    &["tasks"],
    &["testing"],
    &["server"],
    &["check"],
    &["commands"],
    &["main", "lib"],
];

/// Where visitors' connections are accepted.
const SERVING: &[&str] = &["server.rs", "server"];

/// Where the program connects to the database.
const CONNECTING: &str = "db/connection.rs";

/// Where the program uses the network.
const NETWORKING: &[&str] =
    &["server.rs", "server", "mail/smtp.rs", "check/network.rs", CONNECTING];

/// Longer functions cannot be read without scrolling.
const LONGEST_FUNCTION: usize = 40;

fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                files.push((path.strip_prefix(&root).unwrap().to_owned(), text));
            }
        }
    }
    assert!(files.len() > 30, "the sources were not found");
    files
}

fn layer_of(module: &str) -> usize {
    LAYERS
        .iter()
        .position(|layer| layer.contains(&module))
        .unwrap_or_else(|| panic!("no layer for {module}"))
}

fn module_of(file: &Path) -> String {
    file.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// The text without unit tests, which may use any module. Unit tests in a file of their own are declared
/// at the top.
fn product(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap()
}

/// A list of imports, one by one: `a::{b, c::{d, e}}` is `a::b`, `a::c::d` and `a::c::e`.
fn expanded(tree: &str) -> Vec<String> {
    let Some((head, rest)) = tree.split_once('{') else { return vec![tree.trim().to_owned()] };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let mut depth = 0;
    let parts = inner.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    let parts = parts.filter(|part| !part.trim().is_empty()).flat_map(expanded);
    parts.map(|part| format!("{}{part}", head.trim())).collect()
}

/// Every path in the code, imported or written out.
fn paths(text: &str) -> Vec<String> {
    let code: String = code(text).flat_map(|line| [line, "\n"]).collect();
    let mut paths = Vec::new();
    let mut rest = code.as_str();
    while let Some((before, import)) = rest.split_once("use ") {
        let (tree, after) = import.split_once(';').unwrap_or((import, ""));
        paths.extend(expanded(tree));
        paths.extend(words(before));
        rest = after;
    }
    paths.extend(words(rest));
    paths
}

fn words(code: &str) -> impl Iterator<Item = String> {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    code.split(move |c| !is_path(c)).filter(|word| word.contains("::")).map(str::to_owned)
}

/// The module that a file is: `mail/smtp.rs` is `mail::smtp`, `accounts/mod.rs` is `accounts`.
fn module_path(file: &Path) -> String {
    let path = file.with_extension("").to_str().unwrap().replace('/', "::");
    path.trim_end_matches("::mod").to_owned()
}

/// A path as it is written in `module`, from the crate's root.
fn absolute(module: &str, path: &str) -> String {
    let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
    match (path.strip_prefix("crate::"), path.strip_prefix("super::")) {
        (Some(path), _) => path.to_owned(),
        (_, Some(path)) if parent.is_empty() => path.to_owned(),
        (_, Some(path)) => format!("{parent}::{path}"),
        _ => format!("{module}::{}", path.trim_start_matches("self::")),
    }
}

#[test]
fn every_module_uses_only_what_is_below_it() {
    for (file, text) in sources() {
        let module = module_of(&file);
        for path in paths(&text).iter().filter_map(|path| path.strip_prefix("crate::")) {
            let used = path.split("::").next().unwrap();
            let is_module = used.starts_with(|c: char| c.is_ascii_lowercase());
            let below = !is_module || used == module || layer_of(used) < layer_of(&module);
            assert!(below || module == "lib", "{}: {module} uses {used}", file.display());
        }
    }
}

/// A parent holds what its files share and what they are used for, so it may use them and they may use it.
#[test]
fn no_files_use_each_other_in_a_circle() {
    let sources = sources();
    let modules: Vec<String> = sources.iter().map(|(file, _)| module_path(file)).collect();
    let is_within = |inner: &str, outer: &str| inner.starts_with(&format!("{outer}::"));
    let used_by = |module: &String, path: &str| {
        let path = absolute(module, path);
        let used = modules.iter().filter(|used| path == **used || is_within(&path, used));
        let used = used.max_by_key(|used| used.len())?;
        let is_family = used == module || is_within(used, module) || is_within(module, used);
        (!is_family).then(|| (module.clone(), used.clone()))
    };
    let mut edges: Vec<(String, String)> = Vec::new();
    for (module, (_, text)) in modules.iter().zip(&sources) {
        edges.extend(paths(text).iter().filter_map(|path| used_by(module, path)));
    }
    assert!(edges.len() > 200, "the imports were not found: {}", edges.len());
    // What uses nothing is in no circle, and then what used only that.
    loop {
        let using: Vec<String> = edges.iter().map(|(module, _)| module.clone()).collect();
        let before = edges.len();
        edges.retain(|(_, used)| using.contains(used));
        if edges.len() == before {
            break;
        }
    }
    edges.sort();
    edges.dedup();
    assert_eq!(edges, []);
}

#[test]
fn lists_of_names_are_seen_through() {
    let text =
        "use crate::{controllers, mail::{self, smtp::tls}, routes::router};\ncrate::db::sql(x);";
    let found = ["controllers", "mail::self", "mail::smtp::tls", "routes::router", "db::sql"];
    assert_eq!(paths(text), found.map(|path| format!("crate::{path}")));
    assert_eq!(absolute("mail::smtp", "super::worker::Worker"), "mail::worker::Worker");
    assert_eq!(absolute("visitor", "super::app"), "app");
    assert_eq!(absolute("visitor", "cookies::ENDED"), "visitor::cookies::ENDED");
}

/// The lines without unit tests and comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    product(text).lines().map(str::trim).filter(|line| !line.starts_with("//"))
}

/// Whether a line of code names the library: `lettre::`, `use lettre as x`, `extern crate lettre`.
fn names_library(text: &str, name: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code(text).flat_map(|line| line.match_indices(name).map(move |(at, _)| (line, at))).any(
        |(line, at)| {
            let before = line[..at].chars().next_back();
            let after = &line[at + name.len()..];
            let begins_path =
                after.starts_with("::") || line.starts_with("use ") || line.starts_with("extern ");
            !before.is_some_and(|c| is_word(c) || c == '"')
                && begins_path
                && !after.starts_with(is_word)
        },
    )
}

#[test]
fn each_library_is_used_where_it_belongs() {
    const RULES: &[(&str, &[&str])] = &[
        ("sqlx", &["db.rs", "db"]),
        ("lettre", &["mail.rs", "mail/message.rs"]),
        ("tokio_rustls", &["config/smtp_server.rs", "tls.rs", "tls"]),
        // ring signs with random numbers of its own.
        ("rand", &["random.rs", "signing_key.rs"]),
        ("ring", &["signing_key.rs", "tls.rs", "config/smtp_server.rs"]),
        // Transactions and hashes are traced for tests that compare work.
        ("tracing", &["event.rs", "commands/log.rs", "db.rs", "password_hasher.rs"]),
        (
            "askama",
            &["accounts/mod.rs", "controllers", "error.rs", "mail", "middleware/error_pages.rs"],
        ),
        (
            "axum",
            &[
                "controllers",
                "middleware",
                "visitor",
                "visitor.rs",
                "routes.rs",
                "error.rs",
                "forms.rs",
                "server.rs",
                "server",
            ],
        ),
        ("sql", &["models", "db.rs", "db"]),
        (
            "process",
            &[
                "main.rs",
                "commands/mod.rs",
                "commands/huge_pages.rs",
                "server/descriptors.rs",
                "permissions.rs",
                "disk.rs",
            ],
        ),
        (
            "rustix",
            &["server/descriptors.rs", "permissions.rs", "disk.rs", "password_hasher/refusals.rs"],
        ),
        ("tokio::net", NETWORKING),
        ("TcpListener", SERVING),
        ("TcpStream", NETWORKING),
        ("hyper", SERVING),
        ("hyper_util", SERVING),
        ("listenfd", &["server/listener.rs"]),
        ("sd_notify", &["server/service_manager.rs"]),
        ("prometheus_client", &["metrics.rs"]),
    ];
    for (file, text) in sources().into_iter().filter(|(file, _)| !file.ends_with("tests.rs")) {
        for (name, allowed) in RULES {
            let is_allowed = allowed.iter().any(|start| file.starts_with(start));
            let uses =
                names_library(&text, name) || (*name == "sql" && product(&text).contains("sql(\""));
            assert!(is_allowed || !uses, "{} must not use {name}", file.display());
        }
    }
}

/// To exit with a status is all that is done with `std::process`, and nothing but the driver of the
/// database, the client of mail and the health check connects to anything.
#[test]
fn no_other_program_is_run_and_nothing_is_connected_to_by_hand() {
    const WAYS: [&str; 7] = [
        "TcpStream::connect",
        "TcpSocket",
        "UdpSocket",
        "UnixStream",
        "ToSocketAddrs",
        "lookup_host",
        "hyper_util::client",
    ];
    for (file, text) in sources().into_iter().filter(|(file, _)| !file.ends_with("tests.rs")) {
        // rustix raises the limit of open files and tells the user's id; it runs nothing.
        for line in code(&text).filter(|line| !line.contains("rustix::process")) {
            let is_exit = |used: &str| used.starts_with("ExitCode") || used.starts_with("exit(");
            let runs = line.split("process::").skip(1).any(|used| !is_exit(used));
            // It executes the program itself, once.
            let runs = runs && !file.ends_with("commands/huge_pages.rs");
            assert!(!runs, "{} runs a program: {line}", file.display());
            // Before a Unix socket is bound, it is tried whether another program serves there.
            let connecting = ["mail/smtp.rs", "check/network.rs", "server/listener.rs", CONNECTING];
            let is_allowed = connecting.into_iter().any(|path| file.starts_with(path));
            let way = WAYS.iter().find(|way| line.contains(*way) && !is_allowed);
            assert!(way.is_none(), "{} connects: {line}", file.display());
        }
    }
}

#[test]
fn every_file_says_first_what_it_owns() {
    for (file, text) in sources() {
        assert!(text.starts_with("//! "), "{}", file.display());
    }
}

#[test]
fn no_function_is_longer_than_a_screen() {
    for (file, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (start, line) in lines.iter().enumerate().filter(|(_, line)| begins_function(line)) {
            let indent = line.len() - line.trim_start().len();
            let end = format!("{}}}", " ".repeat(indent));
            let length = lines[start..].iter().position(|line| *line == end).unwrap_or(0) + 1;
            assert!(
                length <= LONGEST_FUNCTION,
                "{}:{} has {length} lines",
                file.display(),
                start + 1
            );
        }
    }
}

fn begins_function(line: &str) -> bool {
    let words = line.trim_start();
    [
        "fn ",
        "pub fn ",
        "async fn ",
        "pub async fn ",
        "pub(super) async fn ",
        "pub(super) fn ",
        "pub const fn ",
    ]
    .iter()
    .any(|start| words.starts_with(start))
        && !line.trim_end().ends_with(['}', ';'])
}
