//! Register: a new account for a username and an email address.

use super::change_username::username_taken;
use super::confirm_registration::{self, Confirmation};
use super::email::{EmailAddress, EmailError};
use super::field_errors::FieldErrors;
use super::invitation::{RegistrationRefusal, check_invitation, open_invitation, refusal};
use super::new_account::{CreatedAccount, Creation, Permit, create_account};
use super::new_password::choose_password;
use super::one_time_code::PendingCode;
use super::password::Password;
use super::rate_limits::{self, Counter, RateLimit};
use super::requester::Requester;
use super::send_code::CodeRequest;
use super::username::{Username, UsernameError, name_and_key};
use super::verify_password::is_repeated_password;
use super::{Error, REPEATED_WITHIN, trusted_devices};
use crate::app::App;
use crate::event::Event;
use crate::metrics::RegistrationEnd;
use crate::models::user::{AcceptedTerms, NewUser, find_user_registered_in};

/// What was typed.
#[derive(Clone, Copy)]
pub struct RegistrationForm<'a> {
    pub username: &'a str,
    pub email: &'a str,
    pub password: &'a str,
    pub password_confirm: &'a str,
    /// The token of an invitation; empty without one.
    pub invite: &'a str,
    /// Whether the box with the terms is ticked.
    pub accepts_terms: bool,
}

/// How a form to register ended.
pub enum RegisterOutcome {
    Registered(Box<CreatedAccount>),
    /// The same form made the account a moment ago: a double click.
    Repeated(Box<CreatedAccount>),
    /// This username, or the address, belongs to another account: with what was typed to log in with.
    Taken(String),
    /// The address must be proved first, if no account has it.
    CodeSent(CodeRequest),
    /// It was proved in this browser before.
    Confirmed(Confirmation),
    Refused(RegistrationRefusal),
}

struct NewAccount<'a> {
    username: Option<Username>,
    email: EmailAddress,
    password: Password,
    terms: Option<AcceptedTerms>,
    /// The token of the invitation that proves the address.
    invite: Option<&'a str>,
}

/// Makes an account and trusts the browser; or sends a code, if the address must be proved first. `pending` is
/// the code that was requested in this browser before.
pub async fn register(
    app: &App,
    requester: &Requester,
    form: RegistrationForm<'_>,
    pending: Option<&PendingCode>,
) -> Result<RegisterOutcome, Error> {
    let invited = check_invitation(app, requester, form.invite).await?;
    if let Some(refusal) = refusal(app, form.invite, invited.as_ref()) {
        return refuse(app, requester, form, refusal).await;
    }
    let checked = check(app, requester, form, invited).await;
    let (new, proves_first) = checked.inspect_err(|error| error.count_registration(app))?;
    // Before the name is looked up: both outcomes take the same time.
    let password_hash = requester.hasher(app).hash(new.password.as_bytes()).await?;
    let (username, username_key) = &name_and_key(new.username.as_ref(), &new.email);
    let row = NewUser {
        username,
        username_key,
        email: new.email.as_typed(),
        email_key: new.email.key(),
        password_hash: &password_hash,
        password_set_in: Some(&browser_digest(app, requester)),
        email_verified_at: new.invite.map(|_| app.clock.now()),
        terms: new.terms.as_ref(),
    };
    if proves_first {
        return prove_first(app, requester, row, pending).await;
    }
    let permit = new.invite.map_or(Permit::Open, Permit::Invitation);
    match create_account(app, requester, row, permit).await? {
        Creation::Created(account) => Ok(RegisterOutcome::Registered(account)),
        Creation::Taken | Creation::NotPermitted => taken(app, requester, new).await,
    }
}

/// Sends a code to the address, unless it was proved in this browser and only the username was taken.
async fn prove_first(
    app: &App,
    requester: &Requester,
    new: NewUser<'_>,
    pending: Option<&PendingCode>,
) -> Result<RegisterOutcome, Error> {
    let confirmed = confirm_registration::confirm_proved(app, requester, pending, new).await?;
    if let Some(confirmation) = confirmed {
        return Ok(RegisterOutcome::Confirmed(confirmation));
    }
    let requested = confirm_registration::request_code(app, requester, new, pending).await?;
    Ok(RegisterOutcome::CodeSent(requested))
}

/// Validates the form, and counts it. Returns also whether its address must be proved first.
async fn check<'a>(
    app: &App,
    requester: &Requester,
    form: RegistrationForm<'a>,
    invited: Option<EmailAddress>,
) -> Result<(NewAccount<'a>, bool), Error> {
    let new = validate(app, requester, form, invited).await?;
    let proves_first = app.config.registration.mode.proves_addresses() && new.invite.is_none();
    let mut counters =
        Counter::of_networks(app, RateLimit::RegisterIp, requester.counted_networks());
    if proves_first {
        counters.extend(confirm_registration::code_counters(app, requester));
    }
    rate_limits::count(app, counters, None).await?;
    Ok((new, proves_first))
}

