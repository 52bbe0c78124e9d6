//! Deletes expired sessions, codes, links, counters, devices, history, the log of mail, reserved usernames,
//! registrations and emails of the development mailbox, on one node at a time.

use std::time::Duration;

use tokio::time::sleep;

use crate::accounts::approval::tell_operator_of_others;
use crate::app::{App, server_key};
use crate::db::{AdvisoryLock, DbError};
use crate::event::Event;
use crate::models::expired::Expired;
use crate::models::hook_event::{note_hook, rebase_events, sweep_hook_events};
use crate::models::{
    device, history, mail_link, mail_log, one_time_code, outbox, rate_limit, registration,
    reserved_username, ticket, user_session,
};

/// What is deleted.
const EXPIRED: [Expired; 10] = [
    user_session::EXPIRED,
    one_time_code::EXPIRED,
    rate_limit::EXPIRED,
    ticket::EXPIRED,
    device::EXPIRED,
    history::EXPIRED,
    mail_link::EXPIRED,
    mail_log::EXPIRED,
    reserved_username::EXPIRED,
    registration::EXPIRED,
];

/// How often a sweep starts.
const SWEEP_INTERVAL: Duration = Duration::from_mins(10);

/// Rows of one statement: it blocks SQLite's one writer for some milliseconds.
const BATCH_ROWS: i64 = 100;

/// Pause between two batches, for the writers that wait.
const BATCH_PAUSE: Duration = Duration::from_millis(20);

/// Sweeps every ten minutes. Does not end.
pub async fn run(app: App) {
    loop {
        if let Err(error) = sweep(&app).await {
            Event::log_fault("what_has_expired_was_not_cleared_away", &error);
        }
        sleep(SWEEP_INTERVAL).await;
    }
}

/// Deletes all expired rows and returns how many: none while another node sweeps.
pub async fn sweep(app: &App) -> Result<u64, DbError> {
    let Some(mut lock) = app.db.try_advisory_lock("sweep").await? else {
        return Ok(0);
    };
    let (db, now) = (&app.db, app.clock.now());
    for kind in app.hooks.kinds() {
        note_hook(db.writer(), kind, now).await?;
        rebase_events(db.writer(), kind, now).await?;
    }
    let mut total = in_batches(&mut lock, || sweep_hook_events(db, BATCH_ROWS, now)).await?;
    for expired in EXPIRED {
        total += in_batches(&mut lock, || expired.delete(db.writer(), BATCH_ROWS, now)).await?;
    }
    tell_operator_of_others(app).await;
    server_key::forget_old_keys(app).await;
    if app.config.smtp.is_none() {
        outbox::trim_mailbox(db.writer(), now).await?;
    }
    lock.release().await?;
    Ok(total)
}

/// Calls `delete` until it deletes nothing, and returns how many rows it deleted.
async fn in_batches<F: Future<Output = Result<u64, DbError>>>(
    lock: &mut AdvisoryLock,
    delete: impl Fn() -> F,
) -> Result<u64, DbError> {
    let mut total = 0;
    loop {
        lock.keep_alive().await?;
        let deleted = delete().await?;
        if deleted == 0 {
            return Ok(total);
        }
        total += deleted;
        sleep(BATCH_PAUSE).await;
    }
}
