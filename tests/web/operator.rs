//! What the operator does to an account on the command line: disable and enable it, set its password, change
//! its names.

use axum::http::{Request, StatusCode};
use vestibule::accounts::Error;
use vestibule::accounts::change_email::change_email_for;
use vestibule::accounts::change_username::rename;
use vestibule::accounts::delete_account::{Deletion, delete_account};
use vestibule::accounts::disable_account::{disable, enable};
use vestibule::accounts::email::EmailAddress;
use vestibule::accounts::history::{history_of, words};
use vestibule::accounts::set_password::{CODE_LIFE, make_code, set_password_for};
use vestibule::accounts::username::Username;
use vestibule::config::{HashCost, UsernameRule};
use vestibule::db::sql;
use vestibule::models::outbox::Email;
use vestibule::models::user::{NameChange, User, find_user_by_username};

use crate::support::work::work_of;
use crate::support::{Browser, OTHER_PASSWORD, PASSWORD, Site, email_of, until};

const THIRD_PASSWORD: &str = "copper willow harbour";

async fn user(site: &Site, name: &str) -> User {
    find_user_by_username(site.db().reader(), name).await.unwrap().expect("an account")
}

async fn disabled(site: &Site, name: &str) -> User {
    disable(&site.app, &user(site, name).await).await.unwrap().expect("it was enabled")
}

/// The newest entry of the history, as its owner reads it.
async fn newest_entry(site: &Site, name: &str) -> String {
    let entries = history_of(&site.app, &user(site, name).await, None, 50).await.unwrap();
    words(entries.iter().find(|entry| entry.kind != "email").unwrap())
}

async fn code_for(site: &Site, name: &str) -> String {
    make_code(&site.app, &user(site, name).await).await.unwrap().unwrap().to_string()
}

/// A browser that has gone through the page for a forgotten password.
async fn asker(site: &Site, name: &str) -> Browser {
    site.wait(1);
    let mut browser = site.browser();
    browser.ask_for_code(name, &email_of(name)).await;
    assert_eq!(browser.path(), "/reset", "{}", browser.text());
    browser
}

async fn is_password(site: &Site, name: &str, password: &str) -> bool {
    site.browser().log_in(name, password).await.path() == "/account"
}

fn changed(change: NameChange) -> User {
    let NameChange::Changed(user) = change else { panic!("not changed") };
    user
}

async fn set_email(site: &Site, name: &str, to: &str) -> NameChange {
    let email = EmailAddress::parse(to).unwrap();
    change_email_for(&site.app, &user(site, name).await, &email).await.unwrap()
}

async fn rename_to(site: &Site, name: &str, to: &str) -> NameChange {
    let to = Username::parse(to, UsernameRule::Ascii).unwrap();
    rename(&site.app, &user(site, name).await, &to).await.unwrap()
}

/// The emails that were enqueued last, newest first.
async fn newest_mails(site: &Site, count: usize) -> Vec<Email> {
    site.mails().await.into_iter().take(count).collect()
}

fn is_refused<T>(outcome: &Result<T, Error>) -> bool {
    matches!(outcome, Err(Error::Invalid(why)) if why.to_string().starts_with("The password is made of it"))
}

async fn with_login_code(site: &Site) -> Browser {
    site.changed(|config| config.login_code = true).await
}

