//! Registrations that a code confirms: an account is made only once its address is proved.

use axum::body::Body;
use axum::http::{Response, StatusCode};
use vestibule::Config;
use vestibule::config::{Rate, RegistrationMode};
use vestibule::tasks::sweep::sweep;

use crate::support::{Browser, OTHER_PASSWORD, PASSWORD, Site, email_of};

const USERS: &str = "select count(*) from vestibule_users";
const REGISTRATIONS: &str = "select count(*) from vestibule_registrations";
const LOGGED_IN: &str = "select count(*) from vestibule_sessions where user_id is not null";
const ENDED: &str = "You've finished signing up, or it took too long. Log in, or start again.";

const DAY: i64 = 24 * 60 * 60;

fn verified(config: &mut Config) {
    config.registration.mode = RegistrationMode::Verified;
}

/// A browser that has registered `username` and waits for the code, and the code.
async fn registering(site: &Site, username: &str, email: &str) -> (Browser, String) {
    site.wait(1);
    let mut browser = site.changed(verified).await;
    browser.register(username, email, PASSWORD).await;
    assert_eq!(browser.path(), "/register/confirm", "{}", browser.text());
    (browser, site.newest_code().await)
}

async fn enter(browser: &mut Browser, code: &str) {
    browser.open("/register/confirm").await;
    browser.fill("Code", code).press("Create account").await;
}

fn form<'a>(username: &'a str, email: &'a str) -> [(&'a str, &'a str); 4] {
    [
        ("username", username),
        ("email", email),
        ("password", PASSWORD),
        ("password_confirm", PASSWORD),
    ]
}

fn location(answer: &Response<Body>) -> &str {
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    answer.headers()["location"].to_str().unwrap()
}

