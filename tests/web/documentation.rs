//! The README and `docs/` match the program: settings, events, commands, links and the example.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use vestibule::commands::command;
use vestibule::config::SETTINGS;
use vestibule::event::Event;

/// In bytes: people do not read a longer one to the end.
const README_MAX: usize = 10_000;

const SETTINGS_PAGE: &str = "docs/settings.md";
const EVENTS_PAGE: &str = "docs/events.md";
const OUTDATED: &str =
    "has an outdated table: renew it with `RENEW_DOCS=1 cargo test --test web documentation`";

/// A misspelt name in an example of an error message.
const MISSPELT: &str = "VESTIBULE_LISEN";

/// Variables that Kubernetes sets, which are ignored.
const FROM_KUBERNETES: [&str; 5] = [
    "VESTIBULE_SERVICE_",
    "VESTIBULE_PORT",
    "VESTIBULE_PORT_",
    "VESTIBULE_DB_SERVICE_HOST",
    "VESTIBULE_DB_PORT",
];

fn at_root(path: impl AsRef<Path>) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(at_root(path)).unwrap()
}

/// The README, SECURITY.md and every page of `docs/`, with their paths from the root.
fn pages() -> Vec<(PathBuf, String)> {
    let docs = std::fs::read_dir(at_root("docs")).unwrap();
    let docs = docs.map(|entry| Path::new("docs").join(entry.unwrap().file_name()));
    let pages = docs.filter(|path| path.extension().is_some_and(|kind| kind == "md"));
    let pages = ["README.md", "SECURITY.md"].map(PathBuf::from).into_iter().chain(pages);
    pages.map(|path| (path.clone(), read(path))).collect()
}

/// `page` with `table` between the marks of this name.
fn with_fresh_table(page: &str, name: &str, table: &str) -> String {
    let (begin, end) = (format!("<!-- {name}: begin"), format!("<!-- {name}: end -->"));
    let (before, rest) = page.split_once(&begin).expect("the mark before the table");
    let (mark, rest) = rest.split_once('\n').unwrap();
    let (_, after) = rest.split_once(&end).expect("the mark after the table");
    format!("{before}{begin}{mark}\n\n{table}\n{end}{after}")
}

/// Compares the table of this name with the program's, or renews it.
fn check_table(path: &str, name: &str, table: &str) {
    let page = read(path);
    let fresh = with_fresh_table(&page, name, table);
    if std::env::var_os("RENEW_DOCS").is_some() {
        std::fs::write(at_root(path), fresh).unwrap();
    } else {
        assert!(page == fresh, "{path} {OUTDATED}");
    }
}

#[test]
fn the_table_of_settings_matches_the_program() {
    // A `|` would end the cell, and a `<` begin a tag.
    let cell = |text: &str| text.replace('|', "\\|").replace('<', "&lt;");
    let mut table =
        String::from("| variable | flag | default | what it does |\n|---|---|---|---|\n");
    for setting in SETTINGS.iter() {
        let (variable, default, help) = (setting.variable(), setting.default, cell(&setting.help));
        let flag = match setting.flag() {
            Some(flag) => format!("`{flag} {}`", cell(setting.value)),
            None => "none: it is secret".to_owned(),
        };
        writeln!(table, "| `{variable}` | {flag} | `{default}` | {help} |").unwrap();
    }
    check_table(SETTINGS_PAGE, "settings", &table);
}

#[test]
fn the_table_of_events_matches_the_program() {
    let page = read(EVENTS_PAGE);
    let (_, table) = page.split_once("| `event` | level | fields | when |").unwrap();
    let table = table.split("\n\n").next().unwrap();
    let rows: Vec<_> = table.lines().skip(2).collect();
    assert_eq!(rows.len(), Event::ALL.len());
    for (row, (name, level, fields)) in rows.iter().zip(Event::ALL) {
        let fields: Vec<_> = fields.iter().map(|field| format!("`{field}`")).collect();
        let begin = format!("| `{name}` | {level} | {} | ", fields.join(" "));
        assert!(row.starts_with(&begin), "{row} should begin {begin}");
    }
}

