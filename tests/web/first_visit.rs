//! The forms that are kept for whoever comes for the first time: for nobody else, and as they were.

use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use std::io::Read;

use crate::support::{Browser, PASSWORD, Site, bytes_of};

const PAGES: [&str; 3] = ["/login", "/register", "/forgot"];

async fn get(browser: &Browser, path: &str, coding: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
    let request = Request::get(path).header("accept-encoding", coding).body(Body::empty());
    let answer = browser.send(request.unwrap()).await;
    let (status, headers) = (answer.status(), answer.headers().clone());
    (status, headers, bytes_of(answer).await)
}

fn unpacked(headers: &HeaderMap, body: &[u8]) -> String {
    let mut plain = Vec::new();
    match headers.get("content-encoding").map(|coding| coding.to_str().unwrap()) {
        Some("br") => brotli::BrotliDecompress(&mut &body[..], &mut plain).unwrap(),
        Some("gzip") => drop(flate2::read::GzDecoder::new(body).read_to_end(&mut plain).unwrap()),
        _ => plain.extend(body),
    }
    String::from_utf8(plain).unwrap()
}

/// Asks for each page in each coding, so that it is kept.
async fn kept(site: &Site) {
    for path in PAGES {
        for coding in ["br", "gzip", "identity"] {
            get(&site.browser(), path, coding).await;
        }
    }
}

#[tokio::test]
async fn the_second_visitor_gets_what_the_first_got_under_another_request_id() {
    let site = Site::on_sqlite().await;
    for path in PAGES {
        for coding in ["br, gzip", "gzip", "identity"] {
            let (status, mut first, body) = get(&site.browser(), path, coding).await;
            let (again, mut second, same) = get(&site.browser(), path, coding).await;
            assert_eq!((status, again), (StatusCode::OK, StatusCode::OK));
            assert_eq!(body, same);
            assert!(unpacked(&second, &same).contains("</html>"), "{path} in {coding}");
            let ids =
                (first.remove("x-request-id").unwrap(), second.remove("x-request-id").unwrap());
            assert_ne!(ids.0, ids.1);
            assert_eq!(first, second, "{path} in {coding}");
            assert!(second.contains_key("content-security-policy"));
        }
    }
}

#[tokio::test]
async fn whoever_is_logged_in_is_not_shown_the_form_of_strangers() {
    let site = Site::on_sqlite().await;
    kept(&site).await;
    let ann = site.registered("ann").await;
    for path in ["/login", "/register"] {
        assert_eq!(get(&ann, path, "identity").await.0, StatusCode::SEE_OTHER, "{path}");
    }
    let (_, headers, body) = get(&ann, "/forgot", "identity").await;
    assert!(unpacked(&headers, &body).contains("Log out"));
    let stranger = get(&site.browser(), "/forgot", "identity").await;
    assert!(!unpacked(&stranger.1, &stranger.2).contains("ann"));
}

#[tokio::test]
async fn what_is_to_be_told_once_is_told_once() {
    let site = Site::on_sqlite().await;
    kept(&site).await;
    let mut ann = site.registered("ann").await;
    ann.open("/account").await.press("Log out").await;
    let told = ann.notices();
    assert_eq!((ann.path(), told.len()), ("/login", 1), "{told:?}");
    assert!(ann.open("/login").await.notices().is_empty());
}

#[tokio::test]
async fn a_query_a_head_a_form_and_a_second_host_are_answered_as_ever() {
    let site = Site::on_sqlite().await;
    kept(&site).await;
    let (_, headers, body) =
        get(&site.browser(), "/login?next=/account/password", "identity").await;
    assert!(unpacked(&headers, &body).contains("/account/password"));
    let head = Request::head("/login").body(Body::empty()).unwrap();
    let head = site.browser().send(head).await;
    assert_eq!(head.status(), StatusCode::OK);
    assert!(bytes_of(head).await.is_empty());
    let form = site.browser().post("/login", &[("username", "ann"), ("password", PASSWORD)]).await;
    assert_eq!(form.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let hosts = Request::get("/login").header("host", "a.example").header("host", "b.example");
    let hosts = site.browser().send(hosts.body(Body::empty()).unwrap()).await;
    assert_eq!(hosts.status(), StatusCode::BAD_REQUEST);
}
