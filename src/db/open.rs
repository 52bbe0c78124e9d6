//! Opens a database and brings its schema to this program's version.

use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection, Executor, PgConnection, Row};
use tokio::time::timeout;

use super::connect::connect;
use super::pool::Pool;
use super::postgres::Source;
use super::server::Server;
use super::writer::Writer;
use super::{DbError, Engine};
use crate::event::{Details, Event};
use crate::permissions;

const MIGRATIONS: &[(i64, &str, &str)] = &[
    (1, "accounts", include_str!("../../migrations/0001_accounts.sql")),
    (2, "trusted devices", include_str!("../../migrations/0002_trusted_devices.sql")),
    (
        3,
        "resets without foreign key",
        include_str!("../../migrations/0003_resets_without_foreign_key.sql"),
    ),
    (4, "password set in", include_str!("../../migrations/0004_password_set_in.sql")),
    (5, "outbox order", include_str!("../../migrations/0005_outbox_order.sql")),
    (6, "one-time codes", include_str!("../../migrations/0006_one_time_codes.sql")),
];

/// Our own table, so that a host application's sqlx migrations are left alone.
const MIGRATIONS_TABLE: &str = "vestibule_migrations";

/// Connections that one node opens to PostgreSQL, whose default limit is 100 for all nodes.
const POSTGRES_CONNECTIONS: u32 = 16;

/// One node at a time. Of this schema alone, because several sites may share a database; and of a
/// transaction, because a pooler may give the next one another connection.
const MIGRATING: &str = "set local lock_timeout = 0;
    select pg_advisory_xact_lock(hashtextextended('vestibule migrations ' || current_schema(), 0))";

/// Readers beside SQLite's one writer: they never wait for it in WAL mode.
const SQLITE_READERS: u32 = 4;

