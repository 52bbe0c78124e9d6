//! A router that forwards requests over a socket, so that a [`Browser`] can visit a running program.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{Response, StatusCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Browser;

/// The header in which nginx names the node that answered.
const NODE: &str = "x-node";

/// A program or load balancer at an address. Clones share the list of nodes.
#[derive(Clone)]
pub struct Front {
    address: SocketAddr,
    /// The value of `X-Forwarded-For`.
    visitor: Option<&'static str>,
    nodes: Arc<Mutex<Vec<String>>>,
}

impl Front {
    pub fn at(address: SocketAddr) -> Self {
        Self { address, visitor: None, nodes: Arc::default() }
    }

    /// The same, for a visitor with this address.
    pub fn of(&self, visitor: &'static str) -> Self {
        Self { visitor: Some(visitor), ..self.clone() }
    }

    /// Sends each request on a new connection. Without a response it answers 502, as a proxy does.
    pub fn router(&self) -> Router {
        let front = self.clone();
        Router::new().fallback(async move |request: Request| {
            let answer = front.exchange(request).await;
            answer.unwrap_or_else(|| {
                let mut none = Response::new(Body::empty());
                *none.status_mut() = StatusCode::BAD_GATEWAY;
                none
            })
        })
    }

    pub fn browser(&self) -> Browser {
        Browser::new(self.router())
    }

    /// The nodes that have answered since the last call, in order.
    pub fn nodes(&self) -> Vec<String> {
        std::mem::take(&mut *self.nodes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn exchange(&self, request: Request) -> Option<Response<Body>> {
        let (head, body) = request.into_parts();
        let body = to_bytes(body, 1 << 20).await.unwrap();
        let mut lines = vec![
            format!("{} {} HTTP/1.1", head.method, head.uri),
            "Host: localhost:8000".to_owned(),
            "Connection: close".to_owned(),
            format!("Content-Length: {}", body.len()),
        ];
        lines.extend(self.visitor.map(|visitor| format!("X-Forwarded-For: {visitor}")));
        for (name, value) in &head.headers {
            lines.push(format!("{name}: {}", value.to_str().unwrap()));
        }
        let text = lines.join("\r\n") + "\r\n\r\n";
        let mut stream = TcpStream::connect(self.address).await.ok()?;
        stream.write_all(&[text.as_bytes(), &body].concat()).await.ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        let answer = parse(&answer)?;
        if let Some(node) = answer.headers().get(NODE) {
            let node = node.to_str().unwrap().to_owned();
            self.nodes.lock().unwrap_or_else(PoisonError::into_inner).push(node);
        }
        Some(answer)
    }
}

/// A complete response.
fn parse(bytes: &[u8]) -> Option<Response<Body>> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).unwrap();
    let (status, lines) = head.split_once("\r\n")?;
    let mut answer = Response::builder().status(status.split(' ').nth(1)?);
    for (name, value) in lines.split("\r\n").filter_map(|line| line.split_once(": ")) {
        assert!(!name.eq_ignore_ascii_case("transfer-encoding"), "{head}");
        answer = answer.header(name, value);
    }
    let body = bytes[end + 4..].to_vec();
    let answer = answer.body(Body::from(body.clone())).unwrap();
    let length = answer.headers().get("content-length")?.to_str().unwrap();
    (length.parse() == Ok(body.len())).then_some(answer)
}
