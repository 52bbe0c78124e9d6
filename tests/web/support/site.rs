//! One site: its own database, a manual clock, cheap hashes.

use std::time::Duration;

use axum::Router;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sqlx::Connection;
use vestibule::clock::Clock;
use vestibule::config::HashCost;
use vestibule::db::{Db, Location, sql};
use vestibule::key::ServerKey;
use vestibule::models::outbox::{self, Email, QueuedEmail};
use vestibule::random;
use vestibule::{App, Config};

use super::program::Folder;
use super::{Browser, PASSWORD};

/// 22 November 2026, 18:00 UTC.
const START: i64 = 1_795_370_400;

/// A site for one test. A SQLite database is deleted when it is dropped; a PostgreSQL schema stays.
pub struct Site {
    pub app: App,
    pub router: Router,
    _folder: Folder,
}

impl Site {
    /// On SQLite, in a new folder.
    pub async fn on_sqlite() -> Self {
        Self::with(|_| ()).await
    }

    /// As [`Site::on_sqlite`], with other settings.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = Folder::new();
        let location = Location::Sqlite(folder.0.join("vestibule.db"));
        Self::start(location, folder, change).await
    }

    /// On PostgreSQL, in a new schema; `None` without PostgreSQL.
    pub async fn on_postgresql() -> Option<Self> {
        Some(Self::at(&new_schema().await?, |_| ()).await)
    }

    /// On the database at `url`.
    pub async fn at(url: &str, change: impl FnOnce(&mut Config)) -> Self {
        Self::start(Location::parse(url).unwrap(), Folder::new(), change).await
    }

    async fn start(database: Location, folder: Folder, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            database,
            hash: HashCost { memory_kib: 64, iterations: 1, threads: 2, queue: 500 },
            secret: ServerKey::from_bytes(super::KEY).ok(),
            ..Config::default()
        };
        change(&mut config);
        let app = App::start_at(config, Clock::manual(START)).await.unwrap();
        Self { router: vestibule::site(&app), app, _folder: folder }
    }

    /// The same site with other settings: same data, same clock.
    pub async fn changed(&self, change: impl FnOnce(&mut Config)) -> Browser {
        Browser::new(vestibule::site(&self.app_with(change).await))
    }

    /// As [`Site::changed`], as an `App`.
    pub async fn app_with(&self, change: impl FnOnce(&mut Config)) -> App {
        let mut config = Config::clone(&self.app.config);
        change(&mut config);
        App::start_at(config, self.app.clock.clone()).await.unwrap()
    }

    /// The same site, with requests that wait no longer than `wait` for the database.
    pub async fn impatient(&self, wait: Duration) -> Router {
        vestibule::site(&self.app_with(|config| config.database_wait = wait).await)
    }

    /// A browser of the same site while its hash queue is full, for seconds, and the work in the queue.
    pub async fn with_full_hash_queue(&self) -> (Browser, Vec<BoxFuture<'static, ()>>) {
        let slow = HashCost { memory_kib: 64 * 1024, iterations: 40, threads: 1, queue: 1 };
        let app = self.app_with(|config| config.hash = slow).await;
        let mut queued = Vec::new();
        while queued.len() < 2 {
            let pool = app.hasher.clone();
            let mut work = async move { drop(pool.hash(b"slow").await) }.boxed();
            if futures_util::poll!(&mut work).is_pending() {
                queued.push(work);
            }
            tokio::task::yield_now().await;
        }
        (Browser::new(vestibule::site(&app)), queued)
    }

    /// A browser without cookies.
    pub fn browser(&self) -> Browser {
        Browser::new(self.router.clone())
    }

    /// Advances the clock.
    pub fn wait(&self, seconds: i64) {
        self.app.clock.advance(seconds);
    }

    /// A browser in which `username` has just registered. The address counts as proved.
    pub async fn registered(&self, username: &str) -> Browser {
        let browser = self.registered_unproved(username).await;
        self.prove_addresses().await;
        browser
    }

    /// As [`Site::registered`], without a proof of the address.
    pub async fn registered_unproved(&self, username: &str) -> Browser {
        let mut browser = self.browser();
        browser.register(username, &email_of(username), PASSWORD).await;
        assert_eq!(browser.path(), "/account", "{}", browser.text());
        self.wait(1);
        browser
    }

    /// As if all owners of addresses had proved them.
    pub async fn prove_addresses(&self) {
        let prove = sql("update vestibule_users set email_verified_at = 1 where id > ''");
        prove.execute(self.db().writer()).await.unwrap();
    }

    /// As [`Site::registered`], but the page with the flash was not opened yet.
    pub async fn registered_with_notice(&self, username: &str) -> Browser {
        let mut browser = self.browser();
        let email = email_of(username);
        let fields = [
            ("username", username),
            ("email", email.as_str()),
            ("password", PASSWORD),
            ("password_confirm", PASSWORD),
        ];
        let answer = browser.post("/register", &fields).await;
        browser.keep(&answer);
        browser
    }

    /// A browser that has asked for a code for `username`, and the code from the mail.
    pub async fn with_code(&self, username: &str) -> (Browser, String) {
        let mut browser = self.browser();
        self.wait(1);
        browser.ask_for_code(username, &email_of(username)).await;
        (browser, self.newest_code().await)
    }

    /// The code in the newest email.
    pub async fn newest_code(&self) -> String {
        let mails = self.mails().await;
        let mail = mails.first().expect("a mail");
        assert!(mail.is_code(), "{}", mail.kind);
        let mut lines = mail.text.lines().map(str::trim);
        lines
            .find(|line| line.len() == 9 && line.as_bytes()[4] == b'-')
            .expect("a code on its own line")
            .to_owned()
    }

    /// Every waiting email, newest first.
    pub async fn mails(&self) -> Vec<Email> {
        self.queued().await.into_iter().map(|queued| queued.email).collect()
    }

    /// The same, with the ids of their rows.
    pub async fn queued(&self) -> Vec<QueuedEmail> {
        outbox::newest(self.app.db.reader(), &self.app.key, 1000).await.unwrap()
    }

    /// The kinds of all emails to `username`, oldest first.
    pub async fn mails_to(&self, username: &str) -> Vec<String> {
        let to = email_of(username);
        let mails = self.mails().await.into_iter().rev();
        mails.filter(|mail| mail.to == to).map(|mail| mail.kind).collect()
    }

    /// How many rows `query` (a `select count(*)`) counts.
    pub async fn count(&self, query: &'static str) -> i64 {
        sql(query).fetch_optional::<(i64,)>(self.db().reader()).await.unwrap().unwrap().0
    }

    pub fn db(&self) -> &Db {
        &self.app.db
    }
}

/// The address that tests register `username` with.
pub fn email_of(username: &str) -> String {
    format!("{username}@meadow.example")
}

/// The PostgreSQL server for tests, if there is one.
pub fn postgres_url() -> Option<String> {
    std::env::var("TEST_POSTGRES_URL").ok()
}

/// The URL of a new schema; `None` without PostgreSQL.
pub async fn new_schema() -> Option<String> {
    let url = postgres_url()?;
    let schema = format!("test_{}", random::id(0));
    let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
    let create = sqlx::AssertSqlSafe(format!("create schema {schema}"));
    sqlx::query(create).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    Some(format!("{url}?options=-csearch_path%3D{schema}"))
}
