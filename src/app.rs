//! `App`: what a request needs.

mod builder;
mod hooks;
pub(crate) mod in_flight;
pub(crate) mod server_key;
pub(crate) mod signing_keys;

use std::collections::HashSet;
use std::ops::Deref;
use std::sync::{Arc, Mutex};

use crate::assets::Assets;
use crate::clock::Clock;
use crate::config::Config;
use crate::db::Db;
use crate::frame::Frame;
use crate::key::ServerKey;
use crate::metrics::Metrics;
use crate::models::outbox::Outbox;
use crate::password_hasher::PasswordHasher;
pub use builder::{AppBuilder, StartError};
pub use hooks::{HookError, Hooks};
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
    pub metrics: Metrics,
    pub hasher: PasswordHasher,
    pub(crate) hooks: Hooks,
    pub(crate) in_flight: InFlight,
    /// The host application's own, around our pages.
    pub(crate) frame: Option<Frame>,
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

impl App {
    /// Starts an app whose database and key are those of `config`.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::builder(config).build().await
    }

    /// Starts an app for a command, which may run beside a server. Unlike [`App::start`], it puts no rotated
    /// key into force.
    pub async fn for_command(config: Config) -> Result<Self, StartError> {
        Self::builder(config).for_command().build().await
    }

    /// As [`App::for_command`], for a command that reads: it neither migrates the database nor waits for who
    /// writes to it.
    pub async fn for_reading(config: Config) -> Result<Self, StartError> {
        config.database.require_existing()?;
        Self::builder(config).for_reading().build().await
    }

    #[doc(hidden)]
    pub async fn start_at(config: Config, clock: Clock) -> Result<Self, StartError> {
        Self::builder(config).clock(clock).build().await
    }

    /// Starts an app in a host application, which may give it a database and hooks.
    pub fn builder(config: Config) -> AppBuilder {
        AppBuilder::new(config)
    }

    /// Whether mail is kept for the development mailbox: no mail server is set, and this is not
    /// production, where a host program may have left it out.
    pub(crate) fn has_mailbox(&self) -> bool {
        self.config.smtp.is_none() && !self.config.base_url.is_https()
    }
}
