//! One page each: `show` it, `submit` it. HTTP in, HTTP out; the structs of a page sit beside it.

pub mod account;
pub mod forgot;
pub mod health;
pub mod home;
pub mod login;
pub mod logout;
pub mod mailbox;
pub mod password;
pub mod register;
pub mod reset;

use std::convert::Infallible;

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Redirect, Response};

use crate::error::RequestError;
use crate::models::next_path::NextPath;

/// What every handler answers.
pub type Answer = Result<Response, RequestError>;

/// `?next=/where` of the pages that lead on. What else stands there is ignored.
#[derive(Debug)]
pub struct Next(NextPath);

impl<S: Send + Sync> FromRequestParts<S> for Next {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let query = parts.uri.query().unwrap_or_default();
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        let next = pairs.find(|(name, _)| name == "next");
        Ok(Self(next.map(|(_, path)| NextPath::parse(&path)).unwrap_or_default()))
    }
}

/// 200 with a page.
fn show(page: &impl Template) -> Answer {
    Ok(Html(page.render()?).into_response())
}

/// 422 with the same page, to be mended.
fn refuse(page: &impl Template) -> Answer {
    Ok((StatusCode::UNPROCESSABLE_ENTITY, Html(page.render()?)).into_response())
}

/// 303: after a form comes a page that can be loaded again (ux A15).
fn redirect(path: &str) -> Answer {
    Ok(Redirect::to(path).into_response())
}
