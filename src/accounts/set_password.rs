//! Set the password of somebody else's account from the command line, or get a code with which they set it.

use super::Error;
use super::field_errors::FieldErrors;
use super::history::{self, HistoryEvent};
use super::new_password::{PasswordUpdate, choose_password, set_password};
use super::one_time_code::OneTimeCode;
use super::requester::Requester;
use crate::app::App;
use crate::event::Event;
use crate::models::one_time_code::{GivenCode, insert_given_code};
use crate::models::user::{User, lock_user};
use crate::random;

/// How long a code works that the operator gives to somebody, in seconds: they must read it and get to the page.
/// Guesses at it are limited as for all codes, however long it works.
pub const CODE_LIFE: i64 = 60 * 60;

/// Sets the password of `user` and tells them. Returns whether it was done: not when the credentials have
/// changed in the meantime.
pub async fn set_password_for(app: &App, user: &User, typed: &str) -> Result<bool, Error> {
    let mut errors = FieldErrors::default();
    let names = [user.username.as_str(), &user.email];
    let password = choose_password(app, &app.hasher, typed, names, &mut errors).await?;
    let password = errors.into_result(password)?;
    let hash = app.hasher.hash(password.as_bytes()).await?;
    let update = PasswordUpdate { hash: &hash, sessions: &None, code: None };
    let set = set_password(app, &Requester::operator(), user, update).await?;
    Ok(set.is_some())
}

/// A code with which `user` can set a new password in each browser that has asked for an emailed one, in place
/// of an earlier one. `None` when the credentials have changed in the meantime.
pub async fn make_code(app: &App, user: &User) -> Result<Option<OneTimeCode>, Error> {
    let (code, id) = (OneTimeCode::generate(), random::id(app.clock.millis()));
    let digest = code.digest(app, &id);
    let mut tx = app.db.begin().await?;
    // Of two commands at once the second waits, and voids the code of the first.
    if !lock_user(tx.executor(), user).await? {
        return Ok(None);
    }
    let times = (CODE_LIFE, app.clock.now());
    insert_given_code(&mut tx, &user.id, &GivenCode { id, digest }, times).await?;
    history::record(app, &mut tx, &Requester::operator(), user, HistoryEvent::CodeGiven).await?;
    tx.commit().await?;
    Event::CodeGiven { account: &user.id }.write();
    Ok(Some(code))
}
