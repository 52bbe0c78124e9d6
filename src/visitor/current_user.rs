//! The extractor of [`CurrentUser`], for an application's own routes.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::{
    FromRef, FromRequestParts, MatchedPath, OptionalFromRequestParts, OriginalUri,
};
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::sync::OnceCell;

use super::cookies;
use super::logged_in::to_login;
use super::navigation::is_for_a_page;
use crate::accounts::current_session::current_session;
use crate::app::App;
use crate::current_user::CurrentUser;
use crate::db::DbError;
use crate::error::RequestError;
use crate::event::Event;
use crate::models::session::session_key;

/// The user of a request, read once however often a request is asked for it.
#[derive(Clone, Default)]
pub struct UserOfRequest(Arc<OnceCell<Option<CurrentUser>>>);

impl UserOfRequest {
    /// Whether the answer depends on who is logged in.
    pub fn was_read(&self) -> bool {
        self.0.initialized()
    }
}

/// Refuses anonymous requests: a page's GET is redirected to the login page, which leads back to it, and
/// anything else is answered 401. 503 while the database is away.
impl<S: Send + Sync> FromRequestParts<S> for CurrentUser
where
    App: FromRef<S>,
{
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let app = App::from_ref(state);
        match user_of(&app, parts).await {
            Ok(user) => user.ok_or_else(|| ask_to_log_in(&app, parts)),
            Err(error) => Err(unavailable(error)),
        }
    }
}

/// `None` if nobody is logged in, and while the database is away.
impl<S: Send + Sync> OptionalFromRequestParts<S> for CurrentUser
where
    App: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Infallible> {
        let user = user_of(&App::from_ref(state), parts).await;
        Ok(user.inspect_err(log).ok().flatten())
    }
}

async fn user_of(app: &App, parts: &mut Parts) -> Result<Option<CurrentUser>, DbError> {
    let user = parts.extensions.get_or_insert_default::<UserOfRequest>().clone();
    user.0.get_or_try_init(|| find_user(app, &parts.headers)).await.cloned()
}

/// The user who is logged in with these cookies: one query, and none without a cookie.
pub async fn find_user(app: &App, headers: &HeaderMap) -> Result<Option<CurrentUser>, DbError> {
    let cookie = cookies::SESSION.value_in_headers(&app.config, headers);
    let Some(key) = cookie.and_then(session_key) else { return Ok(None) };
    let session = current_session(app, &key).await?;
    Ok(session.map(|session| CurrentUser::new(&session.user, session.logged_in_at)))
}

fn ask_to_log_in(app: &App, parts: &Parts) -> Response {
    let route = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
    let asked = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |original| &original.0);
    let path = asked.path_and_query().map_or("/", PathAndQuery::as_str);
    let mut answer = if is_for_a_page(parts.method.as_str(), &parts.headers) {
        to_login(app, route, path)
    } else {
        Event::AccessRefused { path: route }.write();
        not_logged_in()
    };
    answer.headers_mut().insert(header::CACHE_CONTROL, NO_STORE);
    answer
}

/// 401, for programs.
pub fn not_logged_in() -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (StatusCode::UNAUTHORIZED, json, r#"{"error":"not_logged_in"}"#).into_response()
}

fn unavailable(error: DbError) -> Response {
    log(&error);
    let words = "We're busy right now. Wait a few seconds, then try again.";
    let mut answer = ([(header::CACHE_CONTROL, NO_STORE)], words).into_response();
    RequestError::Unavailable(error.to_string()).set_status(&mut answer);
    answer
}

fn log(error: &DbError) {
    Event::log_fault("a_session_was_not_read", error);
}

const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
