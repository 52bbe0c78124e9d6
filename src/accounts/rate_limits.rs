//! Rate limits: what is limited, the counters, and attempts at passwords and codes.
//!
//! Everything is counted in SQL before the work that it guards. Attempts that turn out right are
//! refunded.

use std::time::Duration;

use tokio::time::Instant;

use super::Error;
use crate::app::App;
use crate::app::in_flight::InFlightAttempt;
use crate::config::{Limits, Rate};
use crate::db::{DbError, Tx};
use crate::event::Event;
use crate::models::rate_limit::{self, RateLimitRow};

/// Failures in a row that an account may have (NIST SP 800-63B-4, 3.2.2: 100 at most).
const MAX_IN_A_ROW: i64 = 100;

/// Forms with a new password for each registration that a network may make: people correct mistakes.
const FORMS_PER_REGISTRATION: i64 = 10;

/// Forms that a network may always make: a person who corrects a dozen mistakes must get through.
const MIN_FORMS: i64 = 20;

/// Wrong codes to log in with are a fourth of those for a reset, so that both together take an account over
/// with a chance of less than one in ten million a year.
const LOGIN_CODE_PART: i64 = 4;

/// How long an attempt may wait for those in flight: longer than a full hash queue takes.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateLimit {
    LoginIp,
    LoginAccount,
    /// Failed logins to an account in a row: the lockout.
    LoginInARow,
    /// Links of emails that do not work.
    LinkIp,
    RegisterIp,
    /// Forms whose new password is checked, from a network or by an account.
    NewPassword,
    ForgotIp,
    ForgotAccount,
    /// Wrong codes for an account, over all its codes.
    ResetAccount,
    /// The same for codes to log in with. Counted separately: with one count, an attacker could see at one
    /// page whether a username and an address that were tried at the other belong together.
    LoginCode,
    MailAddress,
    MailDomain,
    /// Emails that one network causes.
    MailNetwork,
    /// Emails that one network causes to one domain.
    MailNetworkDomain,
    MailSite,
}

impl RateLimit {
    pub const ALL: [Self; 15] = [
        Self::LoginIp,
        Self::LoginAccount,
        Self::LoginInARow,
        Self::LinkIp,
        Self::RegisterIp,
        Self::NewPassword,
        Self::ForgotIp,
        Self::ForgotAccount,
        Self::ResetAccount,
        Self::LoginCode,
        Self::MailAddress,
        Self::MailDomain,
        Self::MailNetwork,
        Self::MailNetworkDomain,
        Self::MailSite,
    ];

    /// What the log, the metrics and the counters' keys call it.
    pub fn name(self, app: &App) -> &'static str {
        self.setting(&app.config.limits).0
    }

    /// Its name, and what the settings say; no rate is `off`.
    fn setting(self, limits: &Limits) -> (&'static str, Option<Rate>) {
        match self {
            Self::LoginIp => ("login_ip", limits.login_ip),
            Self::LoginAccount => ("login_account", limits.login_account),
            Self::LoginInARow => (
                "login_in_a_row",
                limits.login_account.map(|rate| Rate { count: MAX_IN_A_ROW, ..rate }),
            ),
            Self::LinkIp => ("link_ip", limits.login_ip),
            Self::RegisterIp => ("register_ip", limits.register_ip),
            Self::NewPassword => {
                let forms = |Rate { count, period }| {
                    let count = count.saturating_mul(FORMS_PER_REGISTRATION).max(MIN_FORMS);
                    Rate { count, period }
                };
                ("new_password", limits.register_ip.map(forms))
            }
            Self::ForgotIp => ("forgot_ip", limits.forgot_ip),
            Self::ForgotAccount => ("forgot_account", limits.forgot_account),
            Self::ResetAccount => ("reset_account", limits.reset_account),
            Self::LoginCode => {
                let part = |Rate { count, period }| Rate {
                    count: (count / LOGIN_CODE_PART).max(1),
                    period,
                };
                ("login_code", limits.reset_account.map(part))
            }
            Self::MailAddress => ("mail_address", limits.mail_address),
            Self::MailDomain => ("mail_domain", limits.mail_domain),
            Self::MailNetwork => ("mail_network", limits.mail_site),
            Self::MailNetworkDomain => ("mail_network_domain", limits.mail_domain),
            Self::MailSite => ("mail_site", limits.mail_site),
        }
    }

    /// How often it may happen; `None` is `off`.
    pub fn rate(self, app: &App) -> Option<Rate> {
        self.setting(&app.config.limits).1
    }

    fn is_about_failed_logins(self) -> bool {
        matches!(self, Self::LoginAccount | Self::LoginInARow)
    }
}

