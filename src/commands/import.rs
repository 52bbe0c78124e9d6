//! `vestibule import`: accounts of another program, from a JSONL file or a Django database.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use super::{CommandError, location, print};
use crate::accounts::import::{Import, ImportRow, Place, Refused, Report};
use crate::app::App;
use crate::config::Config;
use crate::db::{Db, Location};
use crate::disk;
use crate::models::django_user::{DjangoUser, django_users_after};
use crate::times;

pub const EXAMPLES: &str = "Examples:
  vestibule import users users.jsonl --dry-run
  vestibule import django db.sqlite3 --dry-run

A second run makes only the accounts that are missing, and changes none.";

/// The rows of one query.
const PAGE: i64 = 1000;

#[derive(clap::Subcommand)]
pub enum Command {
    /// Import accounts from a file with a JSON object in each line
    #[command(
        after_help = "Fields: username, email, hash, kind, extra, email_verified, disabled, created_at. See docs/moving.md.\n\nExample:\n  vestibule import users users.jsonl --dry-run --json"
    )]
    Users {
        /// One JSON object in each line
        #[arg(value_name = "FILE.jsonl")]
        file: PathBuf,
        #[command(flatten)]
        options: Options,
    },
    /// Import the accounts of a Django application
    #[command(
        after_help = "The password of PostgreSQL comes from PGPASSWORD, or the URL from a file.\n\nExamples:\n  vestibule import django db.sqlite3 --dry-run\n  PGPASSWORD=… vestibule import django postgres://django@db.example.org/shop\n  vestibule import django --from-file url.txt"
    )]
    Django {
        /// The file of SQLite, or a postgres:// URL without a password
        #[arg(value_name = "SOURCE", required_unless_present = "from_file")]
        source: Option<String>,
        /// Read SOURCE from a file
        #[arg(long, value_name = "FILE", conflicts_with = "source")]
        from_file: Option<PathBuf>,
        #[command(flatten)]
        options: Options,
    },
}

#[derive(Clone, Copy, clap::Args)]
pub struct Options {
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub async fn run(command: Command, mut config: Config) -> Result<(), CommandError> {
    super::log::start(config.log);
    let (Command::Users { options, .. } | Command::Django { options, .. }) = command;
    if options.dry_run && matches!(&config.database, Location::Sqlite(path) if !path.exists()) {
        // A trial creates no database.
        config.database = Location::in_memory();
    }
    // Before the database is created.
    let source = Source::open(command).await?;
    let app = App::for_command(config).await?;
    let mut import = Import::new(&app, options.dry_run);
    match source {
        Source::Lines(lines, name) => import_lines(&mut import, lines, &name).await?,
        Source::Django(db, name) => import_django(&mut import, &db, &name).await?,
    }
    let report = import.finish().await?;
    app.db.close().await;
    print_report(&report, options)?;
    match report.refused.len() {
        0 => Ok(()),
        1 => Err(CommandError::Failed("1 row was refused".to_owned())),
        count => Err(CommandError::Failed(format!("{count} rows were refused"))),
    }
}

/// With its name for messages.
enum Source {
    Lines(BufReader<File>, String),
    Django(Db, String),
}

impl Source {
    async fn open(command: Command) -> Result<Self, CommandError> {
        let (location, name) = match command {
            Command::Users { file, .. } => {
                let opened = disk::open(&file).map_err(CommandError::Failed)?;
                return Ok(Self::Lines(BufReader::new(opened), file.display().to_string()));
            }
            Command::Django { source, from_file, .. } => {
                location::read(("SOURCE", source), ("--from-file", from_file), true)?
            }
        };
        if let Location::Sqlite(path) = &location {
            drop(disk::open(path).map_err(CommandError::Failed)?);
        }
        let db = Db::open_foreign(&location).await.map_err(|error| error.at(&name))?;
        Ok(Self::Django(db, name))
    }
}

async fn import_lines(
    import: &mut Import,
    mut lines: BufReader<File>,
    name: &str,
) -> Result<(), CommandError> {
    for number in 1.. {
        let mut line = Vec::new();
        let read = lines.read_until(b'\n', &mut line);
        if read.map_err(|cause| CommandError::Failed(format!("{name}: {cause}")))? == 0 {
            break;
        }
        let byte_order_mark = Some(&b"\xef\xbb\xbf"[..]).filter(|_| number == 1);
        let line = byte_order_mark.and_then(|mark| line.strip_prefix(mark)).unwrap_or(&line);
        if line.trim_ascii().is_empty() {
            continue;
        }
        import.add(Place::Line { line: number }, ImportRow::parse(line)).await?;
    }
    Ok(())
}

async fn import_django(import: &mut Import, db: &Db, name: &str) -> Result<(), CommandError> {
    let mut last = i64::MIN;
    loop {
        let users = match django_users_after(db, last, PAGE).await {
            Ok(users) => users,
            Err(error) => return Err(db.explain(error).await.at(name).into()),
        };
        let Some(user) = users.last() else { return Ok(()) };
        last = user.id;
        for user in users {
            let place = Place::User { id: user.id, username: user.username.clone() };
            import.add(place, Ok(row_of(user))).await?;
        }
    }
}

fn row_of(user: DjangoUser) -> ImportRow {
    ImportRow {
        username: Some(user.username),
        email: Some(user.email),
        hash: Some(user.password),
        kind: Some("django".to_owned()),
        disabled: Some(user.is_active == 0),
        created_at: Some(times::iso(user.date_joined)),
        ..ImportRow::default()
    }
}

fn print_report(report: &Report, options: Options) -> Result<(), CommandError> {
    for Refused { place, reason } in &report.without_username {
        eprintln!("{place}: without its username: {reason}");
    }
    if options.json {
        return print(&serde_json::to_value(report)?);
    }
    for refused in &report.refused {
        print(&format!("{}: {}", refused.place, refused.reason))?;
    }
    let Report { rows, accounts, unchanged, refused, .. } = report;
    let made = if options.dry_run { "would be made" } else { "made" };
    print(&format!(
        "{rows} rows read, {accounts} accounts {made}, {unchanged} unchanged, {} refused",
        refused.len()
    ))
}
