//! Download everything that is stored about the person.

use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::IntoResponse;

use super::HandlerResult;
use crate::accounts::export::export;
use crate::visitor::Visitor;

/// POST `/account/export`. Not a GET: other sites must not make it happen.
pub async fn submit(visitor: Visitor) -> HandlerResult {
    let Some(user) = &visitor.user else { return Ok(visitor.to_login("/account")) };
    let data = export(&visitor.app, &visitor.requester, user).await?;
    let headers = [
        (CONTENT_TYPE, "application/json"),
        (CONTENT_DISPOSITION, "attachment; filename=\"account.json\""),
    ];
    Ok((headers, format!("{data:#}\n")).into_response())
}
