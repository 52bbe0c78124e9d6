//! Sends mail: delivers queued emails to the mail server.
//!
//! `message.rs` alone uses lettre. Its SMTP client (0.11.23) is not used: it rejects replies that are
//! not UTF-8, gives several addresses one timeout, and trusts no self-signed certificate.

pub mod emails;
mod mask;
mod message;
mod smtp;
pub mod worker;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lettre::Message;
use tokio::time::timeout;

use crate::config::{Config, Sender, SmtpServer};
use crate::models::outbox::QueuedEmail;
pub use mask::mask;
use mask::redact;
pub use message::Composer;
use smtp::{Failure, Reply, Server, Session};

/// How long the server may take to answer MAIL, and then RCPT and DATA together.
const TIMEOUT: Duration = Duration::from_secs(20);

/// How long the server may take to answer a complete message. RFC 5321, 4.5.3.2.6 asks for ten minutes,
/// for scanners; here it is shorter because the email occupies a slot meanwhile.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(45);

/// How long an idle connection has to show that it still works, and all of them to close.
const SHORT_TIMEOUT: Duration = Duration::from_secs(3);

/// What is wrong with the settings of mail. Never holds the URL: it may hold a password.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct MailError(String);

/// What became of an email. Its texts are fit for a log: addresses are masked, codes removed.
#[derive(Debug)]
pub enum SendResult {
    /// The server accepted responsibility for it (RFC 5321, 4.2.5) with this reply.
    Sent(String),
    /// The server accepted the sender and then rejected or deferred this email.
    Rejected {
        /// A 5xx reply (RFC 5321, 4.2.1): the same email will hardly be accepted later.
        permanent: bool,
        why: String,
    },
    /// The server got the complete message and did not answer: it may have accepted it.
    NoReply,
    /// No email can be sent: no connection, no TLS, no login, or the sender is rejected.
    ServerUnavailable { why: String },
    /// It was composed and not sent.
    Decoy,
}

/// Sends emails to one server.
pub struct Mailer {
    server: Server,
    composer: Composer,
    idle: Mutex<Vec<Session>>,
}

impl Mailer {
    /// None when no mail server is set, and mail stays in the development mailbox.
    pub fn from_config(config: &Config) -> Result<Option<Self>, MailError> {
        let Some(server) = config.smtp.clone() else { return Ok(None) };
        Self::new(server, &config.mail_from, config.base_url.host()).map(Some)
    }

    /// Does not connect yet. `host` is the site's own name, for `Message-ID` and EHLO.
    pub fn new(server: SmtpServer, sender: &Sender, host: &str) -> Result<Self, MailError> {
        let composer = Composer::new(sender, host)?;
        let server = Server::new(server, host)
            .map_err(|why| MailError(format!("TLS cannot be set up: {why}")))?;
        Ok(Self { server, composer, idle: Mutex::default() })
    }

    /// Sends one email, within [`crate::models::outbox::LEASE_SECONDS`].
    pub async fn send(&self, queued: &QueuedEmail) -> SendResult {
        let result = match self.composer.message(queued) {
            Err(why) => Err(SendResult::Rejected { permanent: true, why }),
            Ok(_) if queued.email.is_decoy() => return SendResult::Decoy,
            Ok(message) => self.deliver(&message).await,
        };
        let redacted = |text: &str| redact(text, &queued.email);
        match result {
            Ok(reply) => SendResult::Sent(redacted(&reply.to_string())),
            Err(SendResult::ServerUnavailable { why }) => {
                SendResult::ServerUnavailable { why: redacted(&why) }
            }
            Err(SendResult::Rejected { permanent, why }) => {
                SendResult::Rejected { permanent, why: redacted(&why) }
            }
            Err(other) => other,
        }
    }

    /// A reply before the recipient concerns the server or our login, and so all emails. A reply to the
    /// recipient or after it concerns this email, even a 421: a relay that throttles one domain closes
    /// the connection for its recipients alone.
    async fn deliver(&self, message: &Message) -> Result<Reply, SendResult> {
        let session = self.session(message).await;
        let mut session = session.map_err(|why| SendResult::ServerUnavailable { why })?;
        timeout(TIMEOUT, start_message(&mut session, message))
            .await
            .unwrap_or_else(|_| Err(Failure::Broken("no answer within 20 seconds".to_owned())))
            .map_err(|failure| rejected(failure, false))?;
        // When the connection breaks now, the email may have been accepted: it is retried late.
        let text = String::from_utf8_lossy(&message.formatted()).into_owned();
        let reply = timeout(MESSAGE_TIMEOUT, session.send_message(&text))
            .await
            .map_err(|_| SendResult::NoReply)?
            .map_err(|failure| rejected(failure, true))?;
        self.idle().push(session);
        Ok(reply)
    }

    /// A session in which the server has accepted the sender: an idle one, or a new one.
    async fn session(&self, message: &Message) -> Result<Session, String> {
        let from = message.envelope().from().map(ToString::to_string).unwrap_or_default();
        let mail = format!("MAIL FROM:<{from}>");
        let idle = self.idle().pop();
        if let Some(mut session) = idle {
            if let Ok(Ok(_)) = timeout(SHORT_TIMEOUT, session.command(&mail)).await {
                return Ok(session);
            }
            // The server has closed it; it will have closed the others, too.
            self.idle().clear();
        }
        let mut session = self.server.connect().await?;
        timeout(TIMEOUT, session.command(&mail))
            .await
            .map_err(|_| format!("no answer to {mail} within 20 seconds"))?
            .map_err(|failure| format!("the sender {from} is not accepted: {failure}"))?;
        Ok(session)
    }

    /// Closes the idle connections.
    pub async fn close_idle(&self) {
        let sessions = std::mem::take(&mut *self.idle());
        let quits = async {
            for mut session in sessions {
                drop(session.command("QUIT").await);
            }
        };
        drop(timeout(SHORT_TIMEOUT, quits).await);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Session>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The recipients, then DATA up to its go-ahead.
async fn start_message(session: &mut Session, message: &Message) -> Result<(), Failure> {
    for to in message.envelope().to() {
        session.command(&format!("RCPT TO:<{to}>")).await?;
    }
    session.start_data().await.map(drop)
}

fn rejected(failure: Failure, permanent_if_broken: bool) -> SendResult {
    match failure {
        Failure::Rejected(reply) | Failure::LoginRejected(reply) => {
            SendResult::Rejected { permanent: reply.code >= 500, why: reply.to_string() }
        }
        Failure::Broken(why) => SendResult::Rejected { permanent: permanent_if_broken, why },
    }
}
