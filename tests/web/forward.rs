//! Forward auth: what a proxy is told for each request to an application.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use vestibule::config::SessionLife;

use crate::support::apps::{
    HTML, PROXY, WIKI, app_cookie, ask_nginx, ask_proxy, at, behind_proxy, forwarded, get,
    location, original, read_token, session, with_apps,
};
use crate::support::work::work_of;
use crate::support::{PASSWORD, Site, body_of, until};

const OWN: &str = "http://localhost:8000/notes";

/// The headers that tell who is there.
const IDENTITY: [&str; 6] =
    ["remote-user", "remote-name", "remote-email", "remote-groups", "remote-id", "remote-token"];

fn header<'a>(answer: &'a Response<Body>, name: &str) -> &'a str {
    answer.headers()[name].to_str().unwrap()
}

/// Nobody is told of, and no cookie is set.
fn assert_bare(answer: &Response<Body>, what: &str) {
    for name in IDENTITY.iter().chain(&["set-cookie"]) {
        assert!(!answer.headers().contains_key(*name), "{what}: {name}");
    }
}

on_both_databases! {
    async fn who_is_logged_in_is_told_in_headers_that_are_never_empty(site: Site) {
        let ann = site.registered("ann").await;
        let proxy = behind_proxy(&site).await;
        let wiki = app_cookie(&proxy, WIKI, &session(&ann)).await;
        for (page, cookie) in [(OWN, session(&ann)), ("https://wiki.example.org/a?b=c", wiki)] {
            for answer in [ask_proxy(&proxy, page, &cookie).await, ask_nginx(&proxy, page, &cookie).await] {
                assert_eq!(answer.status(), StatusCode::OK, "{page}");
                assert_eq!(header(&answer, "remote-user"), "ann");
                assert_eq!(header(&answer, "remote-name"), "ann");
                assert_eq!(header(&answer, "remote-email"), "ann@meadow.example");
                assert_eq!(header(&answer, "remote-groups"), "users");
                assert_eq!(header(&answer, "remote-id").len(), 26);
                assert_eq!(header(&answer, "remote-token").split('.').count(), 3);
                assert!(!answer.headers().contains_key("set-cookie"));
                assert_eq!(header(&answer, "cache-control"), "no-store");
                assert_eq!(body_of(answer).await, "");
            }
        }
    }

    async fn a_session_that_ends_anywhere_ends_in_every_application_with_the_next_request(site: Site) {
        let proxy = behind_proxy(&site).await;
        for way in ["logout", "reset", "expiry"] {
            let mut ann = site.browser();
            if way == "logout" {
                site.registered("ann").await;
            }
            ann.log_in("ann", if way == "expiry" { "velvet anchor pudding" } else { PASSWORD }).await;
            let cookie = session(&ann);
            let wiki = app_cookie(&proxy, WIKI, &cookie).await;
            assert_eq!(ask_proxy(&proxy, WIKI, &wiki).await.status(), StatusCode::OK);
            match way {
                "logout" => drop(ann.post("/logout", &[]).await),
                "reset" => {
                    let (mut owner, code) = site.with_code("ann").await;
                    owner.reset(&code, "velvet anchor pudding").await;
                }
                _ => site.wait(12 * 60 * 60),
            }
            for (page, cookie) in [(OWN, &cookie), (WIKI, &wiki)] {
                let answer = ask_proxy(&proxy, page, cookie).await;
                assert_eq!(answer.status(), StatusCode::FOUND, "{way} {page}");
                assert_bare(&answer, way);
                assert_eq!(ask_nginx(&proxy, page, cookie).await.status(), StatusCode::UNAUTHORIZED);
            }
        }
    }

    async fn a_check_is_one_read_and_a_cookie_that_is_none_costs_nothing(site: Site) {
        let ann = site.registered("ann").await;
        let proxy = behind_proxy(&site).await;
        let wiki = app_cookie(&proxy, WIKI, &session(&ann)).await;
        ask_proxy(&proxy, WIKI, &wiki).await;
        for (page, cookie) in [(OWN, session(&ann)), (WIKI, wiki)] {
            let (answer, work) = work_of(ask_proxy(&proxy, page, &cookie)).await;
            assert_eq!((answer.status(), work.len()), (StatusCode::OK, 1), "{work:?}");
            assert!(work[0].starts_with("select"), "{work:?}");
        }
        for cookie in ["", "vestibule=x", "__Host-vestibule-app=x", &format!("__Host-vestibule-app={}", "A".repeat(86))] {
            for page in [OWN, WIKI] {
                let (answer, work) = work_of(ask_proxy(&proxy, page, cookie)).await;
                assert_eq!((answer.status(), work.len()), (StatusCode::FOUND, 0), "{work:?}");
            }
        }
    }

    async fn who_works_in_an_application_alone_stays_logged_in(site: Site) {
        let ann = site.registered("ann").await;
        let proxy = behind_proxy(&site).await;
        let wiki = app_cookie(&proxy, WIKI, &session(&ann)).await;
        let seen = async || site.count("select max(last_seen_at) from vestibule_sessions").await;
        for _ in 0..4 {
            site.wait(11 * 60 * 60);
            let before = seen().await;
            until(async || {
                assert_eq!(ask_nginx(&proxy, WIKI, &wiki).await.status(), StatusCode::OK);
                seen().await > before
            }).await;
        }
        site.wait(60);
        let now = site.app.clock.now();
        let before = seen().await;
        assert_eq!(before, now - 60);
        for _ in 0..20 {
            assert_eq!(ask_nginx(&proxy, WIKI, &wiki).await.status(), StatusCode::OK);
        }
        assert_eq!(seen().await, before, "one write in ten minutes");
    }

    async fn an_address_is_percent_encoded_except_for_its_at_sign(site: Site) {
        let proxy = behind_proxy(&site).await;
        for (name, email, sent) in [
            ("ann", "ann+tag@meadow.example", "ann+tag@meadow.example"),
            ("bob", "bob@m\u{fc}nchen.example", "bob@m%C3%BCnchen.example"),
            ("cyd", "c%d@meadow.example", "c%25d@meadow.example"),
        ] {
            let mut browser = site.browser();
            browser.register(name, email, PASSWORD).await;
            let answer = ask_nginx(&proxy, OWN, &session(&browser)).await;
            assert_eq!(header(&answer, "remote-email"), sent);
            let (_, claims) = read_token(header(&answer, "remote-token"));
            assert_eq!(claims["email"], email);
        }
    }

    async fn when_the_database_is_away_no_check_is_allowed(site: Site) {
        let ann = site.registered("ann").await;
        let app = site.app_with(with_apps).await;
        let proxy = at(&app, PROXY);
        let wiki = app_cookie(&proxy, WIKI, &session(&ann)).await;
        app.db.close().await;
        for (page, cookie) in [(OWN, session(&ann)), (WIKI, wiki)] {
            for answer in
                [ask_proxy(&proxy, page, &cookie).await, ask_nginx(&proxy, page, &cookie).await]
            {
                assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{page}");
                assert_bare(&answer, page);
            }
        }
        assert_eq!(ask_nginx(&proxy, WIKI, "").await.status(), StatusCode::UNAUTHORIZED);
    }
}

