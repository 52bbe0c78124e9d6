//! The `devices` table: browsers that an account was used from, known again by a cookie.

use sha2::{Digest, Sha256};

use super::Store;
use super::user::User;
use crate::db::{DbError, Executor, SkipLocked, Tx, row, skip_locked, sql};

/// How long a browser is remembered after its last login, in seconds: as long as browsers keep a
/// cookie at most (RFC 6265bis, 400 days).
pub const LIFETIME: i64 = 400 * 24 * 60 * 60;

/// Browsers that are remembered of one account. Logging in without the cookie costs a row each time.
/// With one more, [`KEEP_NEWEST`] has work to do.
const MOST: i64 = 50;

/// Tokens that one browser holds, one for each account that is used in it.
pub const MOST_TOKENS: usize = 4;

/// A browser that an account was used from, found by one of its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownDevice {
    /// The one that this account gave it.
    pub token: String,
    /// The account's, when it was last used from there.
    pub credential_version: i64,
    /// None, if the password was set there and nobody logged in since.
    pub logins: i64,
}

impl KnownDevice {
    /// Whether `user` logged in from it with the present password. After a change of the password only
    /// browsers that knew the new one count: a thief of the old one had one, too.
    pub fn is_trusted_by(&self, user: &User) -> bool {
        self.credential_version == user.credential_version
    }
}

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

row! {
    columns device_columns;
    struct DeviceRow {
        token_hash: Vec<u8>,
        credential_version: i64,
        logins: i64,
    }
}

row! {
    #[derive(Default)]
    struct Noted {
        /// From this browser until now, this one included.
        logins: i64,
        other_devices: i64,
    }
}

const NOTE: &str = "insert into devices
    (token_hash, user_id, logins, last_login_at, credential_version) values ($1, $2, $3, $4, $5)
    on conflict (user_id, token_hash) do update set
        logins = devices.logins + $3, last_login_at = $4, credential_version = $5
    returning logins, (select count(*) from devices other
        where other.user_id = $2 and other.token_hash <> $1) as other_devices";
const FIND: &str = concat!(
    "select ",
    device_columns!(),
    " from devices where user_id = $1 and token_hash in ($2, $3, $4, $5) and last_login_at > $6
    order by credential_version desc, last_login_at desc limit 1"
);
/// Keeps the 50 that were used last. As with sessions: two logins at once do not wait for each other, and
/// the numbers stand in the text.
const KEEP_NEWEST: SkipLocked = skip_locked!(
    "select token_hash from devices where user_id = $1 and token_hash in
        (select token_hash from devices where user_id = $1
            order by last_login_at desc limit 100 offset 50)",
    "delete from devices where user_id = $1 and token_hash in (select token_hash from picked)"
);

const SWEEP: SkipLocked = skip_locked!(
    "select user_id, token_hash from devices where last_login_at <= $1 limit $2",
    "delete from devices where (user_id, token_hash) in (select user_id, token_hash from picked)"
);

impl Store {
    /// Deletes up to `most` rows that nobody logged in from for [`LIFETIME`] and answers how many went.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sweep_devices(&self, most: i64) -> Result<u64, DbError> {
        let before = self.clock.now() - LIFETIME;
        sql(SWEEP.text(&self.db)).bind(before).bind(most).execute(self.db.writer()).await
    }

    /// Notes within `tx` a login as `user` from the browser whose cookie holds `token`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn note_device(
        &self,
        tx: &mut Tx,
        user: &User,
        token: &str,
    ) -> Result<Familiarity, DbError> {
        Ok(match self.note(tx, user, token, 1).await? {
            Noted { logins: 1, other_devices: 0 } => Familiarity::First,
            Noted { logins: 1, .. } => Familiarity::New,
            Noted { .. } => Familiarity::Known,
        })
    }

    /// Notes within `tx` that the password of `user` was set in the browser that holds `token`. That
    /// is no login; `logins` are those from there under another token.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn trust_device(
        &self,
        tx: &mut Tx,
        user: &User,
        token: &str,
        logins: i64,
    ) -> Result<(), DbError> {
        self.note(tx, user, token, logins).await.map(drop)
    }

    /// The browser that holds one of `tokens` (the first [`MOST_TOKENS`] count), if `user` logged in
    /// from it. The same is asked for nobody.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn find_device(
        &self,
        on: Executor<'_>,
        user: Option<&User>,
        tokens: &[String],
    ) -> Result<Option<KnownDevice>, DbError> {
        let digest = |at: usize| tokens.get(at).map_or_else(Vec::new, |token| hash(token));
        let find = (0..MOST_TOKENS)
            .fold(sql(FIND).bind(user.map_or("", |user| &user.id)), |find, at| {
                find.bind(digest(at))
            })
            .bind(self.clock.now() - LIFETIME);
        let found = find.optional::<DeviceRow>(on).await?;
        Ok(found.and_then(|DeviceRow { token_hash, credential_version, logins }| {
            let token = tokens.iter().find(|token| hash(token) == token_hash)?.clone();
            Some(KnownDevice { token, credential_version, logins })
        }))
    }

    async fn note(
        &self,
        tx: &mut Tx,
        user: &User,
        token: &str,
        logins: i64,
    ) -> Result<Noted, DbError> {
        let note = sql(NOTE)
            .bind(hash(token))
            .bind(&user.id)
            .bind(logins)
            .bind(self.clock.now())
            .bind(user.credential_version);
        let noted = note.optional::<Noted>(tx.on()).await?.unwrap_or_default();
        if noted.other_devices >= MOST {
            let keep = sql(KEEP_NEWEST.text(&self.db)).bind(&user.id);
            keep.execute(tx.on()).await?;
        }
        Ok(noted)
    }
}

fn hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}
