//! Ends the access to an account: its sessions, codes and trusted devices.

use super::requester::Requester;
use super::trusted_devices::record_password;
use crate::app::App;
use crate::db::{DbError, Tx};
use crate::models::device::{delete_devices, keep_devices};
use crate::models::one_time_code;
use crate::models::user::User;
use crate::models::user_session::{
    keep_session, keep_sessions, revoke_all_for_user, revoke_others,
};

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

/// Ends within `tx` every session, code and trusted device of the user `id`, whose credentials have changed
/// within it. Returns how many sessions ended.
pub async fn end_all_access(tx: &mut Tx, id: &str) -> Result<u64, DbError> {
    // Users, then sessions, then codes, wherever all change: parallel requests must not deadlock.
    let sessions = revoke_all_for_user(tx.executor(), id).await?;
    one_time_code::revoke_all_for_user(tx.executor(), id).await?;
    delete_devices(tx, id).await?;
    Ok(sessions)
}

/// Lets the sessions and trusted devices of `user` go on within `tx` when the operator has changed a name of
/// the account, and ends every code. `changed` is the user with the new credentials.
pub async fn keep_access(tx: &mut Tx, user: &User, changed: &User) -> Result<(), DbError> {
    let (from, to) = (user.credential_version, changed.credential_version);
    keep_sessions(tx.executor(), &user.id, (from, to)).await?;
    one_time_code::revoke_all_for_user(tx.executor(), &user.id).await?;
    keep_devices(tx, &user.id, (from, to)).await
}
