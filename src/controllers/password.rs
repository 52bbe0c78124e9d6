//! Change the password, knowing the current one.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use super::repeat::password_just_set;
use super::{Answer, keep_form, redirect, refuse, show as show_page};
use crate::accounts::current_password::is_current_password;
use crate::accounts::new_password::choose_password;
use crate::accounts::notices::password_changed;
use crate::accounts::password::{Password, PasswordError};
use crate::accounts::rate_limits::{self, MailQuota, RateLimit, counters_by_key, mail_counters};
use crate::accounts::trusted_devices::trust;
use crate::error::RequestError;
use crate::event::Event;
use crate::flash::Flash;
use crate::forms::{Errors, Fields};
use crate::models::one_time_code;
use crate::models::session;
use crate::models::user::{User, set_password};
use crate::page::Page;
use crate::visitor::{Ended, LoggedIn, Visitor};

const TITLE: &str = "Change your password";
const WRONG: &str = "Current password is incorrect.";

#[derive(Template)]
#[template(path = "password.html")]
struct PasswordPage {
    page: Page,
    errors: Errors,
    password_min: usize,
    username: String,
}

/// The fields as they arrive.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct PasswordForm {
    current_password: String,
    password: String,
    password_confirm: String,
}

/// GET `/account/password`.
pub async fn show(LoggedIn { visitor, user }: LoggedIn) -> Answer {
    show_page(&page(&visitor, &user, Errors::default()).await?)
}

/// POST `/account/password`.
pub async fn submit(
    visitor: Visitor,
    logged_in: Result<LoggedIn, Response>,
    Fields(form): Fields<PasswordForm>,
) -> Answer {
    let refusal = match logged_in {
        Ok(LoggedIn { user, .. }) => attempt(&visitor, &user, &form).await?,
        Err(to_login) => Some(to_login),
    };
    let Some(refusal) = refusal else { return done(&visitor).await };
    match password_just_set(&visitor, &form.password).await? {
        Some(user) if form.password == form.password_confirm && !form.is_unchanged() => {
            visitor.take_ended();
            visitor.go_on_as(&user).await?;
            done(&visitor).await
        }
        _ => Ok(refusal),
    }
}

/// Changes the password, or answers why not.
async fn attempt(
    visitor: &Visitor,
    user: &User,
    form: &PasswordForm,
) -> Result<Option<Response>, RequestError> {
    let attempted = match form.validate(visitor, user).await {
        Ok(Ok(password)) => change(visitor, user, &password).await,
        Ok(Err(errors)) => return refuse(&page(visitor, user, errors).await?).map(Some),
        Err(error) => Err(error),
    };
    match attempted {
        Err(error) => {
            let page = async |errors| page(visitor, user, errors).await;
            keep_form(Err(error), "current_password", page).await.map(Some)
        }
        done => done,
    }
}

/// Says that the password was changed.
async fn done(visitor: &Visitor) -> Answer {
    visitor.note_password_set().await?;
    visitor.notify(Flash::PasswordChanged).await?;
    visitor.notify(Flash::LoggedOutElsewhere).await?;
    redirect("/account")
}

/// Sets the password, or answers why it did not.
async fn change(
    visitor: &Visitor,
    user: &User,
    password: &Password,
) -> Result<Option<Response>, RequestError> {
    let Some((changed, sessions)) = set(visitor, user, password).await? else {
        visitor.note_ended(Ended::Session);
        return redirect("/login").map(Some);
    };
    Event::PasswordChanged.of(&user.id);
    Event::sessions_ended(&user.id, "password_change", sessions);
    if let Some(tokens) = trust(&visitor.app, &visitor.requester, &changed).await {
        visitor.keep_device_tokens(&tokens);
    }
    visitor.renew(&changed).await?;
    Ok(None)
}

async fn set(
    visitor: &Visitor,
    user: &User,
    password: &Password,
) -> Result<Option<(User, u64)>, RequestError> {
    // The change is limited and not its mail: who has an account must not flood the address that it
    // was made with, and no change may go untold.
    let (app, requester) = (&visitor.app, &visitor.requester);
    let counters = mail_counters(app, MailQuota::PasswordChanges, &user.email, requester.network());
    rate_limits::count(app, &counters, Some(&user.id)).await??;
    let hash = requester.hasher(app).hash(password.as_bytes()).await?;
    let letter = password_changed(app, requester, user)?;
    let set_in = visitor.session_digest();
    let (store, now) = (&visitor.app.store, visitor.app.store.clock.now());
    let mut tx = store.db.begin().await?;
    // Users, then sessions, then codes, wherever all change: parallel requests must not deadlock.
    let set = set_password(tx.on(), user, hash, set_in.as_deref(), now).await?;
    let Some(changed) = set else { return Ok(None) };
    let sessions = session::revoke_all_for_user(tx.on(), &user.id).await?;
    one_time_code::revoke_all_for_user(tx.on(), &user.id).await?;
    if let Some(letter) = &letter {
        store.outbox.enqueue(&mut tx, letter).await?;
    }
    tx.commit().await?;
    Ok(Some((changed, sessions)))
}

impl PasswordForm {
    async fn validate(
        &self,
        visitor: &Visitor,
        user: &User,
    ) -> Result<Result<Password, Errors>, RequestError> {
        let mut errors = Errors::default();
        let (app, requester) = (&visitor.app, &visitor.requester);
        let current = Password::typed(&self.current_password);
        if self.current_password.is_empty() {
            errors.add("current_password", "Enter your current password.");
        } else if !is_current_password(app, requester, user, &current).await?? {
            Event::PasswordChangeRefused.of(&user.id);
            errors.add("current_password", WRONG);
        }
        // By the account: strangers at the same address must not keep its owner from this form.
        let counts = counters_by_key(app, RateLimit::NewPassword, &user.id);
        let name_and_email = (user.username.as_str(), user.email.as_str());
        let hasher = requester.hasher(app);
        let mut chosen =
            choose_password(app, &hasher, &self.password, name_and_email, &counts).await??;
        if chosen.is_ok() && errors.is_empty() && self.is_unchanged() {
            chosen = Err(PasswordError::Current);
        }
        let password = errors.take("password", chosen, PasswordError::Empty);
        errors.confirm(&self.password, &self.password_confirm);
        Ok(password.filter(|_| errors.is_empty()).ok_or(errors))
    }

    fn is_unchanged(&self) -> bool {
        let [current, new] =
            [&self.current_password, &self.password].map(|text| Password::typed(text));
        current.as_bytes() == new.as_bytes()
    }
}

async fn page(
    visitor: &Visitor,
    user: &User,
    errors: Errors,
) -> Result<PasswordPage, RequestError> {
    let page = visitor.page(TITLE).await?.with(&errors);
    Ok(PasswordPage {
        page,
        errors,
        password_min: visitor.app.config.password_min,
        username: user.username.clone(),
    })
}
