//! The command line: one file per command.

mod access;
mod account;
mod approval;
mod backup;
mod check;
mod completions;
mod copy;
mod credentials;
mod flags;
mod healthcheck;
mod huge_pages;
mod import;
mod invitation;
mod key;
mod location;
pub mod log;
mod mail;
mod man;
mod migrate;
mod serve;
mod user;

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::thread::available_parallelism;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;
use serde_json::Value;

use crate::app::App;
use crate::config::Config;
use crate::event;

/// The version, and the commit if `./dist` built the program.
const VERSION: &str = match option_env!("BUILD_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

const HELP: &str = "Without a command it serves, and takes the options of serve. Exit status: 0 done, 1 failed, 2 wrong use.

Examples:
  vestibule
  vestibule serve --listen 0.0.0.0:8000
  vestibule user add ann ann@example.com
  VESTIBULE_SMTP_URL=smtp://127.0.0.1:1025 vestibule mail test you@example.com

Every setting: vestibule serve --help. More: README.md and docs/ of the source.";

const USAGE: &str = "vestibule [OPTIONS of serve]\n       vestibule COMMAND";

/// The entrance hall of a web site: register, log in, log out, get back in by a mailed code
#[derive(Parser)]
#[command(name = "vestibule", version = VERSION, after_help = HELP, override_usage = USAGE)]
#[command(args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the site (what happens without a command, too)
    Serve,
    /// Bring the database to this program's version (serve does it too)
    #[command(after_help = migrate::EXAMPLE)]
    Migrate,
    /// Add accounts, show, change, disable and delete them, invite people
    #[command(subcommand, after_help = help(user::EXAMPLES))]
    User(user::Command),
    /// Import accounts of another program, with their passwords
    #[command(subcommand, after_help = help(import::EXAMPLES))]
    Import(import::Command),
    /// Write a backup of the SQLite database into a file
    #[command(after_help = help(backup::BACKUP_EXAMPLES))]
    Backup(backup::Backup),
    /// Replace the SQLite database with a backup
    #[command(after_help = help(backup::RESTORE_EXAMPLES))]
    Restore(backup::Restore),
    /// Copy all data to another database: from SQLite to PostgreSQL, or back
    #[command(after_help = help(copy::EXAMPLES))]
    Copy(copy::Copy),
    /// Replace the server's key
    #[command(subcommand, after_help = help(key::EXAMPLE))]
    Key(key::Command),
    /// Check that mail goes out, or what became of the emails to an address
    #[command(subcommand, after_help = help(mail::EXAMPLES))]
    Mail(mail::Command),
    /// Try everything that the settings name, and say what to mend
    #[command(after_help = help(check::EXAMPLES))]
    Check(check::Check),
    /// Ask the running server whether it works
    #[command(after_help = help(healthcheck::EXAMPLE))]
    Healthcheck,
    /// Print a script that completes this command line in a shell
    #[command(after_help = completions::EXAMPLES)]
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual page, for `man -l -`
    #[command(hide = true)]
    Man,
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
    let matches = command().try_get_matches().unwrap_or_else(|error| exit(&error));
    let line = CommandLine::from_arg_matches(&matches).unwrap_or_else(|error| exit(&error));
    let result = match line.command.unwrap_or(Command::Serve) {
        Command::Completions { shell } => completions::run(shell),
        Command::Man => man::run(),
        command => run_with_settings(command, &matches),
    };
    let (message, status) = match result {
        Ok(()) => return ExitCode::SUCCESS,
        Err(CommandError::Usage(message)) => (message, 2),
        Err(CommandError::Failed(message)) => (message, 1),
    };
    log::print_error(&format!("vestibule: {message}"));
    ExitCode::from(status)
}

/// After wrong arguments, or the help.
fn exit(error: &clap::Error) -> ! {
    let advice = flags::advice(error).map(|advice| format!("vestibule: {advice}"));
    if advice.is_none() && !(error.use_stderr() && log::is_journal()) {
        error.exit();
    }
    log::print_error(&advice.unwrap_or_else(|| error.render().to_string()));
    std::process::exit(error.exit_code())
}

fn run_with_settings(command: Command, matches: &ArgMatches) -> Result<(), CommandError> {
    match command {
        Command::Serve => huge_pages::enable(),
        _ => event::act_for_operator(),
    }
    let serve = match matches.subcommand() {
        None => Some(matches),
        Some((name, serve)) => Some(serve).filter(|_| name == "serve"),
    };
    let flags = serve.map(flags::flags).unwrap_or_default();
    let accepts_new_key = serve.is_some_and(flags::accepts_new_key);
    let config = Config::load(&flags).map_err(|errors| CommandError::Usage(errors.to_string()))?;
    block_on(execute(command, config, accepts_new_key))
}

async fn execute(
    command: Command,
    config: Config,
    accepts_new_key: bool,
) -> Result<(), CommandError> {
    match command {
        Command::Serve => serve::run(config, accepts_new_key).await,
        Command::Migrate => migrate::run(&config).await,
        Command::User(command) => user::run(command, config).await,
        Command::Import(command) => import::run(command, config).await,
        Command::Backup(command) => backup::back_up(&config, command).await,
        Command::Restore(command) => backup::restore(&config, command).await,
        Command::Copy(command) => copy::run(&config, command).await,
        Command::Key(command) => key::run(command, &config).await,
        Command::Mail(command) => mail::run(command, config).await,
        Command::Check(command) => check::run(command, &config).await,
        Command::Healthcheck => healthcheck::run(&config).await,
        Command::Completions { shell } => completions::run(shell),
        Command::Man => man::run(),
    }
}

/// The whole command line. The flags of serve work without its name, too.
pub fn command() -> clap::Command {
    flags::add_hidden_flags(CommandLine::command()).mut_subcommand("serve", flags::add_flags)
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

/// Starts an app on a database that exists.
async fn start_on_existing(config: Config) -> Result<App, CommandError> {
    config.database.require_existing()?;
    Ok(App::for_command(config).await?)
}

/// `examples` and where the settings come from, for commands whose settings have no flags.
fn help(examples: &str) -> String {
    format!("{examples}\n\nIt reads the same environment as serve: see vestibule serve --help.")
}

/// Prints each row on a line, or with `json` all of them as an array.
fn print_rows<T>(
    rows: &[T],
    json: bool,
    as_json: impl Fn(&T) -> Value,
    line: impl Fn(&T) -> String,
) -> Result<(), CommandError> {
    if json {
        return print(&rows.iter().map(as_json).collect::<Value>());
    }
    rows.iter().try_for_each(|row| print(&line(row)))
}

/// Prints data. A closed pipe is no failure: `vestibule user list | head`.
fn print(data: &impl Display) -> Result<(), CommandError> {
    print_bytes(format!("{data}\n").as_bytes())
}

fn print_bytes(data: &[u8]) -> Result<(), CommandError> {
    match io::stdout().lock().write_all(data) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
        Err(error) => Err(CommandError::Failed(format!("standard output: {error}"))),
        Ok(()) => Ok(()),
    }
}
