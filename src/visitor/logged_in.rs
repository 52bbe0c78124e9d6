//! The user who is logged in, for pages that need one.

use axum::extract::{FromRequestParts, MatchedPath, OriginalUri};
use axum::http::Method;
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::response::{IntoResponse, Redirect, Response};

use super::Visitor;
use crate::app::App;
use crate::event::Event;
use crate::flash::Flash;
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
        match visitor.user.clone() {
            Some(user) => Ok(Self { visitor, user }),
            None => Err(to_login(parts, &visitor)),
        }
    }
}

fn to_login(parts: &Parts, visitor: &Visitor) -> Response {
    let route = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
    Event::AccessRefused { path: route }.write();
    if parts.method == Method::POST {
        visitor.note_ended(&Flash::SessionEnded);
    } else {
        visitor.note_session_gone();
    }
    let path = parts.extensions.get::<OriginalUri>().and_then(|uri| uri.path_and_query());
    Redirect::to(&login_before(path.map_or("/account", PathAndQuery::as_str))).into_response()
}
