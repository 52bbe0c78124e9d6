//! Add an account from the command line, without an email or a limit.

use super::email::EmailAddress;
use super::field_errors::FieldErrors;
use super::new_password::choose_password;
use super::reserved_names::insert_unreserved;
use super::username::{Username, name_and_key};
use super::{Error, hooks};
use crate::app::App;
use crate::event::Event;
use crate::models::hook_event::HookKind;
use crate::models::user::{NewUser, User};

/// Adds an account; `None` when the username or the address belongs to another, or is kept for one.
pub async fn add_user(
    app: &App,
    username: Option<&Username>,
    email: &EmailAddress,
    password: &str,
) -> Result<Option<User>, Error> {
    let (username, username_key) = &name_and_key(username, email);
    let (email_key, email) = (email.key(), email.as_typed());
    let mut errors = FieldErrors::default();
    let names = [username.as_str(), email];
    let password = choose_password(app, &app.hasher, password, names, &mut errors).await?;
    let password = errors.into_result(password)?;
    let password_hash = &app.hasher.hash(password.as_bytes()).await?;
    let new = NewUser {
        username,
        username_key,
        email,
        email_key,
        password_hash,
        password_set_in: None,
        // The operator's word, and no proof.
        email_verified_at: Some(0),
        terms: None,
    };
    let mut tx = app.db.begin().await?;
    let Some(user) = insert_unreserved(app, &mut tx, new).await? else { return Ok(None) };
    hooks::enqueue(app, &mut tx, HookKind::Registered, &user).await?;
    tx.commit().await?;
    Event::UserAdded { account: &user.id }.write();
    Ok(Some(user))
}
