//! One connection: its requests, its time and memory limits, and its end when the program stops.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
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
use tokio::sync::watch;
use tokio::time::{Instant, timeout};
use tower::ServiceExt;

use super::listener::Client;
use super::socket::Socket;

/// What a connection may buffer of a request's head: memory is bounded by connections times this.
const MAX_HEAD: usize = 32 * 1024;

/// How long a new connection may take to send its first request once the program stops: hyper closes
/// one from which it has read nothing, and no proxy sends a form a second time.
const FIRST_REQUEST_TIMEOUT: Duration = Duration::from_millis(100);

/// How much longer the rest of a request's head may take then. hyper would wait for
/// [`Timeouts::head`].
const HEAD_GRACE: Duration = Duration::from_millis(400);

/// How long a client may take. The time for a whole request is the router's.
#[derive(Clone, Copy)]
pub struct Timeouts {
    /// Until a request's head is there, on a new connection and on one that is kept: axum's own
    /// `serve` would keep a silent one for ever.
    pub head: Duration,
    /// Until a response has been read.
    pub write: Duration,
    /// Until the client hangs up after the last response.
    pub linger: Duration,
    /// Until a response closes the connection, so that waiting ones get their turn.
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

/// Answers requests until the client, a timeout or the end of the program closes the connection.
pub async fn serve(
    router: Router,
    (stream, peer): Client,
    timeouts: Timeouts,
    mut stopping: watch::Receiver<bool>,
) {
    let ends = Instant::now() + timeouts.life;
    let (is_answering, is_unread) = (Arc::new(AtomicBool::new(false)), Arc::default());
    let socket = Socket::new(stream, timeouts.write, timeouts.linger, Arc::clone(&is_unread));
    let service = service_fn(|request| {
        is_answering.store(true, Ordering::Relaxed);
        let response = respond(router.clone(), request, peer, ends);
        let is_answering = Arc::clone(&is_answering);
        async move { response.await.inspect(|_| is_answering.store(false, Ordering::Relaxed)) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(timeouts.head)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(socket), service);
    let mut connection = pin!(connection);
    // An error means that the client disconnected or sent invalid data: there is nothing to do or to log.
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = stopping.wait_for(|is_stopping| *is_stopping) => {}
    }
    if timeout(FIRST_REQUEST_TIMEOUT, connection.as_mut()).await.is_ok() {
        return;
    }
    connection.as_mut().graceful_shutdown();
    let has_ended = timeout(HEAD_GRACE, connection.as_mut()).await.is_ok();
    // A complete request is answered; a connection without one is closed.
    let has_request = is_answering.load(Ordering::Relaxed) || is_unread.load(Ordering::Relaxed);
    if !has_ended && has_request {
        let _ = connection.await;
    }
}

async fn respond(
    router: Router,
    request: Request<Incoming>,
    peer: Option<SocketAddr>,
    ends: Instant,
) -> Result<Response<Body>, Infallible> {
    let mut request = request.map(Body::new);
    if let Some(peer) = peer {
        request.extensions_mut().insert(ConnectInfo(peer));
    }
    // A request of HTTP/1.1 without a host must be refused (RFC 9112, 3.2). The router refuses an empty
    // host and allows none, as in requests of tests and of programs that mount it.
    if request.version() > hyper::Version::HTTP_10 && !request.headers().contains_key(HOST) {
        request.headers_mut().insert(HOST, HeaderValue::from_static(""));
    }
    let mut response = router.oneshot(request).await?;
    if Instant::now() >= ends {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}
