//! An outbox with its worker, each on a new database.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sqlx::AssertSqlSafe;
use tokio::time::timeout;
use tokio_rustls::rustls::pki_types::CertificateDer;
use vestibule::clock::Clock;
use vestibule::config::{Sender, SmtpServer};
use vestibule::db::{Db, Location, sql};
use vestibule::key::ServerKey;
use vestibule::mail::Mailer;
use vestibule::mail::worker::Worker;
use vestibule::models::outbox::{self, ClaimFilter, Email, Outbox, QueuedEmail};

use super::smtp::FakeSmtp;

pub const START: i64 = 1_795_371_600;
pub const DAY: i64 = 24 * 60 * 60;

/// The URL of a mail server that no test connects to.
pub const NO_SERVER: &str = "smtp://127.0.0.1:9";

/// An outbox, its worker and the clock of both.
pub struct TestOutbox {
    pub db: Db,
    pub key: ServerKey,
    pub clock: Clock,
    pub outbox: Outbox,
    pub worker: Worker,
    pub database: TestDatabase,
    pub location: Location,
}

pub enum TestDatabase {
    Sqlite(PathBuf),
    Postgres { url: String, schema: String },
}

impl TestDatabase {
    /// SQLite, and PostgreSQL if `TEST_POSTGRES_URL` is set.
    pub async fn all() -> Vec<(Self, Location)> {
        let mut databases = vec![Self::sqlite()];
        if let Ok(url) = std::env::var("TEST_POSTGRES_URL") {
            let name = format!("outbox_{}", vestibule::random::id(0));
            run_on_postgres(&url, format!("create schema {name}")).await;
            let separator = if url.contains('?') { '&' } else { '?' };
            let own = format!("{url}{separator}options=-c%20search_path%3D{name}");
            databases.push((Self::Postgres { url, schema: name }, Location::parse(&own).unwrap()));
        }
        databases
    }

    /// A new SQLite file.
    pub fn sqlite() -> (Self, Location) {
        let file = std::env::temp_dir().join(format!("outbox_{}.db", vestibule::random::id(0)));
        (Self::Sqlite(file.clone()), Location::Sqlite(file))
    }

    pub async fn remove(self) {
        match self {
            Self::Sqlite(file) => {
                for end in ["", "-wal", "-shm"] {
                    std::fs::remove_file(format!("{}{end}", file.display())).ok();
                }
            }
            Self::Postgres { url, schema } => {
                run_on_postgres(&url, format!("drop schema {schema} cascade")).await;
            }
        }
    }
}

async fn run_on_postgres(url: &str, statement: String) {
    let pool = sqlx::PgPool::connect(url).await.unwrap();
    sqlx::query(AssertSqlSafe(statement)).execute(&pool).await.unwrap();
    pool.close().await;
}

/// A mailer of `site.example`, whose name is not ASCII.
pub fn mailer(url: &str) -> Arc<Mailer> {
    mailer_trusting(url, Vec::new())
}

/// The same, which trusts further certificates.
pub fn mailer_trusting(url: &str, ca: Vec<CertificateDer<'static>>) -> Arc<Mailer> {
    let sender = Sender { name: "Käse".to_owned(), address: "no-reply@site.example".to_owned() };
    let server = SmtpServer { ca, ..SmtpServer::parse(url).unwrap() };
    Arc::new(Mailer::new(server, &sender, "site.example").unwrap())
}

/// Some email, for a day from [`START`].
pub fn email(to: &str) -> Email {
    Email {
        kind: "password_changed".to_owned(),
        to: to.to_owned(),
        subject: "Your password was changed".to_owned(),
        text: format!("Hello,\n\n.a line with a dot, für {to}\n"),
        html: "<p>Hello</p>\n".to_owned(),
        expires_at: START + DAY,
    }
}

/// An email with a code that lives for ten minutes.
pub fn code(to: &str) -> Email {
    Email { kind: "reset_code".to_owned(), expires_at: START + 600, ..email(to) }
}

impl TestOutbox {
    pub async fn open(database: (TestDatabase, Location), url: &str) -> Self {
        let db = Db::open(&database.1).await.unwrap();
        let key = ServerKey::from_bytes(super::KEY).unwrap();
        let clock = Clock::manual(START);
        let outbox = Outbox::new(key.clone(), clock.clone());
        let worker = Worker::new(db.clone(), outbox.clone(), mailer(url));
        Self { db, key, clock, outbox, worker, database: database.0, location: database.1 }
    }

    /// A worker that mails to another server.
    pub fn worker_for(&self, server: &FakeSmtp) -> Worker {
        Worker::new(self.db.clone(), self.outbox.clone(), mailer(&server.url()))
    }

    /// One for each kind of database.
    pub async fn all(url: &str) -> Vec<Self> {
        let mut queues = Vec::new();
        for database in TestDatabase::all().await {
            queues.push(Self::open(database, url).await);
        }
        queues
    }

    pub async fn put(&self, email: &Email) -> String {
        self.put_into(&self.outbox, email).await
    }

    pub async fn put_into(&self, outbox: &Outbox, email: &Email) -> String {
        let mut tx = self.db.begin().await.unwrap();
        let id = outbox.enqueue(&mut tx, email, None).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    /// An email to each of `ann0@example.com`, `ann1@example.com`, …
    pub async fn put_many(&self, count: usize) {
        for number in 0..count {
            self.put(&email(&format!("ann{number}@example.com"))).await;
        }
    }

    /// Claims the emails that are due at `now`, at most `max`.
    pub async fn claim(&self, now: i64, max: usize) -> Vec<QueuedEmail> {
        let mut claimed = Vec::new();
        while claimed.len() < max {
            let email =
                outbox::claim(&self.db, &self.key, now, &ClaimFilter::default()).await.unwrap();
            let Some(email) = email else { break };
            claimed.push(email);
        }
        claimed
    }

    pub async fn deliver(&mut self) {
        let delivered = timeout(Duration::from_mins(1), self.worker.deliver_due()).await.unwrap();
        // A failure of the database is what some tests are about.
        drop(delivered);
    }

    /// How many emails are in the outbox.
    pub async fn waiting(&self) -> i64 {
        let count =
            sql("select count(*) from vestibule_outbox").fetch_optional::<(i64,)>(self.db.reader());
        count.await.unwrap().unwrap().0
    }

    /// The tries of the only email, and until when it is claimed.
    pub async fn tries_and_claim(&self) -> (i64, i64) {
        let row = sql("select tries, claimed_until from vestibule_outbox")
            .fetch_optional(self.db.reader());
        row.await.unwrap().unwrap()
    }

    pub async fn run(&self, statement: &'static str) {
        sql(statement).execute(self.db.writer()).await.unwrap();
    }

    pub async fn close(self) {
        self.db.close().await;
        self.database.remove().await;
    }
}
