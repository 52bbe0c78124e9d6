//! Ends the access to an account: its sessions, codes and trusted devices.

use super::requester::Requester;
use super::trusted_devices::record_password;
use crate::app::App;
use crate::db::{DbError, Tx};
use crate::models::device::delete_devices;
use crate::models::one_time_code;
use crate::models::session::{keep_session, revoke_all_for_user, revoke_others};
use crate::models::user::{User, block_password};

/// What is left of the access to an account.
pub struct EndedAccess {
    /// How many sessions ended.
    pub sessions: u64,
    /// The device tokens that the browser must keep.
    pub device_tokens: Vec<String>,
}

/// Ends within `tx` every session of `user` but the one with the key `session`, and every code. The browser
/// stays trusted. `user` has the new credentials.
pub async fn end_access(
    app: &App,
    tx: &mut Tx,
    requester: &Requester,
    (user, session): (&User, &[u8]),
) -> Result<EndedAccess, DbError> {
    let sessions = revoke_others(tx.executor(), &user.id, session).await?;
    keep_session(tx.executor(), session, user).await?;
    one_time_code::revoke_all_for_user(tx.executor(), &user.id).await?;
    let device_tokens = record_password(app, tx, requester, user).await?;
    Ok(EndedAccess { sessions, device_tokens })
}

/// Ends within `tx` every session, code and trusted device of the user `id`, and stops accepting the password
/// until a new one is set. Returns the user as they are then, and how many sessions ended; `None` if the
/// account was deleted.
pub async fn end_all_access(
    app: &App,
    tx: &mut Tx,
    id: &str,
) -> Result<Option<(User, u64)>, DbError> {
    // Users, then sessions, then codes, wherever all change: parallel requests must not deadlock.
    let Some(user) = block_password(tx, id, app.clock.now()).await? else { return Ok(None) };
    let sessions = revoke_all_for_user(tx.executor(), id).await?;
    one_time_code::revoke_all_for_user(tx.executor(), id).await?;
    delete_devices(tx, id).await?;
    Ok(Some((user, sessions)))
}
