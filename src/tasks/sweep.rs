//! Clears away expired sessions, codes, counters and devices, a batch at a time, on one node.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::db::{AdvisoryLock, DbError};
use crate::event::Event;
use crate::models::Store;
use crate::models::device::sweep_devices;
use crate::models::one_time_code::sweep_codes;
use crate::models::rate_limit::sweep_limits;
use crate::models::session::sweep_sessions;

/// How often.
const EVERY: Duration = Duration::from_mins(10);

/// How long a statement should take: SQLite's one writer is kept from requests for so long. A checkpoint
/// of its log comes on top now and then, 30 ms of it (measured).
const AIM: Duration = Duration::from_millis(5);

/// Rows of the first statement, and of each on a machine that takes longer.
const FEWEST: i64 = 50;

/// Rows of a statement on the fastest of machines.
const MOST: i64 = 2000;

/// A breath between two batches, for the writers that wait.
const PAUSE: Duration = Duration::from_millis(20);

/// Sweeps until told to stop. An error is logged, and the next round tries again.
pub async fn run(store: Store, mut stop: watch::Receiver<bool>) {
    loop {
        let swept = tokio::select! {
            swept = sweep(&store) => swept,
            _ = stop.wait_for(|stopped| *stopped) => return,
        };
        if let Err(error) = swept {
            Event::Fault.because("what_has_expired_was_not_cleared_away", &error);
        }
        if timeout(EVERY, stop.changed()).await.is_ok() {
            return;
        }
    }
}

/// Deletes all that has expired and answers how many rows went: none while another node is at it.
///
/// # Errors
/// When the database fails; what was deleted until then stays deleted.
pub async fn sweep(store: &Store) -> Result<u64, DbError> {
    let Some(mut lock) = store.db.try_advisory_lock("sweep").await? else {
        return Ok(0);
    };
    let (db, clock) = (&store.db, &store.clock);
    let sessions =
        clear(&mut lock, |limit| sweep_sessions(db.writer(), limit, clock.now())).await?;
    let codes = clear(&mut lock, |limit| sweep_codes(db.writer(), limit, clock.now())).await?;
    let limits = clear(&mut lock, |limit| sweep_limits(db.writer(), limit, clock.now())).await?;
    let devices = clear(&mut lock, |limit| sweep_devices(db.writer(), limit, clock.now())).await?;
    lock.release().await?;
    Ok(sessions + codes + limits + devices)
}

/// Calls `delete` until nothing is left that it could delete at once.
async fn clear<F: Future<Output = Result<u64, DbError>>>(
    lock: &mut AdvisoryLock,
    delete: impl Fn(i64) -> F,
) -> Result<u64, DbError> {
    let (mut gone, mut rows) = (0, FEWEST);
    loop {
        lock.keep_alive().await?;
        let started = Instant::now();
        let deleted = delete(rows).await?;
        if deleted == 0 {
            return Ok(gone);
        }
        gone += deleted;
        rows = next(rows, started.elapsed());
        sleep(PAUSE).await;
    }
}

/// How many rows to delete after so many took so long. A wait for other writers counts, too: the
/// more there are, the less is taken from them.
fn next(rows: i64, took: Duration) -> i64 {
    let rows = match took {
        _ if took > AIM => rows / 2,
        _ if took < AIM / 2 => rows * 2,
        _ => rows,
    };
    rows.clamp(FEWEST, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_grows_while_it_is_quick_and_shrinks_when_it_is_slow() {
        let quick = (0..8).scan(FEWEST, |rows, _| {
            *rows = next(*rows, Duration::from_millis(1));
            Some(*rows)
        });
        assert_eq!(quick.collect::<Vec<_>>(), [100, 200, 400, 800, 1600, 2000, 2000, 2000]);
        assert_eq!(next(800, Duration::from_millis(4)), 800);
        assert_eq!(next(800, Duration::from_millis(6)), 400);
        assert_eq!(next(60, Duration::from_secs(5)), FEWEST);
    }
}
