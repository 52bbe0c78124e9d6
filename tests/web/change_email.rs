//! Change the email address, and its undo by the link in the notice.

use axum::http::StatusCode;
use vestibule::accounts::email::EmailAddress;
use vestibule::accounts::invitation::{Invited, invite};
use vestibule::config::{Rate, RegistrationMode};
use vestibule::models::user::{User, find_user_by_username};

use crate::support::work::work_of;
use crate::support::{Browser, OTHER_PASSWORD, PASSWORD, Site, email_of};

const NEW: &str = "ann.new@garden.example";
const NEWER: &str = "ann.newer@garden.example";

async fn ask(browser: &mut Browser, email: &str) {
    browser.open("/account/email").await;
    browser.fill("New email", email).press("Email me a code").await;
}

/// The code in the newest email to this address.
async fn code_to(site: &Site, address: &str) -> String {
    let mails = site.mails().await;
    let mail = mails.iter().find(|mail| mail.to == address && mail.kind == "email_code");
    let mut lines = mail.expect("a mail").text.lines();
    lines.find(|line| line.len() == 9 && line.as_bytes()[4] == b'-').expect("a code").to_owned()
}

async fn confirm(browser: &mut Browser, code: &str) {
    browser.open("/account/email/confirm").await;
    browser.fill("Code", code).press("Change email").await;
}

async fn change(site: &Site, browser: &mut Browser, email: &str) {
    site.wait(60);
    ask(browser, email).await;
    let code = code_to(site, email).await;
    confirm(browser, &code).await;
    assert_eq!(browser.path(), "/account", "{}", browser.text());
}

/// The link in the newest notice of a changed address to this address.
async fn link_to(site: &Site, address: &str) -> String {
    let mails = site.mails().await;
    let mail = mails.iter().find(|mail| mail.to == address && mail.kind == "email_changed");
    let mut lines = mail.expect("a mail").text.lines();
    let link = lines.find_map(|line| line.strip_prefix("http://localhost:8000/not-me/"));
    format!("/not-me/{}", link.expect("a link"))
}

async fn ann(site: &Site) -> User {
    find_user_by_username(site.db().reader(), "ann").await.unwrap().unwrap()
}

async fn kinds_to(site: &Site, address: &str) -> Vec<String> {
    let mails = site.mails().await.into_iter().rev();
    mails.filter(|mail| mail.to == address).map(|mail| mail.kind).collect()
}

