//! `App`: what a request needs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Notify;

use crate::clock::Clock;
use crate::config::{Config, Rate};
use crate::db::{Db, DbError, Location};
use crate::error::RequestError;
use crate::models::Store;
use crate::models::email::Email;
use crate::models::hasher::{HashError, Hasher};
use crate::models::limit::{Allowance, Limited};
use crate::models::outbox::{self, Letter};
use crate::models::password::{Password, PasswordError};
use crate::secret::{KeyError, ServerKey};

/// One site. Clones share everything.
#[derive(Clone, Debug)]
pub struct App {
    /// The settings.
    pub config: Arc<Config>,
    /// Database, clock and key.
    pub store: Store,
    /// The hash pool.
    pub hasher: Hasher,
    /// Wakes the outbox's worker when a letter was posted.
    pub posted: Arc<Notify>,
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
    /// The hash pool.
    #[error("the hash pool did not start: {0}")]
    Hasher(#[from] HashError),
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
        let db = Db::open(&config.database).await?;
        let key = server_key(&config)?;
        Ok(Self {
            hasher: Hasher::start(&config.hash)?,
            store: Store { db, clock, key },
            config: Arc::new(config),
            posted: Arc::new(Notify::new()),
        })
    }

    /// Whether mail is kept for the development mailbox: no mail server is set.
    pub fn has_mailbox(&self) -> bool {
        self.config.smtp_url.is_none()
    }

    /// Counts one more of `what` by `whom`, and fails when that was one too many.
    ///
    /// # Errors
    /// [`RequestError::TooMany`] beyond the limit.
    pub async fn limit(&self, what: Limited, whom: &str) -> Result<(), RequestError> {
        match self.store.count(what, whom, self.rate(what)).await? {
            Allowance::Allowed => Ok(()),
            Allowance::Exceeded { retry_after } => {
                tracing::info!(event = "limited", limit = ?what, retry_after);
                Err(RequestError::TooMany { retry_after })
            }
        }
    }

    /// Forgets what was counted: the owner has shown up. A failure is only logged, because what
    /// the owner came for is done.
    pub async fn forgive(&self, what: Limited, whom: &str) {
        if let Err(error) = self.store.forget(what, whom, self.rate(what)).await {
            tracing::warn!(%error, limit = ?what, "failures could not be forgiven");
        }
    }

    /// A new password, judged by the site's minimum and by what a guesser would try first here.
    ///
    /// # Errors
    /// With the sentence for the visitor.
    pub fn choose_password(
        &self,
        text: &str,
        username: &str,
        email: &str,
    ) -> Result<Password, PasswordError> {
        let context = [username.trim(), email.trim(), &self.config.site_name];
        Password::choose(text, self.config.password_min, &context)
    }

    /// Posts a notice that stands alone and wakes the worker, unless its address has had too many
    /// mails: then nobody misses one more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn post(&self, letter: &Letter) -> Result<(), RequestError> {
        let address =
            Email::parse(&letter.to).map(|email| email.key().to_owned()).unwrap_or_default();
        match self.limit(Limited::MailAddress, &address).await {
            Err(RequestError::TooMany { .. }) => return Ok(()),
            other => other?,
        }
        outbox::enqueue(self.store.db.writer(), &self.store.key, &self.store.clock, letter).await?;
        self.posted.notify_one();
        Ok(())
    }

    /// What the settings say of `what`; `None` is `off`.
    pub fn rate(&self, what: Limited) -> Option<Rate> {
        let limits = &self.config.limits;
        match what {
            Limited::LoginIp => limits.login_ip,
            Limited::LoginAccount => limits.login_account,
            Limited::RegisterIp => limits.register_ip,
            Limited::ForgotIp => limits.forgot_ip,
            Limited::ForgotAccount => limits.forgot_account,
            Limited::ResetAccount => limits.reset_account,
            Limited::MailAddress => limits.mail_address,
        }
    }
}

/// The key that is set, else the one beside the SQLite file.
///
/// # Errors
/// When the file cannot be read or made.
pub fn server_key(config: &Config) -> Result<ServerKey, KeyError> {
    if let Some(secret) = &config.secret {
        return ServerKey::from_bytes(secret.expose());
    }
    match &config.database {
        Location::Sqlite(path) => ServerKey::load_or_create(&key_path(path)),
        // The settings refuse PostgreSQL without a secret before anything is opened.
        Location::Postgres(_) => ServerKey::from_bytes(&[]),
    }
}

/// `vestibule.key` in the database's folder.
pub fn key_path(database: &Path) -> PathBuf {
    database.with_file_name("vestibule.key")
}
