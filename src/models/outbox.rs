//! Emails that wait to be sent: rendered, sealed, and stored in the transaction that they report.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use super::history::insert_email;
use super::mail_log::{self, MailState, NewMail, Outcome, insert_mail, note_outcome};
use crate::clock::Clock;
use crate::db::{Db, DbError, Executor, Tx, row, sql};
use crate::key::ServerKey;

/// How long a notice is worth sending, in seconds. Relays retry for days (RFC 5321, 4.5.4.1), but older
/// news of a login helps nobody.
pub const GIVE_UP_AFTER: i64 = 24 * 60 * 60;

/// How long a worker holds a claimed email. Connecting takes 53 seconds at most, MAIL 20, RCPT and DATA
/// 20, the final reply 45 (the mailer's timeouts), so no second worker sends an email that is in flight.
pub const LEASE_SECONDS: i64 = 140;

/// Emails that the development mailbox keeps for a day.
pub const MAILBOX_SIZE: i64 = 200;

/// The kind of a decoy. Its name is as long as that of the email that it replaces.
const DECOY: &str = "decoy_code";

/// Rows of one deletion: it must not block SQLite's only writer for long.
const EXPIRED_BATCH: i64 = 100;

/// A rendered email.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct Email {
    /// What it reports, for logs and settings: `reset_code`, `password_changed`, …
    #[serde(skip)]
    pub kind: String,
    /// The bare address of its recipient.
    pub to: String,
    /// Locked screens show subjects: only a setting puts a code there.
    pub subject: String,
    pub text: String,
    pub html: String,
    /// Unix time after which it must not be sent.
    #[serde(skip)]
    pub expires_at: i64,
}

impl Email {
    /// The same email, never to be sent: it is rendered, sealed, stored, claimed, composed and deleted
    /// as any other, so that an account that does not exist costs the same.
    #[must_use]
    pub fn decoy(self) -> Self {
        Self { kind: DECOY.to_owned(), ..self }
    }

    pub fn is_decoy(&self) -> bool {
        self.kind == DECOY
    }

    /// Whether its recipient waits for it. A decoy counts as the code that it replaces.
    pub fn is_code(&self) -> bool {
        self.kind.ends_with("_code")
    }

    /// How long its entry in the log is kept, in seconds. One that is never sent has an entry as well, which
    /// the next sweep deletes. Bots may cause many codes for addresses without an account: such a code is kept
    /// as long as the registration that it confirms.
    fn logged_for(&self, user_id: Option<&str>) -> i64 {
        match user_id {
            _ if self.is_decoy() => 0,
            None if self.is_code() => GIVE_UP_AFTER,
            _ => mail_log::LIFETIME,
        }
    }
}

/// An email in the outbox.
#[derive(Clone, Default)]
pub struct QueuedEmail {
    /// The row's id.
    pub id: String,
    /// Without a recipient when it was sealed with another key.
    pub email: Email,
    /// How often it was tried, this time included.
    pub tries: i64,
    /// Unix time.
    pub created_at: i64,
    /// Unix time. No two claims of a row have the same.
    pub claimed_until: i64,
    /// A keyed digest of the recipient's domain.
    pub domain: String,
    /// The user whom it is about; empty if there is none.
    pub user_id: String,
}

impl QueuedEmail {
    /// The user whom it is about, if there is one.
    pub fn account(&self) -> Option<&str> {
        Some(self.user_id.as_str()).filter(|id| !id.is_empty())
    }
}

row! {
    columns outbox_columns;
    struct OutboxRow {
        id: String,
        kind: String,
        sealed: Vec<u8>,
        tries: i64,
        created_at: i64,
        expires_at: i64,
        claimed_until: i64,
        domain: String,
        user_id: String,
    }
}

impl OutboxRow {
    fn open(self, key: &ServerKey) -> QueuedEmail {
        let content = key.open(&self.id, &self.sealed).unwrap_or_default();
        let content: Email = serde_json::from_slice(&content).unwrap_or_default();
        let email = Email { kind: self.kind, expires_at: self.expires_at, ..content };
        let Self { id, tries, created_at, claimed_until, domain, user_id, .. } = self;
        QueuedEmail { id, email, tries, created_at, claimed_until, domain, user_id }
    }
}

const INSERT: &str = "insert into vestibule_outbox
    (id, kind, sealed, tries, created_at, next_try_at, claimed_until, expires_at, priority, domain, user_id)
    values ($1, $2, $3, 0, $4, $4, 0, $5, $6, $7, $8)";

/// Where emails are enqueued. Clones wake the same worker.
#[derive(Clone, Debug)]
pub struct Outbox {
    pub(crate) key: ServerKey,
    pub(crate) clock: Clock,
    /// Notified when an email is enqueued.
    pub(crate) wakeup: Arc<Notify>,
}

impl Outbox {
    /// Seals emails with `key`.
    pub fn new(key: ServerKey, clock: Clock) -> Self {
        Self { key, clock, wakeup: Arc::default() }
    }

