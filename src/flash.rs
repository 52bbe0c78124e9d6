//! Flash messages: what happened, told once on the next page.

use serde::{Deserialize, Serialize};

use crate::times;

/// A message, as the session stores it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flash {
    /// The account was created.
    Registered,
    /// The username or email of a registration belongs to an account; the username that was typed.
    Taken(String),
    /// Logged out by the button.
    LoggedOut,
    /// A form came after its session had ended.
    SessionEnded,
    /// The password was changed on the account's page.
    PasswordChanged,
    /// Sessions of other browsers were ended.
    LoggedOutElsewhere,
    /// The password was set with a code.
    PasswordReset,
    /// A form came after its reset had ended.
    ResetEnded,
    /// The code before this one was replaced.
    CodeReplaced,
    /// Another code was requested.
    CodeSentAgain,
    /// Another code was requested too early; so many seconds are left.
    TooEarly(i64),
    /// Words, as earlier versions stored them.
    #[serde(untagged)]
    Text(String),
}

/// What a message looks like, and the word for those who do not see that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something was done.
    Done,
    /// Something to know.
    Info,
    /// Something did not work out.
    Warning,
}

impl Flash {
    /// Which of the three kinds it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Registered
            | Self::LoggedOut
            | Self::PasswordChanged
            | Self::PasswordReset
            | Self::CodeSentAgain => Kind::Done,
            Self::ResetEnded | Self::TooEarly(_) => Kind::Warning,
            _ => Kind::Info,
        }
    }

    /// The username to log in with.
    pub fn username(&self) -> Option<&str> {
        if let Self::Taken(username) = self { Some(username) } else { None }
    }

    /// Its words. Those with an address are a link.
    pub fn parts(&self) -> Vec<(String, Option<&'static str>)> {
        let text = |words: &str| (words.to_owned(), None);
        let link = |words: &str, href| (words.to_owned(), Some(href));
        match self {
            Self::Taken(_) => vec![
                text("That username or email is already registered. Log in, "),
                link("reset your password", "/forgot"),
                text(", or "),
                link("choose another", "/register"),
                text("."),
            ],
            _ => vec![(self.text(), None)],
        }
    }

    fn text(&self) -> String {
        let words = match self {
            Self::Registered => "Your account was created.",
            Self::Taken(_) => "That username or email is already registered.",
            Self::LoggedOut => "You've been logged out.",
            Self::SessionEnded => "You were logged out. Log in to continue.",
            Self::PasswordChanged => "Your password was changed.",
            Self::LoggedOutElsewhere => "You've been logged out everywhere else.",
            Self::PasswordReset => "Your password was changed. Log in with the new one.",
            Self::ResetEnded => "Your reset timed out. Request a new code.",
            Self::CodeReplaced => "Your last code no longer works.",
            Self::CodeSentAgain => "If your details match an account, we've sent a new code.",
            Self::TooEarly(seconds) => {
                return format!("Wait {} before requesting another code.", times::wait(*seconds));
            }
            Self::Text(words) => words,
        };
        words.to_owned()
    }
}

impl Kind {
    /// Its CSS class.
    pub fn class(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Info => "info",
            Self::Warning => "warning",
        }
    }

    /// For screen readers.
    pub fn word(self) -> &'static str {
        match self {
            Self::Done => "Done",
            Self::Info => "Information",
            Self::Warning => "Warning",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_stored_by_name_and_old_sentences_are_still_read() {
        let stored = r#"["logged_out",{"too_early":30},"You are logged out."]"#;
        let read: Vec<Flash> = serde_json::from_str(stored).unwrap();
        let old = Flash::Text("You are logged out.".to_owned());
        assert_eq!(read, [Flash::LoggedOut, Flash::TooEarly(30), old]);
        assert_eq!(serde_json::to_string(&read).unwrap(), stored);
    }
}
