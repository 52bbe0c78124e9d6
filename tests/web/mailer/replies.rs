//! Replies of mail servers, in every form and at every step, are classified by their code.

use vestibule::mail::{Mailer, SendResult};

use super::queued;
use crate::support::outbox::mailer;
use crate::support::smtp::FakeSmtp;

async fn result(mailer: &Mailer) -> SendResult {
    mailer.send(&queued("ann@example.com")).await
}

fn rejection(result: &SendResult) -> Option<bool> {
    match result {
        SendResult::Rejected { permanent, .. } => Some(*permanent),
        _ => None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_is_classified_by_its_code() {
    let server = FakeSmtp::start().await;
    let mailer = mailer(&server.url());
    for (reply, permanent) in [
        (&b"550 5.1.1 Empf\xe4nger unbekannt"[..], true),
        (b"550-\xff\xfe\r\n550 5.1.1 no", true),
        (b"550", true),
        (b"550 ", true),
        (b"550-5.1.1 no\n550 5.1.1 such user", true),
        (b"250-wait\r\n550 no", true),
        (b"550-no\r\n such user\r\n550 here", true),
        (&[b"550 ", &*vec![b'x'; 100_000]].concat(), true),
        (b"450 4.2.0 greylisted, try in 300 s", false),
        (b"421 4.7.0 too many", false),
        (b"not a reply", false),
    ] {
        server.refuse("ann@example.com", reply);
        let result = result(&mailer).await;
        let shown = reply[..reply.len().min(40)].escape_ascii();
        assert_eq!(rejection(&result), Some(permanent), "{shown}: {result:?}");
        let next = mailer.send(&queued("bob@example.com")).await;
        assert!(matches!(next, SendResult::Sent(_)), "after {shown}: {next:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejection_before_the_recipient_concerns_all_mail_and_a_later_one_this_email() {
    for (command, reply, permanent) in [
        ("MAIL", "550 5.7.1 sender refused", None),
        ("MAIL", "451 4.3.0 not now", None),
        ("DATA", "554 5.5.1 no valid recipients", Some(true)),
        ("DATA", "451 4.3.0 not now", Some(false)),
        ("DATA", "250 go on", Some(false)),
        (".", "554 5.7.1 spam", Some(true)),
        (".", "451 4.7.1 not now", Some(false)),
        (".", "421 4.3.2 closing", Some(false)),
        (".", "354 what?", Some(true)),
    ] {
        let server = FakeSmtp::start().await;
        server.answer(command, reply);
        let result = result(&mailer(&server.url())).await;
        assert_eq!(rejection(&result), permanent, "{command}: {reply}: {result:?}");
        assert_eq!(
            matches!(result, SendResult::ServerUnavailable { .. }),
            permanent.is_none(),
            "{result:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_without_a_text_accepts() {
    let server = FakeSmtp::start().await;
    for (command, reply) in [("MAIL", "250"), (".", "250-\n250")] {
        server.answer(command, reply);
    }
    let result = result(&mailer(&server.url())).await;
    assert!(matches!(result, SendResult::Sent(_)), "{result:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_know_ehlo_is_greeted_with_helo() {
    let server = FakeSmtp::start().await;
    for (reply, sent) in [("500 5.5.1 unknown", true), ("502 no", true), ("421 closing", false)] {
        server.answer("EHLO", reply);
        let result = result(&mailer(&server.url())).await;
        assert_eq!(matches!(result, SendResult::Sent(_)), sent, "{reply}: {result:?}");
        assert_eq!(
            matches!(result, SendResult::ServerUnavailable { .. }),
            !sent,
            "{reply}: {result:?}"
        );
    }
    assert_eq!(server.mails()[0].hello, "site.example");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejecting_greeting_concerns_all_mail() {
    let server = FakeSmtp::start().await;
    for greeting in ["554 5.7.1 no mail from you", "421", "HTTP/1.1 400 Bad Request"] {
        server.greet_with(Some(greeting));
        let result = result(&mailer(&server.url())).await;
        assert!(matches!(result, SendResult::ServerUnavailable { .. }), "{greeting}: {result:?}");
    }
}

/// As when the server stops: the next mail must not read it as the reply to its own command.
#[tokio::test(flavor = "multi_thread")]
async fn an_unexpected_reply_ends_only_the_session() {
    let server = FakeSmtp::start().await;
    let mailer = mailer(&server.url());
    for early in ["250 ok\r\n421 4.3.2 closing", "250 ok\r\n250 twice"] {
        server.answer(".", early);
        assert!(matches!(result(&mailer).await, SendResult::Sent(_)));
        server.answer(".", "250 ok");
        let next = result(&mailer).await;
        assert!(matches!(next, SendResult::Sent(_)), "after {early:?}: {next:?}");
    }
    assert!(server.connections() >= 3);
}
