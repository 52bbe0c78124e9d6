//! Reset: a code sets a password once, and does nothing else.

use axum::http::StatusCode;
use futures_util::future::join_all;
use vestibule::models::one_time_code;

use crate::support::{Browser, OTHER_PASSWORD, PASSWORD, Site, body_of, email_of};

const GONE: &str = "This code was used or replaced. Check the latest email or request a new one.";
const TOO_EARLY: &str = "Wait 30 seconds before requesting another code.";
const EXPIRED: &str = "This code has expired. Request a new one.";
const TOO_MANY: &str = "This code has no attempts left. Request a new one.";
const LAST: &str = "Incorrect code, no attempts left. Request a new one.";

fn fields<'a>(code: &'a str, password: &'a str) -> [(&'a str, &'a str); 3] {
    [("code", code), ("password", password), ("password_confirm", password)]
}

async fn works(site: &Site, username: &str, password: &str) -> bool {
    site.browser().log_in(username, password).await.path() == "/account"
}

on_both_databases! {
    async fn the_right_code_sets_the_password_ends_every_session_and_notifies_by_mail(site: Site) {
        let mut phone = site.registered("ann").await;
        let (mut laptop, code) = site.with_code("ann").await;
        site.wait(1);
        laptop.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(laptop.path(), "/login");
        assert_eq!(laptop.flashes(), ["Your password was changed. Log in with the new one."]);
        assert!(!laptop.is_logged_in().await, "a code must not log in");
        assert!(!phone.is_logged_in().await);
        assert_eq!(site.mails_to("ann").await, ["registered", "reset_code", "password_changed"]);
        assert!(!works(&site, "ann", PASSWORD).await && works(&site, "ann", OTHER_PASSWORD).await);
        assert_eq!(site.count("select count(*) from vestibule_one_time_codes where purpose = 'password_reset'").await, 0);
    }

    async fn spaces_dashes_and_case_do_not_matter(site: Site) {
        site.registered("ann").await;
        let (mut ann, code) = site.with_code("ann").await;
        ann.reset(&format!("  {} ", code.to_lowercase().replace('-', " – ")), OTHER_PASSWORD).await;
        assert_eq!(ann.path(), "/login");
    }

    async fn a_wrong_code_is_refused_with_the_attempts_left_and_stays_in_its_field(site: Site) {
        site.registered("ann").await;
        let (mut ann, code) = site.with_code("ann").await;
        for left in ["4 attempts", "3 attempts", "2 attempts", "1 attempt"] {
            ann.reset("CCCC-CCCC", OTHER_PASSWORD).await;
            assert_eq!(ann.status, StatusCode::UNPROCESSABLE_ENTITY);
            assert_eq!(ann.problems(), [format!("Incorrect code. Check the latest email. {left} left.")]);
            assert_eq!(ann.attribute("#code", "value").as_deref(), Some("CCCC-CCCC"));
        }
        ann.reset("CCCC-CCCC", OTHER_PASSWORD).await;
        assert_eq!(ann.problems(), [LAST]);
        ann.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(ann.problems(), [TOO_MANY], "the sixth guess is refused though it is right");
        assert!(works(&site, "ann", PASSWORD).await);
    }

    async fn an_expired_code_is_refused(site: Site) {
        site.registered("ann").await;
        let (mut ann, code) = site.with_code("ann").await;
        site.wait(10 * 60);
        ann.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(ann.problems(), [EXPIRED]);
        assert!(works(&site, "ann", PASSWORD).await);
    }

    async fn a_code_works_until_its_last_second(site: Site) {
        site.registered("ann").await;
        let (mut ann, code) = site.with_code("ann").await;
        site.wait(10 * 60 - 1);
        ann.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(ann.path(), "/login");
    }

    async fn a_replaced_code_is_refused_and_the_new_one_works(site: Site) {
        site.registered("ann").await;
        let (mut ann, old) = site.with_code("ann").await;
        site.wait(1);
        ann.press("Send a new code").await;
        assert_eq!(ann.path(), "/reset");
        assert_eq!(ann.flashes(), ["If your details match an account, we've sent a new code."]);
        let new = site.newest_code().await;
        assert_ne!(old, new);
        ann.reset(&old, OTHER_PASSWORD).await;
        assert!(ann.problems()[0].starts_with("Incorrect code."));
        ann.reset(&new, OTHER_PASSWORD).await;
        assert_eq!(ann.path(), "/login");
    }

    async fn asking_again_on_the_forgot_page_replaces_the_code_and_says_so(site: Site) {
        site.registered("ann").await;
        let (mut ann, old) = site.with_code("ann").await;
        let mut old_tab = ann.tab();
        site.wait(1);
        ann.ask_for_code("ann", &email_of("ann")).await;
        assert_eq!(ann.flashes(), ["Your last code no longer works."]);
        old_tab.reset(&old, OTHER_PASSWORD).await;
        assert!(!old_tab.problems().is_empty());
        let new = site.newest_code().await;
        ann.reset(&new, OTHER_PASSWORD).await;
        assert_eq!(ann.path(), "/login");
    }

    async fn a_used_code_is_refused(site: Site) {
        site.registered("ann").await;
        let (mut ann, code) = site.with_code("ann").await;
        let mut second_tab = ann.tab();
        ann.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(ann.path(), "/login");
        let answer = second_tab.post("/reset", &fields(&code, "harbour kettle ribbon")).await;
        assert_eq!(answer.headers()["location"], "/forgot", "the session that held the reset is over");
        assert!(works(&site, "ann", OTHER_PASSWORD).await);
        second_tab.open("/reset").await;
        assert_eq!(second_tab.path(), "/forgot");
    }

    async fn a_code_from_another_browser_or_for_another_account_is_refused(site: Site) {
        site.registered("ann").await;
        site.registered("bob").await;
        let (_, code_of_ann) = site.with_code("ann").await;
        let (mut bob, _) = site.with_code("bob").await;
        bob.reset(&code_of_ann, OTHER_PASSWORD).await;
        assert!(bob.problems()[0].starts_with("Incorrect code."));
        let mut eve = site.browser();
        eve.ask_for_code("ann", &email_of("ann")).await;
        eve.reset(&code_of_ann, OTHER_PASSWORD).await;
        assert!(eve.problems()[0].starts_with("Incorrect code."), "asked for in another browser");
        assert!(works(&site, "ann", PASSWORD).await && works(&site, "bob", PASSWORD).await);
    }

    async fn without_an_account_every_code_is_refused_with_the_same_message(site: Site) {
        site.registered("ann").await;
        let mut pages = Vec::new();
        for username in ["ann", "bob"] {
            let mut browser = site.browser();
            browser.ask_for_code(username, &email_of(username)).await;
            let mut seen = String::new();
            for _ in 0..6 {
                browser.reset("CCCC-CCCC", OTHER_PASSWORD).await;
                seen += &browser.html.replace(username, "NAME");
            }
            pages.push(seen);
        }
        assert_eq!(pages[0], pages[1]);
    }

    async fn mismatched_or_weak_passwords_do_not_use_the_code_up(site: Site) {
        site.registered("ann").await;
        let (mut ann, code) = site.with_code("ann").await;
        for _ in 0..8 {
            ann.reset(&code, "short").await;
            assert!(ann.problems()[0].contains("at least 12 characters"), "{:?}", ann.problems());
            assert_eq!(ann.attribute("#code", "value").as_deref(), Some(code.as_str()));
        }
        ann.fill("New password", OTHER_PASSWORD).fill("Confirm password", "velvet anchor");
        ann.press("Change password").await;
        assert_eq!(ann.problems(), ["Passwords don't match."]);
        ann.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(ann.path(), "/login");
    }

    async fn the_current_password_is_refused_and_does_not_use_the_code_up(site: Site) {
        site.registered("ann").await;
        let (mut ann, code) = site.with_code("ann").await;
        for _ in 0..8 {
            ann.reset(&code, PASSWORD).await;
            assert_eq!(ann.problems(), ["This is your current password. Choose a new one."]);
            assert_eq!(ann.attribute("#code", "value").as_deref(), Some(code.as_str()));
        }
        assert_eq!(site.count("select max(attempts) from vestibule_one_time_codes").await, 0);
        ann.reset("CCCC-CCCC", PASSWORD).await;
        assert!(ann.problems()[0].starts_with("Incorrect code."), "only the owner of the code may learn that");
        ann.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(ann.path(), "/login");
        site.wait(1);
        ann.ask_for_code("ann", &email_of("ann")).await;
        ann.reset(&site.newest_code().await, OTHER_PASSWORD).await;
        assert_eq!(ann.problems(), ["This is your current password. Choose a new one."]);
    }

    async fn a_reset_under_way_can_be_resumed_from_every_form(site: Site) {
        site.registered("ann").await;
        let mut seen = Vec::new();
        for username in ["ann", "bob"] {
            let mut asking = site.browser();
            asking.ask_for_code(username, &email_of(username)).await;
            for path in ["/login", "/register", "/forgot"] {
                asking.open(path).await;
                seen.push((path, asking.html.replace(username, "NAME")));
                asking.click("I have a code").await;
                assert_eq!(asking.path(), "/reset", "{path}");
            }
            asking.log_in(username, "not the password").await;
            assert!(asking.text().contains("I have a code"), "on a refused form too");
            assert!(!site.browser().open("/login").await.text().contains("I have a code"), "a first visit");
            site.wait(600);
            for path in ["/login", "/register", "/forgot"] {
                assert!(!asking.open(path).await.text().contains("I have a code"), "{path}: it expired");
            }
        }
        assert_eq!(seen[..3], seen[3..], "whether there is an account or not");
    }

    async fn the_button_for_a_new_code_comes_first_when_the_code_is_no_longer_valid(site: Site) {
        site.registered("ann").await;
        for username in ["ann", "bob"] {
            let mut asking = site.browser();
            asking.ask_for_code(username, &email_of(username)).await;
            let buttons = |page: &Browser| page.all_text("main button:not(.secondary, .plain)");
            assert_eq!(buttons(&asking), ["Change password"]);
            for _ in 0..5 {
                assert_eq!(buttons(&asking), ["Change password"]);
                asking.reset("CCCC-CCCC", OTHER_PASSWORD).await;
            }
            assert_eq!((buttons(&asking), asking.problems()), (vec!["Send a new code".to_owned()], vec![LAST.to_owned()]));
            assert_eq!(asking.all_text("main button")[0], "Send a new code", "it comes first");
            asking.open("/reset").await;
            assert!(asking.text().contains(TOO_MANY), "{}", asking.text());
            assert_eq!(buttons(&asking), ["Send a new code"]);
            asking.press("Send a new code").await;
            assert_eq!(buttons(&asking), ["Change password"]);
            site.wait(600);
            asking.open("/reset").await;
            assert!(asking.text().contains(EXPIRED) && !asking.text().contains("It expires in"));
            assert_eq!(buttons(&asking), ["Send a new code"]);
        }
    }

    async fn a_malformed_code_does_not_count_as_an_attempt(site: Site) {
        site.registered("ann").await;
        let (mut ann, code) = site.with_code("ann").await;
        for typed in ["", "123", "not a code at all", "AEIO-U000", "\0"] {
            ann.reset(typed, OTHER_PASSWORD).await;
            assert_eq!(ann.status, StatusCode::UNPROCESSABLE_ENTITY, "{typed:?}");
        }
        assert_eq!(site.count("select max(attempts) from vestibule_one_time_codes").await, 0);
        ann.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(ann.path(), "/login");
    }

    async fn a_password_is_not_checked_with_a_malformed_code(site: Site) {
        const COMMON: &str = "password1234";
        site.registered("ann").await;
        let (mut ann, code) = site.with_code("ann").await;
        for typed in ["", "123"] {
            ann.reset(typed, COMMON).await;
            assert_eq!(ann.problems().len(), 1, "{:?}", ann.problems());
            ann.reset(typed, "short").await;
            assert!(ann.problems()[1].contains("12 characters"), "the length is: {:?}", ann.problems());
        }
        ann.reset(&code, COMMON).await;
        assert_eq!(ann.problems(), ["This password is too common. Try a few unrelated words."]);
    }

    async fn a_reset_works_for_a_person_who_is_logged_in(site: Site) {
        let mut ann = site.registered("ann").await;
        site.wait(1);
        ann.ask_for_code("ann", &email_of("ann")).await;
        let code = site.newest_code().await;
        ann.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(ann.path(), "/login");
        assert!(!ann.is_logged_in().await);
        assert!(works(&site, "ann", OTHER_PASSWORD).await);
    }

    async fn of_forty_parallel_guesses_exactly_the_limit_is_compared(site: Site) {
        site.registered("ann").await;
        let (ann, code) = site.with_code("ann").await;
        let wrong = fields("CCCC-CCCC", OTHER_PASSWORD);
        let answers = join_all((0..40).map(|_| ann.post("/reset", &wrong))).await;
        let mut compared = 0;
        for answer in answers {
            assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
            compared += usize::from(body_of(answer).await.contains("Incorrect code"));
        }
        assert_eq!(compared, 5);
        assert_eq!(site.count("select attempts from vestibule_one_time_codes where purpose = 'password_reset'").await, 5);
        let answer = ann.post("/reset", &fields(&code, OTHER_PASSWORD)).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    }

    async fn two_parallel_right_codes_change_the_password_once(site: Site) {
        site.registered("ann").await;
        let (ann, code) = site.with_code("ann").await;
        site.wait(1);
        let news = ["harbour kettle ribbon", "cobalt thimble orchard"];
        let (one, two) = (fields(&code, news[0]), fields(&code, news[1]));
        let (one, two) = tokio::join!(ann.post("/reset", &one), ann.post("/reset", &two));
        let changed = [&one, &two].map(|answer| answer.headers().get("location").is_some_and(|path| path == "/login"));
        assert_eq!(changed.iter().filter(|changed| **changed).count(), 1);
        assert_eq!(site.mails_to("ann").await, ["registered", "reset_code", "password_changed"]);
        for (index, new) in news.iter().enumerate() {
            assert_eq!(works(&site, "ann", new).await, changed[index]);
        }
    }

    async fn a_reset_invalidates_the_accounts_other_codes(site: Site) {
        site.registered("ann").await;
        let (mut one, first) = site.with_code("ann").await;
        let (mut two, second) = site.with_code("ann").await;
        two.reset(&second, OTHER_PASSWORD).await;
        assert_eq!(two.path(), "/login");
        one.reset(&first, "harbour kettle ribbon").await;
        assert!(one.problems()[0].starts_with("Incorrect code."), "{:?}", one.problems());
        assert!(works(&site, "ann", OTHER_PASSWORD).await);
    }

    async fn of_parallel_resends_one_is_sent(site: Site) {
        site.registered("ann").await;
        let (ann, _) = site.with_code("ann").await;
        join_all((0..4).map(|_| ann.post("/reset/resend", &[]))).await;
        let codes = site.mails_to("ann").await.into_iter().filter(|kind| kind == "reset_code");
        assert_eq!(codes.count(), 2);
        assert_eq!(site.count("select max(codes_sent) from vestibule_one_time_codes").await, 2);
    }

    async fn a_second_resend_has_to_wait_and_the_page_says_how_long(site: Site) {
        site.registered("ann").await;
        let (mut ann, _) = site.with_code("ann").await;
        ann.press("Send a new code").await;
        let sent = site.mails_to("ann").await.len();
        ann.press("Send a new code").await;
        assert_eq!(ann.flashes(), [TOO_EARLY]);
        assert!(ann.text().contains("You can request another code in 30 seconds."));
        assert_eq!(site.mails_to("ann").await.len(), sent);
        site.wait(30);
        ann.press("Send a new code").await;
        assert_eq!(site.mails_to("ann").await.len(), sent + 1);
    }

    async fn the_page_says_when_another_code_can_be_sent_without_an_account_too(site: Site) {
        site.registered("ann").await;
        let mut pages = Vec::new();
        for username in ["ann", "bob"] {
            let mut browser = site.browser();
            browser.ask_for_code(username, &email_of(username)).await;
            assert!(wait_of(&browser).is_none(), "the first repeat is free");
            browser.press("Send a new code").await;
            assert_eq!(wait_of(&browser).unwrap(), ("30".into(), "in 30 seconds".into()));
            let seen = browser.html.replace(username, "NAME");
            site.wait(12);
            browser.reset("CCCC-CCCC", OTHER_PASSWORD).await;
            assert_eq!(browser.status, StatusCode::UNPROCESSABLE_ENTITY);
            assert_eq!(wait_of(&browser).unwrap(), ("18".into(), "in 18 seconds".into()));
            site.wait(18);
            browser.open("/reset").await;
            assert!(wait_of(&browser).is_none(), "another code can be sent now");
            pages.push(seen + &browser.html.replace(username, "NAME"));
        }
        assert_eq!(pages[0], pages[1]);
    }
}

