//! The history of the account.

use askama::Template;
use axum::extract::RawQuery;
use axum::http::StatusCode;
use serde::Deserialize;

use super::{HandlerResult, show as show_page};
use crate::accounts::history::history_of;
use crate::forms::read_query;
use crate::models::history::HistoryEntry;
use crate::page::Page;
use crate::random::is_id;
use crate::visitor::logged_in::LoggedIn;

/// Entries of one page.
const PAGE_LENGTH: usize = 50;

#[derive(Template)]
#[template(path = "history.html")]
struct HistoryPage {
    page: Page,
    entries: Vec<HistoryEntry>,
    /// Whether these are not the newest.
    is_later_page: bool,
    /// The entry after which the next page begins, if there is one.
    older: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct HistoryQuery {
    /// The last entry of the page before.
    before: String,
}

pub async fn show(
    LoggedIn { mut visitor, user }: LoggedIn,
    RawQuery(query): RawQuery,
) -> HandlerResult {
    let query: Option<HistoryQuery> = read_query(&query.unwrap_or_default());
    let before = query.ok_or(StatusCode::BAD_REQUEST)?.before;
    let before = Some(before.as_str()).filter(|id| is_id(id));
    let limit = i64::try_from(PAGE_LENGTH + 1).unwrap_or(i64::MAX);
    let mut entries = history_of(&visitor.app, &user, before, limit).await?;
    let has_more = entries.len() > PAGE_LENGTH;
    entries.truncate(PAGE_LENGTH);
    let older = entries.last().filter(|_| has_more).map(|last| last.id.clone());
    let page = visitor.page("History").await?;
    show_page(&HistoryPage { page, entries, is_later_page: before.is_some(), older })
}
