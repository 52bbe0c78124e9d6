//! The `limits` table: how often something was done, counted in SQL before it is allowed.

mod in_a_row;
mod mail;

pub use in_a_row::MOST_IN_A_ROW;
pub use mail::Share;

use super::Store;
use crate::config::Rate;
use crate::db::{DbError, SkipLocked, Tx, skip_locked, sql};
use crate::event::{Details, Event};

/// One statement that begins a window or counts within it, so that parallel requests on any number
/// of nodes are each counted (CVE-2024-4629: parallel logins passed Keycloak's counter). A window
/// that would end too late, after the clock was put back, is cut to its length. Adding nothing, it
/// answers as if it had added one.
const COUNT: &str = "
    insert into limits (subject, count, window_ends_at) values ($1, $4, $2)
    on conflict (subject) do update set
        count = case when limits.window_ends_at <= $3 then $4 else limits.count + $4 end,
        window_ends_at = case
            when limits.window_ends_at <= $3 or limits.window_ends_at > $2 then $2
            else limits.window_ends_at end
    returning count + 1 - $4, window_ends_at";

const UNCOUNT: &str = "update limits set count = count - $2 where subject = $1 and count > 0";

const FORGET: &str = "delete from limits where subject = $1";

macro_rules! limited {
    ($($(#[$doc:meta])* $variant:ident $name:literal)*) => {
        /// What is limited. The name goes into the subject, so that each has its own counters.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Limited {$($(#[$doc])* $variant,)*}

        impl Limited {
            /// Its setting, `VESTIBULE_LIMIT_…`, in the log and in the subjects: a new name starts anew.
            pub fn name(self) -> &'static str {
                match self {$(Self::$variant => $name,)*}
            }
        }
    };
}

limited! {
    /// Failed logins from an address.
    LoginIp "login_ip"
    /// Failed logins to an account.
    LoginAccount "login_account"
    /// Failed logins to an account in a row: [`Store::count`] counts them with [`Self::LoginAccount`].
    LoginInARow "login_in_a_row"
    /// Registrations from an address.
    RegisterIp "register_ip"
    /// Forms whose new password is judged, from an address or by an account.
    NewPassword "new_password"
    /// Codes asked for from an address.
    ForgotIp "forgot_ip"
    /// Codes asked for an account.
    ForgotAccount "forgot_account"
    /// Wrong codes for an account, over all its codes.
    ResetAccount "reset_account"
    /// Mails to a mailbox.
    MailAddress "mail_address"
    /// Mails to a domain.
    MailDomain "mail_domain"
    /// Mails that one network causes.
    MailNetwork "mail_network"
    /// All mails of the site.
    MailSite "mail_site"
}

/// One thing to count, and how often it may happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// What.
    pub what: Limited,
    /// By whom, or to whom.
    pub whom: String,
    /// How often.
    pub rate: Rate,
    /// 1, or 0 to do the same for nobody without using anything up.
    pub adds: i64,
}

/// A limit that was reached before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// Which.
    pub what: Limited,
    /// Whose.
    pub whom: String,
    /// Seconds until its window ends.
    pub retry_after: i64,
}

/// How many failures in a row there are with what was counted, or which limit was reached before.
pub type Counted = Result<i64, Exceeded>;

impl Exceeded {
    /// Writes the line of the log. `account` is the user's id, if the limit is about a user.
    pub fn log(&self, account: Option<&str>) {
        self.write(Event::Limited, account);
    }

    fn write(&self, event: Event, account: Option<&str>) {
        let limit = Some(self.what.name());
        // Only a new password ends a row of failures.
        let retry_after = (self.what != Limited::LoginInARow).then_some(self.retry_after);
        event.write(Details { account, limit, retry_after, ..Details::default() });
    }
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

    /// Counts one more of each, in their order, and answers how many failures in a row this makes if
    /// it is a login that fails; 0 if no login to an account is among them. Where a limit was reached
    /// before, nothing is counted: what is refused must not use up what is left.
    ///
    /// # Errors
    /// When the database fails; then nothing may be allowed.
    pub async fn count(&self, counts: &[Count]) -> Result<Counted, DbError> {
        if counts.is_empty() {
            return Ok(Ok(0));
        }
        let mut tx = self.db.begin().await?;
        let counted = self.count_in(&mut tx, counts).await?;
        tx.commit().await.map(|()| counted)
    }

