//! Change the username.

use axum::http::StatusCode;
use vestibule::models::reserved_username::RESERVED_FOR;

use crate::support::{Browser, PASSWORD, Site, email_of};

async fn rename(browser: &mut Browser, username: &str) {
    browser.open("/account/username").await;
    browser.fill("New username", username).press("Change username").await;
}

on_both_databases! {
    async fn the_new_username_logs_in_the_old_one_does_not_and_an_email_says_so(site: Site) {
        let mut ann = site.registered("ann").await;
        let mut elsewhere = site.browser();
        elsewhere.log_in("ann", PASSWORD).await;
        site.wait(1);
        rename(&mut ann, " Anna ").await;
        assert_eq!(ann.path(), "/account", "{}", ann.text());
        assert_eq!(ann.flashes(), ["Your username was changed.", "You've been logged out everywhere else."]);
        assert!(ann.text().contains("anna"));
        assert!(!elsewhere.is_logged_in().await);
        assert_eq!(site.mails_to("ann").await, ["registered", "new_device", "username_changed"]);
        let mail = &site.mails().await[0].text;
        assert!(mail.contains("Hello anna,") && mail.contains("was changed from ann to anna,"), "{mail}");
        assert!(mail.contains("\nhttp://localhost:8000/not-me/"), "{mail}");
        let mut again = site.browser();
        assert_eq!(again.log_in("ann", PASSWORD).await.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(again.log_in("anna", PASSWORD).await.path(), "/account");
        assert!(ann.is_logged_in().await, "a login elsewhere ends nothing");
    }

    async fn the_password_is_asked_for_ten_minutes_after_it_was_given(site: Site) {
        let mut ann = site.registered("ann").await;
        site.wait(598);
        ann.open("/account/username").await;
        assert!(ann.attribute("#current_password", "type").is_none());
        site.wait(1);
        for (current, problem) in [("", "Enter your current password."), ("wrong", "Current password is incorrect.")] {
            ann.open("/account/username").await;
            ann.fill("New username", "anna").fill("Current password", current).press("Change username").await;
            assert_eq!(ann.status, StatusCode::UNPROCESSABLE_ENTITY);
            assert_eq!(ann.problems(), [problem]);
            assert_eq!(ann.attribute("#username", "value").as_deref(), Some("anna"), "what was typed stays");
        }
        ann.fill("Current password", PASSWORD).press("Change username").await;
        assert_eq!(ann.path(), "/account", "{}", ann.text());
    }

    async fn the_old_username_is_reserved_for_its_owner(site: Site) {
        let mut ann = site.registered("ann").await;
        rename(&mut ann, "anna").await;
        let mut bob = site.registered("bob").await;
        rename(&mut bob, "ann").await;
        assert_eq!(bob.problems(), ["That username is taken. Choose another."]);
        assert!(site.browser().register("ann", "other@meadow.example", PASSWORD).await.path().starts_with("/login"));
        rename(&mut ann, "ann").await;
        assert_eq!(ann.path(), "/account", "{}", ann.text());
        rename(&mut bob, "anna").await;
        assert_eq!(bob.problems(), ["That username is taken. Choose another."]);
        site.wait(RESERVED_FOR);
        let mut bob = site.browser();
        bob.log_in("bob", PASSWORD).await;
        rename(&mut bob, "anna").await;
        assert_eq!(bob.path(), "/account", "{}", bob.text());
    }

    async fn a_username_that_is_taken_reserved_for_the_site_or_none_is_refused(site: Site) {
        site.registered("bob").await;
        let mut ann = site.registered("ann").await;
        for (username, problem) in [
            ("BOB", "That username is taken. Choose another."),
            ("admin", "That username is reserved."),
            ("", "Enter a username."),
            ("a b", "Use only letters a–z, numbers, and single dots, dashes or underscores in between."),
        ] {
            rename(&mut ann, username).await;
            assert_eq!(ann.problems(), [problem]);
        }
        rename(&mut ann, "Ann").await;
        assert_eq!((ann.path(), ann.flashes()), ("/account", vec![]), "it is the same");
        assert_eq!(site.mails_to("ann").await, ["registered"]);
    }

    async fn two_accounts_that_take_one_username_at_the_same_instant_do_not_share_it(site: Site) {
        let (ann, bob) = (site.registered("ann").await, site.registered("bob").await);
        let form = [("username", "carla")];
        let answers = tokio::join!(ann.post("/account/username", &form), bob.post("/account/username", &form));
        let mut statuses = [answers.0.status(), answers.1.status()];
        statuses.sort();
        assert_eq!(statuses, [StatusCode::SEE_OTHER, StatusCode::UNPROCESSABLE_ENTITY]);
        assert_eq!(site.count("select count(*) from vestibule_users where username = 'carla'").await, 1);
        assert_eq!(site.count("select count(*) from vestibule_reserved_usernames").await, 1);
    }

    async fn a_form_sent_twice_at_the_same_instant_renames_once_and_keeps_the_browser_logged_in(site: Site) {
        let mut ann = site.registered("ann").await;
        let form = [("username", "anna")];
        let answers = tokio::join!(ann.post("/account/username", &form), ann.post("/account/username", &form));
        for answer in [&answers.0, &answers.1] {
            assert_eq!(answer.status(), StatusCode::SEE_OTHER);
            ann.keep(answer);
        }
        assert!(ann.is_logged_in().await, "{}", ann.text());
        assert_eq!(site.mails_to("ann").await, ["registered", "username_changed"]);
    }

    async fn a_username_that_the_password_is_made_of_is_refused(site: Site) {
        let mut ann = site.browser();
        ann.register("ann", &email_of("ann"), "Velvet.Anchor.Pudding").await;
        for username in ["velvet.anchor.pudding", "VELVET.anchor.pudding", " Velvet.Anchor.Pudding"] {
            rename(&mut ann, username).await;
            assert_eq!(ann.problems(), ["Your password contains this username. Choose another one."], "{username}");
            assert_eq!(ann.status, StatusCode::UNPROCESSABLE_ENTITY);
        }
    }

    async fn a_password_that_was_just_given_is_judged_by_the_new_username_like_a_new_one(site: Site) {
        let (mut ann, password) = (site.browser(), "Velvet.Anchor.Pudding77");
        ann.register("ann", &email_of("ann"), password).await;
        for (username, is_refused) in [("anchor", false), ("velvet.anchor.pudding", true), ("velvet", false)] {
            site.wait(901);
            ann.open("/account/username").await;
            ann.fill("New username", username).fill("Current password", password).press("Change username").await;
            let expected: &[&str] = if is_refused { &["Your password contains this username. Choose another one."] } else { &[] };
            assert_eq!(ann.problems(), expected, "{username}");
        }
    }

    async fn names_compared_with_the_password_are_counted_before(site: Site) {
        let ann = site.registered("ann").await;
        let names: Vec<String> = (0..30).map(|at| format!("{}{at}", PASSWORD.replace(' ', "-"))).collect();
        let forms: Vec<_> = names.iter().map(|name| [("username", name.as_str())]).collect();
        let answers = futures_util::future::join_all(forms.iter().map(|form| ann.post("/account/username", form))).await;
        let limited = answers.iter().filter(|answer| answer.status() == StatusCode::TOO_MANY_REQUESTS);
        assert!(limited.count() >= 20);
    }

    async fn a_code_that_was_requested_before_is_void(site: Site) {
        let mut ann = site.registered("ann").await;
        let (mut stranger, code) = site.with_code("ann").await;
        rename(&mut ann, "anna").await;
        stranger.reset(&code, "harbour kettle ribbon").await;
        assert!(stranger.problems()[0].starts_with("Incorrect code."), "{:?}", stranger.problems());
    }

    async fn the_page_to_confirm_the_email_offers_a_new_code_in_place_of_a_void_one(site: Site) {
        let mut ann = site.registered_unproved("ann").await;
        assert!(ann.open("/verify").await.text().contains("Confirm email"));
        rename(&mut ann, "anna").await;
        site.wait(60);
        ann.open("/verify").await.press("Email me a code").await;
        ann.fill("Code", &site.newest_code().await).press("Confirm email").await;
        assert_eq!(ann.path(), "/account", "{}", ann.text());
    }
}

#[tokio::test]
async fn who_is_logged_out_is_led_to_log_in_and_back() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let mut stranger = site.browser();
    assert_eq!(stranger.open("/account/username").await.path(), "/login?next=/account/username");
    let answer = stranger.post("/account/username", &[("username", "anna")]).await;
    assert_eq!(answer.headers()["location"], "/login?next=/account/username");
    assert_eq!(site.mails_to("ann").await.len(), 1);
    let mut found = site.browser();
    found.log_in("ann", PASSWORD).await;
    assert_eq!(found.path(), "/account");
    assert!(found.text().contains(&email_of("ann")));
}

#[tokio::test]
async fn usernames_that_are_taken_are_told_as_slowly_as_at_the_registration() {
    let site = Site::with(|config| {
        config.limits.register_ip = Some(vestibule::config::Rate { count: 4, period: 3600 });
    })
    .await;
    site.registered("bob").await;
    let mut ann = site.registered("ann").await;
    for _ in 0..2 {
        rename(&mut ann, "bob").await;
        assert_eq!(ann.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    rename(&mut ann, "bob").await;
    assert_eq!(ann.status, StatusCode::TOO_MANY_REQUESTS);
}
