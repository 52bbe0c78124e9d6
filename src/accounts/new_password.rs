//! The choice of a new password.

use super::Error;
use super::password::{Password, PasswordError};
use super::pasted::plain;
use super::rate_limits::{
    self, Counter, Decision, RateLimit, counters_by_key, counters_by_network,
};
use super::requester::Requester;
use crate::app::App;
use crate::models::user::User;
use crate::password_hasher::PasswordHasher;

/// A new password that a form asks for, limited by the network, or by the account of its `owner` if
/// that is proved: strangers in the same network must not keep the owner from the form.
pub async fn choose_password(
    app: &App,
    requester: &Requester,
    owner: Option<&User>,
    typed: &str,
    name_and_email: (&str, &str),
) -> Result<Decision<Result<Password, PasswordError>>, Error> {
    let counters = match owner {
        Some(user) => counters_by_key(app, RateLimit::NewPassword, &user.id),
        None => counters_by_network(app, RateLimit::NewPassword, requester),
    };
    check_password(app, &requester.hasher(app), typed, name_and_email, &counters).await
}

/// A new password for `username` with the address `email`, all as typed: of the length that the site
/// asks for, and not what a guesser would try first. The check costs as much as a hash, so `counters`
/// are counted before it.
pub async fn check_password(
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
