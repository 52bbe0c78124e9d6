//! An application's own frame around the pages.

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use vestibule::{App, PageParts};

use crate::support::{Browser, PASSWORD, Site, body_of, form_request};

const POLICY: &str = "content-security-policy";

fn frame(page: PageParts) -> String {
    let PageParts { title, head, content, notices, user, .. } = page;
    let user = user.map_or_else(|| "nobody".to_owned(), |user| user.username);
    format!(
        "<!DOCTYPE html><html lang=\"en\"><head>{head}</head><body><header>Notes of {user}</header>\
        <nav>{title}</nav><div id=\"said\">{notices}</div>{content}</body></html>"
    )
}

async fn with_frame(
    site: &Site,
    frame: impl Fn(PageParts) -> String + Send + Sync + 'static,
) -> Router {
    let app = App::builder(site.app.config.clone()).clock(site.app.clock.clone());
    vestibule::site(&app.frame(frame).build().await.unwrap())
}

/// The page shown is the frame with our content in it, once.
fn assert_framed(browser: &Browser, user: &str, title: &str) {
    let html = &browser.html;
    assert_eq!(browser.all_text("header"), [format!("Notes of {user}")], "{html}");
    assert_eq!(browser.all_text("nav:not(.pages)"), [title]);
    assert!(browser.title().starts_with(&format!("{title} – ")), "{}", browser.title());
    assert_eq!(browser.all_text("main h1").len(), 1, "{html}");
    assert_eq!(browser.all_attributes("link[rel=stylesheet]", "href").len(), 1);
    assert!(!html.contains("<!-- vestibule") && !html.contains("footer"), "{html}");
}

on_both_databases! {
    async fn every_page_is_in_the_frame_and_works(site: Site) {
        let router = with_frame(&site, frame).await;
        let mut ann = site.browser().at(&router);
        ann.open("/register").await;
        assert_framed(&ann, "nobody", "Create an account");
        ann.register("ann", "ann@meadow.example", PASSWORD).await;
        assert_framed(&ann, "ann", "Your account");
        assert_eq!(ann.all_text("#said"), ["Done: Your account was created."]);
        for (path, title) in [
            ("/account", "Your account"),
            ("/account/password", "Change your password"),
            ("/logout", "Log out"),
            ("/dev/mailbox", "Development mailbox"),
            ("/nowhere", "Page not found"),
            ("/reset/resend", "You can't open this page directly"),
        ] {
            ann.open(path).await;
            assert_framed(&ann, "ann", title);
            assert_eq!(ann.all_text("#said"), [""], "{path}");
        }
        ann.open("/logout").await.press("Log out").await;
        assert_framed(&ann, "nobody", "Log in");
        assert_eq!(ann.all_text("#said"), ["Done: You've been logged out."]);
        ann.log_in("ann", "a wrong password").await;
        assert_eq!(ann.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_framed(&ann, "nobody", "Error: Log in");
        assert_eq!(ann.problems().len(), 1);
        ann.log_in("ann", PASSWORD).await;
        assert_framed(&ann, "ann", "Your account");
        ann.ask_for_code("ann", "ann@meadow.example").await;
        assert_eq!(ann.path(), "/reset");
        assert_framed(&ann, "ann", "Set a new password");
    }
}

#[tokio::test]
async fn what_was_typed_cannot_leave_its_part() {
    let site = Site::on_sqlite().await;
    let mut ann = site.browser().at(&with_frame(&site, frame).await);
    for typed in
        ["<script>alert(1)</script>", "<!-- vestibule:rest -->", "\"><!-- vestibule:title -->"]
    {
        ann.log_in(typed, "a wrong password").await;
        assert_framed(&ann, "nobody", "Error: Log in");
        assert_eq!(ann.attribute("#username", "value").unwrap(), typed);
        let next: String = url::form_urlencoded::byte_serialize(typed.as_bytes()).collect();
        ann.open(&format!("/login?next=/{next}")).await;
        assert_framed(&ann, "nobody", "Log in");
    }
}

#[tokio::test]
async fn the_policy_stays_and_only_pages_are_framed() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await;
    let framed = ann.at(&with_frame(&site, frame).await);
    let id = site.queued().await[0].id.clone();
    for path in [
        "/account",
        "/nowhere",
        "/dev/mailbox.json",
        &format!("/dev/mailbox/{id}/html"),
        "/session",
    ] {
        let get = || Request::get(path).body(Body::empty()).unwrap();
        let (own, inside) = (ann.send(get()).await, framed.send(get()).await);
        assert_eq!(own.status(), inside.status());
        assert_eq!(own.headers().get(POLICY), inside.headers().get(POLICY), "{path}");
        let is_page = matches!(path, "/account" | "/nowhere");
        assert_eq!(body_of(own).await != body_of(inside).await, is_page, "{path}");
    }
    let refused = Request::post("/login").body(Body::empty()).unwrap();
    assert!(body_of(framed.send(refused).await).await.contains("Notes of ann"));
    let stranger = site.browser().at(&with_frame(&site, frame).await);
    let get = stranger.send(Request::get("/login").body(Body::empty()).unwrap()).await;
    let length = body_of(get).await.len().to_string();
    let head = stranger.send(Request::head("/login").body(Body::empty()).unwrap()).await;
    assert_eq!(head.headers()["content-length"], length.as_str());
}

#[tokio::test]
async fn a_frame_that_panics_is_answered_500_and_the_site_keeps_working() {
    let site = Site::on_sqlite().await;
    let router = with_frame(&site, |page| {
        assert_ne!(page.title, "Log in", "a bug");
        frame(page)
    });
    let mut visitor = site.browser().at(&router.await);
    let answer = visitor.send(Request::get("/login").body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(answer.headers().contains_key(POLICY));
    visitor.open("/register").await;
    assert_framed(&visitor, "nobody", "Create an account");
    let answer = visitor.send(form_request("/login", String::new())).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
}
