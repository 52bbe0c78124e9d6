//! How often things may happen: the settings' limits, counted before what they guard.

use super::App;
use crate::config::Rate;
use crate::db::{DbError, Tx};
use crate::error::RequestError;
use crate::event::{Details, Event};
use crate::models::limit::{Allowance, Limited, LoginCount, MOST_IN_A_ROW};

impl App {
    /// Counts one more of `what` by `whom`, and fails when that was one too many. `account` is for the
    /// log: the user's id, if the limit is about a user.
    ///
    /// # Errors
    /// [`RequestError::TooMany`] beyond the limit.
    pub(crate) async fn limit(
        &self,
        what: Limited,
        whom: &str,
        account: Option<&str>,
    ) -> Result<(), RequestError> {
        answer(what, self.store.count(what, whom, self.rate(what)).await?, account)
    }

    /// As [`App::limit`], within `tx`.
    ///
    /// # Errors
    /// [`RequestError::TooMany`] beyond the limit; it was counted all the same.
    pub(crate) async fn limit_in(
        &self,
        tx: &mut Tx,
        what: Limited,
        whom: &str,
    ) -> Result<(), RequestError> {
        let Some(rate) = self.rate(what) else { return Ok(()) };
        answer(what, self.store.count_on(tx.on(), (what, whom), rate).await?, None)
    }

    /// Counts one more login by `whom`, from `address` if it counts, and answers how many failed in a
    /// row if this one does; 0 where logins to an account are not limited. `account` as in
    /// [`App::limit`].
    ///
    /// # Errors
    /// [`RequestError::TooMany`] beyond a limit, [`RequestError::Stopped`] beyond the hundred of NIST SP
    /// 800-63B-4.
    pub(crate) async fn limit_login(
        &self,
        address: Option<&str>,
        whom: &str,
        account: Option<&str>,
    ) -> Result<i64, RequestError> {
        match self.store.count_login(self.login_count(address, whom)).await? {
            Ok(in_a_row) if in_a_row > MOST_IN_A_ROW => {
                let limit = Some(Limited::LoginInARow.name());
                Event::Limited.write(Details { account, limit, ..Details::default() });
                Err(RequestError::Stopped)
            }
            Ok(in_a_row) => Ok(in_a_row),
            Err((what, retry_after)) => Err(too_many(what, retry_after, account)),
        }
    }

    /// Takes back a login that was counted and was right, or was none at all; with it go the failures
    /// before it, if it `forgives`. A failure is only logged, because what the owner came for is done.
    pub(crate) async fn unlimit_login(&self, address: Option<&str>, whom: &str, forgives: bool) {
        let count = self.login_count(address, whom);
        log_failure(self.store.uncount_login(count, forgives).await);
    }

    fn login_count<'a>(&self, address: Option<&'a str>, whom: &'a str) -> LoginCount<'a> {
        LoginCount {
            address: address.zip(self.rate(Limited::LoginIp)),
            account: self.rate(Limited::LoginAccount).map(|rate| (whom, rate)),
        }
    }

    /// Takes back one that was counted before it turned out right; the others stay.
    pub(crate) async fn give_back(&self, what: Limited, whom: &str) {
        if self.rate(what).is_some() {
            log_failure(self.store.give_back(what, whom).await);
        }
    }

    /// What the settings say of `what`; `None` is `off`.
    pub(crate) fn rate(&self, what: Limited) -> Option<Rate> {
        let limits = &self.config.limits;
        match what {
            Limited::LoginIp => limits.login_ip,
            Limited::LoginAccount | Limited::LoginInARow => limits.login_account,
            Limited::RegisterIp => limits.register_ip,
            Limited::ForgotIp => limits.forgot_ip,
            Limited::ForgotAccount => limits.forgot_account,
            Limited::ResetAccount => limits.reset_account,
            Limited::MailAddress => limits.mail_address,
        }
    }
}

fn answer(what: Limited, allowance: Allowance, account: Option<&str>) -> Result<(), RequestError> {
    match allowance {
        Allowance::Allowed => Ok(()),
        Allowance::Exceeded { retry_after } => Err(too_many(what, retry_after, account)),
    }
}

fn too_many(what: Limited, retry_after: i64, account: Option<&str>) -> RequestError {
    let limit = Some(what.name());
    let seconds = Some(retry_after);
    Event::Limited.write(Details { account, limit, retry_after: seconds, ..Details::default() });
    RequestError::TooMany { retry_after }
}

fn log_failure(done: Result<(), DbError>) {
    if let Err(error) = done {
        Event::Fault.because("a_limit_was_not_taken_back", &error);
    }
}
