//! Who may register: the mode, the domains of addresses, and the terms.

use std::fmt;

use url::Url;

use super::mail::{Sender, canonical_domain};
use super::sources::RawSettings;
use super::values::one_of;

const EXPECTED_DOMAINS: &str = "expected domains of email addresses, separated by commas, like example.org,example.com, or none";

const EXPECTED_TERMS: &str =
    "expected an http or https URL, a path on this site, like /terms, or none";

/// How accounts are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationMode {
    /// By anybody, at once.
    Open,
    /// By anybody who proves their address.
    Verified,
    /// As `Verified`, and the operator approves each account.
    Approval,
    /// By people with an emailed invitation.
    Invite,
    /// By the operator alone.
    Closed,
}

const MODES: [(&str, RegistrationMode); 5] = [
    ("open", RegistrationMode::Open),
    ("verified", RegistrationMode::Verified),
    ("approval", RegistrationMode::Approval),
    ("invite", RegistrationMode::Invite),
    ("closed", RegistrationMode::Closed),
];

impl RegistrationMode {
    /// Whether anybody can ask for an account.
    pub fn is_public(self) -> bool {
        !matches!(self, Self::Invite | Self::Closed)
    }

    /// Whether an account is made only once its address is proved.
    pub fn proves_addresses(self) -> bool {
        matches!(self, Self::Verified | Self::Approval)
    }
}

/// The domains that an address may have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Domains(Vec<String>);

impl Domains {
    /// Reads domains that are separated by commas, or `none` if all are accepted. An empty text is an error:
    /// a variable that was left empty must not let everybody in.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text == "none" {
            return Ok(Self::default());
        }
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let domains = parts.map(|part| canonical_domain(part.strip_suffix('.').unwrap_or(part)));
        let domains: Option<Vec<_>> = domains.collect();
        domains.filter(|domains| !domains.is_empty()).map(Self).ok_or(EXPECTED_DOMAINS)
    }

    /// Whether every domain is accepted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `domain`, in its canonical form, is accepted. Subdomains are other domains.
    pub fn accept(&self, domain: &str) -> bool {
        self.is_empty() || self.0.iter().any(|accepted| accepted == domain)
    }
}

/// `@example.org, @example.net or @example.com`
impl fmt::Display for Domains {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, domain) in self.0.iter().enumerate() {
            let before = match index {
                0 => "",
                _ if index + 1 == self.0.len() => " or ",
                _ => ", ",
            };
            write!(to, "{before}@{domain}")?;
        }
        Ok(())
    }
}

/// Who may register, and what they must accept.
#[derive(Clone, Debug)]
pub struct RegistrationRules {
    /// How accounts are made.
    pub mode: RegistrationMode,
    /// Who hears of accounts that wait for approval; `None` is the sender of all emails.
    pub notify: Option<Sender>,
    /// The domains of addresses that people may register with or change to.
    pub domains: Domains,
    /// The terms that people must accept: a URL, or a path on the origin.
    pub terms_url: Option<String>,
}

impl RegistrationRules {
    pub(super) fn read(raw: &mut RawSettings) -> Self {
        Self {
            mode: raw.value("REGISTRATION", one_of(MODES)),
            notify: raw.optional("REGISTRATION_NOTIFY", Sender::parse),
            domains: raw.value("REGISTRATION_DOMAINS", Domains::parse),
            terms_url: raw.value("TERMS_URL", terms_url),
        }
    }
}

fn terms_url(text: &str) -> Result<Option<String>, &'static str> {
    if text == "none" {
        return Ok(None);
    }
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_path = text.starts_with('/') && !text.starts_with("//");
    let is_web = text.starts_with("https://") || text.starts_with("http://");
    let has_no_user = |url: &Url| url.username().is_empty() && url.password().is_none();
    let is_url = is_web && Url::parse(text).is_ok_and(|url| has_no_user(&url));
    if is_plain && (is_path || is_url) { Ok(Some(text.to_owned())) } else { Err(EXPECTED_TERMS) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_is_one_of_a_list_that_the_error_names() {
        let parse = one_of(MODES);
        assert_eq!(parse("closed"), Ok(RegistrationMode::Closed));
        for text in ["", "Open", "none", "yes"] {
            assert_eq!(
                parse(text),
                Err("expected open, verified, approval, invite or closed".into())
            );
        }
    }

    #[test]
    fn domains_are_compared_in_one_form_and_subdomains_are_others() {
        let domains = Domains::parse("Example.ORG., bücher.example,").unwrap();
        assert_eq!(domains.to_string(), "@example.org or @xn--bcher-kva.example");
        for (domain, is_accepted) in [
            ("example.org", true),
            ("xn--bcher-kva.example", true),
            ("mail.example.org", false),
            ("notexample.org", false),
            ("org", false),
            ("", false),
        ] {
            assert_eq!(domains.accept(domain), is_accepted, "{domain}");
        }
        assert!(Domains::parse("none").unwrap().accept("any.example"));
        let three = Domains::parse("a.example,b.example,c.example").unwrap();
        assert_eq!(three.to_string(), "@a.example, @b.example or @c.example");
    }

    #[test]
    fn what_is_no_list_of_domains_is_refused() {
        for text in
            ["", ",", "*", "*.example.org", "@example.org", "ann@example.org", "localhost", "a b"]
        {
            assert_eq!(Domains::parse(text), Err(EXPECTED_DOMAINS), "{text}");
        }
    }

    #[test]
    fn terms_are_a_path_or_a_web_page() {
        for text in ["/terms", "/legal/terms?v=2#top", "https://example.org/terms", "http://a.b"] {
            assert_eq!(terms_url(text), Ok(Some(text.to_owned())));
        }
        assert_eq!(terms_url("none"), Ok(None));
        for text in [
            "",
            "terms",
            "//evil.example",
            "/\\evil.example",
            "https:example.org",
            "https://",
            "https://ann@example.org",
            "javascript:alert(1)",
            "/a b",
        ] {
            assert_eq!(terms_url(text), Err(EXPECTED_TERMS), "{text}");
        }
    }
}
