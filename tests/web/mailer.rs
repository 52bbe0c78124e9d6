//! Sessions of the mailer with a mail server: TLS, logins, rejections.

mod replies;
mod trust;

use std::time::Duration;

use tokio::time::timeout;
use vestibule::mail::SendResult;
use vestibule::models::outbox::QueuedEmail;

use crate::support::outbox::{START, email, mailer};
use crate::support::smtp::{FakeSmtp, Security, Setup};

/// Set in a test process that another test started, to the URL that it sends mail to.
const CHILD: &str = "VESTIBULE_TEST_MAIL_TO";

fn queued(to: &str) -> QueuedEmail {
    let (id, email) = (vestibule::random::id(0), email(to));
    QueuedEmail { id, email, created_at: START, ..QueuedEmail::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_email_cut_off_by_the_timeout_never_runs_into_the_next() {
    let server = FakeSmtp::start().await;
    let mailer = mailer(&server.url());
    assert!(matches!(mailer.send(&queued("ann@example.com")).await, SendResult::Sent(_)));
    server.be_silent(true);
    let second = queued("bob@example.com");
    let cut_off = timeout(Duration::from_millis(500), mailer.send(&second)).await;
    assert!(cut_off.is_err(), "a silent server is waited for");
    server.be_silent(false);
    assert!(matches!(mailer.send(&queued("eve@example.com")).await, SendResult::Sent(_)));
    assert_eq!((server.mails().len(), server.connections()), (2, 2));
    assert!(!server.mails_to("eve@example.com")[0].data.contains("bob"));
}

/// Sends one email in another process, whose environment trusts `trusted` alone: this process has read
/// its own environment, and other tests share it.
async fn send_from_child(test: &str, server: &FakeSmtp, trusted: &str) -> SendResult {
    let path = std::env::temp_dir().join(format!("{}.pem", vestibule::random::id(0)));
    std::fs::write(&path, trusted).unwrap();
    let name = module_path!().split_once("::").map_or("", |(_, path)| path);
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "--nocapture", &format!("{name}::{test}")]);
    child.env(CHILD, server.url()).env("SSL_CERT_FILE", &path);
    child.env_remove("SSL_CERT_DIR");
    let ended = tokio::task::spawn_blocking(move || child.output()).await;
    std::fs::remove_file(path).unwrap();
    result_in(&String::from_utf8(ended.unwrap().unwrap().stdout).unwrap())
}

fn result_in(said: &str) -> SendResult {
    let (_, rest) = said.split_once("RESULT ").expect(said);
    let message = rest.lines().next().unwrap_or_default().to_owned();
    if message.starts_with("Sent") {
        SendResult::Sent(message)
    } else {
        SendResult::ServerUnavailable { why: message }
    }
}

/// Whether this process is such a child; then it has sent its email.
async fn was_child() -> bool {
    let Ok(url) = std::env::var(CHILD) else {
        return false;
    };
    println!("\nRESULT {:?}", mailer(&url).send(&queued("ann@example.com")).await);
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_starttls_and_login_work_with_a_private_authority_that_the_system_trusts() {
    if was_child().await {
        return;
    }
    let test = "tls_starttls_and_login_work_with_a_private_authority_that_the_system_trusts";
    for security in [Security::StartTls, Security::Tls] {
        for auth_login in [false, true] {
            let login = Some(("mailer", "pa-ss.word"));
            let server = FakeSmtp::with(Setup { security, login, auth_login }).await;
            let result = send_from_child(test, &server, server.ca_pem()).await;
            assert!(matches!(result, SendResult::Sent(_)), "{security:?}: {result:?}");
            let mails = server.mails();
            assert!(mails.len() == 1 && mails[0].encrypted && mails[0].logged_in);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_an_untrusted_authority_is_rejected() {
    if was_child().await {
        return;
    }
    let test = "a_certificate_of_an_untrusted_authority_is_rejected";
    let other = FakeSmtp::start().await;
    for security in [Security::StartTls, Security::Tls] {
        let server = FakeSmtp::with(Setup { security, ..Setup::default() }).await;
        for trusted in [other.ca_pem(), ""] {
            let result = send_from_child(test, &server, trusted).await;
            let SendResult::ServerUnavailable { why } = result else { panic!("{result:?}") };
            assert!(why.contains("VESTIBULE_SMTP_CA"), "{why}");
        }
        assert!(server.mails().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_starttls_gets_no_mail_when_tls_is_required() {
    let server = FakeSmtp::start().await;
    let mailer = mailer(&format!("{}?tls=required", server.url()));
    let result = mailer.send(&queued("ann@example.com")).await;
    let SendResult::ServerUnavailable { why } = result else { panic!("{result:?}") };
    assert!(why.contains("offers no STARTTLS"), "{why}");
    assert!(server.mails().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_login_makes_the_server_unavailable_and_does_not_reject_the_email() {
    let login = Some(("mailer", "right"));
    let server = FakeSmtp::with(Setup { login, ..Setup::default() }).await;
    for url in [server.url().replace("right", "wrong"), server.url().replace("mailer:right@", "")] {
        let result = mailer(&url).send(&queued("ann@example.com")).await;
        assert!(matches!(result, SendResult::ServerUnavailable { .. }), "{result:?}");
    }
    let result = mailer(&server.url()).send(&queued("ann@example.com")).await;
    assert!(matches!(result, SendResult::Sent(_)), "{result:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_cannot_add_a_recipient_or_a_header() {
    let server = FakeSmtp::start().await;
    let mailer = mailer(&server.url());
    for to in [
        "ann@example.com\r\nBcc: eve@evil.example",
        "ann@example.com>\r\nRCPT TO:<eve@evil.example",
        "ann@example.com, eve@evil.example",
    ] {
        let result = mailer.send(&queued(to)).await;
        assert!(matches!(result, SendResult::Rejected { permanent: true, .. }), "{result:?}");
    }
    assert!(server.mails().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reason_of_a_rejection_does_not_contain_an_address() {
    let server = FakeSmtp::start().await;
    server.refuse("ann@example.com", "550 5.1.1 <ann@example.com>: unknown here");
    let result = mailer(&server.url()).send(&queued("ann@example.com")).await;
    let SendResult::Rejected { permanent: true, why } = result else { panic!("{result:?}") };
    assert!(why.contains("<a…@example.com>: unknown here"), "{why}");
}
