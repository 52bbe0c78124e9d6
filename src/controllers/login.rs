//! Log in: a username or an email address, and a password.

mod tries;

use askama::Template;
use serde::Deserialize;

use super::{Answer, Next, keep_form, redirect, refuse, show as show_page};
use crate::accounts::login_name::LoginName;
use crate::accounts::password::Password;
use crate::config::Notice;
use crate::error::RequestError;
use crate::event::{self, Event};
use crate::flash::Flash;
use crate::forms::{Errors, Fields};
use crate::mail::emails::{self, EmailContext};
use crate::models::device::DeviceStatus;
use crate::models::limit::Share;
use crate::models::outbox::Email;
use crate::models::user::{User, rehash_password};
use crate::next_path::NextPath;
use crate::page::Page;
use crate::password_hasher::PasswordMatch;
use crate::visitor::Visitor;
use tries::Tries;

const TITLE: &str = "Log in";

/// The same words whatever was wrong (ASVS 6.3.8).
const REFUSED: &str = "Incorrect username or password.";

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    page: Page,
    errors: Errors,
    username: String,
    remember: bool,
    next: String,
    next_query: String,
    /// Whether a code can be entered already.
    has_code: bool,
}

/// The fields as they arrive.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct LoginForm {
    username: String,
    password: String,
    remember: String,
    next: String,
}

/// GET `/login`.
pub async fn show(visitor: Visitor, Next(next): Next) -> Answer {
    if visitor.is_logged_in().await? {
        return redirect(next.or("/account"));
    }
    let form = LoginForm { next: next.as_str().to_owned(), ..LoginForm::default() };
    let mut shown = page(&visitor, &form, Errors::default()).await?;
    if let Some(username) = shown.page.flashes.iter().find_map(Flash::username) {
        shown.username = username.to_owned();
    }
    shown.page.flashes.extend(visitor.take_ended());
    show_page(&shown)
}

/// POST `/login`.
pub async fn submit(visitor: Visitor, Fields(form): Fields<LoginForm>) -> Answer {
    let answer = answer(&visitor, &form).await;
    let page = async |errors| page(&visitor, &form, errors).await;
    let answer = keep_form(answer, "username", page).await?;
    if answer.status().is_redirection() {
        visitor.forget_login_name();
    } else {
        visitor.keep_login_name(&form.username);
    }
    Ok(answer)
}

async fn answer(visitor: &Visitor, form: &LoginForm) -> Answer {
    let mut errors = form.missing();
    if errors.is_empty() {
        if let Some(user) = authenticate(visitor, form).await? {
            return welcome(visitor, &user, form).await;
        }
        errors.add_for_form("username", REFUSED);
    }
    refuse(&page(visitor, form, errors).await?)
}

/// The user, if the password is right. Each try is counted before it is compared.
async fn authenticate(visitor: &Visitor, form: &LoginForm) -> Result<Option<User>, RequestError> {
    let user = LoginName::parse(&form.username).find_user(&visitor.app.store).await?;
    let tries = Tries::count(visitor, user.as_ref(), &form.username).await?;
    let is_last = tries.is_last();
    let compared = compare(visitor.clone(), user, tries, Password::typed(&form.password));
    if is_last {
        return in_its_own_task(compared).await;
    }
    compared.await
}

async fn compare(
    visitor: Visitor,
    user: Option<User>,
    mut tries: Tries,
    password: Password,
) -> Result<Option<User>, RequestError> {
    let stored = user.as_ref().map(|user| user.password_hash.as_str());
    let verdict = visitor.hasher().verify(password.as_bytes(), stored).await;
    tries.settle(&visitor, &verdict).await;
    let needs_rehash = match verdict? {
        PasswordMatch::Correct { needs_rehash } => needs_rehash,
        PasswordMatch::Incorrect => {
            tries.note_failure(&visitor, user.as_ref()).await?;
            return Ok(None);
        }
    };
    if let Some(user) = user.as_ref().filter(|_| needs_rehash) {
        rehash(&visitor, user, &password).await;
    }
    Ok(user)
}

/// Brings an old hash to today's parameters. The login is right whether or not this works.
async fn rehash(visitor: &Visitor, user: &User, password: &Password) {
    let Ok(hash) = visitor.hasher().hash(password.as_bytes()).await else {
        return;
    };
    if let Err(error) = rehash_password(visitor.app.store.db.writer(), user, &hash).await {
        Event::Fault.because("a_password_was_not_hashed_anew", &error);
    }
}

async fn welcome(visitor: &Visitor, user: &User, form: &LoginForm) -> Answer {
    tell(visitor.clone(), user.clone()).await?;
    visitor.log_in(user, form.remembers()).await?;
    Event::Login.of(&user.id);
    redirect(NextPath::parse(&form.next).or("/account"))
}

/// Who hangs up in between must not have the browser noted and the mail not sent.
async fn tell(visitor: Visitor, user: User) -> Result<(), RequestError> {
    in_its_own_task(async move {
        let mut tx = visitor.app.store.db.begin().await?;
        let status = visitor.note_device(&mut tx, &user).await?;
        // Asked first: to render a letter takes longer than all else that a login does beside its hash.
        if let Some(render) = letter(&visitor, status)
            && let counts = visitor.mail_counts(Share::Notices, &user.email)
            && visitor.app.store.may_post(&mut tx, &counts).await?
        {
            let letter = render(&visitor.about(&user.username, &user.email))?;
            visitor.app.store.post(&mut tx, Some(&letter)).await?;
            tx.commit().await?;
            return Ok(());
        }
        Ok(tx.commit().await?)
    })
    .await
}

/// Work that a client who hangs up does not end.
async fn in_its_own_task<T: Send + 'static>(
    work: impl Future<Output = Result<T, RequestError>> + Send + 'static,
) -> Result<T, RequestError> {
    let done = tokio::spawn(event::inherited(work)).await;
    done.unwrap_or_else(|error| Err(RequestError::Internal(error.to_string())))
}

/// What makes a letter.
type Render = fn(&EmailContext) -> Result<Email, RequestError>;

/// One mail at most: of a browser that is new to the account, else of every login.
fn letter(visitor: &Visitor, status: DeviceStatus) -> Option<Render> {
    let notices = &visitor.app.config.notices;
    if status == DeviceStatus::New && notices.sends(Notice::NewDevice) {
        return Some(|about| Ok(emails::new_device(about)?));
    }
    notices.sends(Notice::Login).then_some(|about| Ok(emails::login(about)?))
}

impl LoginForm {
    /// A box that is ticked sends `on`, or nothing; scripts may say no in words.
    fn remembers(&self) -> bool {
        !matches!(self.remember.as_str(), "" | "0" | "off" | "no" | "false")
    }

    fn missing(&self) -> Errors {
        let mut errors = Errors::default();
        if self.username.trim().is_empty() {
            errors.add("username", "Enter your username or email.");
        }
        if self.password.is_empty() {
            errors.add("password", "Enter your password.");
        }
        errors
    }
}

async fn page(
    visitor: &Visitor,
    form: &LoginForm,
    errors: Errors,
) -> Result<LoginPage, RequestError> {
    let next = NextPath::parse(&form.next);
    Ok(LoginPage {
        page: visitor.page(TITLE).await?.with(&errors),
        has_code: visitor.has_code().await?,
        errors,
        username: form.username.trim().to_owned(),
        remember: form.remembers(),
        next: next.as_str().to_owned(),
        next_query: next.query(),
    })
}
