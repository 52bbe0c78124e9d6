//! Tries a mail server without sending an email.

use tokio::time::timeout;

use super::smtp::{Failure, Reply};
use super::{Mailer, SHORT_TIMEOUT, TIMEOUT};

/// What the server says to an email from our sender to one recipient.
#[derive(Debug)]
pub enum Trial {
    Accepted,
    /// The sender is accepted, and the recipient does not exist there.
    NoMailbox(String),
    /// For now (RFC 5321, 4.2.1).
    Deferred(String),
    Refused(String),
}

impl Mailer {
    /// When the server's certificate expires, if that is soon. It is known after [`Mailer::try_out`].
    pub fn certificate_expiry(&self) -> Option<i64> {
        self.server.certificate_expiry()
    }

    /// Logs in and names the sender and a recipient: many servers refuse a sender only then. The error
    /// says to the operator why no email can be sent at all.
    pub async fn try_out(&self, recipient: &str) -> Result<Trial, String> {
        let mut session = self.session().await?;
        let named = timeout(TIMEOUT, session.command(&format!("RCPT TO:<{recipient}>"))).await;
        let trial = match named.unwrap_or(Err(Failure::TimedOut)) {
            Ok(_) => Trial::Accepted,
            Err(Failure::Rejected(reply)) if reply.code < 500 => Trial::Deferred(reply.to_string()),
            Err(Failure::Rejected(reply)) if names_no_mailbox(&reply) => {
                Trial::NoMailbox(reply.to_string())
            }
            Err(failure) => Trial::Refused(failure.to_string()),
        };
        for command in ["RSET", "QUIT"] {
            drop(timeout(SHORT_TIMEOUT, session.command(command)).await);
        }
        Ok(trial)
    }
}

/// The enhanced codes about the recipient's mailbox (RFC 3463, 3.2 and 3.3), or "mailbox unavailable" of a
/// server that has none.
fn names_no_mailbox(reply: &Reply) -> bool {
    const MAILBOX: [&str; 5] = ["5.1.1", "5.1.6", "5.1.10", "5.2.", "5.1.2"];
    let text = reply.lines.join(" ");
    let code = text.split(' ').next().unwrap_or_default();
    let is_enhanced = code.starts_with("5.");
    MAILBOX.iter().any(|known| code.starts_with(known))
        || (!is_enhanced && reply.code == 550 && !text.to_lowercase().contains("sender"))
}
