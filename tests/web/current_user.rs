//! An application's own routes learn who is logged in: `CurrentUser` and `require_login`.

use axum::Router;
use axum::body::Body;
use axum::extract::FromRef;
use axum::http::{Request, Response, StatusCode, header};
use axum::routing::get;
use serde_json::{Value, json};
use tower::ServiceExt;
use vestibule::config::BaseUrl;
use vestibule::models::user::find_user_by_username;
use vestibule::{App, CurrentUser, require_login};

use crate::support::work::work_of;
use crate::support::{Browser, PASSWORD, Site, body_of, until};

/// What a browser sends when it navigates.
const PAGE: &[(&str, &str)] =
    &[("accept", "text/html,application/xhtml+xml,*/*;q=0.8"), ("sec-fetch-mode", "navigate")];

/// An application's state, with more in it than the accounts.
#[derive(Clone)]
struct Host {
    accounts: App,
    _name: &'static str,
}

impl FromRef<Host> for App {
    fn from_ref(host: &Host) -> Self {
        host.accounts.clone()
    }
}

async fn who(user: CurrentUser) -> String {
    json!(user).to_string()
}

async fn perhaps(user: Option<CurrentUser>) -> String {
    user.map_or_else(|| "nobody".to_owned(), |user| user.username)
}

async fn both(again: Option<CurrentUser>, user: CurrentUser) -> String {
    assert_eq!(again.as_ref(), Some(&user));
    user.username
}

fn host(app: &App) -> Router {
    let group = Router::new()
        .route("/group", get(async || "for members").post(async || "changed"))
        .route("/group/who", get(both))
        .route_layer(require_login(app));
    Router::new()
        .route("/who", get(who).fallback(who))
        .route("/perhaps", get(perhaps))
        .merge(group.clone())
        .nest("/inner", group.route("/who", get(who)))
        .with_state(Host { accounts: app.clone(), _name: "notes" })
}

async fn ask(router: &Router, request: Request<Body>) -> Response<Body> {
    router.clone().oneshot(request).await.unwrap()
}

fn page(method: &str, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let request = Request::builder().method(method).uri(path);
    let headers = headers.iter();
    let request = headers.fold(request, |request, (name, value)| request.header(*name, *value));
    request.body(Body::empty()).unwrap()
}

/// A page's GET by the visitor of `browser`.
async fn open(browser: &Browser, path: &str) -> Response<Body> {
    browser.send(page("GET", path, PAGE)).await
}

fn location(answer: &Response<Body>) -> &str {
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    answer.headers()[header::LOCATION].to_str().unwrap()
}

async fn told(answer: Response<Body>) -> (u16, Value) {
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&body_of(answer).await).unwrap())
}