#[tokio::test]
async fn a_page_leads_to_the_login_by_its_own_scheme_and_next_stands_alone() {
    let site = Site::on_sqlite().await;
    let proxy = behind_proxy(&site).await;
    for (page, login, next) in [
        (
            "https://wiki.example.org/a/b?c=d&e=%2F&f=%C3%A4",
            "https://wiki.example.org/.vestibule/login",
            "/a/b?c=d&e=%2F&f=%C3%A4",
        ),
        ("https://WIKI.example.org:443/", "https://wiki.example.org/.vestibule/login", "/"),
        (
            "https://wiki.example.org//evil.example/x",
            "https://wiki.example.org/.vestibule/login",
            "//evil.example/x",
        ),
        ("http://plain.example.org:3000/x", "http://plain.example.org:3000/.vestibule/login", "/x"),
        ("https://example.org/app/x/../y", "https://example.org/.vestibule/login", "/app/x/../y"),
        ("http://localhost:8000/notes?a=b&c", "http://localhost:8000/login", "/notes?a=b&c"),
        (
            "https://wiki.example.org/äö",
            "https://wiki.example.org/.vestibule/login",
            "/%C3%A4%C3%B6",
        ),
    ] {
        let answers = [ask_proxy(&proxy, page, "").await, ask_nginx(&proxy, page, "").await];
        assert_eq!(answers[0].status(), StatusCode::FOUND, "{page}");
        assert_eq!(answers[1].status(), StatusCode::UNAUTHORIZED, "{page}");
        for answer in answers {
            let (place, query) = location(&answer).split_once('?').unwrap();
            assert_eq!(place, login, "{page}");
            let pairs: Vec<_> = url::form_urlencoded::parse(query.as_bytes()).collect();
            assert_eq!(pairs, [("next".into(), next.into())], "{page}");
            assert_bare(&answer, page);
        }
    }
}

