//! The choice of a new password.

use super::Error;
use super::password::{Password, PasswordError};
use super::pasted::plain;
use super::rate_limits::{self, Counter, Decision};
use crate::app::App;
use crate::password_hasher::PasswordHasher;

/// A new password for `username` with the address `email`, all as typed: of the length that the site
/// asks for, and not what a guesser would try first. The check costs as much as a hash, so `counters`
/// are counted before it.
pub async fn choose_password(
    app: &App,
    hasher: &PasswordHasher,
    typed: &str,
    (username, email): (&str, &str),
    counters: &[Counter],
) -> Result<Decision<Result<Password, PasswordError>>, Error> {
    let password = match Password::choose(typed, app.config.password_min) {
        Ok(password) => password,
        Err(why) => return Ok(Ok(Err(why))),
    };
    if let Err(exceeded) = rate_limits::count(app, counters, None).await? {
        return Ok(Err(exceeded));
    }
    let context = [username, email, app.config.site_name.as_str()].map(plain).to_vec();
    let weakness = password.check_strength(hasher, context).await?;
    Ok(Ok(weakness.map_or(Ok(password), Err)))
}
