//! The layers for an application's own routes: login, origin check and security headers.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{FromFnLayer, Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::csrf::is_from_elsewhere;
use super::headers::{add_missing, hsts};
use crate::app::App;
use crate::current_user::CurrentUser;
use crate::visitor::current_user::UserOfRequest;

/// Everything from the application's own origin, nothing inline, no frames (ASVS 3.4.3, 3.4.6).
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; object-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);

/// A layer for an application's own routes; `T` is what it takes from each request.
pub type RouteLayer<T> =
    FromFnLayer<fn(T, Request, Next) -> BoxFuture<'static, Response>, App, (T, Request)>;

/// A layer that refuses anonymous requests, as the extractor [`CurrentUser`] does, which then costs no
/// second query.
pub fn require_login(app: &App) -> RouteLayer<CurrentUser> {
    from_fn_with_state(app.clone(), |_, request, next| run_privately(request, next).boxed())
}

/// A layer for all routes of an application: it refuses forms and other changes that do not come from
/// the site's own pages, as Vestibule does for its own, and adds [`security_headers`].
pub fn protect(app: &App) -> RouteLayer<State<App>> {
    from_fn_with_state(app.clone(), |State(app), request, next| {
        check_origin_and_add_headers(app, request, next).boxed()
    })
}

/// The part of [`protect`] without the check of the origin, for what programs of other sites send.
///
/// It adds those headers that an answer does not have. An answer that depends on who is logged in gets
/// `Cache-Control: no-store`.
pub fn security_headers(app: &App) -> RouteLayer<State<App>> {
    from_fn_with_state(app.clone(), |State(app), request, next| {
        run_and_add_headers(app, request, next).boxed()
    })
}

async fn check_origin_and_add_headers(app: App, request: Request, next: Next) -> Response {
    if request.method().is_safe() || !is_from_elsewhere(&app.config, request.headers()) {
        return run_and_add_headers(app, request, next).await;
    }
    let words = "We couldn't verify this form. Try again from our site.";
    let mut refusal = (StatusCode::FORBIDDEN, words).into_response();
    add_headers(&app, refusal.headers_mut());
    refusal
}

async fn run_and_add_headers(app: App, request: Request, next: Next) -> Response {
    let mut response = run_privately(request, next).await;
    add_headers(&app, response.headers_mut());
    response
}

fn add_headers(app: &App, headers: &mut HeaderMap) {
    let policy = [(header::CONTENT_SECURITY_POLICY, POLICY)];
    add_missing(headers, policy, hsts(&app.config));
}

/// No cache keeps an answer that depends on who is logged in (ASVS 14.3.2), unless the handler says so;
/// and then none serves it to another person.
async fn run_privately(mut request: Request, next: Next) -> Response {
    let user = request.extensions_mut().get_or_insert_default::<UserOfRequest>().clone();
    let mut response = next.run(request).await;
    if user.was_read() {
        let headers = response.headers_mut();
        headers.append(header::VARY, HeaderValue::from_static("cookie"));
        let no_store = HeaderValue::from_static("no-store");
        headers.entry(header::CACHE_CONTROL).or_insert(no_store);
    }
    response
}
