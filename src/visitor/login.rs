//! Who is logged in in this browser, and when the password was given.

use std::mem::take;

use super::session_data::SessionData;
use super::{Visitor, cookies};
use crate::accounts::new_password::RecentSessions;
use crate::accounts::reauthenticate::RECENT;
use crate::error::RequestError;
use crate::models::login::Login;
use crate::models::user::User;

impl Visitor {
    /// Starts a new session for `user`, who has just given the password.
    pub async fn log_in(&mut self, user: &User, remember: bool) -> Result<(), RequestError> {
        self.begin_session(user, remember, self.app.clock.now()).await
    }

    /// As [`Visitor::log_in`], by a code: forms that change the account ask for the password.
    pub async fn log_in_without_password(
        &mut self,
        user: &User,
        remember: bool,
    ) -> Result<(), RequestError> {
        self.begin_session(user, remember, 0).await
    }

    /// Starts a new session under a new id: an attacker may have planted the old one (ASVS 7.2.4).
    async fn begin_session(
        &mut self,
        user: &User,
        remember: bool,
        authenticated_at: i64,
    ) -> Result<(), RequestError> {
        self.end_session().await?;
        self.data.login = Some(Login {
            user_id: user.id.clone(),
            credential_version: user.credential_version,
            remember,
            client: self.requester.client(),
            authenticated_at,
        });
        self.save().await
    }

    /// Whether a form that changes the account asks for the password: not if it was given a moment ago.
    pub fn asks_password(&self) -> bool {
        let now = self.app.clock.now();
        let is_recent = |login: &Login| (0..RECENT).contains(&(now - login.authenticated_at));
        !self.data.login.as_ref().is_some_and(is_recent)
    }

    /// Records that the user who is logged in has just given the password.
    pub async fn record_authentication(&mut self) -> Result<(), RequestError> {
        if let Some(login) = &mut self.data.login {
            login.authenticated_at = self.app.clock.now();
            self.save().await?;
        }
        Ok(())
    }

    /// Ends the session on the server and in the browser. Data saved afterwards begins another, as a
    /// registration under way does.
    ///
    /// By `cycle_id` and not by `flush`: tower-sessions 0.15 keeps the flushed record with its id and would
    /// give that to the next session.
    pub async fn end_session(&mut self) -> Result<(), RequestError> {
        self.data = take(&mut self.data).without_login();
        if self.session.id().is_some() {
            self.session.cycle_id().await?;
            self.session.clear().await;
        }
        if self.data == SessionData::default() { Ok(()) } else { self.save().await }
    }

    /// Continues as `user`, under a new id if the credentials have changed.
    pub async fn continue_as(&mut self, user: &User) -> Result<(), RequestError> {
        if self.user.as_ref().map(User::credentials) == Some(user.credentials()) {
            return Ok(());
        }
        let Some(before) = self.data.login.clone() else { return self.log_in(user, false).await };
        self.begin_session(user, before.remember, before.authenticated_at).await
    }

    /// The digests of the sessions that this browser may have set a password in.
    pub fn recent_sessions(&self) -> Option<RecentSessions> {
        let current = self.session_digest()?;
        let previous = self.data.password_set_in.clone().unwrap_or_else(|| current.clone());
        Some(RecentSessions { current, previous })
    }

    fn session_digest(&self) -> Option<String> {
        let id = self.cookie(&cookies::SESSION)?;
        Some(self.app.key.digest("password set in", &[&id]))
    }

    /// Records in the new session that a password was set in the session of this request.
    pub async fn record_password_set(&mut self) -> Result<(), RequestError> {
        if let Some(digest) = self.session_digest() {
            self.data.password_set_in = Some(digest);
            self.save().await?;
        }
        Ok(())
    }
}
