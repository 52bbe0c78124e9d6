//! The `users` table.

use super::limit::Count;
use super::outbox::{self, Email};
use super::{Store, session};
use crate::db::{DbError, Tx, sql};
use crate::random;

type UserRow = (String, String, String, String, i64, i64);

/// An account.
#[derive(Clone, Debug)]
pub struct User {
    /// Opaque, 26 characters; never changes.
    pub id: String,
    /// Lower-case, unique.
    pub username: String,
    /// As it was typed; mail goes here.
    pub email: String,
    /// PHC string.
    pub password_hash: String,
    /// Grows with each new password or address. A session or code made under an older one is dead.
    pub credential_version: i64,
    /// Unix time.
    pub created_at: i64,
}

impl User {
    /// What failed logins are counted by: the account with the password that it has now, so that a new
    /// one begins anew in the moment in which it is set. Never what anybody can type as a name.
    pub fn credentials(&self) -> String {
        format!("id {} {}", self.id, self.credential_version)
    }
}

/// Who is to become a user.
pub struct NewUser<'a> {
    /// Lower-case.
    pub username: &'a str,
    /// As it was typed.
    pub email: &'a str,
    /// What makes two addresses the same account.
    pub email_key: &'a str,
    /// PHC string.
    pub password_hash: &'a str,
    /// The token of the browser that it is made in, if it is.
    pub device: Option<&'a str>,
}

/// A password to be set.
#[derive(Clone, Copy, Debug)]
pub struct NewPassword<'a> {
    /// PHC string.
    pub hash: &'a str,
    /// The digest of the session that it is set in, if it is.
    pub session: Option<&'a str>,
}

/// How a registration ended.
#[derive(Debug)]
pub enum Registration {
    /// The account exists now.
    Created(User),
    /// The username or the address belongs to an account already.
    Taken,
}

/// How a change of password ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PasswordChange {
    /// It is the password now; the user's codes are gone.
    Done {
        /// The new one.
        credential_version: i64,
        /// How many sessions were ended.
        sessions: u64,
    },
    /// Somebody else changed it in the meantime.
    Superseded,
}

impl From<UserRow> for User {
    fn from(row: UserRow) -> Self {
        let (id, username, email, password_hash, credential_version, created_at) = row;
        Self { id, username, email, password_hash, credential_version, created_at }
    }
}

/// A query for users, in the order of [`UserRow`].
macro_rules! users {
    ($rest:literal) => {
        concat!(
            "select id, username, email, password_hash, credential_version, created_at from users ",
            $rest
        )
    };
}

const BY_ID: &str = users!("where id = $1");
const BY_USERNAME: &str = users!("where username = $1");
const BY_EMAIL: &str = users!("where email_key = $1");
const BY_PASSWORD_SET_IN: &str =
    users!("where password_set_in in ($1, $2) and password_set_at > $3 limit 1");
const BY_REGISTRATION: &str = users!("where username = $1 and email_key = $2 and created_at > $3");
const BY_BOTH: &str = users!("where username = $1 and email_key = $2");
const SEARCH: &str = users!(
    "where username like $1 escape '!' or email_key like $1 escape '!'
        or lower(email) like $1 escape '!' order by username limit $2"
);

/// A taken name or address is an answer, not an error: the row decides, whatever runs in parallel.
const INSERT: &str = "insert into users
    (id, username, email, email_key, password_hash, credential_version, created_at)
    values ($1, $2, $3, $4, $5, 1, $6) on conflict do nothing";

const SET_PASSWORD: &str = "update users
    set password_hash = $1, credential_version = credential_version + 1,
        password_set_in = $4, password_set_at = $5
    where id = $2 and credential_version = $3 returning credential_version";

const REHASH: &str = "update users set password_hash = $1 where id = $2 and password_hash = $3";