on_both_databases! {
    async fn a_handler_learns_who_is_logged_in(site: Site) {
        let host = host(&site.app);
        let ann = site.registered("ann").await;
        let user = find_user_by_username(site.db().reader(), "ann").await.unwrap().unwrap();
        let expected = json!({
            "id": user.id,
            "username": "ann",
            "email": "ann@meadow.example",
            "email_verified": true,
            "logged_in_at": "2026-11-22T18:00:00Z",
        });
        assert_eq!(told(open(&ann.at(&host), "/who").await).await, (200, expected.clone()));
        assert_eq!(told(open(&ann, "/session").await).await, (200, expected));
        assert_eq!(body_of(open(&ann.at(&host), "/perhaps").await).await, "ann");
        assert_eq!(body_of(open(&ann.at(&host), "/group").await).await, "for members");
        assert_eq!(body_of(open(&ann.at(&host), "/inner/group/who").await).await, "ann");
        assert_eq!(body_of(open(&site.browser().at(&host), "/perhaps").await).await, "nobody");
    }

    async fn a_session_that_has_ended_is_refused_with_the_next_request(site: Site) {
        let host = host(&site.app);
        site.registered("ann").await;
        for way in ["logout", "reset", "expiry"] {
            let mut ann = site.browser();
            let password = if way == "expiry" { "velvet anchor pudding" } else { PASSWORD };
            ann.log_in("ann", password).await;
            let old = ann.at(&host);
            assert_eq!(open(&old, "/group").await.status(), StatusCode::OK, "{way}");
            match way {
                "logout" => drop(ann.post("/logout", &[]).await),
                "reset" => {
                    let (mut owner, code) = site.with_code("ann").await;
                    owner.reset(&code, "velvet anchor pudding").await;
                }
                _ => site.wait(12 * 60 * 60),
            }
            for path in ["/who", "/group"] {
                let answer = open(&old, path).await;
                assert_eq!(location(&answer), format!("/login?next={path}"), "{way}");
            }
            assert_eq!(body_of(open(&old, "/perhaps").await).await, "nobody", "{way}");
        }
    }

    async fn a_cookie_costs_one_read_and_none_costs_nothing(site: Site) {
        let host = host(&site.app);
        let ann = site.registered("ann").await.at(&host);
        for path in ["/who", "/perhaps", "/group", "/group/who", "/inner/who"] {
            let (answer, work) = work_of(open(&ann, path)).await;
            assert_eq!((answer.status(), work.len()), (StatusCode::OK, 1), "{path}: {work:?}");
            assert!(work[0].starts_with("select"), "{work:?}");
        }
        let mut stranger = site.browser().at(&host);
        for cookie in [None, Some("made up"), Some("AAAA"), Some("")] {
            if let Some(cookie) = cookie {
                stranger.set_cookie("vestibule", cookie);
            }
            for path in ["/who", "/perhaps", "/group/who"] {
                let (_, work) = work_of(open(&stranger, path)).await;
                assert_eq!(work, Vec::<String>::new(), "{path} {cookie:?}");
            }
        }
        stranger.set_cookie("vestibule", "AAAAAAAAAAAAAAAAAAAAAA");
        let (answer, work) = work_of(open(&stranger, "/who")).await;
        assert_eq!((location(&answer), work.len()), ("/login?next=/who", 1), "{work:?}");
    }

    async fn a_person_who_uses_the_application_alone_stays_logged_in(site: Site) {
        let host = host(&site.app);
        let ann = site.registered("ann").await.at(&host);
        let seen = async || site.count("select last_seen_at from vestibule_sessions").await;
        let first = seen().await;
        site.wait(598);
        assert_eq!(open(&ann, "/who").await.status(), StatusCode::OK);
        site.wait(1);
        for path in ["/who", "/perhaps", "/group", "/group/who"] {
            assert_eq!(open(&ann, path).await.status(), StatusCode::OK);
        }
        until(async || seen().await == first + 600).await;
        for _ in 0..3 {
            site.wait(11 * 60 * 60);
            let before = seen().await;
            until(async || {
                assert_eq!(open(&ann, "/group").await.status(), StatusCode::OK);
                seen().await > before
            })
            .await;
        }
    }
}

#[tokio::test]
async fn an_anonymous_page_leads_to_the_login_and_back() {
    let site = Site::on_sqlite().await;
    let host = host(&site.app);
    for (path, login) in [
        ("/who", "/login?next=/who"),
        ("/who?a=b&c=%2F+d", "/login?next=/who%3Fa%3Db%26c%3D%252F%2Bd"),
        ("/who?next=/x#", "/login?next=/who%3Fnext%3D/x"),
        ("/group?a", "/login?next=/group%3Fa"),
        ("/inner/group?a=1", "/login?next=/inner/group%3Fa%3D1"),
        ("/inner/who?%C3%BC", "/login?next=/inner/who%3F%25C3%25BC"),
    ] {
        for method in ["GET", "HEAD"] {
            let answer = ask(&host, page(method, path, PAGE)).await;
            assert_eq!(location(&answer), login, "{method} {path}");
            assert_eq!(answer.headers()["cache-control"], "no-store");
            assert!(!answer.headers().contains_key("set-cookie"));
        }
    }
    site.registered("ann").await;
    let mut ann = site.browser();
    ann.open("/login?next=/who%3Fa%3Db%26c%3D%252F%2Bd").await;
    let fields = [("username", "ann"), ("password", PASSWORD), ("next", "/who?a=b&c=%2F+d")];
    let answer = ann.post("/login", &fields).await;
    assert_eq!(location(&answer), "/who?a=b&c=%2F+d");
}

#[tokio::test]
async fn beside_the_pages_under_a_path_the_login_is_there_and_the_way_back_is_whole() {
    let site = Site::on_sqlite().await;
    let app = site.app_with(|config| {
        config.base_url = BaseUrl::parse("http://localhost:8000/accounts").unwrap();
    });
    let app = app.await;
    let router = host(&app).nest("/accounts", vestibule::router(&app));
    let mut ann = site.registered("ann").await.at(&router);
    assert_eq!(open(&ann, "/inner/group/who").await.status(), StatusCode::OK);
    ann.post("/accounts/logout", &[]).await;
    let answer = open(&ann, "/inner/group?a=1").await;
    assert_eq!(location(&answer), "/accounts/login?next=/inner/group%3Fa%3D1");
    ann.open("/inner/group?a=1").await;
    ann.fill("Username or email", "ann").fill("Password", PASSWORD).press("Log in").await;
    assert_eq!((ann.path(), ann.text().as_str()), ("/inner/group?a=1", "for members"));
}

