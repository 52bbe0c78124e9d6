//! `vestibule serve`: the start of the site.

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;

use super::{CommandError, VERSION};
use crate::accounts::password;
use crate::app::App;
use crate::config::{BaseUrl, Config, MailboxReaders};
use crate::db::Location;
use crate::event::Event;
use crate::mail::Mailer;
use crate::models::outbox;
use crate::server::{self, Signals};
use crate::tasks;

/// How long closing the database may take.
const CLOSING: Duration = Duration::from_secs(1);

pub async fn run(mut config: Config) -> Result<(), CommandError> {
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
    drop(tokio::task::spawn_blocking(password::warm_up));
    let tasks = tasks::spawn_with(&app, mailer);
    announce(&app, address);
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

/// For people, and for scripts that wait for the last line; the log goes to stderr.
fn announce(app: &App, address: SocketAddr) {
    let base_url = &app.config.base_url;
    let data = match &app.config.database {
        Location::Sqlite(path) => {
            std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string()
        }
        _ => "PostgreSQL (VESTIBULE_DATABASE_URL)".to_owned(),
    };
    let is_loopback = address.ip().to_canonical().is_loopback();
    let is_for_anyone = app.config.dev_mailbox == MailboxReaders::Anyone;
    let mail = if app.config.smtp.is_some() {
        "goes out by VESTIBULE_SMTP_URL".to_owned()
    } else if is_loopback || is_for_anyone {
        format!("stays here, read it at {base_url}/dev/mailbox")
    } else {
        let (port, path) = (address.port(), base_url.path());
        format!(
            "stays here, read it on this machine at http://localhost:{port}{path}/dev/mailbox\n        (VESTIBULE_DEV_MAILBOX=anyone shows it, and every code, to other machines too)"
        )
    };
    // A closed pipe is no reason not to serve.
    let _ = writeln!(
        std::io::stdout().lock(),
        "vestibule {VERSION} serves {base_url}\n  data  {data}\n  mail  {mail}\nlistening on http://{address}"
    );
    Event::Started { version: VERSION }.write();
    if app.has_mailbox() && is_for_anyone && !is_loopback {
        let cause = format!(
            "anybody who can reach {address} can read all emails at {}/dev/mailbox, codes included: set VESTIBULE_SMTP_URL before real people use this",
            base_url.path()
        );
        Event::MailboxOpen { cause: &cause }.write();
    }
}
