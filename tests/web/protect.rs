//! `protect` and `security_headers` around an application's own routes.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{any, get};
use tower::ServiceExt;
use vestibule::config::BaseUrl;
use vestibule::{App, CurrentUser, protect, require_login, security_headers};

use crate::protection::ORIGINS;
use crate::support::{Site, body_of};

const HEADERS: &[(&str, &str)] = &[
    (
        "content-security-policy",
        "default-src 'self'; object-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
];

/// A page that sets every header itself.
async fn own_headers() -> impl IntoResponse {
    HEADERS.iter().fold(Response::new(Body::empty()), |mut page, (name, _)| {
        page.headers_mut().insert(*name, "own".parse().unwrap());
        page
    })
}

fn routes() -> Router<App> {
    Router::new()
        .route("/", any(async || "done"))
        .route("/own", get(own_headers))
        .route("/who", get(async |user: Option<CurrentUser>| user.is_some().to_string()))
        .route("/cached", get(async |_: Option<CurrentUser>| [("cache-control", "max-age=60")]))
}

fn protected(app: &App) -> Router {
    routes().layer(protect(app)).with_state(app.clone())
}

async fn send(
    router: &Router,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> Response<Body> {
    let request = Request::builder().method(method).uri(path);
    let headers = headers.iter();
    let request = headers.fold(request, |request, (name, value)| request.header(*name, *value));
    router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

fn assert_protected(answer: &Response<Body>) {
    for (name, value) in HEADERS {
        assert_eq!(answer.headers()[*name], value, "{name}");
    }
}

#[tokio::test]
async fn a_change_must_show_that_it_comes_from_this_site() {
    let site = Site::on_sqlite().await;
    let router = protected(&site.app);
    for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
        for (headers, passes) in ORIGINS {
            let answer = send(&router, method.clone(), "/", headers).await;
            let expected = if *passes { StatusCode::OK } else { StatusCode::FORBIDDEN };
            assert_eq!(answer.status(), expected, "{method} {headers:?}");
            assert_protected(&answer);
            assert_eq!(body_of(answer).await == "done", *passes);
        }
    }
}

#[tokio::test]
async fn what_changes_nothing_may_come_from_anywhere() {
    let site = Site::on_sqlite().await;
    let router = protected(&site.app);
    for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
        for (headers, _) in ORIGINS {
            let answer = send(&router, method.clone(), "/", headers).await;
            assert_eq!(answer.status(), StatusCode::OK, "{method} {headers:?}");
        }
    }
}

#[tokio::test]
async fn every_answer_gets_the_headers_that_it_does_not_have() {
    let site = Site::on_sqlite().await;
    let router = protected(&site.app).fallback(async || StatusCode::NOT_FOUND);
    assert_protected(&send(&router, Method::GET, "/", &[]).await);
    let answer = send(&router, Method::GET, "/own", &[]).await;
    for (name, _) in HEADERS {
        assert_eq!(answer.headers()[*name], "own", "{name}");
        assert_eq!(answer.headers().get_all(*name).iter().count(), 1);
    }
    let answer = send(&router, Method::GET, "/", &[]).await;
    assert!(!answer.headers().contains_key("strict-transport-security"));
    let https = site.app_with(|config| {
        config.base_url = BaseUrl::parse("https://id.example.org").unwrap();
    });
    let answer = send(&protected(&https.await), Method::GET, "/", &[]).await;
    assert_eq!(answer.headers()["strict-transport-security"], "max-age=63072000");
}

#[tokio::test]
async fn only_answers_that_depend_on_the_user_are_kept_from_caches() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await;
    let group = Router::new().route("/group", get(async || "for members"));
    let routes = routes().merge(group.route_layer(require_login(&site.app)));
    let router = routes.clone().layer(protect(&site.app)).with_state(site.app.clone());
    for (path, cache, vary) in [
        ("/", None, None),
        ("/who", Some("no-store"), Some("cookie")),
        ("/group", Some("no-store"), Some("cookie")),
        ("/cached", Some("max-age=60"), Some("cookie")),
    ] {
        for browser in [ann.at(&router), site.browser().at(&router)] {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let answer = browser.send(request).await;
            let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
            assert_eq!(header("cache-control"), cache, "{path}");
            assert!(answer.status() == StatusCode::SEE_OTHER || header("vary") >= vary, "{path}");
        }
    }
    // Without `protect`, too.
    let bare = ann.at(&routes.with_state(site.app.clone()));
    let answer = bare.send(Request::get("/group").body(Body::empty()).unwrap()).await;
    assert_eq!(answer.headers()["cache-control"], "no-store");
}

#[tokio::test]
async fn the_check_of_the_origin_can_be_left_out() {
    let site = Site::on_sqlite().await;
    let router = routes().layer(security_headers(&site.app)).with_state(site.app.clone());
    let answer = send(&router, Method::POST, "/", &[("origin", "https://evil.example")]).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_protected(&answer);
}

#[tokio::test]
async fn the_pages_keep_their_own_headers_inside_of_it() {
    let site = Site::on_sqlite().await;
    let around = site.router.clone().layer(protect(&site.app));
    for path in ["/login", "/nowhere"] {
        let inside = send(&site.router, Method::GET, path, &[]).await;
        let answer = send(&around, Method::GET, path, &[]).await;
        assert_eq!(answer.status(), inside.status());
        let name = "content-security-policy";
        assert_eq!(answer.headers()[name], inside.headers()[name], "{path}");
    }
}
