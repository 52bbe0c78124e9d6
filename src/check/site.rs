//! The site as visitors reach it: what its proxy passes on, redirects and promises.

use std::net::{IpAddr, SocketAddr};

use url::Url;

use super::network::{self, Answer};
use super::{Finding, certificate};
use crate::clock::Clock;
use crate::config::Config;
use crate::key::ServerKey;
use crate::times::parse_http_date;
use crate::visitor::arrival::{self, Arrival};

const NAME: &str = "site";

/// An address that nobody has (RFC 5737), and a user.
const FORGED_ADDRESS: &str = "192.0.2.123";
const FORGED_USER: &str = "vestibule-check-forged";

const NOT_BELIEVED: &str = "the forged X-Forwarded-For was not believed";

/// What was found at a URL.
pub struct Site {
    pub findings: Vec<Finding>,
    /// The time that it answered with.
    pub date: Option<i64>,
}

/// Asks the site at `url` as a visitor does who forges what only the proxy may say.
pub async fn check(config: &Config, url: &Url, key: Option<&ServerKey>) -> Site {
    let mut findings = Vec::new();
    let question = key.map(|key| arrival::question(key, Clock::System.now()));
    let mut forged = vec![("X-Forwarded-For", FORGED_ADDRESS), ("Remote-User", FORGED_USER)];
    forged.extend(question.as_deref().map(|question| (arrival::HEADER, question)));
    let (answer, local) = match network::get(&page(config, url, "/readyz"), &forged).await {
        Ok(answered) => answered,
        Err(why) => return Site { findings: vec![Finding::failed(NAME, why)], date: None },
    };
    findings.push(same_url(config, url));
    let host = url.host_str().unwrap_or_default();
    findings.extend(certificate("certificate", host, answer.certificate_expiry));
    let arrival = match (key, &question, answer.first(arrival::HEADER)) {
        (Some(key), Some(question), Some(text)) => arrival::read_answer(key, question, text),
        _ => None,
    };
    match arrival {
        Some(arrival) => {
            findings.push(client_address(&arrival, local));
            findings.extend(remote_user(&arrival, local));
        }
        None => findings.push(nothing_known(&answer, key.is_some())),
    }
    if url.scheme() == "https" {
        findings.push(hsts(config, &answer));
        findings.push(from_http(config, url).await);
    }
    let date = answer.first("date").and_then(parse_http_date);
    Site { findings, date }
}

/// The URL of a page; one without a path is under the base URL's.
fn page(config: &Config, url: &Url, path: &str) -> Url {
    let mut page = url.clone();
    let base = match url.path().trim_end_matches('/') {
        "" => config.base_url.path(),
        base => base,
    };
    page.set_path(&format!("{base}{path}"));
    page
}

fn same_url(config: &Config, url: &Url) -> Finding {
    let (base, origin) = (&config.base_url, url.origin().ascii_serialization());
    if origin == base.origin() {
        return Finding::ok(NAME, format!("{origin} answers"));
    }
    Finding::warning(
        NAME,
        format!(
            "{origin} answers, and VESTIBULE_BASE_URL is {base}: forms that are sent from another address than that are refused with 403"
        ),
    )
}

fn nothing_known(answer: &Answer, has_key: bool) -> Finding {
    const NAME: &str = "client address";
    let status = answer.status;
    Finding::warning(NAME, match status {
        200 | 503 if has_key => "not known: the server does not have the key of this command, or the clocks differ. Run this where the server runs, with its settings".to_owned(),
        200 | 503 => "not known: without a key nothing is asked. Run this where the server runs, with its settings".to_owned(),
        _ => format!("not known: /readyz is answered {status}. Let the proxy pass it on, also to be able to watch the site"),
    })
}

/// The client address that the server sees for this command, which connected from `local`.
fn client_address(arrival: &Arrival, local: SocketAddr) -> Finding {
    const NAME: &str = "client address";
    let (client, own) = (arrival.client, local.ip().to_canonical());
    let hops = arrival.hops();
    let is_forged = client.to_string() == FORGED_ADDRESS;
    if arrival.is_from(local) && is_forged {
        return Finding::warning(
            NAME,
            format!(
                "not known: no proxy is in between, and {own} is in VESTIBULE_TRUSTED_PROXIES itself. Give --url the URL that people see"
            ),
        );
    }
    if arrival.is_from(local) {
        let message = format!("{own}, without a proxy in between; {NOT_BELIEVED}");
        return Finding::ok(NAME, message);
    }
    let proxy = arrival.peer.map(|peer| peer.ip().to_canonical().to_string());
    let proxy = proxy.unwrap_or_else(|| "unix".to_owned());
    if let Some(why) = why_shared(arrival, &hops, &proxy) {
        return Finding::failed(NAME, format!("all visitors count as {client}: {why}"));
    }
    // The proxy added it, also where this machine is a trusted proxy itself.
    let is_added = client == own || hops.last().and_then(|hop| hop.parse().ok()) == Some(own);
    if !is_added && is_forged {
        let why = why_forged(&hops, &proxy);
        return Finding::failed(NAME, format!("a visitor can choose it: {why}"));
    }
    if !is_added && is_private(client) {
        return Finding::warning(
            NAME,
            format!(
                "{client}, and this machine has {own}: if {client} is another proxy, add it to VESTIBULE_TRUSTED_PROXIES"
            ),
        );
    }
    let client = if is_added { own } else { client };
    Finding::ok(NAME, format!("{client}; {NOT_BELIEVED}"))
}

