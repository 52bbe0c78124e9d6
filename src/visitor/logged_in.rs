//! The user who is logged in, for pages that need one.

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::response::{IntoResponse, Redirect, Response};

use super::Visitor;
use crate::app::App;
use crate::event::Event;
use crate::models::user::User;
use crate::next_path::login_before;

/// A visitor who is logged in. Anyone else is sent to log in and brought back.
pub struct LoggedIn {
    pub visitor: Visitor,
    pub user: User,
}

impl FromRequestParts<App> for LoggedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let visitor =
            Visitor::from_request_parts(parts, app).await.map_err(IntoResponse::into_response)?;
        if let Some(user) = visitor.user.clone() {
            return Ok(Self { visitor, user });
        }
        let route = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
        visitor.flash_if_session_expired();
        let page = parts.uri.path_and_query().map_or("/account", PathAndQuery::as_str);
        Err(to_login(app, route, &app.config.base_url.path_of(page)))
    }
}

/// Redirects to the login page, which leads back to `path`, on the origin.
pub fn to_login(app: &App, route: Option<&str>, path: &str) -> Response {
    Event::AccessRefused { path: route }.write();
    Redirect::to(&app.config.base_url.path_of(&login_before(path))).into_response()
}

impl Visitor {
    /// Redirects to the login page, which leads back to `page`: a form came after its session had ended.
    pub fn to_login(&self, page: &'static str) -> Response {
        self.flash_if_session_expired();
        let path = self.app.config.base_url.path_of(page);
        to_login(&self.app, Some(&path), &path)
    }
}
