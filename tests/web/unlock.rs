//! Unlock: the link in the emails about limited and stopped logins.

use axum::http::StatusCode;
use vestibule::accounts::mail_link::LINK_LIFE;

use crate::support::work::work_of;
use crate::support::{Browser, OTHER_PASSWORD, PASSWORD, Site};

/// Three hours of guesses, at full speed.
async fn guess_for_three_hours(site: &Site, login: &str) -> Browser {
    let mut attacker = site.browser();
    for minute in 0..180 {
        site.wait(60);
        attacker.log_in(login, "wrong").await;
        if minute % 15 == 0 {
            for _ in 0..10 {
                attacker.log_in(login, "wrong").await;
            }
        }
    }
    attacker
}

/// As often as the account may within a quarter of an hour.
async fn reach_the_limit(site: &Site, login: &str) -> Browser {
    let mut attacker = site.browser();
    for _ in 0..10 {
        assert_eq!(attacker.log_in(login, "wrong").await.status, StatusCode::UNPROCESSABLE_ENTITY);
    }
    assert_eq!(attacker.log_in(login, "wrong").await.status, StatusCode::TOO_MANY_REQUESTS);
    attacker
}

async fn link(site: &Site) -> String {
    link_of(site, "login_stopped").await
}

/// The path of the link in the newest email of this kind.
async fn link_of(site: &Site, kind: &str) -> String {
    let mails = site.mails().await;
    let mail = mails.iter().find(|mail| mail.kind == kind).expect("a mail");
    let mut lines = mail.text.lines().filter_map(|line| line.strip_prefix("http://localhost:8000"));
    let path = lines.find(|path| path.starts_with("/unlock/")).expect("a link");
    assert!(mail.html.contains(path), "{}", mail.html);
    path.to_owned()
}

