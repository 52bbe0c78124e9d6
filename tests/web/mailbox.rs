//! The development mailbox, which exists while no mail server is set.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response, StatusCode};
use serde_json::Value;
use tower::ServiceExt;
use vestibule::Config;
use vestibule::config::{BaseUrl, SmtpServer};
use vestibule::mail::Mailer;
use vestibule::mail::worker::Worker;
use vestibule::models::outbox::Email;

use crate::support::program::Folder;
use crate::support::smtp::FakeSmtp;
use crate::support::{Browser, Site, body_of, email_of, form_request};

const ORIGIN: &str = "http://localhost:8000";

/// An id that no mail has.
const UNKNOWN: &str = "00000000000000000000000000";

/// Every page that shows the mail `id`.
fn urls(id: &str) -> [String; 5] {
    let mail = format!("/dev/mailbox/{id}");
    let (html, source) = (format!("{mail}/html"), format!("{mail}/source"));
    ["/dev/mailbox".to_owned(), "/dev/mailbox.json".to_owned(), mail, html, source]
}

/// The mailbox as scripts read it.
async fn json(site: &Site) -> Vec<Value> {
    let answer = site.browser().send(get("/dev/mailbox.json", "localhost:8000")).await;
    serde_json::from_str(&body_of(answer).await).unwrap()
}

fn get(path: &str, host: &str) -> Request<Body> {
    Request::get(path).header("host", host).body(Body::empty()).unwrap()
}

fn header<'a>(browser: &'a Browser, name: &str) -> &'a str {
    browser.headers.get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn the_mailbox_shows_every_email_newest_first_with_its_text() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let (mut ann, code) = site.with_code("ann").await;
    ann.open("/dev/mailbox").await;
    assert_eq!(ann.status, StatusCode::OK);
    let subjects = ["Your password reset code for Vestibule", "Your new account at Vestibule"];
    assert_eq!(ann.all_text("article h2"), subjects);
    let about = "To ann@meadow.example, 22 November 2026, 18:00 UTC";
    assert_eq!(ann.all_text("article > p:first-of-type"), [about, about]);
    assert_eq!(ann.attribute("article time", "datetime").unwrap(), "2026-11-22T18:00:02Z");
    let texts = ann.all_text("pre");
    assert_eq!(texts.len(), 2);
    assert!(texts[0].contains(&code) && !texts[1].contains(&code), "{texts:?}");
    let mails = site.queued().await;
    for (shown, mail) in texts.iter().zip(&mails) {
        let words: Vec<_> = mail.email.text.split_whitespace().collect();
        assert_eq!(*shown, words.join(" "), "the text is complete");
    }
    for mail in mails {
        for form in ["", "/html", "/source"] {
            let link = format!("article a[href='/dev/mailbox/{}{form}']", mail.id);
            assert!(ann.attribute(&link, "href").is_some(), "{link}");
        }
    }
}

#[tokio::test]
async fn the_mailbox_is_a_list_whose_newest_email_is_open() {
    let site = Site::on_sqlite().await;
    for username in ["ann", "bob", "cem"] {
        site.registered(username).await;
    }
    let mut reader = site.browser();
    reader.open("/dev/mailbox").await;
    assert_eq!(reader.all_text("article details pre").len(), 3, "each text is in the page");
    assert_eq!(reader.all_text("article:first-of-type details[open] pre").len(), 1);
    assert_eq!(reader.all_text("details[open]").len(), 1);
}

#[tokio::test]
async fn lines_fill_the_page_and_the_code_is_alone_on_its_line() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let (mut ann, code) = site.with_code("ann").await;
    ann.open("/dev/mailbox").await;
    let (_, text) = ann.html.split_once("<pre>").unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.contains(&code.as_str()), "{lines:?}");
    let long = |line: &&str| line.starts_with("It expires in") && line.ends_with("here:");
    assert!(lines.iter().any(long), "{text}");
    let links = "article:first-of-type pre a";
    let addresses = [format!("{ORIGIN}/reset"), format!("{ORIGIN}/")];
    assert_eq!(ann.all_text(links), addresses);
    assert_eq!(ann.attribute(links, "href").as_ref(), Some(&addresses[0]));
}

