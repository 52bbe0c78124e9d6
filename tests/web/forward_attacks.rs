//! Attacks on forward auth: other spellings of applications, forged and replayed cookies and tickets, links
//! that lead elsewhere.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tower::ServiceExt;
use vestibule::config::Apps;
use vestibule::models::session::session_key;

use crate::support::apps::{
    AppLogin, HTML, PROXY, WIKI, app_cookie, ask_nginx, ask_proxy, at, behind_proxy, forwarded,
    get, location, session,
};
use crate::support::work::work_of;
use crate::support::{PASSWORD, Site};

/// How a GET that somebody is logged in for is answered, at both endpoints.
async fn statuses(proxy: &Router, url: &str, cookie: &str) -> [u16; 2] {
    let answers = [ask_proxy(proxy, url, cookie).await, ask_nginx(proxy, url, cookie).await];
    answers.map(|answer| answer.status().as_u16())
}

on_both_databases! {
    async fn a_cookie_is_refused_after_a_new_password_and_after_a_logout(site: Site) {
        let mut ann = site.registered("ann").await;
        let proxy = behind_proxy(&site).await;
        let before = app_cookie(&proxy, WIKI, &session(&ann)).await;
        let login = AppLogin::start(&proxy, WIKI, &session(&ann)).await;
        let fields = [
            ("current_password", PASSWORD),
            ("password", "velvet anchor pudding"),
            ("password_confirm", "velvet anchor pudding"),
        ];
        let changed = ann.post("/account/password", &fields).await;
        ann.keep(&changed);
        assert_eq!(statuses(&proxy, WIKI, &before).await, [302, 401], "another session goes on");
        let late = login.finish(&proxy, WIKI, &login.browser_cookie).await;
        assert_eq!(late.status(), StatusCode::FORBIDDEN, "a ticket of the session before");

        let after = app_cookie(&proxy, WIKI, &session(&ann)).await;
        assert_eq!(statuses(&proxy, WIKI, &after).await, [200, 200], "without a new login");
        ann.post("/logout", &[]).await;
        ann.log_in("ann", "velvet anchor pudding").await;
        for cookie in [&before, &after] {
            assert_eq!(statuses(&proxy, WIKI, cookie).await, [302, 401], "replayed");
        }
    }

    async fn a_stolen_sessions_table_opens_no_application(site: Site) {
        let (ann, eve) = (site.registered("ann").await, site.registered("eve").await);
        let proxy = behind_proxy(&site).await;
        let value = |cookie: &str| cookie.split_once('=').unwrap().1.to_owned();
        let hers = value(&app_cookie(&proxy, WIKI, &session(&eve)).await);
        let key = session_key(ann.cookie("vestibule").unwrap()).unwrap();
        let key = URL_SAFE_NO_PAD.encode(key);
        let (_, proof) = hers.split_at(43);
        let other_origin = value(&app_cookie(&proxy, "https://example.org", &session(&ann)).await);
        for forged in [
            format!("{key}{proof}"),
            format!("{key}{key}"),
            format!("{key}{}", "A".repeat(43)),
            key.clone(),
            format!("{proof}{key}"),
            other_origin.clone(),
        ] {
            let cookie = format!("__Host-vestibule-app={forged}");
            assert_eq!(statuses(&proxy, WIKI, &cookie).await, [302, 401], "{forged}");
        }
        for own in [key, other_origin] {
            let cookie = format!("vestibule={own}");
            let (answer, work) = work_of(ask_proxy(&proxy, "http://localhost:8000/", &cookie)).await;
            assert_eq!((answer.status(), work.len()), (StatusCode::FOUND, 0), "{work:?}");
        }
    }

    async fn a_made_up_ticket_costs_a_read_at_most_and_writes_nothing(site: Site) {
        let proxy = behind_proxy(&site).await;
        let host = [("x-forwarded-proto", "https"), ("x-forwarded-host", "wiki.example.org")];
        let browser_cookie = format!("__Host-vestibule-app-login={}", "A".repeat(43));
        for (ticket, reads) in [
            ("A".repeat(43), 1),
            (String::new(), 0),
            ("A".repeat(42), 0),
            ("A".repeat(44), 0),
            ("A".repeat(60_000), 0),
            ("%00".repeat(43), 0),
            ("' or 1=1 --".to_owned(), 0),
        ] {
            let path = format!("/.vestibule/callback?ticket={}", ticket.replace(' ', "%20"));
            let headers = [&host[..], &[("cookie", &*browser_cookie), HTML]].concat();
            let (answer, work) = work_of(get(&proxy, &path, &headers)).await;
            assert_eq!((answer.status(), work.len()), (StatusCode::FORBIDDEN, reads), "{work:?}");
            assert!(work.iter().all(|done| done.starts_with("select")), "{work:?}");
        }
    }
}

