//! Set a new password with a code: an emailed one, or one that the operator gave to the person.

use super::Error;
use super::field_errors::FieldErrors;
use super::new_password::{
    NewPassword, PasswordUpdate, choose_password, find_repeat, find_weakness, set_password,
};
use super::one_time_code::{CodeError, OneTimeCode, PendingCode, Rejection};
use super::password::{Password, PasswordError};
use super::rate_limits::{self, Counter, RateLimit};
use super::requester::Requester;
use crate::app::App;
use crate::models::one_time_code::Purpose;
use crate::models::user::User;
use crate::password_hasher::{HashError, PasswordMatch};

pub const PURPOSE: Purpose = Purpose::PasswordReset;

/// How an attempt to set a password with a code ended.
pub enum PasswordReset {
    Done {
        /// The device tokens that the browser must keep; none after a repeat.
        device_tokens: Option<Vec<String>>,
    },
    /// No code was requested in this browser.
    NotPending,
}

/// Sets the password with the code. The same form sent again succeeds as well.
pub async fn reset_password(
    app: &App,
    requester: &Requester,
    pending: Option<&PendingCode>,
    code: &str,
    new: NewPassword<'_>,
) -> Result<PasswordReset, Error> {
    let outcome = match pending {
        Some(pending) => reset(app, requester, pending, code, new).await,
        None => Ok(PasswordReset::NotPending),
    };
    // The first form uses the code up and ends the session, so its repeat finds no code or a rejected one.
    if !matches!(outcome, Ok(PasswordReset::NotPending) | Err(Error::CodeRejected(_))) {
        return outcome;
    }
    let repeat = find_repeat(app, requester, new).await?;
    repeat.map_or(outcome, |_| Ok(PasswordReset::Done { device_tokens: None }))
}

async fn reset(
    app: &App,
    requester: &Requester,
    pending: &PendingCode,
    code: &str,
    new: NewPassword<'_>,
) -> Result<PasswordReset, Error> {
    let (code, password) = validate(app, requester, pending, code, new).await?;
    let (user, right) = pending.check_user(app, PURPOSE, &code).await?;
    let hash = match hash_for(app, requester, pending, &password, &user).await {
        Ok(Ok(hash)) => hash,
        // Neither a full queue nor a refused password may use the code up.
        Ok(Err(refused)) => {
            let errors = FieldErrors::single("password", refused.to_string());
            let exists = pending.refund(app, PURPOSE).await;
            return Err(if exists { Error::Invalid(errors) } else { Rejection::Gone.into() });
        }
        Err(busy) => {
            pending.refund(app, PURPOSE).await;
            return Err(busy.into());
        }
    };
    let update = PasswordUpdate { hash: &hash, sessions: new.sessions, code: Some(&right) };
    let set = set_password(app, requester, &user, update).await?;
    // The code was used or replaced after it was compared.
    let (_, device_tokens) = set.ok_or(Rejection::Gone)?;
    Ok(PasswordReset::Done { device_tokens: Some(device_tokens) })
}

async fn validate(
    app: &App,
    requester: &Requester,
    pending: &PendingCode,
    code: &str,
    new: NewPassword<'_>,
) -> Result<(OneTimeCode, Password), Error> {
    let mut errors = FieldErrors::default();
    let code = errors.record("code", OneTimeCode::parse(code), CodeError::Empty);
    let password = if code.is_none() {
        // What cannot be a code must cost no work in the hash pool.
        let chosen = Password::choose(new.password, app.config.password_min);
        errors.record("password", chosen, PasswordError::Empty)
    } else {
        let key = format!("code {}", pending.id);
        rate_limits::count(app, Counter::of(app, RateLimit::NewPassword, &key), None).await?;
        let (hasher, names) = (requester.hasher(app), [&*pending.username, &*pending.email]);
        choose_password(app, &hasher, new.password, names, &mut errors).await?
    };
    errors.confirm(new.password, new.password_confirm);
    errors.into_result(code.zip(password))
}

/// The hash of `password`, unless it is the password of `user` already or is made of the username, where the
/// form for the code did not ask for that. Only the owner of a right code learns either, and only by an
/// attempt that sets the password if it is not refused.
async fn hash_for(
    app: &App,
    requester: &Requester,
    pending: &PendingCode,
    password: &Password,
    user: &User,
) -> Result<Result<String, PasswordError>, HashError> {
    let hasher = requester.hasher(app);
    if pending.username != user.username {
        let names = [user.username.as_str(), &user.email];
        if let Some(weakness) = find_weakness(app, &hasher, password, names).await? {
            return Ok(Err(weakness));
        }
    }
    match hasher.verify(password.as_bytes(), Some(&user.password_hash)).await? {
        PasswordMatch::Incorrect => hasher.hash(password.as_bytes()).await.map(Ok),
        PasswordMatch::Correct { .. } => Ok(Err(PasswordError::Current)),
    }
}
