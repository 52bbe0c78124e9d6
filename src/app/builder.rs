//! Starts an `App` with its settings and what a host application gives it.

use std::sync::{Arc, Mutex};

use super::hooks::{HookError, Hooks};
use super::in_flight::InFlight;
use super::server_key::{self, KeyUse};
use super::signing_keys::SigningKeyCache;
use super::{App, AppState};
use crate::assets::Assets;
use crate::clock::Clock;
use crate::config::Config;
use crate::current_user::CurrentUser;
use crate::db::{Db, DbError, Location, PgPool, SqlitePool};
use crate::frame::{Frame, PageParts};
use crate::metrics::Metrics;
use crate::models::hook_event::{HookKind, note_hook};
use crate::models::outbox::Outbox;
use crate::password_hasher::{HashError, PasswordHasher};

/// Why the site did not start. Its `Display` says what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The key file cannot be used, or the database was used with another key.
    #[error("{0}")]
    Key(String),
    /// PostgreSQL without a key: the nodes could not read one another's emails and codes.
    #[error("VESTIBULE_SECRET: missing: on PostgreSQL every node needs the same key")]
    NoKey,
    /// The threads of the password hasher did not start.
    #[error("the hash pool did not start: {0}")]
    PasswordHasher(#[from] HashError),
}

/// Made by [`App::builder`].
#[derive(Debug)]
#[must_use]
pub struct AppBuilder {
    pub(crate) config: Config,
    clock: Clock,
    frame: Option<Frame>,
    hooks: Hooks,
    key_use: KeyUse,
}

impl AppBuilder {
    pub(super) fn new(config: Config) -> Self {
        Self {
            config,
            clock: Clock::System,
            hooks: Hooks::default(),
            frame: None,
            key_use: KeyUse::Serve,
        }
    }

    /// Starts also if the key is another one than the database was used with: the codes and emails on their
    /// way are lost. Otherwise [`Self::build`] refuses it.
    pub fn accept_new_key(mut self) -> Self {
        self.key_use = KeyUse::AcceptNew;
        self
    }

    /// Only runs a command that reads: the database is opened as it is.
    pub(super) fn for_reading(mut self) -> Self {
        self.key_use = KeyUse::Read;
        self
    }

    /// Only runs a command beside a server, which decides when another key comes into force.
    pub(super) fn for_command(mut self) -> Self {
        self.key_use = KeyUse::Command;
        self
    }

    /// Uses the SQLite database that `pool` connects to; `VESTIBULE_DATABASE_URL` is ignored. Vestibule
    /// opens its own connections with the pool's options. A database in memory is shared with a pool
    /// that was connected to `sqlite::memory:`.
    pub fn sqlite(mut self, pool: SqlitePool) -> Self {
        self.config.database = Location::SqlitePool(pool);
        self
    }

    /// Uses the PostgreSQL database that `pool` connects to; `VESTIBULE_DATABASE_URL` is ignored. Vestibule
    /// opens its own connections with the pool's options, and needs `VESTIBULE_SECRET`.
    pub fn postgres(mut self, pool: PgPool) -> Self {
        self.config.database = Location::PostgresPool(pool);
        self
    }

    /// Has `frame` make the HTML of every page of Vestibule, error pages too, from its [`PageParts`].
    ///
    /// The pages keep their Content Security Policy: styles, scripts and images come from files of the
    /// same origin, nothing is inline, and forms lead to the same origin.
    pub fn frame(mut self, frame: impl Fn(PageParts) -> String + Send + Sync + 'static) -> Self {
        self.frame = Some(Frame::new(frame));
        self
    }

    /// Calls `hook` for each new account, at least once: after the commit, again if it fails or the process
    /// ends before it is done, and never twice at a time. [`crate::tasks::spawn`] runs it, in any process
    /// that set it. It has 60 seconds. `logged_in_at` is when the account was made.
    pub fn on_registered<F, Done>(mut self, hook: F) -> Self
    where
        F: Fn(CurrentUser) -> Done + Send + Sync + 'static,
        Done: Future<Output = Result<(), HookError>> + Send + 'static,
    {
        self.hooks.set(HookKind::Registered, hook);
        self
    }

    /// Calls `hook` for each account that was deleted, by the rules of [`Self::on_registered`]. The rows of
    /// the account are gone. `logged_in_at` is when it was deleted.
    pub fn on_deleted<F, Done>(mut self, hook: F) -> Self
    where
        F: Fn(CurrentUser) -> Done + Send + Sync + 'static,
        Done: Future<Output = Result<(), HookError>> + Send + 'static,
    {
        self.hooks.set(HookKind::Deleted, hook);
        self
    }

    #[doc(hidden)]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Opens and migrates the database, reads or creates the key, and starts the hash pool.
    ///
    /// # Errors
    /// With what to do, for people.
    pub async fn build(self) -> Result<App, StartError> {
        let Self { config, clock, hooks, frame, key_use } = self;
        let db = match key_use {
            KeyUse::Read => Db::open_to_read(&config.database).await?,
            _ => Db::open_for(&config.database, config.database_wait).await?,
        };
        let key = Box::pin(server_key::load(&config, &db, clock.now(), key_use)).await?;
        for kind in hooks.kinds() {
            note_hook(db.writer(), kind, clock.now()).await?;
        }
        Ok(App(Arc::new(AppState {
            hasher: PasswordHasher::start(&config.hash)?,
            hooks,
            in_flight: InFlight::default(),
            frame,
            metrics: Metrics::default(),
            touching: Mutex::default(),
            signing_keys: SigningKeyCache::default(),
            outbox: Outbox::new(key.clone(), clock.clone()),
            db,
            clock,
            key,
            assets: Arc::new(Assets::new(&config)),
            config,
        })))
    }
}
