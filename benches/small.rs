//! Micro-benchmarks by criterion: a hash, a session, a page, an attempt at a code.
//! `cargo bench --bench small`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a failed measurement ends the program; criterion's macros write no docs"
)]

use std::path::PathBuf;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use criterion::{Criterion, criterion_group, criterion_main};
use time::OffsetDateTime;
use tokio::runtime::Runtime;
use tower::ServiceExt;
use tower_sessions::SessionStore;
use tower_sessions::session::{Id, Record};
use vestibule::accounts::email::EmailAddress;
use vestibule::accounts::password::Password;
use vestibule::accounts::username::Username;
use vestibule::config::UsernameRule;
use vestibule::db::Location;
use vestibule::models::one_time_code::{Purpose, count_attempt, insert_code};
use vestibule::models::session::{DATA, SqlSessionStore};
use vestibule::models::user::{NewUser, User, insert_user};
use vestibule::{App, Config, random};

const HOUR: i64 = 60 * 60;

/// A site in a temporary folder.
struct Site {
    app: App,
    folder: PathBuf,
    runtime: Runtime,
}

impl Site {
    fn start() -> Self {
        let folder = std::env::temp_dir().join(format!("vestibule-small-{}", random::id(0)));
        std::fs::create_dir_all(&folder).unwrap();
        let database = Location::Sqlite(folder.join("vestibule.db"));
        let runtime = Runtime::new().unwrap();
        let app = runtime.block_on(App::start(Config { database, ..Config::default() })).unwrap();
        Self { app, folder, runtime }
    }

    async fn user(&self) -> User {
        let username = Username::parse("ann", UsernameRule::Ascii).unwrap();
        let email = EmailAddress::parse("ann@meadow.example").unwrap();
        let new = NewUser {
            username: username.as_str(),
            username_key: &username.key(email.key()),
            email: email.as_typed(),
            email_key: email.key(),
            password_hash: "none",
            password_set_in: None,
            email_verified_at: None,
            terms: None,
        };
        let now = self.app.clock.now();
        insert_user(self.app.db.writer(), new, now).await.unwrap().unwrap()
    }

    /// The session store and the id of a session of a user.
    async fn session(&self) -> (SqlSessionStore, Id) {
        let user = self.user().await;
        let (db, clock) = (self.app.db.clone(), self.app.clock.clone());
        let rows = SqlSessionStore::new(db, clock, self.app.config.sessions);
        let data = serde_json::json!({
            "user_id": user.id, "credential_version": user.credential_version, "remember": false,
        });
        let data = [(DATA.to_owned(), data)].into();
        let expiry_date = OffsetDateTime::UNIX_EPOCH;
        let mut record = Record { id: Id::default(), data, expiry_date };
        rows.create(&mut record).await.unwrap();
        (rows, record.id)
    }

    /// The id of a code without a user. Attempts at it are counted, too.
    async fn code(&self) -> String {
        let (db, now) = (&self.app.db, self.app.clock.now());
        insert_code(db.writer(), Purpose::PasswordReset, None, (1, HOUR), now).await.unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A hash with the default parameters, through the queue.
fn hash(criterion: &mut Criterion) {
    let site = Site::start();
    let password = Password::typed("moss lantern quartz");
    criterion.bench_function("a password hash", |bencher| {
        bencher
            .to_async(&site.runtime)
            .iter(|| async { site.app.hasher.hash(password.as_bytes()).await });
    });
}

/// Every page of a logged-in user reads its session first.
fn session(criterion: &mut Criterion) {
    let site = Site::start();
    let (rows, id) = site.runtime.block_on(site.session());
    criterion.bench_function("load a session", |bencher| {
        bencher.to_async(&site.runtime).iter(|| async {
            assert!(rows.load(&id).await.unwrap().is_some());
        });
    });
}

/// The login page, with all middleware.
fn page(criterion: &mut Criterion) {
    let site = Site::start();
    let router = vestibule::site(&site.app);
    criterion.bench_function("the login page", |bencher| {
        bencher.to_async(&site.runtime).iter(|| read(router.clone(), "/login"));
    });
}

async fn read(router: Router, path: &str) -> usize {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let answer = router.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    to_bytes(answer.into_body(), 1 << 20).await.unwrap().len()
}

/// A wrong attempt, counted in the database.
fn attempt(criterion: &mut Criterion) {
    let site = Site::start();
    let code = site.runtime.block_on(site.code());
    let (db, purpose) = (&site.app.db, Purpose::PasswordReset);
    criterion.bench_function("count an attempt at a code", |bencher| {
        bencher.to_async(&site.runtime).iter(|| async {
            let counted = count_attempt(db.writer(), purpose, &code, i64::MAX, 0).await;
            assert!(counted.unwrap().is_some());
        });
    });
}

criterion_group!(small, hash, session, page, attempt);
criterion_main!(small);
