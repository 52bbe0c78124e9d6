//! `vestibule serve`: the site itself, until it is told to stop.

mod connection;
mod descriptors;
mod places;
mod socket;
#[cfg(test)]
mod tests;

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use clap::{ArgMatches, Command};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::{Id, JoinError, JoinSet};

use super::CommandError;
use crate::app::App;
use crate::config::{Config, MailboxReaders};
use crate::db::Location;
use crate::event::{Details, Event};
use crate::mail::Mailer;
use crate::models::password;
use crate::tasks::{self, Tasks};
use connection::{AtWork, Bounds};
use places::{Client, Places};

/// How long requests and mails may finish after SIGTERM: ten seconds with what follows (contract).
const GRACE: Duration = Duration::from_secs(9);

/// How long closing the database may take.
const CLOSING: Duration = Duration::from_secs(1);

/// How long a connection that has just come may take to send its first request once the program
/// stops: hyper closes one of which it has read nothing, and no proxy sends a form a second time.
const LAST_MOMENT: Duration = Duration::from_millis(100);

/// How much longer the rest of a request's head may take then: its client has sent a part of it and
/// has not been promised an answer.
const HEAD_GRACE: Duration = Duration::from_millis(400);

/// Connections that the kernel takes before we do: what tokio asks for.
const BACKLOG: usize = 1024;

/// After a failed accept: out of file descriptors does not pass at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

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
///
/// # Errors
/// When the settings are wrong, the port is taken, or the database cannot be used.
pub async fn run(matches: &ArgMatches) -> Result<(), CommandError> {
    let mut config = super::settings(matches)?;
    super::log::start(config.log);
    config.access.max_connections = descriptors::fit(config.access.max_connections);
    let signals = Signals::listen().map_err(CommandError::failed)?;
    let listener = bind(config.listen).await?;
    let address = listener.local_addr().map_err(CommandError::failed)?;
    if config.base_url_is_default {
        config.base_url = config.base_url.with_port(address.port());
    }
    let mailer = tasks::mailer(&config)
        .map_err(|why| CommandError::Usage(format!("VESTIBULE_SMTP_URL: {why}")))?;
    let app = App::start(config).await.map_err(CommandError::failed)?;
    let tasks = start_tasks(&app, mailer).await?;
    announce(&app.config, address);
    Event::Started
        .write(Details { version: Some(env!("CARGO_PKG_VERSION")), ..Details::default() });
    warn_of_open_mailbox(&app, address);
    accept_until(listener, &app, tasks, signals).await;
    // What still runs after the grace is cut off; what it had acknowledged is on disk.
    drop(tokio::time::timeout(CLOSING, app.store.db.close()).await);
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
        tasks::take_over(app).await.map_err(CommandError::failed)?;
    }
    // The first visitor should not wait for tables that can be built meanwhile.
    let assets = Arc::clone(&app.assets);
    let warming = std::thread::Builder::new().name("warm".to_owned()).spawn(move || {
        assets.warm();
        password::warm();
    });
    drop(warming);
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
    // Nobody has to read it: a closed pipe is no reason not to serve.
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
    config.access.dev_mailbox == MailboxReaders::Anyone && !is_loopback(address)
}

/// The mailbox shows every code: whoever reaches it can take over any account.
fn warn_of_open_mailbox(app: &App, address: SocketAddr) {
    if app.has_mailbox() && is_shown_beyond(&app.config, address) {
        let cause = format!(
            "everybody who can reach {address} can read all mail at /dev/mailbox, codes included: \
             set VESTIBULE_SMTP_URL before real people use this"
        );
        Event::MailboxOpen.write(Details { cause: Some(&cause), ..Details::default() });
    }
}

async fn accept_until(listener: TcpListener, app: &App, tasks: Tasks, mut signals: Signals) {
    let places = Places::new(app.config.access.max_connections, app.config.trusted_proxies.clone());
    let mut clients = Clients::new(crate::routes::router(app.clone()), places, Bounds::default());
    clients.serve_until(&listener, signals.stop()).await;
    clients.serve_last(listener);
    Event::Stopping.write(Details::default());
    let reason = tokio::select! {
        ((), ()) = async { tokio::join!(clients.finish(), tasks.finish()) } => "finished",
        () = tokio::time::sleep(GRACE) => "out_of_time",
        () = signals.stop() => "told_twice",
    };
    Event::Stopped.write(Details { reason: Some(reason), ..Details::default() });
}

/// Every connection there is. Those under way are cut off when it is dropped.
struct Clients {
    router: Router,
    places: Places,
    bounds: Bounds,
    graceful: GracefulShutdown,
    running: JoinSet<()>,
}

impl Clients {
    fn new(router: Router, places: Places, bounds: Bounds) -> Self {
        let (graceful, running) = (GracefulShutdown::new(), JoinSet::new());
        Self { router, places, bounds, graceful, running }
    }

    async fn serve_until(&mut self, listener: &TcpListener, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            let client = tokio::select! {
                accepted = accept(listener) => {
                    accepted.and_then(|client| self.places.arrive(client))
                }
                Some(ended) = self.running.join_next_with_id() => self.places.leave(id_of(ended)),
                () = &mut stop => return,
            };
            if let Some(client) = client {
                self.serve(client);
            }
        }
    }

    fn serve(&mut self, client: Client) {
        let (peer, at_work) = (client.1, AtWork::default());
        let (router, watcher) = (self.router.clone(), self.graceful.watcher());
        let served = connection::serve(router, client, self.bounds, at_work.clone(), watcher);
        self.places.take(peer, at_work, self.running.spawn(served));
    }

    /// Takes whom the kernel has connected already, then no one: closing the socket resets the
    /// others. What fails here is one connection's loss.
    fn serve_last(&mut self, listener: TcpListener) {
        let Ok(listener) = listener.into_std() else { return };
        for (stream, peer) in (0..BACKLOG).map_while(|_| listener.accept().ok()) {
            let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
            let client = stream.ok().and_then(|stream| self.places.arrive((stream, peer)));
            if let Some(client) = client {
                self.serve(client);
            }
        }
    }

    /// Lets the requests under way be answered, and those that come in a moment. A connection whose
    /// request's head is not complete by then is closed: it would hold the program for 10 seconds.
    async fn finish(self) {
        if !self.running.is_empty() {
            tokio::time::sleep(LAST_MOMENT).await;
        }
        let Self { mut places, graceful, running, .. } = self;
        let answered = graceful.shutdown();
        tokio::pin!(answered);
        if tokio::time::timeout(HEAD_GRACE, &mut answered).await.is_err() {
            places.close_without_head();
            answered.await;
        }
        drop(running);
    }
}

fn id_of(ended: Result<(Id, ()), JoinError>) -> Id {
    ended.map_or_else(|error| error.id(), |(id, ())| id)
}

async fn accept(listener: &TcpListener) -> Option<Client> {
    match listener.accept().await {
        Ok(client) => Some(client),
        Err(error) => {
            Event::Fault.because("a_connection_was_not_accepted", &error);
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// SIGTERM and ctrl-c.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
