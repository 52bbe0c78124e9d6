//! Background tasks: the mail worker and the sweep.

pub mod sweep;

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::app::App;
use crate::event::Event;
use crate::mail::worker::Worker;
use crate::mail::{MailError, Mailer};

/// Pause before a task that panicked is started again.
const PAUSE: Duration = Duration::from_secs(10);

/// The background tasks of one node. They stop when this is dropped.
#[derive(Debug)]
pub struct Tasks {
    stop: watch::Sender<bool>,
    running: JoinSet<()>,
}

/// Starts the outbox's worker and the sweeper.
///
/// # Errors
/// When the mail server's URL cannot be used.
pub fn spawn(app: &App) -> Result<Tasks, MailError> {
    Ok(spawn_with(app, Mailer::from_config(&app.config)?))
}

/// As [`spawn`], with a mailer that was made before.
pub(crate) fn spawn_with(app: &App, mailer: Option<Mailer>) -> Tasks {
    let (stop, stopped) = watch::channel(false);
    let mut running = JoinSet::new();
    let (site, told) = (app.clone(), stopped.clone());
    running.spawn(keep_running("outbox", PAUSE, stopped.clone(), move || {
        Worker::new(site.db.clone(), site.outbox.clone(), mailer.clone()).run(told.clone())
    }));
    let (site, told) = (app.clone(), stopped.clone());
    running.spawn(keep_running("sweep", PAUSE, stopped, move || {
        sweep::run(site.clone(), told.clone())
    }));
    Tasks { stop, running }
}

/// Restarts a task that panicked: mail must not wait until the program is restarted. Ends when the task
/// does.
async fn keep_running<F: Future<Output = ()> + Send + 'static>(
    name: &'static str,
    pause: Duration,
    mut stop: watch::Receiver<bool>,
    start: impl Fn() -> F,
) {
    loop {
        // A set, so that the task ends with this one.
        let mut task = JoinSet::new();
        task.spawn(start());
        if let Some(Ok(())) | None = task.join_next().await {
            return;
        }
        Event::log_fault("a_background_task_panicked", &name);
        if timeout(pause, stop.wait_for(|stopped| *stopped)).await.is_ok() {
            return;
        }
    }
}

impl Tasks {
    /// Stops each when its current work is done.
    pub async fn finish(mut self) {
        let _ = self.stop.send(true);
        while self.running.join_next().await.is_some() {}
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
        let again = || {
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
