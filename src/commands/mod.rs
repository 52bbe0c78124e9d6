//! The command line, one file a command.

mod huge_pages;
pub mod log;
mod mail;
mod migrate;
mod serve;
mod user;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::thread::available_parallelism;

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::Config;

const HELP: &str = "Without a command it serves. Exit status: 0 done, 1 failed, 2 wrong use.

Examples:
  vestibule
  vestibule serve --listen 0.0.0.0:8000
  vestibule user add ann ann@example.com
  VESTIBULE_SMTP_URL=smtp://127.0.0.1:1025 vestibule mail test you@example.com

Every setting: vestibule serve --help. More: README.md and docs/ of the source.";

/// The entrance hall of a web site: register, log in, log out, get back in by a mailed code
#[derive(Parser)]
#[command(name = "vestibule", version, after_help = HELP)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    Serve(serve::Arguments),
    Migrate(migrate::Arguments),
    User(user::Arguments),
    Mail(mail::Arguments),
}

/// Why a command ended without success, for people.
pub enum CommandError {
    /// The settings or the arguments are wrong.
    Usage(String),
    Failed(String),
}

impl<E: std::error::Error> From<E> for CommandError {
    fn from(cause: E) -> Self {
        Self::Failed(cause.to_string())
    }
}

/// Runs what the arguments say; prints data to stdout and everything else to stderr.
pub fn run() -> ExitCode {
    let command = CommandLine::parse().command;
    let result = match command.unwrap_or(Command::Serve(serve::Arguments::default())) {
        Command::Serve(arguments) => {
            huge_pages::enable();
            block_on(serve::run(arguments))
        }
        Command::Migrate(_) => block_on(migrate::run()),
        Command::User(arguments) => block_on(user::run(arguments)),
        Command::Mail(arguments) => block_on(mail::run(arguments)),
    };
    let (words, status) = match result {
        Ok(()) => return ExitCode::SUCCESS,
        Err(CommandError::Usage(words)) => (words, 2),
        Err(CommandError::Failed(words)) => (words, 1),
    };
    eprintln!("vestibule: {words}");
    ExitCode::from(status)
}

/// The whole command line, for the documentation's test.
pub fn command() -> clap::Command {
    CommandLine::command()
}

/// Uses half as many threads as there are cores: pages mostly wait for the database, and each wait
/// puts a thread to sleep and wakes it. With one thread instead of two an account page takes a quarter
/// less CPU at the same throughput and latency (measured on two cores).
fn block_on(task: impl Future<Output = Result<(), CommandError>>) -> Result<(), CommandError> {
    let cores = available_parallelism().map_or(1, usize::from);
    let threads = (cores / 2).max(1);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(threads).enable_all().build()?.block_on(task)
}

/// The settings from flags (by name, `LISTEN`), environment and defaults.
fn load_config(flags: &BTreeMap<String, String>) -> Result<Config, CommandError> {
    Config::load(flags).map_err(|errors| CommandError::Usage(errors.to_string()))
}

/// `examples` and where the settings come from, for commands whose settings have no flags.
fn help(examples: &str) -> String {
    format!("{examples}\n\nIt reads the same environment as serve: see vestibule serve --help.")
}

/// Prints data. A closed pipe is no failure: `vestibule user list | head`.
fn print(data: &impl Display) -> Result<(), CommandError> {
    match writeln!(io::stdout().lock(), "{data}") {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(CommandError::Failed(format!("standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}
