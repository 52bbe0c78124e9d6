//! Background tasks: the mail worker, the hooks, the sweep and the measuring of imported hashes.

pub mod hooks;
pub mod imported_hashes;
pub mod sweep;

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::app::App;
use crate::event::Event;
use crate::mail::worker::Worker;
use crate::mail::{MailError, Mailer};

/// Pause before a task that panicked is started again.
const RESTART_PAUSE: Duration = Duration::from_secs(10);

/// The background tasks of one node. They stop when this is dropped.
#[derive(Debug)]
pub struct Tasks {
    stop: watch::Sender<bool>,
    running: JoinSet<()>,
}

/// Starts the mail worker, the hooks, the sweep and the measuring of imported hashes.
///
/// # Errors
/// When no mail can be sent with the settings of `app`.
pub fn spawn(app: &App) -> Result<Tasks, MailError> {
    Ok(spawn_with(app, Mailer::from_config(&app.config)?))
}

/// As [`spawn`], with a mailer that was made before.
pub(crate) fn spawn_with(app: &App, mailer: Option<Mailer>) -> Tasks {
    let mut tasks = Tasks { stop: watch::Sender::new(false), running: JoinSet::new() };
    if let Some(mailer) = mailer.map(Arc::new) {
        let app = app.clone();
        tasks.spawn("outbox", move |stop| {
            let worker = Worker::new(app.db.clone(), app.outbox.clone(), Arc::clone(&mailer));
            worker.counting(app.metrics.clone()).run(stop)
        });
    }
    if !app.hooks.kinds().is_empty() {
        let app = app.clone();
        tasks.spawn("hooks", move |stop| hooks::run(app.clone(), stop));
    }
    let sweeping = app.clone();
    tasks.spawn("sweep", move |stop| until(stop, sweep::run(sweeping.clone())));
    let app = app.clone();
    tasks.spawn("imported hashes", move |stop| until(stop, imported_hashes::run(app.clone())));
    tasks
}

impl Tasks {
    fn spawn<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        name: &'static str,
        start: impl Fn(watch::Receiver<bool>) -> F + Send + 'static,
    ) {
        self.running.spawn(keep_running(name, RESTART_PAUSE, self.stop.subscribe(), start));
    }

    /// Stops each task when its current work is done.
    pub async fn finish(mut self) {
        self.stop.send_replace(true);
        while self.running.join_next().await.is_some() {}
    }
}

/// Drops `work` when `stop` turns true.
async fn until(mut stop: watch::Receiver<bool>, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        _ = stop.wait_for(|stopped| *stopped) => {}
    }
}

/// Restarts a task that panicked: mail must not wait until the program is restarted. Ends when the task
/// does.
async fn keep_running<F: Future<Output = ()> + Send + 'static>(
    name: &'static str,
    pause: Duration,
    mut stop: watch::Receiver<bool>,
    start: impl Fn(watch::Receiver<bool>) -> F,
) {
    loop {
        if AssertUnwindSafe(start(stop.clone())).catch_unwind().await.is_ok() {
            return;
        }
        Event::log_fault("a_background_task_panicked", &name);
        if timeout(pause, stop.wait_for(|stopped| *stopped)).await.is_ok() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_is_restarted_until_it_ends_or_is_stopped() {
        let starts = Arc::new(AtomicUsize::new(0));
        let again = |_| {
            let starts = Arc::clone(&starts);
            async move { assert!(starts.fetch_add(1, Ordering::SeqCst) >= 2, "a bug") }
        };
        let (stop, stopped) = watch::channel(false);
        keep_running("test", Duration::ZERO, stopped.clone(), again).await;
        assert_eq!(starts.swap(0, Ordering::SeqCst), 3);
        stop.send(true).unwrap();
        keep_running("test", Duration::from_hours(1), stopped, again).await;
        assert_eq!(starts.load(Ordering::SeqCst), 1);
    }
}
