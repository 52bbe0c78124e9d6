//! The device cookie: by it a browser is known again, long after its sessions have ended.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use time::Duration;
use tower_cookies::Cookies;

use super::{Visitor, cookie};
use crate::config::Config;
use crate::db::Tx;
use crate::error::RequestError;
use crate::event::Event;
use crate::models::device::{Familiarity, LIFETIME};
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
    pub async fn note_device(&self, tx: &mut Tx, user: &User) -> Result<Familiarity, RequestError> {
        let token = token(&self.app.config, &self.cookies);
        let familiarity = self.app.store.note_device(tx, user, &token).await?;
        if familiarity == Familiarity::New {
            Event::DeviceNew.of(&user.id);
        }
        Ok(familiarity)
    }

    /// The token that this browser has, or will have if it is kept.
    pub fn device_token(&self) -> String {
        sent(&self.app.config, &self.cookies).unwrap_or_else(new_token)
    }

    /// Has the browser keep `token`.
    pub fn keep_device(&self, token: &str) {
        keep(&self.app.config, &self.cookies, token);
    }

    /// Notes that the password of `user`, as it was before, was set in this browser: whoever knows the
    /// new one is no stranger. A failure is only logged, because what the owner came for is done.
    pub async fn trust_device(&self, user: &User) {
        let token = token(&self.app.config, &self.cookies);
        let credential_version = user.credential_version + 1;
        let user = User { credential_version, ..user.clone() };
        if let Err(error) = self.app.store.trust_device(&user, &token).await {
            Event::Fault.because("a_device_was_not_noted", &error);
        }
    }
}

/// The browser's token, made and sent along when it has none.
fn token(config: &Config, cookies: &Cookies) -> String {
    let token = sent(config, cookies).unwrap_or_else(new_token);
    keep(config, cookies, &token);
    token
}

/// Only for whoever logs in or sets a password: nobody else gets this cookie.
fn keep(config: &Config, cookies: &Cookies, token: &str) {
    let life = Duration::seconds(LIFETIME);
    cookies.add(cookie::build(config, NAME, token.to_owned(), life));
}

/// The token that came with the request, if one did.
pub fn sent(config: &Config, cookies: &Cookies) -> Option<String> {
    let found = cookies.get(&cookie::name(config, NAME)).map(|cookie| cookie.value().to_owned());
    found.filter(|token| is_token(token))
}

fn new_token() -> String {
    URL_SAFE_NO_PAD.encode(random::bytes::<16>())
}

fn is_token(text: &str) -> bool {
    text.len() == TOKEN_LENGTH && URL_SAFE_NO_PAD.decode(text).is_ok()
}
