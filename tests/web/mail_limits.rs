//! Nobody can flood a mailbox through the site with any number of accounts and addresses, and other
//! people still get their emails.

use std::net::SocketAddr;

use axum::Extension;
use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::StatusCode;
use vestibule::accounts::mailbox::Mailbox;
use vestibule::config::{Rate, RegistrationMode};

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

/// Registers an account and presses every button that sends an email to `email`.
async fn press_every_button(site: &Site, name: &str, email: &str, is_proved: bool) {
    let mut owner = site.browser();
    owner.register(name, email, PASSWORD).await;
    if is_proved {
        site.prove_addresses().await;
    }
    for browser in [&mut site.browser(), &mut site.browser()] {
        browser.log_in(name, PASSWORD).await;
        browser.press("Log out").await;
        browser.ask_for_code(name, email).await;
        browser.post("/reset/resend", &[]).await;
    }
    site.browser().ask_for_code(name, email).await;
    change_password(&mut owner).await;
}

fn registration<'a>(username: &'a str, email: &'a str) -> [(&'a str, &'a str); 4] {
    let [username, email] = [("username", username), ("email", email)];
    [username, email, ("password", PASSWORD), ("password_confirm", PASSWORD)]
}

/// All that a stranger without the mailbox can do to cause emails to `email`, more often than the limits allow.
async fn do_everything(site: &Site, mut stranger: Browser, name: &str, email: &str) {
    stranger.register(name, email, PASSWORD).await;
    assert_eq!(stranger.path(), "/account", "{}", stranger.text());
    for _ in 0..2 {
        stranger.post("/verify/resend", &[]).await;
        stranger.post("/forgot/username", &[("email", email)]).await;
        let mut other = stranger.anew();
        other.log_in(name, PASSWORD).await;
        other.post("/account/email", &[("email", &*email.replace('@', "+new@"))]).await;
    }
    for ask in 0..3 {
        site.wait(60);
        for browser in [stranger.tab(), stranger.anew()] {
            browser.post("/forgot", &[("username", name), ("email", email)]).await;
            if ask == 0 {
                browser.post("/login/code", &[("username", name)]).await;
            }
        }
    }
    for _ in 0..11 {
        stranger.anew().post("/login", &[("username", name), ("password", "x")]).await;
    }
    change_password(&mut stranger).await;
}

async fn change_password(browser: &mut Browser) {
    change(browser, PASSWORD, OTHER_PASSWORD).await;
}

/// Changes the password and returns whether that worked.
async fn change(browser: &mut Browser, old: &str, new: &str) -> bool {
    browser.open("/account/password").await;
    browser.fill("Current password", old).fill("New password", new);
    browser.fill("Confirm password", new).press("Change password").await;
    browser.path() == "/account"
}

/// How often the password of an account can be changed in a row.
async fn changes(browser: &mut Browser) -> usize {
    for number in 0..20 {
        let passwords = [PASSWORD, OTHER_PASSWORD];
        if !change(browser, passwords[number % 2], passwords[(number + 1) % 2]).await {
            assert_eq!(browser.status, StatusCode::TOO_MANY_REQUESTS, "{}", browser.text());
            return number;
        }
    }
    20
}

/// Browsers whose requests come from `address`.
fn from(site: &Site, address: &str) -> Browser {
    from_router(&site.router, address)
}

fn from_router(router: &Router, address: &str) -> Browser {
    let peer = SocketAddr::new(address.parse().unwrap(), 4711);
    Browser::new(router.clone().layer(Extension(ConnectInfo(peer))))
}

