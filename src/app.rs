//! `App`: what a request needs.

pub(crate) mod in_flight;

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::assets::Assets;
use crate::clock::Clock;
use crate::config::Config;
use crate::db::{Db, DbError, Location};
use crate::key::{KeyError, ServerKey};
use crate::models::outbox::Outbox;
use crate::password_hasher::{HashError, PasswordHasher};
use in_flight::InFlight;

/// One site. Clones share everything, and cost no more than a counter: each layer of a request has
/// one.
#[derive(Clone, Debug)]
pub struct App(Arc<AppState>);

/// What a site consists of.
#[derive(Debug)]
pub struct AppState {
    /// The settings.
    pub config: Arc<Config>,
    /// The static files, branded as the settings say.
    pub(crate) assets: Arc<Assets>,
    /// Where the rows are.
    pub db: Db,
    /// What time it is.
    pub clock: Clock,
    /// What digests are keyed and emails are sealed with.
    pub key: ServerKey,
    /// Where emails are enqueued.
    pub outbox: Outbox,
    /// The hash pool.
    pub hasher: PasswordHasher,
    /// Attempts at passwords and codes that are counted and not decided yet.
    pub(crate) in_flight: InFlight,
}

impl Deref for App {
    type Target = AppState;

    fn deref(&self) -> &AppState {
        &self.0
    }
}

/// Why the site did not start. Its `Display` says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The server's key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// PostgreSQL without a key: the nodes could not read one another's mails and codes.
    #[error("VESTIBULE_SECRET: missing: on PostgreSQL every node needs the same key")]
    NoKey,
    /// The hash pool.
    #[error("the hash pool did not start: {0}")]
    PasswordHasher(#[from] HashError),
}

impl App {
    /// Opens the database, making and migrating it, reads or makes the key, starts the hash pool.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_at(config, Clock::System).await
    }

    /// As [`App::start`], at the time that `clock` shows.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start_at(config: Config, clock: Clock) -> Result<Self, StartError> {
        let db = Db::open_for(&config.database, config.database_wait).await?;
        let key = server_key(&config)?;
        Ok(Self(Arc::new(AppState {
            hasher: PasswordHasher::start(&config.hash)?,
            in_flight: InFlight::default(),
            outbox: Outbox::new(key.clone(), clock.clone()),
            db,
            clock,
            key,
            assets: Arc::new(Assets::new(&config)),
            config: Arc::new(config),
        })))
    }

    /// Whether mail is kept for the development mailbox: no mail server is set, and this is not
    /// production, where the settings ask for one and a host program may not have.
    pub(crate) fn has_mailbox(&self) -> bool {
        self.config.smtp.is_none() && !self.config.base_url.is_https()
    }
}

/// The key that is set, else the one beside the SQLite file.
///
/// # Errors
/// When the file cannot be read or made.
fn server_key(config: &Config) -> Result<ServerKey, StartError> {
    if let Some(key) = &config.secret {
        return Ok(key.clone());
    }
    match &config.database {
        Location::Sqlite(path) => Ok(ServerKey::load_or_create(&key_path(path))?),
        Location::Postgres(_) => Err(StartError::NoKey),
    }
}

/// `vestibule.key` in the database's folder.
fn key_path(database: &Path) -> PathBuf {
    database.with_file_name("vestibule.key")
}
