//! How often things may happen: the settings' limits, counted before what they guard.

use super::App;
use crate::config::Rate;
use crate::db::DbError;
use crate::error::RequestError;
use crate::event::{Details, Event};
use crate::models::limit::{Allowance, Limited, MOST_IN_A_ROW};

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
        match self.store.count(what, whom, self.rate(what)).await? {
            Allowance::Allowed => Ok(()),
            Allowance::Exceeded { retry_after: seconds } => {
                let (limit, retry_after) = (Some(what.name()), Some(seconds));
                Event::Limited.write(Details { account, limit, retry_after, ..Details::default() });
                Err(RequestError::TooMany { retry_after: seconds })
            }
        }
    }

    /// Counts one more failed login to `whom` in a row and answers how many there are; 0 where logins
    /// to an account are not limited. `account` as in [`App::limit`].
    ///
    /// # Errors
    /// [`RequestError::Stopped`] beyond the hundred of NIST SP 800-63B-4.
    pub(crate) async fn limit_row(
        &self,
        whom: &str,
        account: Option<&str>,
    ) -> Result<i64, RequestError> {
        if self.rate(Limited::LoginInARow).is_none() {
            return Ok(0);
        }
        match self.store.count_in_a_row(whom).await? {
            count if count > MOST_IN_A_ROW => {
                let limit = Some(Limited::LoginInARow.name());
                Event::Limited.write(Details { account, limit, ..Details::default() });
                Err(RequestError::Stopped)
            }
            count => Ok(count),
        }
    }

    /// Forgets what was counted: the owner has shown up. A failure is only logged, because what
    /// the owner came for is done.
    pub(crate) async fn forgive(&self, what: Limited, whom: &str) {
        if self.rate(what).is_some() {
            log_failure(self.store.forget(what, whom).await);
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

fn log_failure(done: Result<(), DbError>) {
    if let Err(error) = done {
        Event::Fault.because("a_limit_was_not_taken_back", &error);
    }
}
