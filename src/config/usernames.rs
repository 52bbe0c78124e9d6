//! Usernames: whether accounts have them, what may be one, and whether a forgotten password asks for one.

use super::sources::RawSettings;
use super::values::one_of;

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

const MODES: [(&str, UsernameMode); 3] = [
    ("required", UsernameMode::Required),
    ("optional", UsernameMode::Optional),
    ("none", UsernameMode::None),
];

/// What a new username may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsernameRule {
    /// Lower-case ASCII letters and digits, with single dots, dashes or underscores between them.
    Ascii,
    /// Letters and digits of one script, and `@.+-_`.
    Unicode,
}

const RULES: [(&str, UsernameRule); 2] =
    [("ascii", UsernameRule::Ascii), ("unicode", UsernameRule::Unicode)];

/// Whether a new password needs the username, too.
const FORGOT: [(&str, bool); 2] = [("username_and_email", true), ("email", false)];

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
        let mode = raw.value("USERNAME", one_of(MODES));
        let rule = raw.value("USERNAME_RULE", one_of(RULES));
        let asked = raw.value("FORGOT", one_of(FORGOT));
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
