//! Nobody's mailbox is flooded through the site, by however many accounts and addresses, and the
//! people beside it still get their mails.

use axum::http::StatusCode;
use vestibule::config::Rate;

use crate::support::work::work_of;
use crate::support::{Browser, OTHER_PASSWORD, PASSWORD, Site, email_of};

const DAY: i64 = 24 * 60 * 60;

/// Mails to addresses that start with `name`.
async fn mails_like(site: &Site, name: &str) -> Vec<String> {
    let mails = site.mails().await.into_iter();
    mails
        .filter(|mail| mail.to.starts_with(name) && !mail.is_decoy())
        .map(|mail| mail.kind)
        .collect()
}

/// Presses every button of an account of one's own that sends a mail to `email`.
async fn press_every_button(site: &Site, name: &str, email: &str) {
    let mut own = site.browser();
    own.register(name, email, PASSWORD).await;
    for browser in [&mut site.browser(), &mut site.browser()] {
        browser.log_in(name, PASSWORD).await;
        browser.press("Log out").await;
        browser.ask_for_code(name, email).await;
        browser.post("/reset/resend", &[]).await;
    }
    site.browser().ask_for_code(name, email).await;
    change_password(&mut own).await;
}

async fn change_password(browser: &mut Browser) {
    browser.open("/account/password").await;
    browser.fill("Current password", PASSWORD).fill("New password", OTHER_PASSWORD);
    browser.fill("Confirm password", OTHER_PASSWORD).press("Change password").await;
}

on_both_databases! {
    async fn a_mailbox_gets_no_more_mails_however_many_accounts_lead_to_it(site: Site) {
        let beside = site.registered("bob").await;
        for number in 0..12 {
            press_every_button(&site, &format!("name{number}"), &format!("victim+{number}@meadow.example")).await;
        }
        for number in 0..100 {
            site.wait(if number % 10 == 0 { 900 } else { 0 });
            site.browser().log_in("name0", "wrong").await;
        }
        let mails = mails_like(&site, "victim").await;
        let kinds = |kind: &str| mails.iter().filter(|found| *found == kind).count();
        assert_eq!(mails.len(), 30, "{mails:?}");
        assert!(kinds("reset_code") == 15 && kinds("password_changed") == 5, "{mails:?}");
        drop(beside);
        site.browser().ask_for_code("bob", &email_of("bob")).await;
        assert_eq!(site.mails_to("bob").await, ["registered", "reset_code"]);
        site.wait(DAY);
        press_every_button(&site, "name12", "victim@meadow.example").await;
        assert!(mails_like(&site, "victim").await.len() > 30, "another day, another budget");
    }

    async fn somebody_who_knows_the_address_alone_uses_up_none_of_its_mails(site: Site) {
        site.registered("ann").await;
        for number in 0..20 {
            site.browser().ask_for_code(&format!("nobody{number}"), "ann+x@meadow.example").await;
            site.browser().ask_for_code(&format!("nobody{number}"), &email_of("ann")).await;
        }
        site.browser().ask_for_code("ann", &email_of("ann")).await;
        assert_eq!(site.mails_to("ann").await, ["registered", "reset_code"]);
    }

    async fn a_code_beyond_the_budget_looks_like_one_that_is_sent(site: Site) {
        for number in 0..3 {
            site.registered(&format!("ann{number}")).await;
        }
        let few = |config: &mut vestibule::Config| config.limits.mail_domain = Some(Rate { count: 6, period: DAY });
        let browser = site.changed(few).await;
        let mut answers = Vec::new();
        for name in ["ann0", "ann1", "ann2", "nobody"] {
            let mut browser = browser.tab();
            browser.ask_for_code(name, &email_of(name)).await;
            let page = browser.text().replace(&email_of(name), "…").replace(name, "…");
            answers.push((browser.status, browser.path().to_owned(), page));
        }
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
        let mails = mails_like(&site, "ann").await;
        assert_eq!(mails.iter().filter(|kind| *kind == "reset_code").count(), 2, "a third of six");
    }

    async fn a_full_mailbox_costs_a_code_for_nobody_the_same_statements(site: Site) {
        site.registered("ann").await;
        for number in 0..12 {
            let (name, email) = (format!("name{}", number / 6), format!("ann+{}@meadow.example", number / 6));
            site.browser().register(&name, &email, PASSWORD).await;
            site.browser().ask_for_code(&name, &email).await;
        }
        let mut works = Vec::new();
        for name in ["ann", "nob"] {
            let fields = [("username", name), ("email", "ann@meadow.example")];
            let browser = site.browser();
            works.push(work_of(browser.post("/forgot", &fields)).await.1);
        }
        assert_eq!(works[0], works[1]);
        let is_full = works[0].iter().any(|line| line.starts_with("update limits set count = count -"));
        assert!(is_full, "{:#?}", works[0]);
        assert_eq!(site.mails_to("ann").await, ["registered"]);
    }

    async fn a_new_password_by_a_code_is_told_although_strangers_used_up_such_mails(site: Site) {
        site.registered("ann").await;
        for number in 0..6 {
            let email = format!("ann+{number}@meadow.example");
            let mut stranger = site.browser();
            stranger.register(&format!("name{number}"), &email, PASSWORD).await;
            change_password(&mut stranger).await;
            let is_told = stranger.status == StatusCode::OK;
            assert_eq!(is_told, number < 5, "{number}: no change goes untold");
        }
        let (mut ann, code) = site.with_code("ann").await;
        site.wait(1);
        ann.reset(&code, OTHER_PASSWORD).await;
        let mails = site.mails_to("ann").await;
        assert_eq!(mails, ["registered", "reset_code", "password_changed"]);
    }
}

#[tokio::test]
async fn notices_leave_codes_their_part_of_the_mails_of_a_domain_and_of_the_site() {
    for is_site in [false, true] {
        let site = Site::with(|config| {
            let rate = Some(Rate { count: 12, period: DAY });
            let limits = &mut config.limits;
            if is_site { limits.mail_site = rate } else { limits.mail_domain = rate }
        })
        .await;
        for number in 0..8 {
            site.registered(&format!("ann{number}")).await;
        }
        assert_eq!(mails_like(&site, "ann").await.len(), 4, "a third of twelve");
        for number in 0..8 {
            let name = format!("ann{number}");
            let mut browser = site.browser();
            browser.ask_for_code(&name, &email_of(&name)).await;
            assert_eq!(browser.status, StatusCode::OK);
        }
        assert_eq!(mails_like(&site, "ann").await.len(), 8, "and a third for codes");
        let mut own = site.browser();
        own.register("eve", "eve@other.example", PASSWORD).await.press("Log out").await;
        own.ask_for_code("eve", "eve@other.example").await;
        let others = mails_like(&site, "eve@").await;
        assert_eq!(others.len(), if is_site { 1 } else { 2 }, "{others:?}");
    }
}

#[tokio::test]
async fn people_at_a_public_provider_do_not_share_a_domains_mails() {
    let few = Some(Rate { count: 6, period: DAY });
    let site = Site::with(|config| config.limits.mail_domain = few).await;
    for number in 0..6 {
        let (name, email) = (format!("ann{number}"), format!("ann{number}@gmail.com"));
        site.browser().register(&name, &email, PASSWORD).await;
        site.browser().ask_for_code(&name, &email).await;
    }
    assert_eq!(mails_like(&site, "ann").await.len(), 12);
}
