//! Every URL and every layer, in one table.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{Route, get, post};
use tower::util::{Oneshot, ServiceFn};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::timeout::TimeoutLayer;

use crate::app::App;
use crate::controllers::{
    account, app_login, change_email, change_password, change_username, confirm_registration,
    delete_account, export, forgotten_username, forward, health, history, home, login, login_code,
    logout, mailbox, not_me, password_reset, register, session_info, sessions, static_files,
    unlock, verify_email,
};
use crate::middleware::{
    cookies, csrf, error_pages, fetched, frame, framing, headers, mailbox as mailbox_guard,
    metrics, mount, request_id, session,
};

/// Ten times the largest form.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// For a whole request, from its head to the end of its response.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The pages, for an application's own router: merged, or nested at the path of the base URL. It has
/// neither `/` nor a fallback, health checks or `/favicon.ico`, and no layer around other routes.
pub fn router<S: Clone + Send + Sync + 'static>(app: &App) -> Router<S> {
    let routes = pages_for(app, REQUEST_TIMEOUT).merge(on_app_hosts(app));
    // Without the layers, which would be around the application's own.
    routes.reset_fallback().with_state(app.clone())
}

/// What the program serves: the pages under the path of the base URL, and what an application that
/// mounts them has of its own.
pub fn site(app: &App) -> Router {
    let mut pages = pages_for(app, REQUEST_TIMEOUT).merge(for_machines(app));
    let mut home = Router::new().route("/", get(home::show));
    let base = app.config.base_url.path();
    if !base.is_empty() {
        pages = Router::new().nest(base, pages);
        home = Router::new().nest(base, home.clone()).nest(&format!("{base}/"), home);
    }
    let own = around_forms(home, app).fallback(async || StatusCode::NOT_FOUND);
    let own = around_pages(around_sessions(own, app), app, REQUEST_TIMEOUT);
    let mut all = pages.merge(on_app_hosts(app)).reset_fallback().merge(own);
    if app.config.metrics_listen.is_some() {
        all = all.layer(
            ServiceBuilder::new()
                .layer(from_fn_with_state(app.clone(), metrics::count))
                .layer_fn(share),
        );
    }
    all.with_state(app.clone())
}

fn pages_for(app: &App, longest: Duration) -> Router<App> {
    let leading_on = leading_on(app).layer(headers::form_action_layer(&app.config));
    let mailbox = if app.has_mailbox() { development(app) } else { Router::new() };
    let names = if app.config.usernames.are_used() { about_usernames() } else { Router::new() };
    let forms = around_forms(pages().merge(names).merge(leading_on).merge(mailbox), app);
    let pages = around_sessions(forms, app).merge(without_session());
    let programs = around_all(limited(for_programs(), longest), app);
    let check = from_fn_with_state(app.clone(), mount::check);
    around_pages(pages, app, longest).merge(programs).layer(check)
}

fn pages() -> Router<App> {
    let confirm_email = get(change_email::show_confirm).post(change_email::submit_confirm);
    Router::new()
        .route("/login/app", get(app_login::send_ticket).head(app_login::leave_unused))
        .route("/forgot", get(password_reset::show_request).post(password_reset::submit_request))
        .route("/reset", get(password_reset::show).post(password_reset::submit))
        .route("/reset/resend", post(password_reset::resend))
        .route("/verify", get(verify_email::show).post(verify_email::submit))
        .route("/verify/resend", post(verify_email::resend))
        .route("/account", get(account::show))
        .route("/account/password", get(change_password::show).post(change_password::submit))
        .route("/account/sessions", get(sessions::show))
        .route("/account/sessions/revoke", post(sessions::revoke))
        .route("/account/history", get(history::show))
        .route("/account/delete", get(delete_account::show).post(delete_account::submit))
        .route("/account/export", post(export::submit))
        .route("/account/email", get(change_email::show).post(change_email::submit))
        .route("/account/email/confirm", confirm_email)
        .route("/account/email/resend", post(change_email::resend))
        .route("/not-me/{token}", get(not_me::show).post(not_me::submit))
        .route("/unlock/{token}", get(unlock::show).post(unlock::submit))
}

fn about_usernames() -> Router<App> {
    Router::new()
        .route("/forgot/username", get(forgotten_username::show).post(forgotten_username::submit))
        .route("/account/username", get(change_username::show).post(change_username::submit))
}

/// Pages whose forms have `next`.
fn leading_on(app: &App) -> Router<App> {
    let mut pages = Router::new()
        .route("/register", get(register::show).post(register::submit))
        .route("/login", get(login::show).post(login::submit))
        .route("/logout", get(logout::show).post(logout::submit));
    if app.config.registration.mode.proves_addresses() {
        let confirm = get(confirm_registration::show).post(confirm_registration::submit);
        pages = pages
            .route("/register/confirm", confirm)
            .route("/register/resend", post(confirm_registration::resend));
    }
    if !app.config.login_code {
        return pages;
    }
    let confirm_code = get(login_code::show_confirm).post(login_code::submit_confirm);
    pages
        .route("/login/code", get(login_code::show).post(login_code::submit))
        .route("/login/code/confirm", confirm_code)
        .route("/login/code/resend", post(login_code::resend))
}

fn development(app: &App) -> Router<App> {
    Router::new()
        .route("/dev/mailbox", get(mailbox::show))
        .route("/dev/mailbox.json", get(mailbox::show_json))
        .route("/dev/mailbox/clear", post(mailbox::clear))
        .route("/dev/mailbox/{id}", get(mailbox::show_email))
        .route("/dev/mailbox/{id}/html", get(mailbox::show_html))
        .route("/dev/mailbox/{id}/source", get(mailbox::show_source))
        .layer(from_fn_with_state(app.clone(), mailbox_guard::guard))
}

