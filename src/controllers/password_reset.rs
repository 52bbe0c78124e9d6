//! Reset a forgotten password: request a code at `/forgot`, use it at `/reset`.

use askama::Template;
use serde::Deserialize;

use super::{Answer, keep_form, redirect, refuse, show as show_page};
use crate::accounts::change_password::{NewPassword, find_repeat};
use crate::accounts::email::{EmailAddress, EmailError};
use crate::accounts::new_password::{CountedBy, choose_password};
use crate::accounts::one_time_code::{CodeError, OneTimeCode};
use crate::accounts::password::{Password, PasswordError};
use crate::accounts::password_reset::{
    Claim, CodeRequest, PasswordReset, PendingReset, Rejection, dead_reason, request_code,
    resend_code, reset_password,
};
use crate::accounts::username::{Username, UsernameError};
use crate::error::RequestError;
use crate::flash::Flash;
use crate::forms::{Errors, Fields};
use crate::page::Page;
use crate::times;
use crate::visitor::Visitor;

#[derive(Template)]
#[template(path = "password_reset_request.html")]
struct RequestPage {
    page: Page,
    errors: Errors,
    username: String,
    email: String,
    /// Whether a code can be entered already.
    has_code: bool,
}

#[derive(Template)]
#[template(path = "password_reset.html")]
struct ResetPage {
    page: Page,
    errors: Errors,
    code: String,
    username: String,
    email: String,
    lifetime: String,
    password_min: usize,
    /// Until another code can be sent; `None`: it can be now.
    wait: Option<Wait>,
    /// Why no code can be right any more.
    dead: Option<String>,
}

/// A time to wait, for the script that counts it down and in words.
struct Wait {
    seconds: i64,
    words: String,
}

/// The fields of `/forgot` as they arrive.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct RequestForm {
    username: String,
    email: String,
}

/// The fields of `/reset` as they arrive.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ResetForm {
    code: String,
    password: String,
    password_confirm: String,
}

/// GET `/forgot`. What was typed here or at the login, or who is logged in, need not be typed again.
pub async fn show_request(mut visitor: Visitor) -> Answer {
    let form = if let Some(PendingReset { username, email, .. }) = visitor.reset().cloned() {
        RequestForm { username, email }
    } else {
        let name = visitor
            .user
            .as_ref()
            .map(|user| user.username.clone())
            .or_else(|| visitor.login_name())
            .unwrap_or_default();
        if name.contains('@') {
            RequestForm { email: name, ..RequestForm::default() }
        } else {
            RequestForm { username: name, ..RequestForm::default() }
        }
    };
    let mut shown = request_page(&mut visitor, &form, Errors::default()).await?;
    shown.page.flashes.extend(visitor.take_ended());
    show_page(&shown)
}

/// POST `/forgot`.
pub async fn submit_request(mut visitor: Visitor, Fields(form): Fields<RequestForm>) -> Answer {
    let answer = request(&mut visitor, &form).await;
    keep_form(answer, "username", async |errors| request_page(&mut visitor, &form, errors).await)
        .await
}

async fn request(visitor: &mut Visitor, form: &RequestForm) -> Answer {
    let claim = match claim(&form.username, &form.email) {
        Ok(claim) => claim,
        Err(errors) => return refuse(&request_page(visitor, form, errors).await?),
    };
    let (app, requester) = (&visitor.app, &visitor.requester);
    let (pending, is_unseen) = (visitor.reset().cloned(), visitor.has_unseen_code());
    let requested = request_code(app, requester, &claim, pending.as_ref(), is_unseen).await?;
    show_code_form(visitor, requested, Flash::CodeReplaced).await
}

/// POST `/reset/resend`.
pub async fn resend(mut visitor: Visitor) -> Answer {
    let Some(pending) = visitor.reset().cloned() else { return ended(&visitor) };
    // What was valid when it was put there stays valid; anything else starts again.
    let Ok(claim) = claim(&pending.username, &pending.email) else { return ended(&visitor) };
    let answer = send_another(&mut visitor, &claim, &pending).await;
    keep_form(answer, "code", async |errors| page(&mut visitor, &pending, "", errors).await).await
}

async fn send_another(visitor: &mut Visitor, claim: &Claim, pending: &PendingReset) -> Answer {
    let is_unseen = visitor.has_unseen_code();
    let requested =
        resend_code(&visitor.app, &visitor.requester, claim, pending, is_unseen).await?;
    show_code_form(visitor, requested, Flash::CodeSentAgain).await
}

async fn show_code_form(visitor: &mut Visitor, requested: CodeRequest, replaced: Flash) -> Answer {
    match requested {
        CodeRequest::Sent { pending, is_replacement } => {
            if is_replacement {
                visitor.notify(replaced).await?;
            }
            visitor.begin_reset(pending).await?;
        }
        CodeRequest::Repeated => {}
        CodeRequest::TooEarly(seconds) => visitor.notify(Flash::TooEarly(seconds)).await?,
        CodeRequest::RateLimited(exceeded) => return Err(exceeded.into()),
    }
    redirect("/reset")
}

/// GET `/reset`.
pub async fn show(mut visitor: Visitor) -> Answer {
    match visitor.reset().cloned() {
        Some(pending) => show_page(&page(&mut visitor, &pending, "", Errors::default()).await?),
        None => redirect("/forgot"),
    }
}

