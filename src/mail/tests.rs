//! Settings, messages and what is told of failures, without a server.

use super::*;

fn sender(name: &str) -> Sender {
    Sender { name: name.to_owned(), address: "no-reply@bücher.example".to_owned() }
}

fn mailer(name: &str) -> Mailer {
    Mailer::new("smtp://127.0.0.1:1025", &sender(name), "accounts.example.com").unwrap()
}

fn letter(to: &str, subject: &str) -> Queued {
    let text = "Hello ann,\n\nüber CDFG-HJKL\n".to_owned() + &"a long line ".repeat(30);
    let letter = crate::models::outbox::Letter {
        kind: "reset_code",
        to: to.to_owned(),
        subject: subject.to_owned(),
        html: format!("<p>{text}</p>"),
        text,
        expires_at: 1_795_371_600 + 600,
    };
    letter.into_queued("0row".to_owned(), 1_795_371_600)
}

fn formatted(mailer: &Mailer, letter: &Queued) -> String {
    String::from_utf8(mailer.0.message(letter).unwrap().formatted()).unwrap()
}

fn headers(message: &str) -> Vec<String> {
    let head = message.split("\r\n\r\n").next().unwrap().replace("\r\n ", " ");
    head.split("\r\n").map(str::to_owned).collect()
}

#[test]
fn a_message_has_the_headers_of_an_automatic_mail() {
    let message = formatted(&mailer("Tür"), &letter("ann@käse.example", "Your code"));
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
    let message = formatted(&mailer("Tür"), &letter("ann@käse.example", "Your code"));
    let (plain, html) = (message.find("text/plain; charset=utf-8"), message.find("text/html"));
    assert!(plain.unwrap() < html.unwrap());
    assert!(message.contains("multipart/alternative"));
    assert!(message.lines().all(|line| line.len() <= 78 && line.is_ascii()), "{message}");
    assert!(message.contains("CDFG-HJKL"));
}

#[test]
fn no_name_or_subject_can_add_a_header() {
    for bad in ["A\r\nBcc: eve@evil.example", "A\nB", "A\u{0}"] {
        let made = Mailer::new("smtp://127.0.0.1", &sender(bad), "x.example");
        assert!(matches!(made, Err(MailError::SenderName)), "{bad:?}");
        let message = formatted(&mailer("Site"), &letter("ann@example.com", bad));
        assert_eq!(headers(&message).len(), 8, "{message}");
    }
    let quoted = formatted(&mailer("A\" <eve@evil.example>, \"B"), &letter("a@example.com", "S"));
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
        assert!(mailer("Site").0.message(&letter(bad, "S")).is_err(), "{bad:?}");
    }
}

#[test]
fn every_form_of_the_url_is_read() {
    let read = |url| Server::parse(url, "x.example").unwrap();
    let plain = read("smtp://127.0.0.1:1025");
    assert_eq!((plain.host.as_str(), plain.port), ("127.0.0.1", 1025));
    assert!(plain.login.is_none() && matches!(plain.security, Security::Plain));
    let tls = read("smtps://us%40er:p%2Bw%20d+@mail.example");
    assert_eq!(tls.port, 465);
    let login = Credentials::new("us@er".to_owned(), "p+w d+".to_owned());
    assert!(tls.login == Some(login) && matches!(tls.security, Security::Tls(_)));
    let starttls = read("smtp://mail.example?tls=required");
    assert_eq!(starttls.port, 587);
    assert!(matches!(starttls.security, Security::StartTls(_)));
    assert_eq!(read("smtp://[::1]").host, "::1");
    assert_eq!(read("smtp://mail.example/me.example").hello.to_string(), "me.example");
    assert_eq!(client_id("::1").to_string(), "[IPv6:::1]");
}

#[test]
fn a_wrong_url_is_named_without_its_password() {
    for url in [
        "mail.example:25",
        "http://u:hunter2@mail.example",
        "smtp://u:hunter2@mail.example?tls=opportunistic",
        "smtp://u:hunter2@mail.example?tls=maybe",
        "smtp://u:hunter2@mail.example?ssl=1",
        "smtp://",
        "smtp://user@mail.example",
        "",
    ] {
        let error = Mailer::new(url, &sender("Site"), "x.example").unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
    assert!(!format!("{:?}", mailer("Site")).contains("1025"));
}

#[test]
fn a_host_that_is_no_host_is_refused() {
    for host in ["", "a b", "a>\r\nBcc: x", "a@b"] {
        let made = Mailer::new("smtp://127.0.0.1", &sender("Site"), host);
        assert!(matches!(made, Err(MailError::Host)), "{host:?}");
    }
    for host in ["localhost", "127.0.0.1", "[::1]", "bücher.example"] {
        Mailer::new("smtp://127.0.0.1", &sender("Site"), host).unwrap();
    }
}

#[test]
fn logs_see_no_whole_address_and_no_code() {
    let letter = letter("ann.lee@example.com", "S");
    let said = "550 5.1.1 <ann.lee@example.com>: refused,\r\nto=ann.lee@example.com,bob@b.example; code \"CDFG-HJKL\".";
    assert_eq!(
        fit_for_log(&said, &letter),
        "550 5.1.1 <a…@example.com>: refused, to=a…@example.com,b…@b.example; code …"
    );
    assert_eq!(mask("ann@example.com"), "a…@example.com");
    assert_eq!(mask("ünal@example.com"), "ü…@example.com");
    assert_eq!(mask(""), "");
}
