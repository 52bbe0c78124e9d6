//! Log in with a username or an email address and a password.

use super::approval::check_approved;
use super::client_trust::ClientTrust;
use super::field_errors::FieldErrors;
use super::history::HistoryEvent;
use super::login_name::find_user_by_login_name;
use super::password::Password;
use super::rate_limits::{Attempt, Counter, RateLimit};
use super::requester::Requester;
use super::verify_password::verify_password;
use super::{Error, history, notices, run_to_completion, trusted_devices};
use crate::app::App;
use crate::config::Notice;
use crate::db::Tx;
use crate::event::Event;
use crate::metrics::LoginEnd;
use crate::models::device::DeviceStatus;
use crate::models::user::User;
use crate::models::user_password::rehash_password;
use crate::password_hasher::PasswordMatch;

/// What was typed.
#[derive(Clone, Copy)]
pub struct Credentials<'a> {
    /// A username or an email address.
    pub login: &'a str,
    pub password: &'a str,
}

/// A login that succeeded.
pub struct LoginOutcome {
    pub user: User,
    /// The device tokens that the browser must keep.
    pub device_tokens: Vec<String>,
}

/// Logs in. The attempt is counted before it is compared. The work is the same whether the account exists,
/// and so is the message (ASVS 6.3.8).
pub async fn log_in(
    app: &App,
    requester: &Requester,
    credentials: Credentials<'_>,
) -> Result<LoginOutcome, Error> {
    credentials.check(app)?;
    let outcome = try_log_in(app, requester, credentials).await;
    match &outcome {
        Ok(_) => app.metrics.count_login(LoginEnd::Success),
        Err(error) if error.is_limit() => app.metrics.count_login(LoginEnd::Limited),
        Err(Error::Invalid(_)) => app.metrics.count_login(LoginEnd::Refused),
        Err(_) => {}
    }
    outcome
}

async fn try_log_in(
    app: &App,
    requester: &Requester,
    credentials: Credentials<'_>,
) -> Result<LoginOutcome, Error> {
    let (user, name) = find_user_by_login_name(&app.db, credentials.login).await?;
    let account = user.as_ref().map_or_else(|| format!("name {name}"), User::credentials);
    let trust = ClientTrust::of(app, requester, user.as_ref(), account.clone()).await?;
    let counters = trust.login_counters(app, requester);
    let login = Login { app: app.clone(), requester: requester.clone(), user, account };
    let password = Password::typed(credentials.password);
    match run_to_completion(login.count(counters, password)).await? {
        Counted::Last(outcome) => Ok(outcome),
        Counted::Attempt { login, attempt, password } => login.compare(attempt, password).await,
    }
}

impl Credentials<'_> {
    /// Whether both were typed.
    fn check(&self, app: &App) -> Result<(), Error> {
        let mut errors = FieldErrors::default();
        if self.login.trim().is_empty() {
            errors.add("username", app.config.usernames.enter_login());
        }
        if self.password.is_empty() {
            errors.add("password", "Enter your password.");
        }
        errors.into_result(Some(()))
    }
}

/// A login under way. It owns what a spawned task needs.
struct Login {
    app: App,
    requester: Requester,
    user: Option<User>,
    /// The key that untrusted attempts are counted by.
    account: String,
}

enum Counted {
    /// The attempt was the last one within a limit, and its password was correct.
    Last(LoginOutcome),
    Attempt {
        login: Login,
        attempt: Attempt,
        password: Password,
    },
}

impl Login {
    /// Counts the attempt, and compares it at once if it is the last one within a limit: a client that hangs
    /// up must not hide the failure that stops further logins. The other attempts end with the request, so
    /// that the hash queue drops the jobs of clients that have hung up.
    async fn count(self, counters: Vec<Counter>, password: Password) -> Result<Counted, Error> {
        let id = self.user.as_ref().map(|user| &*user.id);
        let attempt = Attempt::count(&self.app, counters, id).await?;
        if attempt.reached.is_some() {
            return self.compare(attempt, password).await.map(Counted::Last);
        }
        Ok(Counted::Attempt { login: self, attempt, password })
    }

    async fn compare(self, attempt: Attempt, password: Password) -> Result<LoginOutcome, Error> {
        let Self { app, requester, user, account } = self;
        let reached = attempt.reached;
        let matched = verify_password(&app, &requester, attempt, user.as_ref(), &password).await?;
        if let (PasswordMatch::Correct { needs_rehash }, Some(user)) = (matched, &user) {
            check_approved(user, "username")?;
            if needs_rehash {
                rehash(&app, &requester, user, &password).await;
            }
            // A client that hangs up must not hide the login from the account's owner.
            let login = complete_login(app.clone(), requester.clone(), user.clone());
            match run_to_completion(login).await {
                // The account was deleted in the meantime.
                Err(Error::Database(error)) if error.is_reference() => {}
                completed => return completed,
            }
        }
        let account_id = user.as_ref().map(|user| user.id.as_str());
        Event::LoginRefused { account: account_id }.write();
        if reached == Some(RateLimit::LoginInARow) {
            Event::LoginStopped { account: account_id }.write();
        }
        if let Some(limit) = reached {
            let owner = user.as_ref().filter(|user| user.is_enabled());
            notices::send_failed_logins(&app, &requester, (owner, &account), limit).await?;
        }
        let name = if app.config.usernames.are_used() { "username" } else { "email" };
        let message = format!("Incorrect {name} or password.");
        Err(Error::Invalid(FieldErrors::for_form("username", message)))
    }
}

/// Brings an old hash to today's parameters. The login succeeds whether or not this works.
async fn rehash(app: &App, requester: &Requester, user: &User, password: &Password) {
    let Ok(hash) = requester.hasher(app).hash(password.as_bytes()).await else { return };
    if let Err(error) = rehash_password(app.db.writer(), user, &hash).await {
        Event::log_fault("a_password_was_not_hashed_anew", &error);
    }
}

/// Records the login, even if the client hangs up.
async fn complete_login(app: App, requester: Requester, user: User) -> Result<LoginOutcome, Error> {
    let mut tx = app.db.begin().await?;
    let device_tokens = record_login(&app, &mut tx, &requester, &user).await?;
    tx.commit().await?;
    Event::Login { account: &user.id }.write();
    Ok(LoginOutcome { user, device_tokens })
}

/// Records the device within `tx` and notifies the owner. Returns the device tokens that the browser must
/// keep.
pub(super) async fn record_login(
    app: &App,
    tx: &mut Tx,
    requester: &Requester,
    user: &User,
) -> Result<Vec<String>, Error> {
    let (status, device_tokens) = trusted_devices::record_login(app, tx, requester, user).await?;
    history::record(app, tx, requester, user, HistoryEvent::LoggedIn).await?;
    // One email at most.
    let is_new = status == DeviceStatus::New && app.config.notices.sends(Notice::NewDevice);
    let notice = if is_new { Notice::NewDevice } else { Notice::Login };
    notices::send(app, tx, requester, user, notice).await?;
    Ok(device_tokens)
}
