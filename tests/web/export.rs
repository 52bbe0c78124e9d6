//! The download of everything that is stored about a person.

use axum::http::StatusCode;
use serde_json::Value;

use crate::support::{Browser, PASSWORD, Site, body_of};

async fn export(browser: &Browser) -> Value {
    let answer = browser.post("/account/export", &[]).await;
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(answer.headers()["content-disposition"], "attachment; filename=\"account.json\"");
    assert_eq!(answer.headers()["cache-control"], "no-store");
    serde_json::from_str(&body_of(answer).await).unwrap()
}

on_both_databases! {
    async fn it_has_all_about_the_person_and_nothing_of_others(site: Site) {
        let ann = site.registered("ann").await;
        site.registered("bob").await;
        site.wait(60);
        site.browser().log_in("ann", PASSWORD).await;
        site.browser().ask_for_code("ann", "ann@meadow.example").await;
        site.wait(60);
        let json = export(&ann).await;
        assert_eq!(json["username"], "ann");
        assert_eq!(json["email"], "ann@meadow.example");
        assert_eq!(json["email_verified"], true);
        assert_eq!(json["created_at"], "2026-11-22T18:00:00Z");
        assert_eq!(json["sessions"].as_array().unwrap().len(), 2);
        assert_eq!(json["devices"].as_array().unwrap().len(), 2);
        let kinds = |list: &str| -> Vec<String> {
            let entries = json[list].as_array().unwrap().iter();
            entries.rev().map(|entry| entry["kind"].as_str().unwrap().to_owned()).collect()
        };
        assert_eq!(kinds("history"), ["registered", "login", "exported"]);
        assert_eq!(kinds("emails")[0], "registered");
        assert_eq!(kinds("emails").len(), 3, "{:?}", kinds("emails"));
        assert!(!json.to_string().contains("bob"));
    }

    async fn it_has_no_secrets(site: Site) {
        let ann = site.registered("ann").await;
        site.browser().ask_for_code("ann", "ann@meadow.example").await;
        let json = export(&ann).await;
        let code = site.newest_code().await;
        let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["created_at", "devices", "email", "email_verified", "emails", "history", "id", "sessions", "terms", "username"]);
        let text = json.to_string();
        assert!(!text.contains("argon2") && !text.contains("hash") && !text.contains(&code), "{text}");
    }
}

#[tokio::test]
async fn the_download_is_a_button_on_the_account_page_and_a_get_does_nothing() {
    let site = Site::on_sqlite().await;
    let mut ann = site.registered("ann").await;
    ann.open("/account").await.press("Download your data").await;
    assert_eq!(ann.path(), "/account/export");
    assert!(ann.html.contains("ann@meadow.example"));
    ann.open("/account/export").await;
    assert_eq!(ann.status, StatusCode::METHOD_NOT_ALLOWED);
}