on_both_databases! {
    async fn the_address_changes_once_the_code_has_proved_the_new_one(site: Site) {
        let mut ann_here = site.registered("ann").await;
        let mut elsewhere = site.browser();
        elsewhere.log_in("ann", PASSWORD).await;
        site.wait(1);
        ask(&mut ann_here, NEW).await;
        assert_eq!(ann_here.path(), "/account/email/confirm", "{}", ann_here.text());
        assert!(ann_here.text().contains(NEW));
        assert_eq!(ann(&site).await.email, email_of("ann"), "until then the old one stays");
        assert_eq!(kinds_to(&site, &email_of("ann")).await, ["registered", "new_device"]);
        confirm(&mut ann_here, "CCCC-CCCC").await;
        assert_eq!(ann_here.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert!(ann_here.problems()[0].starts_with("Incorrect code."));
        confirm(&mut ann_here, &code_to(&site, NEW).await).await;
        assert_eq!(ann_here.path(), "/account", "{}", ann_here.text());
        assert_eq!(ann_here.flashes(), ["Your email was changed.", "You've been logged out everywhere else."]);
        let user = ann(&site).await;
        assert_eq!((&*user.email, user.credential_version), (NEW, 2));
        assert!(user.is_email_verified());
        assert!(!elsewhere.is_logged_in().await);
        assert!(ann_here.is_logged_in().await);
        for address in [NEW, &email_of("ann")] {
            let mails = site.mails().await;
            let mail = mails.iter().find(|mail| mail.to == address && mail.kind == "email_changed").expect("both are told");
            let told = if address == NEW { NEW } else { "a…@garden.example" };
            assert!(mail.text.contains(&format!("is now {told},")), "{}", mail.text);
            let gives_back = mail.text.contains("Your account gets back the email that this was sent to.");
            assert_eq!(gives_back, address != NEW, "{}", mail.text);
        }
        assert_eq!(site.browser().log_in(NEW, PASSWORD).await.path(), "/account");
        assert_ne!(site.browser().log_in(&email_of("ann"), PASSWORD).await.path(), "/account");
        ann_here.open("/account/email/confirm").await;
        assert_eq!(ann_here.path(), "/account/email", "the code was used");
    }

    async fn the_password_is_asked_for_ten_minutes_after_it_was_given(site: Site) {
        let mut ann = site.registered("ann").await;
        site.wait(600);
        for (current, problem) in [("", "Enter your current password."), ("wrong", "Current password is incorrect.")] {
            ann.open("/account/email").await;
            ann.fill("New email", NEW).fill("Current password", current).press("Email me a code").await;
            assert_eq!(ann.problems(), [problem]);
        }
        assert_eq!(kinds_to(&site, NEW).await, [] as [String; 0]);
        ann.fill("Current password", PASSWORD).press("Email me a code").await;
        assert_eq!(ann.path(), "/account/email/confirm", "{}", ann.text());
        ann.open("/account/email").await;
        assert!(ann.attribute("#current_password", "type").is_none(), "it was given just now");
    }

    async fn an_address_that_the_password_is_made_of_is_refused(site: Site) {
        let (mut ann, password) = (site.browser(), "Velvet.Anchor.Pudding");
        ann.register("ann", &email_of("ann"), password).await;
        for email in ["velvet.anchor.pudding@garden.example", "Velvet.Anchor.Pudding@garden.example"] {
            ask(&mut ann, email).await;
            assert_eq!(ann.problems(), ["Your password contains this email. Change your password first."], "{email}");
        }
        assert_eq!(site.count("select count(*) from vestibule_one_time_codes where purpose = 'change_email'").await, 0);
        // A code that was requested before does not outlive a password that is made of its address.
        ask(&mut ann, "moss.lantern.quartz@garden.example").await;
        let code = code_to(&site, "moss.lantern.quartz@garden.example").await;
        ann.open("/account/password").await.fill("Current password", password);
        ann.fill("New password", "moss.lantern.quartz").fill("Confirm password", "moss.lantern.quartz");
        assert_eq!(ann.press("Change password").await.path(), "/account");
        let answer = ann.post("/account/email/confirm", &[("code", &*code)]).await;
        assert_eq!(answer.headers()["location"], "/account/email");
        let answer = ann.post("/account/email/resend", &[]).await;
        assert_eq!(answer.headers()["location"], "/account/email");
    }

    async fn a_password_that_was_just_given_is_judged_by_the_new_address_like_a_new_one(site: Site) {
        let (mut ann, password) = (site.browser(), "Velvet.Anchor.Pudding77");
        ann.register("ann", &email_of("ann"), password).await;
        for (email, is_refused) in [("velvet.anchor.pudding@garden.example", true), ("velvet@garden.example", false)] {
            site.wait(901);
            ann.open("/account/email").await;
            ann.fill("New email", email).fill("Current password", password).press("Email me a code").await;
            let expected: &[&str] = if is_refused { &["Your password contains this email. Change your password first."] } else { &[] };
            assert_eq!(ann.problems(), expected, "{email}");
        }
    }

    async fn before_it_is_proved_nobody_finds_out_whether_an_address_is_taken(site: Site) {
        site.registered("bob").await;
        let ann = site.registered("ann").await;
        let (mut pages, mut works) = (Vec::new(), Vec::new());
        for email in [email_of("bob"), email_of("nob")] {
            site.wait(700);
            let mut browser = site.browser();
            browser.log_in("ann", PASSWORD).await;
            let (answer, work) = work_of(browser.post("/account/email", &[("email", &email)])).await;
            assert_eq!(answer.headers()["location"], "/account/email/confirm");
            browser.keep(&answer);
            browser.open("/account/email/confirm").await;
            let mut html = vec![browser.html.replace(&email, "…")];
            for _ in 0..6 {
                confirm(&mut browser, "CCCC-CCCC").await;
                html.push(browser.html.replace(&email, "…"));
            }
            pages.push(html);
            works.push(work);
            assert_eq!(kinds_to(&site, &email).await.last().map(String::as_str), Some("email_code"));
        }
        drop(ann);
        assert_eq!(pages[0], pages[1]);
        assert_eq!(works[0], works[1]);
    }

    async fn an_address_that_another_account_has_is_refused_after_it_is_proved(site: Site) {
        site.registered("bob").await;
        let mut ann_here = site.registered("ann").await;
        ask(&mut ann_here, "BOB@meadow.example").await;
        let code = code_to(&site, "BOB@meadow.example").await;
        confirm(&mut ann_here, &code).await;
        assert_eq!(ann_here.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(ann_here.problems(), ["Another account uses this email. Log in to that one, or use a different email."]);
        assert_eq!(ann(&site).await.email, email_of("ann"));
        assert_eq!(site.browser().log_in("bob", PASSWORD).await.path(), "/account");
    }

    async fn one_address_that_two_accounts_prove_at_the_same_instant_goes_to_one_of_them(site: Site) {
        let (mut ann, mut bob) = (site.registered("ann").await, site.registered("bob").await);
        ask(&mut ann, NEW).await;
        let anns = code_to(&site, NEW).await;
        site.wait(1);
        ask(&mut bob, NEW).await;
        let bobs = code_to(&site, NEW).await;
        let (anns, bobs) = ([("code", &*anns)], [("code", &*bobs)]);
        let answers = tokio::join!(ann.post("/account/email/confirm", &anns), bob.post("/account/email/confirm", &bobs));
        let mut statuses = [answers.0.status(), answers.1.status()];
        statuses.sort();
        assert_eq!(statuses, [StatusCode::SEE_OTHER, StatusCode::UNPROCESSABLE_ENTITY]);
    }

    async fn a_code_sent_twice_at_the_same_instant_changes_the_address_once(site: Site) {
        let mut ann = site.registered("ann").await;
        ask(&mut ann, NEW).await;
        let code = code_to(&site, NEW).await;
        site.wait(1);
        let form = [("code", &*code)];
        let answers = tokio::join!(ann.post("/account/email/confirm", &form), ann.post("/account/email/confirm", &form));
        for answer in [&answers.0, &answers.1] {
            assert_eq!((answer.status(), answer.headers()["location"].to_str().unwrap()), (StatusCode::SEE_OTHER, "/account"));
            ann.keep(answer);
        }
        assert!(ann.is_logged_in().await);
        assert_eq!(kinds_to(&site, NEW).await, ["email_code", "email_changed"]);
    }

    async fn a_code_of_another_browser_another_purpose_or_another_address_is_refused(site: Site) {
        let mut ann_here = site.registered("ann").await;
        let mut there = site.browser();
        there.log_in("ann", PASSWORD).await;
        ask(&mut ann_here, NEW).await;
        let code = code_to(&site, NEW).await;
        confirm_without_code(&mut there, &code).await;
        let (mut reset, reset_code) = site.with_code("ann").await;
        confirm(&mut ann_here, &reset_code).await;
        assert!(ann_here.problems()[0].starts_with("Incorrect code."));
        reset.reset(&code, OTHER_PASSWORD).await;
        assert!(reset.problems()[0].starts_with("Incorrect code."));
        // A form of the first tab, after the second one asked for another address.
        let mut first_tab = ann_here.tab();
        first_tab.open("/account/email/confirm").await;
        site.wait(60);
        ask(&mut ann_here, NEWER).await;
        first_tab.fill("Code", &code).press("Change email").await;
        assert!(first_tab.problems()[0].starts_with("Incorrect code."), "{:?}", first_tab.problems());
        assert_eq!(ann(&site).await.email, email_of("ann"));
    }

    async fn a_new_password_voids_the_code(site: Site) {
        let mut thief = site.registered("ann").await;
        ask(&mut thief, NEW).await;
        let code = code_to(&site, NEW).await;
        let (mut owner, reset) = site.with_code("ann").await;
        owner.reset(&reset, OTHER_PASSWORD).await;
        let answer = thief.post("/account/email/confirm", &[("code", &code)]).await;
        assert_eq!(answer.headers()["location"], "/login?next=/account/email/confirm");
        assert_eq!(ann(&site).await.email, email_of("ann"));
    }

    async fn the_link_in_the_notice_gives_the_old_address_back(site: Site) {
        let mut thief = site.registered("ann").await;
        change(&site, &mut thief, NEW).await;
        let mut owner = site.browser();
        owner.open(&link_to(&site, &email_of("ann")).await).await;
        assert!(owner.text().contains("The account's email becomes ann@meadow.example again."), "{}", owner.text());
        assert_eq!(ann(&site).await.email, NEW, "to open it changes nothing");
        owner.press("This wasn't me").await;
        assert_eq!(owner.path(), "/forgot");
        assert_eq!(owner.flashes().len(), 2, "{:?}", owner.flashes());
        assert_eq!(ann(&site).await.email, email_of("ann"));
        assert!(ann(&site).await.is_email_verified(), "the link proved it");
        assert!(!thief.is_logged_in().await);
        assert_ne!(thief.log_in("ann", PASSWORD).await.path(), "/account");
        let told = site.mails().await;
        let told = told.iter().find(|mail| mail.to == NEW && mail.kind == "email_restored").expect("the new one is told");
        assert!(!told.text.contains("/not-me/"), "{}", told.text);
        site.wait(1);
        owner.fill("Email", &email_of("ann")).press("Email me a code").await;
        owner.reset(&site.newest_code().await, OTHER_PASSWORD).await;
        assert!(owner.log_in("ann", OTHER_PASSWORD).await.is_logged_in().await);
    }

    async fn an_undo_wins_over_another_change_at_the_same_instant(site: Site) {
        let mut thief = site.registered("ann").await;
        change(&site, &mut thief, NEW).await;
        site.wait(60);
        ask(&mut thief, NEWER).await;
        let code = code_to(&site, NEWER).await;
        let (link, owner) = (link_to(&site, &email_of("ann")).await, site.browser());
        let form = [("code", &*code)];
        let (changed, undone) = tokio::join!(thief.post("/account/email/confirm", &form), owner.post(&link, &[]));
        assert_eq!(undone.status(), StatusCode::SEE_OTHER);
        thief.keep(&changed);
        assert!(!thief.is_logged_in().await);
        assert_eq!(ann(&site).await.email, email_of("ann"));
        let late = thief.post("/account/email/confirm", &form).await;
        assert_eq!(late.headers()["location"], "/login?next=/account/email/confirm");
    }

    async fn the_link_at_the_new_address_does_not_undo_the_undo(site: Site) {
        let mut thief = site.registered("ann").await;
        change(&site, &mut thief, NEW).await;
        let (old, new) = (link_to(&site, &email_of("ann")).await, link_to(&site, NEW).await);
        assert_eq!(site.browser().post(&old, &[]).await.status(), StatusCode::SEE_OTHER);
        assert_eq!(site.browser().post(&new, &[]).await.status(), StatusCode::NOT_FOUND);
        assert_eq!(site.browser().post(&old, &[]).await.status(), StatusCode::NOT_FOUND, "it works once");
        assert_eq!(ann(&site).await.email, email_of("ann"));
    }

    async fn after_a_second_change_the_first_link_still_gives_the_first_address_back(site: Site) {
        let mut thief = site.registered("ann").await;
        change(&site, &mut thief, NEW).await;
        change(&site, &mut thief, NEWER).await;
        let (first, second) = (link_to(&site, &email_of("ann")).await, link_to(&site, NEW).await);
        // The thief has the second address, too, and cannot void the first link.
        assert_eq!(site.browser().post(&second, &[]).await.status(), StatusCode::SEE_OTHER);
        assert_eq!(ann(&site).await.email, NEW);
        assert_eq!(site.browser().post(&first, &[]).await.status(), StatusCode::SEE_OTHER);
        assert_eq!(ann(&site).await.email, email_of("ann"));
        assert_eq!(site.browser().post(&link_to(&site, NEWER).await, &[]).await.status(), StatusCode::NOT_FOUND);
    }

    async fn a_link_of_before_the_change_gives_the_address_back_too(site: Site) {
        site.registered("ann").await;
        let mut thief = site.browser();
        thief.log_in("ann", PASSWORD).await;
        let mails = site.mails().await;
        let notice = mails.iter().find(|mail| mail.kind == "new_device").unwrap();
        let link = notice.text.lines().find_map(|line| line.strip_prefix("http://localhost:8000")).unwrap().to_owned();
        change(&site, &mut thief, NEW).await;
        assert_eq!(site.browser().post(&link, &[]).await.status(), StatusCode::SEE_OTHER);
        assert_eq!(ann(&site).await.email, email_of("ann"));
    }

    async fn nobody_takes_the_old_address_while_it_can_be_given_back(site: Site) {
        let mut thief = site.registered("ann").await;
        change(&site, &mut thief, NEW).await;
        let mut other = site.browser();
        other.register("mallory", &email_of("ann"), PASSWORD).await;
        assert!(other.path().starts_with("/login"), "{}", other.text());
        let mut bob = site.registered("bob").await;
        ask(&mut bob, &email_of("ann")).await;
        confirm(&mut bob, &code_to(&site, &email_of("ann")).await).await;
        assert_eq!(bob.problems().len(), 1, "{}", bob.text());
        change(&site, &mut thief, &email_of("ann")).await;
        assert_eq!(ann(&site).await.email, email_of("ann"), "its owner may");
    }

    async fn an_address_that_nobody_had_proved_is_kept_for_nobody(site: Site) {
        let squatted = ["ann", "bob", "cid", "dan", "eve"];
        for name in squatted {
            let mut stranger = site.browser();
            stranger.register(&format!("squatter-{name}"), &email_of(name), PASSWORD).await;
            change(&site, &mut stranger, &format!("{name}@squatters.example")).await;
        }
        assert_eq!(site.browser().register("ann", &email_of("ann"), PASSWORD).await.path(), "/account");
        for (name, mode) in [("bob", RegistrationMode::Verified), ("cid", RegistrationMode::Approval)] {
            site.wait(1);
            let mut owner = site.changed(|config| config.registration.mode = mode).await;
            owner.register(name, &email_of(name), PASSWORD).await;
            let code = site.newest_code().await;
            site.wait(1);
            owner.fill("Code", &code).press("Create account").await;
            let registered = format!("select count(*) from vestibule_users where username = '{name}'");
            assert_eq!(site.count(String::leak(registered)).await, 1, "{}", owner.text());
        }
        let dan = EmailAddress::parse(&email_of("dan")).unwrap();
        assert!(matches!(invite(&site.app, &dan).await.unwrap(), Invited::Sent(_)));
        let mut zoe = site.registered("zoe").await;
        change(&site, &mut zoe, &email_of("eve")).await;
        let link = link_to(&site, &email_of("dan")).await;
        assert_eq!(site.browser().post(&link, &[]).await.status(), StatusCode::SEE_OTHER, "the owner can still report it");
        assert_eq!(site.count("select count(*) from vestibule_users where email = 'dan@meadow.example'").await, 1);
        let link = link_to(&site, &email_of("ann")).await;
        assert_eq!(site.browser().post(&link, &[]).await.status(), StatusCode::SEE_OTHER);
        assert_eq!(site.count("select count(*) from vestibule_users where email = 'ann@meadow.example' and username = 'ann'").await, 1);
    }

    async fn a_mailbox_gets_five_codes_a_day_from_people_who_want_its_address(site: Site) {
        for (number, to) in ["victim@meadow.example", "victim+1@meadow.example", "Victim+2@MEADOW.example", "victim+3@meadow.example", "victim+4@meadow.example", "victim@meadow.example", "victim+5@meadow.example"].iter().enumerate() {
            let mut mallory = site.registered(&format!("mallory{number}")).await;
            ask(&mut mallory, to).await;
            assert_eq!(mallory.path(), "/account/email/confirm", "it looks like one that was sent");
            assert!(mallory.flashes().is_empty());
        }
        let codes = async || site.mails().await.iter().filter(|mail| mail.to.to_lowercase().starts_with("victim") && mail.kind == "email_code").count();
        assert_eq!(codes().await, 5);
        site.browser().register("victim", "victim@meadow.example", PASSWORD).await;
        assert_eq!(site.mails_to("victim").await.iter().filter(|kind| *kind == "registered").count(), 0, "welcomes are counted with them");
        site.browser().ask_for_code("victim", "victim@meadow.example").await;
        assert_eq!(site.mails_to("victim").await.last().map(String::as_str), Some("reset_code"), "and other codes apart");
        site.wait(24 * 60 * 60);
        let mut mallory = site.browser();
        mallory.log_in("mallory0", PASSWORD).await;
        ask(&mut mallory, "victim+6@meadow.example").await;
        assert_eq!(codes().await, 6);
    }

    async fn the_old_address_is_told_or_nothing_changes(site: Site) {
        let mut ann_here = site.registered("ann").await;
        let few = Rate { count: 1, period: 24 * 60 * 60 };
        let strict = site.app_with(|config| config.limits.mail_address = Some(few)).await;
        let mut ann_here = ann_here.open("/account").await.at(&vestibule::site(&strict));
        for (email, is_changed) in [(NEW, true), (NEWER, false)] {
            site.wait(60);
            ask(&mut ann_here, email).await;
            confirm(&mut ann_here, &code_to(&site, email).await).await;
            assert_eq!(ann_here.path() == "/account", is_changed, "{}", ann_here.text());
        }
        assert_eq!(ann_here.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(ann(&site).await.email, NEW);
    }

    async fn guesses_at_the_code_for_an_address_are_counted_over_all_accounts(site: Site) {
        let mut compared = 0;
        for number in 0..6 {
            let mut browser = site.registered(&format!("mallory{number}")).await;
            ask(&mut browser, NEW).await;
            for _ in 0..5 {
                let answer = browser.post("/account/email/confirm", &[("code", "CCCC-CCCC")]).await;
                compared += usize::from(answer.status() == StatusCode::UNPROCESSABLE_ENTITY);
            }
        }
        assert_eq!(compared, 20);
    }

    async fn the_own_address_and_what_is_none_are_refused(site: Site) {
        let mut ann = site.registered("ann").await;
        for (email, problem) in [
            ("ANN@meadow.example", "This is your email already. Enter another one."),
            ("", "Enter your email."),
            ("nobody", "Enter an email like name@example.com."),
        ] {
            ask(&mut ann, email).await;
            assert_eq!(ann.problems(), [problem]);
        }
        assert_eq!(site.count("select count(*) from vestibule_one_time_codes where purpose = 'change_email'").await, 0);
    }

    async fn another_code_replaces_the_first_after_a_wait(site: Site) {
        let mut ann_here = site.registered("ann").await;
        ask(&mut ann_here, NEW).await;
        let first = code_to(&site, NEW).await;
        site.wait(1);
        ann_here.press("Send a new code").await;
        assert_eq!((ann_here.path(), ann_here.flashes()), ("/account/email/confirm", vec!["We've sent a new code.".to_owned()]));
        let second = code_to(&site, NEW).await;
        ann_here.press("Send a new code").await;
        assert!(ann_here.flashes()[0].starts_with("Wait 30 seconds"), "{:?}", ann_here.flashes());
        confirm(&mut ann_here, &first).await;
        assert!(ann_here.problems()[0].starts_with("Incorrect code."));
        confirm(&mut ann_here, &second).await;
        assert_eq!(ann(&site).await.email, NEW);
    }
}

/// In a browser that did not ask for it.
async fn confirm_without_code(browser: &mut Browser, code: &str) {
    let answer = browser.post("/account/email/confirm", &[("code", code)]).await;
    assert_eq!(answer.headers()["location"], "/account/email");
}

#[tokio::test]
async fn who_is_logged_out_is_led_to_log_in_and_back() {
    let site = Site::on_sqlite().await;
    for path in ["/account/email", "/account/email/confirm"] {
        assert_eq!(site.browser().open(path).await.path(), format!("/login?next={path}"));
    }
    let mut ann = site.registered("ann").await;
    assert_eq!(ann.open("/account/email/confirm").await.path(), "/account/email");
    let answer = ann.post("/account/email/resend", &[]).await;
    assert_eq!(answer.headers()["location"], "/account/email");
}
