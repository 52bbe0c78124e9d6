//! Delete an account, with everything that is stored about it.

use super::{Error, hooks};
use crate::app::App;
use crate::db::DbError;
use crate::event::Event;
use crate::models::history::delete_history_of_user;
use crate::models::hook_event::{HookKind, delete_events_of_user};
use crate::models::one_time_code;
use crate::models::outbox::delete_emails_of_user;
use crate::models::user::{User, delete_user};

/// How a deletion ended.
pub enum Deletion {
    Deleted,
    /// Somebody else deleted it before.
    Gone,
    /// A host application's table refers to the account and forbids to delete it: nothing was changed.
    Referenced(DbError),
}

/// Deletes the account of `user`, all or nothing. Its sessions, devices and links go with its row, and so
/// do the rows of a host application that say so. Limits stay: they count by keyed digests, and a deletion
/// must not reset what an address or a network has used up.
pub async fn delete_account(app: &App, user: &User) -> Result<Deletion, Error> {
    match delete_rows(app, user).await {
        Ok(true) => Event::UserDeleted { account: &user.id }.write(),
        Ok(false) => return Ok(Deletion::Gone),
        Err(error) if error.is_reference() => return Ok(Deletion::Referenced(error)),
        Err(error) => return Err(error.into()),
    }
    Ok(Deletion::Deleted)
}

async fn delete_rows(app: &App, user: &User) -> Result<bool, DbError> {
    let mut tx = app.db.begin().await?;
    if !delete_user(tx.executor(), &user.id).await? {
        return Ok(false);
    }
    // The rows of codes stay: a stranger may have asked for one, and would see that the account is gone.
    one_time_code::revoke_all_for_user(tx.executor(), &user.id).await?;
    delete_history_of_user(tx.executor(), &user.id).await?;
    delete_emails_of_user(tx.executor(), &user.id).await?;
    // A registration that was not told yet is of no use any more.
    delete_events_of_user(tx.executor(), &user.id).await?;
    hooks::enqueue(app, &mut tx, HookKind::Deleted, user).await?;
    tx.commit().await.map(|()| true)
}
