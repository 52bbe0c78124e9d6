//! Invitations: an emailed link lets the owner of an address register.

use super::Error;
use super::email::EmailAddress;
use super::mail_limits::MailQuota;
use super::mail_link::{INVITATION_LIFE, count_attempt, make_link, open_link};
use super::rate_limits::may_send;
use super::requester::Requester;
use crate::app::App;
use crate::config::RegistrationMode;
use crate::db::DbError;
use crate::event::Event;
use crate::mail::emails::{self, EmailContext};
use crate::mail::mask::mask;
use crate::models::mail_link::{
    Invitation, LinkPurpose, is_email_taken, list_invitations, revoke_invitation,
};

pub const PURPOSE: LinkPurpose = LinkPurpose::Invite;

/// How an invitation ended.
pub enum Invited {
    Sent(Invitation),
    /// The address belongs to an account, or a link can give it back to one.
    Taken,
    /// The settings do not accept its domain.
    OtherDomain,
    /// Too many emails went to the address, its domain, or from the site.
    TooManyEmails,
}

/// Emails an invitation to `email`, in place of an earlier one.
pub async fn invite(app: &App, email: &EmailAddress) -> Result<Invited, Error> {
    if !app.config.registration.domains.accept(email.domain()) {
        return Ok(Invited::OtherDomain);
    }
    if is_taken(app, email).await? {
        return Ok(Invited::Taken);
    }
    let (to, now) = (email.as_typed(), app.clock.now());
    let mut tx = app.db.begin().await?;
    // Links before limits of emails, as a registration: parallel requests must not deadlock.
    let token = make_link(app, &mut tx, PURPOSE, None, to).await?;
    let counters = MailQuota::Proofs.counters(app, to, &Requester::operator());
    if !may_send(app, &mut tx, &counters).await? {
        return Ok(Invited::TooManyEmails);
    }
    let link = &format!("/register?invite={token}");
    let context = EmailContext { link, ..EmailContext::new(&app.config, to, now) };
    app.outbox.enqueue(&mut tx, &emails::invitation(&context)?, None).await?;
    tx.commit().await?;
    Event::Invited { to: &mask(to) }.write();
    let (email, expires_at) = (to.to_owned(), now + INVITATION_LIFE);
    Ok(Invited::Sent(Invitation { email, created_at: now, expires_at }))
}

/// The invitations that can be used, oldest first.
pub async fn invitations(app: &App) -> Result<Vec<Invitation>, DbError> {
    list_invitations(app.db.reader(), app.clock.now()).await
}

/// Revokes the invitation of `email`. Returns whether it could be used.
pub async fn revoke(app: &App, email: &EmailAddress) -> Result<bool, DbError> {
    let is_revoked = revoke_invitation(app.db.writer(), email.key(), app.clock.now()).await?;
    if is_revoked {
        Event::InvitationRevoked { to: &mask(email.as_typed()) }.write();
    }
    Ok(is_revoked)
}

/// The address that the invitation with this token was sent to, unless it was used or revoked, has expired,
/// or the address has an account by now.
pub async fn open_invitation(app: &App, token: &str) -> Result<Option<EmailAddress>, DbError> {
    if token.is_empty() {
        return Ok(None);
    }
    let link = open_link(app, PURPOSE, token).await?;
    let Some(email) = link.and_then(|link| EmailAddress::parse(&link.email).ok()) else {
        return Ok(None);
    };
    Ok((!is_taken(app, &email).await?).then_some(email))
}

/// As [`open_invitation`], for a form.
pub async fn check_invitation(
    app: &App,
    requester: &Requester,
    token: &str,
) -> Result<Option<EmailAddress>, Error> {
    if token.is_empty() || app.config.registration.mode == RegistrationMode::Closed {
        return Ok(None);
    }
    let attempt = count_attempt(app, requester).await?;
    let invited = open_invitation(app, token).await?;
    if invited.is_some() {
        attempt.refund(app).await;
    }
    Ok(invited)
}

/// Why somebody cannot register, whatever the form says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationRefusal {
    /// Nobody can.
    Closed,
    /// Only invited people can.
    NotInvited,
    /// The invitation was used or revoked, has expired or was made up.
    DeadInvitation,
}

impl RegistrationRefusal {
    /// As the log names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::NotInvited => "not_invited",
            Self::DeadInvitation => "dead_invitation",
        }
    }
}

/// Why somebody cannot register with the invitation `token`, which may be empty, and which was sent to
/// `invited`.
pub fn refusal(
    app: &App,
    token: &str,
    invited: Option<&EmailAddress>,
) -> Option<RegistrationRefusal> {
    match app.config.registration.mode {
        RegistrationMode::Closed => Some(RegistrationRefusal::Closed),
        _ if invited.is_none() && !token.is_empty() => Some(RegistrationRefusal::DeadInvitation),
        RegistrationMode::Invite if token.is_empty() => Some(RegistrationRefusal::NotInvited),
        _ => None,
    }
}

async fn is_taken(app: &App, email: &EmailAddress) -> Result<bool, DbError> {
    is_email_taken(app.db.reader(), email.key(), "", app.clock.now()).await
}
