//! Deletes expired sessions, codes, links, counters, devices, history, the log of mail, reserved usernames,
//! registrations and emails of the development mailbox, on one node at a time.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::accounts::approval::tell_operator_of_others;
use crate::app::{App, server_key};
use crate::db::{AdvisoryLock, DbError};
use crate::event::Event;
use crate::models::device::sweep_devices;
use crate::models::history::sweep_history;
use crate::models::hook_event::{note_hook, rebase_events, sweep_hook_events};
use crate::models::mail_link::sweep_links;
use crate::models::mail_log::sweep_mails;
use crate::models::one_time_code::sweep_codes;
use crate::models::outbox;
use crate::models::rate_limit::sweep_limits;
use crate::models::registration::sweep_registrations;
use crate::models::reserved_username::sweep_reserved_usernames;
use crate::models::ticket::sweep_tickets;
use crate::models::user_session::sweep_sessions;

/// How often a sweep starts.
const SWEEP_INTERVAL: Duration = Duration::from_mins(10);

/// Rows of one statement: it blocks SQLite's one writer for some milliseconds.
const BATCH_ROWS: i64 = 100;

/// Pause between two batches, for the writers that wait.
const BATCH_PAUSE: Duration = Duration::from_millis(20);

/// Sweeps every ten minutes until `stop` turns true.
pub async fn run(app: App, mut stop: watch::Receiver<bool>) {
    let sweeping = async {
        loop {
            if let Err(error) = sweep(&app).await {
                Event::log_fault("what_has_expired_was_not_cleared_away", &error);
            }
            sleep(SWEEP_INTERVAL).await;
        }
    };
    tokio::select! {
        () = sweeping => {}
        _ = stop.wait_for(|stopped| *stopped) => {}
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
    let hooks = in_batches(&mut lock, || sweep_hook_events(db, BATCH_ROWS, now)).await?;
    let sessions = in_batches(&mut lock, || sweep_sessions(db.writer(), BATCH_ROWS, now)).await?;
    let codes = in_batches(&mut lock, || sweep_codes(db.writer(), BATCH_ROWS, now)).await?;
    let limits = in_batches(&mut lock, || sweep_limits(db.writer(), BATCH_ROWS, now)).await?;
    let tickets = in_batches(&mut lock, || sweep_tickets(db.writer(), BATCH_ROWS, now)).await?;
    let devices = in_batches(&mut lock, || sweep_devices(db.writer(), BATCH_ROWS, now)).await?;
    let history = in_batches(&mut lock, || sweep_history(db.writer(), BATCH_ROWS, now)).await?;
    let links = in_batches(&mut lock, || sweep_links(db.writer(), BATCH_ROWS, now)).await?;
    let mails = in_batches(&mut lock, || sweep_mails(db.writer(), BATCH_ROWS, now)).await?;
    let names =
        in_batches(&mut lock, || sweep_reserved_usernames(db.writer(), BATCH_ROWS, now)).await?;
    let registrations =
        in_batches(&mut lock, || sweep_registrations(db.writer(), BATCH_ROWS, now)).await?;
    tell_operator_of_others(app).await;
    server_key::forget_old_keys(app).await;
    if app.config.smtp.is_none() {
        outbox::trim_mailbox(db.writer(), now).await?;
    }
    lock.release().await?;
    Ok(hooks
        + sessions
        + codes
        + limits
        + tickets
        + devices
        + history
        + links
        + mails
        + names
        + registrations)
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
