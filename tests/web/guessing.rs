//! Guessing a code: the chance that a year of it succeeds, and the limits that bound it.

use axum::http::StatusCode;
use futures_util::future::join_all;
use vestibule::accounts::mail_limits::MailQuota;
use vestibule::accounts::set_password::CODE_LIFE;
use vestibule::config::{Rate, RegistrationMode};
use vestibule::models::one_time_code::Purpose;
use vestibule::{Config, random};

use crate::support::{Browser, OTHER_PASSWORD, PASSWORD, Site, body_of, email_of};

const WRONG: [(&str, &str); 3] =
    [("code", "CCCC-CCCC"), ("password", OTHER_PASSWORD), ("password_confirm", OTHER_PASSWORD)];

/// The chance that one of so many guesses is right, at one code or at many.
fn chance(guesses: i64) -> f64 {
    let letters =
        (0..=u8::MAX).map(|byte| String::from(char::from(byte)).repeat(random::CODE_LENGTH));
    let letters = letters.filter(|code| random::is_code(code)).count();
    let codes = letters.pow(u32::try_from(random::CODE_LENGTH).unwrap());
    #[expect(clippy::cast_precision_loss, reason = "both are far below 2^53")]
    let chance = guesses as f64 / codes as f64;
    chance
}

/// Windows that can begin within a leap year: one at its first second and one whenever one ends.
fn windows_a_year(rate: Rate) -> i64 {
    366 * 24 * 60 * 60 / rate.period + 1
}

/// How many codes of one account the operator gives to its owner.
const GIVEN_CODES_A_YEAR: i64 = 12;

const PURPOSES: [Purpose; 5] = [
    Purpose::PasswordReset,
    Purpose::LogIn,
    Purpose::ChangeEmail,
    Purpose::VerifyEmail,
    Purpose::Register,
];

/// How many guesses at codes for `purpose` are compared in a year with limits of `day`, and can take over one
/// account. A code that proves an address takes over none: one that an account has is refused.
fn takeover_guesses(purpose: Purpose, day: Rate) -> i64 {
    let a_day = match purpose {
        Purpose::PasswordReset => day.count,
        // With `VESTIBULE_LOGIN_CODE=on`.
        Purpose::LogIn => day.count / 4,
        Purpose::ChangeEmail | Purpose::VerifyEmail | Purpose::Register => 0,
    };
    windows_a_year(day) * a_day
}

#[test]
fn a_year_of_guessing_takes_over_an_account_with_a_chance_below_one_in_ten_million() {
    let limits = Config::default().limits;
    let day = limits.reset_account.expect("on by default");
    let reset = takeover_guesses(Purpose::PasswordReset, day);
    let of_all_purposes = PURPOSES.map(|purpose| takeover_guesses(purpose, day)).iter().sum();
    // A made-up link of an email, with a million networks at their limits and a billion links that work.
    let network = limits.login_ip.expect("on by default");
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let links = (windows_a_year(network) * network.count) as f64 * 1e6 * 1e9 / 2_f64.powi(128);
    let all = chance(of_all_purposes) + links;
    assert!(all < 1e-7, "{all:e}");
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/security.md"));
    let stated = format!("{:.1}e-8", all * 1e8);
    assert!(page.unwrap().contains(&stated), "docs/security.md does not state {stated}");
    // Each guess while a code is valid that the operator gave is compared with two codes.
    let windows = CODE_LIFE / day.period + 2;
    let given = GIVEN_CODES_A_YEAR * windows * day.count;
    let with_given = all + chance(given);
    assert!(with_given < 1e-7, "{with_given:e}");
    let stated = format!("all together: {:.1}e-8", with_given * 1e8);
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/security.md"));
    assert!(page.unwrap().contains(&stated), "docs/security.md does not state {stated}");
    let chance = chance(reset);
    let stated = format!("{:.1}e-8", chance * 1e8);
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/security.md"));
    assert!(page.unwrap().contains(&stated), "docs/security.md does not state {stated}");
}

/// One count for a mailbox, whatever the codes are for that prove it: see the test below.
#[test]
fn a_year_of_guessing_proves_an_unused_address_with_a_chance_below_one_in_ten_million() {
    let day = Config::default().limits.reset_account.expect("on by default");
    let chance = chance(windows_a_year(day) * day.count);
    assert!(chance < 1e-7, "{chance:e}");
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/security.md"));
    let stated = format!("somebody's unused address with a probability of {:.1}e-8", chance * 1e8);
    assert!(page.unwrap().contains(&stated), "docs/security.md does not state {stated}");
}

#[test]
fn without_the_daily_limit_the_email_limit_keeps_that_chance_below_one_in_a_million() {
    let limits = Config::default().limits;
    let mails = MailQuota::Codes.part_of(limits.mail_address.expect("on by default")).1;
    let chance = chance(windows_a_year(mails) * mails.count * limits.reset_code);
    assert!(chance < 1e-6, "{chance:e}");
    let stated = format!("{:.1}e-7", chance * 1e7);
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/security.md"));
    assert!(page.unwrap().contains(&stated), "docs/security.md does not state {stated}");
}

/// Five standard deviations; drawing each byte modulo 24 would be five times as far off.
#[test]
fn every_character_of_a_code_is_equally_frequent() {
    let mut counts = std::collections::BTreeMap::new();
    let codes = 30_000;
    for character in (0..codes).flat_map(|_| random::code().into_bytes()) {
        *counts.entry(character).or_insert(0_i32) += 1;
    }
    let expected = codes * 8 / 24;
    assert_eq!(counts.len(), 24);
    assert!(counts.values().all(|count| (count - expected).abs() < 490), "{counts:?}");
}

