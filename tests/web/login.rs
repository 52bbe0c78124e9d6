//! Log in by name or address; every refusal has the same words.

use axum::http::StatusCode;
use vestibule::config::{HashCost, LogFormat, Notices};
use vestibule::models::user::find_user_by_username;

use crate::support::log::Log;
use crate::support::{OTHER_PASSWORD, PASSWORD, Site, body_of};

const REFUSED: &str = "Incorrect username or password.";

on_both_databases! {
    async fn the_name_or_the_address_in_any_spelling_logs_in(site: Site) {
        site.registered("ann").await;
        for login in ["ann", " ANN ", "ann@meadow.example", "Ann@Meadow.Example"] {
            let mut ann = site.browser();
            ann.log_in(login, PASSWORD).await;
            assert_eq!(ann.path(), "/account", "{login}");
        }
    }

    async fn a_wrong_password_and_an_unknown_name_get_the_same_bytes(site: Site) {
        site.registered("ann").await;
        let mut pages = Vec::new();
        for login in ["ann", "bob", "ann@meadow.example", "bob@meadow.example", "b\0b", "ＡＮＮ", "' or 1=1 --"] {
            let mut visitor = site.browser();
            visitor.log_in(login, "not the password").await;
            assert_eq!(visitor.status, StatusCode::UNPROCESSABLE_ENTITY, "{login}");
            assert_eq!(visitor.problems(), [REFUSED], "{login}");
            assert_eq!(visitor.title(), "Error: Log in – Vestibule");
            // HTML reads NUL as U+FFFD.
            assert_eq!(visitor.attribute("#username", "value"), Some(login.replace('\0', "\u{fffd}")));
            assert_eq!(visitor.attribute("#password", "value"), None);
            assert_eq!(visitor.attribute("[aria-invalid]", "id"), None, "no field is marked");
            let cookies = visitor.headers.get_all("set-cookie").iter();
            assert!(cookies.into_iter().all(|line| line.to_str().unwrap().starts_with("vestibule-login-name=")));
            let value = visitor.attribute("#username", "value").unwrap();
            pages.push(visitor.html.replace(&format!("value=\"{value}\""), ""));
        }
        assert_eq!(pages[0], pages[1]);
        assert_eq!(pages[2], pages[3]);
        assert!(site.count("select count(*) from vestibule_sessions").await == 1, "only the registration's own session");
    }

    async fn a_hash_with_weaker_parameters_is_replaced_at_login(site: Site) {
        site.registered("ann").await;
        let today = HashCost { memory_kib: 128, iterations: 2, threads: 1, queue: 9 };
        let mut ann = site.changed(|config| config.hash = today).await;
        ann.log_in("ann", PASSWORD).await;
        assert_eq!(ann.path(), "/account");
        let user = find_user_by_username(site.db().reader(), "ann").await.unwrap().unwrap();
        assert!(user.password_hash.starts_with("$argon2id$v=19$m=128,t=2,p=1$"), "{}", user.password_hash);
        assert!(ann.is_logged_in().await, "hashing anew must not end the session");
    }
}

#[tokio::test]
async fn the_name_of_a_refused_login_is_carried_to_the_forgot_page() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    site.browser().open("/forgot").await;
    for (login, username, email) in [
        ("ann", "ann", ""),
        (" Nobody ", "nobody", ""),
        ("ann@meadow.example", "", "ann@meadow.example"),
    ] {
        let mut ann = site.browser();
        ann.log_in(login, "not the password").await;
        ann.click("Forgot your password?").await;
        assert_eq!(ann.path(), "/forgot", "the URL contains nothing about a person");
        let filled = [ann.attribute("#username", "value"), ann.attribute("#email", "value")];
        assert_eq!(filled, [Some(username.to_owned()), Some(email.to_owned())], "{login}");
    }
    let mut ann = site.browser();
    ann.log_in("correct horse; battery", "ann").await;
    ann.click("Forgot your password?").await;
    assert_eq!(ann.attribute("#username", "value").as_deref(), Some(""), "that is no name");
    ann.log_in("ann", "not the password").await;
    ann.log_in("ann", PASSWORD).await;
    assert_eq!(ann.cookie("vestibule-login-name"), None, "it is of no use any more");
    let typed = site.browser().open("/forgot").await.attribute("#username", "value");
    assert_eq!(typed.as_deref(), Some(""));
}

#[tokio::test]
async fn after_a_taken_name_the_login_is_filled_in() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let mut ann = site.browser();
    ann.register("Ann", "other@meadow.example", PASSWORD).await;
    assert_eq!(ann.path(), "/login");
    assert_eq!(ann.attribute("#username", "value").as_deref(), Some("ann"));
    assert!(ann.attribute("#password", "autofocus").is_some(), "what is left to type");
    assert_eq!(ann.open("/login").await.attribute("#username", "value").as_deref(), Some(""));
}

#[tokio::test]
async fn the_first_field_has_the_focus_unless_there_is_an_error() {
    let site = Site::on_sqlite().await;
    for (path, field, button) in [
        ("/login", "username", "Log in"),
        ("/register", "username", "Create account"),
        ("/forgot", "username", "Email me a code"),
    ] {
        let mut visitor = site.browser();
        visitor.open(path).await;
        assert_eq!(visitor.all_attributes("[autofocus]", "id"), [field], "{path}");
        visitor.press(button).await;
        assert_eq!(visitor.all_attributes("[autofocus]", "role"), ["alert"], "{path}");
        assert_eq!(visitor.all_attributes("[autofocus]", "autofocus").len(), 1, "{path}");
    }
    let mut ann = site.browser();
    ann.ask_for_code("ann", "ann@meadow.example").await;
    assert_eq!(ann.all_attributes("[autofocus]", "id"), ["code"]);
}