#[tokio::test]
async fn the_page_does_not_reveal_when_an_owner_changes_the_password() {
    let site = Site::on_sqlite().await;
    let mut owner = site.registered("ann").await;
    let mut visitors = Vec::new();
    for username in ["ann", "bob"] {
        let mut visitor = site.browser();
        visitor.ask_for_code(username, &email_of(username)).await;
        visitor.press("Send a new code").await;
        visitors.push(visitor);
    }
    owner.open("/account/password").await;
    owner.fill("Current password", PASSWORD);
    owner.fill("New password", OTHER_PASSWORD).fill("Confirm password", OTHER_PASSWORD);
    owner.press("Change password").await;
    assert_eq!(owner.path(), "/account");
    let mut seen = Vec::new();
    for visitor in &mut visitors {
        visitor.open("/reset").await;
        assert!(wait_of(visitor).is_some(), "as if nothing had happened");
        visitor.reset("CCCC-CCCC", OTHER_PASSWORD).await;
        let guessed = (visitor.status, visitor.problems());
        visitor.press("Send a new code").await;
        seen.push((guessed, visitor.flashes()));
    }
    assert_eq!(seen[0], seen[1]);
}

/// The seconds and the words of the wait that the page shows, if any.
fn wait_of(browser: &Browser) -> Option<(String, String)> {
    let seconds = browser.attribute("[data-wait]", "data-wait");
    assert_eq!(seconds.is_some(), browser.text().contains("You can request another code in "));
    Some((seconds?, browser.all_text("[data-wait]").concat()))
}

