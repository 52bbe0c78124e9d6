//! Emails that notify an account's owner of an event, within the limits and the settings.

use super::Error;
use super::mail_limits::MailQuota;
use super::rate_limits::may_send;
use super::requester::Requester;
use crate::app::App;
use crate::config::Notice;
use crate::db::Tx;
use crate::mail::emails::{self, EmailContext};
use crate::models::user::User;

/// An address that cannot exist (RFC 2606), for decoys.
const DECOY_ADDRESS: &str = "nobody@example.invalid";

/// What an email to `username`, at the address `to`, says about this request.
pub fn context<'a>(
    app: &'a App,
    requester: &Requester,
    username: &'a str,
    to: &'a str,
) -> EmailContext<'a> {
    EmailContext {
        site: &app.config.site_name,
        base_url: &app.config.base_url,
        username,
        to,
        at: app.clock.now(),
        device: requester.device_name(),
        address: requester.known_address(),
        accent: &app.config.accent,
    }
}

/// Sends `notice` to `user` within `tx`, unless the settings leave it out or too many were sent.
pub async fn send(
    app: &App,
    tx: &mut Tx,
    requester: &Requester,
    user: &User,
    notice: Notice,
) -> Result<(), Error> {
    if !app.config.notices.sends(notice) {
        return Ok(());
    }
    // A used-up limit must not hide a new password.
    let quotas = match notice {
        Notice::PasswordChanged => &MailQuota::ALL[..],
        _ => &[MailQuota::Notices],
    };
    for quota in quotas {
        if may_send(app, tx, &quota.counters(app, &user.email, requester)).await? {
            // After the count: rendering is the slowest part of a login but for its hash.
            let email =
                emails::notice(notice, &context(app, requester, &user.username, &user.email))?;
            app.outbox.enqueue(tx, &email, Some(&user.id)).await?;
            break;
        }
    }
    Ok(())
}

/// Reports that logins to `account` are stopped (ASVS 6.3.5). Without a user, a decoy costs the same.
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
        None => emails::login_stopped(&context(app, requester, "nobody", DECOY_ADDRESS))?.decoy(),
    };
    let to = user.map_or(account, |user| &user.email);
    let mut tx = app.db.begin().await?;
    if may_send(app, &mut tx, &MailQuota::Notices.counters(app, to, requester)).await? {
        let user_id = user.map(|user| user.id.as_str());
        app.outbox.enqueue(&mut tx, &email, user_id).await?;
    }
    tx.commit().await?;
    Ok(())
}
