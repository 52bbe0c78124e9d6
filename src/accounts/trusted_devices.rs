//! Trusted devices: the browsers that an account was used from, each with a token in a cookie.

use std::iter;

use super::requester::Requester;
use crate::app::App;
use crate::db::{DbError, Tx};
use crate::event::Event;
use crate::models::device::{DeviceStatus, MAX_TOKENS, find_device, record_device};
use crate::models::user::User;
use crate::random;

/// Records within `tx` that `user` logs in from this browser. Returns whether that happened before under
/// the present password, and the tokens that the browser must keep. After a change of the password each
/// browser is new once: it may be a thief's who had the old one.
pub async fn record_login(
    app: &App,
    tx: &mut Tx,
    requester: &Requester,
    user: &User,
) -> Result<(DeviceStatus, Vec<String>), DbError> {
    let (status, tokens) = record(app, tx, requester, user, Use::Login).await?;
    if status == DeviceStatus::New {
        Event::DeviceNew { account: &user.id }.write();
    }
    Ok((status, tokens))
}

/// Records within `tx` that the password of `user` was set in this browser. Returns the tokens that it
/// must keep.
pub async fn record_password(
    app: &App,
    tx: &mut Tx,
    requester: &Requester,
    user: &User,
) -> Result<Vec<String>, DbError> {
    if requester.is_operator {
        // The command line is no browser.
        return Ok(Vec::new());
    }
    record(app, tx, requester, user, Use::Password).await.map(|(_, tokens)| tokens)
}

/// Trusts this browser within `tx` as one that `user` has not failed to log in from. Returns the tokens that
/// it must keep.
pub async fn trust_anew(
    app: &App,
    tx: &mut Tx,
    requester: &Requester,
    user: &User,
) -> Result<Vec<String>, DbError> {
    record(app, tx, requester, user, Use::Unlock).await.map(|(_, tokens)| tokens)
}

/// Whether `user` has used this browser under the present password.
pub async fn is_trusted_device(
    app: &App,
    tx: &mut Tx,
    requester: &Requester,
    user: &User,
) -> Result<bool, DbError> {
    let (sent, now) = (&requester.device_tokens, app.clock.now());
    let known = find_device(tx.executor(), Some(user), sent, now).await?;
    Ok(known.is_some_and(|known| known.is_trusted))
}

/// What a browser was used for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Use {
    Login,
    Password,
    Unlock,
}

async fn record(
    app: &App,
    tx: &mut Tx,
    requester: &Requester,
    user: &User,
    used_for: Use,
) -> Result<(DeviceStatus, Vec<String>), DbError> {
    let (sent, now) = (&requester.device_tokens, app.clock.now());
    let known = find_device(tx.executor(), Some(user), sent, now).await?;
    // A token that was sent counts only if `user` got it here under the present password. Any other may
    // have been planted by an attacker, whose browser would be trusted with it.
    let token = match &known {
        // The failures of an earlier token are not those of a new one.
        Some(known) if known.is_trusted && used_for != Use::Unlock => known.token.clone(),
        _ => random::token(),
    };
    let logins =
        if used_for == Use::Login { 1 } else { known.as_ref().map_or(0, |known| known.logins) };
    let replaced = known.map(|known| known.token).filter(|known| *known != token);
    let tokens = (token.as_str(), replaced.as_deref());
    let status = record_device(tx, user, (tokens, requester.client()), logins, now).await?;
    // Before those of other accounts, without the one that it replaces.
    let others = sent.iter().filter(|other| **other != token && Some(*other) != replaced.as_ref());
    let tokens = iter::once(&token).chain(others).take(MAX_TOKENS).cloned().collect();
    Ok((status, tokens))
}
