//! The `limits` table: how often something was done, counted in SQL before it is allowed.

mod login;

pub use login::{LoginCount, MOST_IN_A_ROW};

use super::Store;
use crate::config::Rate;
use crate::db::{DbError, On, SkipLocked, skip_locked, sql};

/// One statement that begins a window or counts within it, so that parallel requests on any number
/// of nodes are each counted (CVE-2024-4629: parallel logins passed Keycloak's counter). A window
/// that would end too late, after the clock was put back, is cut to its length.
const COUNT: &str = "
    insert into limits (subject, count, window_ends_at) values ($1, 1, $2)
    on conflict (subject) do update set
        count = case when limits.window_ends_at <= $3 then 1 else limits.count + 1 end,
        window_ends_at = case
            when limits.window_ends_at <= $3 or limits.window_ends_at > $2 then $2
            else limits.window_ends_at end
    returning count, window_ends_at";

const UNCOUNT: &str = "update limits set count = count - 1 where subject = $1 and count > 0";

/// What is limited. The name goes into the subject, so that each has its own counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// Failed logins from an address.
    LoginIp,
    /// Failed logins to an account.
    LoginAccount,
    /// Failed logins to an account in a row.
    LoginInARow,
    /// Registrations from an address.
    RegisterIp,
    /// Codes asked for from an address.
    ForgotIp,
    /// Codes asked for an account.
    ForgotAccount,
    /// Wrong codes for an account, over all its codes.
    ResetAccount,
    /// Mails to an address.
    MailAddress,
}

impl Limited {
    /// Its setting, `VESTIBULE_LIMIT_…`, in the log and in the subjects: a new name starts anew.
    pub fn name(self) -> &'static str {
        match self {
            Self::LoginIp => "login_ip",
            Self::LoginAccount => "login_account",
            Self::LoginInARow => "login_in_a_row",
            Self::RegisterIp => "register_ip",
            Self::ForgotIp => "forgot_ip",
            Self::ForgotAccount => "forgot_account",
            Self::ResetAccount => "reset_account",
            Self::MailAddress => "mail_address",
        }
    }
}

/// Whether it may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allowance {
    /// Yes, and it was counted.
    Allowed,
    /// No, for so many seconds; it was counted all the same.
    Exceeded {
        /// Until the window ends.
        retry_after: i64,
    },
}

const SWEEP: SkipLocked = skip_locked!(
    "select subject from limits where window_ends_at <= $1 limit $2",
    "delete from limits where subject in (select subject from picked)"
);

impl Store {
    /// Deletes up to `most` rows that count nothing any more and answers how many went.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sweep_limits(&self, most: i64) -> Result<u64, DbError> {
        let before = self.clock.now();
        sql(SWEEP.text(&self.db)).bind(before).bind(most).execute(self.db.writer()).await
    }

    /// Counts one more, then says whether it is within `rate`. `None` is `off`: always allowed.
    ///
    /// # Errors
    /// When the database fails; then nothing may be allowed.
    pub async fn count(
        &self,
        what: Limited,
        whom: &str,
        rate: Option<Rate>,
    ) -> Result<Allowance, DbError> {
        match rate {
            Some(rate) => self.count_on(self.db.writer(), (what, whom), rate).await,
            None => Ok(Allowance::Allowed),
        }
    }

    /// As [`Store::count`], where `on` says.
    ///
    /// # Errors
    /// When the database fails; then nothing may be allowed.
    pub async fn count_on(
        &self,
        on: On<'_>,
        (what, whom): (Limited, &str),
        rate: Rate,
    ) -> Result<Allowance, DbError> {
        let now = self.clock.now();
        let counted = sql(COUNT)
            .bind(&self.subject(what, whom))
            .bind(now.saturating_add(rate.period))
            .bind(now);
        Ok(match counted.optional::<(i64, i64)>(on).await? {
            Some((count, ends_at)) if count > rate.count => {
                Allowance::Exceeded { retry_after: (ends_at - now).max(1) }
            }
            _ => Allowance::Allowed,
        })
    }

    /// Takes back one that turned out not to count.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn give_back(&self, what: Limited, whom: &str) -> Result<(), DbError> {
        self.run(self.db.writer(), UNCOUNT, (what, whom)).await
    }

    async fn run(
        &self,
        on: On<'_>,
        text: &'static str,
        (what, whom): (Limited, &str),
    ) -> Result<(), DbError> {
        sql(text).bind(&self.subject(what, whom)).execute(on).await.map(drop)
    }

    fn subject(&self, what: Limited, whom: &str) -> String {
        self.key.digest("limit", &[what.name(), whom])
    }
}
