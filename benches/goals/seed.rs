//! Databases with a number of accounts and the other rows that such a site would have. They are kept in
//! `target/` and created again when the schema or this file has changed.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use vestibule::Config;
use vestibule::clock::Clock;
use vestibule::config::HashCost;
use vestibule::db::{Db, Location};
use vestibule::password_hasher::PasswordHasher;

use super::process::Folder;
use super::program::target;
use super::site::{self, FLOOR_ITERATIONS, FLOOR_MEMORY_KIB, PASSWORD, Person};

/// Rows inserted by one statement.
const BATCH: u64 = 5000;

/// Ten years: nothing expires or becomes due during a measurement.
const LATER: i64 = 10 * 365 * 24 * 60 * 60;

/// What is in a database.
#[derive(Clone, Copy)]
pub struct Seed {
    pub users: u64,
    pub sessions: u64,
    pub has_expired: bool,
}

impl Seed {
    /// The prefix of its file name.
    fn prefix(self) -> String {
        format!("{}-{}-", self.users, self.sessions)
    }
}

/// $1 is a list of `[number, user's number, session's hash, device's hash]`, $2 a past time, $3 a future
/// time, $4 the password hash.
const ROWS: [&str; 6] = [
    "insert into vestibule_users
     (id, username, username_key, email, email_key, password_hash, credential_version, created_at)
     select printf('%026d', value ->> 0), printf('user%08d', value ->> 0), printf('user%08d', value ->> 0),
         printf('user%08d@meadow.example', value ->> 0),
         printf('user%08d@meadow.example', value ->> 0), $4, 1, $2 from json_each($1)",
    "insert into vestibule_devices (token_hash, user_id, logins, last_login_at, credential_version)
     select unhex(value ->> 3), printf('%026d', value ->> 0), 1, $2, 1 from json_each($1)",
    "insert into vestibule_one_time_codes (id, user_id, attempts, codes_sent, created_at, expires_at)
     select printf('%026d', value ->> 0), printf('%026d', value ->> 0), 0, 1, $2, $3
     from json_each($1)",
    "insert into vestibule_rate_limits (subject, count, window_ends_at)
     select value ->> 2, 1, $3 from json_each($1)",
    "insert into vestibule_outbox
     (id, kind, sealed, tries, created_at, next_try_at, claimed_until, expires_at, priority)
     select printf('%026d', value ->> 0), 'new_device', zeroblob(400), 0, $2, $3, 0, $3, 2
     from json_each($1)",
    SESSIONS,
];

const SESSIONS: &str = "insert into vestibule_sessions
    (id_hash, user_id, credential_version, data, created_at, last_seen_at, expires_at)
    select unhex(value ->> 2), printf('%026d', value ->> 1), 1, json_object(
        'user_id', printf('%026d', value ->> 1), 'credential_version', 1, 'remember', json('true'),
        'username', printf('user%08d', value ->> 1)), $2, $2, $3 from json_each($1)";

/// Without this the account page would record the first use of each session in a long time.
const USE_NOW: &str = "update vestibule_sessions set created_at = $1, last_seen_at = $1";

/// A folder with a copy of the database.
pub fn copy(seed: Seed) -> Folder {
    let kept = kept(seed);
    if !kept.is_file() {
        eprintln!("creating a database of {} users and {} sessions …", seed.users, seed.sessions);
        delete_older(seed);
        run(create(seed, &kept));
    }
    let folder = Folder::new();
    let path = folder.0.join("vestibule.db");
    std::fs::copy(&kept, &path).expect("there is room for a copy");
    if !seed.has_expired {
        run(async {
            let mut on = open(&path).await;
            let update = sqlx::query(USE_NOW).bind(Clock::System.now());
            update.execute(&mut on).await.expect("the sessions are renewed");
            on.close().await.expect("it is closed");
        });
    }
    folder
}

