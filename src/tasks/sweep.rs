//! Clears away expired sessions, codes, counters and devices, a batch at a time.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::db::DbError;
use crate::event::Event;
use crate::models::Store;

/// How often.
const EVERY: Duration = Duration::from_mins(10);

/// Rows a statement, so that no writer waits long behind it.
const BATCH: i64 = 500;

/// A breath between two batches, for the writers that wait.
const PAUSE: Duration = Duration::from_millis(20);

/// Sweeps until told to stop. An error is logged, and the next round tries again.
pub async fn run(store: Store, mut stop: watch::Receiver<bool>) {
    loop {
        if let Err(error) = sweep(&store).await {
            Event::Fault.because("what_has_expired_was_not_cleared_away", &error);
        }
        if timeout(EVERY, stop.changed()).await.is_ok() {
            return;
        }
    }
}

/// Deletes all that has expired, a batch of each table in turn, and answers how many rows went.
///
/// # Errors
/// When the database fails; what was deleted until then stays deleted.
pub async fn sweep(store: &Store) -> Result<u64, DbError> {
    let mut gone = 0;
    loop {
        let deleted = store.sweep_sessions(BATCH).await?
            + store.sweep_resets(BATCH).await?
            + store.sweep_limits(BATCH).await?
            + store.sweep_devices(BATCH).await?;
        if deleted == 0 {
            return Ok(gone);
        }
        gone += deleted;
        sleep(PAUSE).await;
    }
}
