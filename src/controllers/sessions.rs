//! Where the user is logged in, and which browsers are trusted.

use askama::Template;
use axum::http::StatusCode;
use serde::Deserialize;

use super::{HandlerResult, redirect, show as show_page};
use crate::accounts::sessions::{
    Entry, devices_of, end_other_sessions, end_session, forget_device, sessions_of,
};
use crate::flash::Flash;
use crate::forms::Fields;
use crate::page::Page;
use crate::visitor::Visitor;
use crate::visitor::logged_in::LoggedIn;

const PATH: &str = "/account/sessions";

#[derive(Template)]
#[template(path = "sessions.html")]
struct SessionsPage {
    page: Page,
    sessions: Vec<Entry>,
    devices: Vec<Entry>,
}

/// One of its fields is filled in.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct RevokeForm {
    /// The id of a session.
    session: String,
    /// `1`: every session but this one.
    others: String,
    /// The id of a trusted device.
    device: String,
}

pub async fn show(LoggedIn { mut visitor, user }: LoggedIn) -> HandlerResult {
    let app = &visitor.app;
    let sessions = sessions_of(app, &user, visitor.session_key().as_deref()).await?;
    let devices = devices_of(app, &user, &visitor.requester.device_tokens).await?;
    let page = visitor.page("Sessions").await?;
    show_page(&SessionsPage { page, sessions, devices })
}

pub async fn revoke(mut visitor: Visitor, Fields(form): Fields<RevokeForm>) -> HandlerResult {
    let (Some(user), Some(key)) = (visitor.user.clone(), visitor.session_key()) else {
        return Ok(visitor.to_login(PATH));
    };
    let (app, requester) = (&visitor.app, &visitor.requester);
    let RevokeForm { session, others, device } = &form;
    let flash = match (session.as_str(), others.as_str(), device.as_str()) {
        ("", "1", "") => {
            end_other_sessions(app, requester, &user, Some(&key)).await?;
            Flash::LoggedOutElsewhere
        }
        (id, "", "") if !id.is_empty() => match end_session(app, requester, &user, id).await? {
            Some(ended) if ended == key => return log_out(visitor).await,
            Some(_) => Flash::LoggedOutThere,
            None => Flash::AlreadyGone,
        },
        ("", "", id) if !id.is_empty() => {
            let is_done = forget_device(app, requester, &user, id).await?;
            if is_done { Flash::DeviceForgotten } else { Flash::AlreadyGone }
        }
        _ => return Err(StatusCode::UNPROCESSABLE_ENTITY.into()),
    };
    visitor.add_flash(flash).await?;
    redirect(&visitor.app, PATH)
}

/// The browser lets go of the session that has just ended.
async fn log_out(mut visitor: Visitor) -> HandlerResult {
    visitor.end_session().await?;
    visitor.add_flash(Flash::LoggedOut).await?;
    redirect(&visitor.app, "/login")
}
