//! Logging in to an application on a host of its own: there, back with a ticket, and out.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use futures_util::future::join_all;
use tower::ServiceExt;
use vestibule::accounts::disable_account::disable;
use vestibule::models::user::find_user_by_username;

use crate::support::apps::{
    AppLogin, HTML, PROXY, WIKI, app_cookie, ask_proxy, at, behind_proxy, get, location, session,
    set_cookie, with_apps,
};
use crate::support::{Browser, PASSWORD, Site, body_of};

const PLAIN: &str = "http://plain.example.org:3000";

fn on_host(origin: &str) -> [(&str, &str); 2] {
    let (scheme, host) = origin.split_once("://").unwrap();
    [("x-forwarded-proto", scheme), ("x-forwarded-host", host)]
}

async fn log_out(router: &Router, headers: &[(&str, &str)], body: &str) -> Response<Body> {
    let request = headers.iter().fold(
        Request::post("/.vestibule/logout")
            .header("content-type", "application/x-www-form-urlencoded"),
        |request, (name, value)| request.header(*name, *value),
    );
    router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap()
}

/// No cookie but one that is removed, and no way on.
fn assert_refused(answer: &Response<Body>, what: &str) {
    assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{what}");
    assert!(!answer.headers().contains_key("set-cookie"), "{what}");
    assert_eq!(location(answer), "", "{what}");
}

