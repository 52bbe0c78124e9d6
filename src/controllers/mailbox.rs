//! The development mailbox: every mail that would have been sent, while no mail server is set.

use askama::Template;
use axum::extract::Path;
use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::response::{Html, IntoResponse};

use super::{Answer, redirect, show as show_page};
use crate::error::RequestError;
use crate::models::outbox::{self, Queued};
use crate::page::Page;
use crate::random;
use crate::times;
use crate::visitor::Visitor;

/// How many mails the page shows.
const SHOWN: i64 = 50;

/// A mail's HTML part: its own inline style, nothing else, and no power over this site.
const LETTER_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'; sandbox";

/// One mail, as the templates show it.
struct MailRow {
    id: String,
    to: String,
    subject: String,
    at: String,
    at_iso: String,
    text: String,
}

#[derive(Template)]
#[template(path = "mailbox.html")]
struct MailboxPage {
    page: Page,
    mails: Vec<MailRow>,
}

#[derive(Template)]
#[template(path = "mailbox_letter.html")]
struct LetterPage {
    page: Page,
    mail: MailRow,
}

impl From<Queued> for MailRow {
    fn from(queued: Queued) -> Self {
        Self {
            at: times::day_and_time(queued.created_at),
            at_iso: times::iso(queued.created_at),
            id: queued.id,
            to: queued.to,
            subject: queued.subject,
            text: queued.text,
        }
    }
}

/// GET `/dev/mailbox`: newest first, with the text of each.
pub async fn show(visitor: Visitor) -> Answer {
    let store = &visitor.app.store;
    let mails = outbox::newest(&store.db, &store.key, SHOWN).await?;
    let mails = mails.into_iter().map(MailRow::from).collect();
    show_page(&MailboxPage { page: visitor.page("Development mailbox").await?, mails })
}

/// GET `/dev/mailbox/{id}`.
pub async fn show_letter(visitor: Visitor, Path(id): Path<String>) -> Answer {
    let mail = find(&visitor, &id).await?.into();
    show_page(&LetterPage { page: visitor.page("Mail").await?, mail })
}

/// GET `/dev/mailbox/{id}/html`.
pub async fn show_html(visitor: Visitor, Path(id): Path<String>) -> Answer {
    let queued = find(&visitor, &id).await?;
    Ok(([(CONTENT_SECURITY_POLICY, LETTER_POLICY)], Html(queued.html)).into_response())
}

/// POST `/dev/mailbox/clear`.
pub async fn clear(visitor: Visitor) -> Answer {
    outbox::clear(&visitor.app.store.db).await?;
    redirect("/dev/mailbox")
}

async fn find(visitor: &Visitor, id: &str) -> Result<Queued, RequestError> {
    if !random::is_id(id) {
        return Err(RequestError::NotFound);
    }
    let store = &visitor.app.store;
    outbox::find(&store.db, &store.key, id).await?.ok_or(RequestError::NotFound)
}
