//! What happened to an account in the last 90 days, and which emails its owner got, in words.

use super::requester::Requester;
use crate::app::App;
use crate::db::{DbError, Tx};
use crate::models::history::{
    EMAIL, HistoryEntry, LOGIN, NewEntry, REGISTERED, insert_entry, list_entries,
};
use crate::models::user::User;

macro_rules! history_events {
    ($($(#[$doc:meta])* $event:ident $kind:tt $words:literal)*) => {
        /// Something that was done to an account by its owner, by somebody in the owner's name, or by the
        /// operator.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum HistoryEvent {$(
            $(#[$doc])*
            $event,
        )*}

        impl HistoryEvent {
            /// What the table calls it.
            fn kind(self) -> &'static str {
                match self { $(Self::$event => $kind),* }
            }
        }

        /// What the owner reads about an entry of this kind.
        fn words_of(kind: &str) -> Option<&'static str> {
            match kind {
                $($kind => Some($words),)*
                _ => None,
            }
        }
    };
}

history_events! {
    Registered REGISTERED "Account created"
    LoggedIn LOGIN "Logged in"
    EmailVerified "email_verified" "Email confirmed"
    PasswordChanged "password_changed" "Password changed"
    EmailChanged "email_changed" "Email changed"
    UsernameChanged "username_changed" "Username changed"
    EmailRestored "email_restored" "Email changed back by a link"
    NotMe "not_me" "Reported as not you, and password blocked"
    Unlocked "unlocked" "Browser allowed to log in by a link"
    PasswordReset "password_reset" "Password reset with an emailed code"
    /// With one that the operator got for the owner.
    PasswordResetByGivenCode "password_reset_by_given_code" "Password reset with a code from the site's operator"
    CodeGiven "code_given" "Password reset code made"
    /// One session or all others, on the page of sessions.
    SessionsEnded "sessions_ended" "Logged out elsewhere"
    DeviceForgotten "device_forgotten" "Trusted browser removed"
    Exported "exported" "Data downloaded"
    Disabled "disabled" "Account disabled"
    Enabled "enabled" "Account enabled"
}

/// The detail of an entry about something that the operator did.
const BY_OPERATOR: &str = "operator";

/// Records within `tx` that the requester did something to the account of `user`.
pub async fn record(
    app: &App,
    tx: &mut Tx,
    requester: &Requester,
    user: &User,
    event: HistoryEvent,
) -> Result<(), DbError> {
    let detail = requester.is_operator.then_some(BY_OPERATOR);
    let new =
        NewEntry { user_id: &user.id, kind: event.kind(), detail, client: requester.client() };
    insert_entry(tx, new, &app.clock).await
}

/// The newest `limit` entries of the history of `user`: those before the entry `before`, if there is one.
pub async fn history_of(
    app: &App,
    user: &User,
    before: Option<&str>,
    limit: i64,
) -> Result<Vec<HistoryEntry>, DbError> {
    list_entries(app.db.reader(), &user.id, before, limit, app.clock.now()).await
}

/// What the owner reads about an email of this kind, if the name of the kind does not say it.
fn email_words_of(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "registered" => "welcome",
        "login" => "new login",
        "new_device" => "login from a new device",
        "login_limited" => "too many failed logins",
        "login_stopped" => "login attempts blocked",
        "reset_code" => "password reset code",
        // Those with a code go to nobody's account.
        "register_code" => "sign-up with your email",
        "email_code" | "verify_code" => "email confirmation code",
        "email_restored" => "email changed back",
        _ => return None,
    })
}

/// What the owner reads about an entry; also about kinds that a later version wrote.
pub fn words(entry: &HistoryEntry) -> String {
    let or_name = |words: Option<&str>, name: &str| {
        words.map_or_else(|| name.replace('_', " "), str::to_owned)
    };
    match (entry.kind.as_str(), entry.detail.as_deref()) {
        (EMAIL, Some(kind)) => format!("Email sent: {}", or_name(email_words_of(kind), kind)),
        (kind, Some(BY_OPERATOR)) => {
            format!("{} by the site's operator", or_name(words_of(kind), kind))
        }
        (kind, _) => or_name(words_of(kind), kind),
    }
}
