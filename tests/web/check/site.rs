//! `vestibule check --url`: what arrives through nginx and Caddy, with right and wrong configurations.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Child;

use super::{assert_line, check, day_in};
use crate::support::hosts::Authority;
use crate::support::program::{Ended, Folder, Program};
use crate::support::proxies::{CADDY, NGINX, documented, is_there, start_caddy, start_nginx};
use crate::support::until;

const HOST: &str = "accounts.example.org";
const TRUSTED: (&str, &str) = ("VESTIBULE_TRUSTED_PROXIES", "127.0.0.1");
const ADDED: &str = "$proxy_add_x_forwarded_for";

/// A site and its proxy, at the usual ports of an address of its own.
struct Site {
    folder: Folder,
    program: Program,
    proxy: Option<Child>,
    ip: Ipv4Addr,
    /// How long its certificate is valid.
    days: i64,
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(mut proxy) = self.proxy.take() {
            let _ = proxy.kill();
            let _ = proxy.wait();
        }
    }
}

impl Site {
    /// None where this user cannot listen on port 443.
    fn start(settings: &[(&str, &str)]) -> Option<Self> {
        let [a, b] = vestibule::random::bytes::<2>();
        let ip = Ipv4Addr::new(127, 77, a, b.clamp(1, 254));
        if TcpListener::bind((ip, 443)).and(TcpListener::bind((ip, 80))).is_err() {
            eprintln!("this user cannot listen on port 443: not tested");
            return None;
        }
        let folder = Folder::new();
        let base_url = format!("https://{ip}");
        let own =
            [("VESTIBULE_BASE_URL", &*base_url), ("VESTIBULE_SMTP_URL", "smtp://127.0.0.1:1")];
        let settings = [&own[..], settings].concat();
        let program = tokio::task::block_in_place(|| folder.serve_with_log(&settings));
        Some(Self { folder, program, proxy: None, ip, days: 90 })
    }

    async fn behind(mut self, start: impl FnOnce(&Self) -> Child) -> Self {
        let authority = Authority::new();
        authority.write(&self.folder.0, &self.ip.to_string(), self.days);
        std::fs::write(self.folder.0.join("ca.pem"), authority.pem()).unwrap();
        self.proxy = Some(start(&self));
        until(async || tokio::net::TcpStream::connect((self.ip, 443)).await.is_ok()).await;
        self
    }

    /// Behind nginx as it is documented, with `from` replaced by `to`.
    async fn behind_nginx(self, from: &str, to: &str) -> Self {
        self.behind(|site| {
            let text = documented("nginx", "server_name accounts.example.org");
            assert!(text.contains(from), "{text}");
            let text = text
                .replace(from, to)
                .replace(HOST, &site.ip.to_string())
                .replace("127.0.0.1:8000", &site.program.address.to_string())
                .replace("listen 80;", &format!("listen {}:80;", site.ip));
            start_nginx(&site.folder.0, &text, SocketAddr::new(site.ip.into(), 443))
        })
        .await
    }

