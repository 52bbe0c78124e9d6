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

/// What a form with a new password is counted by. Where the account is proved, or a code was requested,
/// strangers in the same network must not keep the owner from the form.
#[derive(Clone, Copy, Debug)]
pub enum CountedBy<'a> {
    /// The network that sent it.
    Network,
    /// The code that was requested, by its id.
    Code(&'a str),
    /// The account.
    Account(&'a User),
}

/// A new password that a form asks for.
pub async fn choose_password(
    app: &App,
    requester: &Requester,
    by: CountedBy<'_>,
    typed: &str,
    name_and_email: (&str, &str),
) -> Result<Decision<Result<Password, PasswordError>>, Error> {
    let limit = RateLimit::NewPassword;
    let counters = match by {
        CountedBy::Network => counters_by_network(app, limit, requester),
        CountedBy::Code(id) => counters_by_key(app, limit, &format!("code {id}")),
        CountedBy::Account(user) => counters_by_key(app, limit, &user.id),
    };
    check_password(app, &requester.hasher(app), typed, name_and_email, &counters).await
}

/// A new password for `username` with the address `email`, all as typed: of the length that the site
/// asks for, and not what a guesser would try first. The check costs as much as a hash, and a script may
/// send forms that fail before it, so `counters` are counted first.
pub async fn check_password(
    app: &App,
    hasher: &PasswordHasher,
    typed: &str,
    (username, email): (&str, &str),
    counters: &[Counter],
) -> Result<Decision<Result<Password, PasswordError>>, Error> {
    if let Err(exceeded) = rate_limits::count(app, counters, None).await? {
        return Ok(Err(exceeded));
    }
    let password = match Password::choose(typed, app.config.password_min) {
        Ok(password) => password,
        Err(why) => return Ok(Ok(Err(why))),
    };
    let context = [username, email, app.config.site_name.as_str()].map(plain).to_vec();
    let weakness = password.check_strength(hasher, context).await?;
    Ok(Ok(weakness.map_or(Ok(password), Err)))
}
