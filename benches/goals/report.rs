//! The table of goals, and the machine that they were measured on.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use super::proc::is_disturbed;
use super::series::Series;

/// The goal of a figure.
#[derive(Clone, Copy)]
pub enum Wanted {
    AtLeast(f64),
    AtMost(f64),
    /// No goal: shown for comparison.
    Nothing,
}

/// One line of the table.
pub struct Row {
    what: String,
    ours: String,
    reference: String,
    ratio: Option<f64>,
    result: f64,
    wanted: Wanted,
    others: f64,
}

impl Row {
    /// Two series that were measured in turn, and their ratio.
    pub fn ratio(what: &str, [ours, reference]: [&Series; 2], ratio: f64, wanted: Wanted) -> Self {
        Self {
            what: what.to_owned(),
            ours: figure(ours.median()),
            reference: figure(reference.median()),
            ratio: Some(ratio),
            result: ratio,
            wanted,
            others: ours.others().max(reference.others()),
        }
    }

    /// A series that is compared with its goal directly.
    pub fn figure(what: &str, ours: &Series, wanted: Wanted) -> Self {
        Self {
            what: what.to_owned(),
            ours: figure(ours.median()),
            reference: String::new(),
            ratio: None,
            result: ours.median(),
            wanted,
            others: ours.others(),
        }
    }

    /// Also shows a reference, without comparing it.
    pub fn with_reference(self, reference: &Series) -> Self {
        let others = self.others.max(reference.others());
        Self { reference: figure(reference.median()), others, ..self }
    }

    /// Shows a text in the column of the reference.
    pub fn remark(self, reference: String) -> Self {
        Self { reference, ..self }
    }

    fn line(&self, goal: &str) -> String {
        let ratio = self.ratio.map(figure).unwrap_or_default();
        let (wanted, verdict) = match self.wanted {
            Wanted::Nothing => (String::new(), ""),
            Wanted::AtLeast(least) => (format!("≥ {least}"), verdict(self.result >= least)),
            Wanted::AtMost(most) => (format!("≤ {most}"), verdict(self.result <= most)),
        };
        // A disturbed sample proves nothing.
        let verdict = if is_disturbed(self.others) { "disturbed" } else { verdict };
        format!(
            "| {goal} | {} | {} | {} | {ratio} | {wanted} | {verdict} | {:.1} % |",
            self.what,
            self.ours,
            self.reference,
            self.others * 100.0
        )
    }
}

/// A figure that is not a number counts as missed.
fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "**short**" }
}

/// About three significant digits.
pub fn figure(value: f64) -> String {
    match value.abs() {
        small if small < 0.1 => format!("{value:.4}"),
        small if small < 10.0 => format!("{value:.2}"),
        middle if middle < 100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

pub const HEAD: &str = "| goal | what | Vestibule | reference | ratio | wanted | | others' CPU |\n\
    |---|---|---|---|---|---|---|---|";

/// Prints the rows of a goal as soon as they are measured: a run takes a while.
pub fn print(goal: &str, rows: &[Row]) {
    for row in rows {
        println!("{}", row.line(goal));
    }
}

/// The machine, the commit and the time.
pub fn environment() -> String {
    let mut text = String::new();
    let (cpu, cores) = cpu();
    let memory = first_after("/proc/meminfo", "MemTotal:").replace(" kB", "");
    let memory = memory.parse::<f64>().unwrap_or(f64::NAN) / 1024.0 / 1024.0;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let _ = writeln!(text, "- machine: {cpu}, {cores} cores, {memory:.0} GiB");
    let _ = writeln!(text, "- kernel: Linux {}", kernel.trim());
    let _ = writeln!(text, "- compiler: {}", output_of("rustc", &["--version"]));
    let _ = writeln!(text, "- commit: {}", commit());
    let _ = writeln!(text, "- date: {}", output_of("date", &["-u", "+%Y-%m-%d %H:%M UTC"]));
    text
}

fn cpu() -> (String, usize) {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    (first_after("/proc/cpuinfo", "model name").trim_start_matches([':', ' ']).to_owned(), cores)
}

fn commit() -> String {
    let commit = output_of("git", &["rev-parse", "--short", "HEAD"]);
    let changed = output_of("git", &["status", "--porcelain", "--untracked-files=no"]);
    if changed.is_empty() { commit } else { format!("{commit} with changes") }
}

fn first_after(path: &str, key: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let found = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("unknown");
    found.trim().to_owned()
}

fn output_of(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_else(|_| "unknown".to_owned())
}