fn migrator() -> Migrator {
    let migrations = MIGRATIONS.iter().map(|&(version, name, text)| {
        let text = sqlx::SqlSafeStr::into_sql_str(text);
        Migration::new(version, name.into(), MigrationType::Simple, text, false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    migrator.dangerous_set_table_name(MIGRATIONS_TABLE);
    // sqlx's own lock is one of a session.
    migrator.set_locking(false);
    migrator
}

/// The schema version that this program knows.
pub fn latest_version() -> i64 {
    MIGRATIONS.last().map_or(0, |&(version, ..)| version)
}

/// Brings the schema of `engine` to [`latest_version`].
///
/// # Errors
/// When the database is newer, cannot be written, or a migration fails.
pub(super) async fn migrate(engine: &Engine) -> Result<(), DbError> {
    let done = match engine {
        Engine::Sqlite { writer, .. } => {
            let mut guard = writer.acquire().await?;
            migrator().run(guard.connection()?).await
        }
        Engine::Postgres(pool) => migrate_postgres(pool).await,
    };
    done.map_err(|error| match error {
        MigrateError::VersionMissing(version) => DbError::TooNew(version),
        MigrateError::Execute(driver) => DbError::Driver(driver),
        other => DbError::Migrate(other),
    })
}

/// In one transaction, on a connection of its own that waits as long as another node migrates.
async fn migrate_postgres(pool: &Pool<PgConnection>) -> Result<(), MigrateError> {
    let mut connection = pool.connect().await.map_err(MigrateError::Execute)?;
    let mut tx = connection.begin().await.map_err(MigrateError::Execute)?;
    tx.execute(MIGRATING).await.map_err(MigrateError::Execute)?;
    // A pooler keeps the connection, and with it what sqlx prepares: here, and in other programs.
    tx.execute("deallocate all").await.map_err(MigrateError::Execute)?;
    migrator().run(&mut *tx).await?;
    tx.execute("deallocate all").await.map_err(MigrateError::Execute)?;
    tx.commit().await.map_err(MigrateError::Execute)?;
    connection.close().await.map_err(MigrateError::Execute)
}

/// One connection first, because a pool would only say that it waited in vain.
pub(super) async fn postgres(url: &str, wait: Duration) -> Result<Engine, DbError> {
    let server = Server::parse(url).map_err(|why| no_postgres(&why))?;
    let checked = timeout(wait, check(&server)).await;
    checked.map_err(|_| no_postgres("nothing answers within 5 seconds"))??;
    if let Some(cause) = server.weakness() {
        Event::WeakSetting.write(Details { cause: Some(&cause), ..Details::default() });
    }
    let source = Source::new(server, wait);
    let engine = Engine::Postgres(Pool::new(source, POSTGRES_CONNECTIONS, wait));
    migrate(&engine).await?;
    Ok(engine)
}

/// Whether `server` can be used as it is.
async fn check(server: &Server) -> Result<(), DbError> {
    let mut first = connect(server).await.map_err(|error| why_no_postgres(&error))?;
    let encoding = ask(&mut first, "select current_setting('server_encoding')").await?;
    if encoding != "UTF8" {
        return Err(no_postgres(&format!(
            "the database's encoding is {encoding}, and it must hold every name and address: make another with `create database NAME encoding 'UTF8' template template0`"
        )));
    }
    if server.is_per_transaction.is_none() && is_pooled_by_transaction(server, &mut first).await? {
        return Err(no_postgres(
            "a pooler gives each transaction another connection (pool_mode = transaction in pgbouncer.ini): add pgbouncer=transaction to the URL's parameters, or set pool_mode = session for this database",
        ));
    }
    first.close().await.map_err(DbError::Driver)
}

/// Whether another client got the connection of the server that `first` had, or `first` has another
/// one now.
async fn is_pooled_by_transaction(
    server: &Server,
    first: &mut PgConnection,
) -> Result<bool, DbError> {
    const BACKEND: &str = "select pg_backend_pid()::text";
    let (before, again) = (ask(first, BACKEND).await?, ask(first, BACKEND).await?);
    // When no further connection is to be had, nothing can be told.
    let Ok(mut second) = connect(server).await else { return Ok(before != again) };
    second.execute("begin").await.map_err(|error| why_no_postgres(&error))?;
    let other = ask(&mut second, BACKEND).await?;
    let last = ask(first, BACKEND).await?;
    second.close().await.map_err(DbError::Driver)?;
    Ok([again, last].iter().any(|backend| *backend != before) || other == before)
}

/// The text that `query` answers, without anything being prepared.
async fn ask(connection: &mut PgConnection, query: &'static str) -> Result<String, DbError> {
    let row = connection.fetch_one(query).await.map_err(|error| why_no_postgres(&error))?;
    Ok(row.try_get(0)?)
}

/// PostgreSQL's classes 28 (user or password) and 3D (database), and a socket that does not answer.
fn why_no_postgres(error: &sqlx::Error) -> DbError {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    let words = error.to_string();
    match (error, code.as_deref()) {
        (sqlx::Error::Tls(_), _) if words.contains("does not support TLS") => no_postgres(
            "the server offers no TLS, and over a network the password is not sent without: set ssl = on in postgresql.conf, or name a weaker sslmode in the URL",
        ),
        (sqlx::Error::Io(_) | sqlx::Error::Tls(_), _) if words.contains("certificate") => {
            no_postgres(&format!(
                "the server's certificate is refused ({words}): name its authority with sslrootcert=/path/of/ca.pem in the URL, and the host as the certificate does"
            ))
        }
        (sqlx::Error::Io(cause), _) => no_postgres(&format!(
            "no PostgreSQL answers there ({cause}): start it, or mend host and port"
        )),
        (_, Some("28P01" | "28000")) => no_postgres("PostgreSQL refuses the user or the password"),
        (_, Some("3D000")) => no_postgres("the database does not exist: make it with createdb"),
        (_, Some("08P01")) => no_postgres(&why_no_pooler(&words)),
        _ => no_postgres(&words),
    }
}

/// What `PgBouncer` refuses, with the setting that mends it.
fn why_no_pooler(words: &str) -> String {
    if words.contains("startup parameter") {
        format!(
            "a pooler refuses the connection ({words}): take `options` out of the URL and set such things with `alter role … set …`, or name them in ignore_startup_parameters in pgbouncer.ini"
        )
    } else if words.contains("statement pooling") {
        "a pooler in statement mode cannot be used: set pool_mode = session in pgbouncer.ini, or pool_mode = transaction and pgbouncer=transaction in the URL".to_owned()
    } else {
        format!("the connection is refused ({words})")
    }
}

fn no_postgres(cause: &str) -> DbError {
    DbError::Unusable { path: "VESTIBULE_DATABASE_URL".to_owned(), cause: cause.to_owned() }
}

/// Makes the file if there is none.
pub(super) async fn sqlite(path: &Path, wait: Duration) -> Result<Engine, DbError> {
    create_private(path);
    let options = sqlite_options(path).busy_timeout(wait);
    let writer = Writer::open(options.clone().create_if_missing(true), wait).await;
    let writer = writer.map_err(|error| unusable(path, error))?;
    let readers = Pool::new(options.read_only(true), SQLITE_READERS, wait);
    let engine = Engine::Sqlite { readers, writer };
    migrate(&engine).await.map_err(|error| match error {
        DbError::Driver(driver) => unusable(path, driver),
        other => other,
    })?;
    make_private(path);
    Ok(engine)
}

fn sqlite_options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        // NORMAL could, after a power cut, give back a used code or an ended session.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .pragma("trusted_schema", "OFF")
        .pragma("journal_size_limit", "16777216")
}

/// Addresses and hashes are nobody else's: a new file is made for its owner alone, and SQLite gives
/// the files beside it the same mode. What cannot be made here, SQLite reports a moment later.
fn create_private(path: &Path) {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    drop(options.open(path));
}

/// Takes the rights of other users to a database away that is open, with a line in the log.
fn make_private(path: &Path) {
    // SQLite's other files lie beside the file itself, not beside a link to it.
    let Ok(path) = path.canonicalize() else { return };
    let found = ["", "-wal", "-shm"].iter().filter_map(|end| {
        let mut file = path.clone().into_os_string();
        file.push(end);
        permissions::make_private(Path::new(&file))
    });
    let folder = path.parent().map(permissions::why_folder_not_trusted);
    for cause in found.chain(folder.and_then(Result::ok).flatten()) {
        Event::FileExposed.write(Details { cause: Some(&cause), ..Details::default() });
    }
}

fn unusable(path: &Path, error: sqlx::Error) -> DbError {
    let code =
        error.as_database_error().and_then(|cause| cause.code().map(std::borrow::Cow::into_owned));
    let number = code.and_then(|code| code.parse::<u32>().ok()).unwrap_or_default() & 0xff;
    let cause = match number {
        8 | 14 => {
            "cannot be opened or written: check that the folder exists and that this user may write to it, or set VESTIBULE_DATABASE_URL"
        }
        26 => "is not a SQLite database: move it away, or set VESTIBULE_DATABASE_URL",
        5 | 6 => "is locked by another program: stop it first",
        13 => "cannot grow: the disk is full",
        _ => return DbError::Driver(error),
    };
    DbError::Unusable { path: path.display().to_string(), cause: cause.to_owned() }
}
