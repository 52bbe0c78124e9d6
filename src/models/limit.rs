//! The `limits` table: how often something was done, counted in SQL before it is allowed.

use super::Store;
use crate::config::Rate;
use crate::db::{DbError, SkipLocked, skip_locked, sql};

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

/// Each failure is remembered a day longer than the one before, so that a guesser of one name can
/// try once a day in the long run, and names that were tried once cost a row for a day. Who is
/// stopped stays so.
const COUNT_IN_A_ROW: &str = "
    insert into limits (subject, count, window_ends_at) values ($1, 1, $2 + $3)
    on conflict (subject) do update set
        count = case when limits.window_ends_at <= $2 then 1 else limits.count + 1 end,
        window_ends_at = case
            when limits.window_ends_at <= $2 then $2 + $3
            when limits.count >= $4 then $2 + $5
            else $2 + (limits.count + 1) * $3 end
    returning count";

const UNCOUNT: &str = "update limits set count = count - 1 where subject = $1 and count > 0";
const FORGET: &str = "delete from limits where subject = $1";

/// Failures in a row that an account may have (NIST SP 800-63B-4, 3.2.2: 100 at most).
pub const MOST_IN_A_ROW: i64 = 100;

const DAY: i64 = 24 * 60 * 60;

/// "Until a reset" ends at last: rows of names that nobody has must not stay for ever.
const STOPPED_FOR: i64 = 366 * DAY;

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
        let Some(rate) = rate else {
            return Ok(Allowance::Allowed);
        };
        let now = self.clock.now();
        let counted = sql(COUNT)
            .bind(&self.subject(what, whom))
            .bind(now.saturating_add(rate.period))
            .bind(now);
        let row = counted.optional::<(i64, i64)>(self.db.writer()).await?;
        Ok(match row {
            Some((count, ends_at)) if count > rate.count => {
                Allowance::Exceeded { retry_after: (ends_at - now).max(1) }
            }
            _ => Allowance::Allowed,
        })
    }

    /// Counts one more failed login to `account` in a row and answers how many there are: beyond
    /// [`MOST_IN_A_ROW`] nothing may be compared.
    ///
    /// # Errors
    /// When the database fails; then nothing may be allowed.
    pub async fn count_in_a_row(&self, account: &str) -> Result<i64, DbError> {
        let counted = sql(COUNT_IN_A_ROW)
            .bind(&self.subject(Limited::LoginInARow, account))
            .bind(self.clock.now())
            .bind(DAY)
            .bind(MOST_IN_A_ROW)
            .bind(STOPPED_FOR);
        let row = counted.optional::<(i64,)>(self.db.writer()).await?;
        Ok(row.map_or(i64::MAX, |(count,)| count))
    }

    /// Takes back one that turned out not to count, such as the login that was right. The others
    /// stay: a success of one's own must not clear an address (django-allauth 65.8.1).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn give_back(&self, what: Limited, whom: &str) -> Result<(), DbError> {
        self.run(UNCOUNT, what, whom).await
    }

    /// Forgets all that was counted against `whom`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn forget(&self, what: Limited, whom: &str) -> Result<(), DbError> {
        self.run(FORGET, what, whom).await
    }

    async fn run(&self, text: &'static str, what: Limited, whom: &str) -> Result<(), DbError> {
        sql(text).bind(&self.subject(what, whom)).execute(self.db.writer()).await?;
        Ok(())
    }

    fn subject(&self, what: Limited, whom: &str) -> String {
        self.key.digest("limit", &[what.name(), whom])
    }
}
