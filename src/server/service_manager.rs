//! What systemd is told: that the site is served, that it still works, and that it stops.

use std::future::pending;

use sd_notify::{NotifyState, notify, watchdog_enabled};
use tokio::time::{interval, timeout};

use crate::db::Db;
use crate::event::Event;

/// Tells that connections are accepted.
pub fn tell_ready() {
    tell(NotifyState::Ready);
}

/// Tells that no more connections are accepted.
pub fn tell_stopping() {
    tell(NotifyState::Stopping);
}

/// Tells again and again that this program works, if it is asked to: that its tasks run, and that the
/// database answers. Of three times, two may fail. Does not end.
pub async fn keep_informed(db: &Db) {
    let Some(limit) = watchdog_enabled() else { return pending().await };
    let mut times = interval(limit / 3);
    loop {
        times.tick().await;
        if timeout(limit / 3, db.check_readable()).await.is_ok_and(|answer| answer.is_ok()) {
            tell(NotifyState::Watchdog);
        }
    }
}

/// Does nothing without a service manager.
fn tell(state: NotifyState<'_>) {
    if let Err(error) = notify(&[state]) {
        Event::log_fault("the_service_manager_was_not_told", &error);
    }
}