/// Why the proxy's address is taken for everybody's.
fn why_shared(arrival: &Arrival, hops: &[&str], proxy: &str) -> Option<String> {
    if !arrival.is_peer_trusted {
        return Some(format!("the proxy {proxy} is not in VESTIBULE_TRUSTED_PROXIES. Add it"));
    }
    hops.is_empty().then(|| {
        format!("the proxy {proxy} sends no X-Forwarded-For. Let it, as docs/operating.md does")
    })
}

/// Why the forged address was believed.
fn why_forged(hops: &[&str], proxy: &str) -> String {
    if hops == [FORGED_ADDRESS] {
        return format!(
            "the proxy {proxy} passes X-Forwarded-For on as it was sent. Let the proxy set it to the visitor's address, as docs/operating.md does"
        );
    }
    "VESTIBULE_TRUSTED_PROXIES contains more than the proxies. Name only their own addresses"
        .to_owned()
}

/// Behind NAT or another proxy.
fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unique_local() || ip.is_loopback() || ip.is_unicast_link_local(),
    }
}

/// Nothing without a proxy, which could remove it.
fn remote_user(arrival: &Arrival, local: SocketAddr) -> Option<Finding> {
    const NAME: &str = "Remote-User";
    if arrival.is_from(local) {
        return None;
    }
    if arrival.remote_user.iter().any(|user| user.contains(FORGED_USER)) {
        return Some(Finding::warning(
            NAME,
            "a forged one arrives here. Vestibule does not read it, but an application behind the same proxy would believe it: let the proxy remove it, as docs/operating.md does",
        ));
    }
    Some(Finding::ok(NAME, "the proxy removes a forged one"))
}

fn hsts(config: &Config, answer: &Answer) -> Finding {
    const NAME: &str = "HSTS";
    match (answer.all("strict-transport-security").as_slice(), config.hsts()) {
        ([], None) => Finding::warning(
            NAME,
            "none: a browser can be led to http. Begin VESTIBULE_BASE_URL with https://, remove VESTIBULE_HSTS=off, or let the proxy add the header",
        ),
        ([], Some(_)) => Finding::failed(
            NAME,
            "Strict-Transport-Security does not arrive: the proxy removes it, or what answers is not this site",
        ),
        ([one], _) => Finding::ok(NAME, *one),
        ([one, ..], _) => Finding::warning(
            NAME,
            format!(
                "there are several, and browsers read the first ({one}): let the proxy add none, or set VESTIBULE_HSTS=off"
            ),
        ),
    }
}

/// Whether http leads to https.
async fn from_http(config: &Config, url: &Url) -> Finding {
    const NAME: &str = "HTTP to HTTPS";
    let mut plain = page(config, url, "/login");
    if url.port().is_some() || plain.set_scheme("http").is_err() {
        return Finding::warning(
            NAME,
            "not asked: the URL has a port, and which one http has is not known",
        );
    }
    let answer = match network::get(&plain, &[]).await {
        Ok((answer, _)) => answer,
        Err(why) => {
            return Finding::warning(
                NAME,
                format!(
                    "{why}. People who type the name without https:// may find nothing: let port 80 redirect"
                ),
            );
        }
    };
    let target = answer.first("location").unwrap_or_default();
    let own = format!("https://{}", url.host_str().unwrap_or_default());
    match answer.status {
        300..400 if target.starts_with(&own) => {
            Finding::ok(NAME, format!("{plain} leads to https"))
        }
        300..400 => {
            Finding::warning(NAME, format!("{plain} leads to {target}: let it lead to {own}"))
        }
        200..300 => Finding::failed(
            NAME,
            format!("{plain} is answered without encryption: let the proxy redirect it to {own}"),
        ),
        status => Finding::warning(
            NAME,
            format!("{plain} is answered {status}: let the proxy redirect it to {own}"),
        ),
    }
}