/// One thing to count, and how often it may happen.
#[derive(Clone, Debug)]
pub struct Counter {
    limit: RateLimit,
    name: &'static str,
    /// Digest of the limit's name and of what is counted.
    subject: String,
    rate: Rate,
    /// 1, or 0 to do the same work for an account that does not exist without using anything up.
    pub adds: i64,
}

impl Counter {
    /// The counter of `limit` for `key`, which may be counted up to `rate`.
    pub fn new(app: &App, limit: RateLimit, key: &str, rate: Rate) -> Self {
        let name = limit.name(app);
        let subject = app.key.digest("limit", &[name, key]);
        Self { limit, name, subject, rate, adds: 1 }
    }

    /// The counter of `limit` for `key`; none if the limit is off.
    pub fn of(app: &App, limit: RateLimit, key: &str) -> Option<Self> {
        limit.rate(app).map(|rate| Self::new(app, limit, key, rate))
    }

    /// The counters of `limit` for these networks, each with its multiple of the rate.
    pub fn of_networks(app: &App, limit: RateLimit, networks: Vec<(String, i64)>) -> Vec<Self> {
        let Some(rate) = limit.rate(app) else { return Vec::new() };
        let counter = |(key, times): (String, i64)| Self::new(app, limit, &key, rate.times(times));
        networks.into_iter().map(counter).collect()
    }

    /// The counters of failed passwords for `key`.
    pub fn of_failures(app: &App, key: &str) -> Vec<Self> {
        let limits = [RateLimit::LoginAccount, RateLimit::LoginInARow].into_iter();
        limits.filter_map(|limit| Self::of(app, limit, key)).collect()
    }

    /// Counts one more.
    async fn count(&self, tx: &mut Tx, now: i64) -> Result<RateLimitRow, DbError> {
        if self.limit == RateLimit::LoginInARow {
            return rate_limit::count_in_a_row(tx.executor(), &self.subject, now).await;
        }
        rate_limit::count(tx.executor(), &self.subject, self.adds, self.rate.period, now).await
    }
}

/// What counting showed.
enum Counted {
    WithinLimits {
        /// The limit of failed logins that a failure now reaches.
        reached: Option<RateLimit>,
    },
    Exceeded(Exceeded),
}

/// A limit that was reached before.
struct Exceeded {
    counter: Counter,
    /// Seconds until its window ends.
    retry_after: i64,
}

impl Exceeded {
    /// Writes the event and counts it. `account` is the user's id, if the limit is about a user.
    fn into_error(self, app: &App, account: Option<&str>) -> Error {
        let is_stopped = self.counter.limit == RateLimit::LoginInARow;
        let retry_after = (!is_stopped).then_some(self.retry_after);
        Event::Limited { account, limit: self.counter.name, retry_after }.write();
        app.metrics.count_limited(self.counter.name);
        retry_after.map_or(Error::LoginStopped, |retry_after| Error::RateLimited { retry_after })
    }
}

/// Counts one more for each counter. `account` is the user's id for the log, if they are about a user.
pub async fn count(
    app: &App,
    counters: impl IntoIterator<Item = Counter>,
    account: Option<&str>,
) -> Result<(), Error> {
    let counters: Vec<Counter> = counters.into_iter().collect();
    match count_all(app, &counters).await? {
        Counted::WithinLimits { .. } => Ok(()),
        Counted::Exceeded(exceeded) => Err(exceeded.into_error(app, account)),
    }
}

/// Counts one more within `tx`, and returns whether that is within the limits.
pub async fn is_within_limits(
    app: &App,
    tx: &mut Tx,
    counters: &[Counter],
) -> Result<bool, DbError> {
    Ok(matches!(count_in(app, tx, counters).await?, Counted::WithinLimits { .. }))
}

