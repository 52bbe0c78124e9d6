//! The database of a host application, by the host's own pool.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{PgPool, SqlitePool};
use vestibule::app::AppBuilder;
use vestibule::clock::Clock;
use vestibule::config::HashCost;
use vestibule::key::ServerKey;
use vestibule::{App, Config};

use super::program::Folder;
use super::{Browser, KEY, PASSWORD, email_of, new_schema};

/// 22 November 2026, 18:00 UTC.
pub const START: i64 = 1_795_370_400;

/// A host application's database, which Vestibule shares.
pub struct HostDatabase {
    pub pool: HostPool,
    pub folder: Folder,
    clock: Clock,
}

pub enum HostPool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl HostDatabase {
    /// A SQLite file, a SQLite database in memory, and PostgreSQL if the tests have it.
    pub async fn all() -> Vec<Self> {
        let mut all = vec![Self::in_a_file().await, Self::in_memory().await];
        if let Some(url) = new_schema().await {
            all.push(Self::of(HostPool::Postgres(PgPool::connect(&url).await.unwrap())));
        }
        all
    }

    /// The file `host.db` in the folder.
    pub async fn in_a_file() -> Self {
        let folder = Folder::new();
        let options = SqliteConnectOptions::new().filename(folder.0.join("host.db"));
        let pool = SqlitePool::connect_with(options.create_if_missing(true)).await.unwrap();
        Self { folder, ..Self::of(HostPool::Sqlite(pool)) }
    }

    pub async fn in_memory() -> Self {
        Self::of(HostPool::Sqlite(SqlitePool::connect("sqlite::memory:").await.unwrap()))
    }

    fn of(pool: HostPool) -> Self {
        Self { pool, folder: Folder::new(), clock: Clock::manual(START) }
    }

    /// A builder that was given the pool. All that it builds have one clock.
    pub fn builder(&self) -> AppBuilder {
        let config = Config {
            hash: HashCost { memory_kib: 64, iterations: 1, threads: 2, queue: 500 },
            secret: ServerKey::from_bytes(KEY).ok(),
            ..Config::default()
        };
        let builder = App::builder(config).clock(self.clock.clone());
        match &self.pool {
            HostPool::Sqlite(pool) => builder.sqlite(pool.clone()),
            HostPool::Postgres(pool) => builder.postgres(pool.clone()),
        }
    }

    /// Advances the clock.
    pub fn wait(&self, seconds: i64) {
        self.clock.advance(seconds);
    }

    /// Runs statements as the host.
    pub async fn run(&self, text: &'static str) {
        match &self.pool {
            HostPool::Sqlite(pool) => drop(sqlx::raw_sql(text).execute(pool).await.unwrap()),
            HostPool::Postgres(pool) => drop(sqlx::raw_sql(text).execute(pool).await.unwrap()),
        }
    }

    /// The number that `query` selects, as the host.
    pub async fn count(&self, query: &'static str) -> i64 {
        match &self.pool {
            HostPool::Sqlite(pool) => sqlx::query_scalar(query).fetch_one(pool).await.unwrap(),
            HostPool::Postgres(pool) => sqlx::query_scalar(query).fetch_one(pool).await.unwrap(),
        }
    }
}

/// Registers `username` in a browser of `app`.
pub async fn register(app: &App, username: &str) -> Browser {
    let mut browser = Browser::new(vestibule::site(app));
    browser.register(username, &email_of(username), PASSWORD).await;
    assert_eq!(browser.path(), "/account", "{}", browser.text());
    browser
}
