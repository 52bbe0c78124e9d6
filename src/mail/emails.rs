//! Every email: its subject and its templates, rendered as plain text and as HTML.

use std::net::IpAddr;

use askama::Template;

use crate::config::{Accent, BaseUrl, Config, Notice};
use crate::models::one_time_code::Purpose;
use crate::models::outbox::{Email, GIVE_UP_AFTER};
use crate::random;
use crate::times;

/// What every email reports: the recipient, the site, and the time, device and address of the event. No
/// text has a line break: a visitor could write paragraphs of our emails.
pub struct EmailContext<'a> {
    pub site: &'a str,
    /// All links start with it.
    pub base_url: &'a BaseUrl,
    /// The name in the salutation; may be empty.
    pub username: &'a str,
    /// Whether a new password needs it.
    pub asks_username: bool,
    /// The stored address, never one that was just typed.
    pub to: &'a str,
    /// Unix time at which it happened.
    pub at: i64,
    /// The visitor's browser and system, as far as known: `Firefox on Linux`.
    pub device: Option<String>,
    /// The visitor's address, if known.
    pub address: Option<IpAddr>,
    /// Whether the site's operator did it, and no visitor.
    pub by_operator: bool,
    /// The colour of links and buttons.
    pub accent: &'a Accent,
    /// The path of the page where the recipient answers; empty if there is none.
    pub link: &'a str,
    /// What a notice names besides: the new address, the old username, or how long to wait.
    pub detail: &'a str,
}

impl<'a> EmailContext<'a> {
    /// What all emails to the address `to` say, without an event.
    pub fn new(config: &'a Config, to: &'a str, at: i64) -> Self {
        Self {
            site: &config.site_name,
            base_url: &config.base_url,
            username: "",
            asks_username: false,
            to,
            at,
            device: None,
            address: None,
            by_operator: false,
            accent: &config.accent,
            link: "",
            detail: "",
        }
    }
}

/// For the templates.
impl EmailContext<'_> {
    fn greeting(&self) -> String {
        let space = if self.username.is_empty() { "" } else { " " };
        format!("Hello{space}{},", self.username)
    }

    /// What the page for a forgotten password asks for.
    fn needed(&self) -> String {
        if self.asks_username && !self.username.is_empty() {
            format!("You'll need your username, {}, and this email.", self.username)
        } else {
            "You'll need this email.".to_owned()
        }
    }

    /// What its owner logs in with.
    fn login_names(&self) -> &'static str {
        if self.username.is_empty() { "this email" } else { "your username or this email" }
    }

    /// What the owner does about a notice that was expected.
    fn if_expected(&self) -> &'static str {
        if self.by_operator {
            "If you asked for this, there's nothing to do."
        } else {
            "If this was you, there's nothing to do."
        }
    }

    /// The heading above what to do about one that was not.
    fn if_not(&self) -> &'static str {
        if self.by_operator { "If you didn't ask for this" } else { "If this wasn't you" }
    }

    /// What one that was not expected means.
    fn suspicion(&self) -> &'static str {
        if self.by_operator {
            "Someone may have asked for it in your name."
        } else {
            "Someone else is using your account."
        }
    }

    /// The new address: whole in the email to itself, masked in the one to the old one.
    fn new_email(&self) -> &str {
        if self.detail.is_empty() { self.to } else { self.detail }
    }

    fn when(&self) -> String {
        times::day_and_time(self.at)
    }

    /// A login that hides its device or address is reported as such.
    fn device_or_unknown(&self) -> &str {
        self.device.as_deref().unwrap_or("unknown")
    }

    fn address_or_unknown(&self) -> String {
        self.address.map_or_else(|| "unknown".to_owned(), |ip| ip.to_string())
    }
}

