//! The name that people log in with: their username or their email address.

use super::email::EmailAddress;
use super::pasted::plain;
use super::username::Username;
use crate::db::{Db, DbError};
use crate::models::user::{User, find_user_by_email, find_user_by_username};

/// The user with a typed name in any spelling, and the canonical form of the name, for counting. A text
/// that cannot be a name costs the same query.
pub async fn find_user_by_login_name(
    db: &Db,
    typed: &str,
) -> Result<(Option<User>, String), DbError> {
    let typed = &plain(typed);
    // PostgreSQL rejects NUL.
    let other = || typed.to_lowercase().replace('\0', "\u{fffd}");
    if typed.contains('@') {
        let email = EmailAddress::parse(typed);
        let key = email.map_or_else(|_| other(), |email| email.key().to_owned());
        return Ok((find_user_by_email(db.reader(), &key).await?, key));
    }
    let name = Username::parse(typed);
    let name = name.map_or_else(|_| other(), |name| name.as_str().to_owned());
    Ok((find_user_by_username(db.reader(), &name).await?, name))
}
