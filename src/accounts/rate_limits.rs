//! Rate limits: which there are, what each counts by, and the decision.
//!
//! Everything is counted in SQL before the work that it guards. Attempts at a password or a code that
//! turn out right are refunded.

use std::time::Duration;

use tokio::time::Instant;

use super::Error;
use super::mailbox::Mailbox;
use super::requester::Requester;
use crate::app::App;
use crate::app::in_flight::InFlightAttempt;
use crate::config::Rate;
use crate::db::{DbError, Tx};
use crate::event::Event;
use crate::models::device::find_device;
use crate::models::rate_limit;
use crate::models::user::User;

/// Failures in a row that an account may have (NIST SP 800-63B-4, 3.2.2: 100 at most).
pub const MOST_IN_A_ROW: i64 = 100;

/// Forms with a new password for each registration that a network may make: people correct themselves
/// a few times.
const FORMS_PER_REGISTRATION: i64 = 10;

/// Forms that a network may make even where few registrations are allowed: somebody who corrects a
/// dozen mistakes must get through.
const MIN_FORMS: i64 = 20;

/// Codes for trusted devices that a network may request, as a multiple of those for others: enough for
/// an office, and not for somebody who fills mailboxes from accounts of their own.
const TRUSTED_CODES_FACTOR: i64 = 4;

/// One network may cause a tenth of the site's emails, so that many accounts of one person leave
/// enough for the others.
const NETWORK_PART: i64 = 10;

/// One network may cause a 25th of a domain's emails (120 an hour): all addresses of a domain may lead
/// to one person.
const NETWORK_DOMAIN_PART: i64 = 25;

/// A network may cause this many even where the other limit is low.
const NETWORK_MIN: i64 = 10;

/// How long an attempt may wait for those in flight: longer than a full hash queue takes.
const MAX_WAIT: Duration = Duration::from_secs(5);

macro_rules! rate_limits {
    ($($(#[$doc:meta])* $variant:ident $name:literal)*) => {
        /// What is limited.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum RateLimit {$($(#[$doc])* $variant,)*}

        impl RateLimit {
            /// Its setting, `VESTIBULE_LIMIT_…`, for the log and the counters' keys.
            fn name(self) -> &'static str {
                match self {$(Self::$variant => $name,)*}
            }
        }
    };
}

rate_limits! {
    /// Failed logins from a network.
    LoginIp "login_ip"
    /// Failed logins to an account.
    LoginAccount "login_account"
    /// Failed logins to an account in a row, counted together with [`Self::LoginAccount`].
    LoginInARow "login_in_a_row"
    /// Registrations from a network.
    RegisterIp "register_ip"
    /// Forms whose new password is checked, from a network or by an account.
    NewPassword "new_password"
    /// Codes requested from a network.
    ForgotIp "forgot_ip"
    /// Codes requested for an account.
    ForgotAccount "forgot_account"
    /// Wrong codes for an account, over all its codes.
    ResetAccount "reset_account"
    /// Emails to a mailbox.
    MailAddress "mail_address"
    /// Emails to a domain.
    MailDomain "mail_domain"
    /// Emails that one network causes.
    MailNetwork "mail_network"
    /// Emails that one network causes to one domain.
    MailNetworkDomain "mail_network_domain"
    /// All emails of the site.
    MailSite "mail_site"
}

impl RateLimit {
    /// What the settings say; `None` is `off`.
    fn rate(self, app: &App) -> Option<Rate> {
        let limits = &app.config.limits;
        match self {
            Self::LoginIp => limits.login_ip,
            Self::LoginAccount | Self::LoginInARow => limits.login_account,
            Self::RegisterIp => limits.register_ip,
            Self::NewPassword => limits.register_ip.map(|rate| {
                let Rate { count, period } = times(rate, FORMS_PER_REGISTRATION);
                Rate { count: count.max(MIN_FORMS), period }
            }),
            Self::ForgotIp => limits.forgot_ip,
            Self::ForgotAccount => limits.forgot_account,
            Self::ResetAccount => limits.reset_account,
            Self::MailAddress => limits.mail_address,
            Self::MailDomain | Self::MailNetworkDomain => limits.mail_domain,
            Self::MailNetwork | Self::MailSite => limits.mail_site,
        }
    }
}

/// The part of `rate` that one network may use up, where `limit` is about a network.
fn part_of_a_network(limit: RateLimit, rate: Rate) -> Rate {
    let part = match limit {
        RateLimit::MailNetwork => NETWORK_PART,
        RateLimit::MailNetworkDomain => NETWORK_DOMAIN_PART,
        _ => return rate,
    };
    Rate { count: (rate.count / part).max(NETWORK_MIN), ..rate }
}

fn times(Rate { count, period }: Rate, factor: i64) -> Rate {
    Rate { count: count.saturating_mul(factor), period }
}

/// A kind of email, with its part of each mail limit. By one common count, somebody who requests
/// codes could see how many notices there were, and use them up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailQuota {
    /// Codes for browsers that the account was not used from.
    Codes,
    /// Codes for trusted devices: strangers must not use these up.
    TrustedCodes,
    /// Notices of a registration, of logins and of stopped logins.
    Notices,
    /// Notices of a changed password.
    PasswordChanges,
}