#[tokio::test]
async fn another_spelling_of_an_application_is_that_application_or_403() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await;
    let apps = "https://wiki.ex\u{e4}mple.org,http://127.0.0.1:3000,https://example.org/app";
    let app = site.app_with(|config| {
        crate::support::apps::with_apps(config);
        config.apps = Apps::parse(apps).unwrap();
    });
    let proxy = at(&app.await, PROXY);
    let cookie = app_cookie(&proxy, "https://wiki.xn--exmple-cua.org", &session(&ann)).await;
    let local = app_cookie(&proxy, "http://127.0.0.1:3000", &session(&ann)).await;
    let cookies = format!("{cookie}; {local}");
    for (page, is_app) in [
        ("https://wiki.xn--exmple-cua.org/", true),
        ("HTTPS://WIKI.XN--EXMPLE-CUA.ORG:443/", true),
        ("https://wiki.xn--exmple-cua.org:0443/", true),
        ("https://wiki.xn--exmple-cua.org:/", true),
        ("http://127.0.0.1:3000/", true),
        ("http://0x7f.1:3000/", true),
        ("http://2130706433:3000/", true),
        ("https://wiki.ex\u{e4}mple.org/", false),
        ("https://wiki.ex%C3%A4mple.org/", false),
        ("https://wiki.example.org/", false),
        ("https://wiki.xn--exmple-cua.org./", false),
        ("https://wiki.xn--exmple-cua.org../", false),
        ("https://wiki.xn--exmple-cua.org:443:443/", false),
        ("https://wiki.xn--exmple-cua.org:80/", false),
        ("https://.wiki.xn--exmple-cua.org/", false),
        ("https://wiki..xn--exmple-cua.org/", false),
        ("https://wiki\u{3002}xn--exmple-cua.org/", false),
        ("https://\u{ff57}iki.xn--exmple-cua.org/", false),
        ("http://127.0.0.1.:3000/", true),
        ("http://[::ffff:127.0.0.1]:3000/", false),
        ("http://localhost:3000/", false),
    ] {
        let expected = if is_app { [200, 200] } else { [403, 403] };
        assert_eq!(statuses(&proxy, page, &cookies).await, expected, "{page}");
    }
    let answer = ask_proxy(&proxy, "https://WIKI.xn--exmple-cua.org:443/", "").await;
    let login = "https://wiki.xn--exmple-cua.org/.vestibule/login?next=/";
    assert_eq!(location(&answer), login);
}

