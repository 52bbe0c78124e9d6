//! Every failed answer becomes a styled page: ours, the framework's and a panic's alike.

use std::fmt::Display;
use std::time::Duration;

use askama::Template;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use tokio::time::timeout;
use tower_sessions::Session;

use crate::app::App;
use crate::error::{ErrorPage, Failure, RequestError};
use crate::event::{self, Details, Event};
use crate::page::Page;
use crate::visitor::{self, peer};

/// Headers of the bare answer that stay true of the page.
const KEPT: [header::HeaderName; 4] =
    [header::RETRY_AFTER, header::ALLOW, header::SET_COOKIE, header::CONNECTION];

/// Refusals that the log tells of: no page of ours makes a browser send such a thing (ASVS 16.3.3).
const REFUSED: [(StatusCode, &str); 5] = [
    (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
    (StatusCode::REQUEST_TIMEOUT, "too_slow"),
    (StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_a_form"),
    (StatusCode::UNPROCESSABLE_ENTITY, "unreadable"),
    (StatusCode::BAD_REQUEST, "unreadable"),
];

/// An error page does without the name rather than wait for a database that is away.
const PATIENCE: Duration = Duration::from_millis(500);

/// Who is logged in, told to the page of a failed answer, so that it has their name and "Log out".
#[derive(Clone, Debug)]
struct Who(String);

/// Stands within the session, which ends before the page is made.
pub async fn note_who(session: Session, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if response.status().as_u16() >= 400
        && let Ok(Ok(Some(username))) = timeout(PATIENCE, visitor::username(&session)).await
    {
        response.extensions_mut().insert(Who(username));
    }
    response
}

/// Replaces the body of an answer of 400 and above, unless it is a page already (a refused form).
pub async fn render(State(app): State<App>, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let reads_mailbox = peer::reads_mailbox(request.extensions(), request.headers(), &app);
    let response = next.run(request).await;
    let response = session_not_saved(response);
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) || is_page(response.headers()) {
        return response;
    }
    log(&response, route.as_ref().map(MatchedPath::as_str));
    let reference = if status.is_server_error() { event::request_id() } else { None };
    let page = Page::new(&app, reads_mailbox);
    as_page(page, &method, response, reference)
}

/// What was refused before it reached a page, and what failed. The path is the route's, because what
/// people type behind a wrong one is theirs.
fn log(response: &Response, path: Option<&str>) {
    let status = response.status();
    let failure = response.extensions().get::<Failure>();
    let details = Details { path, status: Some(status.as_u16()), ..Details::default() };
    if status.is_server_error() {
        let cause = failure.map(|failure| &*failure.0 as &dyn Display);
        return Event::RequestFailed.write(Details { cause, ..details });
    }
    let refused = REFUSED.iter().find(|(of, _)| *of == status);
    if let Some(&(_, reason)) = refused {
        Event::RequestRefused.write(Details { reason: Some(reason), ..details });
    }
}

/// When tower-sessions cannot save a session, it answers a bare 500: the database is away or full,
/// which passes.
fn session_not_saved(response: Response) -> Response {
    let is_bare = response.headers().get(header::CONTENT_TYPE).is_none();
    let has_cause = response.extensions().get::<Failure>().is_some();
    if response.status() == StatusCode::INTERNAL_SERVER_ERROR && is_bare && !has_cause {
        return RequestError::Unavailable("the session could not be saved".to_owned())
            .into_response();
    }
    response
}

fn is_page(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("text/html"))
}

fn as_page(page: Page, method: &Method, response: Response, reference: Option<String>) -> Response {
    let (status, headers) = (response.status(), response.headers());
    let retry_after =
        headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let username = response.extensions().get::<Who>().map(|who| who.0.clone());
    let cause = response.extensions().get::<Failure>().map(|failure| &*failure.0);
    let page = Page { username, ..page };
    let body = ErrorPage::new(page, status, cause, retry_after, reference).render();
    // A template that fails here leaves the bare status: there is no further page to fall back on.
    let mut styled = match body {
        Ok(body) => (status, Html(body)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    keep_headers(headers, styled.headers_mut());
    if method == Method::HEAD {
        *styled.body_mut() = Body::empty();
    }
    styled
}

fn keep_headers(of: &HeaderMap, into: &mut HeaderMap) {
    for name in KEPT {
        for value in of.get_all(&name) {
            into.append(&name, value.clone());
        }
    }
}
