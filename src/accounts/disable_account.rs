//! Disable an account from the command line, and enable it again.

use super::Error;
use super::end_access::end_all_access;
use super::history::{self, HistoryEvent};
use super::requester::Requester;
use crate::app::App;
use crate::event::Event;
use crate::models::mail_link::revoke_links_since;
use crate::models::user::{User, disable_user, enable_user};

/// Disables the account of `user` and ends every session, code, trusted device and link of it, all or nothing.
/// A login under way has the old credentials. Returns the user as they are then; `None` if they were disabled
/// before.
pub async fn disable(app: &App, user: &User) -> Result<Option<User>, Error> {
    let mut tx = app.db.begin().await?;
    let Some(user) = disable_user(&mut tx, &user.id, app.clock.now()).await? else {
        return Ok(None);
    };
    let sessions = end_all_access(&mut tx, &user.id).await?;
    revoke_links_since(tx.executor(), &user.id, 0).await?;
    history::record(app, &mut tx, &Requester::operator(), &user, HistoryEvent::Disabled).await?;
    tx.commit().await?;
    let account = &user.id;
    Event::UserDisabled { account }.write();
    Event::SessionEnded { account, reason: "disabled", sessions }.write();
    Ok(Some(user))
}

/// Enables the account of `user`, with the password of before. Returns the user as they are then; `None` if
/// they were enabled before.
pub async fn enable(app: &App, user: &User) -> Result<Option<User>, Error> {
    let mut tx = app.db.begin().await?;
    let Some(user) = enable_user(&mut tx, &user.id).await? else { return Ok(None) };
    history::record(app, &mut tx, &Requester::operator(), &user, HistoryEvent::Enabled).await?;
    tx.commit().await?;
    Event::UserEnabled { account: &user.id }.write();
    Ok(Some(user))
}
