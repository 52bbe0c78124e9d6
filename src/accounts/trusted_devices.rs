//! Trusted devices: the browsers that an account was used from, each with a token in a cookie.

use std::iter;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::requester::Requester;
use crate::app::App;
use crate::db::{DbError, Tx};
use crate::event::Event;
use crate::models::device::{DeviceStatus, MOST_TOKENS, find_device, note_device};
use crate::models::user::User;
use crate::random;

/// 128 bits, as base64url without padding.
const TOKEN_LENGTH: usize = 22;

/// A browser's token for one account.
struct Token {
    text: String,
    /// How often the account logged in with it or with the one that it replaces.
    logins: i64,
    replaces: Option<String>,
}

/// Records within `tx` that `user` logs in from this browser. Returns whether that happened before under
/// the present password, and the tokens that the browser must keep. After a change of the password each
/// browser is new once: it may be a thief's who had the old one.
pub async fn record_login(
    app: &App,
    tx: &mut Tx,
    requester: &Requester,
    user: &User,
) -> Result<(DeviceStatus, Vec<String>), DbError> {
    let token = token_for(app, tx, requester, user).await?;
    let status = note_device(tx, user, &token.text, 1, app.clock.now()).await?;
    if status == DeviceStatus::New {
        Event::DeviceNew { account: &user.id }.write();
    }
    Ok((status, token.for_cookie(requester)))
}

/// Trusts this browser after the password of `user` was set in it. Returns the tokens that it must keep,
/// if that worked: a failure is only logged, because the password is set.
pub async fn trust(app: &App, requester: &Requester, user: &User) -> Option<Vec<String>> {
    let trusted = async {
        let mut tx = app.db.begin().await?;
        let token = token_for(app, &mut tx, requester, user).await?;
        note_device(&mut tx, user, &token.text, token.logins, app.clock.now()).await?;
        tx.commit().await.map(|()| token.for_cookie(requester))
    };
    let logged = |error: &DbError| Event::log_fault("a_device_was_not_noted", error);
    trusted.await.inspect_err(logged).ok()
}

/// The token that this browser is to hold for `user`.
///
/// One that was sent counts only if `user` got it here under the present password. Any other may
/// have been put here by somebody who holds it too, and would make their browser the owner's.
async fn token_for(
    app: &App,
    tx: &mut Tx,
    requester: &Requester,
    user: &User,
) -> Result<Token, DbError> {
    let (tokens, now) = (&requester.device_tokens, app.clock.now());
    let found = find_device(tx.on(), &user.id, tokens, now).await?;
    let Some(found) = found else {
        return Ok(Token { text: new_token(), logins: 0, replaces: None });
    };
    let text = if found.is_trusted_by(user) { found.token.clone() } else { new_token() };
    Ok(Token { text, logins: found.logins, replaces: Some(found.token) })
}

impl Token {
    /// This token before those of other accounts, without the one that it replaces.
    fn for_cookie(self, requester: &Requester) -> Vec<String> {
        let others = requester.device_tokens.iter();
        let others =
            others.filter(|other| **other != self.text && Some(*other) != self.replaces.as_ref());
        iter::once(&self.text).chain(others).take(MOST_TOKENS).cloned().collect()
    }
}

fn new_token() -> String {
    URL_SAFE_NO_PAD.encode(random::bytes::<16>())
}

/// Whether `text` has the form of a token.
pub fn is_token(text: &str) -> bool {
    text.len() == TOKEN_LENGTH && URL_SAFE_NO_PAD.decode(text).is_ok()
}
