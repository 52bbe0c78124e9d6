//! Protects the development mailbox, which shows every code.

use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use url::{Host, Url};

use crate::app::App;
use crate::event::Event;
use crate::visitor::peer;

/// Answers 404 to clients on other machines, unless the settings let anyone read it, and for any host
/// except the site's own, `localhost` and IP addresses. Another name could be an attacker's that
/// resolves to this machine: pages there could read every code (DNS rebinding).
pub async fn guard(State(app): State<App>, request: Request, next: Next) -> Response {
    let (extensions, headers) = (request.extensions(), request.headers());
    let refusal = if !headers.get(header::HOST).is_none_or(|host| is_own_host(&app, host)) {
        Event::HostRefused
    } else if !peer::reads_mailbox(extensions, headers, &app) {
        Event::MailboxRefused
    } else {
        return next.run(request).await;
    };
    refusal.write();
    StatusCode::NOT_FOUND.into_response()
}

fn is_own_host(app: &App, host: &HeaderValue) -> bool {
    let url = host.to_str().ok().and_then(|host| Url::parse(&format!("http://{host}")).ok());
    url.as_ref().and_then(Url::host).is_some_and(|host| match host {
        Host::Domain(name) => name == "localhost" || name == app.config.base_url.host(),
        Host::Ipv4(_) | Host::Ipv6(_) => true,
    })
}