#[tokio::test]
async fn what_is_no_pages_get_is_answered_401() {
    let site = Site::on_sqlite().await;
    let host = host(&site.app);
    let html = PAGE[0];
    let not_pages: &[(&str, &[(&str, &str)])] = &[
        ("POST", PAGE),
        ("PUT", PAGE),
        ("DELETE", &[]),
        ("OPTIONS", PAGE),
        ("GET", &[html, ("sec-fetch-mode", "cors")]),
        ("GET", &[html, ("sec-fetch-mode", "same-origin")]),
        ("GET", &[html, ("sec-fetch-mode", "")]),
        ("GET", &[html, ("x-requested-with", "XMLHttpRequest")]),
        ("GET", &[html, ("x-requested-with", "fetch")]),
        ("GET", &[("accept", "application/json")]),
        ("GET", &[("accept", "*/*")]),
        ("GET", &[("accept", "")]),
        ("HEAD", &[("accept", "application/json")]),
    ];
    for (method, headers) in not_pages {
        let answer = ask(&host, page(method, "/who?a", headers)).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{method} {headers:?}");
        assert!(!answer.headers().contains_key("location"));
        assert_eq!(answer.headers()["cache-control"], "no-store");
        let body = body_of(answer).await;
        assert!(body.is_empty() || body == r#"{"error":"not_logged_in"}"#, "{body}");
    }
    for headers in [&[][..], &[("accept", "TEXT/HTML")], &[("accept", "a/b"), html]] {
        let answer = ask(&host, page("GET", "/who", headers)).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{headers:?}");
    }
}

#[tokio::test]
async fn a_forged_cookie_is_nobodys() {
    let site = Site::on_sqlite().await;
    let host = host(&site.app);
    let ann = site.registered("ann").await;
    let own = ann.cookie("vestibule").unwrap();
    let forged = [
        format!("vestibule={own}; vestibule=AAAAAAAAAAAAAAAAAAAAAA"),
        format!("%76estibule={own}"),
        format!("Vestibule={own}"),
        format!("__Host-vestibule={own}"),
        format!("vestibule=\"{own}\""),
        format!("vestibule={own}x"),
        format!("vestibule-app={own}"),
    ];
    for cookie in &forged {
        let headers = [PAGE[0], ("cookie", cookie.as_str())];
        for path in ["/who", "/group"] {
            let answer = ask(&host, page("GET", path, &headers)).await;
            assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{cookie}");
        }
        let answer = ask(&host, page("GET", "/perhaps", &headers)).await;
        assert_eq!(body_of(answer).await, "nobody", "{cookie}");
    }
    let among_others = format!("a=1; M\u{fc}ller=x; vestibule={own}; b=2");
    let answer = ask(&host, page("GET", "/who", &[PAGE[0], ("cookie", &among_others)])).await;
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_anonymous_session_is_nobodys() {
    let site = Site::on_sqlite().await;
    let mut out = site.registered("ann").await;
    let answer = out.post("/logout", &[]).await;
    out.keep(&answer);
    assert!(out.cookie("vestibule").is_some(), "it holds the notice");
    let answer = open(&out.at(&host(&site.app)), "/who").await;
    assert_eq!(location(&answer), "/login?next=/who");
}

#[tokio::test]
async fn without_a_database_nobody_is_let_through() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await.at(&host(&site.app));
    site.db().close().await;
    for path in ["/who", "/group", "/group/who", "/inner/who"] {
        let answer = open(&ann, path).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(answer.headers()["retry-after"], "2");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        assert!(body_of(answer).await.contains("Wait a few seconds"), "{path}");
    }
    assert_eq!(body_of(open(&ann, "/perhaps").await).await, "nobody");
    let stranger = open(&site.browser().at(&host(&site.app)), "/who").await;
    assert_eq!(stranger.status(), StatusCode::SEE_OTHER, "without a cookie nothing is read");
}

#[tokio::test]
async fn another_sites_session_is_nobodys() {
    let (site, other) = (Site::on_sqlite().await, Site::on_sqlite().await);
    let ann = site.registered("ann").await;
    other.registered("ann").await;
    let answer = open(&ann.at(&host(&other.app)), "/who").await;
    assert_eq!(location(&answer), "/login?next=/who");
}
