//! Logging in to an application on another host: there and back, by way of this site's login.

use axum::extract::{FromRequest, RawQuery, Request, State};
use axum::http::{Extensions, HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::{HandlerResult, redirect_to};
use crate::accounts::app_login::{
    browser_digest, is_token, issue_ticket, log_out_of_app, new_token, redeem_ticket,
    session_of_app,
};
use crate::app::App;
use crate::config::AppUrl;
use crate::event::Event;
use crate::forms::{Fields, read_query};
use crate::middleware::csrf;
use crate::next_path::{NextPath, with_next};
use crate::visitor::cookies;
use crate::visitor::forwarded::{Refusal, app_host, app_of};
use crate::visitor::logged_in::LoggedIn;

/// The parameters of these URLs.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct AppQuery {
    next: String,
    /// The digest of the cookie that the browser got when the login began.
    browser: String,
    ticket: String,
}

/// GET `/.vestibule/login` on the application's host: gives the browser a cookie, and sends it to log in.
pub async fn start_login(
    State(app): State<App>,
    extensions: Extensions,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let origin = app_host(&app, &extensions, &headers)?;
    let query: AppQuery = read_query(&query.unwrap_or_default()).ok_or(Refusal::Unreadable)?;
    // Tabs in which logins begin at once share the cookie.
    let token =
        cookies::LOGIN_STARTED.value(&headers, &origin).map_or_else(new_token, str::to_owned);
    let browser = browser_digest(&token);
    let starts = app.config.apps.at(&origin).map(AppUrl::start);
    let asked = query.next.starts_with('/').then(|| format!("{origin}{}", query.next));
    let mut nexts = asked.into_iter().chain(starts);
    let path = nexts.find_map(|next| ticket_path(&app, &next, &browser));
    let login = with_next("/login", &path.ok_or(Refusal::UnknownApp)?);
    let cookie = cookies::LOGIN_STARTED.set(&origin, &token);
    let login = Redirect::to(&format!("{}{login}", app.config.base_url));
    Ok(([(header::SET_COOKIE, cookie)], login).into_response())
}

/// The path of [`send_ticket`], if `next` is a URL of an application and neither is too long.
fn ticket_path(app: &App, next: &str, browser: &str) -> Option<String> {
    let next = NextPath::parse_with(next, &app.config.apps);
    let page = app.config.base_url.path_of("/login/app");
    let path = format!("{}&browser={browser}", with_next(&page, next.as_str()));
    let is_followed = !next.as_str().is_empty() && NextPath::parse(&path).as_str() == path;
    is_followed.then_some(path)
}

/// GET `/login/app`, to which a login leads on: sends the browser back with a ticket.
pub async fn send_ticket(
    LoggedIn { visitor, .. }: LoggedIn,
    RawQuery(query): RawQuery,
) -> HandlerResult {
    let query = read_query::<AppQuery>(&query.unwrap_or_default());
    let query = query.filter(|query| is_token(&query.browser)).ok_or(StatusCode::BAD_REQUEST)?;
    let app = &visitor.app;
    let next = NextPath::parse_with(&query.next, &app.config.apps);
    let Some((origin, next)) = app_of(app, next.as_str()) else {
        return redirect_to(&app.config.after_login());
    };
    let key = visitor.session_key().ok_or(StatusCode::BAD_REQUEST)?;
    let ticket = issue_ticket(app, key, (origin.clone(), next), query.browser).await?;
    redirect_to(&format!("{origin}/.vestibule/callback?ticket={ticket}"))
}

/// GET `/.vestibule/callback` on the application's host: takes the ticket for a cookie.
pub async fn callback(
    State(app): State<App>,
    extensions: Extensions,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let origin = app_host(&app, &extensions, &headers)?;
    let query: AppQuery = read_query(&query.unwrap_or_default()).ok_or(Refusal::Unreadable)?;
    let browser = cookies::LOGIN_STARTED.value(&headers, &origin);
    match redeem_ticket(&app, &origin, &query.ticket, browser).await {
        Ok(Some(entry)) => {
            let cookie = cookies::APP.set(&origin, &entry.cookie);
            Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&entry.next)).into_response())
        }
        Ok(None) => {
            let message = "This login has expired. Open the page again.";
            Ok((StatusCode::FORBIDDEN, message).into_response())
        }
        Err(error) => Ok(unavailable(&error)),
    }
}

/// HEAD of a URL whose GET issues or uses up a ticket: a HEAD changes nothing (RFC 9110).
pub async fn leave_unused() -> StatusCode {
    StatusCode::OK
}

/// POST `/.vestibule/logout` on the application's host: ends the login session everywhere.
pub async fn log_out(State(app): State<App>, request: Request) -> Result<Response, Refusal> {
    let origin = app_host(&app, request.extensions(), request.headers())?;
    if !csrf::is_from(&origin, request.headers()) {
        return Err(Refusal::OtherOrigin);
    }
    let cookie = cookies::APP.value(request.headers(), &origin);
    let key = cookie.and_then(|cookie| session_of_app(&app, &origin, cookie));
    if let Some(key) = key
        && let Err(error) = log_out_of_app(&app, &key).await
    {
        return Ok(unavailable(&error));
    }
    let form = request_fields(request).await;
    let next = NextPath::parse_with(&form.next, &app.config.apps);
    let next = match next.as_str() {
        "" => format!("{}/login", app.config.base_url),
        path if path.starts_with('/') => format!("{origin}{path}"),
        url => url.to_owned(),
    };
    let gone = cookies::APP.remove(&origin);
    Ok(([(header::SET_COOKIE, gone)], Redirect::to(&next)).into_response())
}

/// A body that cannot be read does not stop the logout.
async fn request_fields(request: Request) -> AppQuery {
    let fields = Fields::<AppQuery>::from_request(request, &()).await;
    fields.map(|Fields(form)| form).unwrap_or_default()
}

fn unavailable(error: &crate::accounts::Error) -> Response {
    Event::log_fault("an_app_login_failed", error);
    (StatusCode::SERVICE_UNAVAILABLE, "Logins cannot be checked right now. Try again in a minute.")
        .into_response()
}
