//! Forms that a script sends: it gets the location with 200, because it cannot read a redirect.

use axum::body::Body;
use axum::http::{Response, StatusCode};

use crate::support::{Browser, PASSWORD, Site, body_of, form_request};

const REGISTER: &str = "username=ann&email=ann%40meadow.example&password=moss+lantern+quartz&password_confirm=moss+lantern+quartz";

async fn post(browser: &Browser, path: &str, body: &str, by: Option<&str>) -> Response<Body> {
    let mut request = form_request(path, body.to_owned());
    if let Some(by) = by {
        request.headers_mut().insert("x-requested-with", by.parse().unwrap());
    }
    browser.send(request).await
}

#[tokio::test]
async fn a_form_sent_by_fetch_gets_200_with_location_and_cookies() {
    let site = Site::on_sqlite().await;
    let mut browser = site.browser();
    let answer = post(&browser, "/register", REGISTER, Some("fetch")).await;
    assert_eq!(
        (answer.status(), &answer.headers()["location"]),
        (StatusCode::OK, &"/account".parse().unwrap())
    );
    browser.keep(&answer);
    assert_eq!(body_of(answer).await, "");
    browser.open("/account").await;
    assert_eq!(browser.flashes(), ["Your account was created."], "the flash is kept for the page");
    let answer = post(&browser, "/logout", "", Some("fetch")).await;
    assert_eq!(
        (answer.status(), &answer.headers()["location"]),
        (StatusCode::OK, &"/login".parse().unwrap())
    );
    browser.keep(&answer);
    assert!(!browser.is_logged_in().await);
}

#[tokio::test]
async fn every_other_form_is_redirected() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let form = format!("username=ann&password={}", PASSWORD.replace(' ', "+"));
    for by in [
        None,
        Some("XMLHttpRequest"),
        Some("Fetch"),
        Some("fetch, fetch"),
        Some("fetchx"),
        Some(""),
    ] {
        let answer = post(&site.browser(), "/login", &form, by).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{by:?}");
        assert_eq!(answer.headers()["location"], "/account");
    }
}

#[tokio::test]
async fn a_get_is_redirected_with_that_header_too() {
    let site = Site::on_sqlite().await;
    let mut request = form_request("/account", String::new());
    *request.method_mut() = axum::http::Method::GET;
    request.headers_mut().insert("x-requested-with", "fetch".parse().unwrap());
    assert_eq!(site.browser().send(request).await.status(), StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn other_answers_to_fetch_stay_as_they_are() {
    let site = Site::on_sqlite().await;
    let browser = site.browser();
    let refused = post(&browser, "/register", "username=ann", Some("fetch")).await;
    assert_eq!(refused.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(!refused.headers().contains_key("location"));
    assert!(body_of(refused).await.contains("There is a problem"));
    let mut request = form_request("/register", REGISTER.to_owned());
    request.headers_mut().insert("x-requested-with", "fetch".parse().unwrap());
    request.headers_mut().insert("origin", "http://evil.example".parse().unwrap());
    assert_eq!(
        browser.send(request).await.status(),
        StatusCode::FORBIDDEN,
        "the header excuses nothing"
    );
}