#[test]
fn every_reason_of_a_fault_is_documented() {
    let page = read(EVENTS_PAGE);
    let mut found = 0;
    for (path, text) in sources(&at_root("src")) {
        let calls = ["log_fault(", "write_if_possible("].map(|call| text.split(call).skip(1));
        for arguments in calls.into_iter().flatten() {
            let Some(literal) = arguments.trim_start().strip_prefix('"') else { continue };
            let (reason, _) = literal.split_once('"').unwrap();
            assert!(page.contains(&format!("`{reason}`")), "{}: {reason}", path.display());
            found += 1;
        }
    }
    assert!(found > 8, "the faults were not found");
}

/// Every Rust file below `folder`, with its text.
fn sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = paths.flat_map(|path| match path.extension() {
        _ if path.is_dir() => sources(&path),
        Some(kind) if kind == "rs" => vec![(path.clone(), std::fs::read_to_string(path).unwrap())],
        _ => Vec::new(),
    });
    files.collect()
}

#[test]
fn the_readme_is_short() {
    let length = read("README.md").len();
    assert!(length < README_MAX, "{length} bytes: move details to docs/");
}

#[test]
fn every_link_leads_to_a_file_and_a_heading_that_exist() {
    let mut links = 0;
    for (path, text) in pages() {
        for target in relative_links(&text) {
            links += 1;
            let (file, heading) = target.split_once('#').unwrap_or((&target, ""));
            let folder = path.parent().unwrap();
            let file = if file.is_empty() { path.clone() } else { folder.join(file) };
            assert!(at_root(&file).is_file(), "{}: {target}", path.display());
            let found = heading.is_empty() || anchors(&read(&file)).any(|known| known == heading);
            assert!(found, "{}: no heading for {target}", path.display());
        }
    }
    assert!(links > 5, "the links were not found");
}

#[test]
fn every_file_on_the_map_exists() {
    let page = read("docs/architecture.md");
    let pieces = page.split('`').skip(1).step_by(2);
    let mut seen = 0;
    let is_rust = |path: &str| Path::new(path).extension().is_some_and(|kind| kind == "rs");
    for piece in pieces.filter(|piece| is_rust(piece) || piece.ends_with('/')) {
        let layers = std::fs::read_dir(at_root("src")).unwrap().map(|entry| entry.unwrap().path());
        let folders = ["", "src", "tests/web"].map(at_root).into_iter().chain(layers);
        let found = folders.map(|folder| folder.join(piece)).any(|path| path.exists());
        assert!(found, "docs/architecture.md: {piece}");
        seen += 1;
    }
    assert!(seen > 50, "the files were not found");
    for entry in std::fs::read_dir(at_root("src")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let name = if path.is_dir() { format!("`{name}/`") } else { format!("`{name}`") };
        assert!(page.contains(&name) || name == "`lib.rs`", "docs/architecture.md lacks {name}");
    }
}

/// Where `[words](target)` leads, unless that is another site.
fn relative_links(text: &str) -> impl Iterator<Item = String> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(target, _)| target.to_owned()).filter(|target| !target.contains("://"))
}

/// What forges make of headings: lower case, dashes for spaces, nothing else but letters and digits.
fn anchors(text: &str) -> impl Iterator<Item = String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| line.trim_start_matches('#').trim()).map(|heading| {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    })
}

/// Every piece of code that people may type: the text between backticks, and the lines of
/// fenced blocks, in blocks of `text` (what programs print) only those after a prompt.
fn code(text: &str) -> Vec<String> {
    let mut pieces = Vec::new();
    let mut fence = None;
    for line in text.lines() {
        match (line.strip_prefix("```"), fence) {
            (Some(kind), None) => fence = Some(kind),
            (Some(_), Some(_)) => fence = None,
            (None, None) => pieces.extend(line.split('`').skip(1).step_by(2).map(str::to_owned)),
            (None, Some("text")) => pieces.extend(line.strip_prefix("$ ").map(str::to_owned)),
            (None, Some(_)) => pieces.push(line.to_owned()),
        }
    }
    pieces
}

