//! Speaks SMTP: hands the message of a queued letter to the mail server.
//!
//! It and `message.rs` are the only files that import lettre. Connections are kept here and not in
//! lettre's pool (0.11.23), because the pool takes a connection back whose sending was cut off by a
//! timeout: the next letter's commands would then be read as the rest of the last letter, and each
//! answer taken for that of the command after it. Nor does lettre's own timeout cover more than the
//! TCP connect.

pub mod letters;
mod mask;
mod message;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lettre::Message;
use lettre::address::Envelope;
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, CertificateStore, TlsParameters, TlsParametersBuilder,
};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, MailBodyParameter, MailParameter};
use percent_encoding::percent_decode_str;
use tokio::time::timeout;
use url::Url;

use crate::config::Sender;
use crate::models::outbox::Queued;
use mask::fit_for_log;
pub use mask::mask;
pub use message::Composer;

/// How long connecting may take, and then offering one letter.
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// How long the server may take to judge a letter that it has got whole. RFC 5321 4.5.3.2.6 asks for
/// ten minutes, for scanners; the letters beside this one wait for it, so it is shorter here.
pub const VERDICT_TIMEOUT: Duration = Duration::from_secs(45);

/// How long a kept connection has to show that it still lives, and all of them to say goodbye.
const SHORT_TIMEOUT: Duration = Duration::from_secs(3);

/// Replies that tell of the server or of our login, not of one letter: shutting down (421), wrong
/// or missing login (RFC 4954: 432, 454, 530, 534, 535, 538).
const NOT_THE_LETTERS_FAULT: &[u16] = &[421, 432, 454, 530, 534, 535, 538];

/// What is wrong with the settings of mail. Never holds the URL: it may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// No URL, another scheme, no host, unknown parameters.
    #[error(
        "expected smtp://HOST:PORT, smtp://USER:PASSWORD@HOST:587?tls=required or smtps://USER:PASSWORD@HOST:465"
    )]
    Url,
    /// `tls=opportunistic`: whoever sits on the line could switch it off (ASVS 12.3.1).
    #[error(
        "tls=opportunistic would send mail and password in clear when somebody interferes: use tls=required"
    )]
    Opportunistic,
    /// A user without a password.
    #[error("there is a user but no password: expected USER:PASSWORD@, percent-encoded")]
    Login,
    /// The certificates cannot be used.
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

/// What became of a letter. The words are fit for a log: addresses are masked, codes left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The server took it, and said this.
    Sent(String),
    /// The server is there, but refused this letter.
    Refused {
        /// A 5xx reply (RFC 5321, 4.2.1): the same letter will hardly be taken later.
        permanent: bool,
        /// Its reply.
        why: String,
    },
    /// The server got the whole letter and said nothing for 45 seconds: it may have taken it.
    Unanswered,
    /// There is no server to speak of: no connection, no TLS, no login, no answer in time.
    Away {
        /// What happened.
        why: String,
    },
}

/// Sends letters. Clones share their connections.
#[derive(Clone)]
pub struct Mailer(Arc<Inner>);

struct Inner {
    server: Server,
    composer: Composer,
    idle: Mutex<Vec<AsyncSmtpConnection>>,
}

struct Server {
    host: String,
    port: u16,
    security: Security,
    login: Option<Credentials>,
    hello: ClientId,
}

enum Security {
    Plain,
    StartTls(TlsParameters),
    Tls(TlsParameters),
}

/// Why a message was not handed over. Only what happened after the login can be the letter's fault.
enum Failure {
    Away(String),
    Sending(SmtpError),
    /// The server refuses this recipient, with whatever reply.
    Recipient(SmtpError),
    /// The connection ended when the letter was on its way, or there.
    Lost(String),
    /// The server has the whole letter and does not say whether it took it.
    Unanswered,
}

impl Failure {
    fn away(why: impl std::fmt::Display) -> Self {
        Self::Away(why.to_string())
    }
}

impl Mailer {
    /// Reads the settings; connects to nothing yet. `host` is the site's own name: it stands in
    /// `Message-ID` and greets the server.
    ///
    /// # Errors
    /// What is wrong with the settings, without repeating them.
    pub fn new(url: &str, sender: &Sender, host: &str) -> Result<Self, MailError> {
        let composer = Composer::new(sender, host)?;
        Ok(Self(Arc::new(Inner {
            server: Server::parse(url, composer.host())?,
            composer,
            idle: Mutex::default(),
        })))
    }

    /// Does what costs time before a letter is handed over, and hands nothing over: for decoys.
    pub fn rehearse(&self, letter: &Queued) {
        drop(self.0.composer.message(letter));
    }