    fn check(&self, settings: &[(&str, &str)]) -> Ended {
        let url = format!("https://{}", self.ip);
        let ca = self.folder.0.join("ca.pem").display().to_string();
        let own = [("VESTIBULE_BASE_URL", &*url), ("SSL_CERT_FILE", &ca)];
        let smtp = [("VESTIBULE_SMTP_URL", "smtp://127.0.0.1:1")];
        check(&self.folder, &["--url", &url], &[&own[..], &smtp, settings].concat())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_nginx_is_right() {
    let Some(site) = is_there(NGINX).then(|| Site::start(&[TRUSTED])).flatten() else { return };
    let site = site.behind_nginx("", "").await;
    let ended = site.check(&[TRUSTED]);
    assert_line(&ended, "ok", "site", &["answers"]);
    assert!(!ended.out.contains("certificate"), "{}", ended.out);
    assert_line(&ended, "ok", "client address", &["was not believed"]);
    assert_line(&ended, "ok", "Remote-User", &["removes"]);
    assert_line(&ended, "ok", "HSTS", &["max-age=63072000"]);
    assert_line(&ended, "ok", "HTTP to HTTPS", &["leads to https"]);
    assert_line(&ended, "ok", "clock", &["UTC"]);
    let replaced = Site::start(&[TRUSTED]).unwrap().behind_nginx(ADDED, "$remote_addr").await;
    assert_line(&replaced.check(&[TRUSTED]), "ok", "client address", &["was not believed"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_expires_soon_or_has_expired_is_told_with_the_day() {
    for (days, status, name, words) in
        [(13, "warning", "certificate", "expires on"), (-1, "failed", "site", "expired on")]
    {
        let site = is_there(NGINX).then(|| Site::start(&[TRUSTED])).flatten();
        let Some(mut site) = site else { return };
        site.days = days;
        let site = site.behind_nginx("", "").await;
        let ended = site.check(&[TRUSTED]);
        assert_line(&ended, status, name, &[words, &day_in(days)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_nginx_that_lets_visitors_choose_their_address_is_told() {
    let Some(site) = is_there(NGINX).then(|| Site::start(&[TRUSTED])).flatten() else { return };
    let site = site.behind_nginx(ADDED, "$http_x_forwarded_for").await;
    let words = ["a visitor can choose it", "passes X-Forwarded-For on"];
    assert_line(&site.check(&[TRUSTED]), "failed", "client address", &words);
    let everybody = ("VESTIBULE_TRUSTED_PROXIES", "0.0.0.0/0");
    let words = ["0.0.0.0/0 is everybody"];
    assert_line(&site.check(&[everybody]), "failed", "trusted proxies", &words);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_nginx_that_hides_the_visitors_is_told() {
    let Some(site) = is_there(NGINX).then(|| Site::start(&[TRUSTED])).flatten() else { return };
    let site = site.behind_nginx(ADDED, "\"\"").await;
    let words = ["all visitors count as 127.0.0.1", "sends no X-Forwarded-For"];
    assert_line(&site.check(&[TRUSTED]), "failed", "client address", &words);
    let untrusted = Site::start(&[]).unwrap().behind_nginx("", "").await;
    let ended = untrusted.check(&[]);
    let words = ["all visitors count as 127.0.0.1", "not in VESTIBULE_TRUSTED_PROXIES"];
    assert_line(&ended, "failed", "client address", &words);
    assert_line(&ended, "warning", "trusted proxies", &["none"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_nginx_without_redirect_hsts_or_removal_is_told() {
    let Some(site) = is_there(NGINX).then(|| Site::start(&[TRUSTED])).flatten() else { return };
    let site = site.behind_nginx("        proxy_set_header Remote-User \"\";\n", "").await;
    let words = ["a forged one arrives", "let the proxy remove it"];
    assert_line(&site.check(&[TRUSTED]), "warning", "Remote-User", &words);
    let plain = Site::start(&[TRUSTED]).unwrap();
    let to = "return 200 \"the site\";";
    let plain =
        plain.behind_nginx("return 301 https://accounts.example.org$request_uri;", to).await;
    let words = ["without encryption", "redirect"];
    assert_line(&plain.check(&[TRUSTED]), "failed", "HTTP to HTTPS", &words);
    let from = "    location / {";
    let doubled = format!("{from} add_header Strict-Transport-Security max-age=1;");
    let site = Site::start(&[TRUSTED]).unwrap().behind_nginx(from, &doubled).await;
    assert_line(&site.check(&[TRUSTED]), "warning", "HSTS", &["there are several"]);
    let hidden = format!("{from} proxy_hide_header Strict-Transport-Security;");
    let site = Site::start(&[TRUSTED]).unwrap().behind_nginx(from, &hidden).await;
    assert_line(&site.check(&[TRUSTED]), "failed", "HSTS", &["does not arrive"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_caddy_is_right() {
    let Some(site) = is_there(CADDY).then(|| Site::start(&[TRUSTED])).flatten() else { return };
    let site = site
        .behind(|site| {
            let (ip, folder) = (site.ip, site.folder.0.display());
            let text = documented("caddyfile", "accounts.example.org {")
                .replace(
                    "accounts.example.org {",
                    &format!(
                        "https://{ip} {{\n bind {ip}\n tls {folder}/{ip}.pem {folder}/{ip}.key"
                    ),
                )
                .replace("127.0.0.1:8000", &site.program.address.to_string());
            start_caddy(&site.folder.0, &text, SocketAddr::new(ip.into(), 443))
        })
        .await;
    let ended = site.check(&[TRUSTED]);
    assert_line(&ended, "ok", "client address", &["was not believed"]);
    assert_line(&ended, "ok", "Remote-User", &["removes"]);
    assert_line(&ended, "ok", "HSTS", &["max-age"]);
    assert_line(&ended, "warning", "HTTP to HTTPS", &["port 80"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_proxy_the_forged_address_is_not_believed() {
    let folder = Folder::new();
    let program = tokio::task::block_in_place(|| folder.serve(&[]));
    let url = format!("http://{}", program.address);
    let ended = check(&folder, &["--url", &url], &[("VESTIBULE_BASE_URL", &url)]);
    assert_line(&ended, "ok", "client address", &["127.0.0.1, without a proxy"]);
    assert_line(&ended, "ok", "site", &[&url]);
    let trusting = tokio::task::block_in_place(|| folder.serve(&[TRUSTED]));
    let direct = check(&folder, &["--url", &format!("http://{}", trusting.address)], &[]);
    assert_line(&direct, "warning", "client address", &["no proxy is in between"]);
    let other = check(&folder, &["--url", &url], &[("VESTIBULE_BASE_URL", "http://a.example")]);
    assert_line(&other, "warning", "site", &["VESTIBULE_BASE_URL is http://a.example"]);
}

/// A stranger has no key, and learns nothing.
#[tokio::test(flavor = "multi_thread")]
async fn without_the_servers_key_nothing_is_told() {
    let folder = Folder::new();
    let program = tokio::task::block_in_place(|| folder.serve(&[]));
    let url = format!("http://{}", program.address);
    let other = ("VESTIBULE_SECRET", "YSBrZXkgZm9yIHRlc3RzLCAzMiBieXRlcyBvZiBpdP8=");
    let ended = check(&folder, &["--url", &url], &[other]);
    assert_line(&ended, "warning", "client address", &["does not have the key"]);
    let ended = check(&Folder::new(), &["--url", &url], &[]);
    assert_line(&ended, "warning", "client address", &["without a key"]);
    for question in ["", "1.x.y", "9999999999999999999.x.y", "x", "é.x.y"] {
        let head = format!(
            "GET /readyz HTTP/1.1\r\nHost: {0}\r\nX-Vestibule-Check: {question}\r\nConnection: close\r\n\r\n",
            program.address
        );
        let mut stream = program.connect();
        std::io::Write::write_all(&mut stream, head.as_bytes()).unwrap();
        let answer = crate::support::program::Answer::read(stream);
        assert!(!answer.head.to_lowercase().contains("x-vestibule-check"), "{}", answer.head);
        assert_eq!((answer.status, answer.body.as_str()), (200, "ok"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_that_cannot_be_asked_is_told_with_its_cause() {
    let ended = |url: &str| check(&Folder::new(), &["--url", url], &[]);
    assert_line(&ended("http://127.0.0.1:1"), "failed", "site", &["cannot be reached"]);
    assert_line(&ended("https://nowhere.invalid"), "failed", "site", &["cannot be reached"]);
    let folder = Folder::new();
    let program = tokio::task::block_in_place(|| folder.serve(&[]));
    let tls = ended(&format!("https://{}", program.address));
    assert_line(&tls, "failed", "site", &["does not speak TLS"]);
    let Some(site) = is_there(NGINX).then(|| Site::start(&[TRUSTED])).flatten() else { return };
    let site = site.behind_nginx("", "").await;
    let unknown = check(&site.folder, &["--url", &format!("https://{}", site.ip)], &[]);
    assert_line(&unknown, "failed", "site", &["not trusted", "SSL_CERT_FILE"]);
}
