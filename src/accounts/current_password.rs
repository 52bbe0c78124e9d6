//! Proof of the current password, by somebody whose account is known already.

use super::Error;
use super::password::Password;
use super::rate_limits::{Attempt, Counter, RateLimit};
use super::requester::Requester;
use crate::app::App;
use crate::event::Event;
use crate::models::user::User;
use crate::password_hasher::PasswordMatch;

/// Whether `password` is that of `user`, who is logged in. Limited like a login, for an open session must
/// not be a way to guess without limit; but counted apart, for strangers who fail to log in must not keep
/// the owner out.
pub async fn is_current_password(
    app: &App,
    requester: &Requester,
    user: &User,
    password: &Password,
) -> Result<bool, Error> {
    let key = format!("current password of {}", user.credentials());
    let counters = Counter::of_failures(app, &key);
    let is_current = verify(app, requester, (user, password), counters).await?;
    if !is_current {
        Event::PasswordChangeRefused { account: &user.id }.write();
    }
    Ok(is_current)
}

/// The same for a form that may be the repeat of one whose work is done, from a browser that is not
/// logged in any more: counted apart from the owner's own form, and by the network like a login.
pub async fn is_repeated_password(
    app: &App,
    requester: &Requester,
    user: &User,
    password: &Password,
) -> Result<bool, Error> {
    let mut counters = Counter::of_networks(app, RateLimit::LoginIp, requester);
    let key = format!("repeated password of {}", user.credentials());
    counters.extend(Counter::of_failures(app, &key));
    verify(app, requester, (user, password), counters).await
}

async fn verify(
    app: &App,
    requester: &Requester,
    (user, password): (&User, &Password),
    counters: Vec<Counter>,
) -> Result<bool, Error> {
    let attempt = Attempt::count(app, counters, Some(&user.id)).await?;
    let hasher = requester.hasher(app);
    let matched = hasher.verify(password.as_bytes(), Some(&user.password_hash)).await;
    match matched {
        Ok(PasswordMatch::Incorrect) => drop(attempt),
        _ => attempt.refund(app, false).await,
    }
    Ok(matched? != PasswordMatch::Incorrect)
}
