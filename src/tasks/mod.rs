//! What runs beside the requests: sending mail, clearing away what has expired.

pub mod outbox;
pub mod sweep;

use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::app::App;
use crate::config::Config;
use crate::mail::{MailError, Mailer};
use crate::models::outbox as letters;

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
    Ok(spawn_with(app, mailer(&app.config)?))
}

/// As [`spawn`], with a mailer that was made before, which reads the certificates.
pub(crate) fn spawn_with(app: &App, mailer: Option<Mailer>) -> Tasks {
    let (stop, stopped) = watch::channel(false);
    let mut running = JoinSet::new();
    let store = app.store.clone();
    let worker =
        outbox::Worker::new(store.db.clone(), store.key.clone(), store.clock.clone(), mailer);
    running.spawn(worker.run(app.posted.clone(), stopped.clone()));
    running.spawn(sweep::run(app.store.clone(), stopped));
    Tasks { stop, running }
}

/// The way to the mail server; `None` when mail stays in the development mailbox.
///
/// # Errors
/// When the mail server's URL cannot be used.
pub fn mailer(config: &Config) -> Result<Option<Mailer>, MailError> {
    let url = config.smtp_url.as_ref();
    url.map(|url| Mailer::new(url.expose(), &config.mail_from, config.base_url.host())).transpose()
}

/// After a crash of the only node, letters that it was sending would wait for their claim to end.
///
/// # Errors
/// When the database fails.
pub async fn take_over(app: &App) -> Result<u64, crate::db::DbError> {
    letters::release_claims(&app.store.db).await
}

impl Tasks {
    /// Lets each finish what it is at.
    pub async fn finish(mut self) {
        let _ = self.stop.send(true);
        while self.running.join_next().await.is_some() {}
    }
}
