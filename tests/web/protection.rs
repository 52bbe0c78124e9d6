//! The origin of forms, the headers of every answer, the pages of failures.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode};

use crate::support::{PASSWORD, Site, body_of, form_request};

const LOGIN: &str = "username=ann&password=moss+lantern+quartz";

fn from(headers: &[(&str, &str)]) -> Request<Body> {
    let post = Request::post("/login").header("content-type", "application/x-www-form-urlencoded");
    headers
        .iter()
        .fold(post, |post, (name, value)| post.header(*name, *value))
        .body(Body::from(LOGIN))
        .unwrap()
}

/// Compared as a whole: no other test would notice one source too many.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

const OURS: &str = "http://localhost:8000";

/// Where a form says that it comes from, and whether that is this site.
pub const ORIGINS: &[(&[(&str, &str)], bool)] = &[
    (&[], false),
    (&[("sec-fetch-site", "same-origin")], true),
    (&[("sec-fetch-site", "none")], true),
    (&[("sec-fetch-site", "same-site")], false),
    (&[("sec-fetch-site", "cross-site")], false),
    (&[("sec-fetch-site", "cross-site"), ("origin", OURS)], false),
    (&[("sec-fetch-site", "")], false),
    (&[("origin", OURS)], true),
    (&[("origin", "http://localhost:8001")], false),
    (&[("origin", "https://localhost:8000")], false),
    (&[("origin", "http://localhost:8000.evil.example")], false),
    (&[("origin", "null")], false),
    (&[("origin", ""), ("referer", "http://localhost:8000/login")], false),
    (&[("origin", "http://evil.example"), ("host", "evil.example")], false),
    (&[("origin", "http://evil.example"), ("referer", "http://localhost:8000/login")], false),
    (&[("referer", "http://localhost:8000/login")], true),
    (&[("referer", "http://evil.example/http://localhost:8000/")], false),
    (&[("referer", "nonsense")], false),
    (&[("origin", "http://127.0.0.1:8000"), ("host", "127.0.0.1:8000")], true),
    (&[("origin", "http://[::1]:8000"), ("host", "[::1]:8000")], true),
    (&[("origin", "http://127.0.0.1:8000"), ("host", "localhost:8000")], false),
];

#[tokio::test]
async fn a_form_must_show_that_it_comes_from_this_site() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    for (headers, passes) in ORIGINS {
        let answer = site.browser().send(from(headers)).await;
        let expected = if *passes { StatusCode::SEE_OTHER } else { StatusCode::FORBIDDEN };
        assert_eq!(answer.status(), expected, "{headers:?}");
    }
}

#[tokio::test]
async fn behind_a_configured_base_url_no_other_origin_counts() {
    let site = Site::on_sqlite().await;
    let configured = site.changed(|config| config.base_url_is_default = false).await;
    let answer = configured
        .send(from(&[("origin", "http://127.0.0.1:8000"), ("host", "127.0.0.1:8000")]))
        .await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    assert!(body_of(answer).await.contains("verify this form"));
}

#[tokio::test]
async fn every_change_is_refused_without_an_origin_and_nothing_happens() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await;
    for path in [
        "/register",
        "/login",
        "/logout",
        "/forgot",
        "/reset",
        "/reset/resend",
        "/account/password",
        "/dev/mailbox/clear",
    ] {
        let answer = ann.send(Request::post(path).body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path}");
    }
    assert!(ann.tab().is_logged_in().await);
    assert_eq!(site.mails().await.len(), 1);
}