#[tokio::test]
async fn scripts_and_other_methods_get_401_where_a_page_gets_the_login() {
    let site = Site::on_sqlite().await;
    let proxy = behind_proxy(&site).await;
    let page = [HTML, ("sec-fetch-mode", "navigate")];
    for (method, headers, status) in [
        ("GET", &page[..], 302),
        ("HEAD", &page, 302),
        ("GET", &[HTML], 302),
        ("GET", &[], 302),
        ("GET", &[("accept", "application/json"), ("accept", "Text/HTML")], 302),
        ("POST", &page, 401),
        ("PUT", &page, 401),
        ("DELETE", &page, 401),
        ("OPTIONS", &page, 401),
        ("PROPFIND", &page, 401),
        ("get", &page, 401),
        ("GET", &[HTML, ("x-requested-with", "XMLHttpRequest")], 401),
        ("GET", &[HTML, ("sec-fetch-mode", "cors")], 401),
        ("GET", &[HTML, ("sec-fetch-mode", "no-cors")], 401),
        ("GET", &[HTML, ("sec-fetch-mode", "websocket")], 401),
        ("GET", &[("accept", "application/json")], 401),
        ("GET", &[("accept", "*/*")], 401),
        ("GET", &[("accept", "image/avif,image/webp")], 401),
    ] {
        let mut all = forwarded(WIKI);
        all[0].1 = method;
        let answer = get(&proxy, "/forward/proxy", &[&all[..], headers].concat()).await;
        assert_eq!(answer.status().as_u16(), status, "{method} {headers:?}");
        assert_eq!(location(&answer).is_empty(), status == 401, "{method} {headers:?}");
        let mut all = original(WIKI);
        all[0].1 = method;
        let answer = get(&proxy, "/forward/nginx", &[&all[..], headers].concat()).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{method} {headers:?}");
        assert!(!location(&answer).is_empty(), "nginx is always told where");
    }
}

#[tokio::test]
async fn a_form_without_a_login_is_told_so_with_a_link_to_the_login() {
    let site = Site::on_sqlite().await;
    let proxy = behind_proxy(&site).await;
    let mut asked = forwarded("https://wiki.example.org/a?b=%22c");
    asked[0].1 = "POST";
    for mode in ["navigate", "cors", "no-cors", ""] {
        let headers = [&asked[..], &[HTML, ("sec-fetch-mode", mode)]].concat();
        let answer = get(&proxy, "/forward/proxy", &headers).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{mode}");
        assert_bare(&answer, mode);
        assert_eq!(location(&answer), "", "{mode}");
        let body = body_of(answer).await;
        let login = "https://wiki.example.org/.vestibule/login?next=/a%3Fb%3D%2522c";
        let link = format!("<a href=\"{login}\">Log in</a>");
        assert_eq!(body.contains(&link), mode == "navigate", "{mode}: {body}");
        assert_eq!(body.is_empty(), mode != "navigate", "{mode}: {body}");
    }
}