#[tokio::test]
async fn a_path_ends_where_any_server_would_leave_it() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await;
    let proxy = behind_proxy(&site).await;
    let cookie = app_cookie(&proxy, "https://example.org", &session(&ann)).await;
    for (path, is_within) in [
        ("/app/a;b=c/d", true),
        ("/app/%2e%2e%2fapp/", false),
        ("/app/%25%32%65", true),
        ("/app/..;/admin", false),
        ("/app/..;a=b/admin", false),
        ("/app/%2e%2e;/admin", false),
        ("/app/..%3b/admin", false),
        ("/app;/../admin", false),
        ("/app;a=b/x", false),
        ("/app%3b/x", false),
        ("/app%00/x", false),
        ("/app%20/x", false),
        ("/%61pp/x", false),
        ("/app\\..\\admin", false),
        ("/app/..\\admin", false),
        ("/./app/../admin", false),
        ("//app/x", false),
        ("/app//..//..//admin", false),
        ("/app//../admin", false),
        ("/app/x?y=/../../..", true),
        ("/app/x/../y", true),
        ("/app/x/%2e%2E/y", true),
        ("/app//../app/x", false),
        ("/app/../app/x", false),
        ("/app/x#/../..", false),
        // Within once the dot segments are resolved; a server that resolves none of them, or not all,
        // shows another application's page.
        ("/secret/../app/x", false),
        ("/secret/%2e%2e/app/x", false),
        ("/secret/x/../../app/x", false),
        ("/secret/;/../../app/x", false),
        ("/secret/x#/../../app/x", false),
        ("/./app/x", false),
        ("/app/../secret/%2e%2e/app/x", false),
        ("/app/%2e%2e/secret/../app/x", false),
        ("/app/x%2fy/../../secret", false),
        ("/app/x%5cy/..;/../secret", false),
        ("/app/.;/..;/secret/../app", false),
        ("/app/x//../../secret/../app", false),
        ("/app/x/..%2f..%2f..%2fadmin", false),
        ("/app/..%c0%afadmin", true),
        ("/app/\t../../admin", true),
    ] {
        let expected = if is_within { [200, 200] } else { [403, 403] };
        let page = format!("https://example.org{path}");
        assert_eq!(statuses(&proxy, &page, &cookie).await, expected, "{path}");
    }
}

#[tokio::test]
async fn bytes_that_no_proxy_sends_are_403_or_lead_to_the_login_encoded() {
    let site = Site::on_sqlite().await;
    let proxy = behind_proxy(&site).await;
    for byte in (1..=255_u8).filter(|byte| HeaderValue::from_bytes(&[*byte]).is_ok()) {
        for (at, before) in [(1, "https"), (2, "wiki.example.org"), (3, "/a")] {
            let mut request = Request::get("/forward/proxy").header("accept", "text/html");
            for (index, (name, value)) in forwarded(WIKI).iter().enumerate() {
                let mut value = value.as_bytes().to_vec();
                if index == at {
                    value = [before.as_bytes(), &[byte], b"x"].concat();
                }
                request = request.header(*name, HeaderValue::from_bytes(&value).unwrap());
            }
            let request = request.body(Body::empty()).unwrap();
            let answer = proxy.clone().oneshot(request).await.unwrap();
            let expected = if at == 3 && !b" #".contains(&byte) { 302 } else { 403 };
            assert_eq!(answer.status(), expected, "{at} {byte:#x}");
            let login =
                location(&answer).strip_prefix("https://wiki.example.org/.vestibule/login?next=/a");
            let is_plain = |next: &str| {
                next.bytes().all(|it| it.is_ascii_alphanumeric() || b"%/-._~".contains(&it))
            };
            assert_eq!(login.is_some_and(is_plain), expected == 302, "{at} {byte:#x}");
        }
    }
}

