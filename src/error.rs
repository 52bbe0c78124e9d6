//! What a request can fail with, by answer.

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header::RETRY_AFTER};
use axum::response::{IntoResponse, Response};

use crate::accounts;
use crate::accounts::field_errors::FieldErrors;
use crate::db::DbError;
use crate::password_hasher::HashError;
use crate::times;

/// When to come back after a 503, in seconds: the hash queue is worked off in less than one.
const BUSY_RETRY_AFTER: i64 = 2;

/// The heading of every answer to a limit.
pub const TOO_MANY: &str = "Too many attempts";

/// The same for existing and for unknown accounts.
pub const STOPPED: &str = "Password login is blocked in this browser. Reset your password.";

/// When a program may come back that cannot set a new password, in seconds: a day.
const STOPPED_RETRY_AFTER: i64 = 24 * 60 * 60;

/// A failed request, by its answer. The cause is logged once, under the reference that the visitor
/// sees, and shown to nobody (ASVS 16.5.1).
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// 400: a request that can be read in two ways.
    #[error("the request cannot be read")]
    Malformed,
    /// 404.
    #[error("not found")]
    NotFound,
    /// 403: a form that does not come from this site's own pages.
    #[error("a form from elsewhere")]
    Forbidden,
    /// 413.
    #[error("the body is too large")]
    TooLarge,
    /// 415: not a form.
    #[error("not a form")]
    NotAForm,
    /// 422: a form with a field twice, or broken encoding.
    #[error("the form cannot be read")]
    Unreadable,
    /// 422: a form with invalid fields.
    #[error("the form is invalid")]
    Invalid(FieldErrors),
    /// 429.
    #[error("too many tries")]
    TooMany {
        /// Seconds.
        retry_after: i64,
    },
    /// 429: so many wrong passwords in a row that only a new one helps.
    #[error("stopped until a reset")]
    Stopped,
    /// 503: the work or the database does not keep up.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// 500.
    #[error("{0}")]
    Internal(String),
}

impl RequestError {
    fn status(&self) -> StatusCode {
        match self {
            Self::Malformed => StatusCode::BAD_REQUEST,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotAForm => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Unreadable | Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooMany { .. } | Self::Stopped => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn retry_after(&self) -> Option<i64> {
        match self {
            Self::TooMany { retry_after } => Some(*retry_after),
            Self::Stopped => Some(STOPPED_RETRY_AFTER),
            Self::Unavailable(_) => Some(BUSY_RETRY_AFTER),
            _ => None,
        }
    }
}

impl RequestError {
    /// What to show with the form, which goes on with `field` after a limit; none if it was not refused.
    pub fn form_errors(&self, field: &'static str) -> Option<FieldErrors> {
        Some(match self {
            Self::Invalid(errors) => errors.clone(),
            Self::TooMany { retry_after } => {
                FieldErrors::for_form(field, format!("{TOO_MANY}. {}", wait_words(*retry_after)))
            }
            Self::Stopped => FieldErrors::for_form(field, STOPPED),
            _ => return None,
        })
    }

    /// Sets the status and `Retry-After` of `response`.
    pub fn mark(&self, response: &mut Response) {
        *response.status_mut() = self.status();
        if let Some(seconds) = self.retry_after() {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
}

/// The cause, for the middleware that makes the page.
#[derive(Clone, Debug)]
pub struct Failure(pub Arc<RequestError>);

impl IntoResponse for RequestError {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        self.mark(&mut response);
        response.extensions_mut().insert(Failure(Arc::new(self)));
        response
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
                Self::Invalid(FieldErrors::one("code", rejection.to_string()))
            }
            accounts::Error::RateLimited { retry_after } => Self::TooMany { retry_after },
            accounts::Error::LoginStopped => Self::Stopped,
            accounts::Error::Database(error) => error.into(),
            accounts::Error::Hashing(error) => error.into(),
            accounts::Error::Template(_) | accounts::Error::Task(_) => {
                Self::Internal(error.to_string())
            }
        }
    }
}

impl From<HashError> for RequestError {
    fn from(error: HashError) -> Self {
        match error {
            HashError::Busy => Self::Unavailable(error.to_string()),
            HashError::Failed(_) => Self::Internal(error.to_string()),
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

/// When to try again.
pub fn wait_words(seconds: i64) -> String {
    format!("Try again in {}.", times::wait(seconds))
}
