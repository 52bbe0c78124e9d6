//! The visitor who sent a request: session, cookies and client address.
//!
//! The session's data is read, changed and written back, so parallel requests lose updates. What must
//! be counted or used up once is never kept there.

pub mod arrival;
pub mod cookies;
pub mod current_user;
pub mod forwarded;
pub mod logged_in;
pub mod navigation;
pub mod peer;
mod session_data;

use std::mem::{discriminant, take};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Method, header};
use time::Duration;
use tower_cookies::Cookies;
use tower_sessions::{Expiry, Session};

use crate::accounts::email::EmailAddress;
use crate::accounts::field_errors::FieldErrors;
use crate::accounts::new_password::RecentSessions;
use crate::accounts::one_time_code::PendingCode;
use crate::accounts::reauthenticate::RECENT;
use crate::accounts::requester::Requester;
use crate::accounts::username::Username;
use crate::app::App;
use crate::current_user::CurrentUser;
use crate::error::RequestError;
use crate::flash::Flash;
use crate::models::loaded_user::{LastLogin, loaded_user};
use crate::models::one_time_code::Purpose;
use crate::models::session::{DATA, Login, OPTIONAL, session_key, write_if_possible};
use crate::models::user::User;
use crate::next_path::NextPath;
use crate::page::Page;
use cookies::OwnCookie;
use session_data::SessionData;

/// Flashes that wait to be shown: repeated forms must not make the session grow.
const MAX_FLASHES: usize = 3;

/// The sender of a request. Reading an anonymous session sets no cookie and writes nothing.
#[derive(Clone)]
pub struct Visitor {
    pub app: App,
    /// For the use cases.
    pub requester: Requester,
    /// The user who is logged in, as the session's query found it.
    pub user: Option<User>,
    pub last_login: Option<LastLogin>,
    data: SessionData,
    session: Session,
    cookies: Cookies,
    /// Whether pages may link to the development mailbox.
    reads_mailbox: bool,
    method: Method,
}

impl FromRequestParts<App> for Visitor {
    type Rejection = RequestError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, RequestError> {
        let session = parts.extensions.get::<Session>().cloned();
        let session =
            session.ok_or_else(|| RequestError::Internal("the session layer is missing".into()))?;
        let cookies = parts.extensions.get::<Cookies>().cloned().unwrap_or_default();
        let user_agent =
            parts.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        let requester = Requester {
            address: peer::address(&parts.extensions, &parts.headers, &app.config),
            device_tokens: cookies::device_tokens(&app.config, &cookies),
            user_agent: user_agent.map(str::to_owned),
            is_operator: false,
        };
        let text: Option<String> = session.get(DATA).await?;
        let data =
            text.map_or_else(|| Ok(SessionData::default()), |text| SessionData::read(&text))?;
        let loaded = loaded_user();
        let last_login = loaded.as_ref().and_then(|loaded| loaded.last_login.clone());
        Ok(Self {
            app: app.clone(),
            requester,
            user: loaded.map(|loaded| loaded.user),
            last_login,
            data,
            session,
            cookies,
            reads_mailbox: peer::reads_mailbox(&parts.extensions, &parts.headers, app),
            method: parts.method.clone(),
        })
    }
}

