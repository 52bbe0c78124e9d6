//! Identity tokens: who is logged in, signed for one application, which need not trust its network.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Error;
use crate::app::App;
use crate::app::signing_keys::{SigningKeys, new_row};
use crate::db::DbError;
use crate::event::Event;
use crate::models::signing_key::{
    delete_signing_keys_before, find_signing_keys, insert_signing_key,
};
use crate::models::user::User;
use crate::signing_key::SigningKey;

/// How long a token is valid, in seconds: a check makes one for each request.
const LIFETIME: i64 = 60;

/// A JSON web token that tells the application at the origin `audience` who `user` is.
pub async fn identity_token(app: &App, user: &User, audience: &str) -> Result<String, Error> {
    let now = app.clock.now();
    let claims = json!({
        "iss": app.config.base_url.to_string(),
        "aud": audience,
        "sub": user.id,
        "iat": now,
        "exp": now + LIFETIME,
        "preferred_username": user.display_name(),
        "email": user.email,
        "email_verified": user.is_email_verified(),
    });
    let keys = signing_keys(app).await?;
    keys.signer(now).and_then(|key| key.sign(&claims)).ok_or(Error::NotSigned)
}

/// The public keys of the tokens (RFC 7517).
pub async fn public_keys(app: &App) -> Result<Value, Error> {
    let keys = signing_keys(app).await?;
    let jwks = keys.published(app.clock.now()).map(SigningKey::jwk);
    Ok(json!({"keys": jwks.collect::<Vec<_>>()}))
}

/// The keys, read every ten minutes. The first request after a key's time makes the next one.
async fn signing_keys(app: &App) -> Result<Arc<SigningKeys>, DbError> {
    let now = app.clock.now();
    if let Some(keys) = app.signing_keys.fresh(now) {
        return Ok(keys);
    }
    let rows = find_signing_keys(app.db.reader()).await?;
    let mut keys = SigningKeys::open(&rows, &app.key, now);
    if keys.is_next_due(now) {
        let newest = rows.last().map_or(0, |row| row.number);
        match add_key(app, newest + 1).await {
            Ok(()) => {
                let rows = find_signing_keys(app.db.writer()).await?;
                keys = SigningKeys::open(&rows, &app.key, now);
            }
            // The old one still signs: a disk that is full is no reason to let nobody in.
            Err(error) if keys.signer(now).is_some() => {
                Event::log_fault("a_signing_key_was_not_added", &error);
            }
            Err(error) => return Err(error),
        }
    }
    let keys = Arc::new(keys);
    app.signing_keys.replace(&keys);
    Ok(keys)
}

/// The one before it may still sign, and those before that one do not.
async fn add_key(app: &App, number: i64) -> Result<(), DbError> {
    let Some(new) = new_row(number, &app.key, app.clock.now()) else { return Ok(()) };
    if insert_signing_key(app.db.writer(), &new).await? {
        Event::SigningKeyAdded { number }.write();
        delete_signing_keys_before(app.db.writer(), number - 1).await?;
    }
    Ok(())
}
