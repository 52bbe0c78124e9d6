//! What a login counts: in one transaction before the password is compared, in another when it was.
//!
//! The rows are always taken in the same order, address, account, row, so that of two logins to one
//! account, from one address, neither waits for what the other holds.

use super::{Allowance, Limited, UNCOUNT};
use crate::config::Rate;
use crate::db::{DbError, On, sql};
use crate::models::Store;

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

const FORGET: &str = "delete from limits where subject = $1";

/// Failures in a row that an account may have (NIST SP 800-63B-4, 3.2.2: 100 at most).
pub const MOST_IN_A_ROW: i64 = 100;

const DAY: i64 = 24 * 60 * 60;

/// "Until a reset" ends at last: rows of names that nobody has must not stay for ever.
const STOPPED_FOR: i64 = 366 * DAY;

/// What a login is counted by.
#[derive(Clone, Copy, Debug)]
pub struct LoginCount<'a> {
    /// The address, if it counts, and its rate.
    pub address: Option<(&'a str, Rate)>,
    /// Whose tries at the account these are, and their rate.
    pub account: Option<(&'a str, Rate)>,
}

impl Store {
    /// Counts one more, the account's only where the address has not had too many, and answers how
    /// many there are in a row: beyond [`MOST_IN_A_ROW`] nothing may be compared; 0 where logins to an
    /// account are not limited. Else which limit was reached, and for how many seconds.
    ///
    /// # Errors
    /// When the database fails; then nothing may be allowed.
    pub async fn count_login(
        &self,
        login: LoginCount<'_>,
    ) -> Result<Result<i64, (Limited, i64)>, DbError> {
        let counts = [(Limited::LoginIp, login.address), (Limited::LoginAccount, login.account)];
        if counts.iter().all(|(_, count)| count.is_none()) {
            return Ok(Ok(0));
        }
        let mut tx = self.db.begin().await?;
        for (what, (whom, rate)) in counts.iter().filter_map(|&(what, count)| Some((what, count?)))
        {
            let counted = self.count_on(tx.on(), (what, whom), rate).await?;
            if let Allowance::Exceeded { retry_after } = counted {
                return tx.commit().await.map(|()| Err((what, retry_after)));
            }
        }
        let in_a_row = match login.account {
            Some((whom, _)) => self.count_in_a_row(tx.on(), whom).await?,
            None => 0,
        };
        tx.commit().await.map(|()| Ok(in_a_row))
    }

    async fn count_in_a_row(&self, on: On<'_>, account: &str) -> Result<i64, DbError> {
        let counted = sql(COUNT_IN_A_ROW)
            .bind(&self.subject(Limited::LoginInARow, account))
            .bind(self.clock.now())
            .bind(DAY)
            .bind(MOST_IN_A_ROW)
            .bind(STOPPED_FOR);
        let row = counted.optional::<(i64,)>(on).await?;
        Ok(row.map_or(i64::MAX, |(count,)| count))
    }

    /// Takes back what was counted for a login that was right, or none at all. The others of the
    /// address stay: a success of one's own must not clear it (django-allauth 65.8.1). Those of the
    /// account are forgotten if it `forgives`: the owner has shown up.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn uncount_login(
        &self,
        login: LoginCount<'_>,
        forgives: bool,
    ) -> Result<(), DbError> {
        let (address, account) = (login.address.map(|of| of.0), login.account.map(|of| of.0));
        if address.is_none() && account.is_none() {
            return Ok(());
        }
        let mut tx = self.db.begin().await?;
        if let Some(address) = address {
            self.run(tx.on(), UNCOUNT, (Limited::LoginIp, address)).await?;
        }
        let change = if forgives { FORGET } else { UNCOUNT };
        for what in [Limited::LoginAccount, Limited::LoginInARow] {
            if let Some(account) = account {
                self.run(tx.on(), change, (what, account)).await?;
            }
        }
        tx.commit().await
    }
}
