//! Mail that waits to be sent: rendered, sealed, and stored in the transaction that it tells of.

use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::db::{Db, DbError, Executor, SkipLocked, skip_locked, sql};
use crate::event::{Details, Event, MailDetails};
use crate::key::ServerKey;

/// How long an email is worth sending, in seconds, unless a code in it dies before. Relays try for
/// days (RFC 5321, 4.5.4.1), but nobody is helped by older news of a login.
pub const GIVE_UP_AFTER: i64 = 24 * 60 * 60;

/// How long a claimed email is left to its worker. Connecting takes 53 seconds at most, MAIL 20, RCPT
/// and DATA 20, the verdict 45 (the mailer's timeouts), so no second worker starts on an email under way.
pub const LEASE_SECONDS: i64 = 140;

/// The kind of an email that goes to nobody. As long as that of the email that it stands for.
const DECOY: &str = "decoy_code";

/// The order of emails that are due: codes die in minutes, and somebody waits for them.
const CODE: i64 = 0;
const NOTICE: i64 = 1;

/// Rows of one deletion: SQLite's only writer is not kept from requests for long.
const BATCH: i64 = 100;

/// An email, rendered, on its way into the outbox.
#[derive(Clone, PartialEq, Eq)]
pub struct Email {
    /// What it tells of, for logs and settings: `reset_code`, `password_changed`, …
    pub kind: &'static str,
    /// The bare address that it goes to.
    pub to: String,
    /// Its subject. Subjects show on locked screens: only a setting puts a code there.
    pub subject: String,
    /// The whole email as plain text.
    pub text: String,
    /// The same words as HTML.
    pub html: String,
    /// Unix time after which it must not be sent.
    pub expires_at: i64,
}

impl Email {
    /// The same email, never to be sent: it is rendered, sealed, stored, claimed, composed and deleted
    /// as any other, so that an account that does not exist costs the same before and after the
    /// answer.
    #[must_use]
    pub fn decoy(self) -> Self {
        Self { kind: DECOY, ..self }
    }

    /// The email as if it had waited under `id` since `at`, to send it without the outbox.
    pub fn into_queued(self, id: String, at: i64) -> QueuedEmail {
        QueuedEmail {
            id,
            kind: self.kind.to_owned(),
            to: self.to,
            subject: self.subject,
            text: self.text,
            html: self.html,
            tries: 0,
            created_at: at,
            expires_at: self.expires_at,
            claimed_until: 0,
            domain: String::new(),
        }
    }
}

/// An email that waits.
#[derive(Clone, PartialEq, Eq)]
pub struct QueuedEmail {
    /// The row's id.
    pub id: String,
    /// See [`Email::kind`].
    pub kind: String,
    /// See [`Email::to`].
    pub to: String,
    /// See [`Email::subject`].
    pub subject: String,
    /// See [`Email::text`].
    pub text: String,
    /// See [`Email::html`].
    pub html: String,
    /// How often it was tried, this time included.
    pub tries: i64,
    /// Unix time at which it was queued.
    pub created_at: i64,
    /// Unix time after which it must not be sent.
    pub expires_at: i64,
    /// Until when it is its claimer's. No two claims of a row have the same.
    pub claimed_until: i64,
    /// A keyed digest of the domain that it goes to.
    pub domain: String,
}

impl QueuedEmail {
    /// Whether somebody waits for it. That for nobody counts as what it stands for.
    pub fn is_code(&self) -> bool {
        is_code(&self.kind)
    }

    /// Whether it stands for an email to an account that does not exist.
    pub fn is_decoy(&self) -> bool {
        self.kind == DECOY
    }
}

/// Which emails a worker has room for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Room {
    /// No notices.
    pub codes_only: bool,
    /// Digests of the domains to which no further code goes.
    pub full_for_codes: Vec<String>,
    /// Digests of the domains to which no further notice goes.
    pub full_for_notices: Vec<String>,
}