#[tokio::test]
async fn an_application_that_the_settings_do_not_name_is_403_also_for_who_is_logged_in() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await;
    let proxy = behind_proxy(&site).await;
    let cookie = app_cookie(&proxy, WIKI, &session(&ann)).await;
    let prefixed = app_cookie(&proxy, "https://example.org", &session(&ann)).await;
    let cookies = format!("{}; {cookie}", session(&ann));
    for page in [
        "https://evil.example/",
        "http://wiki.example.org/",
        "https://wiki.example.org:8443/",
        "https://wiki.example.org.evil.example/",
        "https://a.wiki.example.org/",
        "https://wiki.example.org./",
        "http://plain.example.org/",
        "https://localhost:8000/",
        "http://localhost/",
        "http://127.0.0.1:8000/",
        "https://other.example.org/",
    ] {
        for answer in
            [ask_proxy(&proxy, page, &cookies).await, ask_nginx(&proxy, page, &cookies).await]
        {
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{page}");
            assert_bare(&answer, page);
            assert_eq!(location(&answer), "");
        }
    }
    for (path, status) in [
        ("/app", 200),
        ("/app/", 200),
        ("/app?x", 200),
        ("/app/a/../b", 200),
        ("/application", 403),
        ("/", 403),
        ("/APP/", 403),
        ("/app/../admin", 403),
        ("/app/%2e%2e/admin", 403),
        ("/app/..%2fadmin", 403),
        ("/app/..%5Cadmin", 403),
        ("/app/..\\admin", 403),
        ("//app/", 403),
    ] {
        let page = format!("https://example.org{path}");
        let answers =
            [ask_proxy(&proxy, &page, &prefixed).await, ask_nginx(&proxy, &page, &prefixed).await];
        assert_eq!(answers.map(|answer| answer.status().as_u16()), [status; 2], "{path}");
    }
}

#[tokio::test]
async fn without_a_trusted_proxy_nobody_is_told_anything() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await;
    let app = site.app_with(with_apps).await;
    let wiki = app_cookie(&at(&app, PROXY), WIKI, &session(&ann)).await;
    let untrusting = site.app_with(|config| {
        with_apps(config);
        config.trusted_proxies.clear();
    });
    for router in [
        at(&app, "10.0.0.2"),
        at(&app, "127.0.0.1"),
        vestibule::site(&app),
        at(&untrusting.await, PROXY),
    ] {
        for (page, cookie) in [(OWN, &session(&ann)), (WIKI, &wiki), (WIKI, &String::new())] {
            let forged = [
                ("x-forwarded-for", PROXY),
                ("x-real-ip", PROXY),
                ("cookie", cookie.as_str()),
                HTML,
            ];
            for (path, asked) in
                [("/forward/proxy", &forwarded(page)[..]), ("/forward/nginx", &original(page))]
            {
                let answer = get(&router, path, &[asked, &forged].concat()).await;
                assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{path} {page}");
                assert_bare(&answer, page);
            }
        }
    }
}

