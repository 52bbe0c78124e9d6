//! The mailbox that an address leads to. Emails are counted by mailbox, not by address: one mailbox can
//! have many.

use super::email::EmailAddress;

/// A person's mailbox, as far as its address shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    /// What its emails are counted by.
    pub key: String,
    /// What emails are counted by that only the owner of an account with this address can cause. The
    /// plain address (no tag, no ignored character) has a separate key, and all its other spellings share
    /// one: else an attacker could register another spelling and use up the owner's emails.
    pub own_key: String,
    /// The one that its other spellings share.
    pub other_key: String,
    /// What the emails of its domain are counted by: the registered domain, whose owner can make any
    /// number of names in it. A mailbox of a public provider is counted separately.
    pub domain: String,
}

/// Providers with several domains, or that ignore characters before the `@`: those characters, then the
/// domains. The first is in the key, and the [`OWN_DOMAINS`] that most people use come first.
/// [Gmail](https://support.google.com/mail/answer/7436150),
/// [Proton](https://proton.me/support/addresses-and-aliases),
/// [iCloud](https://support.apple.com/en-us/102540),
/// [Yandex](https://yandex.com/support/mail/create-mail.html), where a dot is a dash.
const PROVIDERS: &[(&[char], &str)] = &[
    (&['.'], "gmail.com googlemail.com"),
    (&['.', '-', '_'], "proton.me protonmail.com protonmail.ch pm.me"),
    (&[], "icloud.com me.com mac.com"),
    (
        &['.', '-'],
        "yandex.ru ya.ru yandex.com yandex.by narod.ru yandex.az yandex.co.il yandex.com.am \
         yandex.com.ge yandex.com.ru yandex.com.tr yandex.ee yandex.fr yandex.kg yandex.kz yandex.lt \
         yandex.lv yandex.md yandex.org yandex.pl yandex.tj yandex.tm yandex.ua yandex.uz",
    ),
];

/// Domains of a provider with a separate [`Mailbox::own_key`]: most people use one of the first, and each
/// further one adds to what a mailbox can get.
const OWN_DOMAINS: usize = 4;

const FASTMAIL: &str = include_str!("mailbox/fastmail.txt");
const PUBLIC_PROVIDERS: &str = include_str!("mailbox/public_providers.txt");

/// Second-level labels under which a country's registry sells domains.
const SECOND_LEVEL: &[&str] = &["ac", "co", "com", "edu", "go", "gov", "ne", "net", "or", "org"];

impl Mailbox {
    /// The mailbox that `address` leads to. A tag after `+` is dropped for every domain: most providers
    /// ignore it, and at the others the mailbox only shares its count. A text that is no address is its
    /// own key.
    pub fn of(address: &str) -> Self {
        let email = EmailAddress::parse(address).ok();
        let Some(plain) = email.as_ref().and_then(|email| email.key().rsplit_once('@')) else {
            let key = address.to_owned();
            let [own_key, other_key, domain] = [key.clone(), key.clone(), key.clone()];
            return Self { key, own_key, other_key, domain };
        };
        let (local, domain) = without_subdomain(plain);
        let provider = provider_of(domain);
        let (ignored, domains) = provider.unwrap_or((&[], domain));
        let local = without_tag(local, domain).replace(ignored, "");
        let mut own_domains = domains.split(' ').take(OWN_DOMAINS);
        let has_own_key =
            (local.as_str(), domain) == plain && own_domains.clone().any(|own| own == domain);
        let key = format!("{local}@{}", own_domains.next().unwrap_or(domain));
        let other_key = format!("other {key}");
        let own_key = if has_own_key { format!("{local}@{domain}") } else { other_key.clone() };
        let is_public = provider.is_some()
            || is_yahoo(domain)
            || is_listed(domain, FASTMAIL)
            || is_listed(domain, PUBLIC_PROVIDERS);
        let domain = if is_public { &key } else { registrable(domain) };
        Self { domain: domain.to_owned(), key, own_key, other_key }
    }
}

/// The characters that the provider with `domain` ignores, and its domains.
fn provider_of(domain: &str) -> Option<(&'static [char], &'static str)> {
    let mut providers = PROVIDERS.iter().copied();
    providers.find(|(_, domains)| domains.split(' ').any(|other| other == domain))
}

fn is_listed(domain: &str, list: &str) -> bool {
    list.lines().any(|line| line == domain)
}

fn without_subdomain<'a>((local, domain): (&'a str, &'a str)) -> (&'a str, &'a str) {
    let parts = domain.split_once('.').filter(|(_, rest)| is_listed(rest, FASTMAIL));
    parts.unwrap_or((local, domain))
}

fn without_tag<'a>(local: &'a str, domain: &str) -> &'a str {
    let tag_marks: &[char] = if is_yahoo(domain) { &['+', '-'] } else { &['+'] };
    let untagged = local.split(tag_marks).next().filter(|name| !name.is_empty());
    untagged.unwrap_or(local)
}

