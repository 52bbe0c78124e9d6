//! Whose mailbox an address leads to: what mails are counted by, so that nobody gets more of them by
//! having many addresses.

use super::email::EmailAddress;

/// A person's mailbox, as far as its address shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    key: String,
    domain: String,
}

/// How a provider reads the part before the `@`.
struct Provider {
    /// Its domains, which lead to the same mailboxes; the first stands for all.
    domains: &'static [&'static str],
    /// Characters that make no difference.
    ignored: &'static [char],
}

/// Providers with more than one domain, or with characters that they ignore:
/// [Gmail](https://support.google.com/mail/answer/7436150),
/// [Proton](https://proton.me/support/addresses-and-aliases),
/// [iCloud](https://support.apple.com/en-us/102540),
/// [Yandex](https://yandex.com/support/mail/create-mail.html), where a dot is a dash.
const PROVIDERS: &[Provider] = &[
    Provider { domains: &["gmail.com", "googlemail.com"], ignored: &['.'] },
    Provider {
        domains: &["proton.me", "protonmail.com", "protonmail.ch", "pm.me"],
        ignored: &['.', '-', '_'],
    },
    Provider { domains: &["icloud.com", "me.com", "mac.com"], ignored: &[] },
    Provider {
        domains: &["yandex.ru", "yandex.com", "yandex.by", "yandex.kz", "yandex.ua", "ya.ru"],
        ignored: &['.', '-'],
    },
];

/// Subaddresses by the host: `tag@ann.fastmail.com` goes to `ann@fastmail.com`
/// ([Fastmail](https://www.fastmail.help/hc/en-us/articles/360060591053)).
const BY_SUBDOMAIN: &[&str] = &["fastmail.com", "fastmail.fm"];

/// Further domains whose users are strangers to one another: one of them must not be able to use up
/// the mails of the others.
const PUBLIC: &[&str] = &[
    "126.com",
    "163.com",
    "aim.com",
    "aol.com",
    "att.net",
    "bell.net",
    "bellsouth.net",
    "bk.ru",
    "bluewin.ch",
    "bt.com",
    "btinternet.com",
    "charter.net",
    "comcast.net",
    "cox.net",
    "daum.net",
    "duck.com",
    "email.cz",
    "fastmail.com",
    "fastmail.fm",
    "foxmail.com",
    "free.fr",
    "freenet.de",
    "gmx.at",
    "gmx.ch",
    "gmx.com",
    "gmx.de",
    "gmx.net",
    "hanmail.net",
    "hey.com",
    "hotmail.co.uk",
    "hotmail.com",
    "hotmail.de",
    "hotmail.es",
    "hotmail.fr",
    "hotmail.it",
    "inbox.ru",
    "interia.pl",
    "laposte.net",
    "libero.it",
    "list.ru",
    "live.co.uk",
    "live.com",
    "live.fr",
    "live.nl",
    "mail.com",
    "mail.ru",
    "mailbox.org",
    "mozmail.com",
    "msn.com",
    "naver.com",
    "o2.pl",
    "onet.pl",
    "optonline.net",
    "orange.fr",
    "outlook.com",
    "outlook.de",
    "outlook.es",
    "outlook.fr",
    "posteo.de",
    "privaterelay.appleid.com",
    "qq.com",
    "rambler.ru",
    "rediffmail.com",
    "rocketmail.com",
    "rogers.com",
    "sbcglobal.net",
    "seznam.cz",
    "sfr.fr",
    "shaw.ca",
    "sina.com",
    "sky.com",
    "sohu.com",
    "t-online.de",
    "talktalk.net",
    "telenet.be",
    "tuta.com",
    "tuta.io",
    "tutanota.com",
    "tutanota.de",
    "uol.com.br",
    "verizon.net",
    "virgilio.it",
    "virginmedia.com",
    "wanadoo.fr",
    "web.de",
    "wp.pl",
    "yahoo.ca",
    "yahoo.co.in",
    "yahoo.co.jp",
    "yahoo.co.uk",
    "yahoo.com",
    "yahoo.com.br",
    "yahoo.de",
    "yahoo.es",
    "yahoo.fr",
    "yahoo.it",
    "yeah.net",
    "ymail.com",
    "ziggo.nl",
    "zoho.com",
];

impl Mailbox {
    /// The mailbox that `address` leads to, in any spelling. A tag after `+` is dropped for every
    /// domain: most providers take it, and where one does not, the mailbox is only counted with its
    /// neighbours. A text that is no address is a mailbox by itself.
    pub fn of(address: &str) -> Self {
        let email = EmailAddress::parse(address);
        let Some((local, domain)) =
            email.as_ref().ok().and_then(|email| email.key().rsplit_once('@'))
        else {
            return Self { key: address.to_owned(), domain: address.to_owned() };
        };
        let (local, domain) = by_subdomain(local, domain);
        let untagged = local.split('+').next().filter(|name| !name.is_empty()).unwrap_or(local);
        let provider = PROVIDERS.iter().find(|provider| provider.domains.contains(&domain));
        let key = match provider {
            Some(Provider { domains, ignored }) => {
                format!("{}@{}", untagged.replace(*ignored, ""), domains[0])
            }
            None => format!("{untagged}@{domain}"),
        };
        let is_public = provider.is_some() || PUBLIC.contains(&domain);
        Self { domain: if is_public { key.clone() } else { domain.to_owned() }, key }
    }

    /// What its mails are counted by.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// What the mails of its domain are counted by. A mailbox of a public provider is counted alone.
    pub fn domain(&self) -> &str {
        &self.domain
    }
}

fn by_subdomain<'a>(local: &'a str, domain: &'a str) -> (&'a str, &'a str) {
    let parts = domain.split_once('.').filter(|(_, rest)| BY_SUBDOMAIN.contains(rest));
    parts.unwrap_or((local, domain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailbox(address: &str) -> Mailbox {
        Mailbox::of(address)
    }

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
            ("shop@ann.fastmail.com", "ann@fastmail.com"),
        ] {
            assert_eq!(mailbox(address).key(), key, "{address}");
        }
    }

    #[test]
    fn a_domain_is_counted_unless_its_users_are_strangers_to_one_another() {
        assert_eq!(mailbox("ann@meadow.example").domain(), "meadow.example");
        for address in ["ann@gmail.com", "ann@web.de", "ann@yahoo.co.uk", "ann@ya.ru"] {
            assert_eq!(mailbox(address).domain(), mailbox(address).key(), "{address}");
        }
    }

    #[test]
    fn the_list_of_public_domains_is_in_order() {
        assert!(PUBLIC.is_sorted());
    }
}
