//! Delete an account, with everything that is stored about it.

use super::email::address_key;
use super::field_errors::FieldErrors;
use super::reauthenticate::reauthenticate;
use super::requester::Requester;
use super::username::{key_of, spelled};
use super::{Error, hooks, notices};
use crate::app::App;
use crate::db::DbError;
use crate::event::Event;
use crate::models::history::delete_history_of_user;
use crate::models::hook_event::{HookKind, delete_events_of_user};
use crate::models::mail_log::delete_mails_of_user;
use crate::models::one_time_code;
use crate::models::outbox::delete_emails_of_user;
use crate::models::reserved_username::reserve_username;
use crate::models::user::{User, delete_user};

/// How a deletion ended.
pub enum Deletion {
    Deleted,
    /// Somebody else deleted it before.
    Gone,
    /// A host application's table refers to the account and forbids to delete it: nothing was changed.
    Referenced(DbError),
}

/// What its owner typed.
#[derive(Clone, Copy)]
pub struct DeletionForm<'a> {
    /// The username; the address of an account without one.
    pub name: &'a str,
    pub current_password: &'a str,
}

/// Deletes the account of `user`, who is logged in, and tells the address.
pub async fn delete_own_account(
    app: &App,
    requester: &Requester,
    user: &User,
    form: DeletionForm<'_>,
) -> Result<Deletion, Error> {
    let mut errors = FieldErrors::default();
    let what = if user.username().is_some() { "username" } else { "email" };
    let typed = spelled(form.name);
    if typed.is_empty() {
        errors.add("username", format!("Enter your {what}."));
    } else if typed != spelled(user.display_name()) {
        errors.add("username", format!("That isn't your {what}."));
    }
    // Also when it was given a moment ago: this cannot be undone.
    let password = Some(form.current_password);
    reauthenticate(app, requester, user, password, &mut errors).await?;
    errors.into_result(Some(()))?;
    delete_account(app, user, Some(requester)).await
}

/// Deletes the account of `user`, all or nothing. When its owner asks, who is the `requester`, the address
/// is told and the username reserved. Its sessions, devices and links go with its row, and so
/// do the rows of a host application that say so. Limits stay: they count by keyed digests, and a deletion
/// must not reset what an address or a network has used up.
pub async fn delete_account(
    app: &App,
    user: &User,
    requester: Option<&Requester>,
) -> Result<Deletion, Error> {
    match delete_rows(app, &user.id, requester).await {
        Ok(true) => Event::UserDeleted { account: &user.id }.write(),
        Ok(false) => return Ok(Deletion::Gone),
        Err(Error::Database(error)) if error.is_reference() => {
            return Ok(Deletion::Referenced(error));
        }
        Err(error) => return Err(error),
    }
    Ok(Deletion::Deleted)
}

async fn delete_rows(app: &App, id: &str, requester: Option<&Requester>) -> Result<bool, Error> {
    let mut tx = app.db.begin().await?;
    // As it was deleted: it may have been approved or renamed a moment ago.
    let Some(user) = &delete_user(tx.executor(), id).await? else { return Ok(false) };
    // The rows of codes stay: a stranger may have asked for one, and would see that the account is gone.
    one_time_code::revoke_all_for_user(tx.executor(), id).await?;
    delete_history_of_user(tx.executor(), id).await?;
    delete_emails_of_user(tx.executor(), id).await?;
    delete_mails_of_user(&mut tx, &app.key, (id, &user.email)).await?;
    // A registration that was not told yet is of no use any more.
    delete_events_of_user(tx.executor(), id).await?;
    // Applications were not told of an account that was never approved.
    if !user.awaits_approval() {
        hooks::enqueue(app, &mut tx, HookKind::Deleted, user).await?;
    }
    if let Some(requester) = requester {
        if let Some(username) = user.username() {
            // Applications may know people by it.
            let key = key_of(username, &address_key(user));
            reserve_username(tx.executor(), &key, None, app.clock.now()).await?;
        }
        notices::send_account_deleted(app, &mut tx, requester, user).await?;
    }
    tx.commit().await?;
    Ok(true)
}
