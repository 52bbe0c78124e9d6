//! Change the password, knowing the current one.

use askama::Template;
use axum::response::Response;
use serde::Deserialize;

use super::{Answer, keep_form, redirect, refuse, show as show_page};
use crate::accounts::change_password::{
    NewPassword, PasswordChange, Sessions, change_password, find_repeat,
};
use crate::accounts::current_password::is_current_password;
use crate::accounts::new_password::{CountedBy, choose_password};
use crate::accounts::password::{Password, PasswordError};
use crate::error::RequestError;
use crate::flash::Flash;
use crate::forms::{Errors, Fields};
use crate::models::user::User;
use crate::page::Page;
use crate::visitor::Visitor;
use crate::visitor::logged_in::LoggedIn;

#[derive(Template)]
#[template(path = "change_password.html")]
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
pub async fn show(LoggedIn { mut visitor, user }: LoggedIn) -> Answer {
    show_page(&page(&mut visitor, &user, Errors::default()).await?)
}

/// POST `/account/password`.
pub async fn submit(
    mut visitor: Visitor,
    logged_in: Result<LoggedIn, Response>,
    Fields(form): Fields<PasswordForm>,
) -> Answer {
    let sessions = visitor.recent_sessions();
    let refusal = match logged_in {
        Err(to_login) => Some(to_login),
        Ok(LoggedIn { user, .. }) => match change(&mut visitor, &user, &form, &sessions).await {
            Err(error) => {
                let page = async |errors| page(&mut visitor, &user, errors).await;
                Some(keep_form(Err(error), "current_password", page).await?)
            }
            done => done?,
        },
    };
    if let Some(refusal) = refusal {
        let (app, requester) = (&visitor.app, &visitor.requester);
        let password = Password::typed(&form.password);
        let new = NewPassword { password: &password, sessions: &sessions };
        match find_repeat(app, requester, new).await?? {
            Some(user) if form.password == form.password_confirm && !form.is_unchanged() => {
                visitor.take_ended();
                visitor.go_on_as(&user).await?;
            }
            _ => return Ok(refusal),
        }
    }
    visitor.note_password_set().await?;
    visitor.notify(Flash::PasswordChanged).await?;
    visitor.notify(Flash::LoggedOutElsewhere).await?;
    redirect("/account")
}

/// Changes the password, or answers why not.
async fn change(
    visitor: &mut Visitor,
    user: &User,
    form: &PasswordForm,
    sessions: &Sessions,
) -> Result<Option<Response>, RequestError> {
    let password = match form.validate(visitor, user).await? {
        Ok(password) => password,
        Err(errors) => return refuse(&page(visitor, user, errors).await?).map(Some),
    };
    let new = NewPassword { password: &password, sessions };
    match change_password(&visitor.app, &visitor.requester, user, new).await? {
        PasswordChange::Changed { user, device_tokens } => {
            if let Some(tokens) = device_tokens {
                visitor.keep_device_tokens(&tokens);
            }
            visitor.renew(&user).await.map(|()| None)
        }
        PasswordChange::Superseded => {
            visitor.note_ended(&Flash::SessionEnded);
            redirect("/login").map(Some)
        }
        PasswordChange::RateLimited(exceeded) => Err(exceeded.into()),
    }
}

impl PasswordForm {
    async fn validate(
        &self,
        visitor: &Visitor,
        user: &User,
    ) -> Result<Result<Password, Errors>, RequestError> {
        let (app, requester) = (&visitor.app, &visitor.requester);
        let mut errors = Errors::default();
        let current = Password::typed(&self.current_password);
        if self.current_password.is_empty() {
            errors.add("current_password", "Enter your current password.");
        } else if !is_current_password(app, requester, user, &current).await?? {
            errors.add("current_password", "Current password is incorrect.");
        }
        let name_and_email = (user.username.as_str(), user.email.as_str());
        let mut chosen = choose_password(
            app,
            requester,
            CountedBy::Account(user),
            &self.password,
            name_and_email,
        )
        .await??;
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
    visitor: &mut Visitor,
    user: &User,
    errors: Errors,
) -> Result<PasswordPage, RequestError> {
    Ok(PasswordPage {
        page: visitor.page("Change your password").await?.with(&errors),
        errors,
        password_min: visitor.app.config.password_min,
        username: user.username.clone(),
    })
}
