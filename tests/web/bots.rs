//! Bots that register from many networks: what they leave, what they send, and who is hindered by it.

use std::net::SocketAddr;
use std::ops::Range;

use axum::Extension;
use axum::extract::ConnectInfo;
use axum::http::StatusCode;
use vestibule::config::{Rate, RegistrationMode};
use vestibule::db::sql;
use vestibule::tasks::sweep::sweep;

use crate::support::work::work_of;
use crate::support::{Browser, PASSWORD, Site};

const NETWORKS: usize = 100;

/// Three, 300 in all; `BOT_REGISTRATIONS=100` makes 10,000.
fn registrations_of_a_network() -> usize {
    std::env::var("BOT_REGISTRATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

fn from(site: &Site, address: &str) -> Browser {
    let peer = SocketAddr::new(address.parse().unwrap(), 4711);
    Browser::new(site.router.clone().layer(Extension(ConnectInfo(peer))))
}

fn registration<'a>(username: &'a str, email: &'a str) -> [(&'a str, &'a str); 4] {
    let [username, email] = [("username", username), ("email", email)];
    [username, email, ("password", PASSWORD), ("password_confirm", PASSWORD)]
}

/// Registers from all networks; with half of the addresses as one person's with tags, and the others each at
/// a domain of its own. Returns how many forms were accepted.
async fn attack(site: &Site, numbers: Range<usize>) -> usize {
    let mut accepted = 0;
    for number in numbers {
        let browser = from(site, &format!("198.51.100.{}", number % NETWORKS));
        let email = match number % 2 {
            0 => format!("victim+{number}@meadow.example"),
            _ => format!("u@d{number}.example"),
        };
        let answer =
            browser.post("/register", &registration(&format!("bot{number}"), &email)).await;
        accepted += usize::from(answer.status() == StatusCode::SEE_OTHER);
    }
    accepted
}

async fn emails_to_victim(site: &Site) -> usize {
    site.mails().await.iter().filter(|mail| mail.to.starts_with("victim")).count()
}

/// The work of a person who registers and confirms, from a network of their own.
async fn work_of_a_person(site: &Site, name: &str) -> [Vec<String>; 2] {
    let (mut person, email) = (from(site, "203.0.113.9"), format!("{name}@garden.example"));
    let (answer, asked) = work_of(person.post("/register", &registration(name, &email))).await;
    person.keep(&answer);
    let mails = site.mails().await;
    let mail = mails.iter().find(|mail| mail.to == email).expect("an email");
    let code =
        mail.text.lines().find(|line| line.len() == 9 && line.as_bytes()[4] == b'-').unwrap();
    let (answer, confirmed) = work_of(person.post("/register/confirm", &[("code", code)])).await;
    assert_eq!(answer.headers()["location"], "/account");
    [asked, confirmed]
}

#[tokio::test]
async fn bots_in_a_hundred_networks_leave_nothing_flood_nobody_and_hinder_nobody() {
    let each = registrations_of_a_network();
    let site = Site::with(|config| {
        config.registration.mode = RegistrationMode::Verified;
        // Of one network all but one are let through.
        let count = i64::try_from(each).unwrap() - 1;
        config.limits.register_ip = Some(Rate { count, period: 60 * 60 });
        // It counts their codes, and by default no more than 60.
        config.limits.forgot_ip = None;
    })
    .await;
    let before = work_of_a_person(&site, "ann").await;
    site.wait(1);
    let (begin, end) = (2 * NETWORKS, each * NETWORKS);
    assert_eq!(attack(&site, 0..begin).await, begin);
    site.wait(1);
    // The mailbox keeps the newest emails alone: a long attack follows without the victim's.
    assert_eq!(emails_to_victim(&site).await, 5, "a mailbox has one limit, whatever the tags are");
    sql("delete from vestibule_outbox where id > ''").execute(site.db().writer()).await.unwrap();
    assert_eq!(attack(&site, begin..end).await, end - begin - NETWORKS);
    site.wait(1);
    assert_eq!(emails_to_victim(&site).await, 0, "the limit of the day is used up");
    assert_eq!(
        work_of_a_person(&site, "bob").await,
        before,
        "a person's registration costs what it did"
    );
    site.wait(24 * 60 * 60 + 1);
    sweep(&site.app).await.unwrap();
    for (count, of) in [
        ("select count(*) from vestibule_registrations", 0),
        ("select count(*) from vestibule_one_time_codes", 0),
        ("select count(*) from vestibule_outbox", 0),
        ("select count(*) from vestibule_rate_limits", 0),
        ("select count(*) from vestibule_history where user_id = ''", 0),
        ("select count(*) from vestibule_mail_log where user_id = ''", 0),
        ("select count(*) from vestibule_sessions where user_id is null", 0),
        ("select count(*) from vestibule_users", 2),
    ] {
        assert_eq!(site.count(count).await, of, "{count}");
    }
}
