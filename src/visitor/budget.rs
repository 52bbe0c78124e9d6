//! Whose budget a visitor's tries at an account are counted in.
//!
//! A browser that the account was used from before has one of its own: strangers who guess, however
//! many, cannot lock the owner out (OWASP "Slow Down Online Guessing Attacks with Device Cookies").

use super::{Visitor, device};
use crate::error::RequestError;
use crate::models::device::KnownDevice;
use crate::models::user::User;

/// One budget for one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Budget {
    /// Of a browser that the account was used from, with the password that it has now.
    Own {
        /// This browser's.
        browser: String,
        /// All such browsers' together.
        all: String,
    },
    /// Of everybody else together.
    Strangers(String),
}

impl Budget {
    /// What tries at a password are counted by: a thief of one browser must not use up the tries of
    /// the others.
    pub fn of_passwords(&self) -> &str {
        match self {
            Self::Own { browser, .. } => browser,
            Self::Strangers(account) => account,
        }
    }

    /// What codes and their mails are counted by: who logs in again and again without a cookie has
    /// many own browsers, and the mailbox may be somebody else's.
    pub fn of_codes(&self) -> &str {
        match self {
            Self::Own { all, .. } => all,
            Self::Strangers(account) => account,
        }
    }

    /// Whether the address counts as well. An own browser does without: its whole office must not be
    /// able to lock it out either.
    pub fn is_of_strangers(&self) -> bool {
        matches!(self, Self::Strangers(_))
    }
}

impl Visitor {
    /// The budget for tries at `account`, which is `user` if there is one: the same questions are
    /// asked when there is none.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn budget(
        &self,
        user: Option<&User>,
        account: String,
    ) -> Result<Budget, RequestError> {
        let (store, tokens) = (&self.app.store, device::sent(&self.app.config, &self.cookies));
        if tokens.is_empty() {
            return Ok(Budget::Strangers(account));
        }
        let device = store.find_device(store.db.reader(), user, &tokens).await?;
        let own = user.zip(device).filter(|(user, device)| device.is_trusted_by(user));
        let Some((user, KnownDevice { token, .. })) = own else {
            return Ok(Budget::Strangers(account));
        };
        // With a new password each begins anew.
        let version = user.credential_version.to_string();
        let browser = store.key.digest("budget", &[&user.id, &version, &token]);
        Ok(Budget::Own { browser, all: format!("own {}", user.id) })
    }
}