/// Renders an email of the kind `$kind`. Its two templates see the context as `email`, and `$field`s.
macro_rules! render {
    ($kind:expr, $context:expr, $subject:expr, $text:literal, $html:literal, [$($field:ident),*]) => {{
        #[derive(Template)]
        #[template(path = $text)]
        struct Text<'a> {
            email: &'a EmailContext<'a>,
            $($field: &'a str,)*
        }
        #[derive(Template)]
        #[template(path = $html)]
        struct Html<'a> {
            email: &'a EmailContext<'a>,
            subject: &'a str,
            $($field: &'a str,)*
        }
        let (email, subject): (_, String) = ($context, $subject);
        let text = Text { email, $($field,)* }.render()?;
        let html = Html { email, subject: &subject, $($field,)* }.render()?;
        let (kind, to) = ($kind.to_owned(), email.to.to_owned());
        Ok(Email { kind, to, subject, text, html, expires_at: email.at + GIVE_UP_AFTER })
    }};
}

/// Declares the emails that report an event, and which of them are notices. `{}` in a subject is the
/// site's name.
macro_rules! emails {
    ($($(#[$doc:meta])* $name:ident $(= $notice:ident)?: $subject:literal, $text:literal, $html:literal;)*) => {
        $(
            $(#[$doc])*
            pub fn $name(context: &EmailContext<'_>) -> Result<Email, askama::Error> {
                let subject = format!($subject, context.site);
                render!(stringify!($name), context, subject, $text, $html, [])
            }
        )*

        /// The email that reports what `notice` is about.
        pub fn notice(notice: Notice, context: &EmailContext<'_>) -> Result<Email, askama::Error> {
            match notice {
                Notice::Registered => registered(context, None),
                $($(Notice::$notice => $name(context),)?)*
            }
        }

        #[cfg(test)]
        const EVENT_EMAILS: &[fn(&EmailContext<'_>) -> Result<Email, askama::Error>] = &[$($name),*];
    };
}

emails! {
    /// Somebody logged in.
    login = Login: "New login to {}", "mail/login.txt", "mail/login.html";
    /// Somebody logged in from a browser that was new to this account.
    new_device = NewDevice: "Login to {} from a new device", "mail/new_device.txt", "mail/new_device.html";
    /// The password was changed, by a code or on the account page.
    password_changed = PasswordChanged: "Your password at {} was changed",
        "mail/password_changed.txt", "mail/password_changed.html";
    /// The address was changed. Goes to the old one, which the link gives back, with the new one as `detail`; and to
    /// the new one, without.
    email_changed = EmailChanged: "Your email at {} was changed",
        "mail/email_changed.txt", "mail/email_changed.html";
    /// The old address was given back by its link. Goes to the one that it replaces.
    email_restored: "Your email at {} was changed back",
        "mail/email_restored.txt", "mail/email_restored.html";
    /// The username was changed.
    username_changed = UsernameChanged: "Your username at {} was changed",
        "mail/username_changed.txt", "mail/username_changed.html";
    /// So many logins failed that new browsers must wait for as long as `detail` says.
    login_limited = LoginLimited: "Failed logins to your {} account",
        "mail/login_limited.txt", "mail/login_limited.html";
    /// So many logins failed that new browsers cannot log in with the password alone.
    login_stopped = LoginStopped: "Someone is trying to log in to your {} account",
        "mail/login_stopped.txt", "mail/login_stopped.html";
    /// The owner has deleted the account.
    account_deleted = AccountDeleted: "Your account at {} was deleted",
        "mail/account_deleted.txt", "mail/account_deleted.html";
    /// Somebody asked for the username.
    username_reminder: "Your username at {}", "mail/username_reminder.txt", "mail/username_reminder.html";
    /// Accounts wait for the operator, to whom it goes.
    approval_asked: "New accounts are waiting at {}", "mail/approval_asked.txt", "mail/approval_asked.html";
    /// The operator has approved the account.
    approved: "Your account at {} is ready", "mail/approved.txt", "mail/approved.html";
    /// Somebody may register with the link. Uses neither `username`, `device` nor `address`.
    invitation: "Your invitation to {}", "mail/invitation.txt", "mail/invitation.html";
    /// Shows that mail arrives. Uses neither `username`, `device` nor `address`.
    test: "Test email from {}", "mail/test.txt", "mail/test.html";
}

/// A one-time code to be mailed.
#[derive(Clone, Copy)]
pub struct Code<'a> {
    pub purpose: Purpose,
    /// `XXXX-XXXX`
    pub shown: &'a str,
    /// How many seconds it is valid.
    pub ttl: i64,
    /// Whether the subject shows it.
    pub in_subject: bool,
}

/// What an email with a code says, by the code's purpose.
struct CodeWords {
    kind: &'static str,
    name: &'static str,
    /// Completes "Use this code to".
    purpose: String,
    /// The page that asks for it.
    path: &'static str,
}

impl CodeWords {
    fn of(purpose: Purpose, site: &str) -> Self {
        let (kind, name, purpose, path) = match purpose {
            Purpose::PasswordReset => (
                "reset_code",
                "password reset code",
                format!("reset your {site} password"),
                "/reset",
            ),
            Purpose::LogIn => {
                ("login_code", "login code", format!("log in to {site}"), "/login/code/confirm")
            }
            Purpose::ChangeEmail => (
                "email_code",
                "email confirmation code",
                format!("confirm this email for your {site} account"),
                "/account/email/confirm",
            ),
            Purpose::VerifyEmail => (
                "verify_code",
                "confirmation code",
                format!("confirm your email at {site}"),
                "/verify",
            ),
            Purpose::Register => (
                REGISTER_CODE,
                "sign-up code",
                format!("create your {site} account"),
                "/register/confirm",
            ),
        };
        Self { kind, name, purpose, path }
    }
}

/// The kind of both emails that answer a registration: neither a log nor a table shows which one it is.
const REGISTER_CODE: &str = "register_code";

/// The one-time code. The email expires with it.
pub fn code(context: &EmailContext<'_>, code: Code<'_>) -> Result<Email, askama::Error> {
    let CodeWords { kind, name, purpose, path } = CodeWords::of(code.purpose, context.site);
    let subject = if code.in_subject {
        format!("{} is your {name} for {}", code.shown, context.site)
    } else {
        format!("Your {name} for {}", context.site)
    };
    let (code, ttl, lifetime) = (code.shown, code.ttl, &*times::life(code.ttl));
    let purpose = &*purpose;
    let email = render!(
        kind,
        context,
        subject,
        "mail/code.txt",
        "mail/code.html",
        [code, lifetime, name, purpose, path]
    );
    email.map(|email| Email { expires_at: context.at + ttl, ..email })
}

/// An account was made with this address; the code, if there is one, proves it.
pub fn registered(
    context: &EmailContext<'_>,
    code: Option<Code<'_>>,
) -> Result<Email, askama::Error> {
    let subject = format!("Your new account at {}", context.site);
    let lifetime = &*code.map(|code| times::life(code.ttl)).unwrap_or_default();
    let code = code.map_or("", |code| code.shown);
    render!(
        "registered",
        context,
        subject,
        "mail/registered.txt",
        "mail/registered.html",
        [code, lifetime]
    )
}

/// Somebody has tried to register with an address that has an account. It goes out in place of a code, which
/// would expire after `ttl` seconds.
pub fn already_registered(context: &EmailContext<'_>, ttl: i64) -> Result<Email, askama::Error> {
    let subject = format!("You already have an account at {}", context.site);
    let email = render!(
        REGISTER_CODE,
        context,
        subject,
        "mail/already_registered.txt",
        "mail/already_registered.html",
        []
    );
    email.map(|email| Email { expires_at: context.at + ttl, ..email })
}

/// The one-time code in the text of an email of this kind, `XXXX-XXXX`.
pub fn code_in<'a>(kind: &str, text: &'a str) -> Option<&'a str> {
    let is_code = |line: &&str| {
        line.split_once('-').is_some_and(|(head, tail)| random::is_code(&format!("{head}{tail}")))
    };
    text.lines().find(is_code).filter(|_| kind.ends_with("_code") || kind == "registered")
}

#[cfg(test)]
mod tests;