/// Fewer emails than this cannot be divided.
const MIN_DIVIDED: i64 = 6;

impl MailQuota {
    /// Every kind, in the order in which an email that must be sent uses them up.
    pub const ALL: [Self; 4] =
        [Self::PasswordChanges, Self::TrustedCodes, Self::Notices, Self::Codes];

    /// The name in the counter's key, and the part of `whole`: a third each for codes and notices, a
    /// sixth each for the others. The parts add up to the whole.
    pub fn part_of(self, whole: Rate) -> (&'static str, Rate) {
        if whole.count < MIN_DIVIDED {
            return ("mails", whole);
        }
        let (third, sixth) = (whole.count / 3, whole.count / 6);
        let (name, count) = match self {
            Self::Codes => ("codes", whole.count - third - 2 * sixth),
            Self::TrustedCodes => ("own codes", sixth),
            Self::Notices => ("notices", third),
            Self::PasswordChanges => ("changes", sixth),
        };
        (name, Rate { count, ..whole })
    }

    /// What the emails of this kind to a mailbox are counted by. Those that only the owner of an account
    /// causes are counted apart for the plain address.
    fn mailbox_key(self, mailbox: &Mailbox) -> &str {
        match self {
            Self::TrustedCodes | Self::PasswordChanges => mailbox.own_key(),
            Self::Codes | Self::Notices => mailbox.key(),
        }
    }
}

/// One thing to count, and how often it may happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    limit: RateLimit,
    key: String,
    rate: Rate,
    /// 1, or 0 to do the same work for an account that does not exist without using anything up.
    adds: i64,
}

impl Counter {
    fn subject(&self, app: &App) -> String {
        subject(app, self.limit, &self.key)
    }

    /// What an attempt in flight is known by. A row of failures is counted with the account's.
    fn in_flight_key(limit: RateLimit, key: &str) -> String {
        let limit = if limit == RateLimit::LoginInARow { RateLimit::LoginAccount } else { limit };
        format!("{} {key}", limit.name())
    }
}

fn subject(app: &App, limit: RateLimit, key: &str) -> String {
    app.key.digest("limit", &[limit.name(), key])
}

/// The counter of `limit` by `key`; none if the limit is off.
pub fn counters_by_key(app: &App, limit: RateLimit, key: &str) -> Vec<Counter> {
    let counter = |rate| Counter { limit, key: key.to_owned(), rate, adds: 1 };
    limit.rate(app).map(counter).into_iter().collect()
}

/// The counters of `limit` by the networks of the requester, each with its multiple of the limit.
pub fn counters_by_network(app: &App, limit: RateLimit, requester: &Requester) -> Vec<Counter> {
    let Some(rate) = limit.rate(app) else { return Vec::new() };
    let networks = requester.counted_networks().into_iter();
    networks
        .map(|(key, factor)| Counter { limit, key, rate: times(rate, factor), adds: 1 })
        .collect()
}

/// The counters of an email to the address `to`: of its mailbox and domain, of the networks that cause
/// it and of the site.
pub fn mail_counters(app: &App, quota: MailQuota, to: &str, requester: &Requester) -> Vec<Counter> {
    let mailbox = Mailbox::of(to);
    let domain = mailbox.domain();
    let mut keys = vec![
        (RateLimit::MailAddress, quota.mailbox_key(&mailbox).to_owned(), 1),
        (RateLimit::MailDomain, domain.to_owned(), 1),
    ];
    for (network, factor) in requester.counted_mail_networks() {
        keys.push((RateLimit::MailNetworkDomain, format!("{network} {domain}"), factor));
        keys.push((RateLimit::MailNetwork, network, factor));
    }
    keys.push((RateLimit::MailSite, String::new(), 1));
    let counter = |(limit, key, factor): (RateLimit, String, i64)| {
        let (name, part) = quota.part_of(limit.rate(app)?);
        let rate = times(part_of_a_network(limit, part), factor);
        Some(Counter { limit, key: format!("{name} {key}"), rate, adds: 1 })
    };
    keys.into_iter().filter_map(counter).collect()
}

