//! Which certificates of a mail server are trusted, and how the others are reported.

use rcgen::{CertificateParams, DnType};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use vestibule::mail::SendResult;

use super::queued;
use crate::support::certificates::{
    Identity, authority, of_days, params, signed_for_localhost, trusting,
};
use crate::support::outbox::mailer_trusting;
use crate::support::smtp::{FakeSmtp, Security, Setup};

const SHA512: &str = include_str!("ecdsa_with_sha512.pem");

/// The result of a mail to a server that has `identity`, when `ca` is trusted.
async fn result(identity: Identity, ca: &str) -> SendResult {
    let setup = Setup { security: Security::Tls, ..Setup::default() };
    let server = FakeSmtp::identified(setup, identity).await;
    let mailer = mailer_trusting(&server.url(), trusting(ca));
    mailer.send(&queued("ann@example.com")).await
}

async fn rejection(identity: Identity, ca: &str) -> String {
    match result(identity, ca).await {
        SendResult::ServerUnavailable { why } => why,
        other => panic!("{other:?}"),
    }
}

/// As `openssl req -x509` makes it: the name is in the subject alone.
fn with_common_name(name: &str) -> CertificateParams {
    let mut params = authority(&[]);
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_or_its_authority_in_the_file_is_trusted() {
    let (signed, ca) = signed_for_localhost();
    assert!(matches!(result(signed, &ca).await, SendResult::Sent(_)));
    for own in [
        signed_for_localhost().0,
        Identity::self_signed(&params(&["localhost"])),
        Identity::self_signed(&authority(&["localhost"])),
        Identity::self_signed(&with_common_name("localhost")),
        Identity::from_pem(SHA512),
    ] {
        let others = signed_for_localhost().1;
        let ca = format!("{others}{}", own.pem);
        let result = result(own, &ca).await;
        assert!(matches!(result, SendResult::Sent(_)), "{result:?}\n{ca}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_in_the_file_must_be_for_the_host_and_valid_today() {
    for other in [params(&["mail.example"]), with_common_name("mail.example")] {
        let other = Identity::self_signed(&other);
        let ca = other.pem.clone();
        let why = rejection(other, &ca).await;
        assert!(why.contains("subjectAltName") || why.contains("for mail.example"), "{why}");
    }
    for (first, last, message) in [(-9, -1, "expired on"), (1, 9, "is not valid before")] {
        let other = Identity::self_signed(&of_days(&["localhost"], first, last));
        let ca = other.pem.clone();
        let why = rejection(other, &ca).await;
        assert!(why.contains(message), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_servers_own_certificate_cannot_sign_another() {
    for own in [params(&["localhost"]), with_common_name("localhost")] {
        let own = Identity::self_signed(&own);
        let signed = own.signs(&params(&["localhost"]));
        let is_sent = matches!(result(signed, &own.pem).await, SendResult::Sent(_));
        assert_eq!(is_sent, own.is_authority());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_untrusted_certificate_is_reported_with_the_remedy() {
    let unknown = rejection(signed_for_localhost().0, &signed_for_localhost().1).await;
    assert!(unknown.contains("authority that is not trusted"), "{unknown}");
    let plain = rejection(Identity::self_signed(&authority(&["localhost"])), "").await;
    assert!(plain.contains("is self-signed"), "{plain}");
    for why in [unknown, plain] {
        assert!(why.contains("VESTIBULE_SMTP_CA") && !why.contains("Other"), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_without_tls_is_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let answering = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            stream.write_all(b"220 fake ESMTP\r\n").await.ok();
        }
    });
    let mailer = mailer_trusting(&format!("smtps://127.0.0.1:{port}"), trusting(""));
    let result = mailer.send(&queued("ann@example.com")).await;
    let SendResult::ServerUnavailable { why } = result else { panic!("{result:?}") };
    assert!(why.contains("does not speak TLS") && why.contains("tls=required"), "{why}");
    answering.abort();
}
