//! A form that arrives twice, by a double click or from a second tab, has one outcome.

use axum::body::Body;
use axum::http::{Response, StatusCode};

use crate::support::{Browser, OTHER_PASSWORD, PASSWORD, Site, email_of, form_request};

const CHANGED: [&str; 2] =
    ["Your password was changed.", "You've been logged out everywhere else."];
const RESET: [&str; 1] = ["Your password was changed. Log in with the new one."];

fn location(answer: &Response<Body>) -> &str {
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    answer.headers()["location"].to_str().unwrap()
}

/// The same browser once more, with what `answer` brought and the page that it leads to.
async fn follow(browser: &Browser, answer: &Response<Body>) -> Browser {
    let mut browser = browser.tab();
    browser.keep_cookies(answer.headers());
    browser.open(location(answer)).await;
    browser
}

fn reset_form(code: &str) -> [(&str, &str); 3] {
    [("code", code), ("password", OTHER_PASSWORD), ("password_confirm", OTHER_PASSWORD)]
}

const CHANGE: [(&str, &str); 3] = [
    ("current_password", PASSWORD),
    ("password", OTHER_PASSWORD),
    ("password_confirm", OTHER_PASSWORD),
];

fn registration(username: &str) -> Vec<(&str, String)> {
    vec![
        ("username", username.to_owned()),
        ("email", email_of(username)),
        ("password", PASSWORD.to_owned()),
        ("password_confirm", PASSWORD.to_owned()),
    ]
}

async fn register(browser: &Browser, fields: &[(&str, String)]) -> Response<Body> {
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    browser.post("/register", &fields).await
}

