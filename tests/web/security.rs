//! `docs/security.md` says of every requirement what holds, and names tests that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const PAGE: &str = include_str!("../../docs/security.md");

/// The requirements of OWASP ASVS 5.0 that apply to accounts, sessions, codes and mail.
const ASVS: &str = "1.1.1 1.1.2 1.2.1 1.2.2 1.2.3 1.2.4 1.2.5 1.3.2 1.3.3 1.3.6 1.3.7 1.3.11 1.3.12 1.4.1 1.4.2
    1.4.3 1.5.2 2.1.1 2.1.3 2.2.1 2.2.2 2.2.3 2.3.1 2.3.2 2.3.3 2.3.4 2.4.1 3.2.1 3.3.1 3.3.2 3.3.3 3.3.4 3.3.5
    3.4.1 3.4.2 3.4.3 3.4.4 3.4.5 3.4.6 3.4.7 3.4.8 3.5.1 3.5.3 3.5.4 3.5.8 3.6.1 3.7.2 4.1.1 4.1.3 4.1.4 4.2.1
    4.2.2 4.2.3 4.2.4 6.1.1 6.1.2 6.1.3 6.2.1 6.2.2 6.2.3 6.2.4 6.2.5 6.2.6 6.2.7 6.2.8 6.2.9 6.2.10 6.2.11 6.2.12
    6.3.1 6.3.2 6.3.3 6.3.4 6.3.5 6.3.6 6.3.7 6.3.8 6.4.1 6.4.2 6.4.3 6.4.6 6.5.1 6.5.2 6.5.3 6.5.4 6.5.5 6.6.2
    6.6.3 7.1.1 7.1.2 7.2.1 7.2.2 7.2.3 7.2.4 7.3.1 7.3.2 7.4.1 7.4.2 7.4.3 7.4.4 7.4.5 7.5.1 7.5.2 8.1.1 8.2.1
    8.2.2 8.3.1 8.3.2 9.1.1 9.1.2 9.1.3 9.2.1 9.2.2 9.2.3 9.2.4 11.1.2 11.2.1 11.2.2 11.2.4 11.4.1 11.4.2 11.5.1 12.1.1 12.2.1 12.3.1 12.3.2 13.1.1 13.1.2
    13.1.3 13.2.2 13.2.3 13.2.6 13.3.1 13.4.1 13.4.2 13.4.3 13.4.4 13.4.5 13.4.6 13.4.7 14.1.1 14.1.2 14.2.1 14.2.2
    14.2.4 14.2.5 14.2.7 14.3.1 14.3.2 15.1.1 15.1.2 15.1.3 15.2.1 15.2.2 15.2.3 15.2.4 15.3.1 15.3.3 15.3.4 15.3.5
    15.3.7 15.4.1 15.4.2 15.4.3 15.4.4 16.1.1 16.2.1 16.2.2 16.2.3 16.2.4 16.2.5 16.3.1 16.3.2 16.3.3 16.3.4 16.4.1
    16.4.2 16.4.3 16.5.1 16.5.2 16.5.3 16.5.4";

/// How a row's third cell begins.
const STATES: [&str; 3] = ["holds", "yours", "no"];

/// The cells of every row of the ASVS tables: ids, level, state, how, tests.
fn rows() -> Vec<Vec<&'static str>> {
    let section = PAGE.split("\n## ").find(|section| section.starts_with("OWASP ASVS"));
    let lines = section.expect("the ASVS section").lines();
    let rows = lines.filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit());
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

/// Every test, under the name of its file, as `module::function` names it. Unit tests in a file of
/// their own count for the folder that it is in.
fn tests() -> BTreeMap<String, BTreeSet<String>> {
    let mut found = BTreeMap::new();
    for root in ["tests/web", "src"] {
        collect(&Path::new(env!("CARGO_MANIFEST_DIR")).join(root), &mut found);
    }
    found
}

fn collect(folder: &Path, found: &mut BTreeMap<String, BTreeSet<String>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            let stem = path.file_stem().filter(|stem| *stem != "tests" && *stem != "mod");
            let module = stem.unwrap_or_else(|| folder.file_name().unwrap());
            let text = std::fs::read_to_string(&path).unwrap();
            let names = tests_in(&text).map(str::to_owned);
            found.entry(module.to_string_lossy().into_owned()).or_default().extend(names);
        }
    }
}

/// The functions that stand under `#[test]` or `#[tokio::test]`, and the tests of
/// `on_both_databases!`.
fn tests_in(text: &str) -> impl Iterator<Item = &str> {
    let (mut is_marked, mut are_tests) = (false, false);
    text.lines().filter_map(move |line| {
        let code = line.trim_start();
        are_tests = line.starts_with("on_both_databases! {") || are_tests && line != "}";
        is_marked |= code.starts_with("#[test]") || code.starts_with("#[tokio::test");
        let rest = code.strip_prefix("async ").unwrap_or(code).strip_prefix("fn ")?;
        let is_test = are_tests && line.starts_with("    async fn ");
        (std::mem::take(&mut is_marked) || is_test).then(|| rest.split(['(', '<']).next().unwrap())
    })
}

#[test]
fn tests_are_found_by_their_attribute_and_in_on_both_databases() {
    let text = "#[test]\n#[ignore]\nfn one() {\n    fn inner() {}\n}\nfn other() {}\n\
        on_both_databases! {\n    async fn two(site: Site) {\n        async fn inner() {}\n    }\n}\n\
        async fn three() {}\n#[tokio::test(flavor = \"multi_thread\")]\nasync fn four() {}\n";
    assert_eq!(tests_in(text).collect::<Vec<_>>(), ["one", "two", "four"]);
}

#[test]
fn every_requirement_that_applies_has_one_row_with_its_state() {
    let rows = rows();
    for row in &rows {
        assert!(STATES.iter().any(|state| row[2].starts_with(state)), "{row:?}");
        let is_shown = row[3].len() + row.get(4).map_or(0, |tests| tests.len()) > 3;
        assert!(is_shown, "neither how nor a test: {row:?}");
    }
    let mut named: Vec<_> = rows.iter().flat_map(|row| row[0].split(", ")).collect();
    let mut known: Vec<_> = ASVS.split_whitespace().collect();
    named.sort_unstable();
    known.sort_unstable();
    assert_eq!(named, known);
}

#[test]
fn every_test_that_is_named_exists() {
    let tests = tests();
    let mut seen = 0;
    for name in PAGE.split('`').skip(1).step_by(2).filter(|piece| piece.contains("::")) {
        let (module, function) = name.split_once("::").unwrap();
        let known = tests.get(module).unwrap_or_else(|| panic!("no file for {name}"));
        assert!(known.contains(function), "{name}");
        seen += 1;
    }
    assert!(seen > 100, "{seen} tests were found");
}

#[test]
fn what_does_not_hold_says_why() {
    for row in rows().iter().filter(|row| row[2].starts_with("no") || row[2].contains("yours")) {
        assert!(row[3].len() > 40, "{row:?}");
    }
}

#[test]
fn nothing_on_the_page_is_still_to_be_filled_in() {
    for line in PAGE.lines().map(str::trim).filter(|line| line.len() > 2) {
        let is_placeholder = line.chars().all(|c| c.is_ascii_uppercase() || c == '_');
        assert!(!is_placeholder, "docs/security.md: write what is to stand in the place of {line}");
    }
}
