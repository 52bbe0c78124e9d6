//! Enqueues what an application's hooks are told about an account.

use crate::app::App;
use crate::current_user::CurrentUser;
use crate::db::{DbError, Tx};
use crate::models::hook_event::{HookKind, insert_event};
use crate::models::user::User;

/// Tells the hook of this kind within `tx`, if an application has set it, in any process.
pub async fn enqueue(app: &App, tx: &mut Tx, kind: HookKind, user: &User) -> Result<(), DbError> {
    let current = CurrentUser::new(user, app.clock.now());
    // Strings and a time always become JSON.
    let json = serde_json::to_string(&current).unwrap_or_default();
    insert_event(tx.executor(), kind, (&user.id, &json), &app.clock).await?;
    tx.notify_after_commit(&app.hooks.wakeup);
    Ok(())
}
