//! Log in with an emailed code, which the settings must allow.

use axum::http::StatusCode;
use vestibule::db::sql;

use crate::support::{Browser, OTHER_PASSWORD, PASSWORD, Site, email_of};

/// A browser of the same site, where it is allowed.
async fn allowed(site: &Site) -> Browser {
    site.changed(|config| config.login_code = true).await
}

async fn ask(browser: &mut Browser, login: &str) {
    browser.open("/login/code").await;
    browser.fill("Username or email", login).press("Email me a code").await;
}

async fn newest_code(site: &Site) -> String {
    let mails = site.mails().await;
    let mail = mails.first().expect("a mail");
    assert_eq!(mail.kind, "login_code");
    let mut lines = mail.text.lines();
    lines.find(|line| line.len() == 9 && line.as_bytes()[4] == b'-').expect("a code").to_owned()
}

async fn enter(browser: &mut Browser, code: &str) {
    browser.open("/login/code/confirm").await;
    browser.fill("Code", code).press("Log in").await;
}

on_both_databases! {
    async fn it_is_off_unless_the_settings_allow_it(site: Site) {
        let mut browser = site.registered("ann").await;
        browser.press("Log out").await;
        assert!(!browser.text().contains("Email me a code instead"));
        for path in ["/login/code", "/login/code/confirm"] {
            assert_eq!(browser.open(path).await.status, StatusCode::NOT_FOUND);
            assert_eq!(browser.post(path, &[("username", "ann")]).await.status(), StatusCode::NOT_FOUND);
        }
        let mut browser = allowed(&site).await;
        browser.open("/login").await.click("Email me a code instead").await;
        assert_eq!(browser.path(), "/login/code");
    }

    async fn the_owner_of_an_address_takes_over_what_a_stranger_registered_with_it(site: Site) {
        let mut stranger = site.registered_unproved("mallory").await;
        let mut owner = allowed(&site).await;
        ask(&mut owner, &email_of("mallory")).await;
        enter(&mut owner, &newest_code(&site).await).await;
        assert_eq!(owner.path(), "/account");
        assert!(owner.text().contains("Email confirmed. Log out and reset the old password."));
        assert!(!owner.text().contains("Not confirmed"));
        stranger.open("/account").await;
        assert_eq!(stranger.path(), "/login?next=/account", "its session has ended");
        for mut browser in [stranger, site.browser()] {
            browser.log_in("mallory", PASSWORD).await;
            assert_eq!(browser.path(), "/login", "the password is blocked");
        }
        site.wait(60);
        let (mut browser, code) = site.with_code("mallory").await;
        browser.reset(&code, OTHER_PASSWORD).await.log_in("mallory", OTHER_PASSWORD).await;
        assert_eq!(browser.path(), "/account");
    }

    async fn in_the_browser_that_registered_a_code_proves_the_address_and_the_password_stays(site: Site) {
        let mut browser = site.changed(|config| config.login_code = true).await;
        browser.register("ann", &email_of("ann"), PASSWORD).await;
        site.wait(1);
        browser.press("Log out").await;
        ask(&mut browser, "ann").await;
        enter(&mut browser, &newest_code(&site).await).await;
        assert_eq!(browser.path(), "/account");
        assert!(!browser.text().contains("Not confirmed"));
        assert!(!browser.text().contains("old password"));
        let mut other = site.browser();
        other.log_in("ann", PASSWORD).await;
        assert_eq!(other.path(), "/account");
    }

    async fn the_code_logs_in_once_and_leads_on(site: Site) {
        site.registered("ann").await;
        for login in ["Ann", "ANN@meadow.example"] {
            site.wait(60);
            let mut browser = allowed(&site).await;
            browser.open("/login/code?next=/account/password").await;
            browser.fill("Username or email", login).press("Email me a code").await;
            assert_eq!(browser.path(), "/login/code/confirm?next=%2Faccount%2Fpassword");
            let code = newest_code(&site).await;
            let mut tab = browser.tab();
            browser.fill("Code", &code).tick("Keep me logged in on this device").press("Log in").await;
            assert_eq!(browser.path(), "/account/password", "{}", browser.text());
            tab.fill("Code", &code).press("Log in").await;
            assert_eq!(tab.path(), "/login/code", "the session of the code has ended");
        }
        assert_eq!(site.mails_to("ann").await.iter().filter(|kind| *kind == "new_device").count(), 2);
    }

    async fn a_code_of_another_browser_is_refused_and_two_at_the_same_instant_log_in_once(site: Site) {
        site.registered("ann").await;
        let (mut here, mut there) = (allowed(&site).await, allowed(&site).await);
        ask(&mut here, "ann").await;
        let code = newest_code(&site).await;
        site.wait(1);
        ask(&mut there, "ann").await;
        enter(&mut there, &code).await;
        assert!(there.problems()[0].starts_with("Incorrect code."), "{:?}", there.problems());
        let form = [("code", &*code)];
        let answers = tokio::join!(here.post("/login/code/confirm", &form), here.post("/login/code/confirm", &form));
        let done = [answers.0, answers.1].iter().filter(|answer| answer.headers().get("location").is_some_and(|path| path == "/account")).count();
        assert_eq!(done, 1);
        assert_eq!(site.count("select count(*) from vestibule_sessions where user_id is not null").await, 2);
    }

    async fn a_double_click_leads_on_and_another_browser_is_refused(site: Site) {
        site.registered("ann").await;
        let (mut browser, mut stranger) = (allowed(&site).await, allowed(&site).await);
        ask(&mut browser, "ann").await;
        let code = newest_code(&site).await;
        site.wait(1);
        ask(&mut stranger, "ann").await;
        let form = [("code", &*code)];
        let answers = tokio::join!(browser.post("/login/code/confirm", &form), browser.post("/login/code/confirm", &form));
        let mut places = Vec::new();
        for answer in [&answers.0, &answers.1] {
            assert_eq!(answer.status(), StatusCode::SEE_OTHER);
            browser.keep(answer);
            places.push(answer.headers()["location"].to_str().unwrap());
        }
        places.sort_unstable();
        assert_eq!(places, ["/account", "/login/code"]);
        browser.open("/login/code").await;
        assert_eq!(browser.path(), "/account", "{}", browser.text());
        let again = browser.post("/login/code/confirm", &form).await;
        assert_eq!(again.headers()["location"], "/account", "as the first");
        browser.open("/account").await.press("Log out").await;
        assert_eq!(browser.flashes(), ["You've been logged out."], "and not that a code took too long");
        enter(&mut stranger, &code).await;
        assert!(stranger.problems()[0].starts_with("Incorrect code."), "{:?}", stranger.problems());
    }

    async fn a_new_password_voids_the_code(site: Site) {
        site.registered("ann").await;
        let mut thief = allowed(&site).await;
        ask(&mut thief, "ann").await;
        let code = newest_code(&site).await;
        site.wait(1);
        let (mut owner, reset) = site.with_code("ann").await;
        owner.reset(&reset, OTHER_PASSWORD).await;
        enter(&mut thief, &code).await;
        assert!(thief.problems()[0].starts_with("Incorrect code."), "{:?}", thief.problems());
        // A code of another purpose.
        site.wait(60);
        ask(&mut thief, "ann").await;
        let login = newest_code(&site).await;
        let (mut owner, reset) = site.with_code("ann").await;
        enter(&mut thief, &reset).await;
        assert!(thief.problems()[0].starts_with("Incorrect code."));
        owner.reset(&login, PASSWORD).await;
        assert!(owner.problems()[0].starts_with("Incorrect code."));
    }

    async fn a_login_while_the_account_is_deleted_is_refused_or_ends_with_it(site: Site) {
        for round in 0..6 {
            let name = format!("ann{round}");
            let owner = site.registered(&name).await;
            let mut browser = allowed(&site).await;
            ask(&mut browser, &name).await;
            let code = newest_code(&site).await;
            let fields = [("username", name.as_str()), ("current_password", PASSWORD)];
            let form = [("code", &*code)];
            let (deleted, logged_in) =
                tokio::join!(owner.post("/account/delete", &fields), browser.post("/login/code/confirm", &form));
            assert_eq!(deleted.status(), StatusCode::SEE_OTHER);
            let status = logged_in.status();
            assert!([StatusCode::SEE_OTHER, StatusCode::UNPROCESSABLE_ENTITY].contains(&status), "{status}");
            browser.keep(&logged_in);
            assert!(!browser.is_logged_in().await);
            site.wait(60);
        }
        assert_eq!(site.count("select count(*) from vestibule_users").await, 0);
        assert_eq!(site.count("select count(*) from vestibule_sessions where user_id is not null").await, 0);
    }

    async fn it_does_not_count_as_giving_the_password(site: Site) {
        site.registered("ann").await;
        let mut browser = allowed(&site).await;
        ask(&mut browser, "ann").await;
        enter(&mut browser, &newest_code(&site).await).await;
        browser.open("/account/username").await;
        browser.fill("New username", "anna").fill("Current password", "").press("Change username").await;
        assert_eq!(browser.problems(), ["Enter your current password."]);
    }

    async fn a_fourth_of_the_guesses_of_a_reset_are_compared_each_day(site: Site) {
        site.registered("ann").await;
        for login in ["ann", "nobody"] {
            let mut compared = 0;
            for _ in 0..3 {
                let mut browser = allowed(&site).await;
                ask(&mut browser, login).await;
                for _ in 0..5 {
                    enter(&mut browser, "CCCC-CCCC").await;
                    compared += usize::from(browser.status == StatusCode::UNPROCESSABLE_ENTITY);
                }
            }
            assert_eq!(compared, 5, "{login}");
        }
        let (mut owner, code) = site.with_code("ann").await;
        owner.reset("CCCC-CCCC", OTHER_PASSWORD).await;
        assert!(owner.problems()[0].starts_with("Incorrect code."), "those of a reset are counted separately");
        owner.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(owner.path(), "/login");
    }

    async fn it_works_although_logins_are_stopped_and_says_what_is_missing(site: Site) {
        site.registered("ann").await;
        for number in 0..100 {
            if number % 10 == 0 {
                site.wait(900);
            }
            site.browser().log_in("ann", "wrong").await;
        }
        let mut owner = allowed(&site).await;
        assert_eq!(owner.log_in("ann", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
        ask(&mut owner, "  ").await;
        assert_eq!(owner.problems(), ["Enter your username or email."]);
        site.wait(1);
        ask(&mut owner, &email_of("ann")).await;
        enter(&mut owner, "").await;
        assert_eq!(owner.problems(), ["Enter the code from the email."]);
        enter(&mut owner, &newest_code(&site).await).await;
        assert!(owner.is_logged_in().await);
    }
}

/// A login with a code and a report of somebody else both change the account's row, and then the code's.
#[tokio::test]
async fn a_login_and_a_report_of_somebody_else_do_not_deadlock() {
    let Some(site) = Site::on_postgresql().await else { return };
    site.registered("ann").await;
    let mails = site.mails().await;
    let mut lines = mails[0].text.lines();
    let link = lines.find_map(|line| line.strip_prefix("http://localhost:8000/not-me/")).unwrap();
    let link = format!("/not-me/{link}");
    let (owner, mut browser) = (site.browser(), allowed(&site).await);
    ask(&mut browser, "ann").await;
    let code = newest_code(&site).await;
    // Both wait for the row, the report first.
    let mut held = site.db().begin().await.unwrap();
    let lock = sql("select id from vestibule_users for update");
    lock.fetch_optional::<(String,)>(held.executor()).await.unwrap().unwrap();
    let mut reported = std::pin::pin!(owner.post(&link, &[]));
    while site.count(FIRST_WAITS).await == 0 {
        assert!(futures_util::poll!(&mut reported).is_pending());
    }
    let form = [("code", &*code)];
    let mut logged_in = std::pin::pin!(browser.post("/login/code/confirm", &form));
    while site.count(SECOND_WAITS).await == 0 {
        assert!(futures_util::poll!(&mut reported).is_pending());
        assert!(futures_util::poll!(&mut logged_in).is_pending());
    }
    held.commit().await.unwrap();
    let (reported, logged_in) = tokio::join!(reported, logged_in);
    assert_eq!(reported.status(), StatusCode::SEE_OTHER);
    assert_eq!(logged_in.status(), StatusCode::UNPROCESSABLE_ENTITY, "the code is void");
}

/// The first to wait for a row has a lock on it and waits for the transaction; the others wait for that lock.
const FIRST_WAITS: &str = "select count(*) from pg_locks
    where locktype = 'tuple' and granted and relation = 'vestibule_users'::regclass";
const SECOND_WAITS: &str = "select count(*) from pg_locks
    where locktype = 'tuple' and not granted and relation = 'vestibule_users'::regclass";
