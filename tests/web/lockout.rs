//! Lockout: nobody can lock the owner out of a trusted browser, whose failures are counted separately.
//! After a hundred failures in a row elsewhere, only trusted browsers can log in with the password.

use axum::http::StatusCode;
use futures_util::future::join_all;
use vestibule::config::{HashCost, Rate};
use vestibule::db::sql;
use vestibule::models::user::find_user_by_username;

use crate::support::{Browser, OTHER_PASSWORD, PASSWORD, Site, email_of};

/// A browser that `username` registered in and logged out of.
async fn trusted_browser(site: &Site, username: &str) -> Browser {
    let mut browser = site.registered(username).await;
    browser.press("Log out").await;
    browser
}

async fn fail(browser: &mut Browser, login: &str, times: usize) -> StatusCode {
    for _ in 0..times {
        browser.log_in(login, "wrong").await;
    }
    browser.status
}

/// Fails so often, waiting for the limit of a quarter of an hour where necessary.
async fn fail_in_a_row(site: &Site, login: &str, times: usize) -> StatusCode {
    let mut status = StatusCode::OK;
    for number in 0..times {
        if number % 10 == 0 {
            site.wait(900);
        }
        status = site.browser().log_in(login, "wrong").await.status;
    }
    site.wait(900);
    status
}

