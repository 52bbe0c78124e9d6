//! Deletes expired sessions, codes, counters and devices in batches, on one node at a time.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::app::App;
use crate::db::{AdvisoryLock, DbError};
use crate::event::Event;
use crate::models::device::sweep_devices;
use crate::models::one_time_code::sweep_codes;
use crate::models::rate_limit::sweep_limits;
use crate::models::session::sweep_sessions;

/// How often a sweep starts.
const EVERY: Duration = Duration::from_mins(10);

/// How long a statement should take: it blocks SQLite's one writer. A checkpoint of the log sometimes adds
/// 30 ms (measured).
const TARGET: Duration = Duration::from_millis(5);

/// Rows of the first statement, and of each on a slow machine.
const FEWEST: i64 = 50;

/// Rows of a statement on the fastest machine.
const MOST: i64 = 2000;

/// Pause between two batches, for the writers that wait.
const PAUSE: Duration = Duration::from_millis(20);

/// Sweeps until `stop` turns true. An error is logged, and the next sweep tries again.
pub async fn run(app: App, mut stop: watch::Receiver<bool>) {
    loop {
        let swept = tokio::select! {
            swept = sweep(&app) => swept,
            _ = stop.wait_for(|stopped| *stopped) => return,
        };
        if let Err(error) = swept {
            Event::log_fault("what_has_expired_was_not_cleared_away", &error);
        }
        if timeout(EVERY, stop.changed()).await.is_ok() {
            return;
        }
    }
}

/// Deletes all expired rows and answers how many: none while another node sweeps.
pub async fn sweep(app: &App) -> Result<u64, DbError> {
    let Some(mut lock) = app.db.try_advisory_lock("sweep").await? else {
        return Ok(0);
    };
    let (db, now) = (&app.db, || app.clock.now());
    let sessions = in_batches(&mut lock, |most| sweep_sessions(db.writer(), most, now())).await?;
    let codes = in_batches(&mut lock, |most| sweep_codes(db.writer(), most, now())).await?;
    let limits = in_batches(&mut lock, |most| sweep_limits(db.writer(), most, now())).await?;
    let devices = in_batches(&mut lock, |most| sweep_devices(db.writer(), most, now())).await?;
    lock.release().await?;
    Ok(sessions + codes + limits + devices)
}

/// Calls `delete` with a number of rows until it deletes none.
async fn in_batches<F: Future<Output = Result<u64, DbError>>>(
    lock: &mut AdvisoryLock,
    delete: impl Fn(i64) -> F,
) -> Result<u64, DbError> {
    let (mut deleted_rows, mut rows) = (0, FEWEST);
    loop {
        lock.keep_alive().await?;
        let started = Instant::now();
        let deleted = delete(rows).await?;
        if deleted == 0 {
            return Ok(deleted_rows);
        }
        deleted_rows += deleted;
        rows = next_batch(rows, started.elapsed());
        sleep(PAUSE).await;
    }
}

/// How many rows to delete after `rows` took so long. The time includes the wait for other writers, so
/// batches shrink when there are many.
fn next_batch(rows: i64, took: Duration) -> i64 {
    let rows = match took {
        _ if took > TARGET => rows / 2,
        _ if took < TARGET / 2 => rows * 2,
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
            *rows = next_batch(*rows, Duration::from_millis(1));
            Some(*rows)
        });
        assert_eq!(quick.collect::<Vec<_>>(), [100, 200, 400, 800, 1600, 2000, 2000, 2000]);
        assert_eq!(next_batch(800, Duration::from_millis(4)), 800);
        assert_eq!(next_batch(800, Duration::from_millis(6)), 400);
        assert_eq!(next_batch(60, Duration::from_secs(5)), FEWEST);
    }
}