on_both_databases! {
    async fn a_mailbox_gets_no_more_emails_however_many_accounts_lead_to_it(site: Site) {
        let _bob = site.registered("bob").await;
        for number in 0..12 {
            press_every_button(&site, &format!("name{number}"), &format!("victim+{number}@meadow.example"), true).await;
        }
        for number in 0..100 {
            site.wait(if number % 10 == 0 { 900 } else { 0 });
            site.browser().log_in("name0", "wrong").await;
        }
        let mails = mails_like(&site, "victim").await;
        let kinds = |kind: &str| mails.iter().filter(|found| *found == kind).count();
        assert_eq!(mails.len(), 30, "{mails:?}");
        assert!(kinds("reset_code") >= 10 && kinds("password_changed") >= 5, "{mails:?}");
        site.browser().ask_for_code("bob", &email_of("bob")).await;
        assert_eq!(site.mails_to("bob").await, ["registered", "reset_code"]);
        site.wait(DAY);
        press_every_button(&site, "name12", "victim@meadow.example", true).await;
        assert!(mails_like(&site, "victim").await.len() > 30, "the limit is per day");
    }

    async fn an_address_that_is_not_proved_gets_few_emails(site: Site) {
        let owner = site.registered("victim").await;
        for number in 0..12 {
            press_every_button(&site, &format!("name{number}"), &format!("victim+{number}@meadow.example"), false).await;
        }
        let mails = mails_like(&site, "victim+").await;
        let kinds = |kind: &str| mails.iter().filter(|found| *found == kind).count();
        assert_eq!(mails.len(), 24, "25 with the owner's welcome: {mails:?}");
        assert_eq!(kinds("registered"), 4, "{mails:?}");
        assert_eq!(kinds("reset_code"), 15, "{mails:?}");
        owner.tab().ask_for_code("victim", &email_of("victim")).await;
        assert_eq!(site.mails_to("victim").await, ["registered", "reset_code"], "the owner's are counted apart");
    }

    async fn a_mailbox_that_nobody_has_proved_gets_thirty_emails_a_day_whatever_strangers_do(site: Site) {
        for spellings in [
            ["victim@gmail.com", "v.ictim@gmail.com", "victim@googlemail.com", "victim+1@gmail.com", "VIC.TIM+2@googlemail.com", "victim+3@gmail.com"],
            ["victim@bücher.example", "victim+0@xn--bcher-kva.example", "Victim+1@BÜCHER.example", "victim+2@bücher.example", "victim+3@xn--bcher-kva.example", "victim+4@bücher.example"],
        ] {
            let app = site.app_with(|config| config.login_code = true).await;
            let verified = site.changed(|config| config.registration.mode = RegistrationMode::Verified).await;
            let before = site.mails().await.len();
            for (number, email) in spellings.iter().enumerate() {
                let name = format!("bot{number}-{before}");
                let stranger = from_router(&vestibule::site(&app), &format!("198.51.100.{number}"));
                do_everything(&site, stranger, &name, email).await;
                verified.tab().post("/register", &registration(&format!("{name}-v"), email)).await;
            }
            let key = Mailbox::of(spellings[0]).key;
            let mails = site.mails().await.into_iter().filter(|mail| !mail.is_decoy() && Mailbox::of(&mail.to).key == key);
            let kinds: Vec<_> = mails.map(|mail| mail.kind).collect();
            let number_of = |wanted: &[&str]| kinds.iter().filter(|kind| wanted.contains(&kind.as_str())).count();
            assert_eq!(number_of(&["registered", "verify_code", "email_code", "register_code"]), 5, "{kinds:?}");
            assert_eq!(number_of(&["reset_code", "login_code"]), 15, "{kinds:?}");
            assert_eq!(number_of(&["username_reminder"]), 5, "{kinds:?}");
            assert_eq!(kinds.len(), 30, "the rest are notices: {kinds:?}");
        }
    }

    async fn a_stranger_sends_few_emails_to_an_address(site: Site) {
        let mut stranger = site.registered_unproved("ann").await;
        for _ in 0..10 {
            site.browser().log_in("ann", PASSWORD).await;
            site.wait(1);
        }
        change_password(&mut stranger).await;
        let mut expected = vec!["registered"];
        expected.extend(["new_device"; 5]);
        assert_eq!(site.mails_to("ann").await, expected);
    }

    async fn a_person_who_never_proved_the_address_hears_of_a_new_device_and_a_new_password(site: Site) {
        let mut ann = site.registered_unproved("ann").await;
        site.browser().log_in("ann", PASSWORD).await;
        site.wait(1);
        change_password(&mut ann).await;
        assert_eq!(site.mails_to("ann").await, ["registered", "new_device", "password_changed"]);
    }

    async fn knowing_only_an_address_does_not_use_up_its_emails(site: Site) {
        site.registered("ann").await;
        for number in 0..20 {
            site.browser().ask_for_code(&format!("nobody{number}"), "ann+x@meadow.example").await;
            site.browser().ask_for_code(&format!("nobody{number}"), &email_of("ann")).await;
        }
        site.browser().ask_for_code("ann", &email_of("ann")).await;
        assert_eq!(site.mails_to("ann").await, ["registered", "reset_code"]);
    }

    async fn a_code_beyond_the_limit_looks_like_one_that_is_sent(site: Site) {
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

    async fn a_reached_mailbox_limit_costs_the_same_statements_without_an_account(site: Site) {
        site.registered("ann").await;
        for number in 0..12 {
            let (name, email) = (format!("name{}", number / 6), format!("ann+{}@meadow.example", number / 6));
            site.browser().register(&name, &email, PASSWORD).await;
            site.prove_addresses().await;
            site.browser().ask_for_code(&name, &email).await;
        }
        let mut works = Vec::new();
        for name in ["ann", "nob"] {
            let fields = [("username", name), ("email", "ann@meadow.example")];
            let browser = site.browser();
            works.push(work_of(browser.post("/forgot", &fields)).await.1);
        }
        assert_eq!(works[0], works[1]);
        let is_full = works[0].iter().any(|line| line.starts_with("update vestibule_rate_limits set count = count -"));
        assert!(is_full, "{:#?}", works[0]);
        assert_eq!(site.mails_to("ann").await, ["registered"]);
    }

    async fn an_account_with_another_spelling_does_not_limit_the_owners_password_change(site: Site) {
        let mut owner = site.browser();
        owner.register("victim", "victim@gmail.com", PASSWORD).await;
        site.prove_addresses().await;
        assert!(change(&mut owner, PASSWORD, OTHER_PASSWORD).await);
        for (name, email) in [("eve", "v.ictim+1@gmail.com"), ("eva", "victim+2@gmail.com"), ("evi", "victim@googlemail.com")] {
            let mut visitor = site.browser();
            visitor.register(name, email, PASSWORD).await;
            assert_eq!(changes(&mut visitor).await, 5, "{email}: as many as if nobody else had changed theirs");
        }
        for (old, new) in [(OTHER_PASSWORD, PASSWORD), (PASSWORD, OTHER_PASSWORD)] {
            assert!(change(&mut owner, old, new).await, "{}", owner.text());
        }
        let mails = mails_like(&site, "victim@gmail.com").await;
        assert_eq!(mails.iter().filter(|kind| *kind == "password_changed").count(), 3, "{mails:?}");
    }

    async fn an_account_with_another_spelling_does_not_use_up_the_owners_codes(site: Site) {
        let (owner_email, email) = ("victim@gmail.com", "victim+2@gmail.com");
        let mut owner = site.browser();
        owner.register("victim", owner_email, PASSWORD).await.press("Log out").await;
        let mut visitor = site.browser();
        visitor.register("eve", email, PASSWORD).await.press("Log out").await;
        site.prove_addresses().await;
        for _ in 0..5 {
            site.wait(1);
            visitor.tab().ask_for_code("eve", email).await;
        }
        assert_eq!(mails_like(&site, email).await.len(), 6);
        owner.ask_for_code("victim", owner_email).await;
        assert_eq!(mails_like(&site, owner_email).await, ["reset_code", "registered"]);
    }

    async fn all_spellings_together_get_ten_more_emails_than_the_limit(site: Site) {
        for number in 0..10 {
            let tag = if number == 0 { String::new() } else { format!("+{number}") };
            let (name, email) = (format!("name{number}"), format!("victim{tag}@meadow.example"));
            press_every_button(&site, &name, &email, true).await;
            let mut owner = site.browser();
            owner.log_in(&name, OTHER_PASSWORD).await.press("Log out").await;
            for _ in 0..5 {
                site.wait(1);
                owner.ask_for_code(&name, &email).await;
            }
            owner.log_in(&name, OTHER_PASSWORD).await;
            for (old, new) in [(OTHER_PASSWORD, PASSWORD), (PASSWORD, OTHER_PASSWORD)].repeat(2) {
                change(&mut owner, old, new).await;
            }
        }
        assert_eq!(mails_like(&site, "victim").await.len(), 40);
    }

    async fn a_password_reset_is_notified_although_others_used_up_such_emails(site: Site) {
        site.registered("ann").await;
        for number in 0..6 {
            let email = format!("ann+{number}@meadow.example");
            let mut visitor = site.browser();
            visitor.register(&format!("name{number}"), &email, PASSWORD).await;
            change_password(&mut visitor).await;
            assert_eq!(visitor.path(), "/account", "{number}: others limit no change");
        }
        let (mut ann, code) = site.with_code("ann").await;
        site.wait(1);
        ann.reset(&code, OTHER_PASSWORD).await;
        let mails = site.mails_to("ann").await;
        assert_eq!(mails, ["registered", "reset_code", "password_changed"]);
    }
}

#[tokio::test]
async fn notices_leave_codes_their_part_of_the_emails_of_a_domain_and_of_the_site() {
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
        let mut owner = site.browser();
        owner.register("eve", "eve@other.example", PASSWORD).await.press("Log out").await;
        site.prove_addresses().await;
        owner.ask_for_code("eve", "eve@other.example").await;
        let others = mails_like(&site, "eve@").await;
        assert_eq!(others.len(), if is_site { 1 } else { 2 }, "{others:?}");
    }
}

