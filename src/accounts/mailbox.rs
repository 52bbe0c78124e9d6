//! Whose mailbox an address leads to: what mails are counted by, so that nobody gets more of them by
//! having many addresses.

use super::email::EmailAddress;

/// A person's mailbox, as far as its address shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mailbox {
    key: String,
    own_key: String,
    domain: String,
}

/// How a provider reads the part before the `@`.
struct Provider {
    /// Its domains, which lead to the same mailboxes; the first is in the key, and the
    /// [`OWN_DOMAINS`] that most people use come first.
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
        domains: &[
            "yandex.ru",
            "ya.ru",
            "yandex.com",
            "yandex.by",
            "narod.ru",
            "yandex.az",
            "yandex.co.il",
            "yandex.com.am",
            "yandex.com.ge",
            "yandex.com.ru",
            "yandex.com.tr",
            "yandex.ee",
            "yandex.fr",
            "yandex.kg",
            "yandex.kz",
            "yandex.lt",
            "yandex.lv",
            "yandex.md",
            "yandex.org",
            "yandex.pl",
            "yandex.tj",
            "yandex.tm",
            "yandex.ua",
            "yandex.uz",
        ],
        ignored: &['.', '-'],
    },
];

/// So many domains of a provider have a count of their own for the mails that only the owner of an
/// account causes: most people use one of the first, and each further one adds to what a mailbox gets.
const OWN_DOMAINS: usize = 4;

/// Fastmail, whose subaddresses may be in the host: `tag@ann.fastmail.com` goes to `ann@fastmail.com`
/// ([Fastmail](https://www.fastmail.help/hc/en-us/articles/360060591053)).
const FASTMAIL: &[&str] = &[
    "123mail.org",
    "150mail.com",
    "150ml.com",
    "16mail.com",
    "2-mail.com",
    "4email.net",
    "50mail.com",
    "airpost.net",
    "allmail.net",
    "bestmail.us",
    "cluemail.com",
    "elitemail.org",
    "emailcorner.net",
    "emailengine.net",
    "emailengine.org",
    "emailgroups.net",
    "emailplus.org",
    "emailuser.net",
    "eml.cc",
    "f-m.fm",
    "fast-email.com",
    "fast-mail.org",
    "fastem.com",
    "fastemail.us",
    "fastemailer.com",
    "fastest.cc",
    "fastimap.com",
    "fastmail.cn",
    "fastmail.co.uk",
    "fastmail.com",
    "fastmail.com.au",
    "fastmail.de",
    "fastmail.es",
    "fastmail.fm",
    "fastmail.fr",
    "fastmail.im",
    "fastmail.in",
    "fastmail.jp",
    "fastmail.mx",
    "fastmail.net",
    "fastmail.nl",
    "fastmail.org",
    "fastmail.se",
    "fastmail.to",
    "fastmail.tw",
    "fastmail.uk",
    "fastmail.us",
    "fastmailbox.net",
    "fastmessaging.com",
    "fea.st",
    "fmail.co.uk",
    "fmailbox.com",
    "fmgirl.com",
    "fmguy.com",
    "ftml.net",
    "h-mail.us",
    "hailmail.net",
    "imap-mail.com",
    "imap.cc",
    "imapmail.org",
    "inoutbox.com",
    "internet-e-mail.com",
    "internet-mail.org",
    "internetemails.net",
    "internetmailing.net",
    "jetemail.net",
    "justemail.net",
    "letterboxes.org",
    "mail-central.com",
    "mail-page.com",
    "mailandftp.com",
    "mailas.com",
    "mailbolt.com",
    "mailc.net",
    "mailcan.com",
    "mailforce.net",
    "mailftp.com",
    "mailhaven.com",
    "mailingaddress.org",
    "mailite.com",
    "mailmight.com",
    "mailnew.com",
    "mailsent.net",
    "mailservice.ms",
    "mailup.net",
    "mailworks.org",
    "ml1.net",
    "mm.st",
    "myfastmail.com",
    "mymacmail.com",
    "nospammail.net",
    "ownmail.net",
    "petml.com",
    "postinbox.com",
    "postpro.net",
    "proinbox.com",
    "promessage.com",
    "realemail.net",
    "reallyfast.biz",
    "reallyfast.info",
    "rushpost.com",
    "sent.as",
    "sent.at",
    "sent.com",
    "speedpost.net",
    "speedymail.org",
    "ssl-mail.com",
    "swift-mail.com",
    "the-fastest.net",
    "the-quickest.com",
    "theinternetemail.com",
    "veryfast.biz",
    "veryspeedy.net",
    "warpmail.net",
    "xsmail.com",
    "yepmail.net",
    "your-mail.com",
];

