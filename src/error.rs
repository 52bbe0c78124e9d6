//! Failed requests, by the status of their answer.

use axum::http::{HeaderValue, StatusCode, header::RETRY_AFTER};
use axum::response::{IntoResponse, Response};

use crate::accounts;
use crate::accounts::field_errors::FieldErrors;
use crate::db::DbError;
use crate::password_hasher::HashError;
use crate::times;

/// When to come back after a 503, in seconds: the hash queue is empty again in less than one.
const BUSY_RETRY_AFTER: i64 = 2;

/// When a program may come back that cannot set a new password, in seconds: a day.
const STOPPED_RETRY_AFTER: i64 = 24 * 60 * 60;

/// The heading of every answer to a limit.
pub const TOO_MANY: &str = "Too many attempts";

/// The heading and the message of every 503.
pub const BUSY: [&str; 2] = ["We're busy right now", "Wait a few seconds, then try again."];

/// A failed request. The cause is logged once, under the reference that the visitor sees, and shown to
/// nobody (ASVS 16.5.1).
#[derive(Clone, Debug, thiserror::Error)]
pub enum RequestError {
    /// A status of 400 to 499 without more to say.
    #[error("{0}")]
    Status(StatusCode),
    /// 422: a form with invalid fields.
    #[error("the form is invalid")]
    Invalid(FieldErrors),
    /// 429, for so many seconds.
    #[error("a rate limit is exceeded")]
    RateLimited(i64),
    /// 429, until there is a new password.
    #[error("logins are stopped")]
    LoginStopped,
    /// 503: the hash queue is full. Pages still work.
    #[error("{0}")]
    Busy(String),
    /// 503: the database does not answer, or cannot be written.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// 500.
    #[error("{0}")]
    Internal(String),
}

impl RequestError {
    /// What to show with a refused form; if no field is wrong, a message that links to `field`.
    pub fn form_errors(&self, field: &'static str) -> Option<FieldErrors> {
        match self {
            Self::Invalid(errors) => Some(errors.clone()),
            Self::RateLimited(_) => {
                let message = format!("{TOO_MANY}. {}", self.limit_message()?);
                Some(FieldErrors::for_form(field, message))
            }
            Self::Busy(_) => Some(FieldErrors::for_form(field, BUSY.join(". "))),
            _ => Some(FieldErrors::for_form(field, self.limit_message()?)),
        }
    }

    /// What to do after a limit. The same for existing and for unknown accounts.
    pub fn limit_message(&self) -> Option<String> {
        match self {
            Self::RateLimited(seconds) => Some(format!("Try again in {}.", times::wait(*seconds))),
            Self::LoginStopped => {
                Some("Password login is blocked in this browser. Reset your password.".to_owned())
            }
            _ => None,
        }
    }

    /// Sets the status and `Retry-After` of `response`.
    pub fn set_status(&self, response: &mut Response) {
        let (status, retry_after) = match self {
            Self::Status(status) => (*status, None),
            Self::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, None),
            Self::RateLimited(seconds) => (StatusCode::TOO_MANY_REQUESTS, Some(*seconds)),
            Self::LoginStopped => (StatusCode::TOO_MANY_REQUESTS, Some(STOPPED_RETRY_AFTER)),
            Self::Busy(_) | Self::Unavailable(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, Some(BUSY_RETRY_AFTER))
            }
            Self::Internal(_) => (StatusCode::INTERNAL_SERVER_ERROR, None),
        };
        *response.status_mut() = status;
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
}

/// A bare answer with the error in its extensions, for the middleware that makes the page.
impl IntoResponse for RequestError {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        self.set_status(&mut response);
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StatusCode> for RequestError {
    fn from(status: StatusCode) -> Self {
        Self::Status(status)
    }
}

impl From<DbError> for RequestError {
    fn from(error: DbError) -> Self {
        if error.is_transient() {
            Self::Unavailable(error.to_string())
        } else {
            Self::Internal(error.to_string())
        }
    }
}

impl From<accounts::Error> for RequestError {
    fn from(error: accounts::Error) -> Self {
        match error {
            accounts::Error::Invalid(errors) => Self::Invalid(errors),
            accounts::Error::CodeRejected(rejection) => {
                Self::Invalid(FieldErrors::single("code", rejection.to_string()))
            }
            accounts::Error::RateLimited { retry_after } => Self::RateLimited(retry_after),
            accounts::Error::LoginStopped => Self::LoginStopped,
            accounts::Error::Database(error) => error.into(),
            accounts::Error::Hashing(HashError::Busy) => Self::Busy(error.to_string()),
            _ => Self::Internal(error.to_string()),
        }
    }
}

/// tower-sessions passes the store's error as text; the store fails when the database does.
impl From<tower_sessions::session::Error> for RequestError {
    fn from(error: tower_sessions::session::Error) -> Self {
        match error {
            tower_sessions::session::Error::Store(_) => Self::Unavailable(error.to_string()),
            tower_sessions::session::Error::SerdeJson(_) => Self::Internal(error.to_string()),
        }
    }
}

impl From<askama::Error> for RequestError {
    fn from(error: askama::Error) -> Self {
        Self::Internal(format!("a template failed: {error}"))
    }
}