/// A part of the mailbox's limit for one account alone, by `key`.
fn counters_by_account(app: &App, quota: MailQuota, key: &str) -> Vec<Counter> {
    let counters = counters_by_key(app, RateLimit::MailAddress, key).into_iter();
    let part = |counter: Counter| Counter { rate: quota.part_of(counter.rate).1, ..counter };
    counters.map(part).collect()
}

/// The counters of a change of the password by the user `id`, who knows the current one. By the account
/// alone: others with the same mailbox must not be able to prevent a change, nor to see one.
pub fn password_change_counters(app: &App, id: &str) -> Vec<Counter> {
    counters_by_account(app, MailQuota::PasswordChanges, &format!("changed by {id}"))
}

/// How far a browser is trusted by an account, with the keys that its attempts are counted by.
///
/// Each trusted device has a separate limit, so guesses from elsewhere cannot lock the owner out
/// (OWASP "Slow Down Online Guessing Attacks with Device Cookies").
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientTrust {
    /// The account was used from it, with its present password.
    TrustedDevice {
        /// The key of this device.
        device: String,
        /// The common key of all trusted devices.
        all_devices: String,
    },
    /// The account was used from it with an earlier password: it is the owner's, when the password was
    /// changed in another, or a thief's.
    FormerDevice {
        /// The key of this device.
        device: String,
        /// The key of everybody without a device.
        account: String,
    },
    /// Everybody else, by their common key.
    Untrusted(String),
}

impl ClientTrust {
    /// How far the requester's browser is trusted by `user`; without a user the same query runs.
    /// `account` is the key of untrusted attempts.
    pub async fn of(
        app: &App,
        requester: &Requester,
        user: Option<&User>,
        account: String,
    ) -> Result<Self, DbError> {
        let tokens = &requester.device_tokens;
        if tokens.is_empty() {
            return Ok(Self::Untrusted(account));
        }
        let id = user.map_or("", |user| &user.id);
        let found = find_device(app.db.reader(), id, tokens, app.clock.now()).await?;
        let Some((user, found)) = user.zip(found) else { return Ok(Self::Untrusted(account)) };
        // A new password starts a new count.
        let version = user.credential_version.to_string();
        let device = app.key.digest("budget", &[&user.id, &version, &found.token]);
        Ok(if found.is_trusted_by(user) {
            Self::TrustedDevice { device, all_devices: format!("own {}", user.id) }
        } else {
            Self::FormerDevice { device, account }
        })
    }

    /// The counters of a login. The network counts for untrusted browsers alone: an office must not be
    /// able to lock out a device of the owner. Each device counts alone: a thief of one must not use up
    /// the attempts of the others.
    pub fn login_counters(&self, app: &App, requester: &Requester) -> Vec<Counter> {
        let (mut counters, key) = match self {
            Self::TrustedDevice { device, .. } | Self::FormerDevice { device, .. } => {
                (Vec::new(), device)
            }
            Self::Untrusted(account) => {
                (counters_by_network(app, RateLimit::LoginIp, requester), account)
            }
        };
        counters.extend(counters_by_key(app, RateLimit::LoginAccount, key));
        counters
    }

    /// The counters of a request for a code, beside those of its email. The last is a part of the
    /// mailbox's limit by the account, so that somebody who knows the address alone cannot use up its
    /// codes.
    pub fn code_counters(&self, app: &App, requester: &Requester) -> Vec<Counter> {
        let mut counters = counters_by_network(app, RateLimit::ForgotIp, requester);
        if let Self::TrustedDevice { .. } = self {
            for counter in &mut counters {
                counter.key = format!("trusted {}", counter.key);
                counter.rate = times(counter.rate, TRUSTED_CODES_FACTOR);
            }
        }
        counters.extend(counters_by_key(app, RateLimit::ForgotAccount, self.code_key()));
        let key = format!("asked {}", self.code_key());
        counters.extend(counters_by_account(app, self.code_quota(), &key));
        counters
    }