    /// Stores an email, and notes it in the log and in the history of the user whom it is about, if there is
    /// one. Returns its row's id; the commit wakes the worker. The same inserts for any recipient.
    pub async fn enqueue(
        &self,
        tx: &mut Tx,
        email: &Email,
        user_id: Option<&str>,
    ) -> Result<String, DbError> {
        let id = crate::random::id(self.clock.millis());
        let now = self.clock.now();
        // Four strings always become JSON; an email without content would be dropped as unreadable.
        let content = serde_json::to_vec(email).unwrap_or_default();
        let domain = email.to.rsplit_once('@').map_or("", |(_, domain)| domain).to_lowercase();
        let domain = self.key.digest("mail domain", &[&domain]);
        let insert = sql(INSERT).bind(&id).bind(&email.kind).bind(self.key.seal(&id, &content));
        let insert = insert.bind(now).bind(email.expires_at.max(now)).bind(priority(email, 0));
        let insert = insert.bind(domain).bind(user_id.unwrap_or_default());
        insert.execute(tx.executor()).await?;
        let lifetime = email.logged_for(user_id);
        let new = NewMail { id: &id, kind: &email.kind, to: &email.to, user_id, lifetime };
        insert_mail(tx, &self.key, new, now).await?;
        insert_email(tx, user_id, &email.kind, &self.clock).await?;
        tx.notify_after_commit(&self.wakeup);
        Ok(id)
    }
}

/// Which emails a worker may claim.
#[derive(Debug, Default)]
pub struct ClaimFilter {
    /// No notices.
    pub codes_only: bool,
    /// Digests of the domains to which no further code may be sent now.
    pub full_for_codes: Vec<String>,
    /// Digests of the domains to which no further notice may be sent now.
    pub full_for_notices: Vec<String>,
}

/// The order of emails that are due: codes expire in minutes, and their recipients wait for them. Of codes
/// and of notices, those that were not tried come first.
fn priority(email: &Email, tries: i64) -> i64 {
    let kind = if email.is_code() { 0 } else { 2 };
    kind + i64::from(tries > 0)
}

/// Seeks the first email that is due in each priority: a scan of all of them in order would read every
/// email that is not due yet. Rows that another node is claiming are skipped. The plus keeps PostgreSQL
/// from reading the index of `expires_at`, where nearly every email matches.
const CLAIM: &str = concat!(
    "with picked as materialized (
        select (select id from vestibule_outbox
            where priority = class.priority and next_try_at <= $2 and claimed_until <= $2
                and +expires_at > $2 and full_domains not like '%' || domain || ' %'
            order by next_try_at limit 1
            for update skip locked) as id
        from (select 0 as priority, $4 as full_domains union all select 1, $4
            union all select 2, $5 union all select 3, $5) as class
        where class.priority <= $3)
    update vestibule_outbox set claimed_until = $1, tries = tries + 1, priority = priority | 1
        where id = (select id from picked where id is not null limit 1) returning ",
    outbox_columns!()
);

const FIND_EXPIRED: &str =
    "select id from vestibule_outbox where expires_at <= $1 and claimed_until <= $1 limit 1";

const DROP_EXPIRED: &str = concat!(
    "with picked as materialized (
        select id from vestibule_outbox where expires_at <= $1 and claimed_until <= $1
        order by expires_at limit $2
        for update skip locked)
    delete from vestibule_outbox where id in (select id from picked) returning ",
    outbox_columns!()
);

const RESCHEDULE: &str =
    "update vestibule_outbox set claimed_until = 0, next_try_at = $1, tries = $2, priority = $5
    where id = $3 and claimed_until = $4";

/// Claims the next email that is due and that `filter` allows, for [`LEASE_SECONDS`], and counts a try.
/// One statement: of several nodes, one gets the email.
pub async fn claim(
    db: &Db,
    key: &ServerKey,
    now: i64,
    filter: &ClaimFilter,
) -> Result<Option<QueuedEmail>, DbError> {
    let claim = sql(CLAIM).bind(now + LEASE_SECONDS).bind(now);
    let claim = claim.bind(if filter.codes_only { 1 } else { 3 });
    let claim = claim.bind(list(&filter.full_for_codes)).bind(list(&filter.full_for_notices));
    let row = claim.fetch_optional::<OutboxRow>(db.writer()).await?;
    Ok(row.map(|row| row.open(key)))
}

/// The domains, each followed by a space.
fn list(domains: &[String]) -> String {
    domains.iter().flat_map(|domain| [domain, " "]).collect()
}

/// Deletes the email `id`, which was sent or given up.
pub async fn remove(db: &Db, id: &str, outcome: &Outcome) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    let delete = sql("delete from vestibule_outbox where id = $1").bind(id);
    delete.execute(tx.executor()).await?;
    note_outcome(&mut tx, id, outcome).await?;
    tx.commit().await
}

/// Deletes the emails about a user.
pub async fn delete_emails_of_user(executor: Executor<'_>, user_id: &str) -> Result<(), DbError> {
    let delete = sql("delete from vestibule_outbox where user_id = $1").bind(user_id);
    delete.execute(executor).await.map(drop)
}