#[tokio::test]
async fn empty_fields_have_an_error_each() {
    let site = Site::on_sqlite().await;
    let mut visitor = site.browser();
    visitor.open("/login").await;
    visitor.press("Log in").await;
    assert_eq!(visitor.problems(), ["Enter your username or email.", "Enter your password."]);
}

#[tokio::test]
async fn a_full_hash_queue_gets_503_with_retry_after_at_once() {
    let site = Site::on_sqlite().await;
    let log = Log::start(LogFormat::Json);
    let (mut browser, _taken) = site.with_full_hash_queue().await;
    browser.log_in("ann", PASSWORD).await;
    assert_eq!(browser.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(browser.headers["retry-after"], "2");
    let busy = "We're busy right now. Wait a few seconds, then try again.";
    assert_eq!(browser.problems(), [busy]);
    assert_eq!(browser.attribute("#username", "value").as_deref(), Some("ann"), "it was typed");
    assert!(!browser.html.contains(PASSWORD));
    let failed = &log.events(0)[0];
    assert_eq!(failed["event"], "request_failed");
    assert_eq!(failed["cause"], "the hash queue is full");
}

#[tokio::test]
async fn a_full_hash_queue_keeps_what_was_typed_in_other_forms() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let (ann, code) = site.with_code("ann").await;
    let (busy, _taken) = site.with_full_hash_queue().await;
    for (visitor, path, field, typed) in [
        (&site.browser(), "/register", "email", "bob@meadow.example"),
        (&ann, "/reset", "code", code.as_str()),
    ] {
        let mut browser = busy.tab();
        if let Some(session) = visitor.cookie("vestibule") {
            browser.set_cookie("vestibule", session);
        }
        let names = [("username", "bob"), (field, typed)];
        let passwords = [("password", OTHER_PASSWORD), ("password_confirm", OTHER_PASSWORD)];
        let answer = browser.post(path, &[names, passwords].concat()).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        let page = body_of(answer).await;
        assert!(page.contains("busy right now") && page.contains(typed), "{path}");
        assert!(!page.contains(OTHER_PASSWORD), "{path}");
    }
}

#[tokio::test]
async fn every_login_is_notified_if_set() {
    let site = Site::with(|config| config.notices = Notices::parse("login").unwrap()).await;
    let mut ann = site.registered("ann").await;
    assert!(site.mails().await.is_empty());
    ann.press("Log out").await;
    ann.log_in("ann", PASSWORD).await;
    ann.press("Log out").await;
    ann.log_in("ann", "not the password").await;
    assert_eq!(site.mails_to("ann").await, ["login"]);
}

#[tokio::test]
async fn next_never_leaves_the_site() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    for next in [
        "https://evil.example",
        "//evil.example",
        "/\\evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
    ] {
        let fields = [("username", "ann"), ("password", PASSWORD), ("next", next)];
        let answer = site.browser().post("/login", &fields).await;
        assert_eq!(answer.headers()["location"], "/account", "{next}");
        let encoded: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        let mut visitor = site.browser();
        visitor.open(&format!("/login?next={encoded}")).await;
        assert!(!visitor.html.contains("evil") && !visitor.html.contains("alert"), "{next}");
    }
}

#[tokio::test]
async fn a_logged_in_user_is_redirected_from_the_forms() {
    let site = Site::on_sqlite().await;
    let mut ann = site.registered("ann").await;
    for (path, end) in [
        ("/login", "/account"),
        ("/register", "/account"),
        ("/login?next=/logout", "/logout"),
        ("/", "/account"),
    ] {
        ann.open(path).await;
        assert_eq!(ann.path(), end);
    }
}

on_both_databases! {
    async fn a_login_from_a_new_browser_is_notified_once(site: Site) {
        let mut laptop = site.registered("ann").await;
        let device = laptop.cookie("vestibule-device").expect("a device cookie").clone();
        laptop.press("Log out").await;
        laptop.log_in("ann", PASSWORD).await;
        assert_eq!(laptop.cookie("vestibule-device"), Some(&device));
        assert_eq!(site.mails_to("ann").await, ["registered"], "the laptop is known");
        let mut phone = site.browser();
        for _ in 0..2 {
            site.wait(1);
            phone.log_in("ann", PASSWORD).await;
            phone.press("Log out").await;
        }
        assert_eq!(site.mails_to("ann").await, ["registered", "new_device"]);
        let hashes = "select count(*) from vestibule_devices where length(token_hash) = 32";
        assert_eq!(site.count(hashes).await, 2);
    }

    async fn repeated_logins_without_the_cookie_keep_the_newest_fifty_browsers(site: Site) {
        site.registered("ann").await;
        let mut newest = site.browser();
        for _ in 0..53 {
            site.wait(1);
            newest = site.browser();
            assert_eq!(newest.log_in("ann", PASSWORD).await.path(), "/account");
        }
        assert_eq!(site.count("select count(*) from vestibule_devices").await, 50);
        newest.press("Log out").await;
        newest.log_in("ann", PASSWORD).await;
        assert_eq!(site.count("select max(logins) from vestibule_devices").await, 2, "the newest is known");
    }

    async fn the_device_cookie_logs_no_user_in_and_a_made_up_one_is_replaced(site: Site) {
        let ann = site.registered("ann").await;
        let mut thief = site.browser();
        thief.set_cookie("vestibule-device", ann.cookie("vestibule-device").unwrap());
        assert!(!thief.is_logged_in().await);
        thief.set_cookie("vestibule-device", "x");
        thief.log_in("ann", PASSWORD).await;
        assert_eq!(thief.cookie("vestibule-device").unwrap().len(), 22);
    }
}
