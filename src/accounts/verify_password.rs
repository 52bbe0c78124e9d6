//! Verifies an account's password, in an attempt that was counted.

use super::Error;
use super::password::Password;
use super::rate_limits::{Attempt, Counter, RateLimit};
use super::requester::Requester;
use crate::app::App;
use crate::models::user::User;
use crate::password_hasher::{HashError, PasswordMatch};

/// Whether `password` is that of `user`; without a user the same work is done. The right one clears
/// the failures before it.
pub async fn verify_password(
    app: &App,
    requester: &Requester,
    attempt: Attempt,
    user: Option<&User>,
    password: &Password,
) -> Result<PasswordMatch, HashError> {
    let (hasher, stored) = (requester.hasher(app), user.and_then(User::accepted_hash));
    let mut matched = hasher.verify(password.as_bytes(), stored).await;
    if let (Ok(PasswordMatch::Incorrect), Some(typed)) = (&matched, password.otherwise_typed()) {
        // It is compared already: a full queue must not give the attempt back.
        matched = hasher.verify(typed.as_bytes(), stored).await.or(matched);
    }
    match matched {
        Ok(PasswordMatch::Incorrect) => drop(attempt),
        Ok(PasswordMatch::Correct { .. }) => attempt.clear_failures(app).await,
        // An attempt that found no room in the hash queue does not count.
        Err(_) => attempt.refund(app).await,
    }
    matched
}

/// Checks the password of a form that may be a repeat. Counted separately from the owner's form, and by
/// network.
pub async fn is_repeated_password(
    app: &App,
    requester: &Requester,
    user: &User,
    password: &Password,
) -> Result<bool, Error> {
    let mut counters = Counter::of_networks(app, RateLimit::LoginIp, requester.counted_networks());
    let key = format!("repeated password of {}", user.credentials());
    counters.extend(Counter::of_failures(app, &key));
    let attempt = Attempt::count(app, counters, Some(&user.id)).await?;
    let matched = verify_password(app, requester, attempt, Some(user), password).await?;
    Ok(matched != PasswordMatch::Incorrect)
}
