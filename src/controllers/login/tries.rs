//! What a login costs: counted before the password is compared, settled when it was.

use crate::config::Notice;
use crate::error::RequestError;
use crate::event::{Details, Event};
use crate::mail::letters;
use crate::models::hasher::{HashError, Verdict};
use crate::models::limit::MOST_IN_A_ROW;
use crate::models::outbox::Letter;
use crate::models::user::{User, canonical_login};
use crate::visitor::Visitor;
use crate::visitor::budget::Budget;

/// For the letter of a name that nobody has: dead on arrival, so it goes nowhere (RFC 2606).
const NOBODY: &str = "nobody@example.invalid";

/// A try at an account, counted.
pub struct Tries {
    /// The user's credentials; of a name that nobody has, its canonical form.
    account: String,
    budget: Budget,
    /// The visitor's, if it is counted.
    address: Option<String>,
    /// Failures in a row, if this is one.
    in_a_row: i64,
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
        let account =
            user.map_or_else(|| format!("name {}", canonical_login(typed)), User::credentials);
        let budget = visitor.budget(user, account.clone()).await?;
        let address = budget.is_of_strangers().then(|| visitor.peer.subject());
        let in_a_row = app.limit_login(address.as_deref(), budget.of_passwords(), known).await?;
        Ok(Self { account, budget, address, in_a_row })
    }

    /// Takes back the try that was right: the failures before it stay with the address and are
    /// forgiven the account. One that found no place in the queue was no try at all.
    pub async fn settle(&self, visitor: &Visitor, verdict: &Result<Verdict, HashError>) {
        let was_right = verdict.is_ok();
        if !matches!(verdict, Ok(Verdict::Wrong)) {
            let (app, whom) = (&visitor.app, self.budget.of_passwords());
            app.unlimit_login(self.address.as_deref(), whom, was_right).await;
        }
    }

    /// Whether a failure now is the one that stops these tries: it must not go untold because the
    /// client hangs up.
    pub fn is_last(&self) -> bool {
        self.in_a_row == MOST_IN_A_ROW
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
        visitor.app.post(user.map_or(&self.account, |user| &user.id), &letter).await
    }
}

fn letter(visitor: &Visitor, user: Option<&User>) -> Result<Letter, RequestError> {
    let name_and_address = |user: &User| (user.username.clone(), user.email.clone());
    let (name, to) =
        user.map_or_else(|| ("nobody".to_owned(), NOBODY.to_owned()), name_and_address);
    let letter = letters::login_stopped(&visitor.about(&name, &to))?;
    Ok(if user.is_some() { letter } else { letter.decoy() })
}
