//! What a message looks like on the wire, whatever is put into it.

use super::*;

fn composer(name: &str) -> Result<Composer, MailError> {
    composer_at(name, "accounts.example.com")
}

fn composer_at(name: &str, host: &str) -> Result<Composer, MailError> {
    let address = "no-reply@bücher.example".to_owned();
    Composer::new(&Sender { name: name.to_owned(), address }, host)
}

fn email(to: &str, subject: &str) -> QueuedEmail {
    let text = "Hello ann,\n\nüber CDFG-HJKL\n".to_owned() + &"a long line ".repeat(30);
    let email = crate::models::outbox::Email {
        kind: "reset_code",
        to: to.to_owned(),
        subject: subject.to_owned(),
        html: format!("<p>{text}</p>"),
        text,
        expires_at: 1_795_371_600 + 600,
    };
    email.into_queued("0row".to_owned(), 1_795_371_600)
}

fn source(name: &str, email: &QueuedEmail) -> String {
    String::from_utf8(composer(name).unwrap().source(email).unwrap()).unwrap()
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
        assert!(matches!(composer(bad), Err(MailError::SenderName)), "{bad:?}");
        let message = source("Site", &email("ann@example.com", bad));
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
        assert!(composer("Site").unwrap().source(&email(bad, "S")).is_err(), "{bad:?}");
    }
}

#[test]
fn a_message_is_the_same_at_each_try_and_no_text_can_end_a_part() {
    let mut email = email("ann@example.com", "S");
    email.text = "--=_0row--\r\n\r\nX-Eve: 1\r\n".to_owned();
    let message = source("Site", &email);
    assert_eq!(message, source("Site", &email));
    assert_eq!(message.matches("\r\n--=_0row").count(), 3, "{message}");
}

#[test]
fn an_invalid_host_is_rejected() {
    for host in ["", "a b", "a>\r\nBcc: x", "a@b"] {
        assert!(matches!(composer_at("Site", host), Err(MailError::Host)), "{host:?}");
    }
    for (host, greeting) in [
        ("localhost", "localhost"),
        ("127.0.0.1", "127.0.0.1"),
        ("[::1]", "::1"),
        ("bücher.example", "xn--bcher-kva.example"),
    ] {
        assert_eq!(composer_at("Site", host).unwrap().host(), greeting);
    }
}

#[test]
fn a_site_with_an_ip_address_for_a_host_sends_mail() {
    let sender = Sender { name: "Hall".to_owned(), address: "no-reply@[192.0.2.1]".to_owned() };
    let composer = Composer::new(&sender, "192.0.2.1").unwrap();
    let message = composer.message(&email("ann@meadow.example", "Your code")).unwrap();
    let source = String::from_utf8(message.formatted()).unwrap();
    assert!(headers(&source).contains(&"From: Hall <no-reply@[192.0.2.1]>".to_owned()), "{source}");
    let from = message.envelope().from().unwrap().to_string();
    assert_eq!(from, "no-reply@[192.0.2.1]");
}