    /// As [`Store::count`], within `tx`. The order of `counts` must be the same everywhere: of two
    /// transactions neither may wait for a row that the other holds.
    ///
    /// # Errors
    /// When the database fails; then nothing may be allowed.
    pub async fn count_in(&self, tx: &mut Tx, counts: &[Count]) -> Result<Counted, DbError> {
        let mut in_a_row = 0;
        for (number, count) in counts.iter().enumerate() {
            match self.count_one(tx, count).await? {
                Err(exceeded) => {
                    self.uncount(tx, &counts[..=number]).await?;
                    return Ok(Err(exceeded));
                }
                Ok(row) => in_a_row += row,
            }
        }
        let account = counts.iter().find(|count| count.what == Limited::LoginAccount);
        let Some(account) = account.filter(|_| in_a_row > MOST_IN_A_ROW) else {
            return Ok(Ok(in_a_row));
        };
        self.take_back_in(tx, counts, false).await?;
        let (what, whom) = (Limited::LoginInARow, account.whom.clone());
        Ok(Err(Exceeded { what, whom, retry_after: 0 }))
    }

    /// Whether one more mail may go out; it is counted within `tx`. When not, it is left out: a
    /// stranger's address must not be flooded by somebody who registered with it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn may_post(&self, tx: &mut Tx, counts: &[Count]) -> Result<bool, DbError> {
        let counted = self.count_in(tx, counts).await?;
        Ok(counted.inspect_err(|exceeded| exceeded.log(None)).is_ok())
    }

    /// Takes back what was counted and turned out not to count. With a login that was right go the
    /// failures before it at the account, if it `forgives`: the owner has shown up. Those of the
    /// address stay: a success of one's own must not clear it (django-allauth 65.8.1).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn take_back(&self, counts: &[Count], forgives: bool) -> Result<(), DbError> {
        if counts.is_empty() {
            return Ok(());
        }
        let mut tx = self.db.begin().await?;
        self.take_back_in(&mut tx, counts, forgives).await?;
        tx.commit().await
    }

    async fn take_back_in(
        &self,
        tx: &mut Tx,
        counts: &[Count],
        forgives: bool,
    ) -> Result<(), DbError> {
        for count in counts {
            let Count { what, whom, adds, .. } = count;
            if *what != Limited::LoginAccount {
                self.uncount(tx, std::slice::from_ref(count)).await?;
                continue;
            }
            for what in [*what, Limited::LoginInARow] {
                let subject = self.subject(what, whom);
                let change = sql(if forgives { FORGET } else { UNCOUNT }).bind(&subject);
                let change = if forgives { change } else { change.bind(*adds) };
                change.execute(tx.on()).await?;
            }
        }
        Ok(())
    }

    async fn uncount(&self, tx: &mut Tx, counts: &[Count]) -> Result<(), DbError> {
        for Count { what, whom, adds, .. } in counts {
            let uncount = sql(UNCOUNT).bind(&self.subject(*what, whom)).bind(*adds);
            uncount.execute(tx.on()).await?;
        }
        Ok(())
    }

    /// Counts one, and a login to an account in its row, too.
    async fn count_one(&self, tx: &mut Tx, count: &Count) -> Result<Counted, DbError> {
        let (Count { what, whom, rate, adds }, now) = (count, self.clock.now());
        let statement = sql(COUNT)
            .bind(&self.subject(*what, whom))
            .bind(now.saturating_add(rate.period))
            .bind(now)
            .bind(*adds);
        let counted = statement.optional::<(i64, i64)>(tx.on()).await?;
        let (number, ends_at) = counted.unwrap_or((i64::MAX, now));
        let reached =
            Exceeded { what: *what, whom: whom.clone(), retry_after: (ends_at - now).max(1) };
        if number > rate.count {
            return Ok(Err(reached));
        }
        if (number, *adds, *what) == (rate.count, 1, Limited::MailSite) {
            reached.write(Event::MailLimitReached, None);
        }
        if *what == Limited::LoginAccount {
            return self.count_in_a_row(tx.on(), whom).await.map(Ok);
        }
        Ok(Ok(0))
    }

    fn subject(&self, what: Limited, whom: &str) -> String {
        self.key.digest("limit", &[what.name(), whom])
    }
}