impl Store {
    /// The user with this id.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn user_by_id(&self, id: &str) -> Result<Option<User>, DbError> {
        self.find(BY_ID, &[id]).await
    }

    /// The user with this username.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn user_by_username(&self, username: &str) -> Result<Option<User>, DbError> {
        self.find(BY_USERNAME, &[username]).await
    }

    /// The user whose address has this key.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn user_by_email_key(&self, email_key: &str) -> Result<Option<User>, DbError> {
        self.find(BY_EMAIL, &[email_key]).await
    }

    /// The user with this username and this address, if both are of one account.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn user_by_both(
        &self,
        username: &str,
        email_key: &str,
    ) -> Result<Option<User>, DbError> {
        self.find(BY_BOTH, &[username, email_key]).await
    }

    /// The user who was registered with both after `since`. Asked where changes are made, as is
    /// [`Store::user_by_password_set_in`]: what another request is just committing is waited for.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn user_registered_with(
        &self,
        username: &str,
        email_key: &str,
        since: i64,
    ) -> Result<Option<User>, DbError> {
        let statement = sql(BY_REGISTRATION).bind(username).bind(email_key).bind(since);
        Ok(statement.optional::<UserRow>(self.db.writer()).await?.map(User::from))
    }

    /// The user whose password was last set in one of these sessions, if that was after `since`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn user_by_password_set_in(
        &self,
        [one, other]: &[String; 2],
        since: i64,
    ) -> Result<Option<User>, DbError> {
        let statement = sql(BY_PASSWORD_SET_IN).bind(one).bind(other).bind(since);
        Ok(statement.optional::<UserRow>(self.db.writer()).await?.map(User::from))
    }

    async fn find(&self, query: &'static str, keys: &[&str]) -> Result<Option<User>, DbError> {
        let statement = keys.iter().fold(sql(query), |statement, key| statement.bind(*key));
        Ok(statement.optional::<UserRow>(self.db.reader()).await?.map(User::from))
    }

    /// Up to `most` users whose username or address contains `part`, by username.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn users_containing(&self, part: &str, most: i64) -> Result<Vec<User>, DbError> {
        let statement = sql(SEARCH).bind(&like_pattern(part)).bind(most);
        let rows = statement.all::<UserRow>(self.db.reader()).await?;
        Ok(rows.into_iter().map(User::from).collect())
    }

    /// Makes an account, notes the browser and puts `notice` into the outbox, all or nothing. The
    /// notice is left out beyond the limits that it counts against.
    ///
    /// # Errors
    /// When the database fails; then there is no account.
    pub async fn register(
        &self,
        new: NewUser<'_>,
        notice: Option<(&Email, &[Count])>,
    ) -> Result<Registration, DbError> {
        let user = self.new_row(&new);
        let mut tx = self.db.begin().await?;
        if insert(&mut tx, &user, new.email_key).await? == 0 {
            return Ok(Registration::Taken);
        }
        if let Some(token) = new.device {
            self.note_device(&mut tx, &user, token).await?;
        }
        if let Some((letter, counts)) = notice
            && self.may_post(&mut tx, counts).await?
        {
            self.post(&mut tx, Some(letter)).await?;
        }
        tx.commit().await?;
        Ok(Registration::Created(user))
    }

    fn new_row(&self, new: &NewUser<'_>) -> User {
        User {
            id: random::id(self.clock.millis()),
            username: new.username.to_owned(),
            email: new.email.to_owned(),
            password_hash: new.password_hash.to_owned(),
            credential_version: 1,
            created_at: self.clock.now(),
        }
    }

    /// Gives `user` a new password, ends every session and code, and posts `letter`, all or nothing.
    ///
    /// # Errors
    /// When the database fails; then the old password stands.
    pub async fn change_password(
        &self,
        user: &User,
        new: NewPassword<'_>,
        letter: Option<&Email>,
    ) -> Result<PasswordChange, DbError> {
        let mut tx = self.db.begin().await?;
        let Some(PasswordSet { credential_version, sessions }) =
            set_password(&mut tx, user, new, self.clock.now()).await?
        else {
            return Ok(PasswordChange::Superseded);
        };
        super::reset::drop_all_of(&mut tx, &user.id).await?;
        self.post(&mut tx, letter).await?;
        tx.commit().await?;
        Ok(PasswordChange::Done { credential_version, sessions })
    }

    /// Replaces a hash by one of the same password with today's parameters, unless it has changed.
    ///
    /// # Errors
    /// When the database fails; then the old hash stands.
    pub async fn rehash(&self, user: &User, hash: &str) -> Result<(), DbError> {
        let statement = sql(REHASH).bind(hash).bind(&user.id).bind(&user.password_hash);
        statement.execute(self.db.writer()).await?;
        Ok(())
    }

    /// Puts `letter`, if there is one, into the outbox within `tx`.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn post(&self, tx: &mut Tx, letter: Option<&Email>) -> Result<(), DbError> {
        if let Some(letter) = letter {
            outbox::enqueue(tx.on(), &self.key, &self.clock, letter).await?;
        }
        Ok(())
    }
}

/// A password that is in the database, within a transaction.
pub(super) struct PasswordSet {
    /// The new one.
    pub(super) credential_version: i64,
    /// How many sessions were ended.
    pub(super) sessions: u64,
}

/// Writes the hash under the version that `user` was read with, and ends the sessions. Users are
/// always locked before resets: two resets of one account in parallel must not deadlock.
pub(super) async fn set_password(
    tx: &mut Tx,
    user: &User,
    new: NewPassword<'_>,
    now: i64,
) -> Result<Option<PasswordSet>, DbError> {
    let statement = sql(SET_PASSWORD).bind(new.hash).bind(&user.id).bind(user.credential_version);
    let statement = statement.bind(new.session.map(str::to_owned)).bind(now);
    let Some((credential_version,)) = statement.optional::<(i64,)>(tx.on()).await? else {
        return Ok(None);
    };
    let sessions = session::end_all_of(tx, &user.id).await?;
    Ok(Some(PasswordSet { credential_version, sessions }))
}

async fn insert(tx: &mut Tx, user: &User, email_key: &str) -> Result<u64, DbError> {
    let statement = sql(INSERT)
        .bind(&user.id)
        .bind(&user.username)
        .bind(&user.email)
        .bind(email_key)
        .bind(&user.password_hash)
        .bind(user.created_at);
    statement.execute(tx.on()).await
}

/// `%part%` in lower case, with LIKE's own characters escaped by `!`.
fn like_pattern(part: &str) -> String {
    let escaped =
        part.trim().to_lowercase().replace('!', "!!").replace('%', "!%").replace('_', "!_");
    format!("%{escaped}%")
}
