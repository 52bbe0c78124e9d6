//! Mail the username of an account to its address.

use super::Error;
use super::email::{EmailAddress, EmailError};
use super::field_errors::FieldErrors;
use super::mail_limits::MailQuota;
use super::notices::context;
use super::rate_limits::{self, Counter, RateLimit, may_send};
use super::requester::Requester;
use crate::app::App;
use crate::event::Event;
use crate::mail::emails;
use crate::models::user::{User, find_user_by_email};

/// Mails the username to this address if it belongs to an account. The same is counted, written and answered
/// if it does not; then the email is a decoy. Nothing is counted with the codes: for them the address alone
/// must not be enough to use up the owner's.
pub async fn send_username(app: &App, requester: &Requester, typed: &str) -> Result<(), Error> {
    let mut errors = FieldErrors::default();
    let email = errors.record("email", EmailAddress::parse(typed), EmailError::Empty);
    let email = errors.into_result(email)?;
    let user = find_user_by_email(app.db.reader(), email.key()).await?;
    let user = user.filter(User::is_enabled);
    let account = user.as_ref().map(|user| user.id.as_str());
    let mut counters = Counter::of_networks(app, RateLimit::ForgotIp, requester.counted_networks());
    let key = format!("username of {}", email.key());
    counters.extend(Counter::of(app, RateLimit::ForgotAccount, &key));
    // What the mailbox may get, with or without an account.
    counters.extend(MailQuota::Usernames.counter_of_account(app, &key));
    rate_limits::count(app, counters, account).await?;
    let (username, to) = match &user {
        Some(user) => (user.username.as_str(), user.email.as_str()),
        None => ("", email.as_typed()),
    };
    let message = emails::username_reminder(&context(app, requester, username, to))?;
    let mut counters = MailQuota::Usernames.counters(app, to, requester);
    for counter in &mut counters {
        counter.adds = i64::from(user.is_some());
    }
    let mut tx = app.db.begin().await?;
    let is_within_limits = may_send(app, &mut tx, &counters).await?;
    let told = account.filter(|_| is_within_limits);
    let message = if told.is_some() { message } else { message.decoy() };
    app.outbox.enqueue(&mut tx, &message, told).await?;
    tx.commit().await?;
    Event::UsernameAsked { account }.write();
    Ok(())
}