async fn validate<'a>(
    app: &App,
    requester: &Requester,
    form: RegistrationForm<'a>,
    invited: Option<EmailAddress>,
) -> Result<NewAccount<'a>, Error> {
    let counters = Counter::of_networks(app, RateLimit::NewPassword, requester.counted_networks());
    rate_limits::count(app, counters, None).await?;
    let mut errors = FieldErrors::default();
    let invite = invited.as_ref().map(|_| form.invite);
    let parse_typed = || EmailAddress::parse_new(form.email, &app.config.registration.domains);
    let email = invited.map_or_else(parse_typed, Ok);
    let username =
        Username::choose_optional(form.username, app.config.usernames, email.as_ref().ok());
    let username = errors.record("username", username, UsernameError::Empty);
    let email = errors.record("email", email, EmailError::Empty);
    let names = [form.username, email.as_ref().map_or(form.email, EmailAddress::as_typed)];
    let hasher = requester.hasher(app);
    let password = choose_password(app, &hasher, form.password, names, &mut errors).await?;
    errors.confirm(form.password, form.password_confirm);
    let terms = accepted_terms(app, form.accepts_terms, &mut errors);
    let new = username.zip(email).zip(password);
    let ((username, email), password) = errors.into_result(new)?;
    Ok(NewAccount { username, email, password, terms, invite })
}

/// The terms that the form accepts; `None` if there are none. `errors` gets a box that is not ticked.
fn accepted_terms(app: &App, is_ticked: bool, errors: &mut FieldErrors) -> Option<AcceptedTerms> {
    let terms_url = app.config.registration.terms_url.clone()?;
    if !is_ticked {
        errors.add("terms", "Accept the terms to create an account.");
    }
    Some(AcceptedTerms { terms_url, terms_accepted_at: app.clock.now() })
}

/// Refuses a form, unless it is the repeat of one that used up its invitation.
async fn refuse(
    app: &App,
    requester: &Requester,
    form: RegistrationForm<'_>,
    refusal: RegistrationRefusal,
) -> Result<RegisterOutcome, Error> {
    if refusal == RegistrationRefusal::DeadInvitation
        && let Ok(email) = EmailAddress::parse(form.email)
        && let Ok(username) =
            Username::choose_optional(form.username, app.config.usernames, Some(&email))
        && let Ok(password) = Password::choose(form.password, app.config.password_min)
    {
        let new = NewAccount { username, email, password, terms: None, invite: Some(form.invite) };
        if let Some(repeated) = find_repeated(app, requester, &new).await? {
            return Ok(RegisterOutcome::Repeated(repeated));
        }
    }
    Event::RegisterRefused { reason: refusal.name() }.write();
    app.metrics.count_registration(RegistrationEnd::Refused);
    Ok(RegisterOutcome::Refused(refusal))
}

/// The account may come from the same form, sent twice. Who is invited has proved the address, and learns
/// that the username is taken.
async fn taken(
    app: &App,
    requester: &Requester,
    new: NewAccount<'_>,
) -> Result<RegisterOutcome, Error> {
    if let Some(repeated) = find_repeated(app, requester, &new).await? {
        return Ok(RegisterOutcome::Repeated(repeated));
    }
    Event::RegisterRefused { reason: "taken" }.write();
    app.metrics.count_registration(RegistrationEnd::Taken);
    let Some(token) = new.invite else {
        let (username, _) = name_and_key(new.username.as_ref(), &new.email);
        let name = if username.is_empty() { new.email.as_typed().to_owned() } else { username };
        return Ok(RegisterOutcome::Taken(name));
    };
    match open_invitation(app, token).await? {
        Some(_) => Err(username_taken()),
        None => Ok(RegisterOutcome::Refused(RegistrationRefusal::DeadInvitation)),
    }
}

/// The account that the same form made a moment ago. This browser may not have received the first response,
/// so it has neither the session nor the device token: it is recognised by its network and name.
async fn find_repeated(
    app: &App,
    requester: &Requester,
    new: &NewAccount<'_>,
) -> Result<Option<Box<CreatedAccount>>, Error> {
    let (browser, since) = (browser_digest(app, requester), app.clock.now() - REPEATED_WITHIN);
    let (username, _) = name_and_key(new.username.as_ref(), &new.email);
    let names = (username.as_str(), new.email.key());
    // The writer waits for a commit in progress.
    let user = find_user_registered_in(app.db.writer(), names, &browser, since).await?;
    let Some(user) = user else { return Ok(None) };
    if !is_repeated_password(app, requester, &user, &new.password).await? {
        return Ok(None);
    }
    let mut tx = app.db.begin().await?;
    let (_, device_tokens) = trusted_devices::record_login(app, &mut tx, requester, &user).await?;
    tx.commit().await?;
    Ok(Some(CreatedAccount { user, device_tokens, pending: None }.into()))
}

fn browser_digest(app: &App, requester: &Requester) -> String {
    let network = requester.network().to_string();
    let user_agent = requester.user_agent.as_deref().unwrap_or_default();
    app.key.digest("registered in", &[&network, user_agent])
}
