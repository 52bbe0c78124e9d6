//! "This wasn't me": an emailed link ends what somebody else has of the account.

use super::email::has_address;
use super::end_access::end_all_access;
use super::history::{self, HistoryEvent};
use super::mail_link::{LinkForm, count_attempt, open_link, refuse, use_link};
use super::requester::Requester;
use super::{Error, notices};
use crate::app::App;
use crate::db::{DbError, Tx};
use crate::event::Event;
use crate::models::mail_link::{LinkPurpose, MailLink, revoke_links_since};
use crate::models::user::{User, find_user, restore_email};
use crate::models::user_password::block_password;

const PURPOSE: LinkPurpose = LinkPurpose::NotMe;

/// What the link does.
#[derive(Clone, Debug)]
pub struct Report {
    pub username: String,
    /// The address that the account gets back, if it has another one now.
    pub restored_email: Option<String>,
}

/// What the link with this token would do. It changes nothing: programs that check emails open links, too.
pub async fn open_report(app: &App, token: &str) -> Result<Option<Report>, DbError> {
    let Some(link) = open_link(app, PURPOSE, token).await? else { return Ok(None) };
    let Some(id) = &link.user_id else { return Ok(None) };
    let user = find_user(app.db.reader(), id).await?;
    Ok(user.map(|user| Report {
        restored_email: (!has_address(&user, &link.email_key)).then(|| link.email.clone()),
        username: user.display_name().to_owned(),
    }))
}

/// Ends every session, code and trusted device of the account, stops accepting its password until a new one
/// is set, and gives it back the address that the link was sent to. `None` if the link does not work. The same
/// form sent again succeeds as well, and changes nothing.
pub async fn report(
    app: &App,
    requester: &Requester,
    form: LinkForm<'_>,
) -> Result<Option<Report>, Error> {
    let attempt = count_attempt(app, requester).await?;
    if let Some(report) = try_report(app, requester, form).await? {
        attempt.refund(app).await;
        return Ok(Some(report));
    }
    let Some((user, restored)) = form.find_repeat(app, PURPOSE).await? else {
        refuse(PURPOSE);
        return Ok(None);
    };
    let restored_email = Some(restored).filter(|email| !email.is_empty());
    Ok(Some(Report { username: user.display_name().to_owned(), restored_email }))
}

async fn try_report(
    app: &App,
    requester: &Requester,
    form: LinkForm<'_>,
) -> Result<Option<Report>, Error> {
    let found = open_link(app, PURPOSE, form.token).await?;
    let Some(id) = found.and_then(|link| link.user_id) else { return Ok(None) };
    let mut tx = app.db.begin().await?;
    let blocked = block_password(&mut tx, &id, app.clock.now()).await?;
    let sessions = end_all_access(&mut tx, &id).await?;
    // Links last, wherever codes change, too: parallel requests must not deadlock.
    let link = use_link(app, &mut tx, PURPOSE, form.token).await?;
    let Some((user, link)) = blocked.zip(link) else { return Ok(None) };
    let restored_email = restore(app, &mut tx, requester, &user, &link).await?;
    // A link that somebody else got since, at an address of theirs, must not take the account away again.
    // Those of before stay: with a later link nobody can void them.
    revoke_links_since(tx.executor(), &id, link.credential_version).await?;
    let restored = restored_email.as_deref().unwrap_or_default();
    form.note_used(app, &mut tx, (PURPOSE, &user), restored).await?;
    history::record(app, &mut tx, requester, &user, HistoryEvent::NotMe).await?;
    tx.commit().await?;
    let account = &id;
    Event::NotMe { account }.write();
    Event::SessionEnded { account, reason: "not_me", sessions }.write();
    if restored_email.is_some() {
        Event::EmailRestored { account }.write();
    }
    Ok(Some(Report { username: user.display_name().to_owned(), restored_email }))
}

/// Gives `user` within `tx` the address that `link` was sent to, unless another account has it, and tells
/// the one that it replaces. Returns it if the user had another one.
async fn restore(
    app: &App,
    tx: &mut Tx,
    requester: &Requester,
    user: &User,
    link: &MailLink,
) -> Result<Option<String>, Error> {
    let address = (&*link.email, &*link.email_key);
    let Some(restored) = restore_email(tx, &user.id, address, app.clock.now()).await? else {
        return Ok(None);
    };
    history::record(app, tx, requester, user, HistoryEvent::EmailRestored).await?;
    notices::send_email_restored(app, tx, requester, &restored, &user.email).await?;
    Ok(Some(restored.email))
}
