//! Composes the RFC 5322 message of an email. Needs no server: the mailbox shows the same bytes as the
//! source of a mail.

use std::time::{Duration, UNIX_EPOCH};

use lettre::Address;
use lettre::address::Envelope;
use lettre::message::header::{
    self, ContentTransferEncoding, ContentType, HeaderName, HeaderValue,
};
use lettre::message::{Body, Mailbox, Mailboxes, Message, MultiPart, SinglePart};

use super::MailError;
use crate::config::Sender;
use crate::models::outbox::QueuedEmail;

/// Composes messages from one sender and site.
pub struct Composer {
    sender: Mailbox,
    host: String,
}

impl Composer {
    /// `host` is the site's own name, for `Message-ID`.
    ///
    /// # Errors
    /// When no message can be from this sender or host.
    pub fn new(sender: &Sender, host: &str) -> Result<Self, MailError> {
        let host = idna::domain_to_ascii(host).map_err(|_| MailError::Host)?;
        let is_host_char =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
        let bare = without_brackets(&host);
        if bare.is_empty() || !bare.chars().all(is_host_char) {
            return Err(MailError::Host);
        }
        if sender.name.chars().any(char::is_control) {
            // lettre panics on it.
            return Err(MailError::SenderName);
        }
        let address = ascii_address(&sender.address).ok_or(MailError::Sender)?;
        let name = Some(sender.name.trim().to_owned()).filter(|name| !name.is_empty());
        Ok(Self { sender: Mailbox::new(name, address), host })
    }

    /// The site's name for EHLO; an IPv6 address without brackets.
    pub(super) fn host(&self) -> &str {
        without_brackets(&self.host)
    }

    /// The message, byte for byte as it is sent.
    ///
    /// # Errors
    /// Why no message can be composed.
    pub fn source(&self, email: &QueuedEmail) -> Result<Vec<u8>, String> {
        Ok(self.message(email)?.formatted())
    }

    /// The message and its envelope, the same at each try.
    pub(super) fn message(&self, email: &QueuedEmail) -> Result<Message, String> {
        let to = ascii_address(&email.to).ok_or("the address cannot be written to")?;
        let auto = HeaderName::new_from_ascii_str("Auto-Submitted");
        let envelope = Envelope::new(Some(self.sender.email.clone()), vec![to.clone()]);
        let message = Message::builder()
            .envelope(envelope.map_err(|error| error.to_string())?)
            .from(Mailbox::new(None, to.clone()))
            // The bare address: a display name is user input, and lettre panics on CR or LF in it.
            .to(Mailbox::new(None, to))
            .subject(email.subject.replace(char::is_control, " "))
            .date(UNIX_EPOCH + Duration::from_secs(date_seconds(email.created_at)))
            .message_id(Some(format!("<{}@{}>", email.id, self.host)))
            // RFC 3834: no out-of-office answers.
            .raw_header(HeaderValue::new(auto, "auto-generated".to_owned()))
            .multipart(both_parts(email)?);
        let mut message = message.map_err(|error| error.to_string())?;
        // Only now: `build` parses `From` again, and lettre cannot parse `no-reply@[192.0.2.1]`, the sender
        // of a site whose base URL has an IP address.
        message.headers_mut().set(header::From::from(Mailboxes::from(self.sender.clone())));
        Ok(message)
    }
}

fn without_brackets(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

fn both_parts(email: &QueuedEmail) -> Result<MultiPart, &'static str> {
    Ok(MultiPart::alternative()
        // No quoted-printable text contains `=_` (RFC 2045, 6.7).
        .boundary(format!("=_{}", email.id))
        .singlepart(part(ContentType::TEXT_PLAIN, &email.text)?)
        .singlepart(part(ContentType::TEXT_HTML, &email.html)?))
}

/// Quoted-printable for both parts: its lines are short, its source is readable, and the server need not
/// know 8BITMIME.
fn part(kind: ContentType, text: &str) -> Result<SinglePart, &'static str> {
    let encoding = ContentTransferEncoding::QuotedPrintable;
    let body = Body::new_with_encoding(text.to_owned(), encoding);
    let body = body.map_err(|_| "the text cannot be encoded")?;
    Ok(SinglePart::builder().content_type(kind).body(body))
}

/// The address with its domain in punycode: servers without SMTPUTF8 accept no other.
fn ascii_address(address: &str) -> Option<Address> {
    let (user, domain) = address.rsplit_once('@')?;
    let is_unsafe = |c: char| c.is_control() || c.is_whitespace() || matches!(c, '<' | '>' | ',');
    if user.contains(is_unsafe) {
        return None;
    }
    Address::new(user, idna::domain_to_ascii(domain).ok()?).ok()
}

/// lettre panics beyond the year 9999.
fn date_seconds(at: i64) -> u64 {
    u64::try_from(at).unwrap_or_default().min(253_402_300_799)
}

#[cfg(test)]
mod tests;