/// POST `/reset`.
pub async fn submit(mut visitor: Visitor, Fields(form): Fields<ResetForm>) -> Answer {
    let Some(pending) = visitor.reset().cloned() else {
        return if form.is_repeat(&visitor).await? {
            changed(&mut visitor, None).await
        } else {
            ended(&visitor)
        };
    };
    let answer = reset(&mut visitor, &pending, &form).await;
    keep_form(answer, "code", async |errors| {
        page(&mut visitor, &pending, form.code.trim(), errors).await
    })
    .await
}

async fn reset(visitor: &mut Visitor, pending: &PendingReset, form: &ResetForm) -> Answer {
    let (app, requester) = (&visitor.app, &visitor.requester);
    let sessions = visitor.recent_sessions();
    let errors = match form.validate(visitor, pending).await? {
        Err(errors) => errors,
        Ok((code, password)) => {
            let new = NewPassword { password: &password, sessions: &sessions };
            match reset_password(app, requester, pending, &code, new).await? {
                PasswordReset::Done { device_tokens } => {
                    return changed(visitor, device_tokens).await;
                }
                PasswordReset::SamePassword => {
                    Errors::one("password", PasswordError::Current.to_string())
                }
                PasswordReset::Rejected(rejection) => Errors::one("code", words(rejection)),
                PasswordReset::RateLimited(exceeded) => return Err(exceeded.into()),
            }
        }
    };
    refuse(&page(visitor, pending, form.code.trim(), errors).await?)
}

/// Never logs in: a mailed code recovers an account, it does not prove who sits here
/// (NIST SP 800-63B-4 3.1.3.1).
async fn changed(visitor: &mut Visitor, device_tokens: Option<Vec<String>>) -> Answer {
    if let Some(tokens) = device_tokens {
        visitor.keep_device_tokens(&tokens);
    }
    visitor.end().await?;
    visitor.note_password_set().await?;
    visitor.notify(Flash::PasswordReset).await?;
    redirect("/login")
}

/// A form of a page whose session has ended since (ux E8).
fn ended(visitor: &Visitor) -> Answer {
    visitor.note_ended(&Flash::ResetEnded);
    redirect("/forgot")
}

fn claim(username: &str, email: &str) -> Result<Claim, Errors> {
    let mut errors = Errors::default();
    let username = errors.take("username", Username::parse(username), UsernameError::Empty);
    let email = errors.take("email", EmailAddress::parse(email), EmailError::Empty);
    username.zip(email).map(|(username, email)| Claim { username, email }).ok_or(errors)
}

impl ResetForm {
    /// Whether the same form has set the password already.
    async fn is_repeat(&self, visitor: &Visitor) -> Result<bool, RequestError> {
        let password = &Password::typed(&self.password);
        let new = NewPassword { password, sessions: &visitor.recent_sessions() };
        let repeat = find_repeat(&visitor.app, &visitor.requester, new).await??;
        Ok(repeat.is_some() && self.password == self.password_confirm)
    }

    async fn validate(
        &self,
        visitor: &Visitor,
        pending: &PendingReset,
    ) -> Result<Result<(OneTimeCode, Password), Errors>, RequestError> {
        let mut errors = Errors::default();
        let code = errors.take("code", OneTimeCode::parse(&self.code), CodeError::Empty);
        let (app, requester) = (&visitor.app, &visitor.requester);
        let name_and_email = (pending.username.as_str(), pending.email.as_str());
        let chosen = if code.is_none() {
            // What cannot be a code must cost no work in the hash pool.
            Password::choose(&self.password, app.config.password_min)
        } else {
            choose_password(
                app,
                requester,
                CountedBy::Code(&pending.id),
                &self.password,
                name_and_email,
            )
            .await??
        };
        let password = errors.take("password", chosen, PasswordError::Empty);
        errors.confirm(&self.password, &self.password_confirm);
        Ok(code.zip(password).filter(|_| errors.is_empty()).ok_or(errors))
    }
}

fn words(rejection: Rejection) -> String {
    let words = match rejection {
        Rejection::Wrong { left: 0 } => "Incorrect code, no attempts left. Request a new one.",
        Rejection::Wrong { left } => {
            let attempts = if left == 1 { "attempt" } else { "attempts" };
            return format!("Incorrect code. Check the latest email. {left} {attempts} left.");
        }
        Rejection::Expired => "This code has expired. Request a new one.",
        Rejection::TooMany => "This code has no attempts left. Request a new one.",
        Rejection::Gone => {
            "This code was used or replaced. Check the latest email or request a new one."
        }
    };
    words.to_owned()
}

async fn request_page(
    visitor: &mut Visitor,
    form: &RequestForm,
    errors: Errors,
) -> Result<RequestPage, RequestError> {
    Ok(RequestPage {
        page: visitor.page("Forgot your password?").await?.with(&errors),
        has_code: visitor.has_code().await?,
        errors,
        username: form.username.trim().to_owned(),
        email: form.email.trim().to_owned(),
    })
}

async fn page(
    visitor: &mut Visitor,
    pending: &PendingReset,
    code: &str,
    errors: Errors,
) -> Result<ResetPage, RequestError> {
    visitor.see_code().await?;
    let dead = dead_reason(&visitor.app, pending).await?.map(words);
    let seconds = pending.wait(visitor.app.clock.now());
    Ok(ResetPage {
        page: visitor.page("Set a new password").await?.with(&errors),
        errors,
        code: code.to_owned(),
        username: pending.username.clone(),
        email: pending.email.clone(),
        lifetime: times::life(visitor.app.config.code_ttl),
        password_min: visitor.app.config.password_min,
        dead,
        wait: (seconds > 0).then(|| Wait { seconds, words: times::wait(seconds) }),
    })
}
