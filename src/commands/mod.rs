//! The command line, one file a command.

mod huge_pages;
pub mod log;
pub mod mail;
pub mod migrate;
pub mod serve;
pub mod user;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::thread::available_parallelism;

use clap::{Arg, ArgMatches, Command};

use crate::config::{Config, ConfigErrors, SETTINGS};

const HELP: &str = "Without a command it serves. Exit status: 0 done, 1 failed, 2 wrong use.

Examples:
  vestibule
  vestibule serve --listen 0.0.0.0:8000
  vestibule user add ann ann@example.com
  VESTIBULE_SMTP_URL=smtp://127.0.0.1:1025 vestibule mail test you@example.com

Every setting: vestibule serve --help. More: README.md and docs/ of the source.";

/// For commands whose settings have no flags.
const ENVIRONMENT_HELP: &str =
    "It reads the same environment as serve: see vestibule serve --help.";

/// Why a command ended without success. `Display` is the one line that is printed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// Exit status 2: the settings are wrong.
    #[error("{0}")]
    Settings(#[from] ConfigErrors),
    /// Exit status 2: the arguments are wrong.
    #[error("{0}")]
    Usage(String),
    /// Exit status 1.
    #[error("{0}")]
    Failed(String),
}

impl CommandError {
    /// From anything that says what happened.
    pub fn failed(cause: impl ToString) -> Self {
        Self::Failed(cause.to_string())
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Settings(_) | Self::Usage(_) => ExitCode::from(2),
            Self::Failed(_) => ExitCode::FAILURE,
        }
    }
}

/// Runs what the arguments say; prints words to stderr and data to stdout.
pub fn run() -> ExitCode {
    let matches = command().get_matches();
    let ended = match matches.subcommand() {
        Some(("migrate", rest)) => block_on(migrate::run(rest)),
        Some(("user", rest)) => block_on(user::run(rest)),
        Some(("mail", rest)) => block_on(mail::run(rest)),
        serve => {
            huge_pages::enable();
            block_on(serve::run(serve.map_or(&matches, |(_, rest)| rest)))
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vestibule: {error}");
            error.exit_code()
        }
    }
}

/// The whole command line, for running and for `--help`.
pub fn command() -> Command {
    Command::new("vestibule")
        .about("The entrance hall of a web site: register, log in, log out, get back in by a mailed code")
        .version(env!("CARGO_PKG_VERSION"))
        .after_help(HELP)
        .subcommand(serve::command())
        .subcommand(migrate::command())
        .subcommand(user::command())
        .subcommand(mail::command())
}

/// Prints data. A closed pipe is no failure: `vestibule user list | head`.
fn print(data: &impl std::fmt::Display) -> Result<(), CommandError> {
    match writeln!(std::io::stdout().lock(), "{data}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(CommandError::Failed(format!("standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}

/// Uses half as many threads as there are cores: pages mostly wait for the database, and each wait
/// puts a thread to sleep and wakes it. With one thread instead of two an account page takes a quarter
/// less CPU at the same throughput and latency (measured on two cores).
fn block_on(task: impl Future<Output = Result<(), CommandError>>) -> Result<(), CommandError> {
    let cores = available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads((cores / 2).max(1))
        .enable_all()
        .build();
    runtime.map_err(CommandError::failed)?.block_on(task)
}

/// Adds a flag for every setting that is no secret; the help names variable and default.
fn with_settings(command: Command) -> Command {
    SETTINGS.iter().fold(command, |command, setting| match setting.flag() {
        None => command,
        Some(flag) => command.arg(
            Arg::new(setting.name)
                .long(flag.trim_start_matches('-').to_owned())
                .value_name(setting.value)
                .help(format!(
                    "{} [{}; default: {}]",
                    setting.help,
                    setting.variable(),
                    setting.default
                )),
        ),
    })
}

/// Flags over environment over defaults.
fn settings(matches: &ArgMatches) -> Result<Config, CommandError> {
    let given = SETTINGS.iter().filter_map(|setting| {
        let value = matches.try_get_one::<String>(setting.name).ok().flatten()?;
        Some((setting.name.to_owned(), value.clone()))
    });
    Ok(Config::load(&given.collect::<BTreeMap<_, _>>())?)
}

/// Settings that only the environment gives, for the end of a help text.
fn secrets_help() -> String {
    let lines = SETTINGS.iter().filter(|setting| setting.flag().is_none()).map(|setting| {
        format!(
            "  {}\n          {} [default: {}]\n",
            setting.variable(),
            setting.help,
            setting.default
        )
    });
    format!(
        "Every variable can name a file that holds the value instead: VESTIBULE_…_FILE.\n\nSettings that hold secrets, from the environment or a file alone:\n{}",
        lines.collect::<String>()
    )
}
