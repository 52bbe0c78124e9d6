//! What a visitor's tries at an account are counted by.
//!
//! A browser that the account was used from before has a budget of its own: strangers who guess,
//! however many, cannot lock the owner out (OWASP "Slow Down Online Guessing Attacks with Device
//! Cookies").

use super::Visitor;
use crate::accounts::mailbox::Mailbox;
use crate::error::RequestError;
use crate::models::device::find_device;
use crate::models::limit::{Count, Limited, Share};
use crate::models::user::User;

/// The budget of one visitor for one account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Budget {
    /// Of a browser that the account was used from, with the password that it has now.
    Own {
        /// This browser's.
        browser: String,
        /// All such browsers' together.
        all: String,
    },
    /// Of a browser that the account was used from with an earlier password: the owner's, when the
    /// password was changed in another, or a thief's.
    Former {
        /// This browser's.
        browser: String,
        /// The strangers'.
        account: String,
    },
    /// Of everybody else together.
    Strangers(String),
}

impl Budget {
    /// What tries at a password are counted by: a thief of one browser must not use up the tries of
    /// the others.
    fn of_passwords(&self) -> &str {
        match self {
            Self::Own { browser, .. } | Self::Former { browser, .. } => browser,
            Self::Strangers(account) => account,
        }
    }

    /// What codes and guesses at them are counted by: somebody who logs in again and again without a
    /// cookie has many own browsers, and the mailbox may be somebody else's.
    pub fn of_codes(&self) -> &str {
        match self {
            Self::Own { all, .. } => all,
            Self::Former { account, .. } | Self::Strangers(account) => account,
        }
    }

    /// What part of the budgets of mails its codes take.
    pub fn share(&self) -> Share {
        match self {
            Self::Own { .. } => Share::OwnCodes,
            Self::Former { .. } | Self::Strangers(_) => Share::Codes,
        }
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
        let (store, tokens) = (&self.app.store, &self.requester.device_tokens);
        if tokens.is_empty() {
            return Ok(Budget::Strangers(account));
        }
        let device = {
            let id = user.map_or("", |user| &user.id);
            find_device(store.db.reader(), id, tokens, store.clock.now()).await?
        };
        let Some((user, device)) = user.zip(device) else {
            return Ok(Budget::Strangers(account));
        };
        // With a new password each begins anew.
        let version = user.credential_version.to_string();
        let browser = store.key.digest("budget", &[&user.id, &version, &device.token]);
        Ok(if device.is_trusted_by(user) {
            Budget::Own { browser, all: format!("own {}", user.id) }
        } else {
            Budget::Former { browser, account }
        })
    }

    /// What a login counts. The address counts for strangers alone: its whole office must not be able
    /// to lock the owner's browser out.
    pub fn login_counts(&self, budget: &Budget) -> Vec<Count> {
        let mut counts = Vec::new();
        if matches!(budget, Budget::Strangers(_)) {
            counts = self.counts_by_address(Limited::LoginIp);
        }
        counts.extend(self.app.counts(Limited::LoginAccount, budget.of_passwords()));
        counts
    }

    /// What a code asked for counts, beside its mail.
    pub fn code_counts(&self, budget: &Budget) -> Vec<Count> {
        let mut counts = Vec::new();
        if budget.share() != Share::OwnCodes {
            counts = self.counts_by_address(Limited::ForgotIp);
        }
        counts.extend(self.app.counts(Limited::ForgotAccount, budget.of_codes()));
        counts.extend(self.app.code_counts(budget.share(), budget.of_codes()));
        counts
    }

    /// What the mail of a code counts that goes to the address `to`, if there is such a `user`.
    pub fn code_mail_counts(&self, budget: &Budget, user: Option<&User>, to: &str) -> Vec<Count> {
        let mut counts = self.mail_counts(budget.share(), to);
        for count in &mut counts {
            // A mail that nobody gets must not use up those of the person who has that address.
            count.adds = i64::from(user.is_some());
        }
        counts
    }

    /// What a mail to the address `to` counts that must be sent as long as any part of the budgets is
    /// left: somebody who used up one must not hide a new password.
    pub fn every_mail_counts(&self, to: &str) -> [Vec<Count>; 4] {
        Share::ALL.map(|share| self.mail_counts(share, to))
    }

    /// What one more of `what` counts from the visitor's address.
    pub fn counts_by_address(&self, what: Limited) -> Vec<Count> {
        self.app.counts_by(what, self.requester.counted_networks())
    }

    /// What a mail to the address `to` counts that the visitor causes.
    pub fn mail_counts(&self, share: Share, to: &str) -> Vec<Count> {
        self.app.mail_counts(share, &Mailbox::of(to), self.requester.network())
    }
}