/// Yahoo in any country, whose disposable addresses are `base-keyword@`
/// ([Yahoo](https://help.yahoo.com/kb/SLN28815.html)). A name in another domain is not.
fn is_yahoo(domain: &str) -> bool {
    ["ymail.com", "rocketmail.com", "myyahoo.com"].contains(&domain)
        || domain.starts_with("yahoo.") && registrable(domain) == domain
}

/// The last two labels, or three under suffixes like `co.uk`. The public suffix list would know more:
/// customers of a host who have subdomains of its name are counted together here.
fn registrable(domain: &str) -> &str {
    let mut labels = domain.rsplit('.');
    let is_country = labels.next().is_some_and(|top| top.len() == 2);
    let is_deep = labels.next().is_some_and(|second| SECOND_LEVEL.contains(&second));
    let count = if is_country && is_deep { 3 } else { 2 };
    let dot = domain.rmatch_indices('.').nth(count - 1);
    dot.map_or(domain, |(at, _)| &domain[at + 1..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_of_a_mailbox_is_counted_as_one() {
        for (address, key) in [
            ("Ann+0@Meadow.example", "ann@meadow.example"),
            ("ann+a+b@meadow.example", "ann@meadow.example"),
            ("an.n@meadow.example", "an.n@meadow.example"),
            ("ann-1@meadow.example", "ann-1@meadow.example"),
            ("+ann@meadow.example", "+ann@meadow.example"),
            ("ann+x@Bücher.example", "ann@xn--bcher-kva.example"),
            ("A.n.n+x@GoogleMail.com", "ann@gmail.com"),
            ("ann@gmail.com", "ann@gmail.com"),
            ("a_n-n@pm.me", "ann@proton.me"),
            ("ann@me.com", "ann@icloud.com"),
            ("a-n.n@ya.ru", "ann@yandex.ru"),
            ("ann@yandex.com.tr", "ann@yandex.ru"),
            ("ann@narod.ru", "ann@yandex.ru"),
            ("shop@ann.fastmail.com", "ann@fastmail.com"),
            ("shop@ann.sent.com", "ann@sent.com"),
            ("base-keyword@yahoo.com", "base@yahoo.com"),
            ("base-a-b@yahoo.com.ar", "base@yahoo.com.ar"),
            ("base-keyword@ymail.com", "base@ymail.com"),
            ("a-b@yahoo.victim.example", "a-b@yahoo.victim.example"),
        ] {
            assert_eq!(Mailbox::of(address).key, key, "{address}");
        }
    }

    #[test]
    fn a_domain_is_counted_unless_its_users_are_strangers_to_one_another() {
        for (address, domain) in [
            ("ann@meadow.example", "meadow.example"),
            ("ann@s1.meadow.example", "meadow.example"),
            ("ann@a.b.c.meadow.example", "meadow.example"),
            ("ann@s1.meadow.co.uk", "meadow.co.uk"),
            ("ann@meadow.com.au", "meadow.com.au"),
            ("ann@s1.meadow.de", "meadow.de"),
            ("ann@co.uk", "co.uk"),
            ("ann@s1.co.example", "co.example"),
            ("ann@yahoo.meadow.example", "meadow.example"),
        ] {
            assert_eq!(Mailbox::of(address).domain, domain, "{address}");
        }
        for address in ["ann@gmail.com", "ann@web.de", "ann@yahoo.co.uk", "ann@ya.ru", "ann@eml.cc"]
        {
            assert_eq!(Mailbox::of(address).domain, Mailbox::of(address).key, "{address}");
        }
    }

    #[test]
    fn what_owners_cause_at_the_plain_address_is_counted_apart_from_all_other_spellings() {
        for own in ["ann@meadow.example", "ann@gmail.com", "ann@googlemail.com", "ann@pm.me"] {
            assert_eq!(Mailbox::of(own).own_key, own);
        }
        assert_eq!(Mailbox::of("Ann@Gmail.com").own_key, "ann@gmail.com");
        for (addresses, key) in [
            (["ann+1@gmail.com", "a.nn@gmail.com", "a.nn+1@googlemail.com"], "ann@gmail.com"),
            (["ann@yandex.uz", "ann@yandex.tm", "a-nn@ya.ru"], "ann@yandex.ru"),
            (["ann-1@yahoo.com", "ann+1@yahoo.com", "ann-2-3@yahoo.com"], "ann@yahoo.com"),
            (["x@ann.sent.com", "ann@ann.sent.com", "ann+1@sent.com"], "ann@sent.com"),
        ] {
            for address in addresses {
                assert_eq!(Mailbox::of(address).own_key, format!("other {key}"), "{address}");
            }
        }
    }
}
