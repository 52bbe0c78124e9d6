//! For tests of applications: an app of its own, a clock that the test moves, and the mailbox.
//!
//! Compiled with the feature `testing`, which belongs in `[dev-dependencies]`.
#![allow(
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use std::path::PathBuf;
use std::sync::Arc;

use tower_sessions::Session;

use crate::accounts::add_user::add_user;
use crate::accounts::email::EmailAddress;
use crate::accounts::username::Username;
use crate::app::{App, AppBuilder};
use crate::clock::Clock;
use crate::config::{Config, HashCost};
use crate::current_user::CurrentUser;
use crate::db::{Db, DbError, Location};
use crate::key::ServerKey;
use crate::models::client::Client;
use crate::models::login::Login;
use crate::models::outbox::{self, QueuedEmail};
use crate::models::session::{DATA, SqlSessionStore};
use crate::models::user::find_user;
use crate::random;
use crate::visitor::cookies;

/// The password of each [`TestApp::user`].
pub const PASSWORD: &str = "moss lantern quartz";

/// What the clock shows at first: 22 November 2026, 18:00 UTC.
const START: i64 = 1_795_370_400;

/// Weaker than any setting allows: a hash takes less than a millisecond.
const CHEAP: HashCost = HashCost { memory_kib: 64, iterations: 1, threads: 2, queue: 500 };

/// An [`App`] for one test.
#[derive(Debug)]
pub struct TestApp {
    app: App,
    /// Of the database that was made for this test.
    folder: Option<PathBuf>,
}

/// The emails that an app has sent.
#[derive(Debug)]
pub struct Mailbox<'a>(&'a App);

impl TestApp {
    /// With default settings, and an empty SQLite database that is deleted in the end.
    pub async fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("vestibule-test-{}", random::id(0)));
        std::fs::create_dir(&folder).expect("a temporary folder");
        let database = Location::Sqlite(folder.join("vestibule.db"));
        let builder = App::builder(Config { database, ..Config::default() });
        let mut test = Self::with(builder).await;
        test.folder = Some(folder);
        test
    }

    /// With the settings, pool, frame and hooks of the application. Only the clock, the key and the cost of
    /// a password hash are those of tests.
    pub async fn with(builder: AppBuilder) -> Self {
        let mut builder = builder.clock(Clock::manual(START));
        builder.config.hash = CHEAP;
        builder.config.secret = ServerKey::from_bytes(&random::bytes::<32>()).ok();
        let app = builder.accept_new_key().build().await.unwrap_or_else(|error| panic!("{error}"));
        Self { app, folder: None }
    }

    /// For the application's state and [`router`](crate::router).
    pub fn app(&self) -> &App {
        &self.app
    }

    /// Shows the same time until [`Clock::advance`] moves it, by seconds.
    pub fn clock(&self) -> &Clock {
        &self.app.clock
    }

    /// The emails so far. None leaves the process.
    pub fn mailbox(&self) -> Mailbox<'_> {
        Mailbox(&self.app)
    }

    /// Adds a user with the address `NAME@example.test` and the password [`PASSWORD`].
    pub async fn user(&self, name: &str) -> CurrentUser {
        let usernames = self.app.config.usernames;
        let email = EmailAddress::parse(&format!("{name}@example.test"));
        let email = email.unwrap_or_else(|error| panic!("{name}: {error}"));
        let username = Username::choose(name, usernames, Some(&email));
        let username = username.unwrap_or_else(|error| panic!("{name}: {error}"));
        let username = usernames.are_used().then_some(&username);
        let added = add_user(&self.app, username, &email, PASSWORD).await.expect("a new user");
        let user = added.unwrap_or_else(|| panic!("there is a user {name} already"));
        CurrentUser::new(&user, self.app.clock.now())
    }

    /// Logs `user` in, in a new browser: the value of the `Cookie` header that it sends.
    pub async fn login_as(&self, user: &CurrentUser) -> String {
        let found = find_user(self.app.db.reader(), &user.id).await.expect("a database");
        let user = found.unwrap_or_else(|| panic!("{} was deleted", user.username));
        let life = self.app.config.sessions;
        let store = SqlSessionStore::new(self.app.db.clone(), self.app.clock.clone(), life);
        let session = Session::new(None, Arc::new(store), None);
        let login = Login {
            user_id: user.id,
            credential_version: user.credential_version,
            remember: false,
            client: Client::default(),
            authenticated_at: self.app.clock.now(),
        };
        let data = serde_json::to_string(&login).expect("a login as JSON");
        session.insert(DATA, data).await.expect("a new session");
        session.save().await.expect("a session");
        let id = session.id().expect("the id of a saved session");
        format!("{}={id}", cookies::SESSION.name(&self.app.config))
    }
}

/// A connection to PostgreSQL works in the runtime that opened it.
async fn newest(app: &App) -> Result<Vec<QueuedEmail>, DbError> {
    let db = match &app.config.database {
        Location::Sqlite(_) | Location::SqlitePool(_) => app.db.clone(),
        postgres => Db::open(postgres).await?,
    };
    outbox::newest(db.reader(), &app.key, i64::MAX).await
}

impl Drop for TestApp {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

impl Mailbox<'_> {
    /// The texts of the emails to an address, the newest last.
    pub fn to(&self, address: &str) -> Vec<String> {
        let app = self.0.clone();
        // In a runtime of its own: a test cannot wait here for the one that it runs in.
        let read = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(newest(&app)).expect("a database")
        };
        let emails = std::thread::spawn(read).join().expect("the emails");
        let emails = emails.into_iter().rev().map(|queued| queued.email);
        emails.filter(|email| email.to == address).map(|email| email.text).collect()
    }
}
