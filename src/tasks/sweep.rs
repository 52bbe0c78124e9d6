//! Clears away expired sessions, codes and counters, a batch at a time.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::db::{DbError, sql};
use crate::models::{Store, device};

/// How often.
const EVERY: Duration = Duration::from_mins(10);

/// Rows a statement, so that no writer waits long behind it.
const BATCH: i64 = 500;

/// A breath between two batches, for the writers that wait.
const PAUSE: Duration = Duration::from_millis(20);

/// Expired codes are kept a while, so that people are told "too old" and not "unknown".
const KEEP_RESETS: i64 = 60 * 60;

const SESSIONS: &str = "delete from sessions where id_hash in
    (select id_hash from sessions where expires_at <= $1 limit $2)";
const RESETS: &str = "delete from resets where id in
    (select id from resets where expires_at <= $1 limit $2)";
const LIMITS: &str = "delete from limits where subject in
    (select subject from limits where window_ends_at <= $1 limit $2)";

const DEVICES: &str = "delete from devices where (user_id, token_hash) in
    (select user_id, token_hash from devices where last_login_at <= $1 limit $2)";

/// Sweeps until told to stop. An error is logged, and the next round tries again.
pub async fn run(store: Store, mut stop: watch::Receiver<bool>) {
    loop {
        if let Err(error) = sweep(&store).await {
            tracing::warn!(%error, "expired rows could not be cleared away; the next round tries again");
        }
        if timeout(EVERY, stop.changed()).await.is_ok() {
            return;
        }
    }
}

/// Deletes all that has expired and answers how many rows went.
///
/// # Errors
/// When the database fails; what was deleted until then stays deleted.
pub async fn sweep(store: &Store) -> Result<u64, DbError> {
    let now = store.clock.now();
    let mut gone = 0;
    let all = [
        (SESSIONS, now),
        (RESETS, now - KEEP_RESETS),
        (LIMITS, now),
        (DEVICES, now - device::LIFETIME),
    ];
    for (statement, before) in all {
        gone += in_batches(store, statement, before).await?;
    }
    Ok(gone)
}

async fn in_batches(store: &Store, statement: &'static str, before: i64) -> Result<u64, DbError> {
    let mut gone = 0;
    loop {
        let deleted = sql(statement).bind(before).bind(BATCH).execute(store.db.writer()).await?;
        gone += deleted;
        if deleted == 0 {
            return Ok(gone);
        }
        sleep(PAUSE).await;
    }
}
