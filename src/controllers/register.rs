//! Register: an account for a username and an address that nobody has yet.

use askama::Template;
use serde::Deserialize;

use super::{Answer, Next, keep_form, redirect, refuse, show as show_page};
use crate::accounts::email::{EmailAddress, EmailError};
use crate::accounts::new_password::{CountedBy, choose_password};
use crate::accounts::password::PasswordError;
use crate::accounts::register::{NewAccount, Registration, register};
use crate::accounts::username::{Username, UsernameError};
use crate::error::RequestError;
use crate::flash::Flash;
use crate::forms::{Errors, Fields};
use crate::next_path::NextPath;
use crate::page::Page;
use crate::visitor::Visitor;

const TITLE: &str = "Create an account";

#[derive(Template)]
#[template(path = "register.html")]
struct RegisterPage {
    page: Page,
    errors: Errors,
    username: String,
    email: String,
    next: String,
    next_query: String,
    password_min: usize,
    /// Whether a code can be entered already.
    has_code: bool,
}

/// The fields as they arrive.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct RegisterForm {
    username: String,
    email: String,
    password: String,
    password_confirm: String,
    next: String,
}

/// GET `/register`.
pub async fn show(mut visitor: Visitor, Next(next): Next) -> Answer {
    if visitor.user.is_some() {
        return redirect(next.or("/account"));
    }
    let form = RegisterForm { next: next.as_str().to_owned(), ..RegisterForm::default() };
    show_page(&page(&mut visitor, &form, Errors::default()).await?)
}

/// POST `/register`.
pub async fn submit(mut visitor: Visitor, Fields(form): Fields<RegisterForm>) -> Answer {
    let answer = answer(&mut visitor, &form).await;
    keep_form(answer, "username", async |errors| page(&mut visitor, &form, errors).await).await
}

async fn answer(visitor: &mut Visitor, form: &RegisterForm) -> Answer {
    let new = match form.validate(visitor).await? {
        Ok(new) => new,
        Err(errors) => return refuse(&page(visitor, form, errors).await?),
    };
    let next = NextPath::parse(&form.next);
    match register(&visitor.app, &visitor.requester, &new).await? {
        Registration::Registered { user, device_tokens, is_repeat } => {
            visitor.keep_device_tokens(&device_tokens);
            if is_repeat {
                visitor.go_on_as(&user).await?;
            } else {
                visitor.log_in(&user, false).await?;
            }
            visitor.notify(Flash::Registered).await?;
            redirect(next.or("/account"))
        }
        Registration::Taken => {
            visitor.notify(Flash::Taken(new.username.to_string())).await?;
            redirect(&format!("/login{}", next.query()))
        }
        Registration::RateLimited(exceeded) => Err(exceeded.into()),
    }
}

impl RegisterForm {
    async fn validate(
        &self,
        visitor: &Visitor,
    ) -> Result<Result<NewAccount, Errors>, RequestError> {
        let mut errors = Errors::default();
        let username =
            errors.take("username", Username::parse_new(&self.username), UsernameError::Empty);
        let email = errors.take("email", EmailAddress::parse(&self.email), EmailError::Empty);
        let (app, requester) = (&visitor.app, &visitor.requester);
        let name_and_email = (self.username.as_str(), self.email.as_str());
        let chosen =
            choose_password(app, requester, CountedBy::Network, &self.password, name_and_email)
                .await??;
        let password = errors.take("password", chosen, PasswordError::Empty);
        errors.confirm(&self.password, &self.password_confirm);
        Ok(match (username, email, password) {
            (Some(username), Some(email), Some(password)) if errors.is_empty() => {
                Ok(NewAccount { username, email, password })
            }
            _ => Err(errors),
        })
    }
}

async fn page(
    visitor: &mut Visitor,
    form: &RegisterForm,
    errors: Errors,
) -> Result<RegisterPage, RequestError> {
    let next = NextPath::parse(&form.next);
    Ok(RegisterPage {
        page: visitor.page(TITLE).await?.with(&errors),
        has_code: visitor.has_code().await?,
        errors,
        username: form.username.trim().to_owned(),
        email: form.email.trim().to_owned(),
        next: next.as_str().to_owned(),
        next_query: next.query(),
        password_min: visitor.app.config.password_min,
    })
}
