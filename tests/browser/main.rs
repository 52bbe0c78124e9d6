//! The site in a real browser: Node runs the `*.test.mjs` files beside this one against the binary.
//!
//! One of them alone, against the last debug build: `node --test pages.test.mjs` in this folder. The
//! screenshots of every page are then in `target/browser/screenshots/`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::io::Write;
use std::path::Path;
use std::process::Command;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser");
/// Where they leave screenshots and reports.
const LEFT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/browser");

/// The first version of Node that all packages run on, major and minor: `html-validate` sets it.
const NODE: (u32, u32) = (20, 19);

/// It has the machine to itself, because it measures time. All others run side by side.
const ALONE: &str = "lighthouse.test.mjs";

/// Milliseconds for one file, several times what the slowest takes: a page that hangs is to fail.
const LONGEST: &str = "--test-timeout=600000";

#[test]
fn the_pages_hold_in_a_real_browser() {
    if let Err(missing) = chromium().and_then(|()| node()).and_then(|()| packages()) {
        let line = format!("tests/browser was skipped: {missing}.\n");
        assert!(std::env::var_os("CI").is_none(), "{line}");
        return say(&line);
    }
    build_example();
    // What an earlier run left must not pass for this one's.
    let _ = std::fs::remove_dir_all(LEFT);
    let (alone, side_by_side) = test_files().into_iter().partition(|name| name == ALONE);
    let runs: [Vec<String>; 2] = [side_by_side, alone];
    let failed: Vec<String> = runs.iter().filter_map(|files| run(files).err()).collect();
    say(&axe());
    for name in ["weight", "lighthouse"] {
        let report = std::fs::read_to_string(Path::new(LEFT).join(format!("reports/{name}.txt")));
        say(&format!("\n{}", report.unwrap_or_else(|_| format!("{name}: nothing was measured\n"))));
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// `cargo test` builds the examples only if it runs all tests.
fn build_example() {
    let build = ["build", "--quiet", "--locked", "--example", "notes"];
    let built = Command::new(env!("CARGO")).args(build).status().unwrap();
    assert!(built.success());
}

/// The names of the `*.test.mjs` files, in order.
fn test_files() -> Vec<String> {
    let all = std::fs::read_dir(FOLDER).unwrap();
    let names = all.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".test.mjs")).collect();
    names.sort();
    names
}

/// What axe was asked: each file leaves a report that begins with its number of checks.
fn axe() -> String {
    let folder = std::fs::read_dir(Path::new(LEFT).join("reports/axe"));
    let mut paths: Vec<_> =
        folder.into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let reports: Vec<String> =
        paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let checks = reports.iter().filter_map(|report| report.split(' ').next()?.parse::<u32>().ok());
    format!("\naxe: {} checks\n{}", checks.sum::<u32>(), reports.concat())
}

/// Past the test runner's capture, which shows nothing of a test that passes.
fn say(words: &str) {
    std::io::stderr().write_all(words.as_bytes()).unwrap();
}

fn chromium() -> Result<(), String> {
    let path = std::env::var("CHROMIUM").unwrap_or_else(|_| "/usr/bin/chromium".into());
    let words = format!("there is no Chromium at {path}; install it, or name one in CHROMIUM");
    Path::new(&path).is_file().then_some(()).ok_or(words)
}

fn node() -> Result<(), String> {
    let output = Command::new("node").arg("--version").output();
    let version = output.map_err(|error| format!("node does not start ({error})"))?.stdout;
    let version = String::from_utf8_lossy(&version).trim().to_owned();
    let mut parts = version.trim_start_matches('v').split('.').map(|part| part.parse().ok());
    let found = parts.next().flatten().zip(parts.next().flatten());
    let words = format!("node {version} is too old, it needs {}.{}", NODE.0, NODE.1);
    found.is_some_and(|found| found >= NODE).then_some(()).ok_or(words)
}

/// Installs what the lock file names, unless the last installation was of the same.
fn packages() -> Result<(), String> {
    let lock = std::fs::read(Path::new(FOLDER).join("package-lock.json")).unwrap();
    let installed = Path::new(FOLDER).join("node_modules/.installed-lock");
    if std::fs::read(&installed).is_ok_and(|last| last == lock) {
        return Ok(());
    }
    // Without a network npm would try for minutes.
    let options = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"];
    let npm = Command::new("npm").args(options).current_dir(FOLDER).output();
    let npm = npm.map_err(|error| format!("npm does not start ({error})"))?;
    if npm.status.success() {
        std::fs::write(&installed, lock).unwrap();
        return Ok(());
    }
    let said = String::from_utf8_lossy(&npm.stderr).into_owned();
    // A lock file that does not fit is a mistake of ours, and no machine lacks anything.
    assert!(!said.contains("EUSAGE"), "{said}");
    let why = said.lines().find(|line| line.starts_with("npm error")).unwrap_or("npm error");
    Err(format!("its npm packages could not be installed ({why})"))
}

/// Runs these files side by side; what Node said when one of them failed.
fn run(files: &[String]) -> Result<(), String> {
    let output = Command::new("node")
        .args(["--test", "--test-concurrency=2", "--test-reporter=spec", LONGEST])
        .args(files)
        .current_dir(FOLDER)
        .env("VESTIBULE_BINARY", env!("CARGO_BIN_EXE_vestibule"))
        .env("FORCE_COLOR", "0")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    output.status.success().then_some(()).ok_or_else(|| String::from_utf8_lossy(&said).into_owned())
}
