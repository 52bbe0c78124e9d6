//! What a login costs: counted before the password is compared, settled when it was.

use crate::accounts::login_name::LoginName;
use crate::app::Try;
use crate::config::Notice;
use crate::error::RequestError;
use crate::event::{Details, Event};
use crate::mail::emails;
use crate::models::limit::{MOST_IN_A_ROW, Share};
use crate::models::outbox::Email;
use crate::models::user::User;
use crate::password_hasher::{HashError, PasswordMatch};
use crate::visitor::Visitor;

/// For the letter of a name that nobody has: dead on arrival, so it goes nowhere (RFC 2606).
const NOBODY: &str = "nobody@example.invalid";

/// A try at an account, counted.
pub struct Tries {
    /// The user's credentials; of a name that nobody has, its canonical form.
    account: String,
    counted: Try,
}

impl Tries {
    /// Counts one more for `typed`, which is `user` if there is one.
    ///
    /// # Errors
    /// When that was one too many, the same for an account that is there and one that is not.
    pub async fn count(
        visitor: &Visitor,
        user: Option<&User>,
        typed: &str,
    ) -> Result<Self, RequestError> {
        let (app, known) = (&visitor.app, user.map(|user| user.id.as_str()));
        let account = user
            .map_or_else(|| format!("name {}", LoginName::parse(typed).key()), User::credentials);
        let budget = visitor.budget(user, account.clone()).await?;
        let counted = app.count_try(visitor.login_counts(&budget), known).await?;
        Ok(Self { account, counted })
    }

    /// Takes back the try that was right: the failures before it stay with the address and are
    /// forgiven the account. One that found no place in the queue was no try at all.
    pub async fn settle(&mut self, visitor: &Visitor, verdict: &Result<PasswordMatch, HashError>) {
        match verdict {
            Ok(PasswordMatch::Incorrect) => self.counted.fail(),
            _ => visitor.app.take_back(&mut self.counted, verdict.is_ok()).await,
        }
    }

    /// Whether a failure now is the one that stops these tries: it must not go untold because the
    /// client hangs up.
    pub fn is_last(&self) -> bool {
        self.counted.in_a_row == MOST_IN_A_ROW
    }

    /// Logs the failure, and tells the owner when it was the one that stops these tries (ASVS 6.3.5).
    /// For a name that nobody has the same is written.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn note_failure(
        &self,
        visitor: &Visitor,
        user: Option<&User>,
    ) -> Result<(), RequestError> {
        let details = Details { account: user.map(|user| user.id.as_str()), ..Details::default() };
        Event::LoginRefused.write(details);
        if !self.is_last() {
            return Ok(());
        }
        Event::LoginStopped.write(details);
        if !visitor.app.config.notices.sends(Notice::LoginStopped) {
            return Ok(());
        }
        let letter = letter(visitor, user)?;
        let to = user.map_or(&self.account, |user| &user.email);
        visitor.app.post(&visitor.mail_counts(Share::Notices, to), &letter).await
    }
}

fn letter(visitor: &Visitor, user: Option<&User>) -> Result<Email, RequestError> {
    let name_and_address = |user: &User| (user.username.clone(), user.email.clone());
    let (name, to) =
        user.map_or_else(|| ("nobody".to_owned(), NOBODY.to_owned()), name_and_address);
    let letter = emails::login_stopped(&visitor.about(&name, &to))?;
    Ok(if user.is_some() { letter } else { letter.decoy() })
}