    /// Sends one letter, within two [`TIMEOUT`]s and a [`VERDICT_TIMEOUT`] at most. `Sent` means that the server has taken
    /// responsibility for it (RFC 5321, 4.2.5); anything else, that it may be tried again.
    pub async fn send(&self, letter: &Queued) -> Outcome {
        let message = match self.0.composer.message(letter) {
            Ok(message) => message,
            Err(why) => {
                return Outcome::Refused { permanent: true, why };
            }
        };
        match self.0.hand_over(&message).await {
            Ok(said) => Outcome::Sent(fit_for_log(&said, letter)),
            Err(Failure::Away(why)) => Outcome::Away { why: fit_for_log(&why, letter) },
            Err(Failure::Sending(error)) => judge(&error, letter),
            Err(Failure::Recipient(error)) => judge_recipient(&error, letter),
            Err(Failure::Unanswered) => Outcome::Unanswered,
            // It may have been taken: once more in a minute, and then ever later.
            Err(Failure::Lost(why)) => {
                Outcome::Refused { permanent: true, why: fit_for_log(&why, letter) }
            }
        }
    }

    /// Says goodbye on every kept connection: when no more letters wait, and before a stop.
    pub async fn rest(&self) {
        let goodbyes = async {
            while let Some(mut connection) = self.0.kept() {
                drop(connection.quit().await);
            }
        };
        if timeout(SHORT_TIMEOUT, goodbyes).await.is_err() {
            self.0.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }
}

impl std::fmt::Debug for Mailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailer").field("server", &self.0.server.host).finish_non_exhaustive()
    }
}

impl Inner {
    async fn hand_over(&self, message: &Message) -> Result<String, Failure> {
        let connecting = timeout(TIMEOUT, self.connection()).await;
        let connected = connecting.map_err(|_| Failure::away("no greeting within 20 seconds"))?;
        let mut connection = connected.map_err(Failure::away)?;
        let bytes = message.formatted();
        let offering = offer(&mut connection, message.envelope(), &bytes);
        let offered = timeout(TIMEOUT, offering).await;
        offered.map_err(|_| Failure::away("no answer within 20 seconds"))??;
        let verdict = timeout(VERDICT_TIMEOUT, connection.message(&bytes)).await;
        let verdict = verdict.map_err(|_| Failure::Unanswered)?;
        let reply = verdict.map_err(|error| match error.status() {
            Some(_) => Failure::Sending(error),
            None => Failure::Lost(error.to_string()),
        })?;
        self.keep(connection);
        Ok(format!("{} {}", reply.code(), reply.message().collect::<Vec<_>>().join(" ")))
    }

    async fn connection(&self) -> Result<AsyncSmtpConnection, SmtpError> {
        while let Some(mut connection) = self.kept() {
            if let Ok(true) = timeout(SHORT_TIMEOUT, connection.test_connected()).await {
                return Ok(connection);
            }
        }
        self.server.connect().await
    }

    fn keep(&self, connection: AsyncSmtpConnection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }

