//! Delete the own account.

use askama::Template;
use serde::Deserialize;

use super::{HandlerResult, redirect, show as show_page, show_form_again};
use crate::accounts::Error;
use crate::accounts::delete_account::{Deletion, DeletionForm, delete_own_account};
use crate::accounts::field_errors::FieldErrors;
use crate::error::RequestError;
use crate::event::Event;
use crate::flash::Flash;
use crate::forms::Fields;
use crate::models::user::User;
use crate::page::Page;
use crate::visitor::Visitor;
use crate::visitor::logged_in::LoggedIn;

const PATH: &str = "/account/delete";

#[derive(Template)]
#[template(path = "delete_account.html")]
struct DeletePage {
    page: Page,
    user: User,
    form: DeleteForm,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
pub struct DeleteForm {
    /// The email where there is none.
    username: String,
    current_password: String,
}

pub async fn show(LoggedIn { mut visitor, user }: LoggedIn) -> HandlerResult {
    let form = DeleteForm::default();
    show_page(&page(&mut visitor, user, form, FieldErrors::default()).await?)
}

pub async fn submit(mut visitor: Visitor, Fields(form): Fields<DeleteForm>) -> HandlerResult {
    let Some(user) = visitor.user.clone() else { return Ok(visitor.to_login(PATH)) };
    let result = try_delete(&mut visitor, &user, &form).await;
    let form = DeleteForm { current_password: String::new(), ..form };
    let show_again = async |errors| page(&mut visitor, user, form, errors).await;
    show_form_again(result, "current_password", show_again).await
}

async fn try_delete(visitor: &mut Visitor, user: &User, form: &DeleteForm) -> HandlerResult {
    let confirmation =
        DeletionForm { name: &form.username, current_password: &form.current_password };
    match delete_own_account(&visitor.app, &visitor.requester, user, confirmation).await? {
        // Another tab was faster.
        Deletion::Deleted | Deletion::Gone => {}
        Deletion::Referenced(error) => {
            Event::log_fault("an_account_is_needed_by_another_table", &error);
            let words = "An application still needs this account. Ask its owner to delete it.";
            return Err(Error::Invalid(FieldErrors::for_form("username", words)).into());
        }
    }
    visitor.end_session().await?;
    visitor.add_flash(Flash::AccountDeleted).await?;
    redirect(&visitor.app, "/login")
}

async fn page(
    visitor: &mut Visitor,
    user: User,
    form: DeleteForm,
    errors: FieldErrors,
) -> Result<DeletePage, RequestError> {
    let page = visitor.page("Delete your account").await?.with_errors(errors);
    Ok(DeletePage { page, user, form })
}
