//! Reset: the mailed code and a new password.

use askama::Template;
use serde::Deserialize;

use super::forgot::{Asked, Claim, send_code};
use super::repeat::password_just_set;
use super::{Answer, keep_form, redirect, refuse, show as show_page};
use crate::accounts::new_password::choose_password;
use crate::accounts::notices::{password_changed, send_password_changed};
use crate::accounts::one_time_code::{CodeError, OneTimeCode};
use crate::accounts::password::{Password, PasswordError};
use crate::accounts::password_reset::{
    PURPOSE, PendingReset, Rejection, Replaced, compare, count, replace,
};
use crate::accounts::rate_limits::{Attempt, RateLimit, counters_by_key, counters_by_network};
use crate::accounts::trusted_devices::trust;
use crate::error::RequestError;
use crate::event::{Details, Event};
use crate::flash::Flash;
use crate::forms::{Errors, Fields};
use crate::models::one_time_code::{self, find_code, refund_attempt, use_code};
use crate::models::session;
use crate::models::user::{User, find_user, set_password};
use crate::page::Page;
use crate::password_hasher::PasswordMatch;
use crate::times;
use crate::visitor::{Ended, Visitor};

const TITLE: &str = "Set a new password";
const GONE: &str = "This code was used or replaced. Check the latest email or request a new one.";
const EXPIRED: &str = "This code has expired. Request a new one.";
const LAST_TRY: &str = "Incorrect code, no attempts left. Request a new one.";
const TOO_MANY: &str = "This code has no attempts left. Request a new one.";

#[derive(Template)]
#[template(path = "reset.html")]
struct ResetPage {
    page: Page,
    errors: Errors,
    code: String,
    username: String,
    email: String,
    lifetime: String,
    password_min: usize,
    /// Until another code can be sent; `None`: it can be now.
    wait: Option<Wait>,
    /// Why no code can be right any more.
    dead: Option<String>,
}

/// A time to wait, for the script that counts it down and in words.
struct Wait {
    seconds: i64,
    words: String,
}

/// The fields as they arrive.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct ResetForm {
    code: String,
    password: String,
    password_confirm: String,
}

/// GET `/reset`.
pub async fn show(visitor: Visitor) -> Answer {
    match visitor.reset().await? {
        Some(pending) => show_page(&page(&visitor, &pending, "", Errors::default()).await?),
        None => redirect("/forgot"),
    }
}

/// POST `/reset`. The code is not looked at, and no try is spent, until the new password can stand.
pub async fn submit(visitor: Visitor, Fields(form): Fields<ResetForm>) -> Answer {
    let Some(pending) = visitor.reset().await? else {
        return if form.is_repeat(&visitor).await? {
            changed(&visitor).await
        } else {
            ended(&visitor)
        };
    };
    let answer = answer(&visitor, &pending, &form).await;
    keep_form(answer, "code", async |errors| {
        page(&visitor, &pending, form.code.trim(), errors).await
    })
    .await
}

async fn answer(visitor: &Visitor, pending: &PendingReset, form: &ResetForm) -> Answer {
    let errors = match form.validate(visitor, pending).await? {
        Err(errors) => errors,
        Ok((code, password)) => match guess(visitor, pending, &code).await? {
            Ok(user) => match change(visitor, pending, &user, &password).await? {
                Change::Done => return changed(visitor).await,
                Change::SamePassword => Errors::one("password", PasswordError::Current.to_string()),
                Change::CodeGone => Errors::one("code", GONE),
            },
            Err(why) => Errors::one("code", why),
        },
    };
    // A repeat fails for its code, which was used.
    if errors.of("password").is_none() && form.is_repeat(visitor).await? {
        return changed(visitor).await;
    }
    refuse(&page(visitor, pending, form.code.trim(), errors).await?)
}

/// The user whose code this is, or the words why it is not.
async fn guess(
    visitor: &Visitor,
    pending: &PendingReset,
    code: &OneTimeCode,
) -> Result<Result<User, String>, RequestError> {
    let attempt = count(&visitor.app, &pending.id).await?;
    let account = attempt.as_ref().ok().and_then(|attempt| attempt.user_id.as_deref());
    let rejection = match &attempt {
        Err(rejection) => *rejection,
        Ok(attempt) => {
            let mut counted = count_guess(visitor, pending, account).await?;
            match compare(&visitor.app, pending, code, attempt) {
                Err(rejection) => rejection,
                Ok(id) => match find_user(visitor.app.store.db.reader(), id).await? {
                    Some(user) => {
                        counted.refund(&visitor.app, false).await;
                        return Ok(Ok(user));
                    }
                    None => Rejection::Gone,
                },
            }
        }
    };
    let reason = Some(rejection.name());
    Event::CodeRefused.write(Details { account, reason, ..Details::default() });
    Ok(Err(words(rejection)))
}

