//! How often things may happen: the settings' limits, counted before what they guard.

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::Instant;

use super::App;
use super::under_way::Entered;
use crate::accounts::mailbox::Mailbox;
use crate::config::Rate;
use crate::db::DbError;
use crate::error::RequestError;
use crate::event::Event;
use crate::models::limit::{Count, Exceeded, Limited, Share};

/// Forms with a new password for each registration that an address may make: people correct
/// themselves a few times.
const FORMS_A_REGISTRATION: i64 = 10;

/// The part of the site's mails that one network may cause: by many accounts of its own, it must not
/// use up what the others need.
const NETWORK_PART: i64 = 10;

/// Where the site has few mails, a network gets this many all the same.
const NETWORK_LEAST: i64 = 10;

/// How long a try may wait for those that are under way: longer than a full hash queue takes.
const PATIENCE: Duration = Duration::from_secs(5);

/// A try at a password or a code, counted. It stays counted unless it is taken back.
#[derive(Debug)]
pub(crate) struct Try {
    counts: Vec<Count>,
    /// None once it is decided.
    entered: Option<Entered>,
    /// Failed logins in a row, if this is one.
    pub in_a_row: i64,
}

impl Try {
    /// Notes that it was wrong: those that wait for it need not any more.
    pub(crate) fn fail(&mut self) {
        self.entered = None;
    }
}

impl App {
    /// What one more of `what` by `whom` counts: nothing, if the limit is off.
    pub(crate) fn counts(&self, what: Limited, whom: &str) -> Vec<Count> {
        let count = |rate| Count { what, whom: whom.to_owned(), rate, adds: 1 };
        self.rate(what).map(count).into_iter().collect()
    }

    /// As [`App::counts`], by networks that may each reach the limit so many times.
    pub(crate) fn counts_by(&self, what: Limited, networks: Vec<(String, i64)>) -> Vec<Count> {
        let Some(Rate { count, period }) = self.rate(what) else { return Vec::new() };
        let rate = |times| Rate { count: count.saturating_mul(times), period };
        let count = |(whom, times)| Count { what, whom, rate: rate(times), adds: 1 };
        networks.into_iter().map(count).collect()
    }

    /// What a code counts that is asked for an account, whose mailbox may be others' too: a part of
    /// the mailbox's budget. By the account, so that somebody who knows the address alone cannot use
    /// up its codes; and seen by the person who asks, for whom more would not be sent.
    pub(crate) fn code_counts(&self, share: Share, account: &str) -> Vec<Count> {
        let mut counts = self.counts(Limited::MailAddress, &format!("asked {account}"));
        for count in &mut counts {
            count.rate = share.of(count.rate).1;
        }
        counts
    }

    /// What a mail counts that somebody in `network` causes: against the budgets of the mailbox, its
    /// domain, the network and the site.
    pub(crate) fn mail_counts(&self, share: Share, to: &Mailbox, network: IpAddr) -> Vec<Count> {
        let network = network.to_string();
        let whom = [
            (Limited::MailAddress, to.key()),
            (Limited::MailDomain, to.domain()),
            (Limited::MailNetwork, network.as_str()),
            (Limited::MailSite, ""),
        ];
        let count = |(what, whom): (Limited, &str)| {
            let (name, mut rate) = share.of(self.rate(what)?);
            if what == Limited::MailNetwork {
                rate.count = (rate.count / NETWORK_PART).max(NETWORK_LEAST);
            }
            Some(Count { what, whom: format!("{name} {whom}"), rate, adds: 1 })
        };
        whom.into_iter().filter_map(count).collect()
    }

    /// Counts one more of each, and fails when a limit was reached before. `account` is for the log:
    /// the user's id, if they are about a user.
    ///
    /// # Errors
    /// [`RequestError::TooMany`] beyond a limit.
    pub(crate) async fn limit(
        &self,
        counts: &[Count],
        account: Option<&str>,
    ) -> Result<(), RequestError> {
        let counted = self.store.count(counts).await?;
        counted.map(drop).map_err(|exceeded| refusal(&exceeded, account))
    }

    /// Counts a try before it is compared. When a limit is reached only because of tries that are
    /// under way, it waits for one of them to turn out right, and is counted then: a person, or an
    /// office, may send many right passwords at once.
    ///
    /// # Errors
    /// [`RequestError::TooMany`] beyond a limit, [`RequestError::Stopped`] beyond the hundred of NIST SP
    /// 800-63B-4.
    pub(crate) async fn count_try(
        &self,
        counts: Vec<Count>,
        account: Option<&str>,
    ) -> Result<Try, RequestError> {
        let until = Instant::now() + PATIENCE;
        loop {
            let subjects = counts.iter().map(|count| subject(count.what, &count.whom)).collect();
            let entered = self.under_way.enter(subjects);
            let exceeded = match self.store.count(&counts).await? {
                Ok(in_a_row) => return Ok(Try { counts, entered: Some(entered), in_a_row }),
                Err(exceeded) => exceeded,
            };
            let waiting = entered.wait_for(&subject(exceeded.what, &exceeded.whom));
            let again = match &waiting {
                Some(waiting) => waiting.may_try_again(until).await,
                None => false,
            };
            if !again || Instant::now() >= until {
                return Err(refusal(&exceeded, account));
            }
        }
    }

    /// Takes back a try that was right, or was none at all; with it go the failed logins before it,
    /// if it `forgives`. A failure is only logged, because what the owner came for is done.
    pub(crate) async fn take_back(&self, counted: &mut Try, forgives: bool) {
        log_failure(self.store.take_back(&counted.counts, forgives).await);
        if let Some(entered) = counted.entered.take() {
            entered.take_back();
        }
    }

    /// What the settings say of `what`; `None` is `off`.
    fn rate(&self, what: Limited) -> Option<Rate> {
        let limits = &self.config.limits;
        let forms = |Rate { count, period }| Rate {
            count: count.saturating_mul(FORMS_A_REGISTRATION),
            period,
        };
        match what {
            Limited::LoginIp => limits.login_ip,
            Limited::LoginAccount | Limited::LoginInARow => limits.login_account,
            Limited::RegisterIp => limits.register_ip,
            Limited::NewPassword => limits.register_ip.map(forms),
            Limited::ForgotIp => limits.forgot_ip,
            Limited::ForgotAccount => limits.forgot_account,
            Limited::ResetAccount => limits.reset_account,
            Limited::MailAddress => limits.mail_address,
            Limited::MailDomain => limits.mail_domain,
            Limited::MailNetwork | Limited::MailSite => limits.mail_site,
        }
    }
}

/// What tries are under way by. A row of failures is counted with the account's.
fn subject(what: Limited, whom: &str) -> String {
    let what = if what == Limited::LoginInARow { Limited::LoginAccount } else { what };
    format!("{} {whom}", what.name())
}

/// The answer to one too many, which is logged.
fn refusal(exceeded: &Exceeded, account: Option<&str>) -> RequestError {
    exceeded.log(account);
    match exceeded.what {
        Limited::LoginInARow => RequestError::Stopped,
        _ => RequestError::TooMany { retry_after: exceeded.retry_after },
    }
}

fn log_failure(done: Result<(), DbError>) {
    if let Err(error) = done {
        Event::Fault.because("a_limit_was_not_taken_back", &error);
    }
}