/// An email that was deleted because its time was over.
#[derive(Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The row's id.
    pub id: String,
    /// See [`Email::kind`].
    pub kind: String,
    /// The address that it was for; empty when its seal does not open.
    pub to: String,
    /// How many seconds it was to live.
    pub lifetime: i64,
}

impl Dropped {
    /// As [`QueuedEmail::is_decoy`].
    pub fn is_decoy(&self) -> bool {
        self.kind == DECOY
    }
}

/// What is sealed. `kind` and the times are columns: the worker and people who look need them.
#[derive(Serialize, Deserialize)]
struct Sealed {
    to: String,
    subject: String,
    text: String,
    html: String,
}

/// id, kind, sealed, tries, `created_at`, `expires_at`, `claimed_until`, domain.
type Columns = (String, String, Vec<u8>, i64, i64, i64, i64, String);

/// A newer and an older email's id, where there is one.
pub type Neighbours = (Option<String>, Option<String>);

/// Puts an email in the outbox and answers its row's id. One insert, whoever the email is for.
///
/// # Errors
/// When the database fails.
pub async fn enqueue(
    on: Executor<'_>,
    key: &ServerKey,
    clock: &Clock,
    email: &Email,
) -> Result<String, DbError> {
    let id = crate::random::id(clock.millis());
    let now = clock.now();
    sql("insert into outbox
         (id, kind, sealed, tries, created_at, next_try_at, claimed_until, expires_at, priority, domain)
         values ($1, $2, $3, 0, $4, $5, 0, $6, $7, $8)")
    .bind(&id)
    .bind(email.kind)
    .bind(key.seal(&id, &email.to_json()))
    .bind(now)
    .bind(now)
    .bind(email.expires_at.max(now))
    .bind(if is_code(email.kind) { CODE } else { NOTICE })
    .bind(&key.digest("mail domain", &[domain_of(&email.to).as_str()]))
    .execute(on)
    .await?;
    Ok(id)
}

/// Codes come before notices, and what was not tried before what was. Emails that another node is
/// claiming at this moment are left to it, and the next one is taken. The plus keeps SQLite to the
/// index in this order: it would sort all that is due each time.
const CLAIM: SkipLocked = skip_locked!(
    "select id from outbox
        where +next_try_at <= $2 and claimed_until <= $2 and expires_at > $2 and priority <= $3
            and (case when priority = 0 then $4 else $5 end) not like '% ' || domain || ' %'
        order by priority, tries, next_try_at limit 1",
    "update outbox set claimed_until = $1, tries = tries + 1
        where id in (select id from picked)
        returning id, kind, sealed, tries, created_at, expires_at, claimed_until, domain"
);

const DROP_EXPIRED: SkipLocked = skip_locked!(
    "select id from outbox where expires_at <= $1 and claimed_until <= $1
        order by expires_at limit $2",
    "delete from outbox where id in (select id from picked)
        returning id, kind, sealed, tries, created_at, expires_at, claimed_until, domain"
);

/// Takes the next email that is due and that there is `room` for, for [`LEASE_SECONDS`], and counts a
/// try. One statement: of several nodes each email goes to one.
///
/// # Errors
/// When the database fails.
pub async fn claim(
    db: &Db,
    key: &ServerKey,
    now: i64,
    room: &Room,
) -> Result<Option<QueuedEmail>, DbError> {
    loop {
        let claim = sql(CLAIM.text(db))
            .bind(now + LEASE_SECONDS)
            .bind(now)
            .bind(if room.codes_only { CODE } else { NOTICE })
            .bind(&format!(" {} ", room.full_for_codes.join(" ")))
            .bind(&format!(" {} ", room.full_for_notices.join(" ")));
        let Some(row) = claim.optional::<Columns>(db.writer()).await? else {
            return Ok(None);
        };
        let id = row.0.clone();
        match open(key, row) {
            Some(email) => return Ok(Some(email)),
            None => drop_unreadable(db, &id).await?,
        }
    }
}

/// Deletes an email: it was sent, or given up.
///
/// # Errors
/// When the database fails.
pub async fn remove(db: &Db, id: &str) -> Result<(), DbError> {
    sql("delete from outbox where id = $1").bind(id).execute(db.writer()).await?;
    Ok(())
}

/// Gives a claimed email back untried and due at once, behind all others that wait: the server was
/// away, perhaps for these alone. Does nothing when the claim has run out and is another worker's.
///
/// # Errors
/// When the database fails.
pub async fn release(db: &Db, email: &QueuedEmail, now: i64) -> Result<(), DbError> {
    sql("update outbox set claimed_until = 0, tries = tries - 1, next_try_at = $3
         where id = $1 and claimed_until = $2")
    .bind(&email.id)
    .bind(email.claimed_until)
    .bind(now)
    .execute(db.writer())
    .await?;
    Ok(())
}

/// Gives a claimed email back, to be tried again at `next_try_at`, with its try counted.
///
/// # Errors
/// When the database fails.
pub async fn reschedule(db: &Db, email: &QueuedEmail, next_try_at: i64) -> Result<(), DbError> {
    sql("update outbox set claimed_until = 0, next_try_at = $1
         where id = $2 and claimed_until = $3")
    .bind(next_try_at)
    .bind(&email.id)
    .bind(email.claimed_until)
    .execute(db.writer())
    .await?;
    Ok(())
}

/// Deletes emails whose time is over, a bounded number: call again while the answer is not empty.
/// Those that a worker is at are left to it.
///
/// # Errors
/// When the database fails.
pub async fn drop_expired(db: &Db, key: &ServerKey, now: i64) -> Result<Vec<Dropped>, DbError> {
    let drop = sql(DROP_EXPIRED.text(db)).bind(now).bind(BATCH);
    let rows = drop.all::<Columns>(db.writer()).await?;
    Ok(rows.into_iter().map(|row| dropped(key, row)).collect())
}

/// Frees every claim: at the start of the only node, what a killed process held is nobody's.
///
/// # Errors
/// When the database fails.
pub async fn release_claims(db: &Db) -> Result<u64, DbError> {
    sql("update outbox set claimed_until = 0 where claimed_until <> 0").execute(db.writer()).await
}

/// Makes all emails due after the clock went back to `now`: else those that wait would wait for it
/// to catch up. Claims end as if they were made now.
///
/// # Errors
/// When the database fails.
pub async fn rebase_times(db: &Db, now: i64) -> Result<u64, DbError> {
    sql("update outbox set
             expires_at = case when created_at > $1
                 then expires_at - created_at + $1 else expires_at end,
             created_at = case when created_at > $1 then $1 else created_at end,
             next_try_at = case when next_try_at > $1 then $1 else next_try_at end,
             claimed_until = case when claimed_until > $2 then $2 else claimed_until end
         where next_try_at > $1 or claimed_until > $2 or created_at > $1")
    .bind(now)
    .bind(now + LEASE_SECONDS)
    .execute(db.writer())
    .await
}

/// When the next email is due (unix time, perhaps past); none when nobody's are left. Those that a
/// worker holds at `now` are its own, however long they were due: nobody looks for them in vain.
///
/// # Errors
/// When the database fails.
pub async fn next_due(db: &Db, now: i64) -> Result<Option<i64>, DbError> {
    let next = sql("select next_try_at from outbox where claimed_until <= $1
         order by next_try_at limit 1")
    .bind(now);
    Ok(next.optional::<(i64,)>(db.reader()).await?.map(|(at,)| at))
}

/// How many emails wait. Decoys count until the worker has dropped them.
///
/// # Errors
/// When the database fails.
pub async fn count(db: &Db) -> Result<i64, DbError> {
    let row = sql("select count(*) from outbox").optional::<(i64,)>(db.reader());
    Ok(row.await?.map_or(0, |(count,)| count))
}

/// The newest emails, at most `most`, newest first, without decoys: the development mailbox.
///
/// # Errors
/// When the database fails.
pub async fn newest(db: &Db, key: &ServerKey, most: i64) -> Result<Vec<QueuedEmail>, DbError> {
    let rows = sql("select id, kind, sealed, tries, created_at, expires_at, claimed_until, domain
         from outbox where kind <> 'decoy_code' order by id desc limit $1")
    .bind(most)
    .all::<Columns>(db.reader())
    .await?;
    Ok(rows.into_iter().filter_map(|row| open(key, row)).collect())
}

/// One email of the development mailbox.
///
/// # Errors
/// When the database fails.
pub async fn find(db: &Db, key: &ServerKey, id: &str) -> Result<Option<QueuedEmail>, DbError> {
    let row = sql("select id, kind, sealed, tries, created_at, expires_at, claimed_until, domain
         from outbox where id = $1 and kind <> 'decoy_code'")
    .bind(id)
    .optional::<Columns>(db.reader())
    .await?;
    Ok(row.and_then(|row| open(key, row)))
}

/// The ids of the emails next to `id` in the development mailbox: the newer one, the older one.
///
/// # Errors
/// When the database fails.
pub async fn neighbours(db: &Db, id: &str) -> Result<Neighbours, DbError> {
    let row = sql("select
         (select min(id) from outbox where id > $1 and kind <> 'decoy_code'),
         (select max(id) from outbox where id < $1 and kind <> 'decoy_code')")
    .bind(id)
    .optional::<Neighbours>(db.reader())
    .await?;
    Ok(row.unwrap_or_default())
}

/// Deletes every email.
///
/// # Errors
/// When the database fails.
pub async fn clear(db: &Db) -> Result<u64, DbError> {
    sql("delete from outbox").execute(db.writer()).await
}

/// Keeps the development mailbox small: deletes decoys, what was queued before `oldest` (unix time)
/// and all but the newest `most`.
///
/// # Errors
/// When the database fails.
pub async fn trim(db: &Db, oldest: i64, most: i64) -> Result<u64, DbError> {
    sql("delete from outbox
         where created_at < $1 or kind = 'decoy_code' or id not in (
             select id from outbox where kind <> 'decoy_code' order by id desc limit $2)")
    .bind(oldest)
    .bind(most)
    .execute(db.writer())
    .await
}

fn is_code(kind: &str) -> bool {
    kind.ends_with("_code")
}

fn domain_of(address: &str) -> String {
    address.rsplit_once('@').map_or(address, |(_, domain)| domain).to_lowercase()
}

impl Email {
    fn to_json(&self) -> Vec<u8> {
        let Self { to, subject, text, html, .. } = self.clone();
        // Four strings always become JSON; an empty seal would be dropped as unreadable.
        serde_json::to_vec(&Sealed { to, subject, text, html }).unwrap_or_default()
    }
}

fn open(key: &ServerKey, row: Columns) -> Option<QueuedEmail> {
    let (id, kind, sealed, tries, created_at, expires_at, claimed_until, domain) = row;
    let plain = key.open(&id, &sealed)?;
    let Sealed { to, subject, text, html } = serde_json::from_slice(&plain).ok()?;
    Some(QueuedEmail {
        id,
        kind,
        to,
        subject,
        text,
        html,
        tries,
        created_at,
        expires_at,
        claimed_until,
        domain,
    })
}

fn dropped(key: &ServerKey, row: Columns) -> Dropped {
    let (id, kind, lifetime) = (row.0.clone(), row.1.clone(), row.5 - row.4);
    let to = open(key, row).map(|email| email.to).unwrap_or_default();
    Dropped { id, kind, to, lifetime }
}

async fn drop_unreadable(db: &Db, id: &str) -> Result<(), DbError> {
    let (mail, reason) =
        (MailDetails { id: Some(id), ..MailDetails::default() }, Some("other_key"));
    Event::MailGivenUp.write(Details { reason, mail, ..Details::default() });
    remove(db, id).await
}
