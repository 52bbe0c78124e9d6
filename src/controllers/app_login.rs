//! Logging in to an application on another host: there and back, by way of this site's login.

use axum::extract::{FromRequest, RawQuery, Request, State};
use axum::http::{Extensions, HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::{HandlerResult, redirect_to};
use crate::accounts::app_login::{
    browser_digest, is_token, issue_ticket, log_out_of_app, new_token, session_of_app, use_ticket,
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
    /// The digest of the cookie that the browser got when it set out.
    browser: String,
    ticket: String,
}

/// GET `/.vestibule/login` on the application's host: marks the browser, and sends it to log in.
pub async fn set_out(
    State(app): State<App>,
    extensions: Extensions,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let origin = app_host(&app, &extensions, &headers)?;
    let query: AppQuery = read_query(&query.unwrap_or_default()).ok_or(Refusal::Unreadable)?;
    // Tabs that set out together share the mark.
    let mark = cookies::SET_OUT.value(&headers, &origin).map_or_else(new_token, str::to_owned);
    let browser = browser_digest(&mark);
    let starts = app.config.apps.at(&origin).map(AppUrl::start);
    let asked = query.next.starts_with('/').then(|| format!("{origin}{}", query.next));
    let mut nexts = asked.into_iter().chain(starts);
    let enter = nexts.find_map(|next| enter_path(&app, &next, &browser));
    let login = with_next("/login", &enter.ok_or(Refusal::UnknownApp)?);
    let cookie = cookies::SET_OUT.set(&origin, &mark);
    let login = Redirect::to(&format!("{}{login}", app.config.base_url));
    Ok(([(header::SET_COOKIE, cookie)], login).into_response())
}

/// The path of [`enter`], if `next` is a URL of an application and neither is too long.
fn enter_path(app: &App, next: &str, browser: &str) -> Option<String> {
    let next = NextPath::parse_with(next, &app.config.apps);
    let enter = app.config.base_url.path_of("/login/app");
    let path = format!("{}&browser={browser}", with_next(&enter, next.as_str()));
    let is_followed = !next.as_str().is_empty() && NextPath::parse(&path).as_str() == path;
    is_followed.then_some(path)
}

/// Sends the browser back with a ticket.
pub async fn enter(LoggedIn { visitor, .. }: LoggedIn, RawQuery(query): RawQuery) -> HandlerResult {
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
    let browser = cookies::SET_OUT.value(&headers, &origin);
    match use_ticket(&app, &origin, &query.ticket, browser).await {
        Ok(Some(entry)) => {
            let cookie = cookies::APP.set(&origin, &entry.cookie);
            Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&entry.next)).into_response())
        }
        Ok(None) => {
            let words = "This login has expired. Open the page again.";
            Ok((StatusCode::FORBIDDEN, words).into_response())
        }
        Err(error) => Ok(unavailable(&error)),
    }
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

/// A body that cannot be read keeps nobody logged in.
async fn request_fields(request: Request) -> AppQuery {
    let fields = Fields::<AppQuery>::from_request(request, &()).await;
    fields.map(|Fields(form)| form).unwrap_or_default()
}

fn unavailable(error: &crate::accounts::Error) -> Response {
    Event::log_fault("an_app_login_failed", error);
    (StatusCode::SERVICE_UNAVAILABLE, "Logins cannot be checked right now. Try again in a minute.")
        .into_response()
}