/// Counts a guess against the account, over all its codes.
async fn count_guess(
    visitor: &Visitor,
    pending: &PendingReset,
    account: Option<&str>,
) -> Result<Attempt, RequestError> {
    let counters = counters_by_key(&visitor.app, RateLimit::ResetAccount, &pending.budget);
    let counted = Attempt::count(&visitor.app, counters, account).await;
    if !matches!(counted, Ok(Ok(_))) {
        return_guess(visitor, pending).await;
    }
    Ok(counted??)
}

/// For a guess that was not compared, or was right and led nowhere. Answers whether the code is there.
async fn return_guess(visitor: &Visitor, pending: &PendingReset) -> bool {
    refund_attempt(visitor.app.store.db.writer(), &pending.id).await.unwrap_or_else(|error| {
        Event::Fault.because("a_guess_was_not_given_back", &error);
        true
    })
}

fn words(rejection: Rejection) -> String {
    match rejection {
        Rejection::Wrong { left: 0 } => LAST_TRY.to_owned(),
        Rejection::Wrong { left } => wrong_words(left),
        Rejection::Expired => EXPIRED.to_owned(),
        Rejection::TooMany => TOO_MANY.to_owned(),
        Rejection::Gone => GONE.to_owned(),
    }
}

fn wrong_words(left: i64) -> String {
    let attempts = if left == 1 { "1 attempt" } else { &format!("{left} attempts") };
    format!("Incorrect code. Check the latest email. {attempts} left.")
}

/// What became of the password once the code was right.
enum Change {
    Done,
    /// The new password is the current one: the code can be used again.
    SamePassword,
    /// The code died in the meantime.
    CodeGone,
}

/// Sets the password and uses the code up.
async fn change(
    visitor: &Visitor,
    pending: &PendingReset,
    user: &User,
    password: &Password,
) -> Result<Change, RequestError> {
    let hash = match hash_other(visitor, user, password).await {
        Ok(Some(hash)) => hash,
        // The code was right: neither a full queue nor the same password must use it up.
        unused => {
            let is_alive = return_guess(visitor, pending).await;
            let why = if is_alive { Change::SamePassword } else { Change::CodeGone };
            return unused.map(|_| why);
        }
    };
    let letter = password_changed(&visitor.app, &visitor.requester, user)?;
    let set_in = visitor.session_digest();
    let (store, now) = (&visitor.app.store, visitor.app.store.clock.now());
    let mut tx = store.db.begin().await?;
    // Users, then sessions, then codes, wherever all change: parallel requests must not deadlock.
    let set = set_password(tx.on(), user, hash, set_in.as_deref(), now).await?;
    let Some(changed) = set else { return Ok(Change::CodeGone) };
    let sessions = session::revoke_all_for_user(tx.on(), &user.id).await?;
    if !use_code(tx.on(), PURPOSE, &pending.id, &user.id, now).await? {
        return Ok(Change::CodeGone);
    }
    one_time_code::revoke_all_for_user(tx.on(), &user.id).await?;
    if let Some(letter) = &letter {
        send_password_changed(&visitor.app, &mut tx, &visitor.requester, letter).await?;
    }
    tx.commit().await?;
    note_change(visitor, &changed, sessions).await;
    Ok(Change::Done)
}

async fn note_change(visitor: &Visitor, user: &User, sessions: u64) {
    if let Some(tokens) = trust(&visitor.app, &visitor.requester, user).await {
        visitor.keep_device_tokens(&tokens);
    }
    Event::PasswordReset.of(&user.id);
    Event::sessions_ended(&user.id, "reset", sessions);
}

/// The hash of a password that `user` does not have yet. Only the owner of a right code learns whether
/// a password is the current one, and only by a guess that sets it if it is not.
async fn hash_other(
    visitor: &Visitor,
    user: &User,
    password: &Password,
) -> Result<Option<String>, RequestError> {
    let hasher = visitor.requester.hasher(&visitor.app);
    if hasher.verify(password.as_bytes(), Some(&user.password_hash)).await?
        != PasswordMatch::Incorrect
    {
        return Ok(None);
    }
    Ok(Some(hasher.hash(password.as_bytes()).await?))
}