#[tokio::test]
async fn every_answer_carries_the_security_headers() {
    let site = Site::on_sqlite().await;
    let browser = site.browser();
    for path in ["/login", "/nowhere", "/account", "/healthz", "/_vestibule/nothing.css"] {
        let answer = browser.send(Request::get(path).body(Body::empty()).unwrap()).await;
        let header = |name: &str| {
            answer
                .headers()
                .get(name)
                .map(|value| value.to_str().unwrap().to_owned())
                .unwrap_or_default()
        };
        for (name, value) in [
            ("content-security-policy", POLICY),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("cache-control", "no-store"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("strict-transport-security", ""),
            ("x-frame-options", "DENY"),
            ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
        ] {
            assert_eq!(header(name), value, "{path} {name}");
        }
    }
}

#[tokio::test]
async fn every_failure_has_its_own_styled_page() {
    let site = Site::on_sqlite().await;
    let long = format!("username={}", "a".repeat(64 * 1024));
    let json = Request::post("/login")
        .header("origin", "http://localhost:8000")
        .header("content-type", "application/json");
    let cases = [
        (Request::get("/nowhere").body(Body::empty()), 404, "Page not found"),
        (Request::get("/login/").body(Body::empty()), 404, "Page not found"),
        (Request::get("/account/x.css").body(Body::empty()), 404, "Page not found"),
        (
            Request::put("/login").header("origin", "http://localhost:8000").body(Body::empty()),
            405,
            "You can't open this page directly",
        ),
        (
            Request::get("/reset/resend").body(Body::empty()),
            405,
            "You can't open this page directly",
        ),
        (Request::post("/login").body(Body::empty()), 403, "We couldn't verify this form"),
        (Ok(form_request("/login", long)), 413, "Your form is too long"),
        (json.body(Body::from("{}")), 415, "We couldn't read this form"),
        (
            Ok(form_request("/login", "username=a&username=b&password=c".into())),
            422,
            "We couldn't read this form",
        ),
    ];
    for (request, status, heading) in cases {
        let answer = site.browser().send(request.unwrap()).await;
        assert_eq!(answer.status().as_u16(), status, "{heading}");
        assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
        let page = body_of(answer).await;
        assert!(
            page.contains(&format!(
                "<title>{} – Vestibule</title>",
                heading.replace('\'', "&#39;")
            )),
            "{status}: {page}"
        );
        assert!(page.contains("/_vestibule/app.") && page.contains("<h1>"), "{page}");
    }
}

#[tokio::test]
async fn a_wrong_method_says_which_are_right_and_head_has_no_body() {
    let site = Site::on_sqlite().await;
    let request = |method: Method, path| {
        Request::builder()
            .method(method)
            .uri(path)
            .header("origin", "http://localhost:8000")
            .body(Body::empty())
            .unwrap()
    };
    let answer = site.browser().send(request(Method::DELETE, "/login")).await;
    assert_eq!(answer.headers()["allow"], "GET,HEAD,POST");
    for path in ["/login", "/nowhere"] {
        let answer = site.browser().send(request(Method::HEAD, path)).await;
        assert_eq!(body_of(answer).await, "");
    }
}

#[tokio::test]
async fn a_failing_database_is_reported_with_a_reference_and_no_internals() {
    let site = Site::on_sqlite().await;
    let mut ann = site.registered("ann").await;
    site.db().close().await;
    ann.open("/login").await;
    assert_eq!(ann.status, StatusCode::SERVICE_UNAVAILABLE);
    let text = ann.text();
    assert!(text.contains("Wait a few seconds, then try again."), "{text}");
    let reference = ann.all_text("main code").concat();
    assert_eq!(reference.len(), 26, "{}", ann.html);
    for internal in ["sqlx", "pool", "Pool", "database"] {
        assert!(!text.contains(internal), "{text}");
    }
    let mut visitor = site.browser();
    visitor.open("/login").await;
    assert_eq!(visitor.status, StatusCode::OK, "a page that needs no database keeps working");
    visitor.open("/healthz").await;
    assert_eq!(visitor.html, "ok");
    visitor.open("/readyz").await;
    assert_eq!(visitor.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(visitor.html, "unavailable");
}

#[tokio::test]
async fn static_files_are_cached_for_ever_under_a_name_that_changes() {
    let site = Site::on_sqlite().await;
    let mut visitor = site.browser();
    visitor.open("/login").await;
    let href = visitor.attribute("link[rel=stylesheet]", "href").unwrap();
    for encoding in ["br", "gzip", "identity"] {
        let request =
            Request::get(&href).header("accept-encoding", encoding).body(Body::empty()).unwrap();
        let answer = visitor.send(request).await;
        assert_eq!(answer.headers()["cache-control"], "public, max-age=31536000, immutable");
        assert_eq!(answer.headers()["content-type"], "text/css; charset=utf-8");
        assert_eq!(answer.headers()["vary"], "accept-encoding");
        assert_eq!(
            answer
                .headers()
                .get("content-encoding")
                .map_or("identity", |value| value.to_str().unwrap()),
            encoding
        );
    }
}

#[tokio::test]
async fn what_people_type_is_shown_as_text() {
    let site = Site::on_sqlite().await;
    let mut visitor = site.browser();
    let script = "\"><script>alert(1)</script>";
    visitor.log_in(script, PASSWORD).await;
    assert_eq!(visitor.attribute("#username", "value").as_deref(), Some(script));
    assert!(!visitor.html.contains("<script>"), "{}", visitor.html);
}

#[tokio::test]
async fn a_post_without_a_session_creates_none() {
    let site = Site::on_sqlite().await;
    let visitor = site.browser();
    for path in ["/logout", "/reset", "/reset/resend", "/account/password"] {
        let answer = visitor.post(path, &[("code", "CDFG-2345")]).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{path}");
        assert!(answer.headers().get("set-cookie").is_none(), "{path}");
    }
    assert_eq!(site.count("select count(*) from vestibule_sessions").await, 0);
}

#[tokio::test]
async fn flashes_do_not_accumulate() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let mut ann = site.browser();
    for _ in 0..5 {
        ann.ask_for_code("ann", "ann@meadow.example").await;
        ann.post("/forgot", &[("username", "ann"), ("email", "ann@meadow.example")]).await;
    }
    ann.open("/reset").await;
    assert_eq!(ann.flashes(), ["Your last code no longer works."]);
}

#[tokio::test]
async fn an_error_page_shows_the_username_and_the_log_out_button() {
    let site = Site::on_sqlite().await;
    let mut visitor = site.browser();
    visitor.open("/nowhere").await;
    assert!(visitor.all_text("nav").is_empty());
    assert_eq!(visitor.all_attributes("main a", "href"), ["/"]);

    let mut ann = site.registered("ann").await;
    ann.open("/nowhere").await;
    assert_eq!(ann.status, StatusCode::NOT_FOUND);
    assert_eq!(ann.all_text("nav a"), ["Account: ann"]);
    assert_eq!(ann.all_attributes("main a", "href"), ["/account"]);
    ann.press("Log out").await;
    assert!(!ann.is_logged_in().await);
}

#[tokio::test]
async fn names_of_the_site_and_of_users_are_escaped() {
    let evil = "</title><b>\"'&amp;";
    let site = Site::with(|config| config.site_name = evil.to_owned()).await;
    let mut ann = site.registered("ann").await;
    ann.ask_for_code("ann", "o'ann&co@meadow.example").await;
    assert!(ann.text().contains("o'ann&co@meadow.example"), "{}", ann.text());
    for path in ["/account", "/login", "/reset", "/nowhere", "/dev/mailbox"] {
        ann.open(path).await;
        assert!(ann.title().ends_with(evil), "{path}: {}", ann.title());
        assert!(!ann.html.contains("<b>"), "{path}: {}", ann.html);
    }
    let mail = &site.queued().await[0];
    ann.open(&format!("/dev/mailbox/{}", mail.id)).await;
    assert!(ann.text().contains(evil) && !ann.html.contains("<b>"), "{}", ann.html);
    assert!(!mail.email.html.contains("<b>") && mail.email.text.contains(evil));
}
