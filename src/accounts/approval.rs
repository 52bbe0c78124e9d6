//! Approval: accounts that wait for the operator, and the emails to both sides.

use super::field_errors::FieldErrors;
use super::rate_limits::{Counter, RateLimit, is_within_limits};
use super::{Error, hooks};
use crate::app::App;
use crate::config::Rate;
use crate::db::Tx;
use crate::event::Event;
use crate::mail::emails::{self, EmailContext};
use crate::models::approval::{approve_user, count_waiting, is_any_new, note_operator_told};
use crate::models::hook_event::HookKind;
use crate::models::user::{User, find_user};

const ONCE_AN_HOUR: Rate = Rate { count: 1, period: 60 * 60 };

/// Refuses the login of a `user` who waits for approval. The error links to `field`. Call it only after the
/// password or the code was correct: the refusal reveals that the account exists.
pub fn check_approved(user: &User, field: &'static str) -> Result<(), Error> {
    if !user.awaits_approval() {
        return Ok(());
    }
    Event::LoginWaits { account: &user.id }.write();
    let message = "Your account is waiting for approval. We'll email you when you can log in.";
    Err(Error::Invalid(FieldErrors::for_form(field, message)))
}

/// How an approval ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Approval {
    Approved,
    /// The account did not wait.
    NotNeeded,
    /// There is no such account.
    Gone,
}

/// Approves the account of `user` and tells them.
pub async fn approve(app: &App, user: &User) -> Result<Approval, Error> {
    let mut tx = app.db.begin().await?;
    let Some(user) = &approve_user(tx.executor(), &user.id).await? else {
        let found = find_user(tx.executor(), &user.id).await?;
        return Ok(if found.is_some() { Approval::NotNeeded } else { Approval::Gone });
    };
    let context = EmailContext::new(&app.config, &user.email, app.clock.now());
    let email = emails::approved(&EmailContext { username: &user.username, ..context })?;
    app.outbox.enqueue(&mut tx, &email, Some(&user.id)).await?;
    hooks::enqueue(app, &mut tx, HookKind::Registered, user).await?;
    tx.commit().await?;
    Event::UserApproved { account: &user.id }.write();
    Ok(Approval::Approved)
}

/// Tells the operator within `tx` how many accounts wait, unless all were told of or the last email is less
/// than an hour old: then the sweep tries again. However many bots register, that is one email an hour.
pub async fn tell_operator(app: &App, tx: &mut Tx) -> Result<(), Error> {
    let hourly = Counter::new(app, RateLimit::MailAddress, "approvals", ONCE_AN_HOUR);
    if !is_any_new(tx.executor()).await? || !is_within_limits(app, tx, &[hourly]).await? {
        return Ok(());
    }
    let now = app.clock.now();
    note_operator_told(tx.executor(), now).await?;
    let waiting = count_waiting(tx.executor()).await?;
    let detail = &match waiting {
        1 => "1 account is".to_owned(),
        _ => format!("{waiting} accounts are"),
    };
    let context = EmailContext::new(&app.config, app.config.operator_address(), now);
    let email = emails::approval_asked(&EmailContext { detail, ..context })?;
    app.outbox.enqueue(tx, &email, None).await?;
    Ok(())
}

/// As [`tell_operator`], for those that it left out. A failure is only logged: the next sweep tries again.
pub async fn tell_operator_of_others(app: &App) {
    let told = async {
        let mut tx = app.db.begin().await?;
        tell_operator(app, &mut tx).await?;
        tx.commit().await?;
        Ok::<(), Error>(())
    };
    if let Err(error) = told.await {
        Event::log_fault("the_operator_was_not_told", &error);
    }
}
