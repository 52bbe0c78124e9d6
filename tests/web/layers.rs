//! The house's rules that a machine can hold: who may use whom, and how long a function may be.

use std::path::{Path, PathBuf};

/// From the ground up. A module uses only modules of the layers before its own.
const LAYERS: &[&[&str]] = &[
    &["random", "event", "times", "permissions", "client_address"],
    &["clock"],
    &["key", "db"],
    &["config"],
    &["password_hasher", "assets"],
    &["models"],
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
    &["server"],
    &["commands"],
    &["main", "lib"],
];

/// Where connections of visitors are taken.
const SERVING: &[&str] = &["commands/serve.rs", "server.rs", "server"];

/// Where the database's server is connected to, address by address.
const CONNECTING: &str = "db/connection.rs";

/// Besides, the mail server and the database are connected to.
const NETWORKING: &[&str] =
    &["commands/serve.rs", "server.rs", "server", "mail/smtp.rs", CONNECTING];

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

/// Without unit tests: they may use what they like. Those in a file of their own are named at the
/// top, and what follows is product.
fn product(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap()
}

/// What follows each `crate::`: one name, or those of a list in braces.
fn uses(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (at, mark) in product(text).match_indices("crate::") {
        let rest = &text[at + mark.len()..];
        let list = rest.strip_prefix('{').and_then(|list| list.split('}').next());
        let parts: Vec<&str> = list.map_or(vec![rest], |list| list.split(',').collect());
        let name = |part: &str| {
            part.trim().chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect()
        };
        names.extend(parts.into_iter().map(name));
    }
    names
}

#[test]
fn every_module_uses_only_what_is_below_it() {
    for (file, text) in sources() {
        let module = module_of(&file);
        for used in uses(&text).into_iter().filter(|used| !used.is_empty() && module != "lib") {
            let below = used == module || layer_of(&used) < layer_of(&module);
            assert!(below, "{}: {module} uses {used}", file.display());
        }
    }
}

#[test]
fn lists_of_names_are_seen_through() {
    assert_eq!(uses("use crate::{controllers, routes::router};"), ["controllers", "routes"]);
    assert_eq!(uses("crate::db::sql; use crate::App;"), ["db", ""]);
}

/// The lines of the product that are no comments.
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
        ("tokio_rustls", &["config/smtp_server.rs", "mail/smtp"]),
        ("rand", &["random.rs"]),
        // Transactions and hashes are traced for the tests that compare work.
        ("tracing", &["event.rs", "commands/log.rs", "db.rs", "password_hasher.rs"]),
        (
            "askama",
            &[
                "accounts/mod.rs",
                "accounts/notices.rs",
                "controllers",
                "error.rs",
                "mail",
                "middleware/error_pages.rs",
            ],
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
            ],
        ),
        ("rustix", &["server/descriptors.rs", "permissions.rs"]),
        ("tokio::net", NETWORKING),
        ("TcpListener", SERVING),
        ("TcpStream", NETWORKING),
        ("hyper", SERVING),
        ("hyper_util", SERVING),
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
/// database and the client of mail connects to anything.
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
            let is_allowed = file.ends_with("mail/smtp.rs") || file.starts_with(CONNECTING);
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
