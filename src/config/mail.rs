//! The sender of all emails, and which notices are sent.

use std::collections::BTreeSet;
use std::fmt;
use std::net::Ipv4Addr;

use super::BaseUrl;
use super::sources::RawSettings;

const SENDER_EXPECTED: &str =
    "expected NAME <ADDRESS> or just an address, like Vestibule <no-reply@example.org>";

/// The longest address that a mail server must accept (RFC 5321, 4.5.3.1.3, less its brackets).
pub(crate) const MAX_ADDRESS_LENGTH: usize = 254;

/// The longest part before the @ (RFC 5321, 4.5.3.1.1).
const MAX_LOCAL_PART: usize = 64;

/// The sender of all emails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The name before the address; may be empty.
    pub name: String,
    /// `no-reply@example.org`, its host in punycode.
    pub address: String,
}

impl Sender {
    /// Reads `Name <a@b>` or `a@b`.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let (name, address) = match text.trim_end().strip_suffix('>') {
            Some(text) => text.split_once('<').ok_or(SENDER_EXPECTED)?,
            None => ("", text),
        };
        let name = name.trim().trim_matches('"').trim();
        match mail_address(address.trim()) {
            Some(address) if !name.chars().any(char::is_control) => {
                Ok(Self { name: name.into(), address })
            }
            _ => Err(SENDER_EXPECTED),
        }
    }

    pub(super) fn read(raw: &mut RawSettings, site_name: &str, base_url: &BaseUrl) -> Self {
        raw.optional("MAIL_FROM", Self::parse).unwrap_or_else(|| {
            let address = format!("no-reply@{}", base_url.mail_host());
            Self { name: site_name.to_owned(), address }
        })
    }
}

/// For people to read, not for a header.
impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.as_str() {
            "" => f.write_str(&self.address),
            name => write!(f, "{name} <{}>", self.address),
        }
    }
}

fn mail_address(text: &str) -> Option<String> {
    let (local, host) = text.rsplit_once('@')?;
    let host = idna::domain_to_ascii_strict(host).ok()?;
    let is_valid = is_dot_atom(local) && host.parse::<Ipv4Addr>().is_err();
    is_valid
        .then(|| format!("{local}@{host}"))
        .filter(|address| address.len() <= MAX_ADDRESS_LENGTH)
}

/// RFC 5322 3.2.3 `dot-atom`, without the quoted form that hides spaces and a second `@`.
pub(crate) fn is_dot_atom(local: &str) -> bool {
    let is_atom_byte =
        |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte);
    local.len() <= MAX_LOCAL_PART
        && local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atom_byte))
}

/// Lower-case punycode of a dotted domain, or `None`. No address literals, no bare host names:
/// mail to `root@localhost` is the machine's, not a visitor's.
pub(crate) fn canonical_domain(domain: &str) -> Option<String> {
    let ascii = idna::domain_to_ascii_strict(domain).ok()?;
    let top_level = ascii.rsplit_once('.')?.1;
    // An all-numeric top level is an IPv4 address in disguise.
    (!top_level.bytes().all(|byte| byte.is_ascii_digit()) && ascii.len() <= 253).then_some(ascii)
}

/// An email that reports an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Notice {
    /// An account was created.
    Registered,
    /// Every login.
    Login,
    /// A login from a device not seen before.
    NewDevice,
    /// The password was changed or reset.
    PasswordChanged,
    /// The address was changed. The old one and the new one are told.
    EmailChanged,
    /// The username was changed.
    UsernameChanged,
    /// So many logins failed that new browsers must wait.
    LoginLimited,
    /// So many logins failed that new browsers cannot log in any more.
    LoginStopped,
    /// The account was deleted by its owner.
    AccountDeleted,
}

const NAMES: [(&str, Notice); 9] = [
    ("registered", Notice::Registered),
    ("login", Notice::Login),
    ("new_device", Notice::NewDevice),
    ("password_changed", Notice::PasswordChanged),
    ("email_changed", Notice::EmailChanged),
    ("username_changed", Notice::UsernameChanged),
    ("login_limited", Notice::LoginLimited),
    ("login_stopped", Notice::LoginStopped),
    ("account_deleted", Notice::AccountDeleted),
];

/// Which notices are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notices(BTreeSet<Notice>);

impl Notices {
    /// Whether `notice` is sent.
    pub fn sends(&self, notice: Notice) -> bool {
        self.0.contains(&notice)
    }

    /// Reads `registered,login` or `none`.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.trim() == "none" {
            return Ok(Self(BTreeSet::new()));
        }
        let notice = |word: &str| {
            let found = NAMES.into_iter().find(|(name, _)| *name == word.trim());
            found.map(|(_, notice)| notice)
        };
        text.split(',').map(notice).collect::<Option<_>>().map(Self).ok_or_else(|| {
            let known = NAMES.map(|(name, _)| name).join(", ");
            format!("expected none, or some of {known}, separated by commas")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sender(name: &str, address: &str) -> Result<Sender, &'static str> {
        Ok(Sender { name: name.into(), address: address.into() })
    }

    #[test]
    fn a_sender_is_an_address_with_or_without_a_name() {
        for (text, name, address) in [
            ("a@b.example", "", "a@b.example"),
            ("<a@b.example>", "", "a@b.example"),
            ("Hall <no-reply@b.example>", "Hall", "no-reply@b.example"),
            ("\"Hall, Inc.\" <x+y@B.example>", "Hall, Inc.", "x+y@b.example"),
            ("Bücher <a@bücher.example>", "Bücher", "a@xn--bcher-kva.example"),
            ("root@localhost", "", "root@localhost"),
        ] {
            assert_eq!(Sender::parse(text), sender(name, address), "{text}");
        }
    }

    #[test]
    fn a_sender_that_could_break_a_header_is_rejected() {
        for text in [
            "",
            "Hall",
            "Hall <>",
            "Hall <a@b.example",
            "Hall <a@b.example> x",
            "a@",
            "@b.example",
            "a b@c.example",
            "a..b@c.example",
            "a@b@c.example",
            "a@-b.example",
            "a@192.0.2.1",
            "a@[192.0.2.1]",
            "\"a b\"@c.example",
            "a@b.example\nBcc: x@y.example",
            "Ha\nll <a@b.example>",
        ] {
            assert_eq!(Sender::parse(text), Err(SENDER_EXPECTED), "{text:?}");
        }
    }

    #[test]
    fn notices_are_listed_by_name() {
        let listed = Notices::parse("login, new_device").unwrap();
        assert!(listed.sends(Notice::Login) && listed.sends(Notice::NewDevice));
        assert!(!listed.sends(Notice::Registered));
        let none = Notices::parse("none").unwrap();
        assert!(NAMES.iter().all(|(_, notice)| !none.sends(*notice)));
        for text in ["", "logins", "none,login", "login,"] {
            assert!(Notices::parse(text).is_err(), "{text}");
        }
    }
}