/// The user who is logged in, if the session can be read.
pub async fn user(session: &Session) -> Option<CurrentUser> {
    session.get_value(DATA).await.ok().flatten()?;
    loaded_user().map(|loaded| CurrentUser::new(&loaded.user, loaded.begun_at))
}

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

    /// Has the next page show `flash` if the request carried a session cookie, valid or not. Kept
    /// in a cookie and not in a new session: a made-up session cookie must not cost a database row.
    pub fn set_flash_cookie(&self, flash: &Flash) {
        let found = cookies::COOKIE_FLASHES.iter().find(|(_, known)| known == flash);
        if let Some((value, _)) = found
            && self.cookie(&cookies::SESSION).is_some()
        {
            self.set_cookie(&cookies::FLASH, (*value).to_owned());
        }
    }

    /// Has the next page say that the session has ended, if the request carried the cookie of a session that
    /// no longer exists. A first visit has none, nor has a browser that was shown "You've been logged out.".
    pub fn flash_if_session_expired(&self) {
        // tower-sessions drops the id of a session that it does not find.
        if self.session.id().is_none() {
            self.set_flash_cookie(&Flash::SessionEnded);
        }
    }

    /// The flash of [`Visitor::set_flash_cookie`], once.
    pub fn take_flash_cookie(&self) -> Option<Flash> {
        let sent = self.cookie(&cookies::FLASH).filter(|_| self.shows_page())?;
        self.cookies.remove(cookies::FLASH.build(&self.app.config, String::new()));
        let found = cookies::COOKIE_FLASHES.into_iter().find(|(value, _)| *value == sent);
        found.map(|(_, flash)| flash)
    }

    /// Only after a login or a new password: other visitors do not get this cookie.
    pub fn set_device_cookie(&self, tokens: &[String]) {
        self.set_cookie(&cookies::DEVICES, tokens.join("."));
    }

    /// Keeps the name of a refused login for the page that sends a code, if it is a username or an email
    /// address: people type their password there by mistake. Not in the session: a refused login must not
    /// cost a database row.
    pub fn keep_login_name(&self, typed: &str) {
        let username = Username::parse_existing(typed, self.app.config.usernames.rule)
            .map(|name| name.as_str().to_owned());
        let email = || EmailAddress::parse(typed).map(|email| email.as_typed().to_owned());
        let name = username.or_else(|_| email());
        if let Ok(name) = name
            && (cookies::LOGIN_NAME.is_value)(&name)
        {
            self.set_cookie(&cookies::LOGIN_NAME, name);
        }
    }

    pub fn login_name(&self) -> Option<String> {
        self.cookie(&cookies::LOGIN_NAME)
    }

    pub fn forget_login_name(&self) {
        if self.login_name().is_some() {
            self.cookies.remove(cookies::LOGIN_NAME.build(&self.app.config, String::new()));
        }
    }

    /// Where `text`, a form's `next`, leads.
    pub fn next(&self, text: &str) -> NextPath {
        NextPath::parse_with(text, &self.app.config.apps)
    }

    /// Shows `flash` on the next page, once.
    pub async fn add_flash(&mut self, flash: Flash) -> Result<(), RequestError> {
        let flashes = &mut self.data.flashes;
        flashes.retain(|old| discriminant(old) != discriminant(&flash));
        if flashes.len() < MAX_FLASHES {
            flashes.push(flash);
        }
        self.save().await
    }

    /// The frame of a page, with the flashes that wait.
    pub async fn page(&mut self, title: &'static str) -> Result<Page, RequestError> {
        Ok(Page {
            title,
            app: self.app.clone(),
            flashes: if self.shows_page() { self.take_flashes().await? } else { Vec::new() },
            errors: FieldErrors::default(),
            username: self.user.as_ref().map(|user| user.display_name().to_owned()),
            mailbox: self.reads_mailbox,
        })
    }

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

    /// A HEAD request shows nothing, so it must not consume a flash.
    fn shows_page(&self) -> bool {
        self.method != Method::HEAD
    }

    /// Returns the flashes and removes them from the session.
    async fn take_flashes(&mut self) -> Result<Vec<Flash>, RequestError> {
        let flashes = take(&mut self.data.flashes);
        if flashes.is_empty() {
            return Ok(flashes);
        }
        if self.data != SessionData::default() {
            self.save().await?;
        } else if !write_if_possible("an_empty_session_was_not_deleted", self.end_session()).await {
            // The cookie is removed anyway. The row holds no login and expires within an hour.
            self.session.clear().await;
        }
        Ok(flashes)
    }

    async fn save(&self) -> Result<(), RequestError> {
        self.session.insert(DATA, self.data.text()?).await?;
        if self.method.is_safe() {
            self.session.insert(OPTIONAL, true).await?;
        }
        // With each change, or tower-sessions falls back to the expiry of its layer.
        if self.data.login.as_ref().is_some_and(|login| login.remember) {
            let life = Duration::seconds(self.app.config.sessions.max);
            self.session.set_expiry(Some(Expiry::OnInactivity(life)));
        }
        Ok(())
    }

    /// The key of the session that the request came with.
    pub fn session_key(&self) -> Option<Vec<u8>> {
        self.cookie(&cookies::SESSION).as_deref().and_then(session_key)
    }

    fn cookie(&self, own: &OwnCookie) -> Option<String> {
        own.value_in(&self.app.config, &self.cookies)
    }

    fn set_cookie(&self, own: &OwnCookie, value: String) {
        self.cookies.add(own.build(&self.app.config, value));
    }
}
