//! Unlock: the link in the email about stopped logins.

use axum::http::StatusCode;
use vestibule::accounts::mail_link::LINK_LIFE;

use crate::support::{Browser, OTHER_PASSWORD, PASSWORD, Site};

/// Three hours of guesses, at full speed.
async fn guess_for_three_hours(site: &Site, login: &str) -> Browser {
    let mut attacker = site.browser();
    for minute in 0..180 {
        site.wait(60);
        attacker.log_in(login, "wrong").await;
        if minute % 15 == 0 {
            for _ in 0..10 {
                attacker.log_in(login, "wrong").await;
            }
        }
    }
    attacker
}

async fn link(site: &Site) -> String {
    let mails = site.mails().await;
    let mail = mails.iter().find(|mail| mail.kind == "login_stopped").expect("a mail");
    let mut lines = mail.text.lines().filter_map(|line| line.strip_prefix("http://localhost:8000"));
    let path = lines.find(|path| path.starts_with("/unlock/")).expect("a link");
    assert!(mail.html.contains(path), "{}", mail.html);
    path.to_owned()
}

on_both_databases! {
    async fn an_owner_without_a_known_browser_gets_back_in_by_the_email_and_the_attacker_does_not(site: Site) {
        site.registered("ann").await;
        let mut attacker = guess_for_three_hours(&site, "ann").await;
        let mut owner = site.browser();
        assert_eq!(owner.log_in("ann", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(owner.problems(), ["Password login is blocked in this browser. Reset your password."]);
        let link = link(&site).await;
        owner.open(&link).await;
        assert_eq!(owner.log_in("ann", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS, "to open the link changes nothing");
        owner.open(&link).await.press("Let me log in here").await;
        assert_eq!((owner.path(), owner.flashes()), ("/login", vec!["You can log in with your password in this browser now.".to_owned()]));
        assert!(!owner.is_logged_in().await, "it logs nobody in");
        attacker.log_in("ann", PASSWORD).await;
        assert_eq!(attacker.status, StatusCode::TOO_MANY_REQUESTS, "nothing changes for others");
        assert!(owner.log_in("ann", PASSWORD).await.is_logged_in().await);
        assert_eq!(attacker.log_in("ann", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
    }

    async fn the_link_gives_attempts_that_end_like_those_of_any_browser(site: Site) {
        site.registered("ann").await;
        guess_for_three_hours(&site, "ann").await;
        let link = link(&site).await;
        let mut browser = site.browser();
        browser.open(&link).await.press("Let me log in here").await;
        for _ in 0..10 {
            assert_eq!(browser.log_in("ann", "wrong").await.status, StatusCode::UNPROCESSABLE_ENTITY);
        }
        assert_eq!(browser.log_in("ann", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
        let mut again = site.browser();
        assert_eq!(again.open(&link).await.status, StatusCode::NOT_FOUND, "it works once");
        assert_eq!(again.post(&link, &[]).await.status(), StatusCode::NOT_FOUND);
        assert_eq!(again.log_in("ann", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
    }

    async fn a_trusted_browser_that_used_up_its_attempts_gets_new_ones(site: Site) {
        let mut own = site.registered("ann").await;
        own.press("Log out").await;
        for number in 0..100 {
            if number % 10 == 0 {
                site.wait(900);
            }
            own.log_in("ann", "wrong").await;
        }
        site.wait(900);
        assert_eq!(own.log_in("ann", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
        let link = link(&site).await;
        own.open(&link).await.press("Let me log in here").await;
        assert!(own.log_in("ann", PASSWORD).await.is_logged_in().await, "{}", own.text());
    }

    async fn the_link_expires_after_three_days(site: Site) {
        site.registered("ann").await;
        guess_for_three_hours(&site, "ann").await;
        let link = link(&site).await;
        site.wait(LINK_LIFE);
        assert_eq!(site.browser().open(&link).await.status, StatusCode::NOT_FOUND);
        assert_eq!(site.browser().post(&link, &[]).await.status(), StatusCode::NOT_FOUND);
    }

    async fn the_last_failure_writes_the_same_for_nobody(site: Site) {
        site.registered("ann").await;
        let rows = async || [
            site.count("select count(*) from vestibule_mail_links").await,
            site.count("select count(*) from vestibule_outbox").await,
            site.count("select count(*) from vestibule_history").await,
        ];
        for login in ["ann", "bob"] {
            let before = rows().await;
            guess_for_three_hours(&site, login).await;
            assert_eq!(rows().await, before.map(|rows| rows + 1), "{login}");
        }
        assert_eq!(site.count("select count(*) from vestibule_mail_links where user_id is null").await, 1);
    }

    async fn a_new_password_ends_the_trust_that_a_link_gave(site: Site) {
        site.registered("ann").await;
        guess_for_three_hours(&site, "ann").await;
        let link = link(&site).await;
        let mut browser = site.browser();
        browser.open(&link).await.press("Let me log in here").await;
        let (mut owner, code) = site.with_code("ann").await;
        owner.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(site.count("select count(*) from vestibule_devices where credential_version = 2").await, 1);
        assert!(owner.log_in("ann", OTHER_PASSWORD).await.is_logged_in().await);
    }
}