    fn kept(&self) -> Option<AsyncSmtpConnection> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

impl Server {
    /// The forms that lettre's `from_url` reads, without `tls=opportunistic`. Read here and not by
    /// lettre, which hides what it read and would leave us its pool.
    fn parse(url: &str, site: &str) -> Result<Self, MailError> {
        let url = Url::parse(url).map_err(|_| MailError::Url)?;
        let host = match url.host().ok_or(MailError::Url)? {
            url::Host::Ipv4(ip) => ip.to_string(),
            url::Host::Ipv6(ip) => ip.to_string(),
            url::Host::Domain(name) => {
                idna::domain_to_ascii(&decode(name)?).map_err(|_| MailError::Url)?
            }
        };
        let (port, security) = security(&url, &host)?;
        let hello = Some(url.path().trim_matches('/')).filter(|path| !path.is_empty());
        Ok(Self {
            port: url.port().unwrap_or(port),
            security,
            login: login(&url)?,
            hello: client_id(hello.unwrap_or(site)),
            host,
        })
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, SmtpError> {
        let wrapped = match &self.security {
            Security::Tls(parameters) => Some(parameters.clone()),
            Security::Plain | Security::StartTls(_) => None,
        };
        let to = (self.host.as_str(), self.port);
        let hello = &self.hello;
        let mut connection =
            AsyncSmtpConnection::connect_tokio1(to, Some(TIMEOUT), hello, wrapped, None).await?;
        if let Security::StartTls(parameters) = &self.security {
            connection.starttls(parameters.clone(), hello).await?;
        }
        if let Some(login) = &self.login {
            connection.auth(&[Mechanism::Plain, Mechanism::Login], login).await?;
        }
        Ok(connection)
    }
}

fn security(url: &Url, host: &str) -> Result<(u16, Security), MailError> {
    let options: Vec<_> = url.query_pairs().collect();
    let tls = match options.as_slice() {
        [] => None,
        [(key, value)] if key == "tls" => Some(value.as_ref()),
        _ => return Err(MailError::Url),
    };
    match (url.scheme(), tls) {
        ("smtp", None) => Ok((25, Security::Plain)),
        ("smtp", Some("required")) => Ok((587, Security::StartTls(trust(host)?))),
        ("smtp", Some("opportunistic")) => Err(MailError::Opportunistic),
        ("smtps", None | Some("required")) => Ok((465, Security::Tls(trust(host)?))),
        _ => Err(MailError::Url),
    }
}

/// The system's certificates, which `SSL_CERT_FILE` and `SSL_CERT_DIR` replace. With its features
/// `rustls-native-certs` and `webpki-roots` together lettre 0.11.23 looks at the system's alone, so
/// a container that has none would trust nobody: there Mozilla's roots stand in. Not when a file
/// was named and cannot be read: whoever names a private CA wants no other.
fn trust(host: &str) -> Result<TlsParameters, MailError> {
    let system_has_none = rustls_native_certs::load_native_certs().certs.is_empty();
    let store = if system_has_none && std::env::var_os("SSL_CERT_FILE").is_none() {
        CertificateStore::WebpkiRoots
    } else {
        CertificateStore::Default
    };
    let builder: TlsParametersBuilder = TlsParameters::builder(host.to_owned());
    let built = builder.certificate_store(store).build();
    built.map_err(|error| MailError::Tls(error.to_string()))
}

fn login(url: &Url) -> Result<Option<Credentials>, MailError> {
    match (url.username(), url.password()) {
        ("", None) => Ok(None),
        (_, None) => Err(MailError::Login),
        (user, Some(password)) => Ok(Some(Credentials::new(decode(user)?, decode(password)?))),
    }
}

fn decode(text: &str) -> Result<String, MailError> {
    let decoded = percent_decode_str(text).decode_utf8().map_err(|_| MailError::Url)?;
    Ok(decoded.into_owned())
}

/// RFC 5321, 4.1.3: an address is greeted with in brackets.
fn client_id(name: &str) -> ClientId {
    match name.parse() {
        Ok(IpAddr::V4(ip)) => ClientId::Ipv4(ip),
        Ok(IpAddr::V6(ip)) => ClientId::Ipv6(ip),
        Err(_) => ClientId::Domain(name.to_owned()),
    }
}

/// Whom it is from and to, up to the server's word to go ahead. Step by step and not by lettre's
/// `send`: only so is it known whether the server can have taken the letter.
async fn offer(
    connection: &mut AsyncSmtpConnection,
    envelope: &Envelope,
    message: &[u8],
) -> Result<(), Failure> {
    let eight_bit = MailParameter::Body(MailBodyParameter::EightBitMime);
    let options = if message.is_ascii() { Vec::new() } else { vec![eight_bit] };
    let from = Mail::new(envelope.from().cloned(), options);
    connection.command(from).await.map_err(Failure::Sending)?;
    for to in envelope.to() {
        let to = Rcpt::new(to.clone(), Vec::new());
        connection.command(to).await.map_err(Failure::Recipient)?;
    }
    connection.command(Data).await.map_err(Failure::Sending)?;
    Ok(())
}

/// A reply to the recipient is about the recipient, a 421 too: it must not stop all other mail.
fn judge_recipient(error: &SmtpError, letter: &Queued) -> Outcome {
    match error.status() {
        Some(_) => {
            let why = fit_for_log(error, letter);
            Outcome::Refused { permanent: error.is_permanent(), why }
        }
        None => judge(error, letter),
    }
}

fn judge(error: &SmtpError, letter: &Queued) -> Outcome {
    let why = fit_for_log(error, letter);
    match error.status().map(u16::from) {
        Some(code) if NOT_THE_LETTERS_FAULT.contains(&code) => Outcome::Away { why },
        Some(_) => Outcome::Refused { permanent: error.is_permanent(), why },
        // The server cannot do what this letter needs: SMTPUTF8.
        None if error.is_client() => Outcome::Refused { permanent: true, why },
        None => Outcome::Away { why },
    }
}

#[cfg(test)]
mod tests;