/// Browsers that each requested a code for `username`.
async fn askers(site: &Site, username: &str, number: usize) -> Vec<Browser> {
    let fresh = site
        .changed(|config| {
            config.limits.forgot_account = None;
            config.limits.mail_address = None;
        })
        .await;
    let mut askers = Vec::new();
    for _ in 0..number {
        site.wait(1);
        let mut browser = fresh.tab();
        browser.ask_for_code(username, &email_of(username)).await;
        assert_eq!(browser.path(), "/reset");
        askers.push(browser);
    }
    askers
}

/// The answers' statuses, with how many say that a code was compared and wrong.
async fn guess_all(askers: &[Browser], times: usize) -> (usize, Vec<StatusCode>) {
    let guesses = (0..times).flat_map(|_| askers).map(|browser| browser.post("/reset", &WRONG));
    let answers = join_all(guesses).await;
    let statuses = answers.iter().map(axum::response::Response::status).collect();
    let bodies = join_all(answers.into_iter().map(body_of)).await;
    (bodies.iter().filter(|body| body.contains("Incorrect code")).count(), statuses)
}

on_both_databases! {
    async fn of_sixty_parallel_guesses_from_twelve_browsers_only_the_daily_limit_is_compared(site: Site) {
        site.registered("ann").await;
        for username in ["ann", "bob"] {
            let askers = askers(&site, username, 12).await;
            let code = site.newest_code().await;
            let (compared, statuses) = guess_all(&askers, 5).await;
            assert_eq!(compared, 20, "{username}");
            let refused = statuses.iter().filter(|status| **status == StatusCode::TOO_MANY_REQUESTS);
            assert_eq!(refused.count(), 40, "{username}");
            let right = [("code", &*code), WRONG[1], WRONG[2]];
            let answer = askers[11].post("/reset", &right).await;
            assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS, "{username}: the right code is not compared either");
        }
        assert_eq!(site.count("select cast(sum(attempts) as bigint) from vestibule_one_time_codes").await, 40, "what was not compared is not counted against its code");
        assert_eq!(site.browser().log_in("ann", PASSWORD).await.path(), "/account");
    }

    async fn guesses_at_all_codes_that_prove_a_mailbox_are_counted_together(site: Site) {
        let registering = site.changed(|config| config.registration.mode = RegistrationMode::Verified).await;
        let mut changing = site.registered("eve").await;
        let verifying = site.registered_unproved("victim").await;
        let mut compared = 0;
        let mut guesses = Vec::new();
        for number in 0..2 {
            let mut browser = registering.tab();
            browser.register("ann", &format!("victim+{number}@meadow.example"), PASSWORD).await;
            guesses.push((browser, "/register/confirm"));
        }
        changing.open("/account/email").await.fill("New email", "victim+x@meadow.example").press("Email me a code").await;
        guesses.extend([(changing, "/account/email/confirm"), (verifying, "/verify")]);
        for _ in 0..6 {
            for (browser, path) in &guesses {
                let answer = browser.post(path, &WRONG[..1]).await;
                compared += usize::from(body_of(answer).await.contains("Incorrect code"));
            }
        }
        assert_eq!(compared, 20);
        let mut other = registering.tab();
        other.register("ann", "victim@meadow.example", PASSWORD).await;
        assert_eq!(other.post("/register/confirm", &WRONG[..1]).await.status(), StatusCode::TOO_MANY_REQUESTS);
    }

    async fn a_new_code_does_not_reset_the_guesses_of_the_day(site: Site) {
        site.registered("ann").await;
        for username in ["ann", "bob"] {
            let mut browser = askers(&site, username, 1).await.remove(0);
            for codes in 1..=4 {
                let (compared, _) = guess_all(std::slice::from_ref(&browser), 5).await;
                assert_eq!(compared, 5, "{username}: code {codes}");
                site.wait(codes * 30);
                browser.open("/reset").await.press("Send a new code").await;
                assert_eq!(browser.path(), "/reset");
            }
            let (compared, statuses) = guess_all(&[browser], 1).await;
            assert_eq!((compared, statuses), (0, vec![StatusCode::TOO_MANY_REQUESTS]), "{username}");
        }
    }

    async fn a_guess_that_was_not_compared_is_not_counted_against_its_code(site: Site) {
        site.registered("ann").await;
        let mut ann = site.changed(|config| config.limits.reset_account = Some(Rate { count: 2, period: 60 })).await;
        ann.ask_for_code("ann", &email_of("ann")).await;
        let code = site.newest_code().await;
        assert_eq!(guess_all(&[ann.tab()], 9).await.0, 2);
        site.wait(60);
        ann.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(ann.path(), "/login", "{}", ann.text());
    }

    async fn an_address_gets_no_more_emails_than_its_limit_from_however_many_browsers(site: Site) {
        site.registered("ann").await;
        for username in ["ann", "bob"] {
            let fresh = site.changed(|config| config.limits.forgot_account = None).await;
            let (name, email) = (username, email_of(username));
            let claim = [("username", name), ("email", &*email)];
            let answers = join_all((0..40).map(|_| fresh.post("/forgot", &claim))).await;
            let taken = answers.iter().filter(|answer| answer.status() == StatusCode::SEE_OTHER);
            assert_eq!(taken.count(), 10, "{username}");
            site.wait(24 * 60 * 60 - 1);
            assert_eq!(fresh.post("/forgot", &claim).await.status(), StatusCode::TOO_MANY_REQUESTS);
        }
        let codes = site.mails_to("ann").await.into_iter().filter(|kind| kind == "reset_code");
        assert_eq!(codes.count(), 10);
    }
}
