//! What is told of failures, without a server.

use super::*;

#[test]
fn logs_see_no_whole_address_and_no_code() {
    let email = crate::models::outbox::Email {
        kind: "reset_code",
        to: "ann.lee@example.com".to_owned(),
        subject: "S".to_owned(),
        text: "über CDFG-HJKL".to_owned(),
        html: String::new(),
        expires_at: 0,
    };
    let email = email.into_queued("0row".to_owned(), 0);
    let said = "550 5.1.1 <ann.lee@example.com>: refused,\r\nto=ann.lee@example.com,bob@b.example; code \"CDFG-HJKL\".";
    assert_eq!(
        fit_for_log(&said, &email),
        "550 5.1.1 <a…@example.com>: refused, to=a…@example.com,b…@b.example; code …"
    );
    assert_eq!(mask("ann@example.com"), "a…@example.com");
    assert_eq!(mask("ünal@example.com"), "ü…@example.com");
    assert_eq!(mask(""), "");
}
