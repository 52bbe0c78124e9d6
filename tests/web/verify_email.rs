//! Proof that the address of an account is its owner's.

use axum::http::StatusCode;
use vestibule::config::Notices;

use crate::support::{OTHER_PASSWORD, PASSWORD, Site, email_of};

const VERIFIED: &str = "select count(*) from vestibule_users where email_verified_at > 0";

on_both_databases! {
    async fn a_completed_reset_proves_the_address(site: Site) {
        let mut ann = site.registered_unproved("ann").await;
        ann.open("/account/password").await.fill("Current password", PASSWORD);
        ann.fill("New password", OTHER_PASSWORD).fill("Confirm password", OTHER_PASSWORD);
        ann.press("Change password").await;
        assert_eq!(ann.path(), "/account");
        assert_eq!(site.count(VERIFIED).await, 0, "who knows the password need not have the mailbox");
        let (mut browser, code) = site.with_code("ann").await;
        assert_eq!(site.count(VERIFIED).await, 0);
        browser.reset(&code, PASSWORD).await;
        assert_eq!(browser.path(), "/login");
        assert_eq!(site.count(VERIFIED).await, 1);
    }

    async fn the_code_of_the_welcome_proves_the_address_once(site: Site) {
        let mut ann = site.registered_unproved("ann").await;
        let code = welcome_code(&site).await;
        assert!(ann.text().contains("Not confirmed"));
        let tab = ann.tab();
        ann.click("Confirm your email").await;
        assert_eq!(ann.path(), "/verify");
        ann.fill("Code", &code.to_lowercase()).press("Confirm email").await;
        assert_eq!((ann.path(), ann.flashes()), ("/account", vec!["Your email is confirmed.".to_owned()]));
        assert_eq!(site.count(VERIFIED).await, 1);
        assert!(!ann.text().contains("Not confirmed"));
        let again = tab.post("/verify", &[("code", &*code)]).await;
        assert_eq!((again.status(), &again.headers()["location"]), (StatusCode::SEE_OTHER, &"/account".parse().unwrap()));
        assert_eq!(ann.open("/verify").await.path(), "/account", "there is nothing left to confirm");
        ann.post("/verify/resend", &[]).await;
        assert_eq!(site.mails_to("ann").await, ["registered"]);
    }

    async fn two_equal_forms_at_the_same_instant_both_succeed(site: Site) {
        let ann = site.registered_unproved("ann").await;
        let form = [("code", &*welcome_code(&site).await)];
        let (one, two) = tokio::join!(ann.post("/verify", &form), ann.post("/verify", &form));
        for answer in [one, two] {
            assert_eq!(answer.headers()["location"], "/account");
        }
    }

    async fn a_wrong_code_is_counted_and_the_sixth_attempt_is_refused(site: Site) {
        let mut ann = site.registered_unproved("ann").await;
        let code = welcome_code(&site).await;
        ann.open("/verify").await;
        for left in ["4 attempts left.", "3 attempts left.", "2 attempts left.", "1 attempt left."] {
            ann.fill("Code", "CCCC-CCCC").press("Confirm email").await;
            assert_eq!(ann.status, StatusCode::UNPROCESSABLE_ENTITY);
            assert!(ann.problems()[0].ends_with(left), "{:?}", ann.problems());
        }
        ann.fill("Code", "not a code").press("Confirm email").await;
        assert!(ann.problems()[0].starts_with("Enter the 8-character code"));
        ann.fill("Code", "CCCC-CCCC").press("Confirm email").await;
        assert_eq!(ann.problems(), ["Incorrect code, no attempts left. Request a new one."]);
        let answer = ann.post("/verify", &[("code", &*code)]).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(site.count(VERIFIED).await, 0);
        ann.open("/verify").await.press("Send a new code").await;
        assert_eq!(ann.flashes(), ["We've sent a new code."]);
        ann.fill("Code", &site.newest_code().await).press("Confirm email").await;
        assert_eq!(site.count(VERIFIED).await, 1);
    }

    async fn a_code_of_another_purpose_account_or_browser_does_not_prove_the_address(site: Site) {
        let mut ann = site.registered_unproved("ann").await;
        let mut bob = site.registered_unproved("bob").await;
        let bobs = welcome_code(&site).await;
        site.wait(1);
        ann.ask_for_code("ann", &email_of("ann")).await;
        let reset = site.newest_code().await;
        for code in [&bobs, &reset] {
            let answer = ann.post("/verify", &[("code", &**code)]).await;
            assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        }
        let mut elsewhere = site.browser();
        elsewhere.log_in("bob", PASSWORD).await;
        assert_eq!(elsewhere.post("/verify", &[("code", &*bobs)]).await.headers()["location"], "/verify", "no code was requested there");
        elsewhere.open("/verify").await.press("Email me a code").await;
        assert!(elsewhere.text().contains("We've emailed a code to bob@meadow.example."), "{}", elsewhere.text());
        assert_eq!(site.count(VERIFIED).await, 0);
        bob.open("/verify").await.fill("Code", &bobs).press("Confirm email").await;
        assert_eq!(site.count(VERIFIED).await, 1, "the other browser's code is another one");
        assert_eq!(site.browser().open("/verify").await.path(), "/login?next=/verify");
    }

    async fn the_owner_takes_over_an_account_that_a_stranger_made_with_the_address(site: Site) {
        let mut stranger = site.registered_unproved("ann").await;
        let (mut owner, code) = site.with_code("ann").await;
        owner.reset(&code, OTHER_PASSWORD).await;
        assert!(!stranger.is_logged_in().await);
        stranger.log_in("ann", PASSWORD).await;
        assert_eq!(stranger.status, StatusCode::UNPROCESSABLE_ENTITY);
        stranger.log_in("ann", OTHER_PASSWORD).await;
        assert!(site.mails_to("ann").await.contains(&"new_device".to_owned()), "the stranger's browser is not trusted");
        assert_eq!(site.count(VERIFIED).await, 1);
        assert_eq!(site.count("select count(*) from vestibule_one_time_codes where user_id is not null").await, 0);
    }
}

#[tokio::test]
async fn without_a_welcome_a_first_code_is_sent_on_request() {
    let site = Site::with(|config| config.notices = Notices::parse("none").unwrap()).await;
    let mut ann = site.registered_unproved("ann").await;
    assert!(site.mails().await.is_empty());
    ann.open("/verify").await.press("Email me a code").await;
    assert_eq!(site.mails_to("ann").await, ["verify_code"]);
    ann.fill("Code", &site.newest_code().await).press("Confirm email").await;
    assert_eq!(ann.path(), "/account");
}

/// The code in the newest welcome.
async fn welcome_code(site: &Site) -> String {
    let mails = site.mails().await;
    let welcome = mails.iter().find(|mail| mail.kind == "registered").expect("a welcome");
    vestibule::mail::emails::code_in(&welcome.kind, &welcome.text).expect("a code").to_owned()
}
