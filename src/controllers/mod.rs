//! Controllers: one file per page. `show` handles GET, `submit` handles POST.

pub mod account;
pub mod app_login;
pub mod change_email;
pub mod change_password;
pub mod change_username;
pub mod code_form;
pub mod confirm_registration;
pub mod delete_account;
pub mod export;
pub mod forgotten_username;
pub mod forward;
pub mod health;
pub mod history;
pub mod home;
pub mod login;
pub mod login_code;
pub mod logout;
pub mod mail_link;
pub mod mailbox;
pub mod not_me;
pub mod password_reset;
pub mod register;
pub mod session_info;
pub mod sessions;
pub mod static_files;
pub mod unlock;
pub mod verify_email;

use askama::Template;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Redirect, Response};

use crate::accounts::field_errors::FieldErrors;
use crate::app::App;
use crate::error::RequestError;
use crate::forms::paths;
use crate::next_path::NextPath;

/// What every handler returns.
pub type HandlerResult = Result<Response, RequestError>;

/// The `next` of a query, where the form leads to. Two are refused, because a proxy may have checked the
/// other one (ASVS 15.3.7).
#[derive(Debug)]
pub struct Next(NextPath);

impl FromRequestParts<App> for Next {
    type Rejection = RequestError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, RequestError> {
        let query = parts.uri.query().unwrap_or_default();
        let mut paths = paths(query);
        let next = paths.next().map(|path| NextPath::parse_with(&path, &app.config.apps));
        let next = next.unwrap_or_default();
        if paths.next().is_some() { Err(StatusCode::BAD_REQUEST.into()) } else { Ok(Self(next)) }
    }
}

/// 200 with a page.
fn show(page: &impl Template) -> HandlerResult {
    Ok(Html(page.render()?).into_response())
}

/// If a form was refused, shows it again as it was typed, on the page that `page` makes. If no field is
/// wrong, the message links to `field`.
async fn show_form_again<P: Template>(
    result: HandlerResult,
    field: &'static str,
    page: impl AsyncFnOnce(FieldErrors) -> Result<P, RequestError>,
) -> HandlerResult {
    let Err(error) = result else { return result };
    let Some(errors) = error.form_errors(field) else { return Err(error) };
    let mut response = Html(page(errors).await?.render()?).into_response();
    error.set_status(&mut response);
    // For the log.
    response.extensions_mut().insert(error);
    Ok(response)
}

/// 303 to a page of ours, so that reloading it does not send the form again.
fn redirect(app: &App, page: &str) -> HandlerResult {
    redirect_to(&app.config.base_url.path_of(page))
}

/// 303 to a place that need not be ours: a path on the origin, or the URL of an application.
fn redirect_to(place: &str) -> HandlerResult {
    Ok(Redirect::to(place).into_response())
}
