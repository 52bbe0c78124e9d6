//! Email rate limits: each kind of email gets a share of each limit.

use super::mailbox::Mailbox;
use super::rate_limits::{Counter, RateLimit};
use super::requester::Requester;
use crate::app::App;
use crate::config::Rate;
use crate::models::user::User;

/// One network may cause a tenth of the site's emails, so that many accounts of one person leave
/// enough for the others.
const NETWORK_PART: i64 = 10;

/// One network may cause a 25th of a domain's emails (40 codes and 40 notices an hour): all addresses of a
/// domain may belong to one person.
const NETWORK_DOMAIN_PART: i64 = 25;

/// The same for welcomes and codes that prove an address: a tenth of their part (100 an hour). A class of 60
/// registers behind one address, and some of them ask for a second code.
const NETWORK_PROOFS_PART: i64 = 10;

/// Minimum number of emails that a network may trigger.
const MIN_PER_NETWORK: i64 = 10;

/// Fewer emails than this cannot be divided.
const MIN_DIVIDED: i64 = 6;

/// A kind of email, with its part of each limit. With one common count, requests for codes would show how
/// many notices were sent, and use them up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailQuota {
    /// Codes for browsers that the account was not used from.
    Codes,
    /// Codes for trusted devices: others must not use these up.
    TrustedCodes,
    /// The same of an account whose address is not proved: a stranger may have registered it.
    UnprovedCodes,
    /// Welcomes, and codes that prove an address: anybody may have typed it.
    Proofs,
    /// Notices of logins and of stopped logins.
    Notices,
    /// Notices of a changed password.
    PasswordChanges,
    /// Forgotten usernames, besides the others: the address alone is enough to ask for one.
    Usernames,
}

impl MailQuota {
    /// Those that notices of a takeover use up, in this order: they must be sent.
    const FOR_TAKEOVER: [Self; 4] =
        [Self::PasswordChanges, Self::TrustedCodes, Self::Notices, Self::Codes];

    /// Those that a notice of a takeover to `user` uses up, in this order. A stranger who registers with
    /// somebody's address must not use them all up.
    pub fn for_takeover(user: &User) -> &'static [Self] {
        if user.has_known_address() { &Self::FOR_TAKEOVER } else { &[Self::Notices] }
    }

    /// The name in the counter's key, and the part of `whole`: a third each for codes and for notices, a
    /// sixth each for the others. The parts add up to the whole.
    pub fn part_of(self, whole: Rate) -> (&'static str, Rate) {
        if whole.count < MIN_DIVIDED {
            return ("mails", whole);
        }
        let (third, sixth) = (whole.count / 3, whole.count / 6);
        let (name, count) = match self {
            Self::Codes => ("codes", whole.count - third - 2 * sixth),
            Self::TrustedCodes | Self::UnprovedCodes => ("trusted codes", sixth),
            Self::Notices | Self::Proofs => ("notices", third),
            Self::PasswordChanges => ("changes", sixth),
            Self::Usernames => ("usernames", sixth),
        };
        (name, Rate { count, ..whole })
    }

    /// The counters of an email to the address `to`: of its mailbox and domain, of the networks that
    /// cause it and of the site.
    pub fn counters(self, app: &App, to: &str, requester: &Requester) -> Vec<Counter> {
        let Mailbox { key, own_key, other_key, domain } = Mailbox::of(to);
        // Emails that only the owner can trigger use the plain address's own counter.
        let key = match self {
            Self::TrustedCodes | Self::PasswordChanges => own_key,
            Self::UnprovedCodes => other_key,
            _ => key,
        };
        let mut counters = vec![
            self.counter(app, RateLimit::MailAddress, &key, 1),
            self.counter(app, RateLimit::MailDomain, &domain, 1),
        ];
        for (network, factor) in requester.counted_mail_networks() {
            let to_domain = format!("{network} {domain}");
            counters.push(self.counter(app, RateLimit::MailNetworkDomain, &to_domain, factor));
            counters.push(self.counter(app, RateLimit::MailNetwork, &network, factor));
        }
        counters.push(self.counter(app, RateLimit::MailSite, "", 1));
        counters.into_iter().flatten().collect()
    }

    fn counter(self, app: &App, limit: RateLimit, key: &str, factor: i64) -> Option<Counter> {
        let whole = limit.rate(app)?;
        let (name, Rate { count, period }) = self.part_of(whole);
        let is_mailbox = limit == RateLimit::MailAddress && whole.count >= MIN_DIVIDED;
        let (name, count) = match (self, limit) {
            // A stranger who types an address must not use up its owner's notices.
            (Self::Proofs, _) if is_mailbox => ("proofs", (count / 2).max(1)),
            (Self::Notices, _) if is_mailbox => (name, (count - count / 2).max(1)),
            (Self::Proofs, RateLimit::MailNetworkDomain) => ("proofs", count),
            _ => (name, count),
        };
        let count = match (limit, self) {
            (RateLimit::MailNetwork, _) => (count / NETWORK_PART).max(MIN_PER_NETWORK),
            (RateLimit::MailNetworkDomain, Self::Proofs) => {
                (count / NETWORK_PROOFS_PART).max(MIN_PER_NETWORK)
            }
            (RateLimit::MailNetworkDomain, _) => (count / NETWORK_DOMAIN_PART).max(MIN_PER_NETWORK),
            _ => count,
        };
        let rate = Rate { count, period }.times(factor);
        Some(Counter::new(app, limit, &format!("{name} {key}"), rate))
    }

    /// A part of the mailbox's limit for one account only, by `key`.
    pub fn counter_of_account(self, app: &App, key: &str) -> Option<Counter> {
        let (_, part) = self.part_of(RateLimit::MailAddress.rate(app)?);
        Some(Counter::new(app, RateLimit::MailAddress, key, part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_limit_add_up_to_it_and_none_is_empty() {
        for whole in 1..=100 {
            let whole_rate = Rate { count: whole, period: 60 };
            let mut parts = MailQuota::FOR_TAKEOVER.map(|quota| quota.part_of(whole_rate));
            assert!(parts.iter().all(|(_, part)| part.count > 0 && part.period == 60));
            parts.sort_by_key(|(name, _)| *name);
            let names = parts.chunk_by(|one, other| one.0 == other.0).map(|same| same[0].1.count);
            assert_eq!(names.sum::<i64>(), whole);
        }
    }
}