on_both_databases! {
    async fn a_disabled_account_loses_all_access_at_once_and_gets_it_back(site: Site) {
        let mut ann = site.registered("ann").await;
        let (mut resetting, code) = site.with_code("ann").await;
        let mut logging_in = with_login_code(&site).await;
        logging_in.open("/login/code").await.fill("Username or email", "ann").press("Email me a code").await;
        let login_code = site.newest_code().await;
        let given = code_for(&site, "ann").await;
        site.wait(1);
        disabled(&site, "ann").await;
        assert!(!ann.is_logged_in().await);
        for table in [
            "select count(*) from vestibule_sessions where user_id is not null",
            "select count(*) from vestibule_one_time_codes where user_id is not null",
            "select count(*) from vestibule_devices",
            "select count(*) from vestibule_mail_links",
        ] {
            assert_eq!(site.count(table).await, 0, "{table}");
        }
        let mut refused = site.browser();
        refused.log_in("ann", PASSWORD).await;
        assert_eq!(refused.problems(), ["Incorrect username or password."]);
        refused.log_in("ann@meadow.example", PASSWORD).await;
        assert_eq!(refused.problems(), ["Incorrect username or password."]);
        for code in [&code, &given] {
            resetting.reset(code, OTHER_PASSWORD).await;
            assert_eq!(resetting.path(), "/reset", "{}", resetting.text());
        }
        logging_in.fill("Code", &login_code).press("Log in").await;
        assert_eq!(logging_in.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", logging_in.text());
        let before = site.mails().await.len();
        asker(&site, "ann").await;
        assert_eq!(site.mails().await.len(), before, "no email goes out");
        assert!(disable(&site.app, &user(&site, "ann").await).await.unwrap().is_none(), "twice");
        assert_eq!(newest_entry(&site, "ann").await, "Account disabled by the site's operator");
        site.wait(1);
        assert!(enable(&site.app, &user(&site, "ann").await).await.unwrap().is_some());
        assert!(enable(&site.app, &user(&site, "ann").await).await.unwrap().is_none());
        assert_eq!(newest_entry(&site, "ann").await, "Account enabled by the site's operator");
        assert!(!ann.is_logged_in().await, "what was ended stays ended");
        resetting.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(resetting.path(), "/reset");
        assert!(is_password(&site, "ann", PASSWORD).await);
    }

    async fn a_login_under_way_does_not_outlive_the_disabling(site: Site) {
        site.registered("ann").await;
        let slow = HashCost { memory_kib: 64 * 1024, iterations: 12, threads: 1, queue: 9 };
        let mut browser = site.changed(|config| config.hash = slow).await;
        sql("update vestibule_users set password_hash = $1")
            .bind(site.app_with(|config| config.hash = slow).await.hasher.hash(PASSWORD.as_bytes()).await.unwrap())
            .execute(site.db().writer()).await.unwrap();
        let counted = "select count(*) from vestibule_rate_limits where count > 0";
        let before = site.count(counted).await;
        let login = async { browser.log_in("ann", PASSWORD).await; browser };
        let disabling = async {
            until(async || site.count(counted).await > before).await;
            disabled(&site, "ann").await;
        };
        let (mut browser, ()) = tokio::join!(login, disabling);
        assert!(!browser.is_logged_in().await);
        assert!(enable(&site.app, &user(&site, "ann").await).await.unwrap().is_some());
        assert!(!browser.is_logged_in().await, "nor after it was enabled");
        let valid = "select count(*) from vestibule_sessions s join vestibule_users u on u.id = s.user_id
            and u.credential_version = s.credential_version";
        assert_eq!(site.count(valid).await, 0);
    }

    async fn of_many_logins_and_resets_beside_a_disabling_none_gets_in(site: Site) {
        let mut ann = site.registered("ann").await;
        let (resetting, code) = site.with_code("ann").await;
        let logins = futures_util::future::join_all((0..8).map(async |_| {
            let mut browser = site.browser();
            browser.log_in("ann", PASSWORD).await;
            browser
        }));
        let fields = [("code", code.as_str()), ("password", OTHER_PASSWORD), ("password_confirm", OTHER_PASSWORD)];
        let form = [("current_password", PASSWORD), ("password", THIRD_PASSWORD), ("password_confirm", THIRD_PASSWORD)];
        let account = user(&site, "ann").await;
        let (mut browsers, done, ..) = tokio::join!(
            logins,
            disable(&site.app, &account),
            resetting.post("/reset", &fields),
            ann.post("/account/password", &form),
        );
        done.unwrap();
        browsers.push(ann.tab());
        for browser in &mut browsers {
            assert!(!browser.is_logged_in().await);
        }
        assert!(!ann.is_logged_in().await && user(&site, "ann").await.disabled_at.is_some());
    }

    async fn a_failed_login_to_a_disabled_account_tells_nobody(site: Site) {
        site.registered("ann").await;
        disabled(&site, "ann").await;
        let before = site.mails().await.len();
        for _ in 0..12 {
            site.browser().log_in("ann", "not the one").await;
        }
        assert_eq!(site.mails().await.len(), before);
    }

    async fn a_password_that_the_operator_sets_ends_the_sessions_and_is_reported(site: Site) {
        let mut ann = site.registered("ann").await;
        let (_, code) = site.with_code("ann").await;
        site.wait(1);
        let weak = set_password_for(&site.app, &user(&site, "ann").await, "password1234").await;
        assert!(matches!(weak, Err(Error::Invalid(_))), "{weak:?}");
        assert!(set_password_for(&site.app, &user(&site, "ann").await, OTHER_PASSWORD).await.unwrap());
        assert!(!ann.is_logged_in().await);
        assert_eq!(site.count("select count(*) from vestibule_one_time_codes where user_id is not null").await, 0, "{code}");
        let mail = newest_mails(&site, 1).await.remove(0);
        assert_eq!((&*mail.kind, &*mail.to), ("password_changed", "ann@meadow.example"));
        assert!(mail.text.contains("The operator of Vestibule set a new password for your account, and every browser was logged out."));
        assert!(mail.text.contains("If you asked for this, there's nothing to do.") && mail.text.contains("/not-me/"));
        for text in [&mail.text, &mail.html] {
            assert!(!text.contains("unknown") && !text.contains("0.0.0.0"), "{text}");
        }
        assert_eq!(newest_entry(&site, "ann").await, "Password changed by the site's operator");
        assert_eq!(site.count("select count(*) from vestibule_devices where device is null and logins = 0").await, 0);
        assert!(is_password(&site, "ann", OTHER_PASSWORD).await && !is_password(&site, "ann", PASSWORD).await);
    }

    async fn the_operator_gives_no_name_that_the_password_is_made_of(site: Site) {
        site.registered("ann").await;
        let password = "quiet.harbour.lantern";
        assert!(set_password_for(&site.app, &user(&site, "ann").await, password).await.unwrap());
        let account = user(&site, "ann").await;
        let to = Username::parse(password, UsernameRule::Ascii).unwrap();
        assert!(is_refused(&rename(&site.app, &account, &to).await));
        let email = EmailAddress::parse("Quiet.Harbour.Lantern@meadow.example").unwrap();
        assert!(is_refused(&change_email_for(&site.app, &account, &email).await));
        let kept = user(&site, "ann").await;
        assert_eq!((kept.username, kept.email), (account.username, account.email));
        changed(rename_to(&site, "ann", "quiet.harbour").await);
    }

    async fn a_password_is_not_set_over_one_that_was_set_in_the_meantime(site: Site) {
        site.registered("ann").await;
        let before = user(&site, "ann").await;
        assert!(set_password_for(&site.app, &before, OTHER_PASSWORD).await.unwrap());
        assert!(!set_password_for(&site.app, &before, THIRD_PASSWORD).await.unwrap());
        assert!(make_code(&site.app, &before).await.unwrap().is_none());
    }

    async fn a_given_code_works_once_in_any_browser_that_has_asked(site: Site) {
        let mut ann = site.registered("ann").await;
        let mut before = asker(&site, "ann").await;
        let code = code_for(&site, "ann").await;
        assert_eq!(newest_entry(&site, "ann").await, "Password reset code made by the site's operator");
        let mut after = asker(&site, "ann").await;
        assert!(ann.is_logged_in().await, "nothing ends before it is used");
        assert!(is_password(&site, "ann", PASSWORD).await);
        site.wait(1);
        after.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(after.path(), "/login", "{}", after.text());
        assert_eq!(newest_entry(&site, "ann").await, "Password reset with a code from the site's operator");
        assert!(!ann.is_logged_in().await);
        assert!(is_password(&site, "ann", OTHER_PASSWORD).await);
        let mail = site.mails().await.into_iter().find(|mail| mail.kind == "password_changed").unwrap();
        assert!(mail.text.contains("If this was you"), "the owner has set it");
        for browser in [&mut before, &mut asker(&site, "ann").await] {
            browser.reset(&code, THIRD_PASSWORD).await;
            assert_eq!(browser.path(), "/reset", "{}", browser.text());
        }
    }

    async fn two_parallel_forms_with_a_given_code_change_the_password_once(site: Site) {
        site.registered("ann").await;
        let askers = [asker(&site, "ann").await, asker(&site, "ann").await];
        let code = code_for(&site, "ann").await;
        let passwords = [OTHER_PASSWORD, THIRD_PASSWORD];
        let forms = passwords.map(|new| [("code", code.as_str()), ("password", new), ("password_confirm", new)]);
        let (one, other) = tokio::join!(askers[0].post("/reset", &forms[0]), askers[1].post("/reset", &forms[1]));
        let statuses = [one.status(), other.status()];
        let done = statuses.iter().filter(|status| **status == StatusCode::SEE_OTHER).count();
        assert_eq!(done, 1, "{statuses:?}");
        let kept = passwords[usize::from(statuses[0] != StatusCode::SEE_OTHER)];
        assert!(is_password(&site, "ann", kept).await);
    }

    async fn a_later_code_voids_an_earlier_one_and_the_emailed_one_works_beside_it(site: Site) {
        site.registered("ann").await;
        let earlier = code_for(&site, "ann").await;
        let later = code_for(&site, "ann").await;
        let (mut browser, emailed) = site.with_code("ann").await;
        browser.reset(&earlier, OTHER_PASSWORD).await;
        assert_eq!(browser.path(), "/reset");
        browser.reset(&emailed, OTHER_PASSWORD).await;
        assert_eq!(browser.path(), "/login", "{}", browser.text());
        let mut browser = asker(&site, "ann").await;
        browser.reset(&later, THIRD_PASSWORD).await;
        assert_eq!(browser.path(), "/reset", "it went with the change of the password");
        let (account, app) = (user(&site, "ann").await, &site.app);
        let (one, other) = tokio::join!(make_code(app, &account), make_code(app, &account));
        assert!(one.unwrap().is_some() && other.unwrap().is_some());
        assert_eq!(site.count("select count(*) from vestibule_one_time_codes where digest is not null and user_id is not null").await, 1);
    }

    async fn a_given_code_is_of_no_use_to_others(site: Site) {
        site.registered("ann").await;
        site.registered("eve").await;
        let code = code_for(&site, "ann").await;
        let mut nobody = site.browser();
        nobody.ask_for_code("ann", "eve@meadow.example").await;
        for browser in [&mut nobody, &mut asker(&site, "eve").await] {
            browser.reset(&code, OTHER_PASSWORD).await;
            assert_eq!(browser.path(), "/reset", "{}", browser.text());
        }
        let fields = [("code", code.as_str()), ("password", OTHER_PASSWORD), ("password_confirm", OTHER_PASSWORD)];
        let answer = site.browser().post("/reset", &fields).await;
        assert_eq!(answer.headers()["location"], "/forgot", "a browser that has not asked");
        let mut logging_in = with_login_code(&site).await;
        logging_in.open("/login/code").await.fill("Username or email", "ann").press("Email me a code").await;
        logging_in.fill("Code", &code).press("Log in").await;
        assert_eq!(logging_in.status, StatusCode::UNPROCESSABLE_ENTITY, "it sets passwords alone");
        assert!(!is_password(&site, "ann", OTHER_PASSWORD).await);
    }

    async fn a_given_code_expires_and_proves_no_address(site: Site) {
        site.registered_unproved("ann").await;
        let code = code_for(&site, "ann").await;
        site.wait(CODE_LIFE - 2);
        let mut browser = asker(&site, "ann").await;
        site.wait(1);
        browser.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(browser.path(), "/reset", "an hour is over");
        let code = code_for(&site, "ann").await;
        site.wait(1);
        browser.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(browser.path(), "/login", "{}", browser.text());
        assert!(!user(&site, "ann").await.has_known_address());
    }

    async fn guesses_at_a_given_code_are_counted_before_they_are_compared(site: Site) {
        site.registered("ann").await;
        let code = code_for(&site, "ann").await;
        let mut browser = asker(&site, "ann").await;
        let wrong = [("code", "CCCC-CCCC"), ("password", OTHER_PASSWORD), ("password_confirm", OTHER_PASSWORD)];
        futures_util::future::join_all((0..9).map(|_| browser.post("/reset", &wrong))).await;
        browser.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(browser.problems(), ["This code has no attempts left. Request a new one."]);
        for _ in 0..3 {
            let browser = asker(&site, "ann").await;
            futures_util::future::join_all((0..9).map(|_| browser.post("/reset", &wrong))).await;
        }
        let mut browser = asker(&site, "ann").await;
        browser.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(browser.status, StatusCode::TOO_MANY_REQUESTS, "20 guesses a day");
        assert!(is_password(&site, "ann", PASSWORD).await);
    }

    async fn a_guess_does_the_same_whether_a_code_was_given(site: Site) {
        site.registered("ann").await;
        let wrong = [("code", "CCCC-CCCC"), ("password", OTHER_PASSWORD), ("password_confirm", OTHER_PASSWORD)];
        let mut works = Vec::new();
        for name in ["ann", "bob", "ann"] {
            let browser = asker(&site, name).await;
            works.push(work_of(browser.post("/reset", &wrong)).await.1);
            if works.len() == 2 {
                code_for(&site, "ann").await;
            }
        }
        assert_eq!(works[0], works[1]);
        assert_eq!(works[0], works[2]);
        assert!(works[0].iter().any(|line| line.contains("digest is not null")), "{:#?}", works[0]);
    }

    async fn another_address_ends_no_session_voids_codes_and_is_told_to_both(site: Site) {
        let mut ann = site.registered("ann").await;
        site.registered("bob").await;
        let (mut resetting, code) = site.with_code("ann").await;
        let given = code_for(&site, "ann").await;
        site.wait(1);
        assert!(matches!(set_email(&site, "ann", "BOB@meadow.example").await, NameChange::Taken));
        let user = changed(set_email(&site, "ann", "Ann@new.example").await);
        assert_eq!((&*user.email, user.is_email_verified(), user.has_known_address()), ("Ann@new.example", false, true));
        assert!(ann.is_logged_in().await && ann.text().contains("Ann@new.example"));
        for code in [&code, &given] {
            resetting.reset(code, OTHER_PASSWORD).await;
            assert_eq!(resetting.path(), "/reset", "{}", resetting.text());
        }
        let mails = newest_mails(&site, 2).await;
        let to: Vec<&str> = mails.iter().map(|mail| &*mail.to).collect();
        assert!(to.contains(&"ann@meadow.example") && to.contains(&"Ann@new.example"), "{to:?}");
        for mail in &mails {
            assert_eq!(mail.kind, "email_changed");
            let told = if mail.to == "Ann@new.example" { "Ann@new.example" } else { "A…@new.example" };
            let told = format!("The operator of Vestibule changed the email of your account to {told}.");
            assert!(mail.text.contains(&told), "{}", mail.text);
        }
        assert_eq!(newest_entry(&site, "ann").await, "Email changed by the site's operator");
        assert!(site.browser().log_in("ann@new.example", PASSWORD).await.path() == "/account");
        let mails = site.mails().await.len();
        assert_eq!(ann.open("/account/sessions").await.status, StatusCode::OK);
        site.browser().log_in("ann", PASSWORD).await;
        assert_eq!(site.mails().await.len(), mails + 1, "a new device, and the old ones stay known");
        changed(set_email(&site, "ann", "Ann@new.example").await);
        assert_eq!(site.mails().await.len(), mails + 1, "it had it");
    }

    async fn the_old_address_gets_the_account_back_by_its_link_and_the_new_one_cannot_void_that(site: Site) {
        site.registered("ann").await;
        site.wait(1);
        changed(set_email(&site, "ann", "thief@new.example").await);
        let mails = newest_mails(&site, 2).await;
        let link = |to: &str| {
            let mail = mails.iter().find(|mail| mail.to == to).unwrap();
            let line = mail.text.lines().find(|line| line.contains("/not-me/")).unwrap();
            line.trim_start_matches("http://localhost:8000").to_owned()
        };
        let (old, new) = (link("ann@meadow.example"), link("thief@new.example"));
        assert_eq!(site.browser().post(&new, &[]).await.status(), StatusCode::SEE_OTHER);
        assert_eq!(site.browser().post(&old, &[]).await.status(), StatusCode::SEE_OTHER);
        assert_eq!(user(&site, "ann").await.email, "ann@meadow.example");
        site.registered("bob").await;
        assert!(matches!(set_email(&site, "bob", "ann@meadow.example").await, NameChange::Taken));
    }

    async fn trusted_browsers_stay_trusted_after_another_name(site: Site) {
        let ann = site.registered("ann").await;
        changed(set_email(&site, "ann", "ann@new.example").await);
        changed(rename_to(&site, "ann", "anna").await);
        let mails = site.mails().await.len();
        let mut ann = ann.tab();
        ann.press("Log out").await.log_in("anna", PASSWORD).await;
        assert_eq!((ann.path(), site.mails().await.len()), ("/account", mails), "no email about a new device");
    }

    async fn another_username_ends_no_session_and_the_old_one_is_kept_for_its_owner(site: Site) {
        let mut ann = site.registered("ann").await;
        site.registered("bob").await;
        let (mut resetting, code) = site.with_code("ann").await;
        site.wait(1);
        assert!(matches!(rename_to(&site, "ann", "b0b").await, NameChange::Taken), "it looks like one");
        changed(rename_to(&site, "ann", "anna").await);
        assert!(ann.is_logged_in().await && ann.text().contains("anna"));
        resetting.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(resetting.path(), "/reset");
        let mail = newest_mails(&site, 1).await.remove(0);
        assert_eq!((&*mail.kind, &*mail.to), ("username_changed", "ann@meadow.example"));
        assert!(mail.text.contains("The operator of Vestibule changed your username from ann to anna."), "{}", mail.text);
        assert_eq!(newest_entry(&site, "anna").await, "Username changed by the site's operator");
        assert!(!is_password(&site, "ann", PASSWORD).await && is_password(&site, "anna", PASSWORD).await);
        assert!(matches!(rename_to(&site, "bob", "ann").await, NameChange::Taken), "for 90 days");
        changed(rename_to(&site, "anna", "ann").await);
    }

    async fn of_two_accounts_one_gets_a_name_that_both_are_given(site: Site) {
        site.registered("ann").await;
        site.registered("bob").await;
        let (one, other) = tokio::join!(rename_to(&site, "ann", "cat"), rename_to(&site, "bob", "cat"));
        let taken = [one, other].iter().filter(|change| matches!(change, NameChange::Taken)).count();
        assert_eq!(taken, 1);
        let names = ["ann", "bob", "cat"];
        let mut there = Vec::new();
        for name in names {
            there.extend(find_user_by_username(site.db().reader(), name).await.unwrap());
        }
        assert_eq!(there.len(), 2);
        let (one, other) = (there.remove(0), there.remove(0));
        let email = EmailAddress::parse("same@new.example").unwrap();
        let (one, other) = tokio::join!(change_email_for(&site.app, &one, &email), change_email_for(&site.app, &other, &email));
        let taken = [one.unwrap(), other.unwrap()].iter().filter(|change| matches!(change, NameChange::Taken)).count();
        assert_eq!(taken, 1);
    }

    async fn a_reset_beside_a_renaming_or_a_deletion_is_done_whole_or_not(site: Site) {
        for (name, is_deleted) in [("ann", false), ("bob", true)] {
            site.registered(name).await;
            let (browser, code) = site.with_code(name).await;
            let form = [("code", code.as_str()), ("password", OTHER_PASSWORD), ("password_confirm", OTHER_PASSWORD)];
            let (account, to) = (user(&site, name).await, Username::parse("renamed", UsernameRule::Ascii).unwrap());
            let operator = async {
                if is_deleted {
                    assert!(matches!(delete_account(&site.app, &account, None).await.unwrap(), Deletion::Deleted));
                    return name;
                }
                match rename(&site.app, &account, &to).await.unwrap() {
                    NameChange::Changed(_) => "renamed",
                    NameChange::Superseded => name,
                    NameChange::Taken => panic!("nobody has it"),
                }
            };
            let (answer, name) = tokio::join!(browser.post("/reset", &form), operator);
            let is_reset = answer.status() == StatusCode::SEE_OTHER && answer.headers()["location"] == "/login";
            assert_eq!(is_password(&site, name, OTHER_PASSWORD).await, is_reset && !is_deleted, "{name}");
            assert_eq!(is_password(&site, name, PASSWORD).await, !is_reset && !is_deleted, "{name}");
        }
        assert_eq!(site.count("select count(*) from vestibule_users").await, 1);
        assert_eq!(site.count("select count(*) from vestibule_one_time_codes where user_id is not null").await, 0);
    }

    async fn a_change_on_a_page_beside_one_of_the_operator_is_not_lost(site: Site) {
        let ann = site.registered("ann").await;
        let form = [("username", "anna"), ("current_password", PASSWORD)];
        let (account, email) = (user(&site, "ann").await, EmailAddress::parse("ann@new.example").unwrap());
        let operator = change_email_for(&site.app, &account, &email);
        let (answer, change) = tokio::join!(ann.post("/account/username", &form), operator);
        let change = change.unwrap();
        let users = "select count(*) from vestibule_users where username = 'anna' and email_key = 'ann@new.example'";
        let both = site.count(users).await == 1;
        let one_refused = !matches!(change, NameChange::Changed(_)) || answer.headers()["location"] != "/account";
        assert!(both || one_refused, "{:?}", answer.headers());
    }
}

#[tokio::test]
async fn a_session_of_a_disabled_account_is_none_for_applications() {
    let site = Site::on_sqlite().await;
    let ann = site.registered("ann").await;
    let ask = || ann.send(Request::get("/session").body(axum::body::Body::empty()).unwrap());
    assert_eq!(ask().await.status(), StatusCode::OK);
    disabled(&site, "ann").await;
    assert_eq!(ask().await.status(), StatusCode::UNAUTHORIZED);
}
