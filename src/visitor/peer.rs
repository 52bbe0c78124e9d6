//! The peer of a connection: its address, and whether it may read the development mailbox.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap, HeaderValue};

use crate::app::App;
use crate::client_address::{UNKNOWN_PEER, client_address, is_local, is_trusted};
use crate::config::{Config, MailboxReaders};

/// The address of the client: the peer's own, or the one that a trusted proxy forwarded.
pub fn address(extensions: &Extensions, headers: &HeaderMap, config: &Config) -> IpAddr {
    let forwarded = headers.get_all("x-forwarded-for").iter().map(HeaderValue::as_bytes);
    client_address(direct(extensions), forwarded, &config.trusted_proxies)
}

/// Headers of requests that a proxy forwards.
const FORWARDING: [&str; 6] =
    ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "forwarded", "via"];

/// Whether the client may read the development mailbox, if there is one. A request without an address came
/// by a Unix socket, or was made in this process, by a test or by a program that mounts the router.
pub fn reads_mailbox(extensions: &Extensions, headers: &HeaderMap, app: &App) -> bool {
    if !app.has_mailbox() || app.config.dev_mailbox == MailboxReaders::Anyone {
        return app.has_mailbox();
    }
    let mut lines = headers.get_all(FORWARDING[0]).iter().map(HeaderValue::as_bytes).peekable();
    let is_forwarded = FORWARDING.iter().any(|name| headers.contains_key(*name));
    (lines.peek().is_some() || !is_forwarded)
        && is_local(direct(extensions), lines, &app.config.trusted_proxies)
}

/// Whether the connection comes from a trusted proxy.
pub fn is_from_proxy(extensions: &Extensions, config: &Config) -> bool {
    is_trusted(direct(extensions).to_canonical(), &config.trusted_proxies)
}

fn direct(extensions: &Extensions) -> IpAddr {
    let connected = extensions.get::<ConnectInfo<SocketAddr>>();
    connected.map_or(UNKNOWN_PEER, |info| info.0.ip())
}