on_both_databases! {
    async fn a_login_leads_back_to_the_page_that_was_requested(site: Site) {
        let ann = site.registered("ann").await;
        let proxy = behind_proxy(&site).await;
        for page in [
            "https://wiki.example.org/a/b?c=d&e=%2F#",
            "https://wiki.example.org//evil.example/",
            "http://plain.example.org:3000/x?next=https://evil.example/",
            "https://example.org/app/x",
        ] {
            let page = page.trim_end_matches('#');
            let origin = url::Url::parse(page).unwrap().origin().ascii_serialization();
            let login = AppLogin::start(&proxy, page, &session(&ann)).await;
            assert!(login.callback.starts_with(&format!("{origin}/.vestibule/callback?ticket=")));
            let answer = login.finish(&proxy, &origin, &login.browser_cookie).await;
            assert_eq!(answer.status(), StatusCode::SEE_OTHER);
            assert_eq!(location(&answer), page);
            let (cookie, attributes) = set_cookie(answer.headers());
            let is_https = page.starts_with("https");
            let (name, secure) = if is_https { ("__Host-vestibule-app=", "; Secure") } else { ("vestibule-app=", "") };
            assert!(cookie.starts_with(name), "{cookie}");
            assert_eq!(attributes, format!("HttpOnly; SameSite=Lax{secure}; Path=/"));
            assert_eq!(ask_proxy(&proxy, page, &cookie).await.status(), StatusCode::OK);
        }
    }

    async fn a_ticket_works_once_even_in_parallel(site: Site) {
        let ann = site.registered("ann").await;
        let proxy = behind_proxy(&site).await;
        let login = AppLogin::start(&proxy, WIKI, &session(&ann)).await;
        let tries = (0..10).map(|_| login.finish(&proxy, WIKI, &login.browser_cookie));
        let answers = join_all(tries).await;
        let (used, refused): (Vec<_>, Vec<_>) =
            answers.into_iter().partition(|answer| answer.status() == StatusCode::SEE_OTHER);
        assert_eq!((used.len(), refused.len()), (1, 9));
        for answer in &refused {
            assert_refused(answer, "replayed");
        }
    }

    async fn a_head_neither_issues_nor_uses_up_a_ticket(site: Site) {
        let ann = site.registered("ann").await;
        let proxy = behind_proxy(&site).await;
        let head = async |path: &str, headers: &[(&str, &str)]| {
            let request = headers.iter().fold(Request::head(path), |it, (name, value)| it.header(*name, *value));
            proxy.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
        };
        let login = AppLogin::start(&proxy, WIKI, &session(&ann)).await;
        let callback = login.callback.strip_prefix(WIKI).unwrap();
        let enter = format!("/login/app?next=https://wiki.example.org/&browser={}", "A".repeat(43));
        let session = session(&ann);
        let host = [("x-forwarded-proto", "https"), ("x-forwarded-host", "wiki.example.org")];
        let cookie = [("cookie", login.browser_cookie.as_str())];
        for (path, headers) in [(callback, [&host[..], &cookie].concat()), (&enter, vec![("cookie", &*session)])] {
            let answer = head(path, &headers).await;
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
            assert!(!answer.headers().contains_key("set-cookie"), "{path}");
            assert_eq!(site.count("select count(*) from vestibule_tickets").await, 1, "{path}");
        }
        assert_eq!(login.finish(&proxy, WIKI, &login.browser_cookie).await.status(), StatusCode::SEE_OTHER);
    }

    async fn a_disabled_account_is_nobody_to_applications_at_once(site: Site) {
        let ann = site.registered("ann").await;
        let proxy = behind_proxy(&site).await;
        let cookie = app_cookie(&proxy, WIKI, &session(&ann)).await;
        let login = AppLogin::start(&proxy, WIKI, &session(&ann)).await;
        let user = find_user_by_username(site.db().reader(), "ann").await.unwrap().unwrap();
        disable(&site.app, &user).await.unwrap().unwrap();
        let answer = login.finish(&proxy, WIKI, &login.browser_cookie).await;
        assert_refused(&answer, "disabled");
        for ask in [ask_proxy(&proxy, WIKI, &cookie).await, ask_proxy(&proxy, "http://localhost:8000/notes", &session(&ann)).await] {
            assert_eq!(ask.status(), StatusCode::FOUND);
            assert!(!ask.headers().contains_key("remote-user"));
        }
    }

    async fn a_ticket_lives_for_half_a_minute(site: Site) {
        let ann = site.registered("ann").await;
        let proxy = behind_proxy(&site).await;
        let login = AppLogin::start(&proxy, WIKI, &session(&ann)).await;
        site.wait(29);
        assert_eq!(login.finish(&proxy, WIKI, &login.browser_cookie).await.status(), StatusCode::SEE_OTHER);
        let login = AppLogin::start(&proxy, WIKI, &session(&ann)).await;
        site.wait(30);
        assert_refused(&login.finish(&proxy, WIKI, &login.browser_cookie).await, "expired");
    }

    async fn a_ticket_is_for_one_application_and_the_browser_of_the_login(site: Site) {
        let (ann, eve) = (site.registered("ann").await, site.registered("eve").await);
        let proxy = behind_proxy(&site).await;
        let eves = AppLogin::start(&proxy, WIKI, &session(&eve)).await;
        for (what, origin, browser_cookie) in [
            ("another application", "https://example.org", None),
            ("the same host on http", "http://wiki.example.org", None),
            ("no application", "https://evil.example", None),
            ("this site", "http://localhost:8000", None),
            ("no browser", WIKI, Some("")),
            ("another browser", WIKI, Some(eves.browser_cookie.as_str())),
            ("a made-up browser", WIKI, Some("__Host-vestibule-app-login=AAAA")),
            ("its own digest", WIKI, Some("digest")),
        ] {
            let login = AppLogin::start(&proxy, WIKI, &session(&ann)).await;
            let digest = login.browser_cookie.split_once('=').unwrap().1;
            let digest = vestibule::accounts::app_login::browser_digest(digest);
            let digest = format!("__Host-vestibule-app-login={digest}");
            let browser_cookie = match browser_cookie { None => &login.browser_cookie, Some("digest") => &digest, Some(browser_cookie) => browser_cookie };
            assert_refused(&login.finish(&proxy, origin, browser_cookie).await, what);
        }
        // Nobody is logged in as somebody else by a link.
        let answer = eves.finish(&proxy, WIKI, &AppLogin::start(&proxy, WIKI, &session(&ann)).await.browser_cookie).await;
        assert_refused(&answer, "eve's ticket in ann's browser");
        assert_refused(&eves.finish(&proxy, WIKI, &eves.browser_cookie).await, "a ticket that was shown elsewhere");
    }

    async fn a_ticket_ends_with_its_login(site: Site) {
        let ann = site.registered("ann").await;
        let proxy = behind_proxy(&site).await;
        let login = AppLogin::start(&proxy, WIKI, &session(&ann)).await;
        ann.post("/logout", &[]).await;
        assert_refused(&login.finish(&proxy, WIKI, &login.browser_cookie).await, "logged out");
    }

    async fn tickets_lie_hashed_and_are_swept(site: Site) {
        let ann = site.registered("ann").await;
        let proxy = behind_proxy(&site).await;
        let login = AppLogin::start(&proxy, WIKI, &session(&ann)).await;
        let ticket = login.callback.split_once("ticket=").unwrap().1;
        let browser_cookie = login.browser_cookie.split_once('=').unwrap().1;
        assert!(ticket.len() == 43 && browser_cookie.len() == 43);
        let rows = vestibule::db::sql("select app, browser, next, token_hash, session_key from vestibule_tickets");
        let rows = rows.fetch_all::<(String, String, String, Vec<u8>, Vec<u8>)>(site.db().reader()).await.unwrap();
        let (app, browser, next, hash, _) = &rows[0];
        assert_eq!((app.as_str(), next.as_str(), hash.len()), (WIKI, "https://wiki.example.org/", 32));
        assert!(browser != browser_cookie && hash != ticket.as_bytes());
        site.wait(31);
        vestibule::tasks::sweep::sweep(&site.app).await.unwrap();
        assert_eq!(site.count("select count(*) from vestibule_tickets").await, 0);
    }

    async fn a_session_has_a_hundred_tickets_at_most(site: Site) {
        let ann = site.registered("ann").await;
        let proxy = behind_proxy(&site).await;
        let browser = "A".repeat(43);
        let enter = format!("/login/app?next=https://wiki.example.org/&browser={browser}");
        let session = session(&ann);
        for _ in 0..100 {
            assert_eq!(get(&proxy, &enter, &[("cookie", &session)]).await.status(), StatusCode::SEE_OTHER);
        }
        let answer = get(&proxy, &enter, &[("cookie", &session)]).await;
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.headers()["retry-after"], "30");
        site.wait(30);
        assert_eq!(get(&proxy, &enter, &[("cookie", &session)]).await.status(), StatusCode::SEE_OTHER);
    }

    async fn logging_out_of_an_application_ends_the_login_everywhere(site: Site) {
        let mut ann = site.registered("ann").await;
        let proxy = behind_proxy(&site).await;
        let wiki = app_cookie(&proxy, WIKI, &session(&ann)).await;
        let plain = app_cookie(&proxy, PLAIN, &session(&ann)).await;
        let headers = [&on_host(WIKI)[..], &[("cookie", &wiki), ("origin", WIKI)]].concat();
        let answer = log_out(&proxy, &headers, "").await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        assert_eq!(location(&answer), "http://localhost:8000/login");
        let (cookie, attributes) = set_cookie(answer.headers());
        assert_eq!(cookie, "__Host-vestibule-app=");
        assert_eq!(attributes, "HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0");
        for (page, cookie) in [(WIKI, &wiki), (PLAIN, &plain)] {
            assert_eq!(ask_proxy(&proxy, page, cookie).await.status(), StatusCode::FOUND);
        }
        assert!(!ann.is_logged_in().await);
        assert_eq!(log_out(&proxy, &headers, "").await.status(), StatusCode::SEE_OTHER, "again");
    }
}