#[tokio::test]
async fn very_long_headers_are_answered_and_their_way_back_is_short() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await;
    let proxy = behind_proxy(&site).await;
    let cookie = app_cookie(&proxy, WIKI, &session(&ann)).await;
    let login = "https://wiki.example.org/.vestibule/login?next=";
    for (length, next) in
        [(2000, format!("/{}", "a".repeat(1999))), (2001, "/".to_owned()), (60_000, "/".to_owned())]
    {
        let page = format!("{WIKI}/{}", "a".repeat(length - 1));
        assert_eq!(statuses(&proxy, &page, &cookie).await, [200, 200], "{length}");
        assert_eq!(
            location(&ask_nginx(&proxy, &page, "").await),
            format!("{login}{next}"),
            "{length}"
        );
    }
    let long = "a".repeat(60_000);
    for (name, status) in [
        ("cookie", 302),
        ("accept", 401),
        ("user-agent", 302),
        ("x-original-url", 302),
        ("x-forwarded-host", 403),
        ("x-forwarded-proto", 403),
        ("x-forwarded-method", 401),
    ] {
        let mut headers: Vec<_> =
            forwarded(WIKI).into_iter().chain([HTML]).filter(|(known, _)| *known != name).collect();
        headers.push((name, &long));
        let answer = get(&proxy, "/forward/proxy", &headers).await;
        assert_eq!(answer.status().as_u16(), status, "{name}");
    }
}

#[tokio::test]
async fn nobody_is_logged_in_as_somebody_else_by_a_link() {
    let site = Site::on_sqlite().await;
    let (ann, eve) = (site.registered("ann").await, site.registered("eve").await);
    let proxy = behind_proxy(&site).await;
    let eves = AppLogin::start(&proxy, WIKI, &session(&eve)).await;
    // A login that leads on to the callback with the attacker's ticket, and back out of the application.
    for next in [eves.callback.as_str(), "https://wiki.example.org/.vestibule/logout"] {
        let login =
            get(&proxy, &format!("/login?next={next}"), &[("cookie", &session(&ann))]).await;
        assert_eq!(location(&login), next);
    }
    let hers = AppLogin::start(&proxy, WIKI, &session(&ann)).await.browser_cookie;
    assert_eq!(eves.finish(&proxy, WIKI, &hers).await.status(), StatusCode::FORBIDDEN);
    // Ann's ticket for the browser of Eve: her browser has another cookie, and uses it up.
    let browser = vestibule::accounts::app_login::browser_digest(
        eves.browser_cookie.split_once('=').unwrap().1,
    );
    let lured = format!("/login/app?next=https://wiki.example.org/&browser={browser}");
    let callback = location(&get(&proxy, &lured, &[("cookie", &session(&ann))]).await).to_owned();
    let lured = AppLogin { callback, browser_cookie: eves.browser_cookie.clone() };
    assert_eq!(lured.finish(&proxy, WIKI, &hers).await.status(), StatusCode::FORBIDDEN);
    assert_eq!(
        lured.finish(&proxy, WIKI, &eves.browser_cookie).await.status(),
        StatusCode::FORBIDDEN
    );
}

#[tokio::test]
async fn only_the_documented_methods_are_there() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await;
    let proxy = behind_proxy(&site).await;
    let cookie = app_cookie(&proxy, WIKI, &session(&ann)).await;
    for (path, allowed) in [
        ("/forward/nginx", "GET,HEAD"),
        ("/forward/proxy", "GET,HEAD"),
        ("/session", "GET,HEAD"),
        ("/.well-known/jwks.json", "GET,HEAD"),
        ("/.vestibule/login", "GET,HEAD"),
        ("/.vestibule/callback", "GET,HEAD"),
        ("/.vestibule/logout", "POST"),
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let mut request = Request::builder().method(method.clone()).uri(path);
            for (name, value) in forwarded(WIKI)
                .iter()
                .chain(&[("cookie", cookie.as_str()), ("origin", "https://evil.example")])
            {
                request = request.header(*name, *value);
            }
            let answer = proxy.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            let is_allowed = allowed.split(',').any(|it| it == method);
            assert_eq!(
                answer.status() != StatusCode::METHOD_NOT_ALLOWED,
                is_allowed,
                "{method} {path}"
            );
            if !is_allowed {
                assert_eq!(answer.headers()[header::ALLOW], allowed, "{path}");
            }
            assert!(
                !answer.headers().keys().any(|name| name.as_str().starts_with("access-control-"))
            );
        }
    }
    assert_eq!(statuses(&proxy, WIKI, &cookie).await, [200, 200], "still logged in");
}