/// Ends the claim of an email that is due again at `next_try_at`, after so many `tries`; not when the claim
/// has run out.
pub async fn reschedule(
    db: &Db,
    queued: &QueuedEmail,
    (next_try_at, tries): (i64, i64),
    outcome: &Outcome,
) -> Result<(), DbError> {
    let mut tx = db.begin().await?;
    let reschedule = sql(RESCHEDULE).bind(next_try_at).bind(tries).bind(&queued.id);
    let reschedule = reschedule.bind(queued.claimed_until).bind(priority(&queued.email, tries));
    reschedule.execute(tx.executor()).await?;
    note_outcome(&mut tx, &queued.id, outcome).await?;
    tx.commit().await
}

/// Deletes some of the expired emails that no worker has claimed.
pub async fn drop_expired(db: &Db, key: &ServerKey, now: i64) -> Result<Vec<QueuedEmail>, DbError> {
    // An idle worker asks every 30 seconds: without a transaction.
    let find = sql(FIND_EXPIRED).bind(now);
    if find.fetch_optional::<(String,)>(db.reader()).await?.is_none() {
        return Ok(Vec::new());
    }
    let mut tx = db.begin().await?;
    let drop = sql(DROP_EXPIRED).bind(now).bind(EXPIRED_BATCH);
    let rows = drop.fetch_all::<OutboxRow>(tx.executor()).await?;
    for row in &rows {
        note_outcome(&mut tx, &row.id, &MailState::GivenUp.into()).await?;
    }
    tx.commit().await?;
    Ok(rows.into_iter().map(|row| row.open(key)).collect())
}

/// Ends every claim: for the start of the only node, whose process may have been killed.
pub async fn release_claims(executor: Executor<'_>) -> Result<u64, DbError> {
    let release = sql("update vestibule_outbox set claimed_until = 0 where claimed_until <> 0");
    release.execute(executor).await
}

/// Makes all emails due after the clock went back to `now`. Claims end as if they were made now.
pub async fn rebase_times(executor: Executor<'_>, now: i64) -> Result<u64, DbError> {
    let rebase = sql("update vestibule_outbox set
            expires_at = case when created_at > $1
                then expires_at - created_at + $1 else expires_at end,
            created_at = case when created_at > $1 then $1 else created_at end,
            next_try_at = case when next_try_at > $1 then $1 else next_try_at end,
            claimed_until = case when claimed_until > $2 then $2 else claimed_until end
        where next_try_at > $1 or claimed_until > $2 or created_at > $1");
    rebase.bind(now).bind(now + LEASE_SECONDS).execute(executor).await
}

/// When the next email is due that is not claimed at `now` (unix time, perhaps past).
pub async fn next_due(executor: Executor<'_>, now: i64) -> Result<Option<i64>, DbError> {
    let next = sql("select min(due) from (
            select (select next_try_at from vestibule_outbox
                where priority = class.priority and claimed_until <= $1
                order by next_try_at limit 1) as due
            from (select 0 as priority union all select 1 union all select 2 union all select 3)
                as class) as first");
    let due = next.bind(now).fetch_optional::<(Option<i64>,)>(executor).await?;
    Ok(due.and_then(|(at,)| at))
}

row! {
    /// What waits in the outbox.
    pub struct Backlog {
        pub length: i64,
        /// When the oldest email was enqueued (unix time).
        pub oldest: Option<i64>,
    }
}

/// The emails, decoys too, that have not expired at `now`.
pub async fn find_backlog(executor: Executor<'_>, now: i64) -> Result<Backlog, DbError> {
    let backlog = sql("select
        (select count(*) from vestibule_outbox where expires_at > $1) as length,
        (select created_at from vestibule_outbox where id > '' order by id limit 1) as oldest");
    let backlog = backlog.bind(now).fetch_optional(executor).await?;
    Ok(backlog.unwrap_or(Backlog { length: 0, oldest: None }))
}

/// The development mailbox: the newest emails, at most `most`, without decoys.
pub async fn newest(
    executor: Executor<'_>,
    key: &ServerKey,
    most: i64,
) -> Result<Vec<QueuedEmail>, DbError> {
    let newest = sql(concat!(
        "select ",
        outbox_columns!(),
        " from vestibule_outbox where kind <> 'decoy_code' order by id desc limit $1"
    ));
    let rows: Vec<OutboxRow> = newest.bind(most).fetch_all(executor).await?;
    let emails = rows.into_iter().map(|row| row.open(key));
    Ok(emails.filter(|queued| !queued.email.to.is_empty()).collect())
}

/// Deletes every email.
pub async fn clear(executor: Executor<'_>) -> Result<u64, DbError> {
    sql("delete from vestibule_outbox").execute(executor).await
}

/// Keeps the development mailbox small: deletes decoys, what is older than a day, and all but the newest
/// [`MAILBOX_SIZE`].
pub async fn trim_mailbox(executor: Executor<'_>, now: i64) -> Result<u64, DbError> {
    let trim = sql("delete from vestibule_outbox
        where created_at < $1 or kind = 'decoy_code' or id not in (
            select id from vestibule_outbox where kind <> 'decoy_code' order by id desc limit $2)");
    trim.bind(now - GIVE_UP_AFTER).bind(MAILBOX_SIZE).execute(executor).await
}
