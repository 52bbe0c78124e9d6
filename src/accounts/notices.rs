//! Emails that notify an account's owner of an event, within the limits and the settings.

use super::Error;
use super::mail_limits::MailQuota;
use super::mail_link::make_link;
use super::rate_limits::{Counter, RateLimit, may_send};
use super::requester::Requester;
use crate::app::App;
use crate::config::{Notice, Rate};
use crate::db::{DbError, Tx};
use crate::mail::emails::{self, EmailContext};
use crate::models::mail_link::LinkPurpose;
use crate::models::user::User;
use crate::times;

/// An address that cannot exist (RFC 2606), for decoys.
pub const DECOY_ADDRESS: &str = "nobody@example.invalid";

const ONCE_A_DAY: Rate = Rate { count: 1, period: 24 * 60 * 60 };

/// What an email to `username`, at the address `to`, says about this request.
pub fn context<'a>(
    app: &'a App,
    requester: &Requester,
    username: &'a str,
    to: &'a str,
) -> EmailContext<'a> {
    EmailContext {
        username,
        asks_username: app.config.usernames.asked_when_forgotten,
        device: requester.device_name(),
        address: requester.known_address(),
        by_operator: requester.is_operator,
        ..EmailContext::new(&app.config, to, app.clock.now())
    }
}

/// The recipient of a notice.
#[derive(Clone, Copy)]
pub struct Recipient<'a> {
    /// As the account was when the address `to` was its own: the link in the notice goes back to that.
    pub user: &'a User,
    pub to: &'a str,
    /// What the notice names besides.
    pub detail: &'a str,
}

/// Sends `notice` to `user` within `tx`, unless the settings leave it out or too many were sent. What the
/// operator does is not limited.
pub async fn send(
    app: &App,
    tx: &mut Tx,
    requester: &Requester,
    user: &User,
    notice: Notice,
) -> Result<(), Error> {
    let recipient = Recipient { user, to: &user.email, detail: "" };
    send_to(app, tx, requester, recipient, notice).await.map(drop)
}

/// As [`send`]. Returns whether it is sent, or not to be sent: not whether there were too many.
pub async fn send_to(
    app: &App,
    tx: &mut Tx,
    requester: &Requester,
    Recipient { user, to, detail }: Recipient<'_>,
    notice: Notice,
) -> Result<bool, Error> {
    if !app.config.notices.sends(notice) {
        return Ok(true);
    }
    // A used-up limit must not hide that somebody takes the account over.
    let quotas = match notice {
        Notice::PasswordChanged | Notice::EmailChanged | Notice::UsernameChanged => {
            MailQuota::for_takeover(user)
        }
        _ => &[MailQuota::Notices],
    };
    if !requester.is_operator && !may_send_within(app, tx, requester, to, quotas).await? {
        return Ok(false);
    }
    // After the count: rendering is the slowest part of a login but for its hash.
    let token = make_link(app, tx, LinkPurpose::NotMe, Some(user), to).await?;
    let link = &format!("/not-me/{token}");
    let context = context(app, requester, &user.username, to);
    let email = emails::notice(notice, &EmailContext { link, detail, ..context })?;
    app.outbox.enqueue(tx, &email, Some(&user.id)).await?;
    Ok(true)
}

/// Counts an email to the address `to` by the first of `quotas` that is not used up, and returns whether there
/// is one.
async fn may_send_within(
    app: &App,
    tx: &mut Tx,
    requester: &Requester,
    to: &str,
    quotas: &[MailQuota],
) -> Result<bool, DbError> {
    for quota in quotas {
        if may_send(app, tx, &quota.counters(app, to, requester)).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Notifies the address of `user` within `tx` that the account was deleted. The email has no link and no
/// history entry: the account is gone.
pub async fn send_account_deleted(
    app: &App,
    tx: &mut Tx,
    requester: &Requester,
    user: &User,
) -> Result<(), Error> {
    if !app.config.notices.sends(Notice::AccountDeleted) {
        return Ok(());
    }
    let quotas = MailQuota::for_takeover(user);
    if may_send_within(app, tx, requester, &user.email, quotas).await? {
        let context = context(app, requester, &user.username, &user.email);
        app.outbox.enqueue(tx, &emails::account_deleted(&context)?, None).await?;
    }
    Ok(())
}

/// Notifies the address `replaced` within `tx` that `user` has an earlier address again. The email has no link:
/// its recipient may have taken the account over.
pub async fn send_email_restored(
    app: &App,
    tx: &mut Tx,
    requester: &Requester,
    user: &User,
    replaced: &str,
) -> Result<(), Error> {
    if may_send(app, tx, &MailQuota::Notices.counters(app, replaced, requester)).await? {
        let email = emails::email_restored(&context(app, requester, &user.username, replaced))?;
        app.outbox.enqueue(tx, &email, Some(&user.id)).await?;
    }
    Ok(())
}

/// Reports that so many logins to `account` failed that `limit` is reached (ASVS 6.3.5), with a link that lets
/// a browser try again. Without a user, a decoy costs the same.
pub async fn send_failed_logins(
    app: &App,
    requester: &Requester,
    (user, account): (Option<&User>, &str),
    limit: RateLimit,
) -> Result<(), Error> {
    let is_stopped = limit == RateLimit::LoginInARow;
    let notice = if is_stopped { Notice::LoginStopped } else { Notice::LoginLimited };
    if !app.config.notices.sends(notice) {
        return Ok(());
    }
    let (counted, (username, to)) = match user {
        Some(user) => (&*user.email, (&*user.username, &*user.email)),
        None => (account, ("nobody", DECOY_ADDRESS)),
    };
    let mut tx = app.db.begin().await?;
    // A stranger can reach that limit again and again.
    let key = format!("limited logins to {account}");
    let daily = Counter::new(app, RateLimit::MailAddress, &key, ONCE_A_DAY);
    if !is_stopped && !may_send(app, &mut tx, &[daily]).await? {
        return Ok(());
    }
    // Users before the limits of emails, as in a deletion: parallel requests must not deadlock.
    let token = match make_link(app, &mut tx, LinkPurpose::Unlock, user, to).await {
        // The account was deleted in the meantime.
        Err(error) if error.is_reference() => return Ok(()),
        made => made?,
    };
    let is_sent = may_send_within(app, &mut tx, requester, counted, &[MailQuota::Notices]).await?;
    let user = user.filter(|_| is_sent);
    let wait = RateLimit::LoginAccount.rate(app).map(|rate| times::wait(rate.period));
    let (link, detail) = (&format!("/unlock/{token}"), &wait.unwrap_or_default());
    let context = EmailContext { link, detail, ..context(app, requester, username, to) };
    let email = emails::notice(notice, &context)?;
    let email = if user.is_some() { email } else { email.decoy() };
    app.outbox.enqueue(&mut tx, &email, user.map(|user| user.id.as_str())).await?;
    tx.commit().await?;
    Ok(())
}
