//! The `vestibule_mail_log` table: what became of each email, also after it was sent.

use super::expired::{Expired, expired};
use crate::config::canonical_domain;
use crate::db::{DbError, Executor, Tx, row, sql};
use crate::key::ServerKey;

/// How long an entry is kept, in seconds: 30 days.
pub const LIFETIME: i64 = 30 * 24 * 60 * 60;

/// What became of an email.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MailState {
    /// No mail server has judged it yet.
    Waiting,
    /// The mail server accepted responsibility for it.
    Sent,
    /// The mail server asked to try again later.
    Deferred,
    /// The mail server rejected it. It is tried again all the same.
    Refused,
    /// The mail server got it and did not answer.
    Unanswered,
    /// It will not be sent.
    GivenUp,
}

impl MailState {
    /// As the table and the command line call it.
    fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sent => "sent",
            Self::Deferred => "deferred",
            Self::Refused => "refused",
            Self::Unanswered => "unanswered",
            Self::GivenUp => "given_up",
        }
    }
}

/// What became of an email, as far as is known.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub state: MailState,
    /// What the mail server said, if it said anything.
    pub server: Option<String>,
    /// Unix time.
    pub sent_at: Option<i64>,
}

impl From<MailState> for Outcome {
    fn from(state: MailState) -> Self {
        Self { state, server: None, sent_at: None }
    }
}

row! {
    columns logged_columns;
    /// An email and what became of it.
    #[derive(Clone, Debug)]
    pub struct LoggedEmail {
        pub id: String,
        pub kind: String,
        pub state: String,
        /// What the mail server last said, without addresses and codes.
        pub server: Option<String>,
        /// Unix time.
        pub created_at: i64,
        /// Unix time.
        pub sent_at: Option<i64>,
    }
}

const INSERT: &str = "insert into vestibule_mail_log
    (id, kind, recipient, user_id, state, created_at, expires_at) values ($1, $2, $3, $4, $5, $6, $7)";

const LIST: &str = concat!(
    "select ",
    logged_columns!(),
    " from vestibule_mail_log where recipient = $1 and expires_at > $2 order by id"
);

/// Entries that have expired.
pub const EXPIRED: Expired = expired!("vestibule_mail_log", "id", "expires_at <= $1", 0);

/// An email to be sent.
#[derive(Clone, Copy)]
pub struct NewMail<'a> {
    pub id: &'a str,
    pub kind: &'a str,
    /// The address.
    pub to: &'a str,
    pub user_id: Option<&'a str>,
    /// How long the entry is kept, in seconds.
    pub lifetime: i64,
}

/// Adds an email that waits.
pub async fn insert_mail(
    tx: &mut Tx,
    key: &ServerKey,
    new: NewMail<'_>,
    now: i64,
) -> Result<(), DbError> {
    let insert = sql(INSERT).bind(new.id).bind(new.kind).bind(recipient(key, new.to));
    let insert = insert.bind(new.user_id.unwrap_or_default()).bind(MailState::Waiting.name());
    insert.bind(now).bind(now + new.lifetime).execute(tx.executor()).await.map(drop)
}

/// Notes what became of the email `id`.
pub async fn note_outcome(tx: &mut Tx, id: &str, outcome: &Outcome) -> Result<(), DbError> {
    let note = sql("update vestibule_mail_log
        set state = $2, server = coalesce($3, server), sent_at = $4 where id = $1");
    let note = note.bind(id).bind(outcome.state.name()).bind(outcome.server.as_deref());
    note.bind(outcome.sent_at).execute(tx.executor()).await.map(drop)
}

/// The emails to `address`, in any spelling, the oldest first.
pub async fn list_mails(
    executor: Executor<'_>,
    key: &ServerKey,
    address: &str,
    now: i64,
) -> Result<Vec<LoggedEmail>, DbError> {
    sql(LIST).bind(recipient(key, address)).bind(now).fetch_all(executor).await
}

/// Deletes the emails about a user, and those to the user's `address`.
pub async fn delete_mails_of_user(
    tx: &mut Tx,
    key: &ServerKey,
    (user_id, address): (&str, &str),
) -> Result<(), DbError> {
    let delete = sql("delete from vestibule_mail_log where user_id = $1 or recipient = $2");
    let delete = delete.bind(user_id).bind(recipient(key, address));
    delete.execute(tx.executor()).await.map(drop)
}

/// A digest is enough to look an address up. Anybody may have typed it.
fn recipient(key: &ServerKey, address: &str) -> String {
    let address = address.to_lowercase();
    let (local, domain) = address.rsplit_once('@').unwrap_or((&address, ""));
    let domain = canonical_domain(domain).unwrap_or_else(|| domain.to_owned());
    key.digest("mail recipient", &[local, &domain])
}
