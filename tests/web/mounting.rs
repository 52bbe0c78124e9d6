//! The pages in the router of another application, merged or nested.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::routing::{get, post};
use vestibule::App;

use crate::support::walker::{journey, open_only, site_under};
use crate::support::{Browser, body_of};

/// An application with a state and pages of its own, and ours beside them or below a path.
fn application(app: &App, path: &str) -> Router {
    let own = Router::new()
        .route("/", get(async |State(name): State<&'static str>| name))
        .route("/healthz", get(async || "the host's"))
        .route("/static/app.css", get(async || "the host's"))
        .route("/favicon.ico", get(async || "the host's"))
        .route("/echo", post(async |body: String| body.len().to_string()))
        .fallback(async || (StatusCode::NOT_FOUND, "the host's"));
    let own = if path.is_empty() {
        own.merge(vestibule::router(app))
    } else {
        own.nest(path, vestibule::router(app))
    };
    own.with_state("the host's")
}

#[tokio::test]
async fn merged_into_an_application_every_url_is_right() {
    let site = site_under("").await;
    journey(&site, &application(&site.app, ""), "").await;
}

#[tokio::test]
async fn nested_in_an_application_every_url_is_right() {
    let site = site_under("/accounts").await;
    journey(&site, &application(&site.app, "/accounts"), "/accounts").await;
}

#[tokio::test]
async fn nested_twice_every_url_is_right() {
    let site = site_under("/app/accounts").await;
    let inner = application(&site.app, "/accounts");
    journey(&site, &Router::new().nest("/app", inner), "/app/accounts").await;
}

/// As a proxy passes requests on that takes the path away.
#[tokio::test]
async fn behind_a_proxy_that_strips_the_path_next_leads_back_through_it() {
    let site = site_under("/app/accounts").await;
    for (router, account) in [
        (application(&site.app, ""), "/account?a"),
        (application(&site.app, "/accounts"), "/accounts/account?a"),
    ] {
        let answer = open_only(&Browser::new(router), account).await;
        let login = "/app/accounts/login?next=/app/accounts/account%3Fa";
        assert_eq!(answer.headers()["location"], login);
    }
}

/// In both orders: the router that is merged into another could keep its fallback.
#[tokio::test]
async fn the_routes_of_an_application_are_left_alone() {
    let site = site_under("").await;
    let own = || Router::new().route("/echo", post(async |body: String| body.len().to_string()));
    let ours = || vestibule::router::<()>(&site.app);
    for router in [own().merge(ours()), ours().merge(own()), application(&site.app, "")] {
        let browser = Browser::new(router);
        for path in ["/nowhere", "/_vestibule", "/account/nowhere", "/session/", "/echo"] {
            let answer = open_only(&browser, path).await;
            assert!(answer.status().is_client_error(), "{path}");
            let added = answer
                .headers()
                .keys()
                .find(|name| !["allow", "content-type", "content-length"].contains(&name.as_str()));
            assert_eq!(added, None, "{path}");
            assert!(!body_of(answer).await.contains("<html"), "{path}");
        }
        // Another site's form, without an origin, larger than ours may be.
        let large = Request::post("/echo").body(Body::from("a".repeat(100_000))).unwrap();
        let answer = browser.send(large).await;
        assert_eq!((answer.status(), &*body_of(answer).await), (StatusCode::OK, "100000"));
    }
}

#[tokio::test]
async fn an_application_keeps_its_home_page_fallback_and_files() {
    for base in ["", "/accounts"] {
        let site = site_under(base).await;
        let browser = Browser::new(application(&site.app, base));
        for path in
            ["/", "/healthz", "/static/app.css", "/favicon.ico", "/nowhere", "/accounts/nowhere"]
        {
            assert_eq!(body_of(open_only(&browser, path).await).await, "the host's", "{path}");
        }
        if !base.is_empty() {
            assert_eq!(open_only(&browser, "/login").await.status(), StatusCode::NOT_FOUND);
        }
    }
}

#[tokio::test]
async fn a_router_that_is_nested_elsewhere_says_so() {
    for (base, path, says) in [
        (
            "",
            "/accounts",
            "http://localhost:8000: set VESTIBULE_BASE_URL to http://localhost:8000/accounts",
        ),
        (
            "/auth",
            "/accounts",
            "http://localhost:8000/auth: set VESTIBULE_BASE_URL to http://localhost:8000/accounts",
        ),
        ("/myaccounts", "/accounts", "localhost:8000/accounts"),
    ] {
        let site = site_under(base).await;
        let browser = Browser::new(application(&site.app, path));
        let answer = open_only(&browser, &format!("{path}/login")).await;
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let text = body_of(answer).await;
        assert!(text.starts_with(&format!("the router is nested at {path}")), "{text}");
        assert!(text.ends_with(says), "{text}");
    }
}
