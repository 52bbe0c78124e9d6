//! Sends mail: hands the message of a queued email to the mail server.
//!
//! `message.rs` alone uses lettre. Its SMTP client (0.11.23) is not used: it refuses replies that are
//! not UTF-8, gives several addresses one time budget, and trusts no self-signed certificate.

pub mod emails;
mod mask;
mod message;
mod smtp;
pub mod worker;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lettre::Message;
use tokio::time::timeout;

use crate::config::{Config, Sender, SmtpServer};
use crate::models::outbox::QueuedEmail;
use mask::fit_for_log;
pub use mask::mask;
pub use message::Composer;
use smtp::{Failure, Reply, Server, Session};

/// How long the server may take to answer MAIL, and then RCPT and DATA together.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// How long the server may take to judge an email that it has got whole. RFC 5321 4.5.3.2.6 asks for
/// ten minutes, for scanners; the email's place is held for as long, so it is shorter here.
pub const VERDICT_TIMEOUT: Duration = Duration::from_secs(45);

/// How long a kept connection has to show that it still works, and all of them to end.
const SHORT_TIMEOUT: Duration = Duration::from_secs(3);

/// What is wrong with the settings of mail. Never holds the URL: it may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
    /// The sender's address cannot be sent from.
    #[error("the sender's address is not one that mail can come from: expected NAME <ADDRESS>")]
    Sender,
    /// The sender's name holds a line break or another control character.
    #[error("the sender's name holds a line break or a control character")]
    SenderName,
    /// The host of the base URL is no host name.
    #[error(
        "the host of the base URL cannot stand in a mail: expected a name such as accounts.example.com"
    )]
    Host,
}

/// What became of an email. The words are fit for a log: addresses are masked, codes left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SendResult {
    /// The server took it, and said this.
    Sent(String),
    /// The server refused this email, after it had accepted the sender.
    Rejected {
        /// A 5xx reply (RFC 5321, 4.2.1): the same email will hardly be taken later.
        permanent: bool,
        /// Its reply.
        why: String,
    },
    /// The server got the whole email and said nothing for 45 seconds: it may have taken it.
    NoReply,
    /// No mail can be sent: no connection, no TLS, no login, or the sender is refused.
    ServerUnavailable {
        /// What happened.
        why: String,
    },
}

/// Sends emails. Clones share their connections.
#[derive(Clone)]
pub struct Mailer(Arc<Inner>);

struct Inner {
    server: Server,
    composer: Composer,
    idle: Mutex<Vec<Session>>,
}

impl Mailer {
    /// None when no mail server is set, and mail stays in the development mailbox.
    ///
    /// # Errors
    /// What is wrong with the settings, without repeating them.
    pub fn from_config(config: &Config) -> Result<Option<Self>, MailError> {
        let server = config.smtp.clone();
        server
            .map(|server| Self::new(server, &config.mail_from, config.base_url.host()))
            .transpose()
    }

    /// Connects to nothing yet. `host` is the site's own name: it stands in `Message-ID` and greets
    /// the server.
    ///
    /// # Errors
    /// What is wrong with the settings, without repeating them.
    pub fn new(server: SmtpServer, sender: &Sender, host: &str) -> Result<Self, MailError> {
        let composer = Composer::new(sender, host)?;
        let server = Server::new(server, composer.host()).map_err(MailError::Tls)?;
        Ok(Self(Arc::new(Inner { server, composer, idle: Mutex::default() })))
    }

    /// Does what costs time before an email is handed over, and hands nothing over: for decoys.
    pub fn rehearse(&self, email: &QueuedEmail) {
        drop(self.0.composer.message(email));
    }

    /// Sends one email, within [`crate::models::outbox::LEASE_SECONDS`]. `Sent` means that the
    /// server has taken responsibility for it (RFC 5321, 4.2.5); anything else, that it may be tried
    /// again.
    pub async fn send(&self, email: &QueuedEmail) -> SendResult {
        let message = match self.0.composer.message(email) {
            Ok(message) => message,
            Err(why) => {
                return SendResult::Rejected { permanent: true, why };
            }
        };
        match self.0.hand_over(&message).await {
            Ok(reply) => SendResult::Sent(fit_for_log(&reply, email)),
            Err(SendResult::ServerUnavailable { why }) => {
                SendResult::ServerUnavailable { why: fit_for_log(&why, email) }
            }
            Err(SendResult::Rejected { permanent, why }) => {
                SendResult::Rejected { permanent, why: fit_for_log(&why, email) }
            }
            Err(other) => other,
        }
    }

    /// Ends every kept connection: when no more emails wait, and before a stop.
    pub async fn rest(&self) {
        let kept = std::mem::take(&mut *self.0.idle());
        let quits = async {
            for mut session in kept {
                drop(session.command("QUIT").await);
            }
        };
        drop(timeout(SHORT_TIMEOUT, quits).await);
    }
}

impl std::fmt::Debug for Mailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailer").finish_non_exhaustive()
    }
}

impl Inner {
    /// A reply before the recipient is about the server or our login, and concerns all emails. One
    /// to the recipient or after it is about this email, even a 421: a relay that throttles one
    /// domain closes on its recipients alone.
    async fn hand_over(&self, message: &Message) -> Result<Reply, SendResult> {
        let bytes = message.formatted();
        let mut session =
            self.session(message).await.map_err(|why| SendResult::ServerUnavailable { why })?;
        let offered = timeout(TIMEOUT, offer(&mut session, message)).await;
        offered.map_err(|_| put_off("no answer within 20 seconds"))?.map_err(refused)?;
        let verdict = timeout(VERDICT_TIMEOUT, session.send_data(&bytes)).await;
        let reply = verdict.map_err(|_| SendResult::NoReply)?.map_err(|failure| match failure {
            // It may have been taken: once more in a minute, and then ever later.
            Failure::Broken(why) => SendResult::Rejected { permanent: true, why },
            refusal @ Failure::Refused(_) => refused(refusal),
        })?;
        self.idle().push(session);
        Ok(reply)
    }

    /// A session in which the server has accepted the sender: a kept one, or a new one.
    async fn session(&self, message: &Message) -> Result<Session, String> {
        let from = message.envelope().from().map(ToString::to_string).unwrap_or_default();
        let mail = format!("MAIL FROM:<{from}>");
        let kept = self.idle().pop();
        if let Some(mut session) = kept {
            if let Ok(Ok(_)) = timeout(SHORT_TIMEOUT, session.command(&mail)).await {
                return Ok(session);
            }
            // The server has closed it; it will have closed the others, too.
            self.idle().clear();
        }
        let mut session = self.server.connect().await?;
        let accepted = timeout(TIMEOUT, session.command(&mail)).await;
        accepted
            .map_err(|_| format!("no answer to {mail} within 20 seconds"))?
            .map_err(|failure| format!("the sender {from} is not accepted: {failure}"))?;
        Ok(session)
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whom it is for, up to the server's word to go ahead.
async fn offer(session: &mut Session, message: &Message) -> Result<(), Failure> {
    for to in message.envelope().to() {
        session.command(&format!("RCPT TO:<{to}>")).await?;
    }
    session.announce_data().await.map(drop)
}

fn put_off(why: &str) -> SendResult {
    SendResult::Rejected { permanent: false, why: why.to_owned() }
}

fn refused(failure: Failure) -> SendResult {
    match failure {
        Failure::Refused(reply) => {
            SendResult::Rejected { permanent: reply.is_permanent(), why: reply.to_string() }
        }
        Failure::Broken(why) => put_off(&why),
    }
}

#[cfg(test)]
mod tests;
