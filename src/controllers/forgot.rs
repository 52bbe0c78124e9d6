//! Forgot the password: a one-time code goes out when username and address belong to one account.

use askama::Template;
use serde::Deserialize;

use super::{Answer, keep_form, redirect, refuse, show as show_page};
use crate::accounts::email::{EmailAddress, EmailError};
use crate::accounts::notices::context;
use crate::accounts::one_time_code::OneTimeCode;
use crate::accounts::password_reset::{PURPOSE, PendingReset, Replaced, digest, replace};
use crate::accounts::rate_limits::{self, ClientTrust, may_send};
use crate::accounts::username::{Username, UsernameError};
use crate::error::RequestError;
use crate::event::{Details, Event};
use crate::flash::Flash;
use crate::forms::{Errors, Fields};
use crate::mail::emails;
use crate::models::one_time_code::insert_code;
use crate::models::user::{User, find_user_by_username_and_email};
use crate::page::Page;
use crate::visitor::Visitor;

const TITLE: &str = "Forgot your password?";

#[derive(Template)]
#[template(path = "forgot.html")]
struct ForgotPage {
    page: Page,
    errors: Errors,
    username: String,
    email: String,
    /// Whether a code can be entered already.
    has_code: bool,
}

/// The fields as they arrive.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ForgotForm {
    username: String,
    email: String,
}

/// Who says to have forgotten the password.
pub(super) struct Claim {
    pub(super) username: Username,
    pub(super) email: EmailAddress,
}

/// GET `/forgot`. What was typed here or at the login, or who is logged in, need not be typed again.
pub async fn show(visitor: Visitor) -> Answer {
    let form = if let Some(PendingReset { username, email, .. }) = visitor.reset().await? {
        ForgotForm { username, email }
    } else {
        let name = visitor.username().await?.or_else(|| visitor.login_name()).unwrap_or_default();
        let email = if name.contains('@') { name.clone() } else { String::new() };
        let username = if email.is_empty() { name } else { String::new() };
        ForgotForm { username, email }
    };
    let mut shown = page(&visitor, &form, Errors::default()).await?;
    shown.page.flashes.extend(visitor.take_ended());
    show_page(&shown)
}

/// POST `/forgot`.
pub async fn submit(visitor: Visitor, Fields(form): Fields<ForgotForm>) -> Answer {
    let answer = answer(&visitor, &form).await;
    keep_form(answer, "username", async |errors| page(&visitor, &form, errors).await).await
}

async fn answer(visitor: &Visitor, form: &ForgotForm) -> Answer {
    let claim = match Claim::parse(&form.username, &form.email) {
        Ok(claim) => claim,
        Err(errors) => return refuse(&page(visitor, form, errors).await?),
    };
    let old = visitor.reset().await?;
    let dead_before = visitor.app.store.clock.now() - visitor.app.config.code_ttl;
    let is_repeat = old.as_ref().is_some_and(|old| {
        old.sent_at > dead_before
            && (old.username.as_str(), old.email.as_str())
                == (claim.username.as_str(), claim.email.as_typed())
    });
    if is_repeat && visitor.has_unseen_code().await? {
        return redirect("/reset");
    }
    let asked = Asked::by(visitor, claim).await?;
    asked.limit(visitor).await?;
    if let Some(old) = old {
        match replace(&visitor.app, &old.id).await? {
            Replaced::Now { .. } => visitor.notify(Flash::CodeReplaced).await?,
            Replaced::Before => return redirect("/reset"),
            Replaced::Gone => {}
        }
    }
    send_code(visitor, asked, 0).await
}

