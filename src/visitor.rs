//! The visitor who sent a request: session, cookies and client address.
//!
//! The session's data is read, changed and written back, so parallel requests lose updates. What must
//! be counted or used up once is never kept there.

pub mod arrival;
mod codes;
pub mod cookies;
pub mod current_user;
mod flashes;
pub mod forwarded;
pub mod logged_in;
mod login;
pub mod navigation;
pub mod peer;
mod session_data;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Method, header};
use time::Duration;
use tower_cookies::Cookies;
use tower_sessions::{Expiry, Session};

use crate::accounts::email::EmailAddress;
use crate::accounts::field_errors::FieldErrors;
use crate::accounts::requester::Requester;
use crate::accounts::username::Username;
use crate::app::App;
use crate::current_user::CurrentUser;
use crate::error::RequestError;
use crate::models::loaded_user::{LastLogin, loaded_user};
use crate::models::session::{DATA, OPTIONAL, session_key};
use crate::models::user::User;
use crate::next_path::NextPath;
use crate::page::Page;
use cookies::OwnCookie;
use session_data::SessionData;

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

    /// A HEAD request shows nothing, so it must not consume a flash.
    fn shows_page(&self) -> bool {
        self.method != Method::HEAD
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
