//! The `devices` table: browsers that an account was used from, known again by a cookie.

use sha2::{Digest, Sha256};

use super::Store;
use crate::db::{DbError, sql};

/// How long a browser is remembered after its last login, in seconds: as long as browsers keep a
/// cookie at most (RFC 6265bis, 400 days).
pub const LIFETIME: i64 = 400 * 24 * 60 * 60;

/// Browsers that are remembered of one account. Logging in without the cookie costs a row each time.
const MOST: i64 = 50;

/// What a login tells of the browser that it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Familiarity {
    /// This account was used from it before.
    Known,
    /// It is the first that this account is used from.
    First,
    /// The account was used from others, never from this one: worth a mail.
    New,
}

const NOTE: &str = "insert into devices (token_hash, user_id, logins, last_login_at)
    values ($1, $2, 1, $3)
    on conflict (user_id, token_hash) do update set logins = devices.logins + 1, last_login_at = $3
    returning logins";
const KEEP_NEWEST: &str = "delete from devices where user_id = $1 and token_hash not in
    (select token_hash from devices where user_id = $1 order by last_login_at desc limit $2)";
const COUNT: &str = "select count(*) from devices where user_id = $1";

const SWEEP: &str = "delete from devices where (user_id, token_hash) in
    (select user_id, token_hash from devices where last_login_at <= $1 limit $2)";

impl Store {
    /// Deletes up to `most` rows that nobody logged in from for [`LIFETIME`] and answers how many went.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sweep_devices(&self, most: i64) -> Result<u64, DbError> {
        let before = self.clock.now() - LIFETIME;
        sql(SWEEP).bind(before).bind(most).execute(self.db.writer()).await
    }

    /// Notes a login of `user_id` from the browser whose cookie holds `token`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn note_device(&self, user_id: &str, token: &str) -> Result<Familiarity, DbError> {
        let hash = Sha256::digest(token.as_bytes()).to_vec();
        let note = sql(NOTE).bind(hash).bind(user_id).bind(self.clock.now());
        let logins = note.optional::<(i64,)>(self.db.writer()).await?;
        if logins.is_some_and(|(logins,)| logins > 1) {
            return Ok(Familiarity::Known);
        }
        let keep = sql(KEEP_NEWEST).bind(user_id).bind(MOST);
        keep.execute(self.db.writer()).await?;
        let devices = sql(COUNT).bind(user_id).optional::<(i64,)>(self.db.reader()).await?;
        let is_first = devices.is_none_or(|(devices,)| devices <= 1);
        Ok(if is_first { Familiarity::First } else { Familiarity::New })
    }
}