/// Draws a code, posts it, and notes the reset in the session. The same is done, written and
/// answered when no account matches; then the letter is dead on arrival and no code is right.
pub(super) async fn send_code(visitor: &Visitor, asked: Asked, sent_before: i64) -> Answer {
    let Asked { claim, user, trust } = asked;
    let to = user.as_ref().map_or(claim.email.as_typed(), |user| &user.email);
    let (code, ttl) = (OneTimeCode::generate(), visitor.app.config.code_ttl);
    let in_subject = visitor.app.config.code_in_subject;
    let told = emails::Code { text: code.as_str(), ttl, in_subject };
    let letter = emails::reset_code(
        &context(&visitor.app, &visitor.requester, claim.username.as_str(), to),
        told,
    )?;
    let counts = trust.code_mail_counters(&visitor.app, &visitor.requester, user.as_ref(), to);
    let (store, now) = (&visitor.app.store, visitor.app.store.clock.now());
    let user_id = user.as_ref().map(|user| user.id.as_str());
    let mut tx = store.db.begin().await?;
    let id = insert_code(tx.on(), PURPOSE, user_id, (sent_before + 1, ttl), now).await?;
    let may_post = may_send(&visitor.app, &mut tx, &counts).await?;
    let letter = if may_post && user.is_some() { letter } else { letter.decoy() };
    store.outbox.enqueue(&mut tx, &letter).await?;
    tx.commit().await?;
    let digest = digest(&visitor.app, &id, &code);
    let event = if sent_before == 0 { Event::CodeAsked } else { Event::CodeResent };
    let account = user_id;
    event.write(Details { account, ..Details::default() });
    let (username, email) = (claim.username.to_string(), claim.email.to_string());
    let (codes_sent, sent_at) = (sent_before + 1, now);
    let budget = trust.code_key().to_owned();
    let pending = PendingReset { id, username, email, digest, codes_sent, sent_at, budget };
    visitor.begin_reset(&pending).await?;
    redirect("/reset")
}

/// A code asked for: by whom, for which account if one matches, and counted where.
pub(super) struct Asked {
    claim: Claim,
    user: Option<User>,
    trust: ClientTrust,
}

impl Asked {
    /// Looks for the account.
    pub(super) async fn by(visitor: &Visitor, claim: Claim) -> Result<Self, RequestError> {
        let (username, email) = (claim.username.as_str(), claim.email.key());
        let db = &visitor.app.store.db;
        let user = find_user_by_username_and_email(db.reader(), username, email).await?;
        let (app, requester) = (&visitor.app, &visitor.requester);
        let trust = ClientTrust::of(app, requester, user.as_ref(), claim.account()).await?;
        Ok(Self { claim, user, trust })
    }

    /// Counts the request against everyone it concerns, whether or not there is such an account.
    pub(super) async fn limit(&self, visitor: &Visitor) -> Result<(), RequestError> {
        let account = self.user.as_ref().map(|user| user.id.as_str());
        let counters = self.trust.code_counters(&visitor.app, &visitor.requester);
        Ok(rate_limits::count(&visitor.app, &counters, account).await??)
    }
}

impl Claim {
    /// Reads both, as typed.
    pub(super) fn parse(username: &str, email: &str) -> Result<Self, Errors> {
        let mut errors = Errors::default();
        let username = errors.take("username", Username::parse(username), UsernameError::Empty);
        let email = errors.take("email", EmailAddress::parse(email), EmailError::Empty);
        username.zip(email).map(|(username, email)| Self { username, email }).ok_or(errors)
    }

    /// What guesses and requests are counted by: name and address together, so that a stranger who
    /// knows only the name cannot use up the owner's.
    fn account(&self) -> String {
        format!("{} {}", self.username.as_str(), self.email.key())
    }
}

async fn page(
    visitor: &Visitor,
    form: &ForgotForm,
    errors: Errors,
) -> Result<ForgotPage, RequestError> {
    Ok(ForgotPage {
        page: visitor.page(TITLE).await?.with(&errors),
        has_code: visitor.has_code().await?,
        errors,
        username: form.username.trim().to_owned(),
        email: form.email.trim().to_owned(),
    })
}
