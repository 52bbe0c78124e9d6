//! The name that people log in with: their username or their email address.

use super::email::EmailAddress;
use super::pasted::plain;
use super::username::Username;
use crate::db::{Db, DbError};
use crate::models::user::{User, find_user_by_email, find_user_by_username};

/// What was typed, in the form in which it is looked up and counted.
pub enum LoginName {
    Username(String),
    /// An address, by its key.
    Email(String),
}

impl LoginName {
    /// Reads it in any spelling. A text that can be neither costs the same query and finds nobody.
    pub fn parse(typed: &str) -> Self {
        let typed = &plain(typed);
        if typed.contains('@') {
            let email = EmailAddress::parse(typed);
            Self::Email(email.map_or_else(|_| canonical(typed), |email| email.key().to_owned()))
        } else {
            let name = Username::parse(typed);
            Self::Username(name.map_or_else(|_| canonical(typed), |name| name.as_str().to_owned()))
        }
    }

    pub fn key(&self) -> &str {
        match self {
            Self::Username(key) | Self::Email(key) => key,
        }
    }

    /// The account with this name.
    pub async fn find_user(&self, db: &Db) -> Result<Option<User>, DbError> {
        match self {
            Self::Username(name) => find_user_by_username(db.reader(), name).await,
            Self::Email(key) => find_user_by_email(db.reader(), key).await,
        }
    }
}

/// For what is no name and no address at all: PostgreSQL rejects NUL in a text.
fn canonical(typed: &str) -> String {
    typed.to_lowercase().replace('\0', "\u{fffd}")
}
