//! The development mailbox: shows all emails while no mail server is set.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_FRAME_OPTIONS};
use axum::http::{HeaderName, StatusCode};
use axum::response::{Html, IntoResponse};
use serde::Serialize;

use super::{HandlerResult, redirect, show as show_page};
use crate::app::App;
use crate::error::RequestError;
use crate::mail::{Composer, emails};
use crate::middleware::headers;
use crate::models::outbox::{self, Email, MAILBOX_SIZE, QueuedEmail};
use crate::page::Page;
use crate::times;
use crate::visitor::Visitor;

/// How many emails the page shows.
const MAX_SHOWN: i64 = 50;

/// The HTML part of a mail may use its inline style and nothing else, and be framed only by this site.
const HTML_PART: [(HeaderName, &str); 2] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox",
    ),
    (X_FRAME_OPTIONS, "SAMEORIGIN"),
];

#[derive(Template)]
#[template(path = "mailbox.html")]
struct MailboxPage {
    page: Page,
    /// Addresses of this site start with it, and are shown as links.
    home: String,
    mails: Vec<QueuedEmail>,
}

#[derive(Template)]
#[template(path = "mailbox_email.html")]
struct EmailPage {
    page: Page,
    home: String,
    from: String,
    mail: QueuedEmail,
    newer: Option<String>,
    older: Option<String>,
}

/// One email, as scripts read it.
#[derive(Serialize)]
struct MailJson<'a> {
    id: &'a str,
    at: String,
    kind: &'a str,
    from: &'a str,
    #[serde(flatten)]
    email: &'a Email,
    code: Option<&'a str>,
}

/// Newest first, with the text of each; the newest with its HTML part too.
pub async fn show(mut visitor: Visitor) -> HandlerResult {
    let (mails, home) = (newest(&visitor.app, MAX_SHOWN).await?, home(&visitor.app));
    show_framing(&MailboxPage { page: visitor.page("Development mailbox").await?, home, mails })
}

/// The same emails, for scripts.
pub async fn show_json(State(app): State<App>) -> HandlerResult {
    let (newest, from) = (newest(&app, MAX_SHOWN).await?, app.config.mail_from.to_string());
    let mails = newest.iter().map(|QueuedEmail { id, email, created_at, .. }| MailJson {
        id,
        at: times::iso(*created_at),
        kind: &email.kind,
        from: &from,
        email,
        code: emails::code_in(&email.kind, &email.text),
    });
    let body = serde_json::to_string(&mails.collect::<Vec<_>>())
        .map_err(|error| RequestError::Internal(format!("emails as JSON: {error}")))?;
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

pub async fn show_email(mut visitor: Visitor, Path(id): Path<String>) -> HandlerResult {
    let mut mails = newest(&visitor.app, MAILBOX_SIZE).await?;
    let at = position(&mails, &id)?;
    let id_at = |at: usize| mails.get(at).map(|mail| mail.id.clone());
    let (newer, older) = (at.checked_sub(1).and_then(id_at), id_at(at + 1));
    let (mail, home) = (mails.swap_remove(at), home(&visitor.app));
    let (page, from) = (visitor.page("Mail").await?, visitor.app.config.mail_from.to_string());
    show_framing(&EmailPage { page, home, from, mail, newer, older })
}

pub async fn show_html(State(app): State<App>, Path(id): Path<String>) -> HandlerResult {
    let queued = find(&app, &id).await?;
    Ok((HTML_PART, Html(queued.email.html)).into_response())
}

/// The message as it would be sent to a mail server.
pub async fn show_source(State(app): State<App>, Path(id): Path<String>) -> HandlerResult {
    let queued = find(&app, &id).await?;
    let composer = Composer::new(&app.config.mail_from, app.config.base_url.host())
        .map_err(|error| RequestError::Internal(error.to_string()))?;
    let message = composer.compose(&queued).map_err(RequestError::Internal)?;
    Ok(([(CONTENT_TYPE, "text/plain; charset=utf-8")], message.source).into_response())
}

pub async fn clear(State(app): State<App>) -> HandlerResult {
    outbox::clear(app.db.writer()).await?;
    redirect(&app, "/dev/mailbox")
}

/// A page that may contain frames of this site. No other page may.
fn show_framing(page: &impl Template) -> HandlerResult {
    let policy = format!("{}; frame-src 'self'", headers::CONTENT_SECURITY_POLICY);
    Ok(([(CONTENT_SECURITY_POLICY, policy)], show_page(page)?).into_response())
}

fn home(app: &App) -> String {
    format!("{}/", app.config.base_url)
}

async fn newest(app: &App, most: i64) -> Result<Vec<QueuedEmail>, RequestError> {
    Ok(outbox::newest(app.db.reader(), &app.key, most).await?)
}

async fn find(app: &App, id: &str) -> Result<QueuedEmail, RequestError> {
    let mut mails = newest(app, MAILBOX_SIZE).await?;
    let at = position(&mails, id)?;
    Ok(mails.swap_remove(at))
}

fn position(mails: &[QueuedEmail], id: &str) -> Result<usize, RequestError> {
    mails.iter().position(|mail| mail.id == id).ok_or(StatusCode::NOT_FOUND.into())
}
