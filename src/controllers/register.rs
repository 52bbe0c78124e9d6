//! Register: an account for a username and an address that nobody has yet.

use askama::Template;
use axum::extract::RawQuery;
use axum::http::StatusCode;
use serde::Deserialize;

use super::confirm_registration::{show_code_page, show_confirmation, show_created};
use super::login::is_ticked;
use super::{HandlerResult, Next, redirect, redirect_to, show as show_page, show_form_again};
use crate::accounts::confirm_registration::{self, find_proved};
use crate::accounts::email::{EmailAddress, domain_rule};
use crate::accounts::field_errors::FieldErrors;
use crate::accounts::invitation::{RegistrationRefusal, open_invitation, refusal};
use crate::accounts::register::{RegisterOutcome, RegistrationForm, register};
use crate::accounts::verify_email;
use crate::error::RequestError;
use crate::flash::Flash;
use crate::forms::{Fields, read_query};
use crate::next_path::NextPath;
use crate::page::Page;
use crate::visitor::Visitor;

#[derive(Template)]
#[template(path = "register.html")]
struct RegisterPage {
    page: Page,
    username: String,
    email: String,
    /// The one that was proved in this browser, where the username was taken; may be empty.
    proved_email: String,
    /// Which domains it may have, and what it is for.
    email_hint: String,
    accepts_terms: bool,
    /// The token of an invitation, which the address belongs to; empty without one.
    invite: String,
    next: NextPath,
    /// Whether a code can be entered already.
    has_code: bool,
}

#[derive(Template)]
#[template(path = "register_refused.html")]
struct RefusedPage {
    page: Page,
    refusal: RegistrationRefusal,
    next: NextPath,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RegisterQuery {
    invite: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct RegisterForm {
    username: String,
    email: String,
    password: String,
    password_confirm: String,
    terms: String,
    invite: String,
    next: String,
}

pub async fn show(
    mut visitor: Visitor,
    Next(next): Next,
    RawQuery(query): RawQuery,
) -> HandlerResult {
    let query: Option<RegisterQuery> = read_query(&query.unwrap_or_default());
    let invite = query.unwrap_or_default().invite;
    let invited = open_invitation(&visitor.app, &invite).await?;
    if visitor.user.is_some() {
        if invited.is_none() {
            return redirect_to(next.or(&visitor.app.config.after_login()));
        }
        return say_to_log_out(&mut visitor).await;
    }
    if let Some(refusal) = refusal(&visitor.app, &invite, invited.as_ref()) {
        let status = match refusal {
            RegistrationRefusal::DeadInvitation => StatusCode::NOT_FOUND,
            _ => StatusCode::OK,
        };
        return show_refusal(&mut visitor, refusal, next, status).await;
    }
    let form = RegisterForm { invite, next: next.as_str().to_owned(), ..RegisterForm::default() };
    show_page(&page(&mut visitor, &form, FieldErrors::default()).await?)
}

/// For somebody who is logged in and has an invitation.
async fn say_to_log_out(visitor: &mut Visitor) -> HandlerResult {
    visitor.add_flash(Flash::InvitationWaits).await?;
    redirect(&visitor.app, "/account")
}

/// Why nobody can register here, and the way to log in.
async fn show_refusal(
    visitor: &mut Visitor,
    refusal: RegistrationRefusal,
    next: NextPath,
    status: StatusCode,
) -> HandlerResult {
    let title = match refusal {
        RegistrationRefusal::Closed => "Registration is closed",
        RegistrationRefusal::NotInvited => "You need an invitation",
        RegistrationRefusal::DeadInvitation => "This invitation no longer works",
    };
    let mut page = visitor.page(title).await?;
    if status == StatusCode::UNPROCESSABLE_ENTITY {
        page = page.with_errors(FieldErrors::for_form("invite", title));
    }
    let mut response = show_page(&RefusedPage { page, refusal, next })?;
    *response.status_mut() = status;
    Ok(response)
}

pub async fn submit(mut visitor: Visitor, Fields(form): Fields<RegisterForm>) -> HandlerResult {
    if visitor.user.is_some() && open_invitation(&visitor.app, &form.invite).await?.is_some() {
        return say_to_log_out(&mut visitor).await;
    }
    let result = try_register(&mut visitor, &form).await;
    let first = if visitor.app.config.usernames.are_used() { "username" } else { "email" };
    show_form_again(result, first, async |errors| page(&mut visitor, &form, errors).await).await
}

async fn try_register(visitor: &mut Visitor, form: &RegisterForm) -> HandlerResult {
    let next = visitor.next(&form.next);
    let RegisterForm { username, email, password, password_confirm, invite, .. } = form;
    let accepts_terms = is_ticked(&form.terms);
    let form =
        RegistrationForm { username, email, password, password_confirm, invite, accepts_terms };
    let pending = visitor.pending_code(confirm_registration::PURPOSE);
    match register(&visitor.app, &visitor.requester, form, pending).await? {
        RegisterOutcome::Registered(account) => {
            visitor.log_in(&account.user, false).await?;
            if let Some(pending) = account.pending {
                visitor.keep_code(verify_email::PURPOSE, pending).await?;
            }
            show_created(visitor, &account.device_tokens, &next).await
        }
        RegisterOutcome::Repeated(account) => {
            visitor.continue_as(&account.user).await?;
            show_created(visitor, &account.device_tokens, &next).await
        }
        RegisterOutcome::Taken(name) => {
            let are_used = visitor.app.config.usernames.are_used();
            let flash = if are_used { Flash::Taken(name) } else { Flash::EmailTaken(name) };
            visitor.add_flash(flash).await?;
            redirect(&visitor.app, &format!("/login{}", next.query()))
        }
        RegisterOutcome::CodeSent(requested) => show_code_page(visitor, requested, &next).await,
        RegisterOutcome::Confirmed(confirmation) => {
            show_confirmation(visitor, confirmation, &next).await
        }
        RegisterOutcome::Refused(RegistrationRefusal::Closed) => {
            redirect(&visitor.app, &format!("/register{}", next.query()))
        }
        RegisterOutcome::Refused(refusal) => {
            show_refusal(visitor, refusal, next, StatusCode::UNPROCESSABLE_ENTITY).await
        }
    }
}

async fn page(
    visitor: &mut Visitor,
    form: &RegisterForm,
    errors: FieldErrors,
) -> Result<RegisterPage, RequestError> {
    let invited = open_invitation(&visitor.app, &form.invite).await?;
    let proved = match visitor.pending_code(confirm_registration::PURPOSE) {
        Some(pending) => find_proved(&visitor.app, pending).await?,
        None => None,
    };
    let proved_email = proved.map(|registration| registration.email).unwrap_or_default();
    let typed = Some(form.email.trim()).filter(|email| !email.is_empty()).unwrap_or(&proved_email);
    let email = invited.as_ref().map_or(typed, EmailAddress::as_typed).to_owned();
    let rule = domain_rule(&visitor.app.config.registration.domains);
    Ok(RegisterPage {
        page: visitor.page("Create an account").await?.with_errors(errors),
        username: form.username.trim().to_owned(),
        email,
        proved_email,
        email_hint: format!("{rule} For security alerts and password resets.").trim().to_owned(),
        accepts_terms: is_ticked(&form.terms),
        invite: form.invite.clone(),
        next: visitor.next(&form.next),
        has_code: visitor.has_code().await?,
    })
}
