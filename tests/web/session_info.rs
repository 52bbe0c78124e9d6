//! `GET /session` tells scripts and programs of this site who is logged in.

use axum::body::Body;
use axum::http::{Request, Response, StatusCode};
use serde_json::{Value, json};
use vestibule::models::user::find_user_by_username;

use crate::support::work::work_of;
use crate::support::{Browser, PASSWORD, Site, body_of, until};

async fn ask(browser: &Browser) -> Response<Body> {
    browser.send(Request::get("/session").body(Body::empty()).unwrap()).await
}

async fn told(answer: Response<Body>) -> (u16, Value) {
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&body_of(answer).await).unwrap())
}

fn not_logged_in() -> (u16, Value) {
    (401, json!({"error": "not_logged_in"}))
}

on_both_databases! {
    async fn it_tells_who_is_logged_in_and_since_when(site: Site) {
        site.registered("ann").await;
        let mut ann = site.browser();
        ann.log_in("ann", PASSWORD).await;
        site.wait(100);
        let user = find_user_by_username(site.db().reader(), "ann").await.unwrap().unwrap();
        let expected = json!({
            "id": user.id,
            "username": "ann",
            "email": "ann@meadow.example",
            "email_verified": true,
            "logged_in_at": "2026-11-22T18:00:01Z",
        });
        assert_eq!(told(ask(&ann).await).await, (200, expected));
        assert_eq!(told(ask(&site.browser()).await).await, not_logged_in());
    }

    async fn it_ends_with_the_session(site: Site) {
        let ann = site.registered("ann").await;
        ann.post("/logout", &[]).await;
        assert_eq!(told(ask(&ann).await).await, not_logged_in());
        let mut other = site.browser();
        other.log_in("ann", PASSWORD).await;
        site.wait(12 * 60 * 60);
        assert_eq!(told(ask(&other).await).await, not_logged_in());
    }

    async fn a_session_that_is_asked_for_alone_lives_on_with_one_write_in_ten_minutes(site: Site) {
        let ann = site.registered("ann").await;
        let seen = async || site.count("select last_seen_at from vestibule_sessions").await;
        let first = seen().await;
        site.wait(598);
        assert_eq!(ask(&ann).await.status(), StatusCode::OK);
        site.wait(1);
        for _ in 0..20 {
            assert_eq!(ask(&ann).await.status(), StatusCode::OK);
        }
        until(async || seen().await == first + 600).await;
        for _ in 0..30 {
            site.wait(11 * 60 * 60);
            let before = seen().await;
            until(async || {
                assert_eq!(ask(&ann).await.status(), StatusCode::OK);
                seen().await > before
            })
            .await;
        }
        site.wait(16 * 24 * 60 * 60);
        assert_eq!(told(ask(&ann).await).await, not_logged_in(), "30 days after the login");
    }

    async fn a_cookie_costs_one_read_and_none_costs_nothing(site: Site) {
        let ann = site.registered("ann").await;
        let (answer, work) = work_of(ask(&ann)).await;
        assert_eq!((answer.status(), work.len()), (StatusCode::OK, 1), "{work:?}");
        assert!(work[0].starts_with("select"), "{work:?}");
        let mut stranger = site.browser();
        for cookie in [None, Some("made up"), Some("AAAA"), Some("")] {
            if let Some(cookie) = cookie {
                stranger.set_cookie("vestibule", cookie);
            }
            let (answer, work) = work_of(ask(&stranger)).await;
            assert_eq!((answer.status(), work.len()), (StatusCode::UNAUTHORIZED, 0), "{work:?}");
        }
        stranger.set_cookie("vestibule", "AAAAAAAAAAAAAAAAAAAAAA");
        let (answer, work) = work_of(ask(&stranger)).await;
        assert_eq!((answer.status(), work.len()), (StatusCode::UNAUTHORIZED, 1), "{work:?}");
    }
}

#[tokio::test]
async fn an_anonymous_session_is_nobodys() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await;
    let mut out = ann.tab();
    out.keep(&ann.post("/logout", &[]).await);
    assert!(out.cookie("vestibule").is_some(), "it holds the notice");
    assert_eq!(told(ask(&out).await).await, not_logged_in());
}

#[tokio::test]
async fn two_session_cookies_are_none() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await;
    let own = ann.cookie("vestibule").unwrap();
    let cookies = format!("vestibule={own}; vestibule=AAAAAAAAAAAAAAAAAAAAAA");
    let request = Request::get("/session").header("cookie", cookies).body(Body::empty()).unwrap();
    assert_eq!(told(site.browser().send(request).await).await, not_logged_in());
}

#[tokio::test]
async fn it_is_kept_by_no_cache_read_by_no_other_site_and_sets_no_cookie() {
    let site = Site::on_sqlite().await;
    let mut ann = site.registered("ann").await;
    for logged_in in [true, false] {
        let request = Request::get("/session").header("origin", "https://evil.example");
        let answer = ann.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status() == StatusCode::OK, logged_in);
        let headers = answer.headers();
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(headers["cache-control"], "no-store");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["cross-origin-resource-policy"], "same-origin");
        let is_cors = |name: &str| name.starts_with("access-control-");
        assert!(!headers.keys().any(|name| is_cors(name.as_str()) || name == "set-cookie"));
        ann = site.browser();
    }
}

#[tokio::test]
async fn without_a_database_nobody_is_logged_in_or_out() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await;
    site.db().close().await;
    let (status, told) = told(ask(&ann).await).await;
    assert_eq!((status, told), (503, json!({"error": "unavailable"})));
}