#[tokio::test]
async fn names_in_a_domain_share_its_emails() {
    let few = Some(Rate { count: 12, period: DAY });
    let site = Site::with(|config| config.limits.mail_domain = few).await;
    for number in 0..8 {
        let (name, email) = (format!("ann{number}"), format!("ann@s{number}.victim.example"));
        site.browser().register(&name, &email, PASSWORD).await;
    }
    assert_eq!(mails_like(&site, "ann@").await.len(), 4, "a third of twelve");
}

#[tokio::test]
async fn one_network_causes_at_most_240_emails_an_hour_to_a_domain() {
    let site = Site::with(|config| {
        config.limits.register_ip = None;
        config.limits.forgot_ip = None;
    })
    .await;
    let browser = from(&site, "203.0.113.9");
    for number in 0..101 {
        let (name, email) = (format!("ann{number}"), format!("u{number}@victim.example"));
        let mut owner = browser.tab();
        owner.register(&name, &email, PASSWORD).await;
        site.prove_addresses().await;
        change_password(&mut owner).await;
        owner.press("Log out").await.ask_for_code(&name, &email).await;
        browser.tab().ask_for_code(&name, &email).await;
        browser.tab().post("/forgot/username", &[("email", &*email)]).await;
        browser.tab().log_in(&name, OTHER_PASSWORD).await;
    }
    assert_eq!(mails_like(&site, "u").await.len(), 240);
    for (name, address) in [("cid", "203.0.113.8"), ("cid6", "2001:db8::1")] {
        from(&site, address).register(name, &format!("{name}@victim.example"), PASSWORD).await;
    }
    assert_eq!(mails_like(&site, "cid").await.len(), 2, "other networks are not limited by it");
    site.wait(60 * 60);
    browser.tab().register("dan", "dan@victim.example", PASSWORD).await;
    assert_eq!(mails_like(&site, "dan").await.len(), 1);
}

