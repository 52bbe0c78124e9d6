//! The `vestibule_hook_events` table: what an application's hooks have yet to be told.

use crate::clock::Clock;
use crate::db::{Db, DbError, Executor, row, sql};
use crate::random;

/// How far the clocks of two processes may be apart, in seconds. A process may also read its clock, and
/// then wait for the database while another one claims the event.
pub const CLOCK_SKEW: i64 = 30;

/// How long a process holds a claimed event: longer than a hook may run, by [`CLOCK_SKEW`].
pub const LEASE_SECONDS: i64 = 90;

/// The longest wait for the next try.
pub const MAX_WAIT: i64 = 60 * 60;

/// How long a hook counts as set after a process with it was last seen, in seconds: 30 days.
const HOOK_LIFETIME: i64 = 30 * 24 * 60 * 60;

/// What a hook is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HookKind {
    Registered,
    Deleted,
}

impl HookKind {
    const ALL: [Self; 2] = [Self::Registered, Self::Deleted];

    /// As the table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Registered => "registered",
            Self::Deleted => "deleted",
        }
    }
}

row! {
    columns hook_event_columns;
    /// An event that this process has claimed.
    pub struct HookEvent {
        id: String,
        pub user_id: String,
        /// The user as the hook gets it, as JSON.
        pub user_json: String,
        /// How often it was tried, this time included.
        pub tries: i64,
        claimed_until: i64,
    }
}

/// Only where a hook is set, in any process.
const INSERT: &str = "insert into vestibule_hook_events
    (id, kind, user_id, user_json, tries, created_at, next_try_at, claimed_until)
    select $1, $2, $3, $4, 0, $5, $5, 0
    where exists (select 1 from vestibule_hooks where kind = $2 and seen_at > $6)";

/// The event of hook `$1` that has been due at `$2` for the longest. A claim that ends after `$3` was made
/// before the clock was put back. With an order by `id`, too, each claim would sort a whole backlog.
macro_rules! due {
    () => {
        " from vestibule_hook_events where kind = $1 and next_try_at <= $2
            and (claimed_until <= $2 or claimed_until > $3)
        order by next_try_at limit 1"
    };
}

const IS_DUE: &str = concat!("select id", due!());

const CLAIM: &str = concat!(
    "with picked as materialized (select id",
    due!(),
    " for update skip locked)
    update vestibule_hook_events set claimed_until = $4, tries = tries + 1
        where id in (select id from picked) returning ",
    hook_event_columns!()
);

const RESCHEDULE: &str = "update vestibule_hook_events set claimed_until = 0, next_try_at = $1
    where id = $2 and claimed_until = $3";

const NOTE: &str = "insert into vestibule_hooks (kind, seen_at) values ($1, $2)
    on conflict (kind) do update set seen_at = $2";

const SWEEP: &str = "with picked as materialized (
        select id from vestibule_hook_events where kind = $1
            and not exists (select 1 from vestibule_hooks where kind = $1 and seen_at > $2)
        limit $3 for update skip locked)
    delete from vestibule_hook_events where id in (select id from picked)";

/// Notes that an application has set a hook.
pub async fn note_hook(executor: Executor<'_>, kind: HookKind, now: i64) -> Result<(), DbError> {
    sql(NOTE).bind(kind.name()).bind(now).execute(executor).await.map(drop)
}

/// Adds an event about a user, if an application has set a hook of this kind.
pub async fn insert_event(
    executor: Executor<'_>,
    kind: HookKind,
    (user_id, user_json): (&str, &str),
    clock: &Clock,
) -> Result<(), DbError> {
    let insert = sql(INSERT).bind(random::id(clock.millis())).bind(kind.name());
    let insert = insert.bind(user_id).bind(user_json).bind(clock.now());
    let insert = insert.bind(clock.now() - HOOK_LIFETIME);
    insert.execute(executor).await.map(drop)
}

/// Claims the next event of this kind that is due, for [`LEASE_SECONDS`], and counts a try. One statement:
/// of several processes, one gets the event. Nothing is written where none is due.
pub async fn claim_event(db: &Db, kind: HookKind, now: i64) -> Result<Option<HookEvent>, DbError> {
    let claimed_until = now + LEASE_SECONDS;
    let bound = |text| sql(text).bind(kind.name()).bind(now).bind(claimed_until + CLOCK_SKEW);
    if bound(IS_DUE).fetch_optional::<(String,)>(db.reader()).await?.is_none() {
        return Ok(None);
    }
    bound(CLAIM).bind(claimed_until).fetch_optional(db.writer()).await
}

/// Deletes an event that the hook was told of.
pub async fn delete_event(executor: Executor<'_>, event: &HookEvent) -> Result<(), DbError> {
    let delete = sql("delete from vestibule_hook_events where id = $1").bind(&event.id);
    delete.execute(executor).await.map(drop)
}

/// Ends the claim of an event that is due again at `next_try_at`. Does nothing when the claim has run out.
pub async fn reschedule_event(
    executor: Executor<'_>,
    event: &HookEvent,
    next_try_at: i64,
) -> Result<(), DbError> {
    let reschedule = sql(RESCHEDULE).bind(next_try_at).bind(&event.id).bind(event.claimed_until);
    reschedule.execute(executor).await.map(drop)
}

/// Deletes the events about a user.
pub async fn delete_events_of_user(executor: Executor<'_>, user_id: &str) -> Result<(), DbError> {
    let delete = sql("delete from vestibule_hook_events where user_id = $1").bind(user_id);
    delete.execute(executor).await.map(drop)
}

/// Makes the events due now whose next try was set before the clock was put back.
pub async fn rebase_events(
    executor: Executor<'_>,
    kind: HookKind,
    now: i64,
) -> Result<(), DbError> {
    let rebase = sql("update vestibule_hook_events set next_try_at = $1
        where kind = $2 and next_try_at > $3");
    let rebase = rebase.bind(now).bind(kind.name()).bind(now + MAX_WAIT + CLOCK_SKEW);
    rebase.execute(executor).await.map(drop)
}

/// Deletes up to `limit` events of each hook that no process has had for 30 days, and returns how many.
pub async fn sweep_hook_events(db: &Db, limit: i64, now: i64) -> Result<u64, DbError> {
    let mut deleted = 0;
    for kind in HookKind::ALL {
        let sweep = sql(SWEEP).bind(kind.name()).bind(now - HOOK_LIFETIME).bind(limit);
        deleted += sweep.execute(db.writer()).await?;
    }
    Ok(deleted)
}
