//! The table: a row for each goal, and what it was measured on.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use super::proc::is_disturbed;
use super::series::Series;

/// What a figure is to be.
#[derive(Clone, Copy)]
pub enum Wanted {
    AtLeast(f64),
    AtMost(f64),
    /// Told for comparison.
    Nothing,
}

/// One line of the table.
pub struct Row {
    what: String,
    ours: String,
    reference: String,
    ratio: Option<f64>,
    judged: f64,
    wanted: Wanted,
    others: f64,
}

impl Row {
    /// Two series that were taken in turn, compared by a ratio of them.
    pub fn ratio(what: &str, [ours, reference]: [&Series; 2], ratio: f64, wanted: Wanted) -> Self {
        Self {
            what: what.to_owned(),
            ours: figure(ours.median()),
            reference: figure(reference.median()),
            ratio: Some(ratio),
            judged: ratio,
            wanted,
            others: ours.others().max(reference.others()),
        }
    }

    /// A series that is judged by itself.
    pub fn figure(what: &str, ours: &Series, wanted: Wanted) -> Self {
        Self {
            what: what.to_owned(),
            ours: figure(ours.median()),
            reference: String::new(),
            ratio: None,
            judged: ours.median(),
            wanted,
            others: ours.others(),
        }
    }

    /// With a reference beside it that is not compared.
    pub fn beside(self, reference: &Series) -> Self {
        let others = self.others.max(reference.others());
        Self { reference: figure(reference.median()), others, ..self }
    }

    /// With the reference said in words.
    pub fn remark(self, reference: String) -> Self {
        Self { reference, ..self }
    }

    fn line(&self, goal: &str) -> String {
        let ratio = self.ratio.map(figure).unwrap_or_default();
        let (wanted, verdict) = match self.wanted {
            Wanted::Nothing => (String::new(), ""),
            Wanted::AtLeast(least) => (format!("≥ {least}"), verdict(self.judged >= least)),
            Wanted::AtMost(most) => (format!("≤ {most}"), verdict(self.judged <= most)),
        };
        // Neither met nor missed: what was disturbed says nothing.
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

/// A figure that does not exist is short, too: it compares as false.
fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "**short**" }
}

/// Three figures that count.
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

/// Prints what was measured of a goal at once: a run takes a while.
pub fn print(goal: &str, rows: &[Row]) {
    for row in rows {
        println!("{}", row.line(goal));
    }
}

/// On what machine, of which sources, when.
pub fn setting() -> String {
    let mut text = String::new();
    let (cpu, cores) = cpu();
    let memory = first_after("/proc/meminfo", "MemTotal:").replace(" kB", "");
    let memory = memory.parse::<f64>().unwrap_or(f64::NAN) / 1024.0 / 1024.0;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let _ = writeln!(text, "- machine: {cpu}, {cores} cores, {memory:.0} GiB");
    let _ = writeln!(text, "- kernel: Linux {}", kernel.trim());
    let _ = writeln!(text, "- compiler: {}", said("rustc", &["--version"]));
    let _ = writeln!(text, "- commit: {}", commit());
    let _ = writeln!(text, "- date: {}", said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]));
    text
}

fn cpu() -> (String, usize) {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    (first_after("/proc/cpuinfo", "model name").trim_start_matches([':', ' ']).to_owned(), cores)
}

fn commit() -> String {
    let commit = said("git", &["rev-parse", "--short", "HEAD"]);
    let changed = said("git", &["status", "--porcelain", "--untracked-files=no"]);
    if changed.is_empty() { commit } else { format!("{commit} with changes") }
}

fn first_after(path: &str, key: &str) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let found = text.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("unknown");
    found.trim().to_owned()
}

fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_else(|_| "unknown".to_owned())
}
