//! What arrives here of a request that `vestibule check --url` sends through the proxy.
//!
//! The question carries a digest by the server's key, so a stranger gets no answer. Whoever reads a question
//! on its way can repeat it for a minute, and learns what arrives of a request of their own.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap, HeaderValue};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::peer;
use crate::app::App;
use crate::key::ServerKey;
#[cfg(feature = "cli")]
use crate::random;

/// The header of the question, and of its answer.
pub const HEADER: &str = "x-vestibule-check";

/// How old a question may be, in seconds.
const LIFE: i64 = 60;

/// What the server saw of a request.
#[derive(Debug, Serialize, Deserialize)]
pub struct Arrival {
    /// The visitor, as the limits count.
    pub client: IpAddr,
    /// Who connected; none on a Unix socket.
    pub peer: Option<SocketAddr>,
    pub is_peer_trusted: bool,
    pub forwarded_for: Vec<String>,
    pub remote_user: Vec<String>,
}

impl Arrival {
    fn of(extensions: &Extensions, headers: &HeaderMap, app: &App) -> Self {
        let values = |name: &str| {
            let values = headers.get_all(name).iter();
            values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
        };
        Self {
            client: peer::address(extensions, headers, &app.config),
            peer: extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0),
            is_peer_trusted: peer::is_from_proxy(extensions, &app.config),
            forwarded_for: values("x-forwarded-for"),
            remote_user: values("remote-user"),
        }
    }
}

#[cfg(feature = "cli")]
impl Arrival {
    /// Whether the request came from there without a proxy in between.
    pub fn is_from(&self, client: SocketAddr) -> bool {
        let canonical = |end: SocketAddr| (end.ip().to_canonical(), end.port());
        self.peer.map(canonical) == Some(canonical(client))
    }

    /// The addresses in all lines of `X-Forwarded-For`.
    pub fn hops(&self) -> Vec<&str> {
        self.forwarded_for.iter().flat_map(|line| line.split(',')).map(str::trim).collect()
    }
}

/// A question that the server with this key answers.
#[cfg(feature = "cli")]
pub fn question(key: &ServerKey, now: i64) -> String {
    let (asked, nonce) = (now.to_string(), random::token());
    let digest = digest(key, &asked, &nonce);
    format!("{asked}.{nonce}.{digest}")
}

/// The answer to a question in `headers`, if the site's own key made it, and not long ago.
pub fn answer(extensions: &Extensions, headers: &HeaderMap, app: &App) -> Option<HeaderValue> {
    let question = headers.get(HEADER)?.to_str().ok()?;
    let (asked, rest) = question.split_once('.')?;
    let (nonce, found) = rest.split_once('.')?;
    let is_own = digest(&app.key, asked, nonce).as_bytes().ct_eq(found.as_bytes());
    let age = app.clock.now().checked_sub(asked.parse().ok()?)?;
    if !bool::from(is_own) || age.checked_abs()? > LIFE {
        return None;
    }
    let arrival = serde_json::to_vec(&Arrival::of(extensions, headers, app)).ok()?;
    let arrival = URL_SAFE_NO_PAD.encode(arrival);
    let seal = app.key.digest("check answer", &[question, &arrival]);
    HeaderValue::from_str(&format!("{arrival}.{seal}")).ok()
}

/// What an answer to `question` says, if the server with this key gave it.
#[cfg(feature = "cli")]
pub fn read_answer(key: &ServerKey, question: &str, answer: &str) -> Option<Arrival> {
    let (arrival, seal) = answer.split_once('.')?;
    if key.digest("check answer", &[question, arrival]) != seal {
        return None;
    }
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(arrival).ok()?).ok()
}

fn digest(key: &ServerKey, asked: &str, nonce: &str) -> String {
    key.digest("check question", &[asked, nonce])
}
