//! What a changed username or address ends: the account's other sessions, and its codes.

use super::requester::Requester;
use super::trusted_devices::record_password;
use crate::app::App;
use crate::db::{DbError, Tx};
use crate::models::one_time_code;
use crate::models::session::{keep_session, revoke_others};
use crate::models::user::User;

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
