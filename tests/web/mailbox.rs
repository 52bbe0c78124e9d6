//! The development mailbox: there while no mail server is set, and nowhere else.

use axum::http::StatusCode;
use vestibule::config::{BaseUrl, Secret};

use crate::support::Site;

#[tokio::test]
async fn it_shows_every_mail_newest_first_with_its_text() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let (mut ann, code) = site.with_code("ann").await;
    ann.open("/dev/mailbox").await;
    assert_eq!(ann.status, StatusCode::OK);
    let texts = ann.all_text("pre");
    assert_eq!(texts.len(), 2);
    assert!(texts[0].contains(&code), "{texts:?}");
    assert!(
        ann.text().contains("Your one-time code for Vestibule")
            && ann.text().contains("ann@meadow.example")
    );
    let href = ann.attribute("main a[href^='/dev/mailbox/']", "href").unwrap();
    ann.open(&href).await;
    assert!(ann.text().contains(&code));
    ann.open(&format!("{href}/html")).await;
    assert!(ann.html.contains(&code));
    assert!(ann.headers["content-security-policy"].to_str().unwrap().contains("sandbox"));
    for id in ["nothing", "%00", "%ff"] {
        ann.open(&format!("/dev/mailbox/{id}")).await;
        assert!(ann.status.is_client_error(), "{id}: {}", ann.status);
    }
}

#[tokio::test]
async fn it_can_be_cleared() {
    let site = Site::on_sqlite().await;
    let mut ann = site.registered("ann").await;
    ann.open("/dev/mailbox").await;
    ann.press("Clear").await;
    assert_eq!(ann.path(), "/dev/mailbox");
    assert!(ann.all_text("pre").is_empty());
    assert!(site.mails().await.is_empty());
}

#[tokio::test]
async fn with_a_mail_server_or_in_production_it_does_not_exist() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let smtp = || Some(Secret::new("smtp://127.0.0.1:1".to_owned()));
    let mut with_server = site.changed(|config| config.smtp_url = smtp());
    let mut production = site.changed(|config| {
        config.base_url = BaseUrl::parse("https://accounts.example").unwrap();
    });
    for browser in [&mut with_server, &mut production] {
        browser.open("/dev/mailbox").await;
        assert_eq!(browser.status, StatusCode::NOT_FOUND);
        browser.open("/login").await;
        assert!(!browser.html.contains("/dev/mailbox"));
    }
}
