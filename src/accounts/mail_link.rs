//! Links in emails: a token that works once. Only its digest is stored.

use super::Error;
use super::email::EmailAddress;
use super::rate_limits::{Attempt, Counter, RateLimit};
use super::requester::Requester;
use crate::app::App;
use crate::db::{DbError, Tx};
use crate::event::Event;
use crate::models::mail_link::{LinkPurpose, MailLink, find_link, insert_link, take_link};
use crate::models::user::User;
use crate::random::{self, token_hash};

/// How long the link of a notice works, in seconds: 72 hours.
pub const LINK_LIFE: i64 = 72 * 60 * 60;

/// How long an invitation works, in seconds: seven days. People register when they have the time.
pub const INVITATION_LIFE: i64 = 7 * 24 * 60 * 60;

/// Makes a link within `tx` and returns its token, for an email to the address `to`. Without a user the same
/// is written, and a link that is about an account does nothing.
pub async fn make_link(
    app: &App,
    tx: &mut Tx,
    purpose: LinkPurpose,
    user: Option<&User>,
    to: &str,
) -> Result<String, DbError> {
    let token = random::token();
    let email = EmailAddress::parse(to);
    let link = MailLink {
        user_id: user.map(|user| user.id.clone()),
        credential_version: user.map_or(0, |user| user.credential_version),
        email: to.to_owned(),
        email_key: email.map_or_else(|_| to.to_lowercase(), |email| email.key().to_owned()),
        keeps_email: user.is_some_and(User::has_known_address).into(),
    };
    let life = if purpose == LinkPurpose::Invite { INVITATION_LIFE } else { LINK_LIFE };
    insert_link(tx.executor(), purpose, token_hash(&token), link, (life, app.clock.now())).await?;
    Ok(token)
}

/// The link with this token, unless it was used or has expired.
pub async fn open_link(
    app: &App,
    purpose: LinkPurpose,
    token: &str,
) -> Result<Option<MailLink>, DbError> {
    find_link(app.db.reader(), purpose, token_hash(token), app.clock.now()).await
}

/// Uses up the link with this token within `tx`; `None` when it was used or has expired.
pub async fn use_link(
    app: &App,
    tx: &mut Tx,
    purpose: LinkPurpose,
    token: &str,
) -> Result<Option<MailLink>, DbError> {
    take_link(tx.executor(), purpose, token_hash(token), app.clock.now()).await
}

/// Counts an attempt at a link by network, before it is looked up. One that is not refunded made its token up,
/// or came late. A token of 128 bits cannot be guessed; this bounds what guessing costs the site.
pub async fn count_attempt(app: &App, requester: &Requester) -> Result<Attempt, Error> {
    Attempt::count(
        app,
        Counter::of_networks(app, RateLimit::LinkIp, requester.counted_networks()),
        None,
    )
    .await
}

/// Writes the event of a link that does nothing.
pub fn refuse(purpose: LinkPurpose) {
    Event::LinkRefused { purpose: purpose.name() }.write();
}