#[tokio::test]
async fn logging_out_leads_on_to_the_applications_alone() {
    let site = Site::on_sqlite().await;
    let proxy = behind_proxy(&site).await;
    let headers = [&on_host(WIKI)[..], &[("origin", WIKI)]].concat();
    let login = "http://localhost:8000/login";
    for (body, place) in [
        ("next=/goodbye?x", "https://wiki.example.org/goodbye?x"),
        ("next=https://example.org/app/", "https://example.org/app/"),
        ("next=https://evil.example/", login),
        ("next=//evil.example/", login),
        ("next=/\\evil.example/", login),
        ("next=@evil.example/", login),
        ("next=/a&next=/b", login),
        ("", login),
    ] {
        assert_eq!(location(&log_out(&proxy, &headers, body).await), place, "{body}");
    }
}

#[tokio::test]
async fn logging_out_is_taken_from_the_applications_own_origin_alone() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await;
    let proxy = behind_proxy(&site).await;
    let wiki = app_cookie(&proxy, WIKI, &session(&ann)).await;
    let same = ("sec-fetch-site", "same-origin");
    for named in [
        &[][..],
        &[("origin", "https://evil.example")],
        &[("origin", "http://localhost:8000")],
        &[("origin", "https://example.org")],
        &[("origin", "http://wiki.example.org")],
        &[("origin", "null")],
        &[("referer", "https://evil.example/https://wiki.example.org/")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site"), ("origin", WIKI)],
        &[("sec-fetch-site", "cross-site"), ("origin", WIKI)],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-site", "none"), ("origin", "null")],
        &[("sec-fetch-site", "cross-site"), ("origin", "null")],
        &[same, ("origin", "http://localhost:8000")],
        &[same, ("origin", "https://evil.example")],
    ] {
        let headers = [&on_host(WIKI)[..], &[("cookie", &wiki)], named].concat();
        assert_refused(&log_out(&proxy, &headers, "").await, &format!("{named:?}"));
        assert_eq!(ask_proxy(&proxy, WIKI, &wiki).await.status(), StatusCode::OK);
    }
    for named in [
        &[("origin", WIKI)][..],
        &[("referer", "https://wiki.example.org/a")],
        &[same],
        &[same, ("origin", "null")],
        &[same, ("origin", WIKI)],
    ] {
        let headers = [&on_host(WIKI)[..], named].concat();
        assert_eq!(log_out(&proxy, &headers, "").await.status(), StatusCode::SEE_OTHER);
    }
}