/// A username in a mail is the visitor's input.
#[tokio::test]
async fn a_line_is_a_link_when_it_is_an_address_of_this_site_and_nothing_else() {
    let site = Site::on_sqlite().await;
    let lines = [
        "http://localhost:8000/forgot",
        "http://localhost:8000/forgot or not",
        "See http://localhost:8000/forgot",
        "http://localhost:8000.evil.example/",
        "http://evil.example/http://localhost:8000/",
        "javascript:alert(1)",
    ];
    let email = Email {
        kind: "login".to_owned(),
        to: email_of("ann"),
        subject: "Hello".to_owned(),
        text: lines.join("\n\n"),
        html: String::new(),
        expires_at: i64::MAX,
    };
    let app = &site.app;
    let mut tx = app.db.begin().await.unwrap();
    app.outbox.enqueue(&mut tx, &email, None).await.unwrap();
    tx.commit().await.unwrap();
    let mut browser = site.browser();
    browser.open("/dev/mailbox").await;
    assert_eq!(browser.all_attributes("pre a", "href"), [lines[0]]);
    assert!(lines.iter().all(|line| browser.text().contains(line)), "{}", browser.text());
}

#[tokio::test]
async fn the_newest_emails_html_part_is_in_a_sandboxed_frame() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let (mut ann, code) = site.with_code("ann").await;
    let id = site.queued().await.remove(0).id;
    for path in ["/dev/mailbox".to_owned(), format!("/dev/mailbox/{id}")] {
        ann.open(&path).await;
        assert_eq!(ann.all_text("iframe").len(), 1, "{path}");
        assert_eq!(ann.attribute("iframe", "sandbox").as_deref(), Some(""));
        let title = "HTML part of: Your password reset code for Vestibule";
        assert_eq!(ann.attribute("iframe", "title").as_deref(), Some(title));
        let policy = header(&ann, "content-security-policy");
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        assert!(policy.ends_with("frame-ancestors 'none'; frame-src 'self'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(header(&ann, "x-frame-options"), "DENY");
    }
    let frame = ann.attribute("iframe", "src").unwrap();
    assert_eq!(frame, format!("/dev/mailbox/{id}/html"));
    ann.open(&frame).await;
    assert!(ann.html.contains(&code) && ann.html.starts_with("<!DOCTYPE html>"));
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox";
    assert_eq!(header(&ann, "content-security-policy"), policy);
    assert_eq!(header(&ann, "x-frame-options"), "SAMEORIGIN");
    for path in ["/login", "/dev/mailbox/nothing"] {
        ann.open(path).await;
        assert!(!header(&ann, "content-security-policy").contains("frame-src"), "{path}");
    }
}

on_both_databases! {
    async fn each_email_has_a_page_with_its_headers_and_leads_to_the_next(site: Site) {
        for username in ["ann", "bob", "cem"] {
            site.registered(username).await;
        }
        let mut reader = site.browser();
        let ids: Vec<_> = site.queued().await.into_iter().map(|mail| mail.id).collect();
        reader.open("/dev/mailbox").await.click("Your new account at Vestibule").await;
        assert_eq!(reader.path(), format!("/dev/mailbox/{}", ids[0]));
        assert_eq!(reader.all_text("dt"), ["From", "To", "Subject", "Date"]);
        let facts = [
            "Vestibule <no-reply@localhost>",
            "cem@meadow.example",
            "Your new account at Vestibule",
            "22 November 2026, 18:00 UTC",
        ];
        assert_eq!(reader.all_text("dd"), facts);
        assert!(!reader.text().contains("Newer mail"));
        reader.click("Older mail").await;
        assert_eq!(reader.path(), format!("/dev/mailbox/{}", ids[1]));
        reader.click("Older mail").await;
        assert!(reader.text().contains("ann@meadow.example"));
        assert!(!reader.text().contains("Older mail"));
        reader.click("Newer mail").await;
        assert_eq!(reader.path(), format!("/dev/mailbox/{}", ids[1]));
        reader.click("Back to the mailbox").await;
        assert_eq!(reader.path(), "/dev/mailbox");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_source_of_an_email_is_what_a_mail_server_gets() {
    let site = Site::with(|config| config.mail_from.name = "Käse".to_owned()).await;
    site.registered("ann").await;
    let mut reader = site.browser();
    reader.open("/dev/mailbox").await.click("Source").await;
    assert_eq!(header(&reader, "content-type"), "text/plain; charset=utf-8");
    assert_eq!(header(&reader, "content-disposition"), "", "it is shown, not saved");
    let source = reader.html.clone();
    let server = FakeSmtp::start().await;
    let config = &site.app.config;
    let smtp = SmtpServer::parse(&server.url()).unwrap();
    let mailer = Mailer::new(smtp, &config.mail_from, config.base_url.host()).unwrap();
    let app = site.app.clone();
    let mut worker = Worker::new(app.db.clone(), app.outbox.clone(), Arc::new(mailer));
    worker.deliver_due().await.unwrap();
    assert_eq!(server.mails()[0].data, source);
    assert!(source.starts_with("From: =?utf-8?b?S8Okc2U=?= <no-reply@localhost>\r\n"), "{source}");
}

#[tokio::test]
async fn scripts_read_the_mailbox_as_json() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let (_, code) = site.with_code("ann").await;
    let mails = site.queued().await;
    let read = json(&site).await;
    assert_eq!(read.len(), 2);
    let welcome =
        vestibule::mail::emails::code_in("registered", &mails[1].email.text).map(str::to_owned);
    for ((read, mail), at) in read.iter().zip(&mails).zip(["02", "00"]) {
        let code = if mail.email.is_code() { Some(code.clone()) } else { welcome.clone() };
        let expected = serde_json::json!({
            "id": mail.id,
            "at": format!("2026-11-22T18:00:{at}Z"),
            "kind": mail.email.kind,
            "from": "Vestibule <no-reply@localhost>",
            "to": "ann@meadow.example",
            "subject": mail.email.subject,
            "text": mail.email.text,
            "html": mail.email.html,
            "code": code,
        });
        assert_eq!(*read, expected);
    }
    assert_eq!((&read[0]["kind"], &read[1]["kind"]), (&"reset_code".into(), &"registered".into()));
}

#[tokio::test]
async fn a_script_leaves_no_session() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let sessions = site.count("select count(*) from vestibule_sessions").await;
    let mut script = site.browser();
    script.open("/dev/mailbox.json").await;
    assert_eq!(header(&script, "content-type"), "application/json");
    assert_eq!(header(&script, "cache-control"), "no-store");
    let answer = script.post("/dev/mailbox/clear", &[]).await;
    assert!(answer.headers().get("set-cookie").is_none());
    script.open("/dev/mailbox.json").await;
    assert_eq!(script.html, "[]");
    assert_eq!(header(&script, "set-cookie"), "");
    assert_eq!(site.count("select count(*) from vestibule_sessions").await, sessions);
}

#[tokio::test]
async fn an_empty_mailbox_says_what_to_do() {
    let site = Site::on_sqlite().await;
    let mut ann = site.browser();
    ann.open("/dev/mailbox").await;
    assert!(ann.text().contains("The mailbox is empty."), "{}", ann.text());
    assert!(ann.all_text("main button, pre, iframe").is_empty());
    for (words, path) in [
        ("Create an account", "/register"),
        ("Ask for a code", "/forgot"),
        ("Look again", "/dev/mailbox"),
    ] {
        ann.open("/dev/mailbox").await.click(words).await;
        assert_eq!((ann.status, ann.path()), (StatusCode::OK, path));
    }
}

#[tokio::test]
async fn an_unknown_email_is_not_found() {
    let site = Site::on_sqlite().await;
    let mut ann = site.registered("ann").await;
    for id in [UNKNOWN, "nothing", "%00"] {
        for form in ["", "/html", "/source"] {
            ann.open(&format!("/dev/mailbox/{id}{form}")).await;
            assert_eq!(ann.status, StatusCode::NOT_FOUND, "{id}{form}");
            assert_eq!(ann.all_text("h1"), ["Page not found"], "{id}{form}");
        }
    }
    ann.open("/dev/mailbox/%ff").await;
    assert_eq!(ann.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn the_mailbox_can_be_cleared() {
    let site = Site::on_sqlite().await;
    let mut ann = site.registered("ann").await;
    ann.open("/dev/mailbox").await;
    ann.press("Clear").await;
    assert_eq!(ann.path(), "/dev/mailbox");
    assert!(ann.all_text("pre").is_empty());
    assert!(site.mails().await.is_empty());
}

#[tokio::test]
async fn scripts_clear_the_mailbox_with_an_origin_and_other_sites_cannot() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let clear = |name: &str, value: &str| {
        let post = Request::post("/dev/mailbox/clear").header("host", "localhost:8000");
        post.header(name, value).body(Body::empty()).unwrap()
    };
    for (name, value) in [
        ("accept", "*/*"),
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("referer", "http://evil.example/dev/mailbox"),
    ] {
        let answer = site.browser().send(clear(name, value)).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{name}: {value}");
    }
    assert_eq!(site.mails().await.len(), 1);
    let answer = site.browser().send(clear("origin", ORIGIN)).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()["location"], "/dev/mailbox");
    assert!(site.mails().await.is_empty());
}

#[tokio::test]
async fn the_mailbox_is_not_shown_under_another_host_name() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    for url in urls(&site.queued().await[0].id) {
        for (host, status) in [
            ("localhost:8000", StatusCode::OK),
            ("127.0.0.1:8000", StatusCode::OK),
            ("[::1]:8000", StatusCode::OK),
            ("evil.example:8000", StatusCode::NOT_FOUND),
        ] {
            let answer = site.browser().send(get(&url, host)).await;
            assert_eq!(answer.status(), status, "{url} at {host}");
        }
    }
}

