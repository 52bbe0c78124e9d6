//! The URL that people see: whether it is https, and whether its host has an address.

use super::{Finding, network};
use crate::config::Config;

const NAME: &str = "base URL";

pub async fn check(config: &Config) -> Vec<Finding> {
    let url = &config.base_url;
    if url.is_local() {
        let message = format!(
            "{url} is for this machine alone: set VESTIBULE_BASE_URL to the URL that people see"
        );
        return vec![Finding::warning(NAME, message)];
    }
    let scheme = if url.is_https() {
        Finding::ok(NAME, format!("{url}"))
    } else {
        Finding::warning(
            NAME,
            format!(
                "{url} is not encrypted: passwords can be read on the way. Put a proxy with TLS in front, and set VESTIBULE_BASE_URL to https://…"
            ),
        )
    };
    let unknown = network::resolve(url.host()).await.err().map(|why| {
        let message = format!("{why}: add it to the DNS, or correct VESTIBULE_BASE_URL");
        Finding::warning("host", message)
    });
    [Some(scheme), unknown].into_iter().flatten().collect()
}