#[tokio::test]
async fn the_urls_of_applications_are_there_on_their_hosts_alone() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await;
    let app = site.app_with(with_apps).await;
    let (proxy, stranger) = (at(&app, PROXY), at(&app, "10.0.0.2"));
    let good = on_host(WIKI);
    let wiki = app_cookie(&proxy, WIKI, &session(&ann)).await;
    for (what, router, headers) in [
        ("from a stranger", &stranger, good.to_vec()),
        ("no host", &proxy, vec![good[0]]),
        ("no scheme", &proxy, vec![good[1]]),
        ("two hosts", &proxy, vec![good[0], good[1], good[1]]),
        (
            "a list of hosts",
            &proxy,
            vec![good[0], ("x-forwarded-host", "wiki.example.org, evil.example")],
        ),
        ("two schemes", &proxy, vec![good[0], good[0], good[1]]),
        ("another scheme", &proxy, vec![("x-forwarded-proto", "http"), good[1]]),
        ("another host", &proxy, vec![good[0], ("x-forwarded-host", "evil.example")]),
        ("a final dot", &proxy, vec![good[0], ("x-forwarded-host", "wiki.example.org.")]),
        ("this site", &proxy, on_host("http://localhost:8000").to_vec()),
        ("nothing", &proxy, vec![("host", "wiki.example.org")]),
        ("the other family", &proxy, vec![("x-original-url", "https://wiki.example.org/")]),
    ] {
        for path in ["/.vestibule/login?next=/", "/.vestibule/callback?ticket=x"] {
            assert_refused(&get(router, path, &headers).await, what);
        }
        let named = [&headers[..], &[("origin", WIKI), ("cookie", wiki.as_str())]].concat();
        assert_refused(&log_out(router, &named, "").await, what);
    }
    assert_eq!(ask_proxy(&proxy, WIKI, &wiki).await.status(), StatusCode::OK);
    let spelled = [("x-forwarded-proto", "HTTPS"), ("x-forwarded-host", "WIKI.example.org:443")];
    let answer = get(&proxy, "/.vestibule/login?next=/", &spelled).await;
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn starting_a_login_leads_to_the_login_page_and_nowhere_else() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await;
    let proxy = behind_proxy(&site).await;
    let session = session(&ann);
    let long = format!("/{}", "a".repeat(3000));
    for (origin, next, place) in [
        (WIKI, "/a%3Fb%3Dc%26d", "https://wiki.example.org/a?b=c&d"),
        (WIKI, "", "https://wiki.example.org/"),
        (WIKI, "a", "https://wiki.example.org/"),
        (WIKI, "https://evil.example/", "https://wiki.example.org/"),
        (WIKI, "//evil.example/", "https://wiki.example.org//evil.example/"),
        (WIKI, "/\\evil.example/", "https://wiki.example.org/"),
        (WIKI, "@evil.example/", "https://wiki.example.org/"),
        (WIKI, ".evil.example/", "https://wiki.example.org/"),
        (WIKI, ":8443/", "https://wiki.example.org/"),
        (WIKI, "/%0d%0aSet-Cookie:x", "https://wiki.example.org/"),
        (WIKI, &long, "https://wiki.example.org/"),
        ("https://example.org", "/other", "https://example.org/app/"),
        ("https://example.org", "/app/../other", "https://example.org/app/"),
        ("https://example.org", "/app/..%252fother", "https://example.org/app/"),
        ("https://example.org", "/app/x", "https://example.org/app/x"),
    ] {
        let path = format!("/.vestibule/login?next={next}");
        let answer = get(&proxy, &path, &on_host(origin)).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let login = location(&answer).strip_prefix("http://localhost:8000").unwrap();
        assert!(login.starts_with("/login?next=/login/app"), "{login}");
        let (browser_cookie, attributes) = set_cookie(answer.headers());
        let enter = get(&proxy, login, &[("cookie", &session)]).await;
        let ticket = get(&proxy, location(&enter), &[("cookie", &session)]).await;
        let login = AppLogin { browser_cookie, callback: location(&ticket).to_owned() };
        let back = login.finish(&proxy, origin, &login.browser_cookie).await;
        assert_eq!(location(&back), place, "{next}");
        assert_eq!(attributes, "HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=86400");
    }
    let answer = get(&proxy, "/.vestibule/login?next=/a&next=/b", &on_host(WIKI)).await;
    assert_refused(&answer, "next twice");
}

