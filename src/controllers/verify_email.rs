//! Prove the address of the account that is logged in.

use askama::Template;
use serde::Deserialize;

use super::code_form::{CodeForm, ended, show_code_form};
use super::{HandlerResult, redirect, show as show_page, show_form_again};
use crate::accounts::field_errors::FieldErrors;
use crate::accounts::verify_email::{PURPOSE, Verification, request_verification, verify};
use crate::error::RequestError;
use crate::flash::Flash;
use crate::forms::Fields;
use crate::page::Page;
use crate::visitor::Visitor;
use crate::visitor::logged_in::LoggedIn;

/// The page that asks for the code; it also asks for the first one.
const PAGES: [&str; 2] = ["/verify", "/verify"];

#[derive(Template)]
#[template(path = "verify_email.html")]
struct VerifyPage {
    page: Page,
    email: String,
    /// None if no code was requested in this browser.
    form: Option<CodeForm>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
pub struct VerifyForm {
    code: String,
}

pub async fn show(LoggedIn { mut visitor, user }: LoggedIn) -> HandlerResult {
    if user.is_email_verified() {
        return redirect(&visitor.app, "/account");
    }
    show_page(&page(&mut visitor, &user.email, "", FieldErrors::default()).await?)
}

pub async fn submit(
    LoggedIn { mut visitor, user }: LoggedIn,
    Fields(form): Fields<VerifyForm>,
) -> HandlerResult {
    let pending = visitor.pending_code(PURPOSE).cloned();
    let result = verify(&visitor.app, &visitor.requester, &user, pending.as_ref(), &form.code);
    let result = match result.await {
        Ok(Verification::Done) => {
            visitor.forget_code(PURPOSE).await?;
            visitor.add_flash(Flash::EmailVerified).await?;
            redirect(&visitor.app, "/account")
        }
        Ok(Verification::NotPending) if user.is_email_verified() => {
            redirect(&visitor.app, "/account")
        }
        Ok(Verification::NotPending) => ended(&visitor, PURPOSE, PAGES[1]),
        Err(error) => Err(error.into()),
    };
    let page = async |errors| page(&mut visitor, &user.email, &form.code, errors).await;
    show_form_again(result, "code", page).await
}

pub async fn resend(LoggedIn { mut visitor, user }: LoggedIn) -> HandlerResult {
    if user.is_email_verified() {
        return redirect(&visitor.app, "/account");
    }
    let pending = visitor.pending_code(PURPOSE).cloned();
    let requested =
        request_verification(&visitor.app, &visitor.requester, &user, pending.as_ref()).await;
    let result = match requested {
        Ok(requested) => {
            show_code_form(&mut visitor, PURPOSE, requested, Flash::NewCodeSent, PAGES).await
        }
        Err(error) => Err(error.into()),
    };
    let page = async |errors| page(&mut visitor, &user.email, "", errors).await;
    show_form_again(result, "code", page).await
}

async fn page(
    visitor: &mut Visitor,
    email: &str,
    typed: &str,
    errors: FieldErrors,
) -> Result<VerifyPage, RequestError> {
    let form = match visitor.pending_code(PURPOSE).cloned() {
        Some(pending) => Some(CodeForm::new(visitor, PURPOSE, pending, typed).await?),
        None => None,
    };
    let page = visitor.page("Confirm your email").await?.with_errors(errors);
    Ok(VerifyPage { page, email: email.to_owned(), form })
}