    /// The counters of the email with a code to the address `to`. They count nothing where no account
    /// matches: a stranger who knows only the address must not use up its emails.
    pub fn code_mail_counters(
        &self,
        app: &App,
        requester: &Requester,
        user: Option<&User>,
        to: &str,
    ) -> Vec<Counter> {
        let mut counters = mail_counters(app, self.code_quota(), to, requester);
        for counter in &mut counters {
            counter.adds = i64::from(user.is_some());
        }
        counters
    }

    /// The key of codes and attempts at them: somebody who logs in again and again without a cookie has
    /// many trusted devices, and the mailbox may be somebody else's.
    pub fn code_key(&self) -> &str {
        match self {
            Self::TrustedDevice { all_devices, .. } => all_devices,
            Self::FormerDevice { account, .. } | Self::Untrusted(account) => account,
        }
    }

    fn code_quota(&self) -> MailQuota {
        match self {
            Self::TrustedDevice { .. } => MailQuota::TrustedCodes,
            _ => MailQuota::Codes,
        }
    }
}

/// A limit that was reached before.
struct Exceeded {
    limit: RateLimit,
    key: String,
    /// Seconds until its window ends.
    retry_after: i64,
}

impl Exceeded {
    /// Whether only a new password helps.
    fn is_stopped(&self) -> bool {
        self.limit == RateLimit::LoginInARow
    }

    /// `account` is the user's id, if the limit is about a user.
    fn log(&self, account: Option<&str>) {
        let retry_after = (!self.is_stopped()).then_some(self.retry_after);
        Event::Limited { account, limit: self.limit.name(), retry_after }.write();
    }

    fn into_error(self, account: Option<&str>) -> Error {
        self.log(account);
        if self.is_stopped() {
            return Error::LoginStopped;
        }
        Error::RateLimited { retry_after: self.retry_after }
    }
}

/// Counts one more for each counter. `account` is for the log: the user's id, if they are about a user.
pub async fn count(app: &App, counters: &[Counter], account: Option<&str>) -> Result<(), Error> {
    let counted = count_all(app, counters).await?;
    counted.map(drop).map_err(|exceeded| exceeded.into_error(account))
}

/// Whether one more email may be sent; it is counted within `tx`. Beyond a limit it is left out:
/// somebody who registered with a stranger's address must not flood it.
pub async fn may_send(app: &App, tx: &mut Tx, counters: &[Counter]) -> Result<bool, DbError> {
    let counted = count_in(app, tx, counters).await?;
    Ok(counted.inspect_err(|exceeded| exceeded.log(None)).is_ok())
}

async fn count_all(app: &App, counters: &[Counter]) -> Result<Result<i64, Exceeded>, DbError> {
    if counters.is_empty() {
        return Ok(Ok(0));
    }
    let mut tx = app.db.begin().await?;
    let counted = count_in(app, &mut tx, counters).await?;
    tx.commit().await.map(|()| counted)
}

/// Counts within `tx` and returns the failed logins in a row that this makes, if it is a login. Where
/// a limit was reached before, nothing is counted: a refused request must not use anything up. The
/// order of the counters must be the same everywhere, so that transactions do not deadlock.
async fn count_in(
    app: &App,
    tx: &mut Tx,
    counters: &[Counter],
) -> Result<Result<i64, Exceeded>, DbError> {
    let (now, mut in_a_row) = (app.clock.now(), 0);
    for (at, counter) in counters.iter().enumerate() {
        let Counter { limit, ref key, rate, adds } = *counter;
        let subject = counter.subject(app);
        let (count, ends_at) = rate_limit::count(tx.on(), &subject, adds, rate.period, now).await?;
        let exceeded = Exceeded { limit, key: key.clone(), retry_after: (ends_at - now).max(1) };
        if count > rate.count {
            for counted in &counters[..=at] {
                rate_limit::refund(tx.on(), &counted.subject(app), counted.adds).await?;
            }
            return Ok(Err(exceeded));
        }
        if (limit, count, adds) == (RateLimit::MailSite, rate.count, 1) {
            let (limit, retry_after) = (limit.name(), exceeded.retry_after);
            Event::MailLimitReached { limit, retry_after }.write();
        }
        if limit == RateLimit::LoginAccount {
            let row = self::subject(app, RateLimit::LoginInARow, key);
            in_a_row = rate_limit::count_in_a_row(tx.on(), &row, now).await?;
        }
        if in_a_row > MOST_IN_A_ROW {
            refund_in(app, tx, &counters[..=at], false).await?;
            return Ok(Err(Exceeded { limit: RateLimit::LoginInARow, retry_after: 0, ..exceeded }));
        }
    }
    Ok(Ok(in_a_row))
}