#[tokio::test]
async fn logins_in_several_tabs_all_come_back() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await;
    let proxy = behind_proxy(&site).await;
    let first = AppLogin::start(&proxy, "https://wiki.example.org/a", &session(&ann)).await;
    let headers = [&on_host(WIKI)[..], &[("cookie", first.browser_cookie.as_str())]].concat();
    let second = get(&proxy, "/.vestibule/login?next=/b", &headers).await;
    assert_eq!(set_cookie(second.headers()).0, first.browser_cookie);
    let back = first.finish(&proxy, WIKI, &first.browser_cookie).await;
    assert_eq!(location(&back), "https://wiki.example.org/a");
}

#[tokio::test]
async fn a_stranger_logs_in_on_the_way_and_a_forged_way_leads_nowhere() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let proxy = behind_proxy(&site).await;
    let started = get(&proxy, "/.vestibule/login?next=/a", &on_host(WIKI)).await;
    let login = location(&started).strip_prefix("http://localhost:8000").unwrap().to_owned();
    let mut ann = Browser::new(proxy.clone());
    ann.open(&login).await;
    let next = ann.attribute("input[name=next]", "value").unwrap();
    let fields = [("username", "ann"), ("password", PASSWORD), ("next", next.as_str())];
    let answer = ann.post("/login", &fields).await;
    ann.keep(&answer);
    let ticket = get(&proxy, location(&answer), &[("cookie", &session(&ann))]).await;
    let login = AppLogin {
        browser_cookie: set_cookie(started.headers()).0,
        callback: location(&ticket).to_owned(),
    };
    assert_eq!(
        location(&login.finish(&proxy, WIKI, &login.browser_cookie).await),
        "https://wiki.example.org/a"
    );

    let browser = "A".repeat(43);
    for next in [
        "https://evil.example/",
        "/account",
        "http://localhost:8000/",
        "https://example.org/other",
        "",
    ] {
        let path = format!("/login/app?next={next}&browser={browser}");
        let answer = get(&proxy, &path, &[("cookie", &session(&ann))]).await;
        assert_eq!(location(&answer), "/account", "{next}");
    }
    for query in ["", "next=https://wiki.example.org/", "next=https://wiki.example.org/&browser=x"]
    {
        let path = format!("/login/app?{query}");
        let answer = get(&proxy, &path, &[("cookie", &session(&ann))]).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{query}");
    }
    let path = format!("/login/app?next=https://wiki.example.org/&browser={browser}");
    let stranger = get(&proxy, &path, &[HTML]).await;
    assert!(location(&stranger).starts_with("/login?next=/login/app%3Fnext%3D"));
    assert_eq!(site.count("select count(*) from vestibule_tickets").await, 0);
}

#[tokio::test]
async fn without_a_database_nobody_gets_in_or_is_told_that_they_are_out() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await;
    let app = site.app_with(with_apps).await;
    let proxy = at(&app, PROXY);
    let wiki = app_cookie(&proxy, WIKI, &session(&ann)).await;
    let login = AppLogin::start(&proxy, WIKI, &session(&ann)).await;
    app.db.close().await;
    let back = login.finish(&proxy, WIKI, &login.browser_cookie).await;
    assert_eq!(back.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(!back.headers().contains_key("set-cookie"));
    let headers = [&on_host(WIKI)[..], &[("cookie", &wiki), ("origin", WIKI)]].concat();
    let answer = log_out(&proxy, &headers, "").await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(body_of(answer).await.contains("Try again"));
}
