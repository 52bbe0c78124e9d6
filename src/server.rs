//! The server: accepts connections until it is told to stop, then drains them.

mod connection;
pub mod descriptors;
mod limiter;
mod socket;
#[cfg(test)]
mod tests;

use std::time::Duration;

use axum::Router;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

use crate::app::App;
use crate::event::Event;
use crate::tasks::Tasks;
use connection::{InFlight, Timeouts};
use limiter::{Client, ConnectionLimiter};

/// How long requests and mails may finish after SIGTERM: ten seconds with what follows (contract).
const GRACE: Duration = Duration::from_secs(9);

/// How long a new connection may take to send its first request once the program stops: hyper closes
/// one from which it has read nothing, and no proxy sends a form a second time.
const FIRST_REQUEST: Duration = Duration::from_millis(100);

/// How much longer the rest of a request's head may take then.
const HEAD_GRACE: Duration = Duration::from_millis(400);

/// The length of the kernel's accept queue: what tokio asks for.
const BACKLOG: usize = 1024;

/// After a failed accept: out of file descriptors does not pass at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves the site until a signal, then lets requests and tasks finish for a while.
pub async fn run(listener: TcpListener, app: &App, tasks: Tasks, mut signals: Signals) {
    let limiter = ConnectionLimiter::new(app.config.max_connections);
    let mut server = Server::new(crate::routes::router(app.clone()), limiter, Timeouts::default());
    server.serve_until(&listener, signals.stop()).await;
    server.accept_backlog(listener);
    Event::Stopping.write();
    let reason = tokio::select! {
        ((), ()) = async { tokio::join!(server.drain(), tasks.finish()) } => "finished",
        () = tokio::time::sleep(GRACE) => "out_of_time",
        () = signals.stop() => "told_twice",
    };
    Event::Stopped { reason }.write();
}

/// All connections. Those still open are closed when it is dropped.
struct Server {
    router: Router,
    limiter: ConnectionLimiter,
    timeouts: Timeouts,
    graceful: GracefulShutdown,
    connections: JoinSet<()>,
}

impl Server {
    fn new(router: Router, limiter: ConnectionLimiter, timeouts: Timeouts) -> Self {
        let (graceful, connections) = (GracefulShutdown::new(), JoinSet::new());
        Self { router, limiter, timeouts, graceful, connections }
    }

    async fn serve_until(&mut self, listener: &TcpListener, stop: impl Future<Output = ()>) {
        tokio::pin!(stop);
        loop {
            let client = tokio::select! {
                accepted = accept(listener) => {
                    accepted.and_then(|client| self.limiter.accept(client))
                }
                Some(ended) = self.connections.join_next_with_id() => {
                    self.limiter.remove(ended.map_or_else(|error| error.id(), |(id, ())| id))
                }
                () = &mut stop => return,
            };
            if let Some(client) = client {
                self.serve(client);
            }
        }
    }

    fn serve(&mut self, client: Client) {
        let in_flight = InFlight::default();
        let served = connection::serve(
            self.router.clone(),
            client,
            self.timeouts,
            in_flight.clone(),
            self.graceful.watcher(),
        );
        self.limiter.add(self.connections.spawn(served), in_flight);
    }

    /// Serves the clients that the kernel has already connected: closing the listener would reset
    /// them.
    fn accept_backlog(&mut self, listener: TcpListener) {
        let Ok(listener) = listener.into_std() else { return };
        for (stream, peer) in (0..BACKLOG).map_while(|_| listener.accept().ok()) {
            let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
            let client = stream.ok().and_then(|stream| self.limiter.accept((stream, peer)));
            if let Some(client) = client {
                self.serve(client);
            }
        }
    }

    /// Answers the requests in flight. hyper would wait 10 seconds for the rest of a request's head:
    /// such connections are closed earlier.
    async fn drain(mut self) {
        if !self.connections.is_empty() {
            tokio::time::sleep(FIRST_REQUEST).await;
        }
        let drained = self.graceful.shutdown();
        tokio::pin!(drained);
        if tokio::time::timeout(HEAD_GRACE, &mut drained).await.is_err() {
            self.limiter.close_idle();
            drained.await;
        }
    }
}

async fn accept(listener: &TcpListener) -> Option<Client> {
    match listener.accept().await {
        Ok(client) => Some(client),
        Err(error) => {
            Event::log_fault("a_connection_was_not_accepted", &error);
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

/// SIGTERM and ctrl-c.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on the signals no longer end the process by themselves.
    pub fn listen() -> std::io::Result<Self> {
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