/// Takes back what was counted. With `forgives`, the failures at the account go too: the owner has
/// logged in. Those of the network stay: a login to one's own account must not clear them
/// (django-allauth 65.8.1).
async fn refund_in(
    app: &App,
    tx: &mut Tx,
    counters: &[Counter],
    forgives: bool,
) -> Result<(), DbError> {
    for counter in counters {
        if counter.limit != RateLimit::LoginAccount {
            rate_limit::refund(tx.on(), &counter.subject(app), counter.adds).await?;
            continue;
        }
        for limit in [RateLimit::LoginAccount, RateLimit::LoginInARow] {
            let subject = subject(app, limit, &counter.key);
            if forgives {
                rate_limit::reset(tx.on(), &subject).await?;
            } else {
                rate_limit::refund(tx.on(), &subject, counter.adds).await?;
            }
        }
    }
    Ok(())
}

/// A counted attempt at a password or a code. It stays counted unless it is refunded.
#[derive(Debug)]
pub struct Attempt {
    counters: Vec<Counter>,
    /// None once it is decided.
    in_flight: Option<InFlightAttempt>,
    in_a_row: i64,
}

impl Attempt {
    /// Counts an attempt before it is compared. When a limit is reached only because of attempts in
    /// flight, it waits for one of them to be refunded: a person, or an office, may send many right
    /// passwords at once.
    pub async fn count(
        app: &App,
        counters: Vec<Counter>,
        account: Option<&str>,
    ) -> Result<Self, Error> {
        let until = Instant::now() + MAX_WAIT;
        loop {
            let keys =
                counters.iter().map(|of| Counter::in_flight_key(of.limit, &of.key)).collect();
            let in_flight = app.in_flight.begin(keys);
            let exceeded = match count_all(app, &counters).await? {
                Ok(in_a_row) => {
                    return Ok(Self { counters, in_flight: Some(in_flight), in_a_row });
                }
                Err(exceeded) => exceeded,
            };
            let key = Counter::in_flight_key(exceeded.limit, &exceeded.key);
            let is_refunded = match in_flight.wait_for(&key) {
                Some(waiting) => waiting.is_refunded_before(until).await,
                None => false,
            };
            if !is_refunded || Instant::now() >= until {
                return Err(exceeded.into_error(account));
            }
        }
    }

    /// Whether a failure now is the one that stops logins until the password is reset.
    pub fn is_last(&self) -> bool {
        self.in_a_row == MOST_IN_A_ROW
    }

    /// Notes that it was wrong: no other attempt need wait for it any more.
    pub fn fail(&mut self) {
        self.in_flight = None;
    }

    /// Takes it back: it was right, or was not compared. With `forgives`, the failed logins before it
    /// are forgiven too. A database failure is only logged, because the attempt itself succeeded.
    pub async fn refund(&mut self, app: &App, forgives: bool) {
        if let Err(error) = self.try_refund(app, forgives).await {
            Event::log_fault("a_limit_was_not_taken_back", &error);
        }
        if let Some(in_flight) = self.in_flight.take() {
            in_flight.refund();
        }
    }

    async fn try_refund(&self, app: &App, forgives: bool) -> Result<(), DbError> {
        if self.counters.is_empty() {
            return Ok(());
        }
        let mut tx = app.db.begin().await?;
        refund_in(app, &mut tx, &self.counters, forgives).await?;
        tx.commit().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_limit_add_up_to_it_and_none_is_empty() {
        for whole in 1..=100 {
            let whole_rate = Rate { count: whole, period: 60 };
            let mut parts = MailQuota::ALL.map(|quota| quota.part_of(whole_rate));
            assert!(parts.iter().all(|(_, part)| part.count > 0 && part.period == 60));
            parts.sort_by_key(|(name, _)| *name);
            let names = parts.chunk_by(|one, other| one.0 == other.0).map(|same| same[0].1.count);
            assert_eq!(names.sum::<i64>(), whole);
        }
    }
}
