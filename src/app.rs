//! `App`: what a request needs.

pub(crate) mod in_flight;
pub(crate) mod signing_keys;

use std::collections::HashSet;
use std::ops::Deref;
use std::sync::{Arc, Mutex};

use crate::assets::Assets;
use crate::clock::Clock;
use crate::config::Config;
use crate::db::{Db, DbError, Location};
use crate::key::ServerKey;
use crate::models::outbox::Outbox;
use crate::password_hasher::{HashError, PasswordHasher};
use in_flight::InFlight;
use signing_keys::SigningKeyCache;

/// One site. Clones share everything and are cheap.
#[derive(Clone, Debug)]
pub struct App(Arc<AppState>);

#[doc(hidden)]
#[derive(Debug)]
pub struct AppState {
    pub config: Config,
    pub(crate) assets: Arc<Assets>,
    pub db: Db,
    pub clock: Clock,
    pub key: ServerKey,
    pub outbox: Outbox,
    pub hasher: PasswordHasher,
    pub(crate) in_flight: InFlight,
    /// The keys of the sessions whose last use is being noted.
    pub(crate) touching: Mutex<HashSet<Vec<u8>>>,
    pub(crate) signing_keys: SigningKeyCache,
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
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DbError),
    /// The key file cannot be used.
    #[error("{0}")]
    Key(String),
    /// PostgreSQL without a key: the nodes could not read one another's emails and codes.
    #[error("VESTIBULE_SECRET: missing: on PostgreSQL every node needs the same key")]
    NoKey,
    /// The threads of the password hasher did not start.
    #[error("the hash pool did not start: {0}")]
    PasswordHasher(#[from] HashError),
}

impl App {
    /// Opens and migrates the database, reads or creates the key, and starts the hash pool.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_at(config, Clock::System).await
    }

    #[doc(hidden)]
    pub async fn start_at(config: Config, clock: Clock) -> Result<Self, StartError> {
        let db = Db::open_for(&config.database, config.database_wait).await?;
        let key = match (&config.secret, &config.database) {
            (Some(key), _) => key.clone(),
            (None, Location::Sqlite(path)) => {
                let file = path.with_file_name("vestibule.key");
                ServerKey::load_or_create(&file).map_err(StartError::Key)?
            }
            (None, Location::Postgres(_)) => return Err(StartError::NoKey),
        };
        Ok(Self(Arc::new(AppState {
            hasher: PasswordHasher::start(&config.hash)?,
            in_flight: InFlight::default(),
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

    /// Whether mail is kept for the development mailbox: no mail server is set, and this is not
    /// production, where a host program may have left it out.
    pub(crate) fn has_mailbox(&self) -> bool {
        self.config.smtp.is_none() && !self.config.base_url.is_https()
    }
}
