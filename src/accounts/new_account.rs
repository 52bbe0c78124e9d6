//! Makes an account, all or nothing: its row, its first trusted browser, and who is told of it.

use super::approval::tell_operator;
use super::history::HistoryEvent;
use super::mail_link::use_link;
use super::one_time_code::PendingCode;
use super::requester::Requester;
use super::reserved_names::insert_unreserved;
use super::verify_email::send_welcome;
use super::{Error, history, hooks, invitation, trusted_devices};
use crate::app::App;
use crate::config::RegistrationMode;
use crate::event::Event;
use crate::metrics::RegistrationEnd;
use crate::models::approval::ask_for_approval;
use crate::models::hook_event::HookKind;
use crate::models::registration::delete_registration;
use crate::models::user::{NewUser, User};

/// What lets somebody make an account. It is used up with it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Permit<'a> {
    /// Anybody may.
    Open,
    /// The token of an invitation.
    Invitation(&'a str),
    /// The id of a registration whose address is proved.
    Registration(&'a str),
}

/// An account that was made.
pub struct CreatedAccount {
    pub user: User,
    /// The device tokens that the browser must keep.
    pub device_tokens: Vec<String>,
    /// The code that proves the address, if one was sent.
    pub pending: Option<PendingCode>,
}

/// How making an account ended.
pub enum Creation {
    Created(Box<CreatedAccount>),
    /// Another account has the username or the address, or it is kept for one.
    Taken,
    /// The permit was used or revoked, or has expired.
    NotPermitted,
}

/// Makes an account, trusts the browser and sends the notice. An account that the operator has to approve is told
/// to nobody else yet.
pub async fn create_account(
    app: &App,
    requester: &Requester,
    new: NewUser<'_>,
    permit: Permit<'_>,
) -> Result<Creation, Error> {
    let now = app.clock.now();
    let mut tx = app.db.begin().await?;
    // First: it uses the registration up, whatever is sent in parallel.
    if let Permit::Registration(id) = permit
        && !delete_registration(tx.executor(), id, now).await?
    {
        return Ok(Creation::NotPermitted);
    }
    let Some(user) = insert_unreserved(app, &mut tx, new).await? else {
        return Ok(Creation::Taken);
    };
    if let Permit::Invitation(token) = permit
        && use_link(app, &mut tx, invitation::PURPOSE, token).await?.is_none()
    {
        return Ok(Creation::NotPermitted);
    }
    let (_, device_tokens) = trusted_devices::record_login(app, &mut tx, requester, &user).await?;
    history::record(app, &mut tx, requester, &user, HistoryEvent::Registered).await?;
    let is_approved_first = app.config.registration.mode == RegistrationMode::Approval;
    if is_approved_first && matches!(permit, Permit::Registration(_)) {
        let user = ask_for_approval(&mut tx, user, now).await?;
        tell_operator(app, &mut tx).await?;
        tx.commit().await?;
        Event::ApprovalAsked { account: &user.id }.write();
        app.metrics.count_registration(RegistrationEnd::Created);
        return Ok(Creation::Created(CreatedAccount { user, device_tokens, pending: None }.into()));
    }
    let pending = send_welcome(app, &mut tx, requester, &user).await?;
    hooks::enqueue(app, &mut tx, HookKind::Registered, &user).await?;
    tx.commit().await?;
    Event::Registered { account: &user.id }.write();
    app.metrics.count_registration(RegistrationEnd::Created);
    Ok(Creation::Created(CreatedAccount { user, device_tokens, pending }.into()))
}
