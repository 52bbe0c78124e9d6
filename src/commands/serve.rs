//! `vestibule serve`: arguments and start-up.

use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

use clap::{ArgMatches, Command};
use tokio::net::TcpListener;

use super::CommandError;
use crate::accounts::password;
use crate::app::App;
use crate::config::{Config, MailboxReaders};
use crate::db::Location;
use crate::event::Event;
use crate::mail::Mailer;
use crate::models::outbox;
use crate::server::{self, Signals};
use crate::tasks::{self, Tasks};

/// How long closing the database may take.
const CLOSING: Duration = Duration::from_secs(1);

/// The arguments.
pub fn command() -> Command {
    super::with_settings(Command::new("serve"))
        .about("Serve the site (what happens without a command, too)")
        .after_help(format!(
            "{}\nExamples:\n  vestibule serve\n  vestibule serve --listen 0.0.0.0:8000 --base-url http://192.168.1.5:8000",
            super::secrets_help()
        ))
}

/// Runs it.
pub async fn run(matches: &ArgMatches) -> Result<(), CommandError> {
    let mut config = super::settings(matches)?;
    super::log::start(config.log);
    let signals = Signals::listen().map_err(CommandError::failed)?;
    let listener = bind(config.listen).await?;
    let address = listener.local_addr().map_err(CommandError::failed)?;
    if config.base_url_is_default {
        config.base_url = config.base_url.with_port(address.port());
    }
    let mailer = Mailer::from_config(&config)
        .map_err(|why| CommandError::Usage(format!("VESTIBULE_SMTP_URL: {why}")))?;
    let app = App::start(config).await.map_err(CommandError::failed)?;
    let tasks = start_tasks(&app, mailer).await?;
    announce(&app.config, address);
    Event::Started { version: env!("CARGO_PKG_VERSION") }.write();
    warn_of_open_mailbox(&app, address);
    server::run(listener, &app, tasks, signals).await;
    // What still runs after the grace is cut off; what it had acknowledged is on disk.
    drop(tokio::time::timeout(CLOSING, app.db.close()).await);
    Ok(())
}

async fn bind(address: SocketAddr) -> Result<TcpListener, CommandError> {
    TcpListener::bind(address).await.map_err(|error| {
        let what = match error.kind() {
            std::io::ErrorKind::AddrInUse => {
                "the port is taken: stop the other program, or choose another with --listen"
            }
            std::io::ErrorKind::PermissionDenied => {
                "the port is not for this user: choose one above 1023 with --listen"
            }
            std::io::ErrorKind::AddrNotAvailable => {
                "this machine does not have the address: choose another with --listen"
            }
            _ => return CommandError::Failed(format!("VESTIBULE_LISTEN={address}: {error}")),
        };
        CommandError::Failed(format!("VESTIBULE_LISTEN={address}: {what}"))
    })
}

async fn start_tasks(app: &App, mailer: Option<Mailer>) -> Result<Tasks, CommandError> {
    if let Location::Sqlite(_) = app.config.database {
        // After a crash of the only node, the emails it was sending would wait for their claims to end.
        outbox::release_claims(app.db.writer()).await.map_err(CommandError::failed)?;
    }
    drop(tokio::task::spawn_blocking(password::warm));
    Ok(tasks::spawn_with(app, mailer))
}

/// For people and for scripts that wait for the last line; logs go to stderr.
fn announce(config: &Config, address: SocketAddr) {
    let data = match &config.database {
        Location::Sqlite(path) => {
            std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string()
        }
        Location::Postgres(_) => "PostgreSQL (VESTIBULE_DATABASE_URL)".to_owned(),
    };
    let mail = match &config.smtp {
        Some(_) => "goes out by VESTIBULE_SMTP_URL".to_owned(),
        None => mailbox_words(config, address),
    };
    let (name, version) = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let words = format!(
        "{name} {version} serves {}\n  data  {data}\n  mail  {mail}\nlistening on http://{address}",
        config.base_url
    );
    // A closed pipe is no reason not to serve.
    let _ = writeln!(std::io::stdout().lock(), "{words}");
}

fn mailbox_words(config: &Config, address: SocketAddr) -> String {
    if is_shown_beyond(config, address) || is_loopback(address) {
        return format!("stays here, read it at {}", config.base_url.join("/dev/mailbox"));
    }
    let port = address.port();
    format!(
        "stays here, read it on this machine at http://localhost:{port}/dev/mailbox\n        \
         (VESTIBULE_DEV_MAILBOX=anyone shows it, and every code, to other machines too)"
    )
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Whether other machines may read the mailbox.
fn is_shown_beyond(config: &Config, address: SocketAddr) -> bool {
    config.dev_mailbox == MailboxReaders::Anyone && !is_loopback(address)
}

/// The mailbox shows every code: its readers can take over any account.
fn warn_of_open_mailbox(app: &App, address: SocketAddr) {
    if app.has_mailbox() && is_shown_beyond(&app.config, address) {
        let cause = format!(
            "everybody who can reach {address} can read all mail at /dev/mailbox, codes included: \
             set VESTIBULE_SMTP_URL before real people use this"
        );
        Event::MailboxOpen { cause: &cause }.write();
    }
}
