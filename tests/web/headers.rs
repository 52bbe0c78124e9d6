//! Headers and cookies of answers of every status, on http and on https.

use axum::body::Body;
use axum::http::{HeaderMap, Request, Response, header};
use vestibule::config::{BaseUrl, Rate};

use crate::support::{Browser, OTHER_PASSWORD, PASSWORD, Site, body_of, email_of};

const HTTP: &str = "http://localhost:8000";
const HTTPS: &str = "https://accounts.example";
const TWO_YEARS: &str = "max-age=63072000";

/// The answers of a tour of the whole site and of its refusals.
struct Tour {
    site: Site,
    browser: Browser,
    origin: &'static str,
    answers: Vec<(String, Response<Body>)>,
}

impl Tour {
    async fn at(origin: &'static str) -> Self {
        let site = Site::with(|config| {
            config.base_url = BaseUrl::parse(origin).unwrap();
            config.base_url_is_default = false;
            config.limits.login_account = Some(Rate { count: 2, period: 3600 });
        })
        .await;
        let browser = site.browser();
        Self { site, browser, origin, answers: Vec::new() }
    }

    async fn send(&mut self, what: String, request: Request<Body>) {
        self.site.wait(1);
        let answer = self.browser.send(request).await;
        self.browser.keep_cookies(answer.headers());
        self.answers.push((what, answer));
    }

    async fn get(&mut self, path: &str) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        self.send(format!("GET {path}"), request).await;
    }

    async fn head(&mut self, path: &str) {
        let request = Request::head(path).body(Body::empty()).unwrap();
        self.send(format!("HEAD {path}"), request).await;
    }

    async fn post(&mut self, path: &str, body: &str) {
        self.post_as("application/x-www-form-urlencoded", path, body).await;
    }

    async fn post_as(&mut self, kind: &str, path: &str, body: &str) {
        let request =
            Request::post(path).header("origin", self.origin).header("content-type", kind);
        let request = request.body(Body::from(body.to_owned())).unwrap();
        self.send(format!("POST {path}"), request).await;
    }

    async fn fill(&mut self, path: &str, fields: &[(&str, &str)]) {
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        self.post(path, &body.extend_pairs(fields).finish()).await;
    }

    async fn whole(mut self) -> Self {
        for path in ["/", "/login", "/register", "/forgot", "/reset", "/account", "/nowhere"] {
            self.get(path).await;
        }
        let (ann, passwords) = ([("username", "ann"), ("email", &*email_of("ann"))], |password| {
            [("password", password), ("password_confirm", password)]
        });
        self.fill("/register", &[ann, passwords(PASSWORD)].concat()).await;
        for path in ["/account", "/account/password", "/logout", "/reset/resend", "/nowhere"] {
            self.get(path).await;
        }
        self.fill("/account/password", &[("current_password", "wrong")]).await;
        let current = [("current_password", PASSWORD)];
        self.fill("/account/password", &[&current[..], &passwords(OTHER_PASSWORD)].concat()).await;
        self.post("/logout", "").await;
        self.get("/login").await;
        self.fill("/login", &[("username", "ann"), ("password", "wrong")]).await;
        self.fill("/forgot", &ann).await;
        self.get("/reset").await;
        self.post("/reset/resend", "").await;
        self.get("/reset").await;
        let code = self.site.newest_code().await;
        self.fill("/reset", &[&[("code", &*code)][..], &passwords(PASSWORD)].concat()).await;
        self.get("/login").await;
        let login = [("username", "ann"), ("password", PASSWORD), ("remember", "on")];
        self.fill("/login", &login).await;
        self.mistakes().await;
        self
    }

    async fn mistakes(&mut self) {
        self.post("/login", "username=a&username=b").await;
        self.post("/login", &"a".repeat(64 * 1024 + 1)).await;
        self.post_as("application/json", "/login", "{}").await;
        for _ in 0..3 {
            self.fill("/login", &[("username", "eve"), ("password", "wrong")]).await;
        }
        for path in ["/login", "/nowhere"] {
            self.head(path).await;
        }
        self.get("/login?next=/a&next=/b").await;
        self.get("/_vestibule/nothing.css").await;
        self.get("/.well-known/change-password").await;
        self.get("/%ff").await;
        self.get("/healthz").await;
        let forged = Request::post("/login").header("origin", "https://evil.example");
        self.send("forged".to_owned(), forged.body(Body::empty()).unwrap()).await;
        let put = Request::put("/login").header("origin", self.origin).body(Body::empty());
        self.send("PUT".to_owned(), put.unwrap()).await;
        self.site.wait(40 * 24 * 60 * 60);
        self.fill("/account/password", &[("current_password", PASSWORD)]).await;
        self.get("/login").await;
        self.site.db().close().await;
        self.browser.set_cookie("vestibule", "AAAAAAAAAAAAAAAAAAAAAA");
        self.browser.set_cookie("__Host-vestibule", "AAAAAAAAAAAAAAAAAAAAAA");
        self.get("/account").await;
        self.get("/readyz").await;
    }
}

