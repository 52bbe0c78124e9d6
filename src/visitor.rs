//! Whoever sent a request: logged in or not, with notices to show once and perhaps a reset under way.
//!
//! The session carries it; what must be counted or used up once is never kept there, because its
//! data is read, changed and written back, and parallel requests lose updates.

mod cookie;
mod device;
mod ended;
mod logged_in;
mod login_name;
pub mod peer;

use std::mem::discriminant;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Method, header};
use serde::Serialize;
use time::Duration;
use tokio::time::timeout;
use tower_cookies::Cookies;
use tower_sessions::{Expiry, Session};

use crate::accounts::change_password::Sessions;
use crate::accounts::password_reset::{PendingReset, dead_reason};
use crate::accounts::requester::Requester;
use crate::app::App;
use crate::error::RequestError;
use crate::event::Event;
use crate::flash::Flash;
use crate::models::session::{PATIENCE, keys, loaded_user};
use crate::models::user::User;
use crate::page::Page;
pub use cookie::{OwnCookie, own as own_cookies, session_name as session_cookie_name};
pub use ended::Ended;
pub use logged_in::LoggedIn;

/// For the header of every page, without a query: a username never changes.
const USERNAME: &str = "username";
const RESET: &str = "reset";

/// The digest of the session that a password was last set in by this browser.
const PASSWORD_SET_IN: &str = "password_set_in";

/// Notices that wait: whoever posts again and again must not make the session grow.
const MOST_NOTICES: usize = 3;

/// The username, when somebody is logged in.
///
/// # Errors
/// When the database fails.
pub async fn username(session: &Session) -> Result<Option<String>, RequestError> {
    Ok(session.get(USERNAME).await?)
}

/// Whoever sent the request. Reading an anonymous one sets no cookie and writes nothing.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// The site.
    pub app: App,
    /// Who sent the request, for the use cases.
    pub requester: Requester,
    session: Session,
    cookies: Cookies,
    /// Whether pages may link to the development mailbox.
    reads_mailbox: bool,
    /// A HEAD request shows nothing, so it must not use a notice up.
    sees_page: bool,
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
            device_tokens: device::sent(&app.config, &cookies),
            user_agent: user_agent.map(str::to_owned),
        };
        Ok(Self {
            app: app.clone(),
            requester,
            session,
            cookies,
            reads_mailbox: peer::reads_mailbox(&parts.extensions, &parts.headers, app),
            sees_page: parts.method != Method::HEAD,
        })
    }
}

impl Visitor {
    /// Starts a new session for `user`: a new id, and the old one is dead (ASVS 7.2.4: nobody can
    /// have planted it).
    ///
    /// # Errors
    /// When the database fails.
    pub async fn log_in(&self, user: &User, remember: bool) -> Result<(), RequestError> {
        self.end().await?;
        self.session.insert(keys::USER_ID, &user.id).await?;
        self.session.insert(keys::CREDENTIAL_VERSION, user.credential_version).await?;
        self.session.insert(keys::REMEMBER, remember).await?;
        self.put(USERNAME, &user.username).await
    }

    /// Ends the session on the server and in the browser. What is put in afterwards begins another.
    ///
    /// By `cycle_id` and not by `flush`: tower-sessions 0.15 keeps the flushed record with its id
    /// and would give the next session the very id that was to die.
    ///
    /// # Errors
    /// When the database fails; then the session lives on.
    pub async fn end(&self) -> Result<(), RequestError> {
        if self.session.id().is_some() {
            self.session.cycle_id().await?;
            self.session.clear().await;
        }
        Ok(())
    }

