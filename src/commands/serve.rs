//! `vestibule serve`: arguments and start-up.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command};
use tokio::net::TcpListener;

use super::CommandError;
use crate::accounts::password;
use crate::app::App;
use crate::config::{BaseUrl, MailboxReaders, SETTINGS, Setting};
use crate::db::Location;
use crate::event::Event;
use crate::mail::Mailer;
use crate::models::outbox;
use crate::server::{self, Signals};
use crate::tasks;

/// How long closing the database may take.
const CLOSING: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "Examples:
  vestibule serve
  vestibule serve --listen 0.0.0.0:8000 --base-url http://192.168.1.5:8000";

/// The flags that are given, by the names of their settings.
#[derive(Default)]
pub struct Arguments(BTreeMap<String, String>);

impl clap::Args for Arguments {
    /// A flag for every setting that is no secret.
    fn augment_args(command: Command) -> Command {
        let flags = SETTINGS.iter().filter_map(|setting| {
            let Setting { name, value, default, help, .. } = setting;
            let help = format!("{help} [{}; default: {default}]", setting.variable());
            let flag = setting.flag()?.trim_start_matches('-').to_owned();
            Some(Arg::new(name).long(flag).value_name(value).help(help))
        });
        let secrets = SETTINGS.iter().filter(|setting| setting.secret).map(|setting| {
            let Setting { default, help, .. } = setting;
            format!("  {}\n          {help} [default: {default}]\n", setting.variable())
        });
        let secrets: String = secrets.collect();
        let command = command.about("Serve the site (what happens without a command, too)");
        command.args(flags).after_help(format!(
            "Every variable can name a file that holds the value instead: VESTIBULE_…_FILE.\n\nSettings that hold secrets, from the environment or a file alone:\n{secrets}\n{EXAMPLES}"
        ))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Arguments {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let flags = SETTINGS.iter().filter(|setting| !setting.secret).filter_map(|setting| {
            let value = matches.get_one::<String>(setting.name)?;
            Some((setting.name.to_owned(), value.clone()))
        });
        Ok(Self(flags.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

pub async fn run(arguments: Arguments) -> Result<(), CommandError> {
    let mut config = super::load_config(&arguments.0)?;
    super::log::start(config.log);
    let signals = Signals::listen()?;
    let listener = bind(config.listen).await?;
    let address = listener.local_addr()?;
    if config.base_url_is_default {
        config.base_url = BaseUrl::localhost(address.port());
    }
    let mailer = Mailer::from_config(&config)
        .map_err(|why| CommandError::Usage(format!("VESTIBULE_SMTP_URL: {why}")))?;
    let app = App::start(config).await?;
    if let Location::Sqlite(_) = app.config.database {
        // After a crash of the only node, the emails it was sending would wait for their claims to end.
        outbox::release_claims(app.db.writer()).await?;
    }
    drop(tokio::task::spawn_blocking(password::warm));
    let tasks = tasks::spawn_with(&app, mailer);
    announce(&app, address);
    Event::Started { version: env!("CARGO_PKG_VERSION") }.write();
    if app.has_mailbox() && is_open(&app, address) {
        let cause = format!(
            "everybody who can reach {address} can read all mail at /dev/mailbox, codes included: set VESTIBULE_SMTP_URL before real people use this"
        );
        Event::MailboxOpen { cause: &cause }.write();
    }
    server::run(listener, &app, tasks, signals).await;
    // What still runs after the grace is cut off; what it had acknowledged is on disk.
    drop(tokio::time::timeout(CLOSING, app.db.close()).await);
    Ok(())
}

async fn bind(address: SocketAddr) -> Result<TcpListener, CommandError> {
    TcpListener::bind(address).await.map_err(|error| {
        let what = match error.kind() {
            ErrorKind::AddrInUse => {
                "the port is taken: stop the other program, or choose another with --listen"
            }
            ErrorKind::PermissionDenied => {
                "the port is not for this user: choose one above 1023 with --listen"
            }
            ErrorKind::AddrNotAvailable => {
                "this machine does not have the address: choose another with --listen"
            }
            _ => &error.to_string(),
        };
        CommandError::Failed(format!("VESTIBULE_LISTEN={address}: {what}"))
    })
}

/// For people and for scripts that wait for the last line; logs go to stderr.
fn announce(app: &App, address: SocketAddr) {
    let base_url = &app.config.base_url;
    let data = match &app.config.database {
        Location::Sqlite(path) => {
            std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string()
        }
        Location::Postgres(_) => "PostgreSQL (VESTIBULE_DATABASE_URL)".to_owned(),
    };
    let mail = if app.config.smtp.is_some() {
        "goes out by VESTIBULE_SMTP_URL".to_owned()
    } else if is_loopback(address) || is_open(app, address) {
        format!("stays here, read it at {base_url}/dev/mailbox")
    } else {
        let port = address.port();
        format!(
            "stays here, read it on this machine at http://localhost:{port}/dev/mailbox\n        (VESTIBULE_DEV_MAILBOX=anyone shows it, and every code, to other machines too)"
        )
    };
    let version = env!("CARGO_PKG_VERSION");
    // A closed pipe is no reason not to serve.
    let _ = writeln!(
        std::io::stdout().lock(),
        "vestibule {version} serves {base_url}\n  data  {data}\n  mail  {mail}\nlistening on http://{address}"
    );
}

fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Whether other machines may read the mailbox, which shows every code.
fn is_open(app: &App, address: SocketAddr) -> bool {
    app.config.dev_mailbox == MailboxReaders::Anyone && !is_loopback(address)
}