on_both_databases! {
    async fn a_reset_sent_twice_is_answered_as_done(site: Site) {
        let owner = site.registered("ann").await;
        let (visitor, code) = site.with_code("ann").await;
        site.wait(1);
        let mut logged_in = owner.tab();
        logged_in.ask_for_code("ann", &email_of("ann")).await;
        drop((visitor, code));
        let code = site.newest_code().await;
        site.wait(1);
        let first = logged_in.post("/reset", &reset_form(&code)).await;
        let second = logged_in.post("/reset", &reset_form(&code)).await;
        for answer in [&first, &second] {
            assert_eq!(location(answer), "/login");
            assert_eq!(follow(&logged_in, answer).await.flashes(), RESET);
        }
        // From a second tab, once the first has shown its outcome.
        let mut tab = follow(&logged_in, &first).await;
        let third = tab.post("/reset", &reset_form(&code)).await;
        assert_eq!(follow(&tab, &third).await.flashes(), RESET);
        assert!(!tab.is_logged_in().await, "a code must not log in");
        assert_eq!(site.mails_to("ann").await, ["registered", "reset_code", "reset_code", "password_changed"]);
    }

    async fn two_resets_at_the_same_instant_have_one_outcome(site: Site) {
        site.registered("ann").await;
        let (ann, code) = site.with_code("ann").await;
        site.wait(1);
        let form = reset_form(&code);
        let answers = tokio::join!(ann.post("/reset", &form), ann.post("/reset", &form));
        for answer in [&answers.0, &answers.1] {
            assert_eq!(follow(&ann, answer).await.flashes(), RESET);
        }
        assert_eq!(site.mails_to("ann").await, ["registered", "reset_code", "password_changed"]);
    }

    async fn only_the_same_form_in_the_same_browser_and_minute_is_a_repeat_of_a_reset(site: Site) {
        site.registered("ann").await;
        let (ann, code) = site.with_code("ann").await;
        let (other, _) = site.with_code("ann").await;
        let first = ann.post("/reset", &reset_form(&code)).await;
        assert_eq!(location(&first), "/login");
        let elsewhere = other.post("/reset", &reset_form(&code)).await;
        assert_eq!(elsewhere.status(), StatusCode::UNPROCESSABLE_ENTITY, "another browser");
        let refused = site.browser().post("/reset", &reset_form(&code)).await;
        assert_eq!(location(&refused), "/forgot", "no browser of the account");
        let different = [("code", code.as_str()), ("password", "harbour kettle ribbon"), ("password_confirm", "harbour kettle ribbon")];
        assert_eq!(location(&ann.post("/reset", &different).await), "/forgot", "another password was not set");
        site.wait(60);
        assert_eq!(location(&ann.post("/reset", &reset_form(&code)).await), "/forgot", "a minute later");
    }

    async fn a_password_change_sent_twice_is_answered_as_done(site: Site) {
        let ann = site.registered("ann").await;
        let first = ann.post("/account/password", &CHANGE).await;
        let second = ann.post("/account/password", &CHANGE).await;
        let mut tab = follow(&ann, &first).await;
        assert_eq!((tab.path(), tab.flashes()), ("/account", CHANGED.map(str::to_owned).to_vec()));
        let third = tab.post("/account/password", &CHANGE).await;
        for (browser, answer) in [(&ann, &second), (&tab, &third)] {
            assert_eq!(location(answer), "/account");
            assert_eq!(follow(browser, answer).await.flashes(), CHANGED);
        }
        site.wait(60);
        tab.keep_cookies(third.headers());
        let late = tab.post("/account/password", &CHANGE).await;
        assert_eq!(late.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(site.mails_to("ann").await, ["registered", "password_changed"]);
    }

    async fn two_changes_to_one_password_at_the_same_instant_have_one_outcome(site: Site) {
        let ann = site.registered("ann").await;
        let answers = tokio::join!(ann.post("/account/password", &CHANGE), ann.post("/account/password", &CHANGE));
        for answer in [&answers.0, &answers.1] {
            assert_eq!(location(answer), "/account");
            assert_eq!(follow(&ann, answer).await.flashes(), CHANGED);
        }
        assert_eq!(site.mails_to("ann").await, ["registered", "password_changed"]);
    }

    async fn a_revoked_session_does_not_log_in_without_the_new_password(site: Site) {
        let ann = site.registered("ann").await;
        ann.post("/account/password", &CHANGE).await;
        let wrong = [("current_password", PASSWORD), ("password", "harbour kettle ribbon"), ("password_confirm", "harbour kettle ribbon")];
        assert_eq!(location(&ann.post("/account/password", &wrong).await), "/login?next=/account/password");
        let mut statuses = Vec::new();
        for _ in 0..20 {
            statuses.push(ann.post("/account/password", &wrong).await.status());
        }
        assert!(statuses.contains(&StatusCode::TOO_MANY_REQUESTS), "guesses are counted: {statuses:?}");
    }

    async fn a_registration_sent_twice_is_answered_as_done(site: Site) {
        let browser = site.browser();
        let fields = registration("ann");
        let first = register(&browser, &fields).await;
        let second = register(&browser, &fields).await;
        let tab = follow(&browser, &first).await;
        assert_eq!(tab.flashes(), ["Your account was created."]);
        let third = register(&tab, &fields).await;
        for (browser, answer) in [(&browser, &second), (&tab, &third)] {
            assert_eq!(location(answer), "/account");
            let mut ann = follow(browser, answer).await;
            assert_eq!(ann.flashes(), ["Your account was created."]);
            assert!(ann.is_logged_in().await);
        }
        assert_eq!(site.mails_to("ann").await, ["registered"]);
        site.wait(60);
        assert_eq!(location(&register(&browser, &fields).await), "/login", "no longer a repeat");
    }

    async fn two_equal_registrations_at_the_same_instant_have_one_outcome(site: Site) {
        let browser = site.browser();
        let fields = registration("ann");
        let answers = tokio::join!(register(&browser, &fields), register(&browser, &fields));
        for answer in [&answers.0, &answers.1] {
            assert_eq!(location(answer), "/account");
            assert!(follow(&browser, answer).await.is_logged_in().await);
        }
        assert_eq!(site.count("select count(*) from vestibule_users").await, 1);
        assert_eq!(site.mails_to("ann").await, ["registered"]);
    }

    async fn a_registration_with_another_password_or_address_is_not_a_repeat(site: Site) {
        register(&site.browser(), &registration("ann")).await;
        for (at, value) in [(1, "other@meadow.example"), (2, OTHER_PASSWORD)] {
            let mut fields = registration("ann");
            value.clone_into(&mut fields[at].1);
            if at == 2 {
                value.clone_into(&mut fields[3].1);
            }
            assert_eq!(location(&register(&site.browser(), &fields).await), "/login");
        }
    }

    /// Anyone who has seen the form must not log in by it without the notice of a new device.
    async fn a_registration_sent_again_by_another_browser_is_not_a_repeat(site: Site) {
        register(&site.browser(), &registration("ann")).await;
        let body = url::form_urlencoded::Serializer::new(String::new())
            .extend_pairs(registration("ann"))
            .finish();
        let mut form = form_request("/register", body);
        form.headers_mut().insert("user-agent", "Mozilla/5.0 (X11) Firefox/140.0".parse().unwrap());
        let other = site.browser();
        let answer = other.send(form).await;
        assert_eq!(location(&answer), "/login");
        assert!(!follow(&other, &answer).await.is_logged_in().await);
    }

    async fn wrong_repeats_do_not_stop_the_owner_from_changing_the_password(site: Site) {
        let ann = site.registered("ann").await;
        let mut fields = registration("ann");
        for at in [2, 3] {
            OTHER_PASSWORD.clone_into(&mut fields[at].1);
        }
        for _ in 0..15 {
            register(&site.browser(), &fields).await;
        }
        assert_eq!(location(&ann.post("/account/password", &CHANGE).await), "/account");
    }

    async fn a_code_requested_twice_before_its_page_was_shown_is_sent_once(site: Site) {
        site.registered("ann").await;
        let (ann, _) = site.with_code("ann").await;
        let claim = [("username", "ann"), ("email", "ann@meadow.example")];
        let sent = site.mails_to("ann").await.len();
        site.wait(60);
        for (path, fields) in [("/forgot", &claim[..]), ("/reset/resend", &[])] {
            let before = site.mails_to("ann").await.len();
            for _ in 0..2 {
                assert_eq!(location(&ann.post(path, fields).await), "/reset");
            }
            assert_eq!(site.mails_to("ann").await.len(), before + 1, "{path}");
            let mut page = ann.tab();
            page.open("/reset").await;
            assert_eq!(page.flashes().len(), 1, "{:?}", page.flashes());
            page.reset(&site.newest_code().await, "short").await;
            assert!(page.problems().concat().contains("12 characters"), "{path}: it is the code in hand");
        }
        assert_eq!(site.mails_to("ann").await.len(), sent + 2);
    }

    async fn two_requests_for_a_code_at_the_same_instant_send_one_that_works(site: Site) {
        site.registered("ann").await;
        let (mut ann, _) = site.with_code("ann").await;
        let claim = [("username", "ann"), ("email", "ann@meadow.example")];
        for (path, fields) in [("/forgot", &claim[..]), ("/reset/resend", &[])] {
            site.wait(60);
            let before = site.mails_to("ann").await.len();
            let answers = tokio::join!(ann.post(path, fields), ann.post(path, fields));
            assert_eq!((location(&answers.0), location(&answers.1)), ("/reset", "/reset"));
            assert_eq!(site.mails_to("ann").await.len(), before + 1, "{path}");
            ann.open("/reset").await;
        }
        ann.reset(&site.newest_code().await, OTHER_PASSWORD).await;
        assert_eq!(ann.path(), "/login");
    }

    async fn a_logout_sent_twice_is_answered_as_done(site: Site) {
        let ann = site.registered("ann").await;
        let (first, second) = (ann.post("/logout", &[]).await, ann.post("/logout", &[]).await);
        for answer in [&first, &second] {
            assert_eq!(follow(&ann, answer).await.flashes(), ["You've been logged out."]);
        }
    }

    async fn a_login_sent_twice_is_answered_as_done(site: Site) {
        site.registered("ann").await;
        let browser = site.browser();
        let form = [("username", "ann"), ("password", PASSWORD)];
        let answers = tokio::join!(browser.post("/login", &form), browser.post("/login", &form));
        for answer in [&answers.0, &answers.1] {
            assert!(follow(&browser, answer).await.is_logged_in().await);
        }
        let again = follow(&browser, &answers.0).await.post("/login", &form).await;
        assert_eq!(location(&again), "/account");
    }
}
