//! `next` leads to every page of this site, in any spelling of its path, and to no other site.

use axum::body::Body;
use axum::http::{Request, Response};

use vestibule::config::Apps;

use crate::support::{Browser, PASSWORD, Site, body_of, email_of, form_request};

fn location(answer: &Response<Body>) -> &str {
    answer.headers()["location"].to_str().unwrap()
}

/// Where a login that began at `/login?QUERY` leads, through the hidden field.
async fn led_to(site: &Site, query: &str) -> String {
    let visitor = site.browser();
    let request = Request::get(format!("/login?{query}")).body(Body::empty()).unwrap();
    let mut browser = site.browser();
    browser.html = body_of(visitor.send(request).await).await;
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

const APPS: &str = "https://wiki.example.org,https://example.org/app";

async fn with_apps(after_login: &str) -> Site {
    Site::with(|config| {
        config.apps = Apps::parse(APPS).unwrap();
        after_login.clone_into(&mut config.after_login);
    })
    .await
}

#[tokio::test]
async fn a_url_of_an_application_is_followed_after_login_registration_and_logout() {
    let site = with_apps("/account").await;
    let ann = site.registered("ann").await;
    for (next, place) in [
        ("https://wiki.example.org/a?b=c%26d", "https://wiki.example.org/a?b=c%26d"),
        ("https://example.org/app/", "https://example.org/app/"),
        ("https://example.org/other", ""),
        ("https://evil.example/", ""),
        ("https://wiki.example.org.evil.example/", ""),
        ("/notes?x=y", "/notes?x=y"),
    ] {
        let or = |fallback: &'static str| if place.is_empty() { fallback } else { place };
        let query: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        assert_eq!(led_to(&site, &format!("next={query}")).await, or("/account"));
        let name = format!("u{}", vestibule::random::id(0)[20..].to_lowercase());
        let email = email_of(&name);
        let fields = [
            ("username", name.as_str()),
            ("email", &email),
            ("password", PASSWORD),
            ("password_confirm", PASSWORD),
            ("next", next),
        ];
        let answer = site.browser().post("/register", &fields).await;
        assert_eq!(location(&answer), or("/account"));
        let answer = ann.post("/logout", &[("next", next)]).await;
        assert_eq!(location(&answer), or("/login"));
    }
}

#[tokio::test]
async fn the_logout_page_passes_next_on_and_no_body_stops_a_logout() {
    let site = with_apps("/account").await;
    let mut ann = site.registered("ann").await;
    ann.open("/logout?next=https://wiki.example.org/a").await;
    let next = ann.attribute("main input[name=next]", "value");
    assert_eq!(next.as_deref(), Some("https://wiki.example.org/a"));
    ann.open("/logout?next=https://evil.example/").await;
    assert_eq!(ann.attribute("main input[name=next]", "value"), None);
    for body in ["next=/a&next=/b", "next=%ff&x[]=y", "&&"] {
        let mut bob = site.browser();
        bob.log_in("ann", PASSWORD).await;
        assert!(bob.is_logged_in().await);
        let answer = bob.send(form_request("/logout", body.to_owned())).await;
        assert_eq!(location(&answer), "/login", "{body}");
        assert!(!bob.is_logged_in().await, "{body}");
    }
    let bare = Request::post("/logout").header("origin", "http://localhost:8000");
    let answer = ann.send(bare.body(Body::empty()).unwrap()).await;
    assert_eq!(location(&answer), "/login");
    assert!(!ann.is_logged_in().await);
}

#[tokio::test]
async fn without_next_one_goes_where_the_settings_say_and_the_account_page_leads_there() {
    for (place, name) in [
        ("https://wiki.example.org/start", "Back to wiki.example.org"),
        ("/notes", "Back to /notes"),
        ("/account", ""),
    ] {
        let site = with_apps(place).await;
        let mut ann = site.registered_with_notice("ann").await;
        ann.open("/account").await;
        let links = ann.all_text("main p a");
        assert_eq!(links.concat(), name);
        let href = ann.attribute("main p a", "href");
        assert_eq!(href.unwrap_or("/account".to_owned()), place);
        assert_eq!(led_to(&site, "").await, place);
        assert_eq!(led_to(&site, "next=/a").await, "/a");
    }
}

#[tokio::test]
async fn forms_may_lead_to_the_applications_on_the_pages_that_have_next_alone() {
    let site = with_apps("/account").await;
    let mut ann = site.registered("ann").await;
    let sources = |browser: &Browser| {
        let policy = browser.headers["content-security-policy"].to_str().unwrap().to_owned();
        let mut parts = policy.split(';').map(str::trim);
        parts.find_map(|part| part.strip_prefix("form-action ")).unwrap().to_owned()
    };
    let all = "'self' https://example.org https://wiki.example.org";
    let mut visitor = site.browser();
    for path in ["/login", "/register", "/logout"] {
        visitor.open(path).await;
        assert_eq!(sources(&visitor), all, "{path}");
    }
    visitor.open("/login").await.fill("Username or email", "ann").press("Log in").await;
    assert_eq!((visitor.status.as_u16(), sources(&visitor).as_str()), (422, all));
    for path in ["/forgot", "/nowhere"] {
        visitor.open(path).await;
        assert_eq!(sources(&visitor), "'self'", "{path}");
    }
    for path in ["/account", "/account/password"] {
        ann.open(path).await;
        assert_eq!(sources(&ann), "'self'", "{path}");
    }
    let mut elsewhere = Site::on_sqlite().await.browser();
    elsewhere.open("/login").await;
    assert_eq!(sources(&elsewhere), "'self'");
}