/// As [`is_within_limits`], for an email. One that is not sent is logged.
pub async fn may_send(app: &App, tx: &mut Tx, counters: &[Counter]) -> Result<bool, DbError> {
    match count_in(app, tx, counters).await? {
        Counted::WithinLimits { .. } => Ok(true),
        Counted::Exceeded(exceeded) => {
            drop(exceeded.into_error(app, None));
            Ok(false)
        }
    }
}

async fn count_all(app: &App, counters: &[Counter]) -> Result<Counted, DbError> {
    if counters.is_empty() {
        return Ok(Counted::WithinLimits { reached: None });
    }
    let mut tx = app.db.begin().await?;
    let counted = count_in(app, &mut tx, counters).await?;
    tx.commit().await.map(|()| counted)
}

/// Counts within `tx`. Where a limit was reached before, nothing is counted: a refused request must not
/// use anything up. The order of the counters must be the same everywhere, so that transactions do not
/// deadlock.
async fn count_in(app: &App, tx: &mut Tx, counters: &[Counter]) -> Result<Counted, DbError> {
    let (now, mut reached) = (app.clock.now(), None);
    for (at, counter) in counters.iter().enumerate() {
        let RateLimitRow { count, window_ends_at } = counter.count(tx, now).await?;
        let retry_after = (window_ends_at - now).max(1);
        if count > counter.rate.count {
            refund_in(tx, &counters[..=at], false).await?;
            return Ok(Counted::Exceeded(Exceeded { counter: counter.clone(), retry_after }));
        }
        if count == counter.rate.count && counter.adds > 0 {
            if counter.limit.is_about_failed_logins() {
                reached = Some(counter.limit);
            }
            if counter.limit == RateLimit::MailSite {
                Event::MailLimitReached { limit: counter.name, retry_after }.write();
            }
        }
    }
    Ok(Counted::WithinLimits { reached })
}

/// Refunds what was counted. With `clears_failures`, the earlier failures at the account are cleared as
/// well, because the owner has logged in. Those of the network stay: a login to one's own account must not
/// clear them (django-allauth 65.8.1).
async fn refund_in(
    tx: &mut Tx,
    counters: &[Counter],
    clears_failures: bool,
) -> Result<(), DbError> {
    for counter in counters {
        if clears_failures && counter.limit.is_about_failed_logins() {
            rate_limit::reset(tx.executor(), &counter.subject).await?;
        } else {
            rate_limit::refund(tx.executor(), &counter.subject, counter.adds).await?;
        }
    }
    Ok(())
}

/// A counted attempt at a password or a code. It stays counted unless it is refunded.
#[derive(Debug)]
pub struct Attempt {
    counters: Vec<Counter>,
    in_flight: InFlightAttempt,
    /// The limit of failed logins that a failure now reaches; of two, the one that has no end.
    pub reached: Option<RateLimit>,
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
            let subjects = counters.iter().map(|counter| counter.subject.as_str());
            let in_flight = app.in_flight.begin(subjects);
            let exceeded = match count_all(app, &counters).await? {
                Counted::WithinLimits { reached } => {
                    return Ok(Self { counters, in_flight, reached });
                }
                Counted::Exceeded(exceeded) => exceeded,
            };
            if !in_flight.wait_for_refund(&exceeded.counter.subject, until).await {
                return Err(exceeded.into_error(app, account));
            }
        }
    }

    /// Refunds it: it was not compared.
    pub async fn refund(self, app: &App) {
        self.end(app, false).await;
    }

    /// Refunds it and clears the failed passwords before it: it was right.
    pub async fn clear_failures(self, app: &App) {
        self.end(app, true).await;
    }

    /// A database failure is only logged: the request continues.
    async fn end(self, app: &App, clears_failures: bool) {
        let refunded = async {
            let mut tx = app.db.begin().await?;
            refund_in(&mut tx, &self.counters, clears_failures).await?;
            tx.commit().await
        };
        if !self.counters.is_empty()
            && let Err(error) = refunded.await
        {
            Event::log_fault("a_limit_was_not_taken_back", &error);
        }
        self.in_flight.refund();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_limits_are_listed() {
        for (index, limit) in RateLimit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, index);
        }
        assert_eq!(RateLimit::ALL.len(), RateLimit::MailSite as usize + 1, "the last of them");
    }
}