/// The arguments, if `piece` runs the program, perhaps with variables or by another program.
fn arguments(piece: &str) -> Option<Vec<String>> {
    let piece = piece.replace("cargo run -- ", "vestibule ").replace("ExecStart=", "");
    let is_before = |word: &str| word.contains('=') || word.starts_with("--") || word == "setpriv";
    let mut words = piece.split_whitespace().skip_while(|word| is_before(word));
    let program = words.next()?;
    let is_dependency = piece.starts_with("vestibule = ");
    let runs = program == "vestibule" || program.ends_with("/bin/vestibule");
    let words = words.take_while(|word| !["<", ">", "|", "#"].contains(word));
    (runs && !is_dependency).then(|| words.map(str::to_owned).collect())
}

#[test]
fn every_documented_command_exists() {
    let mut seen = Vec::new();
    for (path, text) in pages() {
        for arguments in code(&text).iter().filter_map(|piece| arguments(piece)) {
            let line = format!("vestibule {}", arguments.join(" "));
            if let Err(error) = command().try_get_matches_from(line.split_whitespace()) {
                assert!(is_only_unfinished(error.kind()), "{}: {line}: {error}", path.display());
            }
            seen.push(line);
        }
    }
    for name in command_names() {
        let is_documented = seen.iter().any(|line| line.starts_with(&format!("vestibule {name}")));
        assert!(is_documented, "`vestibule {name}` is not documented");
    }
}

/// Help, the version, or a command that is named without all that it needs, as text does.
fn is_only_unfinished(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            | ErrorKind::MissingRequiredArgument
    )
}

/// `serve`, `user add`, …
fn command_names() -> Vec<String> {
    let top = command();
    let names = top.get_subcommands().flat_map(|group| {
        let under = group.get_subcommands().map(clap::Command::get_name);
        let mut names: Vec<_> = under.map(|leaf| format!("{} {leaf}", group.get_name())).collect();
        if names.is_empty() {
            names.push(group.get_name().to_owned());
        }
        names
    });
    names.collect()
}

#[test]
fn every_variable_is_a_setting() {
    for (path, text) in pages() {
        for name in variables(&text) {
            let bare = name.strip_suffix("_FILE").unwrap_or(&name);
            let is_known = SETTINGS.iter().any(|setting| setting.variable() == bare);
            let is_meant =
                ["VESTIBULE_", MISSPELT].contains(&bare) || FROM_KUBERNETES.contains(&bare);
            assert!(is_known || is_meant, "{}: {name}", path.display());
        }
    }
}

/// Every name that starts as our variables do.
fn variables(text: &str) -> impl Iterator<Item = String> {
    text.match_indices("VESTIBULE_").map(|(at, _)| {
        let is_part = |c: &char| c.is_ascii_uppercase() || c.is_ascii_digit() || *c == '_';
        text[at..].chars().take_while(is_part).collect()
    })
}

#[test]
fn the_example_in_the_readme_is_the_one_that_is_compiled() {
    let source = read("src/lib.rs");
    let doc_lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    let lines = doc_lines.map(|line| line.strip_prefix(' ').unwrap_or(line));
    let example = lines.skip_while(|line| !line.starts_with("```")).skip(1);
    let example = example.take_while(|line| !line.starts_with("```"));
    let example: Vec<&str> = example.filter(|line| !line.starts_with("# ")).collect();
    assert!(example.len() > 3, "the example was not found in src/lib.rs");
    let block = format!("```rust\n{}\n```", example.join("\n"));
    assert!(read("README.md").contains(&block), "README.md needs this block:\n{block}");
}
