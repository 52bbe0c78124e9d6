//! Change the password, knowing the current one.

use axum::http::StatusCode;

use crate::support::{Browser, OTHER_PASSWORD, PASSWORD, Site};

async fn change(browser: &mut Browser, current: &str, new: &str) {
    browser.open("/account/password").await;
    browser
        .fill("Current password", current)
        .fill("New password", new)
        .fill("Confirm password", new);
    browser.press("Change password").await;
}

on_both_databases! {
    async fn the_new_password_works_the_old_one_does_not_and_an_email_says_so(site: Site) {
        let mut ann = site.registered("ann").await;
        let before = ann.cookie("vestibule").unwrap().clone();
        change(&mut ann, PASSWORD, OTHER_PASSWORD).await;
        assert_eq!(ann.path(), "/account");
        assert_eq!(ann.flashes(), ["Your password was changed.", "You've been logged out everywhere else."]);
        assert_ne!(ann.cookie("vestibule"), Some(&before), "a new id with the new password");
        assert_eq!(site.mails_to("ann").await, ["registered", "password_changed"]);
        let mut again = site.browser();
        again.log_in("ann", PASSWORD).await;
        assert_eq!(again.status, StatusCode::UNPROCESSABLE_ENTITY);
        again.log_in("ann", OTHER_PASSWORD).await;
        assert_eq!(again.path(), "/account");
    }

    async fn a_wrong_current_password_changes_nothing(site: Site) {
        let mut ann = site.registered("ann").await;
        change(&mut ann, "not the password", OTHER_PASSWORD).await;
        assert_eq!(ann.problems(), ["Current password is incorrect."]);
        assert_eq!(site.mails_to("ann").await, ["registered"]);
        assert!(site.browser().log_in("ann", PASSWORD).await.path() == "/account");
    }

    async fn the_current_password_is_refused_as_the_new_one(site: Site) {
        let mut ann = site.registered("ann").await;
        change(&mut ann, PASSWORD, PASSWORD).await;
        assert_eq!(ann.problems(), ["This is your current password. Choose a new one."]);
        // Another Unicode form of the same password is the same password.
        change(&mut ann, PASSWORD, "caf\u{e9} lantern quartz").await;
        change(&mut ann, "caf\u{e9} lantern quartz", "cafe\u{301} lantern quartz").await;
        assert_eq!(ann.problems(), ["This is your current password. Choose a new one."]);
        assert_eq!(site.mails_to("ann").await, ["registered", "password_changed"]);
        // Without the current password, the page does not reveal that the new one equals it.
        site.wait(60);
        change(&mut ann, "not the password", "caf\u{e9} lantern quartz").await;
        assert_eq!(ann.problems(), ["Current password is incorrect."]);
    }

    async fn a_browser_logged_out_by_a_password_change_elsewhere_shows_a_flash(site: Site) {
        let mut ann = site.registered("ann").await;
        for path in ["/account", "/account/password", "/"] {
            let mut elsewhere = site.browser();
            elsewhere.log_in("ann", PASSWORD).await;
            change(&mut ann, PASSWORD, OTHER_PASSWORD).await;
            change(&mut ann, OTHER_PASSWORD, PASSWORD).await;
            elsewhere.open(path).await;
            assert!(elsewhere.path().starts_with("/login"), "{path}");
            assert_eq!(elsewhere.flashes(), ["You were logged out. Log in to continue."], "{path}");
            assert!(elsewhere.open("/login").await.flashes().is_empty(), "once");
        }
        let mut visitor = site.browser();
        assert!(visitor.open("/account").await.flashes().is_empty(), "nobody was logged in there");
        let mut asking = site.browser();
        asking.ask_for_code("ann", "ann@meadow.example").await;
        assert!(asking.open("/account").await.flashes().is_empty(), "nor there");
        ann.open("/account").await.press("Log out").await;
        assert_eq!(ann.flashes(), ["You've been logged out."]);
        assert!(ann.open("/account").await.flashes().is_empty(), "that was said");
    }

    async fn it_invalidates_a_code_that_was_requested_before(site: Site) {
        let mut ann = site.registered("ann").await;
        let (mut visitor, code) = site.with_code("ann").await;
        change(&mut ann, PASSWORD, OTHER_PASSWORD).await;
        visitor.reset(&code, "harbour kettle ribbon").await;
        // As for a code without an account: the page must not reveal that the owner changed the password.
        assert!(visitor.problems()[0].starts_with("Incorrect code."), "{:?}", visitor.problems());
        assert!(site.browser().log_in("ann", "harbour kettle ribbon").await.path() != "/account");
        assert!(site.browser().log_in("ann", OTHER_PASSWORD).await.path() == "/account");
    }

    async fn two_changes_at_the_same_instant_leave_one_password(site: Site) {
        let ann = site.registered("ann").await;
        let fields = |new| [("current_password", PASSWORD), ("password", new), ("password_confirm", new)];
        let news = ["harbour kettle ribbon", "cobalt thimble orchard"];
        let (one, two) = (fields(news[0]), fields(news[1]));
        let answers = tokio::join!(ann.post("/account/password", &one), ann.post("/account/password", &two));
        let done = [answers.0, answers.1].iter().filter(|answer| answer.headers().get("location").is_some_and(|path| path == "/account")).count();
        assert_eq!(done, 1);
        assert_eq!(site.mails_to("ann").await, ["registered", "password_changed"]);
        let mut works = 0;
        for new in news {
            works += usize::from(site.browser().log_in("ann", new).await.path() == "/account");
        }
        assert_eq!(works, 1);
    }
}

