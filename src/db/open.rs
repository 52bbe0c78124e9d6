//! Opens a database and brings its schema to this program's version.

use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection, Executor, PgConnection};
use tokio::time::timeout;

use super::pool::Pool;
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
];

/// Our own table, so that a host application's sqlx migrations are left alone.
const MIGRATIONS_TABLE: &str = "vestibule_migrations";

/// Connections that one node opens to PostgreSQL, whose default limit is 100 for all nodes.
const POSTGRES_CONNECTIONS: u32 = 16;

/// No transaction is left open: the next one finds the rows free.
const POSTGRES_IDLE: (&str, &str) = ("idle_in_transaction_session_timeout", "30s");

/// Readers beside SQLite's one writer: they never wait for it in WAL mode.
const SQLITE_READERS: u32 = 4;

fn migrator() -> Migrator {
    let migrations = MIGRATIONS.iter().map(|&(version, name, text)| {
        let text = sqlx::SqlSafeStr::into_sql_str(text);
        Migration::new(version, name.into(), MigrationType::Simple, text, false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    migrator.dangerous_set_table_name(MIGRATIONS_TABLE);
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
            let mut loan = writer.alone().await?;
            migrator().run(loan.connection()?).await
        }
        Engine::Postgres(pool) => migrate_postgres(pool).await,
    };
    done.map_err(|error| match error {
        MigrateError::VersionMissing(version) => DbError::TooNew(version),
        MigrateError::Execute(driver) => DbError::Driver(driver),
        other => DbError::Migrate(other),
    })
}

/// On a connection of its own that waits for the lock as long as another node migrates.
async fn migrate_postgres(pool: &Pool<PgConnection>) -> Result<(), MigrateError> {
    let mut connection = pool.connect().await.map_err(MigrateError::Execute)?;
    let patient = connection.execute("set lock_timeout = 0").await;
    patient.map_err(MigrateError::Execute)?;
    migrator().run(&mut connection).await?;
    connection.close().await.map_err(MigrateError::Execute)
}

/// One connection first, because a pool would only say that it waited in vain.
pub(super) async fn postgres(url: &str, wait: Duration) -> Result<Engine, DbError> {
    let options: PgConnectOptions =
        url.parse().map_err(|_| no_postgres("the URL cannot be read"))?;
    let options = options.options([POSTGRES_IDLE]);
    let options = options.options([("lock_timeout", wait.as_millis().to_string())]);
    let first = timeout(wait, PgConnection::connect_with(&options)).await;
    let first = first.map_err(|_| no_postgres("nothing answers within 5 seconds"))?;
    first.map_err(|error| why_no_postgres(&error))?.close().await?;
    let engine = Engine::Postgres(Pool::new(options, POSTGRES_CONNECTIONS, wait));
    migrate(&engine).await?;
    Ok(engine)
}

/// PostgreSQL's classes 28 (user or password) and 3D (database), and a socket that does not answer.
fn why_no_postgres(error: &sqlx::Error) -> DbError {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    match (error, code.as_deref()) {
        (sqlx::Error::Io(cause), _) => no_postgres(&format!(
            "no PostgreSQL answers there ({cause}): start it, or mend host and port"
        )),
        (_, Some("28P01" | "28000")) => no_postgres("PostgreSQL refuses the user or the password"),
        (_, Some("3D000")) => no_postgres("the database does not exist: make it with createdb"),
        _ => no_postgres(&error.to_string()),
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
