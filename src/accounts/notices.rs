//! The notices that tell an account's owner what happened.

use super::Error;
use super::mail_limits::MailQuota;
use super::rate_limits::may_send;
use super::requester::Requester;
use crate::app::App;
use crate::config::Notice;
use crate::db::Tx;
use crate::mail::emails::{self, EmailContext};
use crate::models::device::DeviceStatus;
use crate::models::outbox::Email;
use crate::models::user::User;

/// Where the decoy of a notice would go: nowhere (RFC 2606).
const NOWHERE: &str = "nobody@example.invalid";

/// Renders one of the emails.
type Render = fn(&EmailContext<'_>) -> Result<Email, askama::Error>;

/// What an email to `username`, at the address `to`, tells of this request.
pub fn context<'a>(
    app: &'a App,
    requester: &Requester,
    username: &'a str,
    to: &'a str,
) -> EmailContext<'a> {
    EmailContext {
        site: &app.config.site_name,
        origin: app.config.base_url.origin(),
        username,
        to,
        at: app.clock.now(),
        device: requester.device_name(),
        address: requester.known_address(),
        accent: &app.config.accent,
    }
}

/// A new account was made with this address.
pub async fn send_registered(
    app: &App,
    tx: &mut Tx,
    requester: &Requester,
    user: &User,
) -> Result<(), Error> {
    if !app.config.notices.sends(Notice::Registered) {
        return Ok(());
    }
    send(app, tx, requester, user, emails::registered).await
}

/// Somebody logged in. One email at most: of a new device, else of every login.
pub async fn send_login_notice(
    app: &App,
    tx: &mut Tx,
    requester: &Requester,
    user: &User,
    status: DeviceStatus,
) -> Result<(), Error> {
    let notices = &app.config.notices;
    if status == DeviceStatus::New && notices.sends(Notice::NewDevice) {
        return send(app, tx, requester, user, emails::new_device).await;
    }
    if notices.sends(Notice::Login) {
        return send(app, tx, requester, user, emails::login).await;
    }
    Ok(())
}

/// Counted before it is rendered, which takes longer than all else that a login does beside its hash.
async fn send(
    app: &App,
    tx: &mut Tx,
    requester: &Requester,
    user: &User,
    render: Render,
) -> Result<(), Error> {
    let counters = MailQuota::Notices.counters(app, &user.email, requester);
    if may_send(app, tx, &counters).await? {
        let email = render(&context(app, requester, &user.username, &user.email))?;
        app.outbox.enqueue(tx, &email).await?;
    }
    Ok(())
}

/// Logins to `account` are stopped (ASVS 6.3.5). Where no account exists, a decoy costs the same.
pub async fn send_login_stopped(
    app: &App,
    requester: &Requester,
    user: Option<&User>,
    account: &str,
) -> Result<(), Error> {
    if !app.config.notices.sends(Notice::LoginStopped) {
        return Ok(());
    }
    let email = match user {
        Some(user) => emails::login_stopped(&context(app, requester, &user.username, &user.email))?,
        None => emails::login_stopped(&context(app, requester, "nobody", NOWHERE))?.decoy(),
    };
    let to = user.map_or(account, |user| &user.email);
    let counters = MailQuota::Notices.counters(app, to, requester);
    let mut tx = app.db.begin().await?;
    if may_send(app, &mut tx, &counters).await? {
        app.outbox.enqueue(&mut tx, &email).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// The email that tells of a new password, unless such notices are switched off.
pub fn password_changed(
    app: &App,
    requester: &Requester,
    user: &User,
) -> Result<Option<Email>, Error> {
    if !app.config.notices.sends(Notice::PasswordChanged) {
        return Ok(None);
    }
    let context = context(app, requester, &user.username, &user.email);
    Ok(Some(emails::password_changed(&context)?))
}

/// Enqueues that email from the first of its mail limits that is not used up: nobody who used one up
/// must be able to hide a new password.
pub async fn send_password_changed(
    app: &App,
    tx: &mut Tx,
    requester: &Requester,
    email: &Email,
) -> Result<(), Error> {
    for quota in MailQuota::ALL {
        if may_send(app, tx, &quota.counters(app, &email.to, requester)).await? {
            app.outbox.enqueue(tx, email).await?;
            break;
        }
    }
    Ok(())
}
