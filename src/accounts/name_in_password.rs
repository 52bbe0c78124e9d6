//! Whether the password is made of a name that is chosen after it (ASVS 6.2.11).

use super::new_password::find_weakness;
use super::password::Password;
use super::rate_limits::{self, Counter, RateLimit};
use super::requester::Requester;
use super::{Error, field_errors::FieldErrors};
use crate::app::App;
use crate::models::user::User;
use crate::password_hasher::{HashError, PasswordHasher, PasswordMatch};

/// Refuses `name`, which is to be the username or the address of `user`, in the field `field`, if the password
/// is made of it.
///
/// `current` is the password if the form had it and it was right: it is checked like a new one. Otherwise only the
/// hash is available. Counted first: each response tells the holder of the session something about the password.
pub async fn refuse_name_in_password(
    app: &App,
    requester: &Requester,
    user: &User,
    (field, name): (&'static str, &str),
    current: Option<&str>,
) -> Result<(), Error> {
    let key = format!("name in password of {}", user.id);
    rate_limits::count(app, Counter::of(app, RateLimit::LoginAccount, &key), Some(&user.id))
        .await?;
    let hasher = requester.hasher(app);
    let is_made_of_it = match current {
        Some(current) => is_made_of(app, &hasher, &Password::typed(current), name).await?,
        None => is_hash_made_of(app, &hasher, user.accepted_hash(), name).await?,
    };
    if is_made_of_it { Err(refusal(field)) } else { Ok(()) }
}

/// As [`refuse_name_in_password`], for a name that the operator chose.
pub async fn refuse_name_of_operator(
    app: &App,
    user: &User,
    (field, name): (&'static str, &str),
) -> Result<(), Error> {
    let hash = user.accepted_hash().filter(|hash| !hash.is_empty());
    if hash.is_some() && is_hash_made_of(app, &app.hasher, hash, name).await? {
        let message =
            "The password is made of it: choose another one, or set another password first.";
        return Err(Error::Invalid(FieldErrors::single(field, message)));
    }
    Ok(())
}

/// Why a name in this field is refused.
pub fn refusal(field: &'static str) -> Error {
    let message = match field {
        "email" => "Your password contains this email. Change your password first.",
        _ => "Your password contains this username. Choose another one.",
    };
    Error::Invalid(FieldErrors::single(field, message))
}

/// Whether `password` would be refused for the name alone, or is one of the first guesses.
async fn is_made_of(
    app: &App,
    hasher: &PasswordHasher,
    password: &Password,
    name: &str,
) -> Result<bool, HashError> {
    if Password::guesses_from(name, app.config.password_min).contains(password) {
        return Ok(true);
    }
    let is_weak = find_weakness(app, hasher, password, [name, ""]).await?.is_some();
    Ok(is_weak && find_weakness(app, hasher, password, ["", ""]).await?.is_none())
}

/// Whether `hash` is that of one of the first guesses.
pub async fn is_hash_made_of(
    app: &App,
    hasher: &PasswordHasher,
    hash: Option<&str>,
    name: &str,
) -> Result<bool, HashError> {
    for guess in Password::guesses_from(name, app.config.password_min) {
        if hasher.verify(guess.as_bytes(), hash).await? != PasswordMatch::Incorrect {
            return Ok(true);
        }
    }
    Ok(false)
}
