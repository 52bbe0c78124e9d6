//! One-time codes for any purpose: what people may type, what the session keeps, and attempts at them.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::Error;
use super::field_errors::FieldErrors;
use super::pasted::{is_dash, is_invisible};
use super::rate_limits::{Attempt, Counter, RateLimit};
use crate::app::App;
use crate::db::DbError;
use crate::event::Event;
use crate::metrics::CodeEnd;
use crate::models::one_time_code::{
    COOL_DOWN, Purpose, count_attempt, find_code, find_given_code, invalidate_code, refund_attempt,
};
use crate::models::user::{User, find_user};
use crate::random::{self, CODE_LENGTH};

/// A code as it is compared: capitals and digits, shown as `XXXX-XXXX`. It has no `Debug`, so that it reaches no log.
#[derive(Clone, PartialEq, Eq)]
pub struct OneTimeCode(String);

/// Why a text cannot be a code. Its `Display` is what the visitor reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    #[error("Enter the code from the email.")]
    Empty,
    /// Such a text never costs an attempt, because it is never compared.
    #[error("Enter the {CODE_LENGTH}-character code from the email, like CDFG-2345.")]
    Shape,
}

impl OneTimeCode {
    pub fn generate() -> Self {
        Self(random::code())
    }

    /// Reads a code as typed or pasted: case, width, spaces, dashes of any kind, combining marks and
    /// invisible characters do not matter.
    pub fn parse(typed: &str) -> Result<Self, CodeError> {
        let is_ignored = |c: &char| {
            c.is_whitespace() || is_dash(*c) || is_invisible(*c) || is_combining_mark(*c)
        };
        let code: String = typed.nfkd().filter(|c| !is_ignored(c)).collect();
        let code = code.to_ascii_uppercase();
        if code.is_empty() {
            return Err(CodeError::Empty);
        }
        if random::is_code(&code) { Ok(Self(code)) } else { Err(CodeError::Shape) }
    }

    /// Reads the field `code` of a form that has no other.
    pub fn from_form(typed: &str) -> Result<Self, Error> {
        let mut errors = FieldErrors::default();
        let code = errors.record("code", Self::parse(typed), CodeError::Empty);
        errors.into_result(code)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The keyed digest of the code and its id, which is stored in place of the code.
    pub fn digest(&self, app: &App, id: &str) -> String {
        app.key.proof("one-time code", &[id, self.as_str()])
    }

    /// Whether it is the code with this id and digest, which may be from before a rotation of the key.
    fn has_digest(&self, app: &App, id: &str, digest: &str) -> bool {
        app.key.proves(digest, "one-time code", &[id, self.as_str()])
    }
}

impl fmt::Display for OneTimeCode {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (left, right) = self.0.split_at(CODE_LENGTH / 2);
        write!(to, "{left}-{right}")
    }
}

/// What a browser session keeps of a code that was sent for it. It is the same whether an account matched.
/// Sessions outlive an update of the program, so the stored names stay.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PendingCode {
    /// The username that it was requested for, in its canonical form; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub username: String,
    /// The address that it was requested for, as it was typed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub email: String,
    pub id: String,
    /// Keyed digest of the id and the code.
    pub digest: String,
    /// Codes sent in this browser in a row, including this one.
    pub codes_sent: i64,
    /// Unix time.
    pub sent_at: i64,
    /// What attempts at all codes of the account are counted by.
    #[serde(rename = "budget")]
    pub attempts_key: String,
    /// Until the page that asks for this code is shown: the form that requested it may arrive twice.
    #[serde(default)]
    pub is_unseen: bool,
}

/// A code that was right.
pub struct RightCode {
    /// The id of what it is for, a user or a registration.
    pub subject: String,
    /// What its row is found by.
    pub id: String,
    /// Whether it was sent to the address, and not given to the user by the operator.
    pub was_sent: bool,
}

impl PendingCode {
    /// What it was requested for, as one would log in.
    pub fn login_name(&self) -> &str {
        if self.username.is_empty() { &self.email } else { &self.username }
    }

    /// Seconds until another code can be sent in this browser: the first repeat is free, each further one
    /// waits longer. From the session and not from the row, so that no page can tell what became of that
    /// (ASVS 6.3.8).
    pub fn wait(&self, now: i64) -> i64 {
        if self.sent_at > now + COOL_DOWN {
            // The clock was put back.
            return 0;
        }
        (self.sent_at + (self.codes_sent - 1) * COOL_DOWN - now).max(0)
    }

