//! Who is logged in, for the pages that are theirs alone.

use axum::extract::{FromRequestParts, MatchedPath, OriginalUri};
use axum::http::Method;
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::response::{IntoResponse, Redirect, Response};

use super::{Ended, Visitor};
use crate::app::App;
use crate::event::{Details, Event};
use crate::models::user::User;
use crate::next_path::login_before;

/// The user of a page that needs one; everybody else is sent to log in and brought back.
#[derive(Clone, Debug)]
pub struct LoggedIn {
    /// Who sent the request.
    pub visitor: Visitor,
    /// As whom.
    pub user: User,
}

impl FromRequestParts<App> for LoggedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let visitor =
            Visitor::from_request_parts(parts, app).await.map_err(IntoResponse::into_response)?;
        match visitor.user().await {
            Ok(Some(user)) => Ok(Self { visitor, user }),
            Ok(None) => Err(to_login(parts, &visitor).await),
            Err(error) => Err(error.into_response()),
        }
    }
}

async fn to_login(parts: &Parts, visitor: &Visitor) -> Response {
    let route = parts.extensions.get::<MatchedPath>().map(MatchedPath::as_str);
    Event::AccessRefused.write(Details { path: route, ..Details::default() });
    if parts.method == Method::POST {
        visitor.note_ended(Ended::Session);
    } else if let Err(error) = visitor.note_session_gone().await {
        return error.into_response();
    }
    let path = parts.extensions.get::<OriginalUri>().and_then(|uri| uri.path_and_query());
    Redirect::to(&login_before(path.map_or("/account", PathAndQuery::as_str))).into_response()
}
