//! Usernames: whether accounts have them, what may be one, and whether a forgotten password asks for one.

use super::sources::RawSettings;

/// Whether new accounts have a username.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsernameMode {
    /// All have one.
    Required,
    /// People choose whether they want one.
    Optional,
    /// None has one: the address is the name.
    None,
}

/// What a new username may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsernameRule {
    /// Lower-case ASCII letters and digits, with single dots, dashes or underscores between them.
    Ascii,
    /// Letters and digits of one script, and `@.+-_`.
    Unicode,
}

/// The settings of usernames. Accounts that exist keep theirs, whatever is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usernames {
    /// Whether new accounts have one.
    pub mode: UsernameMode,
    /// What a new one may be.
    pub rule: UsernameRule,
    /// Whether a new password needs the username too, besides the address.
    pub asked_when_forgotten: bool,
}

impl Usernames {
    pub(super) fn read(raw: &mut RawSettings) -> Self {
        let mode = raw.value("USERNAME", mode);
        let rule = raw.value("USERNAME_RULE", rule);
        let asked = raw.value("FORGOT", asked_when_forgotten);
        if mode == UsernameMode::None && asked && raw.is_set("FORGOT") {
            raw.add_error("FORGOT", "expected email, because VESTIBULE_USERNAME is none");
        }
        Self { mode, rule, asked_when_forgotten: asked && mode != UsernameMode::None }
    }

    /// Asks for what people log in with.
    pub(crate) fn enter_login(self) -> &'static str {
        if self.are_used() { "Enter your username or email." } else { "Enter your email." }
    }

    /// Whether forms have a field for one.
    pub(crate) fn are_used(self) -> bool {
        self.mode != UsernameMode::None
    }
}

fn mode(text: &str) -> Result<UsernameMode, &'static str> {
    match text {
        "required" => Ok(UsernameMode::Required),
        "optional" => Ok(UsernameMode::Optional),
        "none" => Ok(UsernameMode::None),
        _ => Err("expected required, optional or none"),
    }
}

fn rule(text: &str) -> Result<UsernameRule, &'static str> {
    match text {
        "ascii" => Ok(UsernameRule::Ascii),
        "unicode" => Ok(UsernameRule::Unicode),
        _ => Err("expected ascii or unicode"),
    }
}

fn asked_when_forgotten(text: &str) -> Result<bool, &'static str> {
    match text {
        "username_and_email" => Ok(true),
        "email" => Ok(false),
        _ => Err("expected username_and_email or email"),
    }
}