#[tokio::test]
async fn a_class_of_sixty_behind_one_address_registers_and_gets_second_codes() {
    let site = Site::on_sqlite().await;
    let browser = from(&site, "203.0.113.9");
    for number in 0..60 {
        let mut pupil = browser.tab();
        let (name, email) = (format!("pupil{number}"), format!("pupil{number}@school.example"));
        pupil.register(&name, &email, PASSWORD).await;
        assert_eq!(pupil.path(), "/account", "{}", pupil.text());
        if number % 2 == 0 {
            pupil.open("/verify").await.press("Send a new code").await;
        }
    }
    assert_eq!(mails_like(&site, "pupil").await.len(), 90);
}

#[tokio::test]
async fn the_parts_of_an_ipv6_48_cause_four_times_the_emails_of_one_of_them() {
    let site = Site::with(|config| {
        config.limits.mail_site = Some(Rate { count: 300, period: DAY });
        config.limits.register_ip = None;
    })
    .await;
    for number in 0..60 {
        let (name, email) = (format!("ann{number}"), format!("ann@d{number}.example"));
        let mut owner = from(&site, &format!("2001:db8:1:{:x}00::1", number / 10));
        owner.register(&name, &email, PASSWORD).await;
    }
    assert_eq!(mails_like(&site, "ann@").await.len(), 40);
    let mut other = from(&site, "2001:db8:2::1");
    other.register("bob", "bob@meadow.example", PASSWORD).await;
    assert_eq!(mails_like(&site, "bob@").await.len(), 1);
}

#[tokio::test]
async fn users_of_a_public_provider_do_not_share_the_emails_of_its_domain() {
    let few = Some(Rate { count: 6, period: DAY });
    let site = Site::with(|config| config.limits.mail_domain = few).await;
    for number in 0..6 {
        let (name, email) = (format!("ann{number}"), format!("ann{number}@gmail.com"));
        site.browser().register(&name, &email, PASSWORD).await;
        site.browser().ask_for_code(&name, &email).await;
    }
    assert_eq!(mails_like(&site, "ann").await.len(), 12);
}
