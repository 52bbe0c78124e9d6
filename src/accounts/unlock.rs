//! Unlock: an emailed link lets a browser try to log in although logins are stopped. It does not log in.

use super::Error;
use super::history::{self, HistoryEvent};
use super::mail_link::{count_attempt, open_link, refuse, use_link};
use super::requester::Requester;
use super::trusted_devices::trust_anew;
use crate::app::App;
use crate::db::DbError;
use crate::event::Event;
use crate::models::mail_link::LinkPurpose;
use crate::models::user::{User, find_user};

/// A browser that may try again.
pub struct Unlocked {
    pub user: User,
    /// The device tokens that the browser must keep.
    pub device_tokens: Vec<String>,
}

/// The user whose link this token is. It changes nothing: programs that check emails open links, too.
pub async fn open_unlock(app: &App, token: &str) -> Result<Option<User>, DbError> {
    let Some(link) = open_link(app, LinkPurpose::Unlock, token).await? else { return Ok(None) };
    let Some(id) = link.user_id else { return Ok(None) };
    find_user(app.db.reader(), &id).await
}

/// Gives this browser its own login limit, like that of a trusted device. `None` if the link does not work.
pub async fn unlock(
    app: &App,
    requester: &Requester,
    token: &str,
) -> Result<Option<Unlocked>, Error> {
    let attempt = count_attempt(app, requester).await?;
    let unlocked = match open_unlock(app, token).await? {
        Some(user) => trust(app, requester, user, token).await?,
        None => None,
    };
    match &unlocked {
        Some(Unlocked { user, .. }) => {
            attempt.refund(app).await;
            Event::Unlocked { account: &user.id }.write();
        }
        None => refuse(LinkPurpose::Unlock),
    }
    Ok(unlocked)
}

async fn trust(
    app: &App,
    requester: &Requester,
    user: User,
    token: &str,
) -> Result<Option<Unlocked>, DbError> {
    let mut tx = app.db.begin().await?;
    // Users before links, as in a deletion: parallel requests must not deadlock.
    let device_tokens = match trust_anew(app, &mut tx, requester, &user).await {
        // The account was deleted in the meantime.
        Err(error) if error.is_reference() => return Ok(None),
        trusted => trusted?,
    };
    if use_link(app, &mut tx, LinkPurpose::Unlock, token).await?.is_none() {
        return Ok(None);
    }
    history::record(app, &mut tx, requester, &user, HistoryEvent::Unlocked).await?;
    tx.commit().await?;
    Ok(Some(Unlocked { user, device_tokens }))
}
