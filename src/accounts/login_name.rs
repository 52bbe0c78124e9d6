//! The name that people log in with: their username or their email address.

use super::email::EmailAddress;
use super::pasted::plain;
use super::username::spelled;
use crate::db::{Db, DbError};
use crate::models::user::{User, find_user_by_email_or_username, find_user_by_username};

/// The user with a typed name in any spelling, and the canonical form of the name, for counting. A text
/// that cannot be a name costs the same query. The settings do not matter: each name that exists logs in.
pub async fn find_user_by_login_name(
    db: &Db,
    typed: &str,
) -> Result<(Option<User>, String), DbError> {
    // PostgreSQL rejects NUL.
    let name = spelled(typed).replace('\0', "\u{fffd}");
    if !name.contains('@') {
        return Ok((find_user_by_username(db.reader(), &name).await?, name));
    }
    let email = EmailAddress::parse(&plain(typed));
    let key = email.map_or_else(|_| name.clone(), |email| email.key().to_owned());
    Ok((find_user_by_email_or_username(db.reader(), &key, &name).await?, key))
}
