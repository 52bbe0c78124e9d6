//! Proof that the address of an account is its owner's.

use axum::http::StatusCode;
use vestibule::config::Notices;

use crate::support::{Browser, OTHER_PASSWORD, PASSWORD, Site, email_of};

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

    async fn whoever_registered_with_the_address_of_another_loses_all_that_they_set_up(site: Site) {
        let router = vestibule::site(&site.app_with(|config| config.login_code = true).await);
        let mut strangers = [(); 3].map(|()| Browser::new(router.clone()));
        strangers[0].register("ann", &email_of("ann"), PASSWORD).await;
        strangers[1].open("/login").await.tick("Keep me logged in on this device");
        strangers[1].fill("Username or email", "ann").fill("Password", PASSWORD).press("Log in").await;
        site.wait(1);
        strangers[0].open("/account/email").await.fill("New email", "thief@other.example");
        strangers[0].press("Email me a code").await;
        let change = site.newest_code().await;
        site.wait(1);
        strangers[2].open("/login/code").await.fill("Username or email", "ann").press("Email me a code").await;
        let login = site.newest_code().await;
        let (mut old_reset, reset) = site.with_code("ann").await;
        let former = strangers.iter().map(Browser::tab).collect::<Vec<_>>();

        let (mut owner, code) = site.with_code("ann").await;
        owner.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(owner.path(), "/login");
        owner.log_in("ann", OTHER_PASSWORD).await;
        assert!(owner.text().contains("ann@meadow.example") && !owner.text().contains("Not confirmed"));

        for browser in &mut strangers {
            assert!(!browser.is_logged_in().await);
        }
        let answer = former[0].post("/account/email/confirm", &[("code", &*change)]).await;
        assert!(answer.headers()["location"].to_str().unwrap().starts_with("/login"), "the change is off");
        let answer = former[2].post("/login/code/confirm", &[("code", &*login)]).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        old_reset.reset(&reset, PASSWORD).await;
        assert_eq!(old_reset.status, StatusCode::UNPROCESSABLE_ENTITY);
        for browser in &mut strangers[..2] {
            browser.log_in("ann", PASSWORD).await;
            assert_eq!(browser.status, StatusCode::UNPROCESSABLE_ENTITY);
        }
        owner.open("/account/sessions").await;
        assert_eq!(owner.all_text(".entries li").len(), 2, "one session and one trusted browser: {}", owner.text());
        assert_eq!(site.count("select count(*) from vestibule_sessions where user_id is not null").await, 1);
        assert_eq!(site.count("select count(*) from vestibule_devices").await, 1);
        assert_eq!(site.count("select count(*) from vestibule_one_time_codes where user_id is not null").await, 0);
        assert_eq!(site.count("select count(*) from vestibule_mail_links where email_key <> 'ann@meadow.example'").await, 0);
        assert_eq!(site.count(VERIFIED).await, 1);
    }

    async fn a_reset_of_a_proved_account_keeps_the_budgets_of_its_browsers(site: Site) {
        site.registered("ann").await;
        let (mut owner, code) = site.with_code("ann").await;
        owner.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(site.count("select count(*) from vestibule_devices").await, 2);
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
