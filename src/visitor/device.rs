//! The device cookie: by it a browser is known again, long after its sessions have ended.

use std::iter;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use time::Duration;
use tower_cookies::Cookies;

use super::{Visitor, cookie};
use crate::config::Config;
use crate::db::{DbError, Tx};
use crate::error::RequestError;
use crate::event::Event;
use crate::models::device::{DeviceStatus, LIFETIME, MOST_TOKENS, find_device, note_device};
use crate::models::user::User;
use crate::random;

const NAME: &str = "vestibule-device";

/// 128 bits, as base64url without padding.
const TOKEN_LENGTH: usize = 22;

impl Visitor {
    /// Notes within `tx` that `user` logs in from this browser, and answers whether that happened before.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn note_device(
        &self,
        tx: &mut Tx,
        user: &User,
    ) -> Result<DeviceStatus, RequestError> {
        let (token, logins) = self.token_for(tx, user).await?;
        let now = self.app.store.clock.now();
        let status = note_device(tx, user, &token, 1, now).await?;
        if logins > 0 {
            return Ok(DeviceStatus::Known);
        }
        if status == DeviceStatus::New {
            Event::DeviceNew.of(&user.id);
        }
        Ok(status)
    }

    /// Has the browser keep `token`, and tokens of other accounts behind it.
    pub fn keep_device(&self, token: &str) {
        keep(&self.app.config, &self.cookies, token, None);
    }

    /// Notes that the new password of `user` was set in this browser. A failure is only logged, because what the owner came for is done.
    pub async fn trust_device(&self, user: &User) {
        if let Err(error) = self.trust(user).await {
            Event::Fault.because("a_device_was_not_noted", &error);
        }
    }

    async fn trust(&self, user: &User) -> Result<(), DbError> {
        let mut tx = self.app.store.db.begin().await?;
        let (token, logins) = self.token_for(&mut tx, user).await?;
        note_device(&mut tx, user, &token, logins, self.app.store.clock.now()).await?;
        tx.commit().await
    }

    /// The token that this browser keeps for `user`, and how often `user` logged in here before.
    ///
    /// One that was sent counts only if `user` got it here under the present password. Any other may
    /// have been put here by somebody who holds it too, and would make their browser the owner's.
    async fn token_for(&self, tx: &mut Tx, user: &User) -> Result<(String, i64), DbError> {
        let (config, sent) = (&self.app.config, sent(&self.app.config, &self.cookies));
        let known = find_device(tx.on(), &user.id, &sent, self.app.store.clock.now()).await?;
        let trusted = known.as_ref().filter(|known| known.is_trusted_by(user));
        let token = trusted.map_or_else(new_token, |known| known.token.clone());
        keep(config, &self.cookies, &token, known.as_ref().map(|known| known.token.as_str()));
        Ok((token, known.map_or(0, |known| known.logins)))
    }
}

/// A new one, for the browser in which an account is made.
pub fn new_token() -> String {
    URL_SAFE_NO_PAD.encode(random::bytes::<16>())
}

/// Sends the cookie with `token` before those of other accounts, without the one that it `replaces`.
/// Only for whoever logs in or sets a password: nobody else gets this cookie.
fn keep(config: &Config, cookies: &Cookies, token: &str, replaces: Option<&str>) {
    let others = sent(config, cookies).into_iter();
    let others = others.filter(|other| other != token && Some(other.as_str()) != replaces);
    let all = iter::once(token.to_owned()).chain(others).take(MOST_TOKENS);
    let value = all.collect::<Vec<_>>().join(".");
    cookies.add(cookie::build(config, NAME, value, Duration::seconds(LIFETIME)));
}

/// The tokens that came with the request, the last used first: one for each account, so that people
/// who share a browser are not new to it by turns.
pub fn sent(config: &Config, cookies: &Cookies) -> Vec<String> {
    let cookie = cookies.get(&cookie_name(config));
    let tokens = cookie.as_ref().map_or("", |cookie| cookie.value()).split('.');
    tokens.filter(|token| is_token(token)).take(MOST_TOKENS).map(str::to_owned).collect()
}

/// The cookie's name on this site.
pub fn cookie_name(config: &Config) -> String {
    cookie::name(config, NAME)
}

/// Whether `text` is a token in shape.
pub fn is_token(text: &str) -> bool {
    text.len() == TOKEN_LENGTH && URL_SAFE_NO_PAD.decode(text).is_ok()
}
