//! Where the server listens: whether it can, or does already.

use std::io::ErrorKind;
use std::net::SocketAddr;

use url::Url;

use super::{Finding, network};
use crate::config::{Config, Listen};
use crate::disk::why_not_writable;
use crate::server::listener::{Listener, explain};

pub async fn check(config: &Config) -> Vec<Finding> {
    let path = config.base_url.path_of("/readyz");
    let mut findings = vec![try_out("LISTEN", "listen", &config.listen(), &path).await];
    if let Some(listen) = &config.metrics_listen {
        findings.push(try_out("METRICS_LISTEN", "metrics listen", listen, "/metrics").await);
    }
    findings
}

/// `path` is what the server answers there.
async fn try_out(setting: &str, name: &'static str, listen: &Listen, path: &str) -> Finding {
    let address = match listen {
        Listen::Tcp(address) => address,
        // To bind it would create the file.
        Listen::Unix(path) => {
            return match why_not_writable(path) {
                None => Finding::ok(name, listen.to_string()),
                Some(why) => Finding::failed(name, format!("VESTIBULE_{setting}={listen}: {why}")),
            };
        }
    };
    match Listener::bind(listen).await {
        Ok(_) => Finding::ok(name, format!("{listen} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            if serves(*address, path).await {
                return Finding::ok(name, format!("the server runs at {listen}"));
            }
            let why = explain(&error, setting, listen);
            let who = "it is another program, or systemd, which may have it for the server";
            Finding::warning(name, format!("{why}. The server does not answer there: {who}"))
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Finding::warning(name, explain(&error, setting, listen))
        }
        Err(error) => Finding::failed(name, explain(&error, setting, listen)),
    }
}

/// Whether the program answers there.
async fn serves(address: SocketAddr, path: &str) -> bool {
    let url = Url::parse(&format!("http://{address}{path}"));
    let Ok(url) = url else { return false };
    let answer = network::get(&url, &[]).await;
    answer.is_ok_and(|(answer, _)| answer.first("x-request-id").is_some())
}
