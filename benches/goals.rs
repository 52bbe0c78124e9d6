//! The goals for speed, size and growth. Each figure is compared with that of a reference program,
//! measured in turn on the same machine.
//!
//! `benches/run` builds what is needed and runs this. `docs/performance.md` explains the rows.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a failed measurement ends the program"
)]

#[path = "goals/checks.rs"]
mod checks;
#[path = "goals/growth.rs"]
mod growth;
#[path = "goals/http.rs"]
mod http;
#[path = "shared/limits.rs"]
mod limits;
#[path = "goals/load.rs"]
mod load;
#[path = "goals/logins.rs"]
mod logins;
#[path = "shared/mail_sink.rs"]
mod mail_sink;
#[path = "goals/options.rs"]
mod options;
#[path = "goals/pages.rs"]
mod pages;
#[path = "goals/proc.rs"]
mod proc;
#[path = "shared/process.rs"]
mod process;
#[path = "goals/program.rs"]
mod program;
#[path = "goals/report.rs"]
mod report;
#[path = "goals/seed.rs"]
mod seed;
#[path = "goals/series.rs"]
mod series;
#[path = "goals/site.rs"]
mod site;
#[path = "goals/start.rs"]
mod start;
#[path = "goals/storm.rs"]
mod storm;
#[path = "goals/sweep.rs"]
mod sweep;
#[path = "goals/writes.rs"]
mod writes;

use std::process::ExitCode;

use options::{Options, USAGE};
use report::Row;

/// The number of a goal, its name for `--only`, and the function that measures it.
type Goal = (&'static str, &'static str, fn(&Options) -> Vec<Row>);

const GOALS: [Goal; 8] = [
    ("1", "logins", logins::measure),
    ("2", "pages", pages::measure),
    ("3", "storm", storm::measure),
    ("4", "start", start::measure),
    ("5", "growth", growth::measure),
    ("5", "sweep", sweep::measure),
    ("6", "writes", writes::measure),
    ("7", "checks", checks::measure),
];

fn main() -> ExitCode {
    if std::env::args().any(|argument| argument == "--help") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let options = match Options::read() {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    let only = options.only.as_deref();
    let is_chosen = |name| only.is_none_or(|only| only == name);
    let chosen: Vec<_> = GOALS.iter().filter(|(_, name, _)| is_chosen(*name)).collect();
    if chosen.is_empty() {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    }
    run(&chosen, &options);
    ExitCode::SUCCESS
}

fn run(goals: &[&Goal], options: &Options) {
    println!("{}\n{}", report::environment(), report::HEAD);
    for (number, _, measure) in goals {
        report::print(number, &measure(options));
    }
}
