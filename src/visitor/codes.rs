//! The codes that were requested in this browser, and the link of an email that was used in it.

use std::mem::take;

use super::Visitor;
use crate::accounts::one_time_code::PendingCode;
use crate::error::RequestError;
use crate::models::one_time_code::Purpose;

impl Visitor {
    /// The code for `purpose` that was requested in this browser.
    pub fn pending_code(&self, purpose: Purpose) -> Option<&PendingCode> {
        self.data.codes.get(&purpose)
    }

    /// Whether this browser has a code for a reset that can still be used, whether or not an account matched.
    pub async fn has_code(&self) -> Result<bool, RequestError> {
        let purpose = Purpose::PasswordReset;
        match self.pending_code(purpose) {
            Some(pending) => Ok(pending.invalid_reason(&self.app, purpose).await?.is_none()),
            None => Ok(false),
        }
    }

    /// Keeps a code that was requested in this browser in place of the one before.
    pub async fn keep_code(
        &mut self,
        purpose: Purpose,
        pending: PendingCode,
    ) -> Result<(), RequestError> {
        self.data.codes.insert(purpose, pending);
        self.save().await
    }

    /// Forgets a code that was used.
    pub async fn forget_code(&mut self, purpose: Purpose) -> Result<(), RequestError> {
        match self.data.codes.remove(&purpose) {
            Some(_) => self.save().await,
            None => Ok(()),
        }
    }

    /// Records that the page that asks for the code was shown.
    pub async fn mark_code_page_shown(&mut self, purpose: Purpose) -> Result<(), RequestError> {
        if self.shows_page()
            && let Some(pending) = self.data.codes.get_mut(&purpose)
            && take(&mut pending.is_unseen)
        {
            self.save().await?;
        }
        Ok(())
    }

    /// Keeps that this browser has used the link with this token, until it logs in.
    pub fn keep_used_link(&mut self, token: &str) {
        self.data.used_link = Some(self.link_digest(token));
    }

    pub fn has_used_link(&self, token: &str) -> bool {
        self.data.used_link == Some(self.link_digest(token))
    }

    fn link_digest(&self, token: &str) -> String {
        self.app.key.digest("used link", &[token])
    }
}
