//! Register: a new account for a username and an email address.

use super::email::{EmailAddress, EmailError};
use super::field_errors::FieldErrors;
use super::history::HistoryEvent;
use super::new_password::{REPEATED_WITHIN, choose_password};
use super::one_time_code::PendingCode;
use super::password::Password;
use super::rate_limits::{self, Counter, RateLimit};
use super::requester::Requester;
use super::reserved_names::insert_unreserved;
use super::username::{Username, UsernameError, name_and_key};
use super::verify_email::send_welcome;
use super::verify_password::is_repeated_password;
use super::{Error, history, hooks, trusted_devices};
use crate::app::App;
use crate::config::{RegistrationMode, UsernameMode};
use crate::event::Event;
use crate::models::hook_event::HookKind;
use crate::models::user::{AcceptedTerms, NewUser, User, find_user_registered_in};

/// What was typed.
#[derive(Clone, Copy)]
pub struct RegistrationForm<'a> {
    pub username: &'a str,
    pub email: &'a str,
    pub password: &'a str,
    pub password_confirm: &'a str,
    /// Whether the box with the terms is ticked.
    pub accepts_terms: bool,
}

/// How a registration ended.
pub enum Registration {
    Registered {
        user: User,
        /// The device tokens that the browser must keep.
        device_tokens: Vec<String>,
        /// The code that proves the address, if one was sent.
        pending: Option<Box<PendingCode>>,
        /// Whether the same form made the account a moment ago: a double click.
        is_repeat: bool,
    },
    /// This username, or the address, belongs to another account: with what was typed to log in with.
    Taken(String),
    /// Nobody can register.
    Closed,
}

struct NewAccount {
    username: Option<Username>,
    email: EmailAddress,
    password: Password,
    terms: Option<AcceptedTerms>,
}

/// Makes an account, trusts the browser and sends the notice, all or nothing.
pub async fn register(
    app: &App,
    requester: &Requester,
    form: RegistrationForm<'_>,
) -> Result<Registration, Error> {
    if app.config.registration.mode == RegistrationMode::Closed {
        Event::RegisterRefused { reason: "closed" }.write();
        return Ok(Registration::Closed);
    }
    let new = validate(app, requester, form).await?;
    let counters = Counter::of_networks(app, RateLimit::RegisterIp, requester.counted_networks());
    rate_limits::count(app, counters, None).await?;
    // Before the name is looked up: both outcomes take the same time.
    let password_hash = requester.hasher(app).hash(new.password.as_bytes()).await?;
    let mut tx = app.db.begin().await?;
    let (username, username_key) = &name_and_key(new.username.as_ref(), &new.email);
    let row = NewUser {
        username,
        username_key,
        email: new.email.as_typed(),
        email_key: new.email.key(),
        password_hash: &password_hash,
        password_set_in: Some(&browser_digest(app, requester)),
        email_verified_at: None,
        terms: new.terms.as_ref(),
    };
    let Some(user) = insert_unreserved(app, &mut tx, row).await? else {
        drop(tx);
        return taken(app, requester, new).await;
    };
    let (_, device_tokens) = trusted_devices::record_login(app, &mut tx, requester, &user).await?;
    history::record(app, &mut tx, requester, &user, HistoryEvent::Registered).await?;
    let pending = send_welcome(app, &mut tx, requester, &user).await?.map(Box::new);
    hooks::enqueue(app, &mut tx, HookKind::Registered, &user).await?;
    tx.commit().await?;
    Event::Registered { account: &user.id }.write();
    Ok(Registration::Registered { user, device_tokens, pending, is_repeat: false })
}

async fn validate(
    app: &App,
    requester: &Requester,
    form: RegistrationForm<'_>,
) -> Result<NewAccount, Error> {
    let counters = Counter::of_networks(app, RateLimit::NewPassword, requester.counted_networks());
    rate_limits::count(app, counters, None).await?;
    let mut errors = FieldErrors::default();
    let email = EmailAddress::parse_new(form.email, &app.config.registration.domains);
    let username = parse_username(app, form.username, email.as_ref().ok());
    let username = errors.record("username", username, UsernameError::Empty);
    let email = errors.record("email", email, EmailError::Empty);
    let names = [form.username, form.email];
    let hasher = requester.hasher(app);
    let password = choose_password(app, &hasher, form.password, names, &mut errors).await?;
    errors.confirm(form.password, form.password_confirm);
    let terms = accepted_terms(app, form.accepts_terms, &mut errors);
    let new = username.zip(email).zip(password);
    let ((username, email), password) = errors.into_result(new)?;
    Ok(NewAccount { username, email, password, terms })
}

/// The terms that the form accepts; `None` if there are none. `errors` gets a box that is not ticked.
fn accepted_terms(app: &App, is_ticked: bool, errors: &mut FieldErrors) -> Option<AcceptedTerms> {
    let terms_url = app.config.registration.terms_url.clone()?;
    if !is_ticked {
        errors.add("terms", "Accept the terms to create an account.");
    }
    Some(AcceptedTerms { terms_url, terms_accepted_at: app.clock.now() })
}

/// The username of a new account, if it has one.
fn parse_username(
    app: &App,
    typed: &str,
    email: Option<&EmailAddress>,
) -> Result<Option<Username>, UsernameError> {
    let usernames = app.config.usernames;
    if !usernames.are_used() {
        return Ok(None);
    }
    match Username::choose(typed, usernames, email) {
        Err(UsernameError::Empty) if usernames.mode == UsernameMode::Optional => Ok(None),
        username => username.map(Some),
    }
}

/// The account may come from the same form, sent twice. This browser may not have received the first
/// response, so it has neither the session nor the device token: it is recognised by its network and name.
async fn taken(app: &App, requester: &Requester, new: NewAccount) -> Result<Registration, Error> {
    let (browser, since) = (browser_digest(app, requester), app.clock.now() - REPEATED_WITHIN);
    let (username, _) = name_and_key(new.username.as_ref(), &new.email);
    let names = (username.as_str(), new.email.key());
    // The writer waits for a commit in progress.
    let user = find_user_registered_in(app.db.writer(), names, &browser, since).await?;
    if let Some(user) = user
        && is_repeated_password(app, requester, &user, &new.password).await?
    {
        let mut tx = app.db.begin().await?;
        let (_, device_tokens) =
            trusted_devices::record_login(app, &mut tx, requester, &user).await?;
        tx.commit().await?;
        return Ok(Registration::Registered {
            user,
            device_tokens,
            pending: None,
            is_repeat: true,
        });
    }
    Event::RegisterRefused { reason: "taken" }.write();
    let name = if username.is_empty() { new.email.as_typed().to_owned() } else { username };
    Ok(Registration::Taken(name))
}

fn browser_digest(app: &App, requester: &Requester) -> String {
    let network = requester.network().to_string();
    let user_agent = requester.user_agent.as_deref().unwrap_or_default();
    app.key.digest("registered in", &[&network, user_agent])
}
