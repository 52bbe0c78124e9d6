//! Messages on the wire, with ordinary and with hostile contents.

use super::*;
use crate::models::outbox::Email;

const AT: i64 = 1_795_371_600;

fn composer(name: &str) -> Composer {
    let address = "no-reply@bücher.example".to_owned();
    Composer::new(&Sender { name: name.to_owned(), address }, "accounts.example.com").unwrap()
}

fn email(to: &str, subject: &str) -> QueuedEmail {
    let text = "Hello ann,\n\nüber CDFG-HJKL\n".to_owned() + &"a long line ".repeat(30);
    let email = Email {
        kind: "reset_code".to_owned(),
        to: to.to_owned(),
        subject: subject.to_owned(),
        html: format!("<p>{text}</p>"),
        text,
        expires_at: AT + 600,
    };
    QueuedEmail { id: "0row".to_owned(), email, created_at: AT, ..QueuedEmail::default() }
}

fn source(name: &str, email: &QueuedEmail) -> String {
    composer(name).compose(email).unwrap().source
}

fn headers(message: &str) -> Vec<String> {
    let head = message.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ");
    head.split("\r\n").map(str::to_owned).collect()
}

#[test]
fn a_message_has_the_headers_of_an_automatic_mail() {
    let message = source("Tür", &email("ann@käse.example", "Your code"));
    let headers = headers(&message);
    for header in [
        "From: =?utf-8?b?VMO8cg==?= <no-reply@xn--bcher-kva.example>",
        "To: ann@xn--kse-qla.example",
        "Subject: Your code",
        "Date: Sun, 22 Nov 2026 18:20:00 +0000",
        "Message-ID: <0row@accounts.example.com>",
        "Auto-Submitted: auto-generated",
        "MIME-Version: 1.0",
    ] {
        assert!(headers.iter().any(|line| line == header), "{header} in {headers:#?}");
    }
    assert_eq!(headers.len(), 8, "{headers:#?}");
}

#[test]
fn a_message_has_its_text_first_and_short_ascii_lines() {
    let message = source("Tür", &email("ann@käse.example", "Your code"));
    let (plain, html) = (message.find("text/plain; charset=utf-8"), message.find("text/html"));
    assert!(plain.unwrap() < html.unwrap());
    assert!(message.contains("multipart/alternative"));
    assert!(message.lines().all(|line| line.len() <= 78 && line.is_ascii()), "{message}");
    assert!(message.contains("CDFG-HJKL"));
}

#[test]
fn no_name_or_subject_can_add_a_header() {
    for bad in ["A\r\nBcc: eve@evil.example", "A\nB", "A\u{0}"] {
        let message = source(bad, &email("ann@example.com", bad));
        assert_eq!(headers(&message).len(), 8, "{message}");
    }
    let quoted = source("A\" <eve@evil.example>, \"B", &email("a@example.com", "S"));
    assert!(!quoted.contains("eve@evil.example"), "{quoted}");
    assert_eq!(headers(&quoted).len(), 8, "{quoted}");
}

#[test]
fn no_address_can_add_a_recipient_or_a_header() {
    for bad in [
        "ann@example.com\r\nBcc: eve@evil.example",
        "ann\r\n@example.com",
        "ann@example.com, eve@evil.example",
        "Ann <ann@example.com>",
        "ann>\r\nRCPT TO:<eve@evil.example>@example.com",
        "ann",
        "",
    ] {
        assert!(composer("Site").compose(&email(bad, "S")).is_err(), "{bad:?}");
    }
}

#[test]
fn a_message_is_the_same_at_each_try_and_no_text_can_end_a_part() {
    let mut email = email("ann@example.com", "S");
    email.email.text = "--=_0row--\r\n\r\nX-Eve: 1\r\n".to_owned();
    let message = source("Site", &email);
    assert_eq!(message, source("Site", &email));
    assert_eq!(message.matches("\r\n--=_0row").count(), 3, "{message}");
}

#[test]
fn a_site_with_an_ip_address_for_a_host_sends_mail() {
    let sender = Sender { name: "Hall".to_owned(), address: "no-reply@[192.0.2.1]".to_owned() };
    let composer = Composer::new(&sender, "192.0.2.1").unwrap();
    let source = composer.compose(&email("ann@meadow.example", "Your code")).unwrap().source;
    assert!(headers(&source).contains(&"From: Hall <no-reply@[192.0.2.1]>".to_owned()), "{source}");
    assert_eq!(composer.sender().to_string(), "no-reply@[192.0.2.1]");
}

#[test]
fn lines_are_short_and_break_at_spaces() {
    for (first, second) in (60..=LINE).flat_map(|first| (1..20).map(move |second| (first, second)))
    {
        let (first, second) = ("a".repeat(first), "b".repeat(second));
        let joined = format!("{first} {second}\n");
        let broken = format!("{first}\n{second}\n");
        let expected = if joined.len() - 1 <= LINE { &joined } else { &broken };
        assert_eq!(wrap(&joined), *expected);
        assert_eq!(wrap(&broken), broken);
    }
    let word = "a".repeat(200);
    assert_eq!(wrap(&word), format!("{word}\n"));
    assert_eq!(wrap("a\r\n\r\nb \n\n"), "a\n\nb\n");
}
