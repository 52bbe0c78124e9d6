//! The account page, and logging out of it.

use axum::http::StatusCode;

use crate::support::{PASSWORD, Site};

#[tokio::test]
async fn the_account_page_names_the_user_and_is_never_stored() {
    let site = Site::on_sqlite().await;
    let mut ann = site.registered("ann").await;
    ann.open("/account").await;
    assert!(
        ann.text().contains("ann@meadow.example") && ann.text().contains("22 November 2026"),
        "{}",
        ann.text()
    );
    assert_eq!(ann.headers["cache-control"], "no-store");
    assert_eq!(ann.attribute("time", "datetime").as_deref(), Some("2026-11-22T18:00:00Z"));
}

on_both_databases! {
    async fn the_account_page_shows_the_last_login_and_leads_to_every_page(site: Site) {
        let mut ann = site.registered("ann").await;
        ann.open("/account").await;
        assert!(ann.text().contains("Last login22 November 2026, 18:00 UTCUnknown browser"), "{}", ann.text());
        assert!(ann.text().contains("ann@meadow.exampleConfirmed"));
        site.wait(3600);
        let mut firefox = site.browser();
        firefox.user_agent = Some("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0");
        firefox.log_in("ann", PASSWORD).await;
        ann.open("/account").await;
        assert!(ann.text().contains("Last login22 November 2026, 19:00 UTCFirefox on Linux"), "{}", ann.text());
        for (link, path) in [("Password", "/account/password"), ("Sessions", "/account/sessions"), ("History", "/account/history"), ("Account", "/account")] {
            ann.click(link).await;
            assert_eq!((ann.path(), ann.status), (path, StatusCode::OK));
            assert_eq!(ann.all_text("[aria-current=page]"), [link]);
        }
    }
}

#[tokio::test]
async fn an_anonymous_visitor_is_sent_to_log_in_and_brought_back() {
    let site = Site::on_sqlite().await;
    let mut visitor = site.browser();
    visitor.open("/account").await;
    assert_eq!(visitor.visited, ["/account", "/login?next=/account"]);
}

#[tokio::test]
async fn opening_the_logout_page_does_not_log_out() {
    let site = Site::on_sqlite().await;
    let mut ann = site.registered("ann").await;
    ann.open("/logout").await;
    assert_eq!(ann.status, StatusCode::OK);
    assert_eq!(ann.title(), "Log out – Vestibule");
    assert!(ann.is_logged_in().await);
    ann.open("/logout").await;
    ann.press("Log out").await;
    assert!(!ann.is_logged_in().await);
}

#[tokio::test]
async fn every_page_of_a_logged_in_person_has_the_button_to_log_out() {
    let site = Site::on_sqlite().await;
    let mut ann = site.registered("ann").await;
    for path in [
        "/account",
        "/account/password",
        "/account/sessions",
        "/account/history",
        "/account/delete",
        "/forgot",
        "/logout",
        "/dev/mailbox",
    ] {
        ann.open(path).await;
        assert!(ann.attribute("form[action='/logout'] button", "type").is_some(), "{path}");
    }
}

#[tokio::test]
async fn the_well_known_address_leads_to_the_change_of_password() {
    let site = Site::on_sqlite().await;
    let mut ann = site.registered("ann").await;
    ann.open("/.well-known/change-password").await;
    assert_eq!(ann.path(), "/account/password");
    ann.open("/.well-known/resource-that-should-not-exist-whose-status-code-should-not-be-200")
        .await;
    assert_eq!(ann.status, StatusCode::NOT_FOUND);
}