#[tokio::test]
async fn what_can_be_read_in_two_ways_is_403() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await;
    let proxy = behind_proxy(&site).await;
    let wiki = app_cookie(&proxy, WIKI, &session(&ann)).await;
    let cookie = ("cookie", wiki.as_str());
    let good = forwarded("https://wiki.example.org/a");
    for (at, value) in [
        (0, "GET, POST"),
        (0, "GET /"),
        (0, ""),
        (1, "https, http"),
        (1, "https,https"),
        (1, ""),
        (1, "ftp"),
        (1, "https://wiki.example.org/"),
        (1, "https:"),
        (2, "wiki.example.org, evil.example"),
        (2, "wiki.example.org,wiki.example.org"),
        (2, ""),
        (2, "wiki.example.org/"),
        (2, "ann@wiki.example.org"),
        (2, "wiki.example.org evil.example"),
        (2, "wiki.example.org#"),
        (2, "wiki.example.org?"),
        (2, "wiki.example.org\\"),
        (2, "wiki%2eexample.org"),
        (3, ""),
        (3, "a"),
        (3, "@evil.example/"),
        (3, ".evil.example/"),
        (3, "https://evil.example/"),
        (3, ":8443/"),
        (3, "/a, /b"),
        (3, "/a /b"),
        (3, "/a#"),
        (3, "/a?b#c"),
        (3, "*"),
    ] {
        let mut headers = good.to_vec();
        headers[at].1 = value;
        headers.extend([cookie, HTML]);
        let answer = get(&proxy, "/forward/proxy", &headers).await;
        let expected = if (at, value) == (0, "") { 200 } else { 403 };
        assert_eq!(answer.status().as_u16(), expected, "{} {value:?}", good[at].0);
    }
    let mut empty = forwarded("https://wiki.example.org/wiki.example.org/a").to_vec();
    empty[2].1 = "";
    empty.extend([cookie, HTML]);
    let answer = get(&proxy, "/forward/proxy", &empty).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN, "the path is no host");
    let url = ("x-original-url", "https:///wiki.example.org/a");
    let answer = get(&proxy, "/forward/nginx", &[url, cookie]).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN, "the path is no host");
    for at in 0..4 {
        let mut without = good.to_vec();
        without.remove(at);
        without.extend([cookie, HTML]);
        let answer = get(&proxy, "/forward/proxy", &without).await;
        assert_eq!(
            answer.status().as_u16(),
            if at == 0 { 200 } else { 403 },
            "without {}",
            good[at].0
        );
        for again in [good[at].1, "evil.example"] {
            let twice = [&good[..], &[(good[at].0, again), cookie, HTML]].concat();
            let answer = get(&proxy, "/forward/proxy", &twice).await;
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{} twice", good[at].0);
        }
    }
    for url in [
        "",
        "/a",
        "wiki.example.org/a",
        "https://wiki.example.org@evil.example/",
        "https://evil.example#https://wiki.example.org/",
        "https://wiki.example.org/a, https://wiki.example.org/b",
        "https, http://wiki.example.org/",
        "https://wiki.example.org, evil.example/",
        "https://wiki.example.org/a#b",
    ] {
        let headers = [("x-original-method", "GET"), ("x-original-url", url), cookie];
        assert_eq!(
            get(&proxy, "/forward/nginx", &headers).await.status(),
            StatusCode::FORBIDDEN,
            "{url}"
        );
    }
    let url = ("x-original-url", "https://wiki.example.org/a");
    assert_eq!(get(&proxy, "/forward/nginx", &[url, cookie]).await.status(), StatusCode::OK);
    for twice in [url, ("x-original-url", "https://evil.example/")] {
        assert_eq!(
            get(&proxy, "/forward/nginx", &[url, twice, cookie]).await.status(),
            StatusCode::FORBIDDEN
        );
    }
    let methods = [url, cookie, ("x-original-method", "GET"), ("x-original-method", "POST")];
    assert_eq!(get(&proxy, "/forward/nginx", &methods).await.status(), StatusCode::FORBIDDEN);
}

/// Through Caddy a client's `X-Original-URL` reaches us, through nginx its `X-Forwarded-Host` does.
#[tokio::test]
async fn the_headers_of_the_other_family_change_nothing() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await;
    let proxy = behind_proxy(&site).await;
    let wiki = app_cookie(&proxy, WIKI, &session(&ann)).await;
    let evil = "https://evil.example/";
    let headers = [&forwarded(WIKI)[..], &original(evil), &[("cookie", wiki.as_str())]].concat();
    assert_eq!(get(&proxy, "/forward/proxy", &headers).await.status(), StatusCode::OK);
    let headers = [&original(WIKI)[..], &forwarded(evil), &[("cookie", wiki.as_str())]].concat();
    assert_eq!(get(&proxy, "/forward/nginx", &headers).await.status(), StatusCode::OK);
    let headers = [&original(evil)[..], &forwarded(WIKI), &[("cookie", wiki.as_str())]].concat();
    assert_eq!(get(&proxy, "/forward/nginx", &headers).await.status(), StatusCode::FORBIDDEN);
    let headers = [&forwarded(evil)[..], &original(WIKI), &[("cookie", wiki.as_str())]].concat();
    assert_eq!(get(&proxy, "/forward/proxy", &headers).await.status(), StatusCode::FORBIDDEN);
    for (path, headers) in
        [("/forward/nginx", &forwarded(WIKI)[..]), ("/forward/proxy", &original(WIKI))]
    {
        let headers = [headers, &[("cookie", wiki.as_str())]].concat();
        assert_eq!(
            get(&proxy, path, &headers).await.status(),
            StatusCode::FORBIDDEN,
            "{path} alone"
        );
    }
}

