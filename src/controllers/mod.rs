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

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};

use crate::error::RequestError;
use crate::models::next_path::NextPath;

/// What every handler answers.
pub type Answer = Result<Response, RequestError>;

/// `?next=/where` of the pages that lead on. What else stands there is ignored.
#[derive(Debug, Default, serde::Deserialize)]
pub struct NextQuery {
    #[serde(default)]
    next: String,
}

impl NextQuery {
    fn path(&self) -> NextPath {
        NextPath::parse(&self.next)
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
