//! `next` leads to every page of this site, in any spelling of its path, and to no other site.

use axum::body::Body;
use axum::http::{Request, Response};

use crate::support::{PASSWORD, Site, body_of, form_request};

fn location(answer: &Response<Body>) -> &str {
    answer.headers()["location"].to_str().unwrap()
}

/// Where a login that began at `/login?QUERY` leads, through the hidden field.
async fn led_to(site: &Site, query: &str) -> String {
    let stranger = site.browser();
    let request = Request::get(format!("/login?{query}")).body(Body::empty()).unwrap();
    let mut browser = site.browser();
    browser.html = body_of(stranger.send(request).await).await;
    let next = browser.attribute("input[name=next]", "value").unwrap_or_default();
    let fields = [("username", "ann"), ("password", PASSWORD), ("next", next.as_str())];
    location(&browser.post("/login", &fields).await).to_owned()
}

#[tokio::test]
async fn a_path_that_is_not_ascii_is_followed_percent_encoded() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await;
    for (query, path) in [
        ("next=/wiki/%C3%9Cbersicht", "/wiki/%C3%9Cbersicht"),
        ("next=%2Fwiki%2F%25C3%259Cbersicht", "/wiki/%C3%9Cbersicht"),
        ("next=/wiki/Übersicht", "/wiki/%C3%9Cbersicht"),
        ("next=/search?q=gr%C3%BCn%26x=%E4%BE%8B", "/search?q=gr%C3%BCn&x=%E4%BE%8B"),
        ("next=%2Fsearch%3Fq%3Da%2520b%26c%3D%2526", "/search?q=a%20b&c=%26"),
        ("next=/wiki/My%20Page", "/wiki/My%20Page"),
        ("next=/wiki/My+Page", "/wiki/My%20Page"),
        ("next=/a%20", "/a%20"),
        ("next=/wiki/%DCbersicht", "/wiki/%DCbersicht"),
        ("next=/caf%C3", "/caf%C3"),
        ("next=/caf%c3?q=%fc", "/caf%C3?q=%FC"),
        ("next=/%C0%AFevil.example", "/%C0%AFevil.example"),
        ("next=/wiki/%E2%84%80", "/wiki/%E2%84%80"),
        (&format!("next=/{}", "%E4%BE%8B".repeat(600)), &format!("/{}", "%E4%BE%8B".repeat(600))),
        ("next=/%F0%9F%98%80", "/%F0%9F%98%80"),
    ] {
        assert_eq!(led_to(&site, query).await, path, "{query}");
        let request = Request::get(format!("/login?{query}")).body(Body::empty()).unwrap();
        assert_eq!(location(&ann.send(request).await), path, "{query}, logged in already");
    }
    let registered = site
        .browser()
        .post(
            "/register",
            &[
                ("username", "bob"),
                ("email", "bob@meadow.example"),
                ("password", PASSWORD),
                ("password_confirm", PASSWORD),
                ("next", "/wiki/Übersicht?ä=ö"),
            ],
        )
        .await;
    assert_eq!(location(&registered), "/wiki/%C3%9Cbersicht?%C3%A4=%C3%B6");
}

#[tokio::test]
async fn a_script_may_send_octets_that_are_not_utf_8_in_next_and_nowhere_else() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let form = format!("username=ann&password={}", PASSWORD.replace(' ', "+"));
    for (next, path) in [
        ("/wiki/%DCbersicht", "/wiki/%DCbersicht"),
        ("/caf%C3", "/caf%C3"),
        ("/%FF%5Cevil.example", "/account"),
        ("//evil.example/%FF", "/account"),
        ("%FF//evil.example", "/account"),
        ("/%FF%0d%0aSet-Cookie:x=y", "/account"),
    ] {
        let request = form_request("/login", format!("{form}&next={next}"));
        let answer = site.browser().send(request).await;
        assert_eq!(location(&answer), path, "{next}");
    }
    let answer = site.browser().send(form_request("/login", format!("{form}%ff"))).await;
    assert_eq!(answer.status(), 422);
}

#[tokio::test]
async fn what_could_leave_the_site_leads_to_the_account() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let long = format!("next=/{}", "%C3%A4".repeat(1000));
    for query in [
        "next=/\\evil.example",
        "next=/%5Cevil.example",
        "next=/%5C/evil.example",
        "next=//evil.example",
        "next=/%2Fevil.example",
        "next=%2F%2Fevil.example",
        "next=///evil.example",
        "next=/%09/evil.example",
        "next=/%0A/evil.example",
        "next=/%0D%0ASet-Cookie:x=y",
        "next=/wiki/%C3%9C%0d%0aSet-Cookie:x=y",
        "next=%09//evil.example",
        "next=+//evil.example",
        "next=/+/evil.example",
        "next=/%C2%A0/evil.example",
        "next=/%C2%85/evil.example",
        "next=/%E2%80%8B/evil.example",
        "next=/%EF%BC%8Fevil.example",
        "next=/%EF%BC%BCevil.example",
        "next=/.//evil.example",
        "next=/%C3%A4/..//evil.example",
        "next=/%252e//evil.example",
        "next=/a%5C..%5Cevil.example",
        "next=/%C3%A4?x=%5Cevil.example",
        "next=/%FF%5Cevil.example",
        "next=//%FF.example",
        "next=%FF//evil.example",
        "next=/./%EF%BC%8Fevil.example",
        "next=/%E2%84%80evil.example",
        "next=/%00",
        "next=%C3%A4",
        "next=https://evil.example/%C3%A4",
        &long,
    ] {
        assert_eq!(led_to(&site, query).await, "/account", "{query}");
    }
}

#[tokio::test]
async fn the_login_page_brings_back_to_the_path_with_its_query() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let get = async |path: &str| {
        let request = Request::get(path).body(Body::empty()).unwrap();
        location(&site.browser().send(request).await).to_owned()
    };
    assert_eq!(get("/account").await, "/login?next=/account");
    for path in ["/account?tab=a%20b&x=%C3%BC#", "/account/password?a=b&next=//evil.example"] {
        let path = path.trim_end_matches('#');
        let login = get(path).await;
        assert_eq!(login.matches('?').count(), 1, "{login}");
        assert!(!login.contains('&') && login.starts_with("/login?next=/account"), "{login}");
        assert_eq!(led_to(&site, login.split_once('?').unwrap().1).await, path);
    }
}