#[tokio::test]
async fn a_password_made_of_name_address_or_site_is_refused_wherever_one_is_chosen() {
    let site = Site::with(|config| config.site_name = "Wbnjkdlm".to_owned()).await;
    let mut ann = site.registered("zqxvtrfk").await;
    let (mut reset, code) = site.with_code("zqxvtrfk").await;
    for guessable in ["zqxvtrfk1234", "zqxvtrfk@meadow.example", "wbnjkdlm1234"] {
        ann.open("/account/password").await;
        ann.fill("Current password", PASSWORD);
        ann.fill("New password", guessable).fill("Confirm password", guessable);
        ann.press("Change password").await;
        reset.reset(&code, guessable).await;
        for browser in [&ann, &reset] {
            let problem = browser.problems().concat();
            assert!(problem.starts_with("This password is"), "{guessable}: {problem}");
        }
    }
}

#[tokio::test]
async fn every_error_is_shown_at_once_and_no_password_is_sent_back() {
    let site = Site::on_sqlite().await;
    let mut ann = site.registered("ann").await;
    ann.open("/account/password").await;
    ann.fill("New password", "short").fill("Confirm password", "differs");
    ann.press("Change password").await;
    assert_eq!(ann.problems().len(), 3);
    assert_eq!(ann.title(), "Error: Change your password – Vestibule");
    assert!(!ann.html.contains("differs\""));
    assert_eq!(ann.attribute("[autocomplete=username]", "value").as_deref(), Some("ann"));
}

#[tokio::test]
async fn a_form_sent_after_the_session_ended_leads_to_the_login_page_with_a_flash() {
    let site = Site::on_sqlite().await;
    let mut ann = site.registered("ann").await;
    ann.open("/account/password").await;
    ann.fill("Current password", PASSWORD)
        .fill("New password", OTHER_PASSWORD)
        .fill("Confirm password", OTHER_PASSWORD);
    site.wait(13 * 60 * 60);
    let mut other = ann.tab();
    assert_eq!(
        other.open("/account").await.flashes(),
        ["You were logged out. Log in to continue."]
    );
    ann.press("Change password").await;
    assert_eq!(ann.path(), "/login?next=/account/password");
    assert_eq!(ann.flashes(), ["You were logged out. Log in to continue."]);
}
