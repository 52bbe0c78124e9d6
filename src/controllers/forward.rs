//! Forward auth: a proxy asks with each request of an application who is logged in.

use askama::Template;
use axum::extract::State;
use axum::http::{Extensions, HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::session_info::as_json;
use crate::accounts::current_session::current_session;
use crate::accounts::identity_token::{identity_token, public_keys};
use crate::app::App;
use crate::error::RequestError;
use crate::event::Event;
use crate::visitor::forwarded::{ForwardedRequest, Refusal};

/// What a header's value may not have as it is. What is not ASCII is encoded, too; `%` itself, or two
/// addresses could look the same.
const ODD: &AsciiSet = &CONTROLS.add(b'%');

/// Nobody has groups yet. Never empty: Caddy would keep what the client sent (GHSA-7r4p-vjf4-gxv4).
const GROUPS: &str = "users";

/// How long a verifier may keep the keys: each is published a day before it signs.
const KEYS_MAX_AGE: HeaderValue = HeaderValue::from_static("public, max-age=3600");

/// A form that a browser sends to an application without a login. Of a bare 401 it shows an error of
/// its own, without a way on.
#[derive(Template)]
#[template(path = "form_not_sent.html")]
struct FormNotSent {
    login_url: String,
}

/// GET `/forward/nginx`: nginx makes an error page of all but 2xx, 401 and 403.
pub async fn nginx(
    State(app): State<App>,
    extensions: Extensions,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let request = ForwardedRequest::from_original_url(&app, &extensions, &headers)?;
    let answer = answer(&app, &request, &headers).await;
    Ok(answer.unwrap_or_else(|| {
        (StatusCode::UNAUTHORIZED, [(header::LOCATION, request.login_url(&app))]).into_response()
    }))
}

/// GET `/forward/proxy`: Caddy and Traefik pass the answer on as it is.
pub async fn proxy(
    State(app): State<App>,
    extensions: Extensions,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let request = ForwardedRequest::from_forwarded_headers(&app, &extensions, &headers)?;
    let answer = answer(&app, &request, &headers).await;
    Ok(answer.unwrap_or_else(|| {
        let login_url = request.login_url(&app);
        if request.is_for_a_page(&headers) {
            (StatusCode::FOUND, [(header::LOCATION, login_url)]).into_response()
        } else {
            unauthorized(&headers, FormNotSent { login_url })
        }
    }))
}

fn unauthorized(headers: &HeaderMap, page: FormNotSent) -> Response {
    let is_shown = headers.get("sec-fetch-mode").is_some_and(|mode| mode == "navigate");
    match page.render() {
        Ok(page) if is_shown => (StatusCode::UNAUTHORIZED, Html(page)).into_response(),
        _ => StatusCode::UNAUTHORIZED.into_response(),
    }
}

/// GET `/.well-known/jwks.json`.
pub async fn keys(State(app): State<App>) -> Response {
    match public_keys(&app).await {
        Ok(keys) => {
            let mut answer = as_json(StatusCode::OK, &keys);
            answer.headers_mut().insert(header::CACHE_CONTROL, KEYS_MAX_AGE);
            answer
        }
        Err(error) => {
            Event::log_fault("the_signing_keys_were_not_read", &error);
            as_json(StatusCode::SERVICE_UNAVAILABLE, &serde_json::json!({"error": "unavailable"}))
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        Event::ForwardRefused { reason: self.reason() }.write();
        (StatusCode::FORBIDDEN, self.message()).into_response()
    }
}

/// None when nobody is logged in. What fails is a denial: an application must not stand open because
/// its database is away.
async fn answer(app: &App, request: &ForwardedRequest, headers: &HeaderMap) -> Option<Response> {
    match identity(app, request, headers).await {
        Ok(identity) => identity.map(|identity| (StatusCode::OK, identity).into_response()),
        Err(error) => {
            Event::log_fault("a_check_failed", &error);
            let message = "Logins cannot be checked right now. Try again in a minute.";
            Some((StatusCode::FORBIDDEN, message).into_response())
        }
    }
}

/// The headers that tell an application who is logged in.
async fn identity(
    app: &App,
    request: &ForwardedRequest,
    headers: &HeaderMap,
) -> Result<Option<HeaderMap>, RequestError> {
    let Some(key) = request.session_key(app, headers) else { return Ok(None) };
    let Some(session) = current_session(app, &key).await? else { return Ok(None) };
    let user = &session.user;
    let token = identity_token(app, user, &request.origin).await?;
    let name = user.display_name();
    let mut identity = HeaderMap::new();
    for (header, value) in [
        ("remote-user", name),
        ("remote-name", name),
        ("remote-email", &user.email),
        ("remote-groups", GROUPS),
        ("remote-id", &user.id),
        ("remote-token", &token),
    ] {
        let value = utf8_percent_encode(value, ODD).to_string();
        let value = HeaderValue::from_str(&value).map_err(|_| RequestError::Internal(value))?;
        identity.insert(header, value);
    }
    Ok(Some(identity))
}
