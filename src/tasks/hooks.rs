//! Runs the hooks of a host application, each until it succeeds.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::app::{App, HookError};
use crate::db::DbError;
use crate::event::Event;
use crate::models::hook_event::{
    HookEvent, HookKind, MAX_WAIT, claim_event, delete_event, reschedule_event,
};

/// How often the table is read for what other processes enqueued, and for what is due again.
const POLL: Duration = Duration::from_secs(2);

/// How long a hook may run: less than the lease of its event, so that no other process runs it as well.
const TIME_LIMIT: Duration = Duration::from_mins(1);

/// Runs hooks until `stop` turns true, then finishes the round of [`run_next`].
pub async fn run(app: App, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        match run_next(&app).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => Event::log_fault("hooks_wait", &error),
        }
        tokio::select! {
            () = async { drop(stop.wait_for(|stopped| *stopped).await) } => break,
            () = app.hooks.wakeup.notified() => {}
            () = sleep(POLL) => {}
        }
    }
}

/// Runs the next hook of each kind that is due, and returns whether there was one. In turn: a backlog of
/// one kind delays no other.
pub async fn run_next(app: &App) -> Result<bool, DbError> {
    let mut has_run = false;
    for kind in app.hooks.kinds() {
        has_run |= run_next_of(app, kind).await?;
    }
    Ok(has_run)
}

async fn run_next_of(app: &App, kind: HookKind) -> Result<bool, DbError> {
    let claimed = claim_event(&app.db, kind, app.clock.now()).await?;
    let Some(event) = claimed else { return Ok(false) };
    let Err(cause) = run_hook(app, kind, &event).await else {
        delete_event(app.db.writer(), &event).await?;
        return Ok(true);
    };
    let (wait, tries) = (wait_after(event.tries), event.tries);
    let (hook, account) = (kind.name(), event.user_id.as_str());
    Event::HookFailed { cause: &cause, hook, account, tries, wait }.write();
    reschedule_event(app.db.writer(), &event, app.clock.now() + wait).await?;
    Ok(true)
}

async fn run_hook(app: &App, kind: HookKind, event: &HookEvent) -> Result<(), HookError> {
    let user = serde_json::from_str(&event.user_json)?;
    let hook = AssertUnwindSafe(app.hooks.run(kind, user)).catch_unwind();
    match timeout(TIME_LIMIT, hook).await {
        Ok(Ok(done)) => done,
        Ok(Err(_panic)) => Err("it panicked".into()),
        Err(_) => Err("it took too long".into()),
    }
}

/// Seconds before the next try: 2, 4, 8 … up to an hour.
fn wait_after(tries: i64) -> i64 {
    let doublings = u32::try_from(tries).unwrap_or(u32::MAX).min(12);
    (1_i64 << doublings).min(MAX_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_an_hour() {
        assert_eq!([1, 2, 11, 12, 1000].map(wait_after), [2, 4, 2048, 3600, 3600]);
    }
}
