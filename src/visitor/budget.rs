//! Whose budget a visitor's tries at an account are counted in.
//!
//! A browser that the account was used from before has one of its own: strangers who guess, however
//! many, cannot lock the owner out (OWASP "Slow Down Online Guessing Attacks with Device Cookies").

use super::{Visitor, device};
use crate::error::RequestError;
use crate::models::user::User;

/// One budget for one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Budget {
    /// Of a browser that the account was used from, with the password that it has now.
    Own(String),
    /// Of everybody else together.
    Strangers(String),
}

impl Budget {
    /// What limits count by.
    pub fn subject(&self) -> &str {
        match self {
            Self::Own(subject) | Self::Strangers(subject) => subject,
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
        let Some(token) = device::sent(&self.app.config, &self.cookies) else {
            return Ok(Budget::Strangers(account));
        };
        Ok(if self.app.store.knows_device(user, &token).await? {
            Budget::Own(self.app.store.key.digest("budget", &[&account, &token]))
        } else {
            Budget::Strangers(account)
        })
    }
}
