//! Makes a page of every failed answer: ours, the framework's and that of a panic.

use std::fmt::Display;
use std::time::Duration;

use askama::Template;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::timeout;
use tower_sessions::Session;

use crate::accounts::field_errors::FieldErrors;
use crate::app::App;
use crate::current_user::CurrentUser;
use crate::error::{BUSY, RequestError, TOO_MANY};
use crate::event::{self, Event};
use crate::page::Page;
use crate::visitor::{self, peer};

/// Refusals that are logged: no page of ours makes a browser send such a request (ASVS 16.3.3).
const REFUSED: [(StatusCode, &str); 5] = [
    (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
    (StatusCode::REQUEST_TIMEOUT, "too_slow"),
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_a_form"),
    (StatusCode::UNPROCESSABLE_ENTITY, "unreadable"),
    (StatusCode::BAD_REQUEST, "unreadable"),
];

/// An error page leaves out the name rather than wait for a database that does not answer.
const NAME_TIMEOUT: Duration = Duration::from_millis(500);

/// Adds the user to answers that need it: for the page of a failure and for the frame of an application. Inside
/// the session's layer: the page is made outside of it.
pub async fn add_user(
    State(app): State<App>,
    session: Session,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    if (response.status().as_u16() >= 400 || app.frame.is_some())
        && let Ok(Some(user)) = timeout(NAME_TIMEOUT, visitor::user(&session)).await
    {
        response.extensions_mut().insert(user);
    }
    response
}

/// Replaces the body of an answer of 400 and above, unless it is a page already (a refused form).
pub async fn render(State(app): State<App>, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let reads_mailbox = peer::reads_mailbox(request.extensions(), request.headers(), &app);
    let response = session_not_saved(next.run(request).await);
    let status = response.status();
    let is_form = is_page(response.headers());
    if status.is_server_error() || status.is_client_error() && !is_form {
        log(&response, route.as_ref().map(MatchedPath::as_str));
    }
    if status.as_u16() < 400 || is_form {
        return response;
    }
    let page = ErrorPage::new(app, reads_mailbox, &response);
    // A template that fails here leaves the bare status: there is no further page to fall back on.
    let Ok(html) = page.render() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut response = response.map(|_| Body::from(html));
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    response
}

/// When tower-sessions cannot save a session, it answers a bare 500: the database is away or full,
/// which passes.
fn session_not_saved(response: Response) -> Response {
    let is_bare = response.headers().get(header::CONTENT_TYPE).is_none();
    let has_cause = response.extensions().get::<RequestError>().is_some();
    if response.status() == StatusCode::INTERNAL_SERVER_ERROR && is_bare && !has_cause {
        return RequestError::Unavailable("the session could not be saved".to_owned())
            .into_response();
    }
    response
}

/// Whether an answer is HTML.
pub fn is_page(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

/// Logs failures and refusals. The path is the route's: what people type in a wrong one is private.
fn log(response: &Response, path: Option<&str>) {
    let status = response.status();
    let code = status.as_u16().into();
    if status.is_server_error() {
        let error = response.extensions().get::<RequestError>();
        let cause = error.map(|error| error as &dyn Display);
        return Event::RequestFailed { cause, path, status: code }.write();
    }
    let refused = REFUSED.iter().find(|(of, _)| *of == status);
    if let Some(&(_, reason)) = refused {
        Event::RequestRefused { reason, path, status: code }.write();
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    page: Page,
    message: String,
    next_href: &'static str,
    next_label: &'static str,
    /// The request's id, under which the log has the cause.
    reference: Option<String>,
}

impl ErrorPage {
    fn new(app: App, mailbox: bool, bare: &Response) -> Self {
        let status = bare.status();
        let username = bare.extensions().get::<CurrentUser>().map(|user| user.username.clone());
        let limit = bare.extensions().get::<RequestError>().and_then(RequestError::limit_message);
        let (title, message) = match limit {
            Some(message) => (TOO_MANY, message),
            None => heading_and_message(status),
        };
        let (next_href, next_label) = match status {
            _ if username.is_some() => ("/account", "Go to your account"),
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                (app.config.base_url.home(), "Go to the home page")
            }
            _ => ("/login", "Go to the login page"),
        };
        let origin = event::current_origin().filter(|_| status.is_server_error());
        let reference = origin.map(|origin| origin.request);
        let (flashes, errors) = (Vec::new(), FieldErrors::default());
        let page = Page { title, app, flashes, errors, username, mailbox };
        Self { page, message, next_href, next_label, reference }
    }
}

/// What happened, and what to do.
fn heading_and_message(status: StatusCode) -> (&'static str, String) {
    let (heading, message) = match status {
        StatusCode::FORBIDDEN => ("We couldn't verify this form", "Try again from our site."),
        StatusCode::NOT_FOUND => {
            ("Page not found", "Check the address, or start from our home page.")
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            ("You can't open this page directly", "Use a link or button on our site.")
        }
        StatusCode::PAYLOAD_TOO_LARGE => {
            ("Your form is too long", "Shorten what you typed and send it again.")
        }
        StatusCode::UNSUPPORTED_MEDIA_TYPE | StatusCode::UNPROCESSABLE_ENTITY => {
            ("We couldn't read this form", "Go back, reload the page, and send it again.")
        }
        StatusCode::BAD_REQUEST => {
            ("We couldn't read this request", "Check the address, or start from our home page.")
        }
        StatusCode::SERVICE_UNAVAILABLE => BUSY.into(),
        StatusCode::REQUEST_TIMEOUT => {
            ("That took too long", "Check your connection and try again.")
        }
        _ => ("Something went wrong on our side", "Try again in a minute."),
    };
    (heading, message.to_owned())
}
