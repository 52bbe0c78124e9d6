//! Register: an account for a username and an address that nobody has yet.

use askama::Template;
use serde::Deserialize;

use super::repeat::just_registered;
use super::{Answer, Next, keep_form, redirect, refuse, show as show_page};
use crate::accounts::email::{EmailAddress, EmailError};
use crate::accounts::password::{Password, PasswordError};
use crate::accounts::username::{Username, UsernameError};
use crate::config::Notice;
use crate::error::RequestError;
use crate::event::{Details, Event};
use crate::flash::Flash;
use crate::forms::{Errors, Fields};
use crate::mail::emails;
use crate::models::device::note_device;
use crate::models::limit::{Limited, Share};
use crate::models::user::{NewUser, User, insert_user};
use crate::next_path::NextPath;
use crate::page::Page;
use crate::visitor::{Visitor, new_device_token};

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

/// The fields as they must be.
struct Registrant {
    username: Username,
    email: EmailAddress,
    password: Password,
}

/// GET `/register`.
pub async fn show(visitor: Visitor, Next(next): Next) -> Answer {
    if visitor.is_logged_in().await? {
        return redirect(next.or("/account"));
    }
    let form = RegisterForm { next: next.as_str().to_owned(), ..RegisterForm::default() };
    show_page(&page(&visitor, &form, Errors::default()).await?)
}

/// POST `/register`.
pub async fn submit(visitor: Visitor, Fields(form): Fields<RegisterForm>) -> Answer {
    let answer = answer(&visitor, &form).await;
    keep_form(answer, "username", async |errors| page(&visitor, &form, errors).await).await
}

async fn answer(visitor: &Visitor, form: &RegisterForm) -> Answer {
    let who = match form.validate(visitor).await? {
        Ok(who) => who,
        Err(errors) => return refuse(&page(visitor, form, errors).await?),
    };
    // A refused form makes no account: it does not count as one, nor is it hidden by a full limit.
    visitor.app.limit(&visitor.counts_by_address(Limited::RegisterIp), None).await?;
    if let Some(user) = register(visitor, &who).await? {
        return welcome(visitor, &user, &form.next).await;
    }
    let fields = (&who.username, &who.email);
    if let Some(user) = just_registered(visitor, fields, &form.password).await? {
        return welcome_again(visitor, &user, &form.next).await;
    }
    let reason = Some("taken");
    Event::RegisterRefused.write(Details { reason, ..Details::default() });
    visitor.notify(Flash::Taken(who.username.to_string())).await?;
    redirect(&format!("/login{}", NextPath::parse(&form.next).query()))
}

/// Hashes before it looks whether the name is taken: both answers take the same time.
async fn register(visitor: &Visitor, who: &Registrant) -> Result<Option<User>, RequestError> {
    let password_hash = visitor.hasher().hash(who.password.as_bytes()).await?;
    let device = new_device_token();
    let new = NewUser {
        username: who.username.as_str(),
        email: who.email.as_typed(),
        email_key: who.email.key(),
        password_hash: &password_hash,
    };
    let context = visitor.about(who.username.as_str(), who.email.as_typed());
    let letter = emails::registered(&context)?;
    let counts = visitor.mail_counts(Share::Notices, who.email.as_typed());
    let (store, now) = (&visitor.app.store, visitor.app.store.clock.now());
    let mut tx = store.db.begin().await?;
    let Some(user) = insert_user(tx.on(), new, now).await? else { return Ok(None) };
    note_device(&mut tx, &user, &device, 1, now).await?;
    if visitor.app.config.notices.sends(Notice::Registered)
        && store.may_post(&mut tx, &counts).await?
    {
        store.post(&mut tx, Some(&letter)).await?;
    }
    tx.commit().await?;
    visitor.keep_device(&device);
    Ok(Some(user))
}

/// As [`welcome`], for a form that arrives twice. This browser may have lost the first answer, and with
/// it the token that the account knows it by.
async fn welcome_again(visitor: &Visitor, user: &User, next: &str) -> Answer {
    let mut tx = visitor.app.store.db.begin().await?;
    visitor.note_device(&mut tx, user).await?;
    tx.commit().await?;
    visitor.go_on_as(user).await?;
    visitor.notify(Flash::Registered).await?;
    redirect(NextPath::parse(next).or("/account"))
}

async fn welcome(visitor: &Visitor, user: &User, next: &str) -> Answer {
    Event::Registered.of(&user.id);
    visitor.log_in(user, false).await?;
    visitor.notify(Flash::Registered).await?;
    redirect(NextPath::parse(next).or("/account"))
}

impl RegisterForm {
    async fn validate(
        &self,
        visitor: &Visitor,
    ) -> Result<Result<Registrant, Errors>, RequestError> {
        let mut errors = Errors::default();
        let username =
            errors.take("username", Username::parse_new(&self.username), UsernameError::Empty);
        let email = errors.take("email", EmailAddress::parse(&self.email), EmailError::Empty);
        let counts = visitor.counts_by_address(Limited::NewPassword);
        let name_and_email = (self.username.as_str(), self.email.as_str());
        let chosen = visitor.choose_password(&self.password, name_and_email, &counts);
        let password = errors.take("password", chosen.await?, PasswordError::Empty);
        errors.confirm(&self.password, &self.password_confirm);
        Ok(match (username, email, password) {
            (Some(username), Some(email), Some(password)) if errors.is_empty() => {
                Ok(Registrant { username, email, password })
            }
            _ => Err(errors),
        })
    }
}

async fn page(
    visitor: &Visitor,
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
