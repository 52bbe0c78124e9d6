//! The account page, and logging out of it.

use axum::http::StatusCode;

use crate::support::Site;

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
    for path in ["/account", "/account/password", "/forgot", "/logout", "/dev/mailbox"] {
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