fn value<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    let mut all = headers.get_all(name).iter();
    let value = all.next().map_or("", |value| value.to_str().unwrap());
    assert!(all.next().is_none(), "{name} twice");
    value
}

fn cookies(answer: &Response<Body>) -> impl Iterator<Item = &str> {
    answer.headers().get_all(header::SET_COOKIE).iter().map(|line| line.to_str().unwrap())
}

/// Asserts the headers that every answer has and that none has; `transport` is for https alone.
fn assert_guarded(what: &str, headers: &HeaderMap, transport: &str) {
    for (name, expected) in [
        ("strict-transport-security", transport),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("x-frame-options", "DENY"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ] {
        assert_eq!(value(headers, name), expected, "{what} {name}");
    }
    let policy = value(headers, "content-security-policy");
    assert!(policy.starts_with("default-src 'none'; "), "{what}: {policy}");
    assert!(policy.contains("frame-ancestors 'none'"), "{what}: {policy}");
    for name in ["server", "x-powered-by", "via", "etag", "last-modified"] {
        assert!(!headers.contains_key(name), "{what} {name}");
    }
    let cors = headers.keys().find(|name| name.as_str().starts_with("access-control-"));
    assert_eq!(cors, None, "{what}");
}

#[tokio::test]
async fn every_answer_of_every_status_has_the_security_headers_and_no_store() {
    for (origin, transport) in [(HTTP, ""), (HTTPS, TWO_YEARS)] {
        let tour = Tour::at(origin).await.whole().await;
        let mut statuses: Vec<_> = tour.answers.iter().map(|(_, a)| a.status().as_u16()).collect();
        statuses.sort_unstable();
        statuses.dedup();
        let every = [200, 303, 400, 403, 404, 405, 413, 415, 422, 429, 503];
        assert_eq!(statuses, every, "{origin}");
        for (what, answer) in tour.answers {
            let headers = answer.headers();
            assert_guarded(&what, headers, transport);
            assert_eq!(value(headers, "cache-control"), "no-store", "{what}");
            let kind = match (answer.status().as_u16(), &*what) {
                (303, _) => "",
                (_, "GET /healthz" | "GET /readyz") => "text/plain; charset=utf-8",
                _ => "text/html; charset=utf-8",
            };
            assert_eq!(value(headers, "content-type"), kind, "{what}");
            let page = body_of(answer).await;
            assert!(!page.contains(env!("CARGO_PKG_VERSION")), "{what} tells the version");
        }
    }
}

#[tokio::test]
async fn static_files_have_the_security_headers_and_may_be_cached() {
    let mut tour = Tour::at(HTTPS).await;
    tour.browser.open("/login").await;
    let href = |css: &str, name: &str| tour.browser.attribute(css, name).unwrap();
    let files = [
        (href("link[rel=stylesheet]", "href"), "text/css; charset=utf-8"),
        (href("script", "src"), "text/javascript; charset=utf-8"),
        (href("link[rel=icon]", "href"), "image/svg+xml; charset=utf-8"),
        ("/favicon.ico".to_owned(), "image/svg+xml; charset=utf-8"),
    ];
    for (path, kind) in files {
        tour.get(&path).await;
        tour.head(&path).await;
        for (what, answer) in tour.answers.drain(..) {
            let headers = answer.headers();
            assert_eq!(
                (answer.status().as_u16(), value(headers, "content-type")),
                (200, kind),
                "{what}"
            );
            assert_guarded(&what, headers, TWO_YEARS);
            assert!(value(headers, "cache-control").starts_with("public, max-age="), "{what}");
            assert!(cookies(&answer).next().is_none(), "{what}");
        }
    }
}

#[tokio::test]
async fn hsts_is_the_header_that_is_configured_and_only_on_https() {
    for (origin, hsts, expected) in [
        (HTTPS, "max-age=60; includeSubDomains", Some("max-age=60; includeSubDomains")),
        (HTTPS, "off", None),
        (HTTP, "max-age=60", None),
    ] {
        let site = Site::with(|config| {
            config.base_url = BaseUrl::parse(origin).unwrap();
            config.hsts = (hsts != "off").then(|| hsts.parse().unwrap());
        })
        .await;
        for path in ["/login", "/nowhere", "/healthz"] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let answer = site.browser().send(request).await;
            let sent = answer.headers().get(header::STRICT_TRANSPORT_SECURITY);
            assert_eq!(sent.map(|value| value.to_str().unwrap()), expected, "{origin} {path}");
        }
    }
}