/// Second-level labels under which a country's registry sells domains.
const SECOND_LEVEL: &[&str] = &["ac", "co", "com", "edu", "go", "gov", "ne", "net", "or", "org"];

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
        let Some((typed, host)) =
            email.as_ref().ok().and_then(|email| email.key().rsplit_once('@'))
        else {
            let own = address.to_owned();
            return Self { key: own.clone(), own_key: own.clone(), domain: own };
        };
        let (local, domain) = without_subdomain(typed, host);
        let tag_marks: &[char] = if is_yahoo(domain) { &['+', '-'] } else { &['+'] };
        let untagged = local.split(tag_marks).next().filter(|name| !name.is_empty());
        let mut local = untagged.unwrap_or(local).to_owned();
        let (mut first, mut has_own_key) = (domain, true);
        let provider = PROVIDERS.iter().find(|provider| provider.domains.contains(&domain));
        if let Some(Provider { domains, ignored }) = provider {
            local = local.replace(*ignored, "");
            first = domains[0];
            has_own_key = domains.iter().take(OWN_DOMAINS).any(|own| *own == domain);
        }
        has_own_key &= (local.as_str(), domain) == (typed, host);
        let key = format!("{local}@{first}");
        let own_key =
            if has_own_key { format!("{local}@{domain}") } else { format!("other {key}") };
        let is_public = provider.is_some()
            || is_yahoo(domain)
            || [PUBLIC, FASTMAIL].iter().any(|list| list.contains(&domain));
        let domain = if is_public { &key } else { registrable(domain) };
        Self { domain: domain.to_owned(), key, own_key }
    }

    /// What its mails are counted by.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The key of mails that only the owner of an account with this address can cause. The plain address
    /// (no tag, no ignored character) has a key for itself; all its other spellings share one. Otherwise
    /// an attacker could register another spelling and use up the owner's mails.
    pub fn own_key(&self) -> &str {
        &self.own_key
    }

    /// What the mails of its domain are counted by: the domain that somebody registered, because its
    /// owner can make any number of names in it. A mailbox of a public provider is counted alone.
    pub fn domain(&self) -> &str {
        &self.domain
    }
}

fn without_subdomain<'a>(local: &'a str, domain: &'a str) -> (&'a str, &'a str) {
    let parts = domain.split_once('.').filter(|(_, rest)| FASTMAIL.contains(rest));
    parts.unwrap_or((local, domain))
}

/// Yahoo in any country, whose disposable addresses are `base-keyword@`
/// ([Yahoo](https://help.yahoo.com/kb/SLN28815.html)); a subdomain of somebody else is not.
fn is_yahoo(domain: &str) -> bool {
    ["ymail.com", "rocketmail.com", "myyahoo.com"].contains(&domain)
        || domain.starts_with("yahoo.") && registrable(domain) == domain
}

/// The last two labels, or three under the likes of `co.uk`. The public suffix list would know more:
/// customers of a host under whose name they have subdomains are counted together here.
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
            ("ann@yandex.com.tr", "ann@yandex.ru"),
            ("ann@narod.ru", "ann@yandex.ru"),
            ("shop@ann.fastmail.com", "ann@fastmail.com"),
            ("shop@ann.sent.com", "ann@sent.com"),
            ("base-keyword@yahoo.com", "base@yahoo.com"),
            ("base-a-b@yahoo.com.ar", "base@yahoo.com.ar"),
            ("base-keyword@ymail.com", "base@ymail.com"),
            ("a-b@yahoo.victim.example", "a-b@yahoo.victim.example"),
        ] {
            assert_eq!(mailbox(address).key(), key, "{address}");
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
            assert_eq!(mailbox(address).domain(), domain, "{address}");
        }
        for address in ["ann@gmail.com", "ann@web.de", "ann@yahoo.co.uk", "ann@ya.ru", "ann@eml.cc"]
        {
            assert_eq!(mailbox(address).domain(), mailbox(address).key(), "{address}");
        }
    }

    #[test]
    fn what_owners_cause_at_the_plain_address_is_counted_apart_from_all_other_spellings() {
        for own in ["ann@meadow.example", "ann@gmail.com", "ann@googlemail.com", "ann@pm.me"] {
            assert_eq!(mailbox(own).own_key(), own);
        }
        assert_eq!(mailbox("Ann@Gmail.com").own_key(), "ann@gmail.com");
        for (addresses, key) in [
            (["ann+1@gmail.com", "a.nn@gmail.com", "a.nn+1@googlemail.com"], "ann@gmail.com"),
            (["ann@yandex.uz", "ann@yandex.tm", "a-nn@ya.ru"], "ann@yandex.ru"),
            (["ann-1@yahoo.com", "ann+1@yahoo.com", "ann-2-3@yahoo.com"], "ann@yahoo.com"),
            (["x@ann.sent.com", "ann@ann.sent.com", "ann+1@sent.com"], "ann@sent.com"),
        ] {
            for address in addresses {
                assert_eq!(mailbox(address).own_key(), format!("other {key}"), "{address}");
            }
        }
    }

    #[test]
    fn the_lists_of_domains_are_in_order() {
        assert!(PUBLIC.is_sorted() && FASTMAIL.is_sorted());
    }
}