on_both_databases! {
    async fn an_owner_without_a_known_browser_gets_back_in_by_the_email_and_the_attacker_does_not(site: Site) {
        site.registered("ann").await;
        let mut attacker = guess_for_three_hours(&site, "ann").await;
        let mut owner = site.browser();
        assert_eq!(owner.log_in("ann", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(owner.problems(), ["Password login is blocked in this browser. Reset your password."]);
        let link = link(&site).await;
        owner.open(&link).await;
        assert_eq!(owner.log_in("ann", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS, "to open the link changes nothing");
        owner.open(&link).await.press("Let me log in here").await;
        assert_eq!((owner.path(), owner.flashes()), ("/login", vec!["You can log in with your password in this browser now.".to_owned()]));
        assert!(!owner.is_logged_in().await, "it logs nobody in");
        attacker.log_in("ann", PASSWORD).await;
        assert_eq!(attacker.status, StatusCode::TOO_MANY_REQUESTS, "nothing changes for others");
        assert!(owner.log_in("ann", PASSWORD).await.is_logged_in().await);
        assert_eq!(attacker.log_in("ann", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
    }

    async fn the_link_gives_attempts_that_end_like_those_of_any_browser(site: Site) {
        site.registered("ann").await;
        guess_for_three_hours(&site, "ann").await;
        let link = link(&site).await;
        let mut browser = site.browser();
        browser.open(&link).await.press("Let me log in here").await;
        for _ in 0..10 {
            assert_eq!(browser.log_in("ann", "wrong").await.status, StatusCode::UNPROCESSABLE_ENTITY);
        }
        assert_eq!(browser.log_in("ann", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
        let mut again = site.browser();
        assert_eq!(again.open(&link).await.status, StatusCode::NOT_FOUND, "it works once");
        assert_eq!(again.post(&link, &[]).await.status(), StatusCode::NOT_FOUND);
        assert_eq!(again.log_in("ann", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
    }

    async fn two_browsers_that_use_one_link_at_the_same_instant_share_no_attempts(site: Site) {
        site.registered("ann").await;
        reach_the_limit(&site, "ann").await;
        let link = link_of(&site, "login_limited").await;
        let (mut one, mut other) = (site.browser(), site.browser());
        let answers = tokio::join!(one.post(&link, &[]), other.post(&link, &[]));
        let mut statuses = [answers.0.status(), answers.1.status()];
        one.keep(&answers.0);
        other.keep(&answers.1);
        statuses.sort();
        assert_eq!(statuses, [StatusCode::SEE_OTHER, StatusCode::NOT_FOUND]);
        let let_in = [one.log_in("ann", PASSWORD).await.is_logged_in().await, other.log_in("ann", PASSWORD).await.is_logged_in().await];
        assert_eq!(let_in.iter().filter(|is_in| **is_in).count(), 1);
    }

    async fn a_double_click_lets_the_browser_log_in_whichever_answer_it_gets(site: Site) {
        site.registered("ann").await;
        reach_the_limit(&site, "ann").await;
        let link = link_of(&site, "login_limited").await;
        let mut owner = site.browser();
        owner.open(&link).await;
        let (mut first, mut second) = (owner.tab(), owner.tab());
        tokio::join!(first.press("Let me log in here"), second.press("Let me log in here"));
        for browser in [&mut first, &mut second] {
            assert_eq!(browser.path(), "/login", "{}", browser.text());
            assert_eq!(browser.flashes(), ["You can log in with your password in this browser now."]);
            assert_eq!(browser.open(&link).await.path(), "/login");
            assert!(browser.log_in("ann", PASSWORD).await.is_logged_in().await, "{}", browser.text());
        }
        assert_eq!(site.count("select count(*) from vestibule_history where kind = 'unlocked'").await, 1);
        site.wait(60);
        assert_eq!(owner.press("Let me log in here").await.status, StatusCode::NOT_FOUND);
    }

    async fn the_form_of_one_kind_of_link_is_not_repeated_by_the_other(site: Site) {
        site.registered("ann").await;
        let mails = site.mails().await;
        let not_me = mails[0].text.lines().find_map(|line| line.strip_prefix("http://localhost:8000/not-me/")).unwrap();
        let (owner, form) = (site.browser(), [("form", "AAAAAAAAAAAAAAAAAAAAAA")]);
        assert_eq!(owner.post(&format!("/not-me/{not_me}"), &form).await.status(), StatusCode::SEE_OTHER);
        assert_eq!(owner.post(&format!("/not-me/{not_me}"), &form).await.status(), StatusCode::SEE_OTHER);
        let answer = owner.post(&format!("/unlock/{not_me}"), &form).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        assert_eq!(site.count("select count(*) from vestibule_devices").await, 0);
    }

    async fn a_trusted_browser_that_used_up_its_attempts_gets_new_ones(site: Site) {
        let mut own = site.registered("ann").await;
        own.press("Log out").await;
        for number in 0..100 {
            if number % 10 == 0 {
                site.wait(900);
            }
            own.log_in("ann", "wrong").await;
        }
        site.wait(900);
        assert_eq!(own.log_in("ann", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
        let link = link(&site).await;
        own.open(&link).await.press("Let me log in here").await;
        assert!(own.log_in("ann", PASSWORD).await.is_logged_in().await, "{}", own.text());
    }

    async fn the_link_expires_after_three_days(site: Site) {
        site.registered("ann").await;
        guess_for_three_hours(&site, "ann").await;
        let link = link(&site).await;
        site.wait(LINK_LIFE);
        assert_eq!(site.browser().open(&link).await.status, StatusCode::NOT_FOUND);
        assert_eq!(site.browser().post(&link, &[]).await.status(), StatusCode::NOT_FOUND);
    }

    async fn the_last_failure_writes_the_same_for_nobody(site: Site) {
        site.registered("ann").await;
        let rows = async || [
            site.count("select count(*) from vestibule_mail_links").await,
            site.count("select count(*) from vestibule_outbox").await,
            site.count("select count(*) from vestibule_history").await,
        ];
        for login in ["ann", "bob"] {
            let before = rows().await;
            guess_for_three_hours(&site, login).await;
            assert_eq!(rows().await, before.map(|rows| rows + 2), "{login}: of limited and of stopped logins");
        }
        assert_eq!(site.count("select count(*) from vestibule_mail_links where user_id is null").await, 2);
    }

    async fn the_owner_gets_in_by_the_email_while_strangers_use_up_each_quarter_of_an_hour(site: Site) {
        site.registered("ann").await;
        let mut attacker = reach_the_limit(&site, "ann").await;
        let mut owner = site.browser();
        assert_eq!(owner.log_in("ann", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
        let link = link_of(&site, "login_limited").await;
        owner.open(&link).await;
        assert_eq!(owner.log_in("ann", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS, "to open the link changes nothing");
        owner.open(&link).await.press("Let me log in here").await;
        assert_eq!(attacker.log_in("ann", PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
        assert!(owner.log_in("ann", PASSWORD).await.is_logged_in().await);
        site.wait(900);
        reach_the_limit(&site, "ann").await;
        owner.open("/account").await.press("Log out").await;
        assert!(owner.log_in("ann", PASSWORD).await.is_logged_in().await, "from now on the browser is known");
    }

    async fn strangers_cause_one_email_a_day_to_an_account(site: Site) {
        site.registered("ann").await;
        site.registered("bob").await;
        let told = async || site.mails_to("ann").await.iter().filter(|kind| *kind == "login_limited").count();
        for quarter in 0..9 {
            reach_the_limit(&site, if quarter % 2 == 0 { "ann" } else { "ann@meadow.example" }).await;
            assert_eq!(told().await, 1, "{quarter}");
            site.wait(900);
        }
        reach_the_limit(&site, "bob").await;
        assert_eq!(site.mails_to("bob").await, ["registered", "login_limited"], "another account has its own");
        site.wait(24 * 60 * 60 - 9 * 900);
        reach_the_limit(&site, "ann").await;
        assert_eq!(site.mails_to("ann").await, ["registered", "login_limited", "login_stopped"], "the hundredth failure sends the other one");
        let (mut owner, code) = site.with_code("ann").await;
        owner.reset(&code, OTHER_PASSWORD).await;
        reach_the_limit(&site, "ann").await;
        assert_eq!(told().await, 2, "a new password starts a new count");
    }

    async fn who_never_confirmed_the_email_is_told_of_failed_logins_too(site: Site) {
        site.registered_unproved("ann").await;
        guess_for_three_hours(&site, "ann").await;
        assert_eq!(site.mails_to("ann").await, ["registered", "login_limited", "login_stopped"]);
    }

    async fn a_reached_limit_costs_the_same_work_for_nobody(site: Site) {
        site.registered("ann").await;
        let mut works = Vec::new();
        for login in ["ann", "bob"] {
            let stranger = site.browser();
            let mut work = Vec::new();
            for _ in 0..3 {
                for _ in 0..11 {
                    let fields = [("username", login), ("password", "wrong")];
                    work.push(work_of(stranger.post("/login", &fields)).await.1);
                }
                site.wait(900);
            }
            works.push(work);
        }
        for (at, (nobody, ann)) in works[1].iter().zip(&works[0]).enumerate() {
            assert_eq!(nobody, ann, "attempt {at}");
        }
        let count = |at: usize, what: &str| works[0][at].iter().filter(|line| line.starts_with(what)).count();
        assert_eq!([8, 9, 20].map(|at| count(at, "insert into vestibule_mail_links")), [0, 1, 0]);
        assert_eq!([8, 9, 20].map(|at| count(at, "insert into vestibule_outbox")), [0, 1, 0]);
    }

    async fn after_a_new_password_elsewhere_the_owners_other_browser_gets_in_while_strangers_cannot(site: Site) {
        let mut here = site.registered("ann").await;
        let mut there = site.browser();
        there.log_in("ann", PASSWORD).await.press("Log out").await;
        here.open("/account/password").await.fill("Current password", PASSWORD);
        here.fill("New password", OTHER_PASSWORD).fill("Confirm password", OTHER_PASSWORD);
        here.press("Change password").await;
        let mut attacker = guess_for_three_hours(&site, "ann").await;
        assert_eq!(attacker.log_in("ann", OTHER_PASSWORD).await.status, StatusCode::TOO_MANY_REQUESTS);
        assert!(there.log_in("ann", OTHER_PASSWORD).await.is_logged_in().await);
    }

    async fn a_new_password_ends_the_trust_that_a_link_gave(site: Site) {
        site.registered("ann").await;
        guess_for_three_hours(&site, "ann").await;
        let link = link(&site).await;
        let mut browser = site.browser();
        browser.open(&link).await.press("Let me log in here").await;
        let (mut owner, code) = site.with_code("ann").await;
        owner.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(site.count("select count(*) from vestibule_devices where credential_version = 2").await, 1);
        assert!(owner.log_in("ann", OTHER_PASSWORD).await.is_logged_in().await);
    }
}
