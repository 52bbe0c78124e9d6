//! Every email: its subject and its templates, rendered as plain text and as HTML.

use std::net::IpAddr;

use askama::Template;

use crate::config::Accent;
use crate::models::outbox::{Email, GIVE_UP_AFTER};
use crate::random;
use crate::times;

/// The kind of the email that holds a one-time code.
const RESET_CODE: &str = "reset_code";

/// In place of a device or an address: a login that hides them is reported as such.
const UNKNOWN: &str = "unknown";

/// What every email reports: to whom, about which site, and what happened when and from where. No text
/// has a line break: a visitor could write paragraphs of our emails.
pub struct EmailContext<'a> {
    pub site: &'a str,
    /// The base URL, `https://accounts.example.com`: all links start with it.
    pub origin: &'a str,
    /// The name in the salutation.
    pub username: &'a str,
    /// The stored address, never one that was just typed.
    pub to: &'a str,
    /// Unix time at which it happened.
    pub at: i64,
    /// The visitor's browser and system, as far as known: `Firefox on Linux`.
    pub device: Option<String>,
    /// The visitor's address, if known.
    pub address: Option<IpAddr>,
    /// The colour of links and buttons.
    pub accent: &'a Accent,
}

/// What the templates see as `email`.
struct View<'a> {
    site: &'a str,
    origin: &'a str,
    username: &'a str,
    when: String,
    device: &'a str,
    address: String,
    accent: &'a Accent,
    subject: String,
    code: &'a str,
    lifetime: String,
}

impl<'a> View<'a> {
    fn new(context: &'a EmailContext<'a>, subject: String) -> Self {
        Self {
            site: context.site,
            origin: context.origin,
            username: context.username,
            when: times::day_and_time(context.at),
            device: context.device.as_deref().unwrap_or(UNKNOWN),
            address: context.address.map_or_else(|| UNKNOWN.to_owned(), |ip| ip.to_string()),
            accent: context.accent,
            subject,
            code: "",
            lifetime: String::new(),
        }
    }
}

/// Renders an email of the kind `$kind` from a [`View`] and two templates.
macro_rules! render {
    ($kind:expr, $context:expr, $view:expr, $text:literal, $html:literal) => {{
        #[derive(Template)]
        #[template(path = $text)]
        struct Text<'a> {
            email: &'a View<'a>,
        }
        #[derive(Template)]
        #[template(path = $html)]
        struct Html<'a> {
            email: &'a View<'a>,
        }
        let view = $view;
        let (text, html) = (Text { email: &view }.render()?, Html { email: &view }.render()?);
        let (kind, to) = ($kind.to_owned(), $context.to.to_owned());
        let expires_at = $context.at + GIVE_UP_AFTER;
        Ok(Email { kind, to, subject: view.subject, text, html, expires_at })
    }};
}

/// Declares the emails that report an event. `{}` in a subject is the site's name.
macro_rules! emails {
    ($($(#[$doc:meta])* $name:ident $subject:literal, $text:literal, $html:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(context: &EmailContext<'_>) -> Result<Email, askama::Error> {
            let view = View::new(context, format!($subject, context.site));
            render!(stringify!($name), context, view, $text, $html)
        }
    )*};
}

emails! {
    /// An account was made with this address.
    registered "Your new account at {}", "mail/registered.txt", "mail/registered.html";
    /// Somebody logged in.
    login "New login to {}", "mail/login.txt", "mail/login.html";
    /// Somebody logged in from a browser that was new to this account.
    new_device "Login to {} from a new device", "mail/new_device.txt", "mail/new_device.html";
    /// The password was changed, by a code or on the account page.
    password_changed "Your password at {} was changed",
        "mail/password_changed.txt", "mail/password_changed.html";
    /// So many logins failed that new browsers cannot log in with the password alone.
    login_stopped "Someone is trying to log in to your {} account",
        "mail/login_stopped.txt", "mail/login_stopped.html";
    /// Shows that mail arrives. Uses neither `username`, `device` nor `address`.
    test "Test email from {}", "mail/test.txt", "mail/test.html";
}

/// A one-time code to be mailed.
#[derive(Clone, Copy)]
pub struct Code<'a> {
    /// `XXXX-XXXX`
    pub shown: &'a str,
    /// How many seconds it is valid.
    pub ttl: i64,
    /// Whether the subject shows it.
    pub in_subject: bool,
}

/// The one-time code. The email expires with it.
pub fn reset_code(context: &EmailContext<'_>, code: Code<'_>) -> Result<Email, askama::Error> {
    let subject = if code.in_subject {
        format!("{} is your password reset code for {}", code.shown, context.site)
    } else {
        format!("Your password reset code for {}", context.site)
    };
    let lifetime = times::life(code.ttl);
    let view = View { code: code.shown, lifetime, ..View::new(context, subject) };
    let email = render!(RESET_CODE, context, view, "mail/reset_code.txt", "mail/reset_code.html");
    email.map(|email| Email { expires_at: context.at + code.ttl, ..email })
}

/// The one-time code in the text of an email of this kind, `XXXX-XXXX`.
pub fn code_in<'a>(kind: &str, text: &'a str) -> Option<&'a str> {
    let is_code = |line: &&str| {
        line.split_once('-').is_some_and(|(head, tail)| random::is_code(&format!("{head}{tail}")))
    };
    text.lines().find(is_code).filter(|_| kind == RESET_CODE)
}

#[cfg(test)]
mod tests;
