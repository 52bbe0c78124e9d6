//! The server: accepts connections until a signal, then lets the open ones finish.

mod connection;
mod descriptors;
pub mod listener;
pub mod metrics;
pub mod service_manager;
mod socket;
#[cfg(test)]
mod tests;

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::app::App;
use crate::event::Event;
use crate::tasks::Tasks;
use connection::Timeouts;
use listener::{Client, Listener};

/// How long requests and emails may take to finish after SIGTERM. With what follows, the program exits
/// within the ten seconds that Docker waits before it sends SIGKILL.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(9);

/// The length of the kernel's accept queue: what tokio asks for.
const BACKLOG: usize = 1024;

/// After a failed accept: being out of file descriptors does not pass at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Connections that wait until another one closes.
const MAX_WAITING: usize = 64;

/// File descriptors besides those of open connections: for the waiting ones, and twice what was
/// measured for the database (PostgreSQL: 16), mail and the runtime.
const RESERVED_DESCRIPTORS: usize = MAX_WAITING + 64;

/// The response to a client whose request is not read.
const BUSY_RESPONSE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// Programs that read the metrics at once; there is one.
const MAX_SCRAPES: usize = 16;

/// Serves the site until a signal, then lets requests and tasks finish for a while. `metrics` is where
/// Prometheus reads them, if it does.
pub async fn run(
    (site, metrics): (Listener, Option<Listener>),
    app: &App,
    tasks: Tasks,
    mut signals: Signals,
) {
    let max = descriptors::fit(app.config.max_connections, RESERVED_DESCRIPTORS);
    let mut server = Server::new(crate::routes::site(app), max, Timeouts::default());
    tokio::select! {
        () = server.serve_until(&site, signals.stop()) => {}
        () = serve_metrics(metrics, app) => {}
        () = service_manager::keep_informed(&app.db) => {}
    }
    server.accept_backlog(site);
    Event::Stopping.write();
    service_manager::tell_stopping();
    let reason = tokio::select! {
        ((), ()) = async { tokio::join!(server.drain(), tasks.finish()) } => "finished",
        () = tokio::time::sleep(DRAIN_TIMEOUT) => "out_of_time",
        () = signals.stop() => "told_twice",
    };
    Event::Stopped { reason }.write();
}

/// Does not end.
async fn serve_metrics(listener: Option<Listener>, app: &App) {
    let Some(listener) = listener else { return pending().await };
    let mut server = Server::new(metrics::router(app), MAX_SCRAPES, Timeouts::default());
    server.serve_until(&listener, pending()).await;
}

/// All connections. Those still open are closed when it is dropped.
struct Server {
    router: Router,
    timeouts: Timeouts,
    /// The most connections that are served at once.
    max: usize,
    permits: Arc<Semaphore>,
    /// The connections that are served, and those that wait for a permit.
    connections: JoinSet<()>,
    stopping: watch::Sender<bool>,
}

impl Server {
    fn new(router: Router, max: usize, timeouts: Timeouts) -> Self {
        let (permits, connections) = (Arc::new(Semaphore::new(max)), JoinSet::new());
        Self { router, timeouts, max, permits, connections, stopping: watch::Sender::new(false) }
    }

    async fn serve_until(&mut self, listener: &Listener, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut stop => return,
            };
            match accepted {
                Ok(client) => self.serve(client),
                Err(error) => {
                    Event::log_fault("a_connection_was_not_accepted", &error);
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Serves a client as soon as there is a permit. If too many wait for one, it is rejected.
    fn serve(&mut self, client: Client) {
        while self.connections.try_join_next().is_some() {}
        if self.connections.len() == self.max {
            Event::ConnectionsFull.write();
        }
        if self.connections.len() >= self.max + MAX_WAITING {
            return client.0.reject(BUSY_RESPONSE);
        }
        let permit = Arc::clone(&self.permits).acquire_owned();
        let stopping = self.stopping.subscribe();
        let served = connection::serve(self.router.clone(), client, self.timeouts, stopping);
        self.connections.spawn(async move {
            let _permit = permit.await;
            served.await;
        });
    }

    /// Serves the clients that the kernel has already connected: closing the listener would reset
    /// them.
    fn accept_backlog(&mut self, listener: Listener) {
        for client in listener.close(BACKLOG) {
            self.serve(client);
        }
    }

    /// Waits until the requests in flight are answered.
    async fn drain(mut self) {
        self.stopping.send_replace(true);
        while self.connections.join_next().await.is_some() {}
    }
}

/// SIGTERM and ctrl-c.
pub struct Signals([Signal; 2]);

impl Signals {
    /// From now on the signals no longer end the process by themselves. SIGHUP does nothing: a closed
    /// terminal, and `systemctl reload` or logrotate of other programs' recipes, must not stop the site.
    pub fn listen() -> std::io::Result<Self> {
        drop(signal(SignalKind::hangup())?);
        Ok(Self([signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?]))
    }

    async fn stop(&mut self) {
        let [terminate, interrupt] = &mut self.0;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}