on_both_databases! {
    async fn failures_elsewhere_do_not_lock_out_a_trusted_browser(site: Site) {
        let mut trusted = trusted_browser(&site, "ann").await;
        assert_eq!(fail(&mut site.browser(), "ann", 11).await, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(site.browser().log_in("ann", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
        assert!(trusted.log_in("ann@meadow.example", PASSWORD).await.is_logged_in().await);
        assert_eq!(site.browser().log_in("ann", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS, "its login resets no other failures");
    }

    async fn failures_in_a_trusted_browser_do_not_count_for_others(site: Site) {
        let mut trusted = trusted_browser(&site, "ann").await;
        assert_eq!(fail(&mut trusted, "ann", 10).await, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(trusted.log_in("ann", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
        assert!(site.browser().log_in("ann", PASSWORD).await.is_logged_in().await);
    }

    async fn failures_in_a_trusted_browser_outlive_an_update_of_the_program(site: Site) {
        let mut trusted = trusted_browser(&site, "ann").await;
        fail(&mut trusted, "ann", 1).await;
        let ann = find_user_by_username(site.db().reader(), "ann").await.unwrap().unwrap();
        let (key, token) = (&site.app.key, trusted.cookie("vestibule-device").unwrap());
        // As the first version stored them.
        let device = key.digest("budget", &[&ann.id, "1", token]);
        for limit in ["login_account", "login_in_a_row"] {
            let count = sql("select count from vestibule_rate_limits where subject = $1").bind(key.digest("limit", &[limit, &device]));
            assert_eq!(count.fetch_optional::<(i64,)>(site.db().reader()).await.unwrap(), Some((1,)), "{limit}");
        }
    }

    async fn a_browser_trusted_by_one_account_is_untrusted_by_another(site: Site) {
        let mut anns = trusted_browser(&site, "ann").await;
        trusted_browser(&site, "bob").await;
        fail(&mut site.browser(), "bob", 10).await;
        assert_eq!(anns.log_in("bob", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
    }

    async fn browsers_trusted_before_a_password_change_keep_separate_limits(site: Site) {
        let mut thief = trusted_browser(&site, "ann").await;
        let mut other = site.browser();
        other.log_in("ann", PASSWORD).await.press("Log out").await;
        let (mut owner, code) = site.with_code("ann").await;
        owner.reset(&code, OTHER_PASSWORD).await;
        fail(&mut site.browser(), "ann", 10).await;
        assert_eq!(fail(&mut thief, "ann", 10).await, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(thief.log_in("ann", OTHER_PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
        assert!(other.log_in("ann", OTHER_PASSWORD).await.is_logged_in().await, "neither untrusted browsers nor the thief lock it out");
        assert!(owner.log_in("ann", OTHER_PASSWORD).await.is_logged_in().await, "where it was set, it is known");
    }

    async fn a_browser_trusted_before_a_password_change_is_stopped_after_a_hundred_failures(site: Site) {
        let mut thief = trusted_browser(&site, "ann").await;
        let (mut owner, code) = site.with_code("ann").await;
        owner.reset(&code, OTHER_PASSWORD).await;
        for number in 0..100 {
            if number % 10 == 0 {
                site.wait(900);
            }
            assert_eq!(thief.log_in("ann", PASSWORD).await.status, StatusCode::UNPROCESSABLE_ENTITY);
        }
        site.wait(900);
        assert_eq!(thief.log_in("ann", OTHER_PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
        assert!(owner.log_in("ann", OTHER_PASSWORD).await.is_logged_in().await);
    }

    async fn a_browser_trusted_before_a_password_change_shares_the_codes_of_untrusted_ones(site: Site) {
        let mut former = trusted_browser(&site, "ann").await;
        let (mut owner, code) = site.with_code("ann").await;
        owner.reset(&code, OTHER_PASSWORD).await;
        for _ in 0..9 {
            site.browser().ask_for_code("ann", &email_of("ann")).await;
        }
        former.ask_for_code("ann", &email_of("ann")).await;
        assert_eq!(former.status, StatusCode::TOO_MANY_REQUESTS);
    }

    async fn one_guess_a_day_is_stopped_after_a_hundred_of_them(site: Site) {
        site.registered("ann").await;
        for day in 0..100 {
            let mut untrusted = site.browser();
            assert_eq!(untrusted.log_in("ann", "wrong").await.status, StatusCode::UNPROCESSABLE_ENTITY, "{day}");
            site.wait(24 * 3600);
        }
        let mut untrusted = site.browser();
        assert_eq!(untrusted.log_in("ann", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
        let (mut owner, code) = site.with_code("ann").await;
        owner.reset(&code, OTHER_PASSWORD).await;
        assert!(site.browser().log_in("ann", OTHER_PASSWORD).await.is_logged_in().await);
    }

    async fn ninety_nine_guesses_are_remembered_for_a_year(site: Site) {
        site.registered("ann").await;
        fail_in_a_row(&site, "ann", 99).await;
        site.wait(364 * 24 * 3600);
        fail_in_a_row(&site, "ann", 1).await;
        assert_eq!(site.browser().log_in("ann", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
    }

    async fn the_browser_that_changed_the_password_stays_trusted(site: Site) {
        let mut owner = site.registered("ann").await;
        owner.open("/account/password").await;
        owner.fill("Current password", PASSWORD).fill("New password", OTHER_PASSWORD);
        owner.fill("Confirm password", OTHER_PASSWORD).press("Change password").await;
        assert_eq!(owner.path(), "/account", "{}", owner.text());
        owner.press("Log out").await;
        fail(&mut site.browser(), "ann", 10).await;
        assert!(owner.log_in("ann", OTHER_PASSWORD).await.is_logged_in().await);
    }

    async fn untrusted_browsers_do_not_use_up_the_codes_and_guesses_of_a_trusted_one(site: Site) {
        let mut trusted = trusted_browser(&site, "ann").await;
        for _ in 0..4 {
            let (mut untrusted, _) = site.with_code("ann").await;
            for _ in 0..5 {
                untrusted.reset("CCCC-CCCC", OTHER_PASSWORD).await;
            }
        }
        for _ in 0..7 {
            site.browser().ask_for_code("ann", &email_of("ann")).await;
        }
        site.wait(1);
        let (mut untrusted, code) = (trusted.tab(), trusted.ask_for_code("ann", &email_of("ann")).await.status);
        assert_eq!(code, StatusCode::OK, "untrusted browsers used up the ten codes of the hour");
        let code = site.newest_code().await;
        untrusted.set_cookie("vestibule-device", "");
        untrusted.ask_for_code("ann", &email_of("ann")).await;
        assert_eq!(untrusted.status, StatusCode::TOO_MANY_REQUESTS);
        trusted.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(trusted.path(), "/login", "untrusted browsers used up the twenty guesses of the day: {}", trusted.text());
        assert!(trusted.log_in("ann", OTHER_PASSWORD).await.is_logged_in().await);
    }

    async fn trusted_browsers_of_an_account_share_one_limit_of_codes_and_emails(site: Site) {
        let first = trusted_browser(&site, "ann").await;
        let mut others = vec![first];
        for _ in 0..3 {
            let mut browser = site.browser();
            browser.log_in("ann", PASSWORD).await.press("Log out").await;
            others.push(browser);
        }
        for number in 0..5 {
            let trusted = &mut others[number % 4];
            assert_eq!(trusted.ask_for_code("ann", &email_of("ann")).await.path(), "/reset", "{number}");
        }
        for trusted in &mut others {
            trusted.ask_for_code("ann", &email_of("ann")).await;
            assert_eq!(trusted.status, StatusCode::TOO_MANY_REQUESTS, "five codes a day, from however many");
        }
        assert_eq!(site.browser().ask_for_code("ann", &email_of("ann")).await.path(), "/reset", "untrusted browsers have a separate limit");
    }

    async fn code_guesses_from_trusted_browsers_are_counted_together(site: Site) {
        let first = trusted_browser(&site, "ann").await;
        let mut second = site.browser();
        second.log_in("ann", PASSWORD).await.press("Log out").await;
        let (mut trusted_browsers, mut compared) = ([first, second], 0);
        for number in 0..5 {
            let trusted = &mut trusted_browsers[number % 2];
            trusted.ask_for_code("ann", &email_of("ann")).await;
            for _ in 0..5 {
                trusted.reset("CCCC-CCCC", OTHER_PASSWORD).await;
                compared += usize::from(trusted.status == StatusCode::UNPROCESSABLE_ENTITY);
            }
        }
        assert_eq!(compared, 20);
    }

    async fn a_hundred_failures_in_a_row_stop_a_trusted_browser_and_no_other(site: Site) {
        let mut trusted = trusted_browser(&site, "ann").await;
        let mut other = site.browser();
        other.log_in("ann", PASSWORD).await.press("Log out").await;
        for number in 0..100 {
            if number % 10 == 0 {
                site.wait(900);
            }
            assert_eq!(trusted.log_in("ann", "wrong").await.status, StatusCode::UNPROCESSABLE_ENTITY);
        }
        site.wait(900);
        assert_eq!(trusted.log_in("ann", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
        assert!(other.log_in("ann", PASSWORD).await.is_logged_in().await);
        let code = { site.wait(1); trusted.ask_for_code("ann", &email_of("ann")).await; site.newest_code().await };
        trusted.reset(&code, OTHER_PASSWORD).await;
        assert!(trusted.log_in("ann", OTHER_PASSWORD).await.is_logged_in().await, "a new password starts a new count");
    }

    async fn the_page_that_changes_the_password_stops_at_a_hundred_failures_too(site: Site) {
        let ann = site.registered("ann").await;
        let form = |current| [("current_password", current), ("password", OTHER_PASSWORD), ("password_confirm", OTHER_PASSWORD)];
        for number in 0..100 {
            if number % 10 == 0 {
                site.wait(900);
            }
            let answer = ann.post("/account/password", &form("wrong")).await;
            assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{number}");
        }
        site.wait(900);
        let answer = ann.post("/account/password", &form(PASSWORD)).await;
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(answer.headers()["retry-after"], "86400");
    }

    async fn a_correct_current_password_resets_the_failures_on_the_account_page(site: Site) {
        let ann = site.registered("ann").await;
        let form = |current| [("current_password", current), ("password", "short"), ("password_confirm", "short")];
        for current in [["wrong"; 9].as_slice(), &[PASSWORD], &["wrong"; 10]].concat() {
            let answer = ann.post("/account/password", &form(current)).await;
            assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        }
        let answer = ann.post("/account/password", &form(PASSWORD)).await;
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    }

    async fn the_hundredth_failure_is_notified_although_the_client_hangs_up(site: Site) {
        site.registered("ann").await;
        fail_in_a_row(&site, "ann", 99).await;
        let slow = HashCost { memory_kib: 64 * 1024, iterations: 4, threads: 1, queue: 9 };
        let guesser = site.changed(|config| config.hash = slow).await;
        {
            let mut guess = std::pin::pin!(guesser.post("/login", &[("username", "ann"), ("password", "wrong")]));
            while site.count("select max(count) from vestibule_rate_limits").await < 100 {
                assert!(futures_util::poll!(&mut guess).is_pending(), "it hangs up before the answer");
            }
        }
        let mut tick = tokio::time::interval(std::time::Duration::from_millis(10));
        for _ in 0..1000 {
            if site.mails_to("ann").await.len() > 2 {
                break;
            }
            tick.tick().await;
        }
        assert_eq!(site.mails_to("ann").await, ["registered", "login_limited", "login_stopped"]);
    }

    async fn the_key_of_a_counter_typed_as_a_username_does_not_count_for_it(site: Site) {
        let mut ann = site.registered("ann").await;
        let id = find_user_by_username(site.db().reader(), "ann").await.unwrap().unwrap().id;
        for name in [format!("current password of {id}"), format!("id {id}"), id] {
            fail(&mut site.browser(), &name, 10).await;
        }
        assert!(site.browser().log_in("ann", PASSWORD).await.is_logged_in().await);
        ann.open("/account/password").await;
        ann.fill("Current password", PASSWORD).fill("New password", OTHER_PASSWORD);
        ann.fill("Confirm password", OTHER_PASSWORD).press("Change password").await;
        assert_eq!(ann.path(), "/account", "{}", ann.text());
    }

    async fn after_a_hundred_failures_in_a_row_only_trusted_browsers_and_a_reset_get_in(site: Site) {
        let mut trusted = trusted_browser(&site, "ann").await;
        let mut pages = Vec::new();
        for login in ["ann", "nobody"] {
            assert_eq!(fail_in_a_row(&site, login, 100).await, StatusCode::UNPROCESSABLE_ENTITY);
            let mut untrusted = site.browser();
            untrusted.log_in(login, PASSWORD).await;
            assert_eq!(untrusted.status, StatusCode::TOO_MANY_REQUESTS, "{login}");
            assert_eq!(untrusted.headers["retry-after"], "86400");
            assert_eq!(untrusted.problems(), ["Password login is blocked in this browser. Reset your password."]);
            pages.push(untrusted.html.replace(&format!("value=\"{login}\""), ""));
        }
        assert_eq!(pages[0], pages[1], "the same whether the account exists");
        assert_eq!(site.mails_to("ann").await, ["registered", "login_limited", "login_stopped"]);
        assert_eq!(site.mails().await.len(), 3, "no email is sent for an unknown name");
        assert!(trusted.log_in("ann", PASSWORD).await.is_logged_in().await);
        site.wait(200 * 24 * 3600);
        assert_eq!(site.browser().log_in("ann", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS, "no wait ends it");
        let (mut owner, code) = site.with_code("ann").await;
        owner.reset(&code, OTHER_PASSWORD).await;
        assert!(site.browser().log_in("ann", OTHER_PASSWORD).await.is_logged_in().await, "a reset does");
    }

    async fn a_correct_password_resets_the_failures_in_a_row(site: Site) {
        site.registered("ann").await;
        fail_in_a_row(&site, "ann", 99).await;
        assert!(site.browser().log_in("ann", PASSWORD).await.is_logged_in().await, "the hundredth is still compared");
        fail_in_a_row(&site, "ann", 99).await;
        assert!(site.browser().log_in("ann", PASSWORD).await.is_logged_in().await);
        assert_eq!(site.mails_to("ann").await.iter().filter(|kind| *kind == "login_stopped").count(), 0);
    }

    async fn at_most_a_hundred_of_parallel_guesses_are_compared(site: Site) {
        site.registered("ann").await;
        let many = site.changed(|config| {
            config.limits.login_account = Some(Rate { count: 1000, period: 900 });
        }).await;
        let fields = [("username", "ann"), ("password", "wrong")];
        let answers = join_all((0..130).map(|_| many.post("/login", &fields))).await;
        let compared = answers.iter().filter(|answer| answer.status() == StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(compared.count(), 100);
        assert_eq!(site.mails_to("ann").await, ["registered", "login_stopped"], "one email reports it");
    }

    async fn rows_of_names_that_were_tried_once_are_swept_after_thirty_days(site: Site) {
        fail_in_a_row(&site, "nobody", 1).await;
        fail_in_a_row(&site, "somebody", 2).await;
        site.wait(30 * 24 * 3600);
        vestibule::tasks::sweep::sweep(&site.app).await.unwrap();
        assert_eq!(site.count("select count(*) from vestibule_rate_limits").await, 1);
        site.wait(4 * 24 * 3600);
        vestibule::tasks::sweep::sweep(&site.app).await.unwrap();
        assert_eq!(site.count("select count(*) from vestibule_rate_limits").await, 0);
    }

    async fn a_clock_set_back_does_not_lock_anyone_out_longer_than_a_window(site: Site) {
        site.registered("ann").await;
        fail(&mut site.browser(), "ann", 10).await;
        site.wait(-3600);
        let mut browser = site.browser();
        browser.log_in("ann", PASSWORD).await;
        assert_eq!(browser.status, StatusCode::TOO_MANY_REQUESTS, "nothing is forgiven");
        assert_eq!(browser.headers["retry-after"], "900");
    }
}

#[tokio::test]
async fn a_reached_network_limit_does_not_lock_out_a_trusted_browser() {
    let site = Site::with(|config| {
        config.limits.login_ip = Some(Rate { count: 3, period: 900 });
        config.limits.forgot_ip = Some(Rate { count: 1, period: 900 });
    })
    .await;
    let mut trusted = trusted_browser(&site, "ann").await;
    for name in ["bob", "cid", "dan"] {
        fail(&mut site.browser(), name, 1).await;
    }
    assert_eq!(fail(&mut site.browser(), "eve", 1).await, StatusCode::TOO_MANY_REQUESTS);
    assert!(trusted.log_in("ann", PASSWORD).await.is_logged_in().await);
    trusted.press("Log out").await;
    site.browser().ask_for_code("bob", &email_of("bob")).await;
    let mut untrusted = site.browser();
    untrusted.ask_for_code("bob", &email_of("bob")).await;
    assert_eq!(untrusted.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(trusted.ask_for_code("ann", &email_of("ann")).await.path(), "/reset");
}

#[tokio::test]
async fn a_made_up_device_cookie_is_not_trusted() {
    let site = Site::on_sqlite().await;
    trusted_browser(&site, "ann").await;
    fail(&mut site.browser(), "ann", 10).await;
    for value in ["AAAAAAAAAAAAAAAAAAAAAA", "", "' or 1=1 --"] {
        let mut browser = site.browser();
        browser.set_cookie("vestibule-device", value);
        browser.log_in("ann", PASSWORD).await;
        assert_eq!(browser.status, StatusCode::TOO_MANY_REQUESTS, "{value}");
    }
}

#[tokio::test]
async fn a_full_hash_queue_does_not_count_a_failure_in_a_row() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let (busy, taken) = site.with_full_hash_queue().await;
    for _ in 0..101 {
        busy.post("/login", &[("username", "ann"), ("password", PASSWORD)]).await;
    }
    drop(taken);
    assert!(site.browser().log_in("ann", PASSWORD).await.is_logged_in().await);
}
