//! Settings and what is told of failures, without a server.

use super::*;

fn mailer(url: &str) -> Result<Mailer, MailError> {
    let sender = Sender { name: "Site".to_owned(), address: "no-reply@site.example".to_owned() };
    Mailer::new(url, &sender, "site.example")
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
        let error = mailer(url).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
    }
    assert!(!format!("{:?}", mailer("smtp://127.0.0.1:1025").unwrap()).contains("1025"));
}

#[test]
fn logs_see_no_whole_address_and_no_code() {
    let letter = crate::models::outbox::Letter {
        kind: "reset_code",
        to: "ann.lee@example.com".to_owned(),
        subject: "S".to_owned(),
        text: "über CDFG-HJKL".to_owned(),
        html: String::new(),
        expires_at: 0,
    };
    let letter = letter.into_queued("0row".to_owned(), 0);
    let said = "550 5.1.1 <ann.lee@example.com>: refused,\r\nto=ann.lee@example.com,bob@b.example; code \"CDFG-HJKL\".";
    assert_eq!(
        fit_for_log(&said, &letter),
        "550 5.1.1 <a…@example.com>: refused, to=a…@example.com,b…@b.example; code …"
    );
    assert_eq!(mask("ann@example.com"), "a…@example.com");
    assert_eq!(mask("ünal@example.com"), "ü…@example.com");
    assert_eq!(mask(""), "");
}
