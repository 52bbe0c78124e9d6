//! Sends mail: composes queued emails and hands them to the mail server.
//!
//! Only `message.rs` uses lettre. Its SMTP client (0.11.23) is not used: it rejects replies that are
//! not UTF-8, gives several addresses one timeout, and trusts no self-signed certificate.

pub mod emails;
pub mod mask;
mod message;
mod smtp;
mod trial;
pub mod worker;

use std::fmt::Display;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use crate::config::{Config, Sender, SmtpServer};
use crate::models::outbox::{Email, QueuedEmail};
pub use mask::mask;
use mask::redact;
pub use message::Composer;
use message::Message;
use smtp::{Failure, Server, Session};
pub use trial::Trial;

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

impl SendResult {
    fn rejected(failure: Failure, permanent_if_broken: bool) -> Self {
        let permanent = match &failure {
            Failure::Rejected(reply) => reply.code >= 500,
            _ => permanent_if_broken,
        };
        Self::Rejected { permanent, why: failure.to_string() }
    }

    fn redacted(mut self, email: &Email) -> Self {
        if let Self::Sent(text)
        | Self::Rejected { why: text, .. }
        | Self::ServerUnavailable { why: text } = &mut self
        {
            *text = redact(text, email);
        }
        self
    }
}

/// Why the server refused MAIL. It answers 530 until there is TLS or a login (RFC 3207, 4; RFC 4954, 6).
fn explain_sender(from: impl Display, failure: &Failure) -> String {
    match failure {
        Failure::Rejected(reply) if reply.code == 530 && reply.names_start_tls() => format!(
            "the mail server takes no mail without TLS ({reply}): end VESTIBULE_SMTP_URL with ?tls=required"
        ),
        Failure::Rejected(reply) if reply.code == 530 => format!(
            "the mail server takes no mail without a login ({reply}): add the user and the password to VESTIBULE_SMTP_URL"
        ),
        Failure::Rejected(reply) if reply.code < 500 => failure.of_server(),
        other => format!(
            "the sender {from} is not accepted: {other}: set VESTIBULE_MAIL_FROM to an address that the mail server allows"
        ),
    }
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
        let result = match self.composer.compose(queued) {
            Err(why) => SendResult::Rejected { permanent: true, why },
            Ok(_) if queued.email.is_decoy() => SendResult::Decoy,
            Ok(message) => match self.session().await {
                Err(why) => SendResult::ServerUnavailable { why },
                Ok(session) => self.deliver(session, &message).await,
            },
        };
        result.redacted(&queued.email)
    }

    /// A session in which the server has accepted the sender: an idle one, or a new one. A failure
    /// concerns the server or our login, and so all emails.
    async fn session(&self) -> Result<Session, String> {
        let from = self.composer.sender();
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
            .unwrap_or(Err(Failure::TimedOut))
            .map_err(|failure| explain_sender(from, &failure))?;
        Ok(session)
    }

    /// A failure concerns this email, even a 421: a relay that throttles one domain closes the
    /// connection only for its recipients.
    async fn deliver(&self, mut session: Session, message: &Message) -> SendResult {
        let started = timeout(TIMEOUT, session.start_message(&message.to)).await;
        if let Err(failure) = started.unwrap_or(Err(Failure::TimedOut)) {
            return SendResult::rejected(failure, false);
        }
        match timeout(MESSAGE_TIMEOUT, session.send_message(&message.source)).await {
            Err(_) => SendResult::NoReply,
            // When the connection broke, the email may have been accepted: it is retried late.
            Ok(Err(failure)) => SendResult::rejected(failure, true),
            Ok(Ok(reply)) => {
                self.idle().push(session);
                SendResult::Sent(reply.to_string())
            }
        }
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
