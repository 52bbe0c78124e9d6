//! Forms that can be read in two ways, or have unknown fields, change nothing.

use axum::body::Body;
use axum::http::Request;

use crate::support::{Site, body_of, form_request};

#[tokio::test]
async fn a_form_with_two_meanings_changes_nothing() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let mails = site.mails().await.len();
    let ann = "username=ann&email=ann%40meadow.example";
    let fresh = "username=bob&password=moss+lantern+quartz&password_confirm=moss+lantern+quartz";
    for (path, body) in [
        ("/login", "username=bob&username=ann&password=moss+lantern+quartz".to_owned()),
        ("/login", "username=ann&password=moss+lantern+quartz&password=x".to_owned()),
        ("/login", "username=ann&password=moss+lantern+quartz&Username=bob".to_owned()),
        ("/login", "username=ann&password=moss+lantern+quartz&next=/a&next=//evil".to_owned()),
        ("/forgot", format!("{ann}&email=eve%40evil.example")),
        ("/forgot", format!("{ann}&email%5B%5D=eve%40evil.example")),
        ("/forgot", format!("{ann}&user[email]=eve%40evil.example")),
        ("/forgot", format!("{ann}&email.0=eve%40evil.example")),
        ("/register", format!("{fresh}&email=bob%40meadow.example&email=eve%40evil.example")),
        ("/register", format!("{fresh}&email[]=bob%40meadow.example&email[]=eve%40evil.example")),
    ] {
        let answer = site.browser().send(form_request(path, body.clone())).await;
        assert_eq!(answer.status(), 422, "{path} {body}");
        assert!(answer.headers().get("set-cookie").is_none(), "{path} {body}");
        let page = body_of(answer).await;
        assert!(page.contains("read this form</h1>"), "{path} {body}: {page}");
    }
    assert_eq!(site.mails().await.len(), mails);
    assert_eq!(site.count("select count(*) from vestibule_users").await, 1);
}

#[tokio::test]
async fn a_field_that_the_form_does_not_have_has_no_effect() {
    let site = Site::on_sqlite().await;
    let body = "username=ann&email=ann%40meadow.example&password=moss+lantern+quartz&\
        password_confirm=moss+lantern+quartz&id=1&is_admin=1&credential_version=9&_method=DELETE";
    let answer = site.browser().send(form_request("/register", body.to_owned())).await;
    assert_eq!(answer.headers()["location"], "/account");
    let login = "username=ann&password=wrong";
    let query = "/login?username=ann&password=moss+lantern+quartz&next=/account";
    let answer = site.browser().send(form_request(query, login.to_owned())).await;
    assert_eq!(answer.status(), 422, "what stands in the address is not the form");
}

#[tokio::test]
async fn no_link_is_built_from_the_host_header() {
    let site = Site::on_sqlite().await;
    let names = [
        "host",
        "x-forwarded-host",
        "x-forwarded-server",
        "x-host",
        "forwarded",
        "x-forwarded-proto",
    ];
    let evil = |mut request: Request<Body>| {
        for name in names {
            let value =
                if name == "forwarded" { "host=evil.example;proto=https" } else { "evil.example" };
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        request
    };
    let register = "username=ann&email=ann%40meadow.example&password=moss+lantern+quartz&password_confirm=moss+lantern+quartz";
    for (path, body) in [
        ("/register", register),
        ("/login", "username=ann&password=moss+lantern+quartz"),
        ("/forgot", "username=ann&email=ann%40meadow.example"),
        ("/login", "username=ann&password=wrong"),
        ("/logout", ""),
    ] {
        let answer = site.browser().send(evil(form_request(path, body.to_owned()))).await;
        assert!(!format!("{:?}", answer.headers()).contains("evil.example"), "{path}");
        assert!(!body_of(answer).await.contains("evil.example"), "{path}");
    }
    for path in ["/", "/login", "/account", "/register", "/nowhere", "/.well-known/change-password"]
    {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let answer = site.browser().send(evil(request)).await;
        assert!(
            answer.status() != 400 && !format!("{:?}", answer.headers()).contains("evil"),
            "{path}"
        );
        assert!(!body_of(answer).await.contains("evil.example"), "{path}");
    }
    let mails = site.mails().await;
    assert!(mails.len() >= 2, "{}", mails.len());
    for mail in mails {
        assert!(!format!("{} {} {}", mail.text, mail.html, mail.to).contains("evil.example"));
    }
}
