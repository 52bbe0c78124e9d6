//! `vestibule check`: tries everything that the settings name, changes nothing, and says what to mend.

mod base_url;
mod clock;
mod database;
mod hashing;
mod key;
mod listen;
pub mod network;
mod proxies;
mod sender_domain;
mod site;
mod smtp;

use std::fmt;

use serde::Serialize;
use url::Url;

use crate::config::Config;
use crate::db::Db;
use crate::times;

/// What one check found.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub name: &'static str,
    pub status: Status,
    /// What was found, and what to do unless it is fine.
    message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    Ok,
    Warning,
    Failed,
}

impl Finding {
    fn ok(name: &'static str, message: impl Into<String>) -> Self {
        Self::new(name, Status::Ok, message.into())
    }

    fn warning(name: &'static str, message: impl Into<String>) -> Self {
        Self::new(name, Status::Warning, message.into())
    }

    fn failed(name: &'static str, message: impl Into<String>) -> Self {
        Self::new(name, Status::Failed, message.into())
    }

    /// A message can contain the words of another server, which must not control the terminal.
    fn new(name: &'static str, status: Status, message: String) -> Self {
        Self { name, status, message: message.replace(char::is_control, " ") }
    }
}

/// One line.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = match self.status {
            Status::Ok => "ok",
            Status::Warning => "warning",
            Status::Failed => "failed",
        };
        write!(f, "{status:<8} {}: {}", self.name, self.message)
    }
}

/// A warning, if the certificate of `host` expires soon.
fn certificate(name: &'static str, host: &str, expiry: Option<i64>) -> Option<Finding> {
    let day = times::day(expiry?);
    let message = format!("the certificate of {host} expires on {day}: renew it there before");
    Some(Finding::warning(name, message))
}

/// Tries what `config` names, and the site at `url` through its proxy.
pub async fn run(config: &Config, url: Option<&Url>) -> Vec<Finding> {
    let (mut findings, db) = database::check(&config.database).await;
    let (key_finding, key) = key::check(config, db.as_ref()).await;
    findings.push(key_finding);
    findings.extend(listen::check(config).await);
    findings.extend(base_url::check(config).await);
    findings.push(proxies::check(config));
    findings.extend(smtp::check(config).await);
    findings.extend(sender_domain::check(config).await);
    let mut date = None;
    if let Some(url) = url {
        let site = site::check(config, url, key.as_ref()).await;
        findings.extend(site.findings);
        date = site.date;
    }
    findings.push(clock::check(db.as_ref(), date).await);
    findings.push(hashing::check(&config.hash).await);
    if let Some(db) = db {
        Db::close(&db).await;
    }
    findings
}