fn without_session() -> Router<App> {
    Router::new()
        .route("/_vestibule/{name}", get(static_files::show))
        .route("/.well-known/change-password", get(home::change_password))
}

/// No page, and one read at most: proxies ask with every request of an application.
fn for_programs() -> Router<App> {
    Router::new()
        .route("/session", get(session_info::show))
        .route("/forward/nginx", get(forward::nginx))
        .route("/forward/proxy", get(forward::proxy))
        .route("/.well-known/jwks.json", get(forward::keys))
}

/// What the proxies of applications pass on: the path of the base URL is none of their hosts'.
fn on_app_hosts(app: &App) -> Router<App> {
    let routes = Router::new()
        .route("/.vestibule/login", get(app_login::start_login))
        .route("/.vestibule/callback", get(app_login::callback).head(app_login::leave_unused))
        .route("/.vestibule/logout", post(app_login::log_out));
    around_all(limited(routes, REQUEST_TIMEOUT), app)
}

/// Neither session nor page. Health checks leave no line in the log.
fn for_machines(app: &App) -> Router<App> {
    let health = Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .layer(from_fn(framing::check));
    let icon = Router::new().route("/favicon.ico", get(static_files::favicon));
    around_all(health, app).merge(around_pages(icon, app, REQUEST_TIMEOUT))
}

fn around_forms(routes: Router<App>, app: &App) -> Router<App> {
    let layers = ServiceBuilder::new()
        .layer(from_fn_with_state(app.clone(), csrf::check))
        .layer(from_fn(fetched::show_redirect))
        .layer_fn(share);
    routes.layer(layers)
}

fn around_sessions(routes: Router<App>, app: &App) -> Router<App> {
    let layers = ServiceBuilder::new()
        .layer(from_fn(session::keep_user))
        .layer(session::layer(app))
        .layer(from_fn_with_state(app.clone(), error_pages::add_user))
        .layer_fn(share);
    routes.layer(layers)
}

/// The first layer is outermost: every failed response gets a page, a panic's too.
fn around_pages(routes: Router<App>, app: &App, longest: Duration) -> Router<App> {
    let layers = ServiceBuilder::new()
        .layer(cookies::layer(&app.config))
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        // The frame is code of the application.
        .layer(CatchPanicLayer::new())
        .layer(from_fn_with_state(app.clone(), frame::apply))
        .layer(from_fn_with_state(app.clone(), error_pages::render))
        .layer_fn(share);
    around_all(limited(routes, longest).layer(layers), app)
}

fn limited(routes: Router<App>, longest: Duration) -> Router<App> {
    let layers = ServiceBuilder::new()
        .layer(from_fn(framing::check))
        .layer(CatchPanicLayer::new())
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, longest))
        .layer(RequestBodyLimitLayer::new(MAX_BODY_BYTES));
    routes.layer(layers)
}

fn around_all(routes: Router<App>, app: &App) -> Router<App> {
    let layers = ServiceBuilder::new()
        .layer(from_fn_with_state(app.clone(), request_id::assign))
        .layer(headers::layer(&app.config))
        .layer_fn(share);
    routes.layer(layers)
}

/// The innermost layer of a group. axum copies what is inside of a layer for each request, and what is inside
/// copies its own part again: without this the login page takes a quarter more instructions (119 thousand
/// instead of 93 thousand).
fn share(route: Route) -> ServiceFn<impl Fn(Request) -> Oneshot<Route, Request> + Clone> {
    let route = Arc::new(route);
    service_fn(move |request| Route::clone(&route).oneshot(request))
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;
    use crate::Config;
    use crate::db::Location;

    #[expect(clippy::panic, reason = "what a bug in a handler does")]
    async fn with_a_bug() -> &'static str {
        panic!("a bug")
    }

    async fn app() -> (App, std::path::PathBuf) {
        let folder =
            std::env::temp_dir().join(format!("vestibule-routes-{}", crate::random::id(0)));
        std::fs::create_dir_all(&folder).unwrap();
        let database = Location::Sqlite(folder.join("vestibule.db"));
        (App::start(Config { database, ..Config::default() }).await.unwrap(), folder)
    }

    async fn text(answer: axum::response::Response) -> String {
        String::from_utf8_lossy(&to_bytes(answer.into_body(), 1 << 20).await.unwrap()).into_owned()
    }

    #[tokio::test]
    async fn a_panic_is_answered_with_a_page_and_the_site_keeps_working() {
        let (app, folder) = app().await;
        let routes = Router::new().route("/", get(with_a_bug));
        let site = around_pages(routes, &app, REQUEST_TIMEOUT).with_state(app);
        for _ in 0..2 {
            let request = Request::get("/").body(Body::empty()).unwrap();
            let answer = site.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
            let page = text(answer).await;
            assert!(page.contains("Something went wrong on our side") && !page.contains("a bug"));
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[tokio::test]
    async fn a_body_that_does_not_come_is_answered_408_with_a_page_and_all_headers() {
        let (app, folder) = app().await;
        let begun = futures_util::stream::once(async { Ok::<_, std::io::Error>("username=a") });
        let body = futures_util::StreamExt::chain(begun, futures_util::stream::pending());
        let request = Request::post("/login")
            .header("origin", "http://localhost:8000")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from_stream(body))
            .unwrap();
        let answer = pages_for(&app, Duration::from_millis(50)).with_state(app).oneshot(request);
        let answer = tokio::time::timeout(Duration::from_secs(20), answer).await;
        let answer = answer.expect("cut by the time for a request").unwrap();
        assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
        let policy = answer.headers().get("content-security-policy").unwrap();
        assert_eq!(policy, headers::CONTENT_SECURITY_POLICY);
        assert!(text(answer).await.contains("<h1>That took too long</h1>"));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