    /// The code that `typed` is, if it is right.
    pub async fn check(
        &self,
        app: &App,
        purpose: Purpose,
        typed: &OneTimeCode,
    ) -> Result<RightCode, Error> {
        let checked = self.count_and_compare(app, purpose, typed).await;
        let end = match &checked {
            Ok(_) => Some(CodeEnd::Right),
            Err(Error::CodeRejected(rejection)) => Some(rejection.end()),
            Err(error) => error.is_limit().then_some(CodeEnd::Limited),
        };
        if let Some(end) = end {
            app.metrics.count_code(purpose.name(), end);
        }
        checked
    }

    /// The attempt is counted before it is compared: at the code that was sent, and at the account over all its
    /// codes.
    async fn count_and_compare(
        &self,
        app: &App,
        purpose: Purpose,
        typed: &OneTimeCode,
    ) -> Result<RightCode, Error> {
        let (db, now, max) = (&app.db, app.clock.now(), app.config.limits.reset_code);
        let Some(row) = count_attempt(db.writer(), purpose, &self.id, max, now).await? else {
            let reason = self.invalid_reason(app, purpose).await?;
            return Err(rejected(purpose, None, reason.unwrap_or(Rejection::TooMany)));
        };
        let subject = row.user_id.as_deref();
        // For the log: a registration is no account.
        let account = subject.filter(|_| purpose != Purpose::Register);
        let limit = match purpose {
            Purpose::LogIn => RateLimit::LoginCode,
            _ => RateLimit::ResetAccount,
        };
        let counter = Counter::of(app, limit, &self.attempts_key);
        let counted = Attempt::count(app, Vec::from_iter(counter), account).await;
        if counted.is_err() {
            self.refund(app, purpose).await;
        }
        let attempt = counted?;
        let Some(right) = self.compare(app, (purpose, subject), typed).await? else {
            return Err(rejected(purpose, account, Rejection::Wrong(max - row.attempts)));
        };
        attempt.refund(app).await;
        Ok(right)
    }

    /// Compares with the code that was sent, and one for a new password also with what the operator gave to the
    /// user. The same work is done without a `subject`, for which no code is right.
    async fn compare(
        &self,
        app: &App,
        (purpose, subject): (Purpose, Option<&str>),
        typed: &OneTimeCode,
    ) -> Result<Option<RightCode>, DbError> {
        let given = if purpose == Purpose::PasswordReset {
            let (user, now) = (subject.unwrap_or_default(), app.clock.now());
            find_given_code(app.db.reader(), user, now).await?
        } else {
            None
        };
        let given = given.unwrap_or_default();
        let was_sent = typed.has_digest(app, &self.id, &self.digest);
        let was_given = typed.has_digest(app, &given.id, &given.digest);
        let id = if was_given { given.id } else { self.id.clone() };
        let right = subject.filter(|_| was_sent || was_given);
        Ok(right.map(|subject| RightCode { subject: subject.to_owned(), id, was_sent }))
    }

    /// As [`PendingCode::check`], for a code of an account: also its user.
    pub async fn check_user(
        &self,
        app: &App,
        purpose: Purpose,
        typed: &OneTimeCode,
    ) -> Result<(User, RightCode), Error> {
        let right = self.check(app, purpose, typed).await?;
        match find_user(app.db.reader(), &right.subject).await? {
            Some(user) => Ok((user, right)),
            None => Err(rejected(purpose, Some(&right.subject), Rejection::Gone)),
        }
    }

    /// Refunds an attempt that was not compared, or was right and changed nothing. Returns whether the code
    /// exists.
    pub async fn refund(&self, app: &App, purpose: Purpose) -> bool {
        let refunded = refund_attempt(app.db.writer(), purpose, &self.id).await;
        refunded.unwrap_or_else(|error| {
            Event::log_fault("a_guess_was_not_given_back", &error);
            true
        })
    }

    /// Invalidates the code, so that another can replace it, and returns how many were sent in a row; 0
    /// when it does not exist, `None` when a parallel request has just done so.
    pub async fn invalidate(&self, app: &App, purpose: Purpose) -> Result<Option<i64>, DbError> {
        let (db, now) = (&app.db, app.clock.now());
        if let Some(codes_sent) = invalidate_code(db.writer(), purpose, &self.id, now).await? {
            return Ok(Some(codes_sent));
        }
        Ok(find_code(db.reader(), purpose, &self.id).await?.is_none().then_some(0))
    }

    /// Whether the code was `typed` and used before. Then there is nothing left to guess, and nothing is counted.
    pub async fn was_used(
        &self,
        app: &App,
        purpose: Purpose,
        typed: &OneTimeCode,
    ) -> Result<bool, DbError> {
        let is_gone = find_code(app.db.reader(), purpose, &self.id).await?.is_none();
        Ok(is_gone && typed.has_digest(app, &self.id, &self.digest))
    }