/// The user of this number, with the cookies of their browser.
pub fn person(number: u64) -> Person {
    Person {
        name: format!("user{number:08}"),
        session: format!("vestibule={}", URL_SAFE_NO_PAD.encode(token("session", number))),
        device: format!("vestibule-device={}", device(number)),
        from: site::network(usize::try_from(number).unwrap_or_default()),
    }
}

/// Runs a future to completion.
pub fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(work)
}

fn kept(seed: Seed) -> PathBuf {
    let mut digest = Sha256::new().chain_update(include_str!("seed.rs"));
    let migrations = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut files: Vec<_> =
        std::fs::read_dir(migrations).expect("the migrations").flatten().collect();
    files.sort_by_key(std::fs::DirEntry::file_name);
    for file in files {
        digest.update(std::fs::read(file.path()).expect("a migration"));
    }
    let version = hex(&digest.finalize()[..4]);
    folder().join(format!("{}{version}.db", seed.prefix()))
}

fn folder() -> PathBuf {
    let folder = target().join("bench-databases");
    std::fs::create_dir_all(&folder).expect("target/ can be written");
    folder
}

/// Databases of an older schema are large and no longer used.
fn delete_older(seed: Seed) {
    let files = std::fs::read_dir(folder()).expect("it was just made").flatten();
    let is_older = |name: &str| name.starts_with(&seed.prefix());
    for file in files.filter(|file| file.file_name().to_str().is_some_and(is_older)) {
        let _ = std::fs::remove_file(file.path());
    }
}

/// Has another name until it is complete.
async fn create(seed: Seed, path: &Path) {
    let unfinished = path.with_extension("unfinished");
    let db = Db::open(&Location::Sqlite(unfinished.clone())).await.expect("a new database");
    db.close().await;
    let mut on = open(&unfinished).await;
    let mut tx = on.begin().await.expect("a transaction");
    let hash = weak_hash().await;
    for first in (0..seed.users.max(seed.sessions)).step_by(usize::try_from(BATCH).unwrap_or(1)) {
        insert(&mut tx, seed, first, &hash).await;
    }
    tx.commit().await.expect("the disk has room");
    on.close().await.expect("it is closed");
    std::fs::rename(&unfinished, path).expect("it can be renamed");
}

async fn open(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path).foreign_keys(false);
    let on = options.synchronous(sqlx::sqlite::SqliteSynchronous::Off).connect().await;
    on.expect("the database opens")
}

async fn insert(on: &mut SqliteConnection, seed: Seed, first: u64, hash: &str) {
    let now = Clock::System.now();
    let future = if seed.has_expired { now - 1 } else { now + LATER };
    let numbered = |count: u64| {
        let rows = (first..(first + BATCH).min(count)).map(|number| row(seed, number));
        rows.collect::<serde_json::Value>().to_string()
    };
    for statement in ROWS {
        let count = if statement == SESSIONS { seed.sessions } else { seed.users };
        let insert = sqlx::query(statement).bind(numbered(count)).bind(now).bind(future);
        insert.bind(hash).execute(&mut *on).await.expect("the disk has room");
    }
}

fn row(seed: Seed, number: u64) -> serde_json::Value {
    let session = hex(&Sha256::digest(token("session", number)));
    let device = hex(&Sha256::digest(device(number)));
    serde_json::json!([number, number % seed.users, session, device])
}

fn device(number: u64) -> String {
    URL_SAFE_NO_PAD.encode(token("device", number))
}

/// 128 pseudorandom bits, so that rows are spread over the indexes.
fn token(kind: &str, number: u64) -> [u8; 16] {
    let digest = Sha256::digest(format!("{kind} {number}"));
    std::array::from_fn(|at| digest[at])
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

async fn weak_hash() -> String {
    let cost = HashCost {
        memory_kib: FLOOR_MEMORY_KIB,
        iterations: FLOOR_ITERATIONS,
        ..Config::default().hash
    };
    let hasher = PasswordHasher::start(&cost).expect("valid parameters");
    hasher.hash(PASSWORD.as_bytes()).await.expect("the queue is empty")
}
