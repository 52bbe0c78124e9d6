//! Flash messages: what happened, shown once on the next page.

use serde::{Deserialize, Serialize};

use crate::times;

/// A message, as the session stores it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flash {
    Registered,
    /// A registration was confirmed, and the operator has to approve it.
    AwaitsApproval,
    /// The username or email of a registration belongs to an account; the username that was typed.
    Taken(String),
    /// The same on a site without usernames; the address.
    EmailTaken(String),
    /// An invitation was opened by somebody who is logged in.
    InvitationWaits,
    /// A mail with the username was requested.
    UsernameSent,
    LoggedOut,
    /// A form came after its session had ended.
    SessionEnded,
    PasswordChanged,
    EmailChanged,
    UsernameChanged,
    /// Somebody else was reported: the password is blocked.
    PasswordBlocked,
    /// A code proved the address of an account whose password somebody else may have chosen.
    OldPasswordBlocked,
    EmailRestored,
    /// A browser may try again although logins are stopped.
    Unlocked,
    LoggedOutElsewhere,
    /// One session was ended by its user.
    LoggedOutThere,
    /// A session or a trusted device was gone when its user ended it.
    AlreadyGone,
    DeviceForgotten,
    AccountDeleted,
    PasswordReset,
    /// A form came after its reset had ended.
    ResetEnded,
    /// The same of another code.
    CodeEnded,
    /// The same of a registration, or it was confirmed before.
    RegistrationEnded,
    CodeReplaced,
    CodeSentAgain,
    /// As [`Flash::CodeSentAgain`], where nobody must find out who has an account.
    NewCodeSent,
    EmailVerified,
    /// Another code was requested too early; the seconds that are left.
    TooEarly(i64),
    /// A sentence, as earlier versions stored them.
    #[serde(untagged)]
    Text(String),
}

impl Flash {
    /// The username or email to log in with.
    pub fn username(&self) -> Option<&str> {
        match self {
            Self::Taken(name) | Self::EmailTaken(name) => Some(name),
            _ => None,
        }
    }

    /// The CSS class, and the word for screen readers.
    pub fn kind(&self) -> (&'static str, &'static str) {
        match self {
            Self::Registered
            | Self::AwaitsApproval
            | Self::LoggedOut
            | Self::PasswordChanged
            | Self::LoggedOutThere
            | Self::DeviceForgotten
            | Self::AccountDeleted
            | Self::PasswordReset
            | Self::EmailChanged
            | Self::UsernameChanged
            | Self::PasswordBlocked
            | Self::EmailRestored
            | Self::Unlocked
            | Self::CodeSentAgain
            | Self::NewCodeSent
            | Self::EmailVerified
            | Self::UsernameSent => ("done", "Done"),
            Self::ResetEnded | Self::CodeEnded | Self::TooEarly(_) => ("warning", "Warning"),
            _ => ("info", "Information"),
        }
    }

    /// What the visitor reads. The layout adds links to the message of [`Flash::Taken`].
    pub fn message(&self) -> String {
        let message = match self {
            Self::Registered => "Your account was created.",
            Self::AwaitsApproval => "Email confirmed. We'll email you when you're approved.",
            Self::Taken(_) => "That username or email is already registered.",
            Self::EmailTaken(_) => "That email is already registered.",
            Self::InvitationWaits => "You're logged in. To use the invitation, log out first.",
            Self::UsernameSent => "If that email has an account, we've emailed its username.",
            Self::LoggedOut => "You've been logged out.",
            Self::SessionEnded => "You were logged out. Log in to continue.",
            Self::PasswordChanged => "Your password was changed.",
            Self::EmailChanged => "Your email was changed.",
            Self::UsernameChanged => "Your username was changed.",
            Self::PasswordBlocked => {
                "Everyone was logged out, and the password no longer works. Set a new one now."
            }
            Self::OldPasswordBlocked => "Email confirmed. Log out and reset the old password.",
            Self::EmailRestored => "Your account has its earlier email again.",
            Self::Unlocked => "You can log in with your password in this browser now.",
            Self::LoggedOutElsewhere => "You've been logged out everywhere else.",
            Self::LoggedOutThere => "You've been logged out there.",
            Self::AlreadyGone => "That was removed already.",
            Self::AccountDeleted => "Your account was deleted.",
            Self::DeviceForgotten => "That browser is no longer trusted.",
            Self::PasswordReset => "Your password was changed. Log in with the new one.",
            Self::ResetEnded => "Your reset timed out. Request a new code.",
            Self::CodeEnded => "That took too long. Request a new code.",
            Self::RegistrationEnded => {
                "You've finished signing up, or it took too long. Log in, or start again."
            }
            Self::CodeReplaced => "Your last code no longer works.",
            Self::CodeSentAgain => "If your details match an account, we've sent a new code.",
            Self::NewCodeSent => "We've sent a new code.",
            Self::EmailVerified => "Your email is confirmed.",
            Self::TooEarly(seconds) => return too_early(*seconds),
            Self::Text(message) => message,
        };
        message.to_owned()
    }
}

fn too_early(seconds: i64) -> String {
    format!("Wait {} before requesting another code.", times::wait(seconds))
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
