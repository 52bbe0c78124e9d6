//! One connection: what it may take of time and memory, and whether it waits for its client.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::ConnectInfo;
use axum::http::header::{CONNECTION, HOST};
use axum::http::{HeaderValue, Request, Response};
use hyper::body::{Frame, Incoming, SizeHint};
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
pub struct Bounds {
    /// Until a request's head is there, on a new connection as on one that is kept: axum's own
    /// `serve` would keep a silent one for ever.
    pub head: Duration,
    /// Until an answer has been read.
    pub write: Duration,
    /// Until the client hangs up after the last answer.
    pub linger: Duration,
    /// After it, the next answer ends the connection: a place goes round, however busy its owner.
    pub life: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            write: Duration::from_secs(20),
            linger: Duration::from_secs(1),
            life: Duration::from_secs(30),
        }
    }
}

/// How far a connection is with a request.
#[derive(Clone, Debug, Default)]
pub struct AtWork(Arc<Steps>);

#[derive(Debug, Default)]
struct Steps {
    /// The head has come, and the answer is being made.
    has_head: AtomicBool,
    /// The body has come, too.
    has_body: AtomicBool,
    /// The client may have a part of the answer left to read.
    is_unread: AtomicBool,
}

impl AtWork {
    /// Whether all of a request has come and its answer is being made. Else the client is waited for.
    pub fn get(&self) -> bool {
        self.0.has_body.load(Ordering::Relaxed)
    }

    /// Whether no request is under way, or none whose head is complete.
    pub fn awaits_head(&self) -> bool {
        !self.0.has_head.load(Ordering::Relaxed) && !self.0.is_unread.load(Ordering::Relaxed)
    }

    /// Notes whether the client may have a part of the answer left to read.
    pub fn set_unread(&self, is: bool) {
        self.0.is_unread.store(is, Ordering::Relaxed);
    }

    fn begin(&self, has_body: bool) {
        self.0.has_head.store(true, Ordering::Relaxed);
        self.0.has_body.store(has_body, Ordering::Relaxed);
    }

    fn end(&self) {
        self.0.has_head.store(false, Ordering::Relaxed);
        self.0.has_body.store(false, Ordering::Relaxed);
    }
}

/// Answers requests until the client, a bound or the end of the program ends it.
pub async fn serve(
    router: Router,
    (stream, peer): (TcpStream, SocketAddr),
    bounds: Bounds,
    at_work: AtWork,
    watcher: Watcher,
) {
    // Pages are small and written at once: waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    let (ends, reader) = (Instant::now() + bounds.life, at_work.clone());
    let service = service_fn(move |request| {
        answer(router.clone(), prepared(request, peer, &at_work), ends, at_work.clone())
    });
    let socket = TokioIo::new(Socket::new(stream, &bounds, reader));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head)
        .max_buf_size(LARGEST_HEAD)
        .serve_connection(socket, service);
    // A peer that went away or sent nonsense is its own affair.
    let _ = watcher.watch(connection).await;
}

async fn answer(
    router: Router,
    request: Request<Body>,
    ends: Instant,
    at_work: AtWork,
) -> Result<Response<Body>, Infallible> {
    let mut response = router.oneshot(request).await?;
    if Instant::now() >= ends {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    at_work.end();
    Ok(response)
}

fn prepared(request: Request<Incoming>, peer: SocketAddr, at_work: &AtWork) -> Request<Body> {
    at_work.begin(request.body().is_end_stream());
    let at_work = at_work.clone();
    let mut request = request.map(|body| Body::new(Arriving { body, at_work }));
    request.extensions_mut().insert(ConnectInfo(peer));
    // HTTP/1.1 without a host must be refused (RFC 9112, 3.2), as an empty one is by the router,
    // which tests and other servers may call without.
    if request.version() > hyper::Version::HTTP_10 && !request.headers().contains_key(HOST) {
        request.headers_mut().insert(HOST, HeaderValue::from_static(""));
    }
    request
}

/// A request's body, which tells when all of it is there.
struct Arriving {
    body: Incoming,
    at_work: AtWork,
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.at_work.0.has_body.store(true, Ordering::Relaxed);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