/// Never logs in: a mailed code recovers an account, it does not prove who sits here
/// (NIST SP 800-63B-4 3.1.3.1).
async fn changed(visitor: &Visitor) -> Answer {
    visitor.end().await?;
    visitor.note_password_set().await?;
    visitor.notify(Flash::PasswordReset).await?;
    redirect("/login")
}

/// POST `/reset/resend`.
pub async fn resend(visitor: Visitor) -> Answer {
    let Some(pending) = visitor.reset().await? else {
        return ended(&visitor);
    };
    // What was valid when it was put there stays valid; anything else starts again.
    let Ok(claim) = Claim::parse(&pending.username, &pending.email) else {
        return ended(&visitor);
    };
    // The same press of the button twice.
    if pending.codes_sent > 1 && visitor.has_unseen_code().await? {
        return redirect("/reset");
    }
    let answer = send_another(&visitor, &pending, claim).await;
    keep_form(answer, "code", async |errors| page(&visitor, &pending, "", errors).await).await
}

async fn send_another(visitor: &Visitor, pending: &PendingReset, claim: Claim) -> Answer {
    let (store, now) = (&visitor.app.store, visitor.app.store.clock.now());
    let code = find_code(store.db.reader(), PURPOSE, &pending.id).await?;
    if let Some(seconds @ 1..) = code.map(|code| code.wait(now)) {
        visitor.notify(Flash::TooEarly(seconds)).await?;
        return redirect("/reset");
    }
    let asked = Asked::by(visitor, claim).await?;
    asked.limit(visitor).await?;
    let sent_before = match replace(&visitor.app, &pending.id).await? {
        Replaced::Now { codes_sent } => codes_sent,
        Replaced::Before => return redirect("/reset"),
        Replaced::Gone => 0,
    };
    visitor.notify(Flash::CodeSentAgain).await?;
    send_code(visitor, asked, sent_before).await
}

/// A form of a page whose session has ended since (ux E8).
fn ended(visitor: &Visitor) -> Answer {
    visitor.note_ended(Ended::Reset);
    redirect("/forgot")
}

impl ResetForm {
    /// Whether the same form has done its work already. Nothing is compared with the code: it was used.
    async fn is_repeat(&self, visitor: &Visitor) -> Result<bool, RequestError> {
        let is_complete = !self.password.is_empty() && self.password == self.password_confirm;
        Ok(is_complete && password_just_set(visitor, &self.password).await?.is_some())
    }

    async fn validate(
        &self,
        visitor: &Visitor,
        pending: &PendingReset,
    ) -> Result<Result<(OneTimeCode, Password), Errors>, RequestError> {
        let mut errors = Errors::default();
        let code = errors.take("code", OneTimeCode::parse(&self.code), CodeError::Empty);
        let (app, requester) = (&visitor.app, &visitor.requester);
        let counts = counters_by_network(app, RateLimit::NewPassword, requester);
        let name_and_email = (pending.username.as_str(), pending.email.as_str());
        let hasher = requester.hasher(app);
        let chosen = choose_password(app, &hasher, &self.password, name_and_email, &counts);
        let password = errors.take("password", chosen.await??, PasswordError::Empty);
        errors.confirm(&self.password, &self.password_confirm);
        Ok(code.zip(password).filter(|_| errors.is_empty()).ok_or(errors))
    }
}

async fn page(
    visitor: &Visitor,
    pending: &PendingReset,
    code: &str,
    errors: Errors,
) -> Result<ResetPage, RequestError> {
    visitor.see_code().await?;
    let dead = visitor.why_dead(pending).await?.map(words);
    let wait = pending.wait(visitor.app.store.clock.now());
    Ok(ResetPage {
        page: visitor.page(TITLE).await?.with(&errors),
        errors,
        code: code.to_owned(),
        username: pending.username.clone(),
        email: pending.email.clone(),
        lifetime: times::life(visitor.app.config.code_ttl),
        password_min: visitor.app.config.password_min,
        dead,
        wait: (wait > 0).then(|| Wait { seconds: wait, words: times::wait(wait) }),
    })
}