#[tokio::test]
async fn every_cookie_that_is_set_or_removed_has_every_attribute_and_is_small() {
    for (origin, prefix) in [(HTTP, "vestibule"), (HTTPS, "__Host-vestibule")] {
        let tour = Tour::at(origin).await.whole().await;
        let (mut set, mut removed) = (0, 0);
        for (what, answer) in &tour.answers {
            for line in cookies(answer) {
                assert!(line.starts_with(prefix), "{what}: {line}");
                let parts: Vec<_> = line.split("; ").skip(1).collect();
                for part in ["HttpOnly", "SameSite=Lax", "Path=/"] {
                    assert_eq!(
                        parts.iter().filter(|found| **found == part).count(),
                        1,
                        "{what}: {line}"
                    );
                }
                assert_eq!(parts.contains(&"Secure"), origin == HTTPS, "{what}: {line}");
                assert!(!line.contains("Domain"), "{what}: {line}");
                assert!(line.len() < 200, "browsers drop a cookie over 4096 bytes: {what}: {line}");
                if parts.contains(&"Max-Age=0") { removed += 1 } else { set += 1 }
            }
        }
        assert!(set > 5 && removed > 2, "{origin}: {set} {removed}");
    }
}

/// Clearing a full cache takes Chromium seconds, and every page is `no-store`.
#[tokio::test]
async fn nothing_that_ends_a_session_clears_the_browsers_cache() {
    let tour = Tour::at(HTTPS).await.whole().await;
    let ends = |what: &str| ["POST /logout", "POST /reset"].contains(&what);
    assert!(tour.answers.iter().any(|(what, _)| ends(what)));
    for (what, answer) in &tour.answers {
        assert_eq!(value(answer.headers(), "clear-site-data"), "", "{what}");
        assert!(value(answer.headers(), "cache-control").contains("no-store") || !ends(what));
    }
}

on_both_databases! {
    async fn a_made_up_session_cookie_writes_nothing_and_a_flash_is_shown(site: Site) {
        let mut words = Vec::new();
        for (path, fields) in [
            ("/account/password", &[("current_password", PASSWORD)][..]),
            ("/reset", &[("code", "CDFG-2345")]),
            ("/reset/resend", &[]),
            ("/logout", &[]),
        ] {
            let mut forger = site.browser();
            forger.set_cookie("vestibule", "AAAAAAAAAAAAAAAAAAAAAA");
            let answer = forger.post(path, fields).await;
            forger.keep_cookies(answer.headers());
            assert_eq!(forger.cookie("vestibule"), None, "{path}: it is of no use, so it goes");
            let next = answer.headers()["location"].to_str().unwrap().to_owned();
            forger.open(&next).await;
            words.push((next, forger.flashes().concat()));
            forger.open(forger.path().to_owned().as_str()).await;
            assert!(forger.flashes().is_empty(), "{path}: once");
        }
        let reset = "Your reset timed out. Request a new code.";
        assert_eq!(words, [
            ("/login?next=/account/password", "You were logged out. Log in to continue."),
            ("/forgot", reset),
            ("/forgot", reset),
            ("/login", "You've been logged out."),
        ].map(|(path, words)| (path.to_owned(), words.to_owned())));
        assert_eq!(site.count("select count(*) from vestibule_sessions").await, 0);
    }
}