    /// Goes on as `user` under a new id, after the credentials have changed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn renew(&self, user: &User) -> Result<(), RequestError> {
        let remember = self.session.get(keys::REMEMBER).await?.unwrap_or(false);
        self.log_in(user, remember).await
    }

    /// The digests of the sessions that this browser may have set a password in.
    pub async fn recent_sessions(&self) -> Result<Sessions, RequestError> {
        let Some(sent) = self.session_digest() else { return Ok(None) };
        let before = self.session.get(PASSWORD_SET_IN).await?;
        Ok(Some([sent.clone(), before.unwrap_or(sent)]))
    }

    fn session_digest(&self) -> Option<String> {
        let sent = self.cookies.get(cookie::session_name(&self.app.config))?;
        Some(self.app.key.digest("password set in", &[sent.value()]))
    }

    /// Keeps in the session that follows that a password was set in the one that the request came with.
    pub async fn note_password_set(&self) -> Result<(), RequestError> {
        match self.session_digest() {
            Some(digest) => self.put(PASSWORD_SET_IN, &digest).await,
            None => Ok(()),
        }
    }

    /// As [`Visitor::renew`], unless the session is that of `user` already.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn go_on_as(&self, user: &User) -> Result<(), RequestError> {
        let now = self.user().await?.map(|user| user.credentials());
        if now == Some(user.credentials()) { Ok(()) } else { self.renew(user).await }
    }

    /// The user who is logged in, as the database had it when it was asked for the session.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn user(&self) -> Result<Option<User>, RequestError> {
        let id: Option<String> = self.session.get(keys::USER_ID).await?;
        Ok(loaded_user().filter(|user| Some(&user.id) == id.as_ref()))
    }

    /// The username, when somebody is logged in.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn username(&self) -> Result<Option<String>, RequestError> {
        username(&self.session).await
    }

    /// Whether somebody is logged in.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn is_logged_in(&self) -> Result<bool, RequestError> {
        Ok(self.session.get::<String>(keys::USER_ID).await?.is_some())
    }

    /// Has the next page say why the session is over, if the request came with a session's cookie, of
    /// whatever worth.
    pub fn note_ended(&self, why: Ended) {
        if self.cookies.get(cookie::session_name(&self.app.config)).is_some() {
            ended::note(&self.app.config, &self.cookies, why);
        }
    }

    /// Has the next page say that the session is over, if the request came with the cookie of one that
    /// is. A first visit has none, and neither has a browser that was shown "You've been logged out.".
    ///
    /// # Errors
    /// When the database fails.
    pub async fn note_session_gone(&self) -> Result<(), RequestError> {
        self.is_logged_in().await?;
        // Without an id once it was looked for: there is no such session.
        if self.session.id().is_none() {
            self.note_ended(Ended::Session);
        }
        Ok(())
    }

    /// What [`Visitor::note_ended`] noted, once.
    pub fn take_ended(&self) -> Option<Flash> {
        if self.sees_page { ended::take(&self.app.config, &self.cookies) } else { None }
    }

    /// Shows `flash` on the next page, once.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn notify(&self, flash: Flash) -> Result<(), RequestError> {
        let mut notices: Vec<Flash> = self.session.get(keys::NOTICES).await?.unwrap_or_default();
        notices.retain(|old| discriminant(old) != discriminant(&flash));
        if notices.len() >= MOST_NOTICES {
            return Ok(());
        }
        notices.push(flash);
        self.put(keys::NOTICES, &notices).await
    }

    /// The frame of a page, with the notices that are due.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn page(&self, title: &'static str) -> Result<Page, RequestError> {
        Ok(Page {
            title,
            flashes: if self.sees_page { self.take_notices().await? } else { Vec::new() },
            username: self.username().await?,
            ..Page::new(&self.app, self.reads_mailbox)
        })
    }

    /// The reset under way in this browser.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn reset(&self) -> Result<Option<PendingReset>, RequestError> {
        Ok(self.session.get(RESET).await?)
    }

    /// Whether this browser has a reset under way whose code can still be used. It is the same whether
    /// an account matched.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_code(&self) -> Result<bool, RequestError> {
        match self.reset().await? {
            Some(pending) => Ok(dead_reason(&self.app, &pending).await?.is_none()),
            None => Ok(false),
        }
    }

    /// Notes a reset under way, in the place of an older one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin_reset(&self, pending: &PendingReset) -> Result<(), RequestError> {
        self.session.insert(keys::CODE_UNSEEN, true).await?;
        self.put(RESET, pending).await
    }

    /// Whether the page that asks for the newest code was not shown yet: the form that requested the
    /// code may arrive twice.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn has_unseen_code(&self) -> Result<bool, RequestError> {
        Ok(self.session.get_value(keys::CODE_UNSEEN).await?.is_some())
    }

    /// Notes that the page was shown.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn see_code(&self) -> Result<(), RequestError> {
        if self.sees_page && self.has_unseen_code().await? {
            self.session.remove_value(keys::CODE_UNSEEN).await?;
            self.keep_cookie().await?;
        }
        Ok(())
    }

    /// Puts a value, and tells the browser again how long to keep the cookie: tower-sessions would
    /// fall back to the layer's own expiry with each save.
    async fn put(&self, key: &str, value: &(impl Serialize + Sync)) -> Result<(), RequestError> {
        self.session.insert(key, value).await?;
        self.keep_cookie().await
    }

    /// Shows them and strikes them out. A page needs no write: where that fails, they are shown all
    /// the same (and again, where a session is left; see the store's `save`).
    async fn take_notices(&self) -> Result<Vec<Flash>, RequestError> {
        let Some(notices) = self.session.get(keys::NOTICES).await? else {
            return Ok(Vec::new());
        };
        self.session.remove_value(keys::NOTICES).await?;
        let has_set = self.session.get_value(PASSWORD_SET_IN).await?.is_some();
        if has_set || self.is_logged_in().await? || self.reset().await?.is_some() {
            self.keep_cookie().await?;
            return Ok(notices);
        }
        // Nothing is left to remember: no row, and no cookie for somebody who has just left. A row
        // that stays is nobody's, for an hour.
        if !matches!(timeout(PATIENCE, self.end()).await, Ok(Ok(()))) {
            Event::Fault.because("an_empty_session_was_not_deleted", &"it expires");
            self.session.clear().await;
        }
        Ok(notices)
    }

    async fn keep_cookie(&self) -> Result<(), RequestError> {
        if self.session.get(keys::REMEMBER).await? == Some(true) {
            let life = Duration::seconds(self.app.config.sessions.max);
            self.session.set_expiry(Some(Expiry::OnInactivity(life)));
        }
        Ok(())
    }
}
