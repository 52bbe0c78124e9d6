//! An email address: what may be one, as it was typed and in its one canonical form.

use super::pasted::plain;
use crate::config::{Domains, MAX_ADDRESS_LENGTH, canonical_domain, is_dot_atom};
use crate::models::user::User;

/// An address that mail can be sent to.
///
/// Policy: the domain is compared in lower-case punycode, the part before the `@` in lower case,
/// so that `Ann@x.example` and `ann@x.example` are one account. Only plain ASCII may be before
/// the `@` (RFC 5321 dot-atom): `mıke@` case-maps to `mike@` elsewhere (CVE-2019-19844).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailAddress {
    typed: String,
    key: String,
}

/// Why a text is no address. Its `Display` is what the visitor reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    #[error("Enter your email.")]
    Empty,
    #[error("Use an email with {MAX_ADDRESS_LENGTH} characters or fewer.")]
    Long,
    #[error("Enter an email like name@example.com.")]
    Shape,
    /// With the accepted domains.
    #[error("Use an email that ends in {0}.")]
    Domain(Domains),
}

impl EmailAddress {
    /// Reads an address as typed or pasted: surrounding spaces, invisible characters, full-width
    /// forms, `<…>` around it and `mailto:` before it do not matter.
    pub fn parse(typed: &str) -> Result<Self, EmailError> {
        let plain = plain(typed);
        let typed = bare(&plain).to_owned();
        if typed.is_empty() {
            return Err(EmailError::Empty);
        }
        if typed.len() > MAX_ADDRESS_LENGTH {
            return Err(EmailError::Long);
        }
        let (local, domain) = typed.rsplit_once('@').ok_or(EmailError::Shape)?;
        let domain = canonical_domain(domain).ok_or(EmailError::Shape)?;
        if !is_dot_atom(local) || local.len() + 1 + domain.len() > MAX_ADDRESS_LENGTH {
            return Err(EmailError::Shape);
        }
        let key = format!("{}@{domain}", local.to_ascii_lowercase());
        Ok(Self { typed, key })
    }

    /// Reads an address for an account, whose domain must be one of `domains`.
    pub fn parse_new(typed: &str, domains: &Domains) -> Result<Self, EmailError> {
        let email = Self::parse(typed)?;
        if domains.accept(email.domain()) {
            Ok(email)
        } else {
            Err(EmailError::Domain(domains.clone()))
        }
    }

    /// As it was typed: what is stored and shown, and where mail goes.
    pub fn as_typed(&self) -> &str {
        &self.typed
    }

    /// What makes two addresses the same account.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Lower-case punycode.
    pub fn domain(&self) -> &str {
        self.key.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

/// The key of the address of `user`; empty if it is none by today's rules.
pub fn address_key(user: &User) -> String {
    EmailAddress::parse(&user.email).map_or_else(|_| String::new(), |email| email.key)
}

/// Whether the address with this key is that of `user`.
pub fn has_address(user: &User, key: &str) -> bool {
    EmailAddress::parse(&user.email).is_ok_and(|email| email.key() == key)
}

/// The rule about the domain of an address, in words; empty if every domain is accepted.
pub fn domain_rule(domains: &Domains) -> String {
    if domains.is_empty() { String::new() } else { EmailError::Domain(domains.clone()).to_string() }
}

/// The address without what surrounds it in an email or in a link. An address has no `<` and no
/// `:`, so this makes none of another one.
fn bare(text: &str) -> &str {
    let inner = text.strip_prefix('<').and_then(|text| text.strip_suffix('>')).unwrap_or(text);
    let inner = match inner.split_at_checked("mailto:".len()) {
        Some((scheme, address)) if scheme.eq_ignore_ascii_case("mailto:") => address,
        _ => inner,
    };
    inner.trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_kept_as_typed_and_compared_in_one_form() {
        let email = EmailAddress::parse(" Ann+News@Bücher.Example ").unwrap();
        assert_eq!(email.as_typed(), "Ann+News@Bücher.Example");
        assert_eq!(email.key(), "ann+news@xn--bcher-kva.example");
    }

    #[test]
    fn what_nobody_sees_is_not_kept() {
        for typed in [
            "\u{200b}ann@meadow.example",
            "ann@meadow.example\u{feff}\u{a0}",
            "\u{202a}ann@meadow.example\u{202c}",
            "ann@mea\u{ad}dow.exam\u{200b}ple",
            "an\u{ad}n\u{2060}@meadow.example",
            "a\u{200d}nn@mea\u{200c}dow.example",
            "ann＠meadow.example",
            "ａｎｎ@ｍｅａｄｏｗ。ｅｘａｍｐｌｅ",
            "<ann@meadow.example>",
            " <mailto:ann@meadow.example>\u{200b}",
            "MailTo:ann@meadow.example",
        ] {
            let email = EmailAddress::parse(typed).unwrap();
            assert_eq!(
                (email.as_typed(), email.key()),
                ("ann@meadow.example", "ann@meadow.example")
            );
        }
        assert_eq!(EmailAddress::parse("\u{200b}\u{ad}"), Err(EmailError::Empty));
    }

    const REFUSED: &str = "ann|@x.example|ann@|ann@localhost|ann@x..example|a..b@x.example|.a@x.example|\
        Ann <ann@x.example>|\"a b\"@x.example|ann@[127.0.0.1]|ann@127.0.0.1|mıke@x.example|\
        ann@x.example\r\nBcc: b@x.example|a b@x.example|ann@x_y.example|ann@-x.example|\
        ann,bob@x.example|ann@x.example,bob@x.example|mi\u{212a}e@x.example|\u{17f}am@x.example|\
        ﬁn@x.example|<ann@x.example|ann@x.example>|mailto:mailto:ann@x.example|\
        <<ann@x.example>>|mailto:ann@x.example?cc=bob@x.example|ann@@x.example|ann＠ｘ＠x.example";

    #[test]
    fn what_mail_cannot_be_sent_to_is_refused() {
        for typed in REFUSED.split('|') {
            assert_eq!(EmailAddress::parse(typed), Err(EmailError::Shape), "{typed:?}");
        }
        for nothing in [" ", "<>", "mailto:", "< \u{200b}>"] {
            assert_eq!(EmailAddress::parse(nothing), Err(EmailError::Empty), "{nothing:?}");
        }
        assert_eq!(
            EmailAddress::parse(&format!("a@{}.example", "x".repeat(250))),
            Err(EmailError::Long)
        );
        assert_eq!(
            EmailAddress::parse(&format!("{}@x.example", "a".repeat(65))),
            Err(EmailError::Shape)
        );
    }
}
