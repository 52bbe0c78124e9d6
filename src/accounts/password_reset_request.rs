//! Request a one-time code, by email, for an account whose password is forgotten.

use super::Error;
use super::client_trust::ClientTrust;
use super::email::{EmailAddress, EmailError};
use super::field_errors::FieldErrors;
use super::one_time_code::PendingCode;
use super::password_reset::PURPOSE;
use super::requester::Requester;
use super::send_code::{self, CodeRequest, NewRequest};
use super::username::{Username, UsernameError};
use crate::app::App;
use crate::config::UsernameMode;
use crate::models::user::{find_user_by_email, find_user_by_username_and_email};

/// The account that a code is requested for.
struct Claim {
    /// Empty if it is not asked for, or the account has none.
    username: String,
    email: EmailAddress,
}

impl Claim {
    fn parse(app: &App, username: &str, email: &str) -> Result<Self, Error> {
        let usernames = app.config.usernames;
        let mut errors = FieldErrors::default();
        let username = match Username::parse_existing(username, usernames.rule) {
            _ if !usernames.asked_when_forgotten => Ok(String::new()),
            Err(UsernameError::Empty) if usernames.mode == UsernameMode::Optional => {
                Ok(String::new())
            }
            Ok(username) => Ok(username.as_str().to_owned()),
            // An account without a username is known by its address.
            Err(error) => {
                EmailAddress::parse(username).map(|email| email.key().to_owned()).map_err(|_| error)
            }
        };
        let username = errors.record("username", username, UsernameError::Empty);
        let email = errors.record("email", EmailAddress::parse(email), EmailError::Empty);
        errors.into_result(username.zip(email)).map(|(username, email)| Self { username, email })
    }

    /// What the account is known by: two ways to name one account must not be counted apart.
    fn name(&self) -> &str {
        if self.username.is_empty() { self.email.key() } else { &self.username }
    }

    /// The key of codes and attempts at them: with both, so that the username alone is not enough to use up
    /// the owner's.
    fn key(&self) -> String {
        format!("{} {}", self.name(), self.email.key())
    }
}

/// Sends a code to the account with this username and email address, if there is one. `pending` is the
/// code that was requested in this browser before.
pub async fn request_code(
    app: &App,
    requester: &Requester,
    username: &str,
    email: &str,
    pending: Option<&PendingCode>,
) -> Result<CodeRequest, Error> {
    let claim = Claim::parse(app, username, email)?;
    let (username, email) = (claim.username.as_str(), claim.email.as_typed());
    if pending.is_some_and(|old| old.is_of_same_form(app, username, email)) {
        return Ok(CodeRequest::Repeated);
    }
    send(app, requester, &claim, (pending, false)).await
}

/// Replaces the code of `pending` by a new one.
pub async fn resend_code(
    app: &App,
    requester: &Requester,
    pending: Option<&PendingCode>,
) -> Result<CodeRequest, Error> {
    let send = async |pending: &PendingCode| {
        // It was valid when it was stored, but the site may have been updated.
        let Ok(claim) = Claim::parse(app, &pending.username, &pending.email) else {
            return Ok(CodeRequest::NotPending);
        };
        send(app, requester, &claim, (Some(pending), true)).await
    };
    send_code::resend(app, pending, send).await
}

async fn send(
    app: &App,
    requester: &Requester,
    claim: &Claim,
    old: (Option<&PendingCode>, bool),
) -> Result<CodeRequest, Error> {
    let (username, typed) = (claim.username.as_str(), claim.email.as_typed());
    let (reader, email_key) = (app.db.reader(), claim.email.key());
    let found = if app.config.usernames.asked_when_forgotten {
        find_user_by_username_and_email(reader, claim.name(), email_key).await?
    } else {
        find_user_by_email(reader, email_key).await?
    };
    let user = found.as_ref().filter(|user| user.is_enabled());
    let trust = ClientTrust::of(app, requester, user, claim.key()).await?;
    let to = user.map_or(typed, |user| &user.email);
    let request = NewRequest {
        purpose: PURPOSE,
        user,
        registration: None,
        recipient: (user.map_or(username, |user| &user.username), to),
        typed: (username, typed),
        counters: trust.code_counters(app, requester),
        mail_counters: &trust.code_mail_counters(app, requester, user, to),
        attempts_key: &trust.code_key,
    };
    send_code::request_code(app, requester, request, old).await
}