#[tokio::test]
async fn what_the_client_sends_as_identity_is_not_answered() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await;
    let proxy = behind_proxy(&site).await;
    let forged: Vec<_> = IDENTITY.iter().map(|name| (*name, "root")).collect();
    for (page, cookie, status) in [(OWN, session(&ann), 200), (OWN, String::new(), 302)] {
        let headers =
            [&forwarded(page)[..], &forged, &[("cookie", cookie.as_str()), HTML]].concat();
        let answer = get(&proxy, "/forward/proxy", &headers).await;
        assert_eq!(answer.status().as_u16(), status);
        let told = IDENTITY.map(|name| answer.headers().get(name));
        assert!(told.iter().flatten().all(|value| *value != "root"));
        assert_eq!(told[0].is_some(), status == 200);
    }
}

#[tokio::test]
async fn a_cookie_is_of_one_host_and_the_login_cookie_of_none_but_ours() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await;
    let proxy = behind_proxy(&site).await;
    let wiki = app_cookie(&proxy, WIKI, &session(&ann)).await;
    let plain = app_cookie(&proxy, "http://plain.example.org:3000", &session(&ann)).await;
    let (wiki_value, plain_value) =
        (wiki.split_once('=').unwrap().1, plain.split_once('=').unwrap().1);
    let other = if wiki_value.ends_with('A') { 'B' } else { 'A' };
    assert!(wiki.starts_with("__Host-vestibule-app=") && plain.starts_with("vestibule-app="));
    for (page, cookie) in [
        (WIKI, session(&ann)),
        (OWN, wiki.clone()),
        (OWN, format!("vestibule={wiki_value}")),
        (WIKI, format!("__Host-vestibule-app={plain_value}")),
        (WIKI, format!("vestibule-app={wiki_value}")),
        (WIKI, format!("%5F_Host-vestibule-app={wiki_value}")),
        (WIKI, format!("{wiki}; __Host-vestibule-app={plain_value}")),
        (WIKI, format!("__Host-vestibule-app={}", wiki_value.to_lowercase())),
        (WIKI, format!("__Host-vestibule-app={}", &wiki_value[..85])),
        (WIKI, format!("__Host-vestibule-app={}{other}", &wiki_value[..85])),
        ("http://plain.example.org:3000/", format!("vestibule-app={wiki_value}")),
        ("https://example.org/app", wiki.clone()),
    ] {
        let answer = ask_proxy(&proxy, page, &cookie).await;
        assert_eq!(answer.status(), StatusCode::FOUND, "{page} {cookie}");
    }
    let beside = format!("theme=dark; {wiki}; caf\u{e9}=1");
    assert_eq!(ask_proxy(&proxy, WIKI, &beside).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn on_https_the_login_cookie_has_its_name() {
    let site = Site::with(|config| {
        config.base_url = vestibule::config::BaseUrl::parse("https://id.example.org").unwrap();
        with_apps(config);
    })
    .await;
    let proxy = at(&site.app, PROXY);
    let answer = ask_proxy(&proxy, "https://id.example.org/notes", "").await;
    assert_eq!(location(&answer), "https://id.example.org/login?next=/notes");
    let answer = ask_proxy(&proxy, "http://id.example.org/notes", "").await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn checks_never_hold_up_the_idle_time_of_a_short_session_either() {
    let site = Site::with(|config| {
        config.sessions = SessionLife { idle: 1200, max: 86_400, idle_unremembered: 1200 };
        with_apps(config);
    })
    .await;
    let ann = site.registered("ann").await;
    let proxy = at(&site.app, PROXY);
    for _ in 0..10 {
        site.wait(400);
        until(async || {
            assert_eq!(ask_proxy(&proxy, OWN, &session(&ann)).await.status(), StatusCode::OK);
            site.count("select max(last_seen_at) from vestibule_sessions").await
                == site.app.clock.now()
        })
        .await;
    }
}