    /// Why the code cannot be used any more; `None` when it can. The same whether an account matched.
    pub async fn invalid_reason(
        &self,
        app: &App,
        purpose: Purpose,
    ) -> Result<Option<Rejection>, DbError> {
        let max = app.config.limits.reset_code;
        Ok(match find_code(app.db.reader(), purpose, &self.id).await? {
            None => Some(Rejection::Gone),
            Some(code) if code.is_replaced() => Some(Rejection::Gone),
            Some(code) if code.expires_at <= app.clock.now() => Some(Rejection::Expired),
            Some(code) => (code.attempts >= max).then_some(Rejection::TooMany),
        })
    }
}

fn rejected(purpose: Purpose, account: Option<&str>, rejection: Rejection) -> Error {
    let (purpose, reason) = (purpose.name(), rejection.name());
    Event::CodeRefused { account, purpose, reason }.write();
    rejection.into()
}

/// Why a code is rejected. Its `Display` is what the visitor reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// With the number of attempts left.
    #[error("Incorrect code{}", attempts_left(*.0))]
    Wrong(i64),
    #[error("This code has expired. Request a new one.")]
    Expired,
    /// There were too many attempts at this code before this one.
    #[error("This code has no attempts left. Request a new one.")]
    TooMany,
    /// Used, replaced or swept.
    #[error("This code was used or replaced. Check the latest email or request a new one.")]
    Gone,
}

fn attempts_left(left: i64) -> String {
    match left {
        0 => ", no attempts left. Request a new one.".to_owned(),
        1 => ". Check the latest email. 1 attempt left.".to_owned(),
        _ => format!(". Check the latest email. {left} attempts left."),
    }
}

impl Rejection {
    /// As the metrics count it.
    fn end(self) -> CodeEnd {
        match self {
            Self::Wrong(_) => CodeEnd::Wrong,
            Self::Expired | Self::Gone => CodeEnd::Expired,
            Self::TooMany => CodeEnd::Limited,
        }
    }

    /// As the log names it.
    fn name(self) -> &'static str {
        match self {
            Self::Wrong(_) => "wrong",
            Self::Expired => "expired",
            Self::TooMany => "too_many",
            Self::Gone => "gone",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_spaces_and_dashes_do_not_matter() {
        let code = OneTimeCode::parse("CDFG2345").unwrap();
        for typed in ["cdfg-2345", " CDFG 2345\n", "c d f g – 2 3 4 5", "CDFG\u{2011}2345"] {
            assert!(OneTimeCode::parse(typed).unwrap() == code, "{typed:?}");
        }
        assert_eq!(code.to_string(), "CDFG-2345");
    }

    #[test]
    fn a_code_is_read_as_it_is_pasted() {
        let code = OneTimeCode::parse("CDFG2345").unwrap();
        for typed in [
            "CDFG\u{ad}-\u{ad}2345",
            "\u{feff}\u{200b}CDFG\u{2060}-\u{200d}2345\u{200e}",
            "\u{2068}CDFG-2345\u{2069}",
            "\u{202a}CDFG\u{202f}-\u{3000}2345\u{202c}",
            "ＣＤＦＧ－２３４５",
            "ｃｄｆｇー２３４５",
            "𝐂𝐃𝐅𝐆-𝟐𝟑𝟒𝟓",
            "C\u{fe0e}DFG\u{ff70}2345",
            "CDFG\u{2e3a}2345",
            "CDFG-2\u{fe0f}\u{20e3}345",
            "\u{fffc}CDFG\u{fffc}-2345",
            "C\u{301}D\u{327}FG-23\u{332}45\u{20dd}",
            "ⒸⒹⒻⒼ-②③④⑤",
            "CDFG~2345".replace('~', "\u{301c}").as_str(),
        ] {
            assert!(OneTimeCode::parse(typed) == Ok(code.clone()), "{typed:?}");
        }
        for typed in ["CDFG\0-2345", "CDFG_2345", "CDFG.2345", "ＡＥＩＯＵ000"] {
            assert_eq!(OneTimeCode::parse(typed).err(), Some(CodeError::Shape), "{typed:?}");
        }
    }

    #[test]
    fn what_cannot_be_a_code_is_told_apart_from_nothing() {
        assert_eq!(OneTimeCode::parse(" - ").err(), Some(CodeError::Empty));
        for typed in ["CDFG", "CDFG-23456", "AEIO-U000", "СDFG-2345"] {
            assert_eq!(OneTimeCode::parse(typed).err(), Some(CodeError::Shape), "{typed:?}");
        }
    }
}
