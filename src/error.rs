//! What a request can fail with, and the page it becomes.

use std::sync::Arc;

use askama::Template;
use axum::http::{HeaderValue, StatusCode, header::RETRY_AFTER};
use axum::response::{IntoResponse, Response};

use crate::accounts;
use crate::db::DbError;
use crate::forms::UNREADABLE;
use crate::page::Page;
use crate::password_hasher::HashError;
use crate::times;

/// When to come back after a 503, in seconds: the hash queue is worked off in less than one.
const BUSY_RETRY_AFTER: i64 = 2;

/// When a program may come back that cannot set a new password, in seconds: a day.
const STOPPED_RETRY_AFTER: i64 = 24 * 60 * 60;

/// A failed request, by its answer. What caused it is logged once, under the reference that the
/// visitor sees, and told to nobody (ASVS 16.5.1).
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
            Self::Unreadable => StatusCode::UNPROCESSABLE_ENTITY,
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
    /// What is said of a limit that was reached; none of anything else.
    pub fn limit_words(&self) -> Option<String> {
        match self {
            Self::TooMany { retry_after } => {
                Some(format!("{TOO_MANY}. {}", wait_words(*retry_after)))
            }
            Self::Stopped => Some(STOPPED.to_owned()),
            _ => None,
        }
    }

    /// Gives `response` the status and what goes with it.
    pub fn mark(&self, response: &mut Response) {
        *response.status_mut() = self.status();
        if let Some(seconds) = self.retry_after() {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
    }
}

/// Travels with the answer to the middleware that makes the page.
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

/// tower-sessions hands on the store's error as words; the store fails when the database does.
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

/// Every failed answer's page.
#[derive(Template)]
#[template(path = "error.html")]
pub struct ErrorPage {
    page: Page,
    heading: &'static str,
    words: String,
    next_href: &'static str,
    next_words: &'static str,
    reference: Option<String>,
}

impl ErrorPage {
    /// The page for an answer of `status`, which may have a cause of ours. `retry_after` are
    /// seconds, `reference` is what the log has it under.
    pub fn new(
        mut page: Page,
        status: StatusCode,
        cause: Option<&RequestError>,
        retry_after: Option<i64>,
        reference: Option<String>,
    ) -> Self {
        let (heading, words) = match cause {
            Some(RequestError::Stopped) => (TOO_MANY, STOPPED.to_owned()),
            _ => words(status, retry_after),
        };
        let (next_href, next_words) = way_on(status, page.username.is_some());
        page.title = heading;
        Self { page, heading, words, next_href, next_words, reference }
    }
}

/// Where to go from an error page, and the words of the link.
fn way_on(status: StatusCode, is_logged_in: bool) -> (&'static str, &'static str) {
    match status {
        _ if is_logged_in => ("/account", "Go to your account"),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => ("/", "Go to the home page"),
        _ => ("/login", "Go to the login page"),
    }
}

const UNREADABLE_FORM: &str = "We couldn't read this form";

/// Status, heading, and what to do.
const WORDS: [(StatusCode, &str, &str); 9] = [
    (StatusCode::FORBIDDEN, "We couldn't verify this form", "Try again from our site."),
    (StatusCode::NOT_FOUND, "Page not found", "Check the address, or start from our home page."),
    (
        StatusCode::METHOD_NOT_ALLOWED,
        "You can't open this page directly",
        "Use a link or button on our site.",
    ),
    (
        StatusCode::PAYLOAD_TOO_LARGE,
        "Your form is too long",
        "Shorten what you typed and send it again.",
    ),
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, UNREADABLE_FORM, UNREADABLE),
    (StatusCode::UNPROCESSABLE_ENTITY, UNREADABLE_FORM, UNREADABLE),
    (
        StatusCode::BAD_REQUEST,
        "We couldn't read this request",
        "Check the address, or start from our home page.",
    ),
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "We're busy right now",
        "Wait a few seconds, then try again.",
    ),
    (StatusCode::REQUEST_TIMEOUT, "That took too long", "Check your connection and try again."),
];

/// Said of accounts that are there and of names that nobody has.
const STOPPED: &str = "Password login is blocked in this browser. Reset your password.";

const TOO_MANY: &str = "Too many attempts";

/// For everything else, 500 first of all.
const UNEXPECTED: (&str, &str) = ("Something went wrong on our side", "Try again in a minute.");

fn words(status: StatusCode, retry_after: Option<i64>) -> (&'static str, String) {
    if status == StatusCode::TOO_MANY_REQUESTS {
        return (TOO_MANY, wait_words(retry_after.unwrap_or(60)));
    }
    let found = WORDS.iter().find(|(of, ..)| *of == status);
    let (heading, words) = found.map_or(UNEXPECTED, |&(_, heading, words)| (heading, words));
    (heading, words.to_owned())
}

fn wait_words(seconds: i64) -> String {
    format!("Try again in {}.", times::wait(seconds))
}
