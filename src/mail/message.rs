//! Composes the RFC 5322 message of an email. Needs no server: the mailbox shows the same bytes as the
//! source of a mail.

use std::time::{Duration, UNIX_EPOCH};

use lettre::Address;
use lettre::message::header::{
    self, ContentTransferEncoding, ContentType, HeaderName, HeaderValue,
};
use lettre::message::{Body, Mailbox, Mailboxes, MultiPart, SinglePart};

use super::MailError;
use crate::config::Sender;
use crate::models::outbox::QueuedEmail;

/// RFC 5322, 2.1.1: lines should not be longer than 78 characters.
const LINE: usize = 76;

/// A message as it is sent.
pub struct Message {
    pub to: String,
    /// Header and body. All ASCII.
    pub source: String,
}

/// Composes messages from one sender and site.
pub struct Composer {
    sender: Mailbox,
    host: String,
}

impl Composer {
    /// `host` is the site's own name, for `Message-ID`.
    pub fn new(sender: &Sender, host: &str) -> Result<Self, MailError> {
        let address = ascii_address(&sender.address).ok_or_else(|| {
            MailError("no mail can come from the sender's address: expected NAME <ADDRESS>".into())
        })?;
        // lettre panics on a control character in a name.
        let name = Some(sender.name.replace(char::is_control, " ")).filter(|name| !name.is_empty());
        Ok(Self { sender: Mailbox::new(name, address), host: host.to_owned() })
    }

    /// The sender's address.
    pub fn sender(&self) -> &Address {
        &self.sender.email
    }

    /// Composes a message, the same at each try. The error says why it cannot be composed.
    pub fn compose(&self, queued: &QueuedEmail) -> Result<Message, String> {
        let QueuedEmail { id, email, created_at, .. } = queued;
        let to = ascii_address(&email.to).ok_or("the address cannot be written to")?;
        let auto = HeaderName::new_from_ascii_str("Auto-Submitted");
        let parts = MultiPart::alternative()
            // No quoted-printable text contains `=_` (RFC 2045, 6.7).
            .boundary(format!("=_{id}"))
            .singlepart(part(ContentType::TEXT_PLAIN, wrap(&email.text))?)
            .singlepart(part(ContentType::TEXT_HTML, email.html.clone())?);
        let mut message = lettre::Message::builder()
            .from(Mailbox::new(None, to.clone()))
            // The bare address: a display name is user input, and lettre panics on CR or LF in it.
            .to(Mailbox::new(None, to.clone()))
            .subject(email.subject.replace(char::is_control, " "))
            .date(UNIX_EPOCH + Duration::from_secs(created_at.unsigned_abs()))
            .message_id(Some(format!("<{id}@{}>", self.host)))
            // RFC 3834: no out-of-office answers.
            .raw_header(HeaderValue::new(auto, "auto-generated".to_owned()))
            .multipart(parts)
            .map_err(|error| error.to_string())?;
        // Only now: `multipart` parses `From` again, and lettre cannot parse `no-reply@[192.0.2.1]`, the
        // sender of a site whose base URL has an IP address.
        message.headers_mut().set(header::From::from(Mailboxes::from(self.sender.clone())));
        let source = String::from_utf8(message.formatted()).map_err(|error| error.to_string())?;
        Ok(Message { to: to.to_string(), source })
    }
}

/// Quoted-printable for both parts: its lines are short, its source is readable, and the server need not
/// know 8BITMIME.
fn part(kind: ContentType, text: String) -> Result<SinglePart, &'static str> {
    let body = Body::new_with_encoding(text, ContentTransferEncoding::QuotedPrintable);
    let body = body.map_err(|_| "the text cannot be encoded")?;
    Ok(SinglePart::builder().content_type(kind).body(body))
}

/// The address with its domain in punycode: servers without SMTPUTF8 accept no other.
fn ascii_address(address: &str) -> Option<Address> {
    let (user, domain) = address.rsplit_once('@')?;
    Address::new(user, idna::domain_to_ascii(domain).ok()?).ok()
}

/// Breaks lines at spaces so that none is longer than [`LINE`] characters, unless it is one word.
fn wrap(text: &str) -> String {
    let mut lines = Vec::new();
    for mut line in text.trim_end().lines() {
        while line.chars().count() > LINE {
            let end = line.char_indices().nth(LINE + 1).map_or(line.len(), |(at, _)| at);
            let Some(space) = line[..end].rfind(' ').or_else(|| line.find(' ')) else { break };
            lines.push(&line[..space]);
            line = &line[space + 1..];
        }
        lines.push(line);
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests;