#[tokio::test]
async fn with_a_mail_server_or_in_production_the_mailbox_does_not_exist() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let id = site.queued().await.remove(0).id;
    let smtp = || SmtpServer::parse("smtp://127.0.0.1:1").ok();
    let mut with_server = site.changed(|config| config.smtp = smtp()).await;
    let mut production = site
        .changed(|config| {
            config.base_url = BaseUrl::parse("https://accounts.example").unwrap();
        })
        .await;
    for browser in [&mut with_server, &mut production] {
        for url in urls(&id) {
            browser.open(&url).await;
            assert_eq!(browser.status, StatusCode::NOT_FOUND, "{url}");
        }
        let answer = browser.post("/dev/mailbox/clear", &[]).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        browser.open("/login").await;
        assert!(!browser.html.contains("/dev/mailbox"));
    }
    assert_eq!(site.mails().await.len(), 1);
}

/// Sends a request over a connection from `peer`, with these headers.
async fn send_from(
    router: &Router,
    peer: &str,
    mut request: Request<Body>,
    headers: &[(&'static str, &str)],
) -> Response<Body> {
    let peer: SocketAddr = peer.parse().unwrap();
    request.extensions_mut().insert(ConnectInfo(peer));
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    router.clone().oneshot(request).await.unwrap()
}

async fn get_from(
    router: &Router,
    peer: &str,
    path: &str,
    headers: &[(&'static str, &str)],
) -> Response<Body> {
    send_from(router, peer, get(path, "localhost:8000"), headers).await
}

async fn router_with(site: &Site, change: impl FnOnce(&mut Config)) -> Router {
    vestibule::site(&site.app_with(change).await)
}

const HERE: [&str; 4] =
    ["127.0.0.1:5000", "127.8.9.1:5000", "[::1]:5000", "[::ffff:127.0.0.1]:5000"];
const ELSEWHERE: [&str; 4] =
    ["203.0.113.9:5000", "192.168.1.7:5000", "[2001:db8::1]:5000", "[::ffff:203.0.113.9]:5000"];

#[tokio::test]
async fn the_mailbox_is_for_clients_on_this_machine_and_is_not_linked_for_others() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let id = site.queued().await.remove(0).id;
    for (peers, status) in [(HERE, StatusCode::OK), (ELSEWHERE, StatusCode::NOT_FOUND)] {
        for peer in peers {
            for url in urls(&id) {
                let answer = get_from(&site.router, peer, &url, &[]).await;
                assert_eq!(answer.status(), status, "{peer} {url}");
            }
            for path in ["/login", "/register", "/forgot", "/nowhere", "/login?next=/account"] {
                let page = body_of(get_from(&site.router, peer, path, &[]).await).await;
                let leads_there = page.contains("/dev/mailbox");
                assert_eq!(leads_there, status == StatusCode::OK, "{peer} {path}");
            }
        }
    }
    let clear = || form_request("/dev/mailbox/clear", String::new());
    let answer = send_from(&site.router, ELSEWHERE[0], clear(), &[]).await;
    assert_eq!((answer.status(), site.mails().await.len()), (StatusCode::NOT_FOUND, 1));
    let answer = send_from(&site.router, HERE[0], clear(), &[]).await;
    assert_eq!((answer.status(), site.mails().await.len()), (StatusCode::SEE_OTHER, 0));
}

#[tokio::test]
async fn the_page_of_a_pending_code_does_not_link_other_clients_to_the_mailbox() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let (browser, _) = site.with_code("ann").await;
    let cookie = format!("vestibule={}", browser.cookie("vestibule").unwrap());
    for (peer, leads_there) in [(HERE[0], true), (ELSEWHERE[0], false)] {
        let page = get_from(&site.router, peer, "/reset", &[("cookie", &cookie)]).await;
        assert_eq!(body_of(page).await.contains("/dev/mailbox"), leads_there, "{peer}");
    }
}

#[tokio::test]
async fn a_client_behind_a_proxy_is_not_on_this_machine() {
    let site = Site::on_sqlite().await;
    let behind = router_with(&site, |config| {
        config.trusted_proxies =
            ["127.0.0.1/32", "10.0.0.5/32"].map(|net| net.parse().unwrap()).to_vec();
    })
    .await;
    let status = async |router: &Router, peer: &str, headers: &[(&'static str, &str)]| {
        get_from(router, peer, "/dev/mailbox", headers).await.status()
    };
    for (name, value) in [
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-for", "127.0.0.1, 203.0.113.9"),
        ("x-forwarded-for", "203.0.113.9, 127.0.0.1"),
        ("x-forwarded-for", "unknown"),
        ("x-forwarded-for", ""),
        ("x-real-ip", "203.0.113.9"),
        ("forwarded", "for=203.0.113.9"),
        ("x-forwarded-host", "accounts.example"),
        ("x-forwarded-proto", "https"),
        ("via", "1.1 proxy"),
    ] {
        for router in [&site.router, &behind] {
            let seen = status(router, "127.0.0.1:5000", &[(name, value)]).await;
            assert_eq!(seen, StatusCode::NOT_FOUND, "{name}: {value}");
        }
    }
    let here = [("x-forwarded-for", "127.0.0.1"), ("x-forwarded-proto", "http")];
    assert_eq!(status(&behind, "127.0.0.1:5000", &here).await, StatusCode::OK);
    assert_eq!(status(&site.router, "127.0.0.1:5000", &here).await, StatusCode::NOT_FOUND);
    assert_eq!(status(&behind, "10.0.0.5:5000", &here).await, StatusCode::NOT_FOUND);
    assert_eq!(status(&behind, "127.0.0.1:5000", &[]).await, StatusCode::OK);
}

#[tokio::test]
async fn a_setting_shows_the_mailbox_to_anyone() {
    let site = Site::on_sqlite().await;
    let environment = [("VESTIBULE_DEV_MAILBOX".to_owned(), "anyone".to_owned())].into();
    let given = Config::from_sources(&BTreeMap::new(), &environment).unwrap();
    let open = router_with(&site, |config| config.dev_mailbox = given.dev_mailbox).await;
    for peer in ELSEWHERE {
        let forwarded = [("x-forwarded-for", "203.0.113.9")];
        let answer = get_from(&open, peer, "/dev/mailbox", &forwarded).await;
        assert_eq!(answer.status(), StatusCode::OK, "{peer}");
        assert!(body_of(get_from(&open, peer, "/login", &[]).await).await.contains("/dev/mailbox"));
    }
    let rebound = send_from(&open, ELSEWHERE[0], get("/dev/mailbox", "evil.example"), &[]).await;
    assert_eq!(rebound.status(), StatusCode::NOT_FOUND, "the name still has to be ours");
    for wrong in ["", "yes", "loopback "] {
        let environment = [("VESTIBULE_DEV_MAILBOX".to_owned(), wrong.to_owned())].into();
        let words = Config::from_sources(&BTreeMap::new(), &environment).unwrap_err().to_string();
        assert!(words.contains("expected loopback or anyone"), "{words}");
    }
}

#[test]
fn the_start_says_where_the_mailbox_is() {
    let folder = Folder::new();
    let inside = folder.serve(&[]);
    assert!(!inside.output.contains("VESTIBULE_DEV_MAILBOX"), "{}", inside.output);
    let outside = folder.serve(&[
        ("VESTIBULE_LISTEN", "0.0.0.0:0"),
        ("VESTIBULE_BASE_URL", "http://192.168.1.5:8000"),
        ("VESTIBULE_DATABASE_URL", "sqlite:other.db"),
    ]);
    let at = format!(
        "read it on this machine at http://localhost:{}/dev/mailbox",
        outside.address.port()
    );
    assert!(outside.output.contains(&at), "{}", outside.output);
    assert!(outside.output.contains("VESTIBULE_DEV_MAILBOX=anyone"), "{}", outside.output);
    assert_eq!(outside.get("/dev/mailbox", "").status, 200, "from this machine");
}
