//! One connection: its time and memory limits, and whether a request is in flight.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::{CONNECTION, HOST};
use axum::http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tower::ServiceExt;

use super::socket::Socket;

/// What a connection may buffer of a request's head: memory is bounded by connections times this.
const LARGEST_HEAD: usize = 32 * 1024;

/// How long a client may take. The time for a whole request is the router's.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Until a request's head is there, on a new connection as on one that is kept: axum's own
    /// `serve` would keep a silent one for ever.
    pub head: Duration,
    /// Until an answer has been read.
    pub write: Duration,
    /// Until the client hangs up after the last answer.
    pub linger: Duration,
    /// Afterwards the next answer closes the connection, so that those that wait get their turn.
    pub life: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            write: Duration::from_secs(20),
            linger: Duration::from_secs(1),
            life: Duration::from_secs(30),
        }
    }
}

/// Whether a request is in flight on a connection.
#[derive(Clone, Debug, Default)]
pub struct InFlight(Arc<Flags>);

#[derive(Debug, Default)]
struct Flags {
    /// The head has come, and the answer is being made.
    has_head: AtomicBool,
    /// The client may have a part of the answer left to read.
    is_unread: AtomicBool,
}

impl InFlight {
    /// Whether there is no request, or one whose head is not complete.
    pub fn is_idle(&self) -> bool {
        !self.0.has_head.load(Ordering::Relaxed) && !self.0.is_unread.load(Ordering::Relaxed)
    }

    /// Records whether the client may have a part of the answer left to read.
    pub fn set_unread(&self, is: bool) {
        self.0.is_unread.store(is, Ordering::Relaxed);
    }

    fn set_head(&self, is: bool) {
        self.0.has_head.store(is, Ordering::Relaxed);
    }
}

/// Answers requests until the client, a timeout or the end of the program closes the connection.
pub async fn serve(
    router: Router,
    (stream, peer): (TcpStream, SocketAddr),
    timeouts: Timeouts,
    in_flight: InFlight,
    watcher: Watcher,
) {
    // Pages are small and written at once: waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let ends = Instant::now() + timeouts.life;
    let socket = TokioIo::new(Socket::new(stream, &timeouts, in_flight.clone()));
    let service = service_fn(move |request| {
        in_flight.set_head(true);
        answer(router.clone(), prepare(request, peer), ends, in_flight.clone())
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(timeouts.head)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(socket, service);
    // The client went away or sent nonsense: nothing to do or to log.
    let _ = watcher.watch(connection).await;
}

async fn answer(
    router: Router,
    request: Request<Body>,
    ends: Instant,
    in_flight: InFlight,
) -> Result<Response<Body>, Infallible> {
    let mut response = router.oneshot(request).await?;
    if Instant::now() >= ends {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    in_flight.set_head(false);
    Ok(response)
}

fn prepare(request: Request<Incoming>, peer: SocketAddr) -> Request<Body> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    // HTTP/1.1 without a host must be refused (RFC 9112, 3.2), as an empty one is by the router,
    // which tests and other servers may call without.
    if request.version() > hyper::Version::HTTP_10 && !request.headers().contains_key(HOST) {
        request.headers_mut().insert(HOST, HeaderValue::from_static(""));
    }
    request
}
