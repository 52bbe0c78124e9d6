//! The words of every email: templates filled, once as text and once as HTML.

use std::net::IpAddr;

use askama::Template;

use crate::config::Accent;
use crate::models::outbox::{Email, GIVE_UP_AFTER};
use crate::random;
use crate::times;

/// RFC 5322, 2.1.1: lines of a mail should not be longer than 78 characters.
const LINE: usize = 76;

/// The kind of the email that holds a one-time code.
const RESET_CODE: &str = "reset_code";

/// Longest value that a visitor has a say in, so that an email cannot be made somebody else's.
const LONGEST_VALUE: usize = 120;

/// In the place of a device or an address. The line stays: that it is hidden is news, too.
const NOT_KNOWN: &str = "unknown";

/// What every email tells: whom, about which site, what happened when and from where.
#[derive(Clone, Debug)]
pub struct EmailContext<'a> {
    /// `VESTIBULE_SITE_NAME`.
    pub site: &'a str,
    /// The base URL without a slash at the end, `https://accounts.example.com`: links go nowhere else.
    pub origin: &'a str,
    /// Who is greeted.
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
    site: String,
    origin: String,
    username: String,
    when: String,
    device: String,
    address: String,
    subject: String,
    /// As it is read out: `XXXX-XXXX`.
    code: String,
    /// How long the code works, in words.
    lifetime: String,
    accent: &'a Accent,
}

/// Declares the two templates of an email and renders both.
macro_rules! email {
    ($render:ident, $text:literal, $html:literal) => {
        fn $render(view: &View<'_>) -> Result<(String, String), askama::Error> {
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
            Ok((Text { email: view }.render()?, Html { email: view }.render()?))
        }
    };
}

email!(render_registered, "mail/registered.txt", "mail/registered.html");
email!(render_login, "mail/login.txt", "mail/login.html");
email!(render_new_device, "mail/new_device.txt", "mail/new_device.html");
email!(render_reset_code, "mail/reset_code.txt", "mail/reset_code.html");
email!(render_password_changed, "mail/password_changed.txt", "mail/password_changed.html");
email!(render_login_stopped, "mail/login_stopped.txt", "mail/login_stopped.html");
email!(render_test, "mail/test.txt", "mail/test.html");

/// An account was made with this address.
///
/// # Errors
/// When a template fails: a bug.
pub fn registered(context: &EmailContext<'_>) -> Result<Email, askama::Error> {
    let view = View::new(context, &format!("Your new account at {}", context.site));
    finish("registered", context, &view, render_registered)
}

/// Somebody logged in.
///
/// # Errors
/// When a template fails: a bug.
pub fn login(context: &EmailContext<'_>) -> Result<Email, askama::Error> {
    let view = View::new(context, &format!("New login to {}", context.site));
    finish("login", context, &view, render_login)
}

/// Somebody logged in from a browser that this account had not been used from.
///
/// # Errors
/// When a template fails: a bug.
pub fn new_device(context: &EmailContext<'_>) -> Result<Email, askama::Error> {
    let view = View::new(context, &format!("Login to {} from a new device", context.site));
    finish("new_device", context, &view, render_new_device)
}

/// A one-time code on its way.
#[derive(Clone, Copy)]
pub struct Code<'a> {
    /// As [`crate::random::code`] made it.
    pub text: &'a str,
    /// Seconds until it is dead.
    pub ttl: i64,
    /// Whether the subject shows it: `VESTIBULE_MAIL_CODE_IN_SUBJECT`.
    pub in_subject: bool,
}

/// The one-time code. The email expires with it: a mail with a dead code helps nobody.
///
/// # Errors
/// When a template fails: a bug.
pub fn reset_code(context: &EmailContext<'_>, code: Code<'_>) -> Result<Email, askama::Error> {
    let (head, tail) = code.text.split_at_checked(code.text.len() / 2).unwrap_or((code.text, ""));
    let shown = format!("{head}-{tail}");
    let subject = if code.in_subject {
        format!("{shown} is your password reset code for {}", context.site)
    } else {
        format!("Your password reset code for {}", context.site)
    };
    let mut view = View::new(context, &subject);
    (view.code, view.lifetime) = (shown, times::life(code.ttl));
    let email = finish(RESET_CODE, context, &view, render_reset_code)?;
    Ok(Email { expires_at: context.at + code.ttl, ..email })
}

