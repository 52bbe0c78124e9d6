//! `vestibule serve`: the start of the site.

use std::io::Write;
use std::time::Duration;

use super::{CommandError, VERSION};
use crate::accounts::password;
use crate::app::App;
use crate::client_address::{UNKNOWN_PEER, is_trusted};
use crate::config::{BaseUrl, Config, Listen, MailboxReaders};
use crate::db::Location;
use crate::event::Event;
use crate::mail::Mailer;
use crate::models::outbox;
use crate::server::listener::{Listener, explain};
use crate::server::{self, Signals, service_manager};
use crate::tasks;

/// How long closing the database may take.
const CLOSING: Duration = Duration::from_secs(1);

pub async fn run(mut config: Config, accepts_new_key: bool) -> Result<(), CommandError> {
    super::log::start(config.log);
    let signals = Signals::listen()?;
    let (listener, metrics) = listen(&config).await?;
    let address = listener.address()?;
    if config.base_url_is_default
        && let Listen::Tcp(address) = address
    {
        config.base_url = BaseUrl::localhost(address.port());
    }
    let mailer = Mailer::from_config(&config)
        .map_err(|why| CommandError::Usage(format!("VESTIBULE_SMTP_URL: {why}")))?;
    let builder = App::builder(config);
    let builder = if accepts_new_key { builder.accept_new_key() } else { builder };
    let app = builder.build().await?;
    if let Location::Sqlite(_) = app.config.database {
        // After a crash of the only node, the emails it was sending would wait for their claims to end.
        outbox::release_claims(app.db.writer()).await?;
    }
    drop(tokio::task::spawn_blocking(password::warm_up));
    let tasks = tasks::spawn_with(&app, mailer);
    let metrics_address = metrics.as_ref().map(Listener::address).transpose()?;
    announce(&app, &address, metrics_address.as_ref());
    service_manager::tell_ready();
    server::run((listener, metrics), &app, tasks, signals).await;
    // What still runs after the grace is cut off; what it had acknowledged is on disk.
    drop(tokio::time::timeout(CLOSING, app.db.close()).await);
    Ok(())
}

/// Where visitors connect, and where Prometheus does.
async fn listen(config: &Config) -> Result<(Listener, Option<Listener>), CommandError> {
    let inherited = Listener::inherited().map_err(|error| {
        CommandError::Failed(format!("the socket from the service manager: {error}"))
    })?;
    let site = match inherited {
        Some(listener) => listener,
        None => bind("LISTEN", &config.listen()).await?,
    };
    let metrics = match &config.metrics_listen {
        Some(listen) => Some(bind("METRICS_LISTEN", listen).await?),
        None => None,
    };
    Ok((site, metrics))
}

async fn bind(setting: &str, listen: &Listen) -> Result<Listener, CommandError> {
    let bound = Listener::bind(listen).await;
    bound.map_err(|error| CommandError::Failed(explain(&error, setting, listen)))
}

/// For people, and for scripts that wait for the last line; the log goes to stderr.
fn announce(app: &App, address: &Listen, metrics: Option<&Listen>) {
    let base_url = &app.config.base_url;
    let data = match &app.config.database {
        Location::Sqlite(path) => {
            std::path::absolute(path).unwrap_or_else(|_| path.clone()).display().to_string()
        }
        _ => "PostgreSQL (VESTIBULE_DATABASE_URL)".to_owned(),
    };
    let mail = where_mail_is(app, address);
    let metrics = metrics.map(|address| format!("\n  metrics  {}/metrics", shown(address)));
    let metrics = metrics.unwrap_or_default();
    // A closed pipe is no reason not to serve.
    let _ = writeln!(
        std::io::stdout().lock(),
        "vestibule {VERSION} serves {base_url}\n  data  {data}\n  mail  {mail}{metrics}\nlistening on {}",
        shown(address)
    );
    Event::Started { version: VERSION }.write();
    warn(app, address);
}

/// A URL, where there is one.
fn shown(address: &Listen) -> String {
    match address {
        Listen::Tcp(address) => format!("http://{address}"),
        Listen::Unix(_) => address.to_string(),
    }
}

fn where_mail_is(app: &App, address: &Listen) -> String {
    let base_url = &app.config.base_url;
    if app.config.smtp.is_some() {
        "goes out by VESTIBULE_SMTP_URL".to_owned()
    } else if let Listen::Tcp(address) = address
        && !address.ip().to_canonical().is_loopback()
        && app.config.dev_mailbox == MailboxReaders::Loopback
    {
        let (port, path) = (address.port(), base_url.path());
        format!(
            "stays here, read it on this machine at http://localhost:{port}{path}/dev/mailbox\n        (VESTIBULE_DEV_MAILBOX=anyone shows it, and every code, to other machines too)"
        )
    } else {
        format!("stays here, read it at {base_url}/dev/mailbox")
    }
}

/// Logs what is allowed and probably not meant.
fn warn(app: &App, address: &Listen) {
    let is_for_anyone = app.config.dev_mailbox == MailboxReaders::Anyone;
    if app.has_mailbox() && is_for_anyone && !address.is_local() {
        let cause = format!(
            "anybody who can reach {address} can read all emails at {}/dev/mailbox, codes included: set VESTIBULE_SMTP_URL before real people use this",
            app.config.base_url.path()
        );
        Event::MailboxOpen { cause: &cause }.write();
    }
    let is_unix = matches!(address, Listen::Unix(_));
    if is_unix && !is_trusted(UNKNOWN_PEER, &app.config.trusted_proxies) {
        let cause = "VESTIBULE_TRUSTED_PROXIES does not contain unix: all visitors of the Unix socket count as one address, and share its limits";
        Event::WeakSetting { cause }.write();
    }
}
