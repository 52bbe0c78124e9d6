//! Where the server listens: whether it can, or does already.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use tokio::time::timeout;

use super::Finding;
use super::network::{TIMEOUT, ask_server};
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
    // To bind a Unix socket would create its file.
    if let Listen::Unix(file) = listen {
        let named = format!("VESTIBULE_{setting}={listen}");
        return match why_not_writable(file) {
            _ if serves(listen, path).await => serving(name, listen),
            Some(_) if is_socket(file) => {
                taken(name, &format!("{named}: the socket belongs to another user"))
            }
            Some(why) => Finding::failed(name, format!("{named}: {why}")),
            None => Finding::ok(name, listen.to_string()),
        };
    }
    match Listener::bind(listen).await {
        Ok(_) => Finding::ok(name, format!("{listen} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            if serves(listen, path).await {
                return serving(name, listen);
            }
            taken(name, &explain(&error, setting, listen))
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Finding::warning(name, explain(&error, setting, listen))
        }
        Err(error) => Finding::failed(name, explain(&error, setting, listen)),
    }
}

fn serving(name: &'static str, listen: &Listen) -> Finding {
    Finding::ok(name, format!("the server runs at {listen}"))
}

fn taken(name: &'static str, why: &str) -> Finding {
    let who = "it is another program, or systemd, which may have it for the server";
    Finding::warning(name, format!("{why}. The server does not answer there: {who}"))
}

fn is_socket(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|file| file.file_type().is_socket())
}

/// Whether the program answers there.
async fn serves(listen: &Listen, path: &str) -> bool {
    let answer = timeout(TIMEOUT, ask_server(listen, path)).await;
    matches!(answer, Ok(Ok(answer)) if answer.first("x-request-id").is_some())
}