/// The one-time code as it stands in the text of an email of this kind, `XXXX-XXXX`.
pub fn code_in<'a>(kind: &str, text: &'a str) -> Option<&'a str> {
    let is_code = |line: &&str| {
        line.split_once('-').is_some_and(|(head, tail)| random::is_code(&format!("{head}{tail}")))
    };
    text.lines().find(is_code).filter(|_| kind == RESET_CODE)
}

/// The text of an email without the line breaks that only keep its lines short, for pages, which
/// break lines where theirs end.
pub fn unwrapped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        out.push_str(line);
        let goes_on = lines.peek().is_some_and(|next| was_broken(line, next));
        out.push(if goes_on { ' ' } else { '\n' });
    }
    out
}

/// Whether [`wrapped`] broke here: the next word would not have fitted. Addresses of pages have
/// lines of their own.
fn was_broken(line: &str, next: &str) -> bool {
    let word = next.split(' ').next().unwrap_or_default();
    let is_within = !line.is_empty() && !word.is_empty() && !word.contains("://");
    is_within && line.chars().count() + 1 + word.chars().count() > LINE
}

/// The password is another one now, by a code or on the account page.
///
/// # Errors
/// When a template fails: a bug.
pub fn password_changed(context: &EmailContext<'_>) -> Result<Email, askama::Error> {
    let view = View::new(context, &format!("Your password at {} was changed", context.site));
    finish("password_changed", context, &view, render_password_changed)
}

/// Strangers failed to log in so often that the password alone lets nobody in from a new browser.
///
/// # Errors
/// When a template fails: a bug.
pub fn login_stopped(context: &EmailContext<'_>) -> Result<Email, askama::Error> {
    let view = View::new(
        context,
        &format!("Someone is trying to log in to your {} account", context.site),
    );
    finish("login_stopped", context, &view, render_login_stopped)
}

/// Shows that mail arrives. Uses neither `username`, `device` nor `address`.
///
/// # Errors
/// When a template fails: a bug.
pub fn test(context: &EmailContext<'_>) -> Result<Email, askama::Error> {
    let view = View::new(context, &format!("Test email from {}", context.site));
    finish("test", context, &view, render_test)
}

impl<'a> View<'a> {
    fn new(context: &EmailContext<'a>, subject: &str) -> Self {
        Self {
            site: one_line(context.site),
            origin: context.origin.trim_end_matches('/').to_owned(),
            username: one_line(context.username),
            when: times::day_and_time(context.at),
            device: context.device.as_deref().map_or_else(|| NOT_KNOWN.to_owned(), one_line),
            address: context.address.map_or_else(|| NOT_KNOWN.to_owned(), |ip| ip.to_string()),
            subject: one_line(subject),
            code: String::new(),
            lifetime: String::new(),
            accent: context.accent,
        }
    }
}

fn finish(
    kind: &'static str,
    context: &EmailContext<'_>,
    view: &View<'_>,
    render: fn(&View<'_>) -> Result<(String, String), askama::Error>,
) -> Result<Email, askama::Error> {
    let (text, html) = render(view)?;
    Ok(Email {
        kind,
        to: context.to.to_owned(),
        subject: view.subject.clone(),
        text: wrapped(&text),
        html: wrapped(&html),
        expires_at: context.at + GIVE_UP_AFTER,
    })
}

/// A line break in a value would let a visitor write paragraphs of our emails.
fn one_line(value: &str) -> String {
    let words: Vec<_> = value.split(|c: char| c.is_whitespace() || c.is_control()).collect();
    let words: Vec<_> = words.into_iter().filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(LONGEST_VALUE).collect()
}

/// Breaks lines at blanks so that none is longer than [`LINE`] characters, unless it is one word.
fn wrapped(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    for line in text.trim_end().lines() {
        let mut length = 0;
        for word in line.split(' ') {
            let word_length = word.chars().count();
            if length > 0 && length + 1 + word_length > LINE {
                out.push('\n');
                length = 0;
            } else if length > 0 {
                out.push(' ');
                length += 1;
            }
            out.push_str(word);
            length += word_length;
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests;