on_both_databases! {
    async fn the_code_makes_the_account_and_logs_in(site: Site) {
        let mut ann = site.changed(verified).await;
        ann.open("/register?next=/account/password").await;
        ann.fill("Username", "Ann").fill("Email", "Ann@meadow.example");
        ann.fill("Password", PASSWORD).fill("Confirm password", PASSWORD).press("Create account").await;
        assert_eq!(ann.path(), "/register/confirm?next=%2Faccount%2Fpassword");
        assert!(ann.text().contains("If Ann@meadow.example doesn't have an account yet, we've emailed a code."), "{}", ann.text());
        assert_eq!((site.count(USERS).await, site.count(REGISTRATIONS).await), (0, 1));
        let mails = site.mails().await;
        assert_eq!((mails.len(), &*mails[0].to), (1, "Ann@meadow.example"));
        assert!(mails[0].text.contains("Hello,"), "a stranger may have typed the username: {}", mails[0].text);
        let code = site.newest_code().await;
        site.wait(1);
        ann.fill("Code", &code.to_lowercase()).press("Create account").await;
        assert_eq!(ann.path(), "/account/password");
        assert_eq!(ann.flashes(), ["Your account was created."]);
        assert_eq!((site.count(USERS).await, site.count(REGISTRATIONS).await), (1, 0));
        assert_eq!(site.count("select count(*) from vestibule_users where username = 'ann' and email_verified_at > 0").await, 1);
        assert_eq!(site.mails().await[0].kind, "registered");
        assert!(!site.mails().await[0].text.contains("Confirm your email"), "it is confirmed already");
        ann.fill("Current password", "").fill("New password", OTHER_PASSWORD).fill("Confirm password", OTHER_PASSWORD);
        ann.press("Change password").await;
        assert_eq!(ann.problems(), ["Enter your current password."]);
        ann.press("Log out").await.log_in("ann", PASSWORD).await;
        assert_eq!(ann.path(), "/account");
    }

    async fn the_owner_of_a_taken_address_is_told_by_email_and_nobody_else(site: Site) {
        site.registered("ann").await;
        site.wait(1);
        let mut stranger = site.changed(verified).await;
        stranger.register("eve", "ANN@Meadow.example", PASSWORD).await;
        assert_eq!(stranger.path(), "/register/confirm");
        assert!(stranger.text().contains("If ANN@Meadow.example doesn't have an account yet"), "{}", stranger.text());
        let mails = site.mails().await;
        let (mail, number) = (&mails[0], mails.len());
        assert_eq!((number, &*mail.kind, &*mail.to), (2, "register_code", "ann@meadow.example"));
        assert_eq!(mail.subject, "You already have an account at Vestibule");
        assert!(mail.text.contains("Hello ann,") && mail.text.contains("http://localhost:8000/forgot"), "{}", mail.text);
        assert!(!mail.text.contains("eve") && !mail.html.contains("eve"));
        enter(&mut stranger, "CCCC-CCCC").await;
        assert_eq!(stranger.problems(), ["Incorrect code. Check the latest email. 4 attempts left."]);
        stranger.press("Send a new code").await;
        assert_eq!(site.mails().await[0].subject, mail.subject);
        assert_eq!(site.count(USERS).await, 1);
        let mut ann = site.browser();
        ann.log_in("ann", PASSWORD).await.open("/account/history").await;
        assert!(ann.text().contains("Email sent: sign-up with your email"), "{}", ann.text());
    }

    async fn a_taken_username_is_told_once_the_address_is_proved(site: Site) {
        site.registered("ann").await;
        let (mut ann, code) = registering(&site, "ann", "other@meadow.example").await;
        let stale = ann.tab();
        ann.fill("Code", &code).press("Create account").await;
        assert_eq!((ann.status, ann.path()), (StatusCode::UNPROCESSABLE_ENTITY, "/register/confirm"));
        assert_eq!(ann.problems(), ["That username is taken. Choose another."]);
        assert_eq!(ann.all_attributes("main input:not([type=hidden])", "name"), ["username"]);
        assert_eq!(ann.attribute("#username", "value").as_deref(), Some("ann"));
        assert_eq!(location(&ann.post("/register/resend", &[]).await), "/register/confirm", "there is nothing left to prove");
        assert_eq!(site.mails().await.iter().filter(|mail| mail.kind == "register_code").count(), 1);
        let ways = ann.all_text("ul.ways li").join(" ");
        assert!(ways.contains("Use a different email") && ways.contains("Log in"), "{ways}");
        ann.fill("Username", "a b").press("Create account").await;
        assert!(ann.problems()[0].starts_with("Use only letters"), "{:?}", ann.problems());
        ann.fill("Username", "Postmaster").press("Create account").await;
        assert_eq!(ann.problems(), ["That username is reserved."]);
        assert_eq!(stale.post("/register/confirm", &[("code", &*code)]).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
        // The code has expired by now, and the address stays proved.
        site.wait(1200);
        ann.open("/register/confirm?next=/account/password").await.fill("Username", "Anna").press("Create account").await;
        assert_eq!((ann.path(), ann.flashes()), ("/account/password", vec!["Your account was created.".to_owned()]));
        assert_eq!(site.count("select count(*) from vestibule_users where username = 'anna' and email = 'other@meadow.example'").await, 1);
    }

    async fn back_at_the_start_a_taken_username_is_told_and_the_proof_is_kept(site: Site) {
        site.registered("ann").await;
        let (mut ann, code) = registering(&site, "ann", "Other@meadow.example").await;
        assert!(!ann.open("/register").await.text().contains("You've confirmed"));
        enter(&mut ann, &code).await;
        ann.open("/register?next=/account/password").await;
        let told = "You've confirmed Other@meadow.example, but your username is taken. Choose another to create your account.";
        assert!(ann.text().contains(told), "{}", ann.text());
        assert_eq!(ann.attribute("#email", "value").as_deref(), Some("Other@meadow.example"));
        let mut other = ann.tab();
        ann.click("Choose another").await;
        assert_eq!((ann.path(), ann.all_attributes("main input:not([type=hidden])", "name")), ("/register/confirm?next=%2Faccount%2Fpassword", vec!["username".to_owned()]));
        other.fill("Username", "ann").fill("Password", OTHER_PASSWORD).fill("Confirm password", OTHER_PASSWORD).press("Create account").await;
        assert_eq!((other.path(), other.problems()), ("/register", vec!["That username is taken. Choose another.".to_owned()]));
        assert!(other.text().contains(told));
        other.fill("Username", "anna").fill("Password", OTHER_PASSWORD).fill("Confirm password", OTHER_PASSWORD).press("Create account").await;
        assert_eq!((other.path(), other.flashes()), ("/account/password", vec!["Your account was created.".to_owned()]));
        assert_eq!(site.count("select count(*) from vestibule_users where username = 'anna' and email_verified_at > 0 and email = 'Other@meadow.example'").await, 1);
        assert_eq!(site.mails().await.iter().filter(|mail| mail.kind == "register_code").count(), 1, "it needs no other code");
        assert_eq!(site.count(REGISTRATIONS).await, 0);
        assert!(site.browser().log_in("anna", OTHER_PASSWORD).await.is_logged_in().await, "the password of the last form");
    }

    async fn the_proof_of_one_address_is_none_of_another(site: Site) {
        site.registered("ann").await;
        let (mut bot, code) = registering(&site, "ann", "bot@meadow.example").await;
        enter(&mut bot, &code).await;
        site.wait(1);
        bot.register("victim", "victim@meadow.example", PASSWORD).await;
        assert_eq!((bot.path(), site.count(USERS).await), ("/register/confirm", 1));
        assert_eq!(site.mails_to("victim").await, ["register_code"]);
        assert!(!bot.open("/register").await.text().contains("You've confirmed"));
        let (mut unproved, _) = registering(&site, "cid", &email_of("cid")).await;
        unproved.register("cyd", &email_of("cid"), PASSWORD).await;
        assert_eq!((unproved.path(), site.count(USERS).await), ("/register/confirm", 1));
    }

    async fn a_registration_goes_on_while_one_logs_in_to_another_account_and_out(site: Site) {
        site.registered("zoe").await;
        let (mut ann, code) = registering(&site, "ann", &email_of("ann")).await;
        ann.log_in("zoe", PASSWORD).await.open("/register/confirm").await;
        assert_eq!((ann.status, ann.path()), (StatusCode::OK, "/register/confirm"));
        assert!(ann.text().contains("You're logged in as zoe. This creates another account."), "{}", ann.text());
        enter(&mut ann, "CCCC-CCCC").await;
        assert!(ann.problems()[0].starts_with("Incorrect code.") && ann.text().contains("You're logged in as zoe."));
        ann.click("Back to your account").await;
        assert_eq!(ann.path(), "/account");
        let mut out = ann.tab();
        enter(&mut ann, &code).await;
        assert_eq!((ann.path(), ann.flashes()), ("/account", vec!["Your account was created.".to_owned()]));
        assert!(ann.text().contains("ann@meadow.example"), "{}", ann.text());
        assert!(!out.is_logged_in().await, "the session of the other account has ended");
        assert_eq!(ann.open("/register/confirm").await.path(), "/account", "the way back");
        let (mut bob, code) = registering(&site, "bob", &email_of("bob")).await;
        bob.log_in("zoe", PASSWORD).await.press("Log out").await;
        assert_eq!(bob.path(), "/login");
        enter(&mut bob, &code).await;
        assert_eq!((bob.path(), site.count(USERS).await), ("/account", 3));
        bob.press("Log out").await;
        assert_eq!(bob.open("/register/confirm").await.path(), "/register", "it was confirmed");
    }

    async fn a_request_over_the_limit_leaves_no_registration(site: Site) {
        let strict = site.app_with(|config| {
            verified(config);
            config.limits.forgot_ip = Some(Rate { count: 1, period: 3600 });
        }).await;
        let router = vestibule::site(&strict);
        let first = Browser::new(router.clone()).post("/register", &form("ann", "ann@meadow.example")).await;
        assert_eq!(location(&first), "/register/confirm");
        let second = Browser::new(router).post("/register", &form("bob", "bob@meadow.example")).await;
        assert_eq!((second.status(), site.count(REGISTRATIONS).await), (StatusCode::TOO_MANY_REQUESTS, 1));
    }

    async fn a_username_that_the_password_is_made_of_is_refused_in_place_of_a_taken_one(site: Site) {
        site.registered("ann").await;
        let (mut ann, code) = registering(&site, "ann", "other@meadow.example").await;
        ann.fill("Code", &code).press("Create account").await;
        let name = PASSWORD.replace(' ', ".");
        ann.fill("Username", &name).press("Create account").await;
        assert_eq!(ann.problems(), ["Your password contains this username. Choose another one."]);
        assert_eq!(ann.attribute("#username", "value").as_deref(), Some(&*name));
        ann.fill("Username", "Anna").press("Create account").await;
        assert_eq!(ann.path(), "/account", "{}", ann.text());
    }

    async fn tried_usernames_are_counted_by_network(site: Site) {
        site.registered("ann").await;
        let (mut bot, code) = registering(&site, "ann", "bot@meadow.example").await;
        bot.fill("Code", &code).press("Create account").await;
        let mut tried = 1;
        while bot.status == StatusCode::UNPROCESSABLE_ENTITY {
            bot.fill("Username", "ann").press("Create account").await;
            tried += 1;
        }
        assert_eq!((bot.status, tried), (StatusCode::TOO_MANY_REQUESTS, 60), "the registration is one of sixty");
        assert_eq!(bot.all_attributes("[role=alert] a", "href"), ["#username"]);
    }

    async fn a_wrong_code_is_counted_and_the_sixth_attempt_is_refused(site: Site) {
        let (mut ann, code) = registering(&site, "ann", &email_of("ann")).await;
        for left in ["4 attempts left.", "3 attempts left.", "2 attempts left.", "1 attempt left."] {
            ann.fill("Code", "CCCC-CCCC").press("Create account").await;
            assert_eq!(ann.status, StatusCode::UNPROCESSABLE_ENTITY);
            assert!(ann.problems()[0].ends_with(left), "{:?}", ann.problems());
        }
        ann.fill("Code", "not a code").press("Create account").await;
        assert!(ann.problems()[0].starts_with("Enter the 8-character code"));
        ann.fill("Code", "CCCC-CCCC").press("Create account").await;
        assert_eq!(ann.problems(), ["Incorrect code, no attempts left. Request a new one."]);
        let answer = ann.post("/register/confirm", &[("code", &*code)]).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(site.count(USERS).await, 0);
        site.wait(1);
        ann.press("Send a new code").await;
        assert_eq!((ann.path(), ann.flashes()), ("/register/confirm", vec!["We've sent a new code.".to_owned()]));
        enter(&mut ann, &site.newest_code().await).await;
        assert_eq!(ann.path(), "/account");
    }

    async fn twenty_wrong_codes_a_day_are_compared_for_an_address_however_many_browsers_guess(site: Site) {
        let mut compared = 0;
        for number in 0..6 {
            let email = format!("ann+{number}@meadow.example");
            let (mut browser, _) = registering(&site, "ann", &email).await;
            for _ in 0..5 {
                enter(&mut browser, "CCCC-CCCC").await;
                compared += usize::from(browser.status == StatusCode::UNPROCESSABLE_ENTITY);
            }
            if number == 4 {
                break;
            }
        }
        assert_eq!(compared, 20);
    }

    async fn an_expired_code_is_refused_and_replaced(site: Site) {
        let (mut ann, code) = registering(&site, "ann", &email_of("ann")).await;
        site.wait(600);
        ann.fill("Code", &code).press("Create account").await;
        assert_eq!(ann.problems(), ["This code has expired. Request a new one."]);
        ann.open("/register/confirm").await;
        assert!(ann.all_text("input").is_empty() && ann.text().contains("This code has expired."), "{}", ann.text());
        ann.press("Send a new code").await;
        enter(&mut ann, &site.newest_code().await).await;
        assert_eq!(ann.path(), "/account");
    }

    async fn a_code_of_another_purpose_or_browser_does_not_confirm(site: Site) {
        site.registered("zoe").await;
        let (mut ann, code) = registering(&site, "ann", &email_of("ann")).await;
        let (mut bob, bobs) = registering(&site, "bob", &email_of("bob")).await;
        site.wait(1);
        ann.ask_for_code("zoe", &email_of("zoe")).await;
        let reset = site.newest_code().await;
        for wrong in [&bobs, &reset] {
            enter(&mut ann, wrong).await;
            assert!(ann.problems()[0].starts_with("Incorrect code."), "{:?}", ann.problems());
        }
        let answer = ann.reset(&code, OTHER_PASSWORD).await;
        assert!(answer.problems()[0].starts_with("Incorrect code."));
        let nowhere = site.changed(verified).await;
        assert_eq!(location(&nowhere.post("/register/confirm", &[("code", &*code)]).await), "/login");
        enter(&mut bob, &bobs).await;
        assert_eq!((bob.path(), site.count(USERS).await), ("/account", 2));
    }

    async fn the_form_of_a_tab_from_before_a_new_code_is_refused(site: Site) {
        let (mut ann, code) = registering(&site, "ann", &email_of("ann")).await;
        let mut stale = ann.tab();
        site.wait(1);
        ann.press("Send a new code").await;
        stale.fill("Code", &code).press("Create account").await;
        assert!(stale.problems()[0].starts_with("Incorrect code."), "{:?}", stale.problems());
        ann.fill("Code", &site.newest_code().await).press("Create account").await;
        assert_eq!(ann.path(), "/account");
    }

    async fn a_second_registration_in_the_browser_replaces_the_first(site: Site) {
        let (mut ann, first) = registering(&site, "ann", "tpyo@meadow.example").await;
        site.wait(1);
        ann.click("Use a different email").await;
        ann.register("ann", "typo@meadow.example", PASSWORD).await;
        assert_eq!(ann.flashes(), ["We've sent a new code."]);
        assert!(ann.text().contains("typo@meadow.example"));
        let second = site.newest_code().await;
        enter(&mut ann, &first).await;
        assert!(ann.problems()[0].starts_with("Incorrect code."));
        enter(&mut ann, &second).await;
        assert_eq!(site.count("select count(*) from vestibule_users where email = 'typo@meadow.example'").await, 1);
    }

    async fn the_right_code_sent_twice_makes_one_account_and_logs_in_once(site: Site) {
        for (name, at_once) in [("ann", true), ("bob", false)] {
            let (browser, code) = registering(&site, name, &email_of(name)).await;
            let right = [("code", &*code)];
            let sent = |browser: &Browser| { let browser = browser.tab(); async move { browser.post("/register/confirm", &right).await } };
            let answers = if at_once {
                let answers = tokio::join!(sent(&browser), sent(&browser));
                [answers.0, answers.1]
            } else {
                [sent(&browser).await, sent(&browser).await]
            };
            let mut ways = [location(&answers[0]), location(&answers[1])];
            ways.sort_unstable();
            assert_eq!(ways, ["/account", "/login"]);
            let second = answers.iter().find(|answer| location(answer) == "/login").unwrap();
            let mut again = browser.tab();
            again.keep(second);
            again.open("/login").await;
            assert_eq!((again.path(), again.flashes()), ("/login", vec![ENDED.to_owned()]));
            let first = answers.iter().find(|answer| location(answer) == "/account").unwrap();
            let mut owner = browser.tab();
            owner.keep(first);
            assert_eq!(owner.open("/register/confirm").await.path(), "/account", "the way back");
            assert_eq!(location(&owner.post("/register/confirm", &right).await), "/account");
        }
        assert_eq!((site.count(USERS).await, site.count(LOGGED_IN).await), (2, 2));
        assert_eq!(site.mails().await.iter().filter(|mail| mail.kind == "registered").count(), 2);
    }

    async fn two_browsers_with_one_address_make_one_account_and_the_other_is_told(site: Site) {
        let (one, code) = registering(&site, "ann", &email_of("ann")).await;
        let (other, other_code) = registering(&site, "anna", "Ann@meadow.example").await;
        let (right, other_right) = ([("code", &*code)], [("code", &*other_code)]);
        let (one, two) = tokio::join!(one.post("/register/confirm", &right), other.post("/register/confirm", &other_right));
        let mut ways = [location(&one), location(&two)];
        ways.sort_unstable();
        assert_eq!(ways, ["/account", "/login"]);
        assert_eq!((site.count(USERS).await, site.count(REGISTRATIONS).await), (1, 0));
        let (mut late, late_code) = registering(&site, "late", "late@meadow.example").await;
        site.registered("late").await;
        enter(&mut late, &late_code).await;
        assert_eq!(late.path(), "/login");
        assert_eq!(late.flashes(), ["That email is already registered. Log in, reset your password, or choose another."]);
        assert_eq!(late.attribute("#username", "value").as_deref(), Some("late@meadow.example"));
        assert!(!late.is_logged_in().await);
        assert_eq!(late.open("/register/confirm").await.path(), "/register");
    }

    async fn an_address_that_a_link_can_give_back_is_not_given_to_another(site: Site) {
        let mut ann = site.registered("ann").await;
        ann.open("/account/email").await.fill("New email", "new@meadow.example").press("Email me a code").await;
        ann.fill("Code", &site.newest_code().await).press("Change email").await;
        assert_eq!(ann.path(), "/account", "{}", ann.text());
        let (mut other, code) = registering(&site, "other", &email_of("ann")).await;
        enter(&mut other, &code).await;
        assert_eq!((other.path(), site.count(USERS).await), ("/login", 1));
    }

    async fn what_was_never_confirmed_is_gone_after_a_day(site: Site) {
        let (mut ann, _) = registering(&site, "ann", &email_of("ann")).await;
        for _ in 0..47 {
            site.wait(DAY / 48);
            sweep(&site.app).await.unwrap();
            ann.open("/register/confirm").await;
        }
        assert_eq!(site.count(REGISTRATIONS).await, 1);
        site.wait(DAY / 48 + 1);
        sweep(&site.app).await.unwrap();
        assert_eq!(site.count(REGISTRATIONS).await, 0);
        for table in ["select count(*) from vestibule_history", "select count(*) from vestibule_outbox", "select count(*) from vestibule_one_time_codes"] {
            assert_eq!(site.count(table).await, 0, "{table}");
        }
    }

    async fn a_registration_of_yesterday_cannot_be_confirmed(site: Site) {
        let (mut ann, _) = registering(&site, "ann", &email_of("ann")).await;
        for _ in 0..26 {
            site.wait(DAY / 26 - 5);
            ann.post("/register/resend", &[]).await;
            ann.open("/register/confirm").await;
        }
        let code = site.newest_code().await;
        assert_eq!(ann.path(), "/register/confirm");
        site.wait(300);
        let answer = ann.post("/register/confirm", &[("code", &*code)]).await;
        assert_eq!((location(&answer), site.count(USERS).await), ("/login", 0));
    }

    async fn another_code_is_sent_after_a_wait_that_grows(site: Site) {
        let (mut ann, _) = registering(&site, "ann", &email_of("ann")).await;
        for (wait, sent) in [(0, 2), (0, 2), (29, 2), (1, 3), (59, 3), (1, 4)] {
            site.wait(wait);
            ann.press("Send a new code").await;
            assert_eq!(ann.path(), "/register/confirm");
            let codes = site.mails_to("ann").await.len();
            assert_eq!(codes, sent, "{}", ann.text());
        }
        let nowhere = site.changed(verified).await;
        assert_eq!(location(&nowhere.post("/register/resend", &[]).await), "/login");
        assert_eq!(site.changed(verified).await.open("/register/confirm?next=/x").await.path(), "/register?next=%2Fx");
    }

    async fn nobody_floods_a_mailbox_by_registering_with_it(site: Site) {
        site.registered("ann").await;
        for number in 0..12 {
            for email in [email_of("ann"), format!("victim+{number}@meadow.example")] {
                let mut browser = site.changed(verified).await;
                browser.register(&format!("name{number}"), &email, PASSWORD).await;
                browser.post("/register/resend", &[]).await;
            }
        }
        assert_eq!(site.mails_to("ann").await.iter().filter(|kind| *kind == "register_code").count(), 4, "with the welcome");
        let victims = site.mails().await.into_iter().filter(|mail| mail.to.starts_with("victim+"));
        assert_eq!(victims.count(), 5);
    }

    async fn the_terms_are_stored_with_the_account(site: Site) {
        let mut ann = site.changed(|config| {
            verified(config);
            config.registration.terms_url = Some("/terms".to_owned());
        }).await;
        let mut fields = form("ann", "ann@meadow.example").to_vec();
        assert_eq!(ann.post("/register", &fields).await.status(), StatusCode::UNPROCESSABLE_ENTITY);
        fields.push(("terms", "on"));
        let answer = ann.post("/register", &fields).await;
        ann.keep(&answer);
        site.wait(5);
        enter(&mut ann, &site.newest_code().await).await;
        let exported = ann.open("/account").await.press("Download your data").await.html.clone();
        let exported: serde_json::Value = serde_json::from_str(&exported).unwrap();
        assert_eq!(exported["terms"]["accepted_at"], "2026-11-22T18:00:00Z");
    }

    async fn a_double_click_sends_one_code(site: Site) {
        let mut ann = site.changed(verified).await;
        ann.set_cookie("vestibule", "x");
        let fields = form("ann", "ann@meadow.example");
        let answer = ann.post("/register", &fields).await;
        ann.keep(&answer);
        assert_eq!(location(&ann.post("/register", &fields).await), "/register/confirm");
        assert_eq!(site.mails_to("ann").await, ["register_code"]);
    }
}

#[tokio::test]
async fn the_pages_exist_only_where_addresses_are_proved_first() {
    let site = Site::on_sqlite().await;
    assert_eq!(site.browser().open("/register/confirm").await.status, StatusCode::NOT_FOUND);
    let answer = site.browser().post("/register/resend", &[]).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn errors_of_the_form_do_not_depend_on_what_is_taken() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let mut seen = Vec::new();
    for username in ["ann", "bob"] {
        let mut browser = site.changed(verified).await;
        browser.open("/register").await;
        browser.fill("Username", username).fill("Email", &email_of(username));
        browser.fill("Password", "short").fill("Confirm password", "other");
        browser.press("Create account").await;
        seen.push((browser.status, browser.problems()));
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(seen[0].1.len(), 2);
}