#[tokio::test]
async fn a_code_whose_row_was_swept_is_reported_as_gone() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let (mut ann, code) = site.with_code("ann").await;
    for _ in 0..2 {
        site.wait(50 * 60);
        ann.open("/reset").await;
    }
    assert_eq!(
        one_time_code::EXPIRED.delete(site.db().writer(), 100, site.app.clock.now()).await.unwrap(),
        2,
        "and that of the registration"
    );
    ann.reset(&code, OTHER_PASSWORD).await;
    assert_eq!(ann.problems(), [GONE]);
}

#[tokio::test]
async fn a_code_invalidated_elsewhere_can_be_replaced() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let (mut one, _) = site.with_code("ann").await;
    let (mut two, code) = site.with_code("ann").await;
    two.reset(&code, OTHER_PASSWORD).await;
    site.wait(1);
    one.open("/reset").await;
    assert!(wait_of(&one).is_none(), "nothing is known of a code that is gone");
    one.press("Send a new code").await;
    let code = site.newest_code().await;
    one.reset(&code, "harbour kettle ribbon").await;
    assert_eq!(one.path(), "/login");
}

#[tokio::test]
async fn without_a_reset_under_way_everything_leads_to_the_forgot_page() {
    let site = Site::on_sqlite().await;
    let mut visitor = site.browser();
    visitor.open("/reset").await;
    assert_eq!(visitor.visited, ["/reset", "/forgot"]);
    for path in ["/reset", "/reset/resend"] {
        let answer = visitor.post(path, &fields("CDFG-2345", OTHER_PASSWORD)).await;
        assert_eq!(
            (answer.status(), &answer.headers()["location"]),
            (StatusCode::SEE_OTHER, &"/forgot".parse().unwrap())
        );
    }
}

#[tokio::test]
async fn a_blank_code_never_matches() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let (ann, _) = site.with_code("ann").await;
    for blank in ["", " ", "----", "\u{200b}"] {
        let answer = ann.post("/reset", &fields(blank, OTHER_PASSWORD)).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert!(body_of(answer).await.contains("Enter the code from the email."));
    }
}
