//! Unlock: an emailed link lets a browser try to log in although logins are stopped. It does not log in.

use super::Error;
use super::history::{self, HistoryEvent};
use super::mail_link::{LinkForm, count_attempt, open_link, refuse, use_link};
use super::requester::Requester;
use super::trusted_devices::trust_anew;
use crate::app::App;
use crate::db::DbError;
use crate::event::Event;
use crate::models::mail_link::LinkPurpose;
use crate::models::user::{User, find_user};

const PURPOSE: LinkPurpose = LinkPurpose::Unlock;

/// The user whose link this token is. It changes nothing: programs that check emails open links, too.
pub async fn open_unlock(app: &App, token: &str) -> Result<Option<User>, DbError> {
    let Some(link) = open_link(app, PURPOSE, token).await? else { return Ok(None) };
    let Some(id) = link.user_id else { return Ok(None) };
    find_user(app.db.reader(), &id).await
}

/// Gives this browser its own login limit, like that of a trusted device. Returns the device tokens that it must
/// keep; `None` if the link does not work. The same form sent again succeeds as well.
pub async fn unlock(
    app: &App,
    requester: &Requester,
    form: LinkForm<'_>,
) -> Result<Option<Vec<String>>, Error> {
    let attempt = count_attempt(app, requester).await?;
    if let Some(user) = open_unlock(app, form.token).await?
        && let Some(device_tokens) = trust(app, requester, &user, form).await?
    {
        attempt.refund(app).await;
        Event::Unlocked { account: &user.id }.write();
        return Ok(Some(device_tokens));
    }
    let Some((user, _)) = form.find_repeat(app, PURPOSE).await? else {
        refuse(PURPOSE);
        return Ok(None);
    };
    // The browser may not have received the first answer, with the token. Repeats stay counted.
    let mut tx = app.db.begin().await?;
    let device_tokens = trust_anew(app, &mut tx, requester, &user).await?;
    tx.commit().await?;
    Ok(Some(device_tokens))
}

async fn trust(
    app: &App,
    requester: &Requester,
    user: &User,
    form: LinkForm<'_>,
) -> Result<Option<Vec<String>>, DbError> {
    let mut tx = app.db.begin().await?;
    // Users before links, as in a deletion: parallel requests must not deadlock.
    let device_tokens = match trust_anew(app, &mut tx, requester, user).await {
        // The account was deleted in the meantime.
        Err(error) if error.is_reference() => return Ok(None),
        trusted => trusted?,
    };
    if use_link(app, &mut tx, PURPOSE, form.token).await?.is_none() {
        return Ok(None);
    }
    form.note_used(app, &mut tx, (PURPOSE, user), "").await?;
    history::record(app, &mut tx, requester, user, HistoryEvent::Unlocked).await?;
    tx.commit().await?;
    Ok(Some(device_tokens))
}
