//! Links in emails: a token that works once. Only its digest is stored.

use super::email::EmailAddress;
use super::rate_limits::{Attempt, Counter, RateLimit};
use super::requester::Requester;
use super::{Error, REPEATED_WITHIN};
use crate::app::App;
use crate::db::{DbError, Tx};
use crate::event::Event;
use crate::models::mail_link::{LinkPurpose, MailLink, find_link, insert_link, take_link};
use crate::models::user::{User, find_user};
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

/// What a form sends along that uses a link.
#[derive(Clone, Copy)]
pub struct LinkForm<'a> {
    /// That of the link.
    pub token: &'a str,
    /// Drawn for each page with the button; empty if a program sends the form.
    pub form: &'a str,
}

impl LinkForm<'_> {
    fn hash(self, purpose: LinkPurpose) -> Vec<u8> {
        token_hash(&format!("{} {} {}", purpose.name(), self.token, self.form))
    }

    /// Notes within `tx` that this form used a link of `user`. `restored` is the address that the account got back;
    /// empty if there is none.
    pub async fn note_used(
        self,
        app: &App,
        tx: &mut Tx,
        (purpose, user): (LinkPurpose, &User),
        restored: &str,
    ) -> Result<(), DbError> {
        if self.form.is_empty() {
            return Ok(());
        }
        let used = MailLink {
            user_id: Some(user.id.clone()),
            credential_version: user.credential_version,
            email: restored.to_owned(),
            email_key: String::new(),
            keeps_email: 0,
        };
        let times = (REPEATED_WITHIN, app.clock.now());
        insert_link(tx.executor(), LinkPurpose::Used, self.hash(purpose), used, times).await
    }

    /// The user whose link this form used a moment ago, and the address that the account got back: a double click.
    /// Another browser has another form.
    pub async fn find_repeat(
        self,
        app: &App,
        purpose: LinkPurpose,
    ) -> Result<Option<(User, String)>, DbError> {
        // The writer waits for a commit in progress.
        let (db, now) = (app.db.writer(), app.clock.now());
        let used = find_link(db, LinkPurpose::Used, self.hash(purpose), now).await?;
        let Some(used) = used else { return Ok(None) };
        let user = find_user(app.db.reader(), &used.user_id.unwrap_or_default()).await?;
        Ok(user.map(|user| (user, used.email)))
    }
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
