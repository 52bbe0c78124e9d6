//! Migrates the schema to this program's version.

use std::sync::Arc;

use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Connection as _, Executor, PgConnection, SqlSafeStr, SqliteConnection};

use super::DbError;
use super::connection::Connection;
use super::pool::Pool;

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
    (7, "table names", include_str!("../../migrations/0007_table_names.sql")),
    (8, "apps", include_str!("../../migrations/0008_apps.sql")),
    (9, "outbox queues", include_str!("../../migrations/0009_outbox_queues.sql")),
    (10, "history", include_str!("../../migrations/0010_history.sql")),
    (11, "mail links", include_str!("../../migrations/0011_mail_links.sql")),
    (13, "email verified", include_str!("../../migrations/0013_email_verified.sql")),
    (14, "hooks", include_str!("../../migrations/0014_hooks.sql")),
    (16, "password blocked", include_str!("../../migrations/0016_password_blocked.sql")),
    (20, "usernames", include_str!("../../migrations/0020_usernames.sql")),
    (21, "registrations", include_str!("../../migrations/0021_registrations.sql")),
    (22, "terms", include_str!("../../migrations/0022_terms.sql")),
    (24, "imported users", include_str!("../../migrations/0024_imported_users.sql")),
    (25, "users", include_str!("../../migrations/0025_users.sql")),
    (26, "server key", include_str!("../../migrations/0026_server_key.sql")),
    (27, "registration", include_str!("../../migrations/0027_registration.sql")),
    (28, "keys of usernames with @", include_str!("../../migrations/0028_keys_with_at.sql")),
];

/// What a new database gets instead of the migrations up to [`SCHEMA_VERSION`], whose names for tables may
/// be those of a host application's.
const SCHEMA: &str = include_str!("../../migrations/schema.sql");
const SCHEMA_VERSION: i64 = 7;

/// Begins the last statements of a migration, which SQLite cannot run.
const ONLY_POSTGRES: &str = "-- Only PostgreSQL";

/// Not sqlx's default: a host application may use that for its own migrations.
const MIGRATIONS_TABLE: &str = "vestibule_migrations";

/// One node migrates at a time. The lock is like that of `advisory_lock.rs`, and waits without a limit.
const LOCK: &str = "set local lock_timeout = 0;
    select pg_advisory_xact_lock(hashtextextended('vestibule migrations ' || current_schema(), 0))";

/// The schema version that this program knows.
pub fn latest_version() -> i64 {
    MIGRATIONS.last().map_or(0, |&(version, ..)| version)
}

/// Which migrations a database has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Migrations {
    pub applied: usize,
    pub pending: usize,
}

/// Compares the `applied` versions with those of this program.
pub fn compare(applied: &[i64]) -> Result<Migrations, DbError> {
    let is_known = |version: &i64| MIGRATIONS.iter().any(|(known, ..)| known == version);
    if let Some(newer) = applied.iter().find(|version| !is_known(version)) {
        return Err(DbError::too_new(*newer));
    }
    Ok(Migrations { applied: applied.len(), pending: MIGRATIONS.len() - applied.len() })
}

pub async fn migrate(pool: &Arc<Pool>) -> Result<(), DbError> {
    let mut connection = pool.acquire().await?;
    let migrated = match connection.get()? {
        Connection::Sqlite(connection) => migrate_sqlite(connection).await,
        Connection::Postgres(connection) => migrate_postgres(connection).await,
    };
    migrated.map_err(|error| match error {
        MigrateError::VersionMissing(version) => DbError::too_new(version),
        MigrateError::Execute(driver) => DbError::Driver(driver),
        other => DbError::Migrate(other),
    })?;
    connection.finish().await
}

/// In one transaction, for which another process that migrates the file waits.
async fn migrate_sqlite(connection: &mut SqliteConnection) -> Result<(), MigrateError> {
    let migrator = migrator(|text| text.split(ONLY_POSTGRES).next().unwrap_or(text));
    let mut tx = connection.begin_with("BEGIN IMMEDIATE").await?;
    create_schema(&mut *tx, &migrator).await?;
    migrator.run(&mut *tx).await?;
    Ok(tx.commit().await?)
}

/// In one transaction, which waits as long as another node migrates. A pooler keeps the connection, and
/// what sqlx prepares on it: from other programs before, and for them afterwards.
async fn migrate_postgres(connection: &mut PgConnection) -> Result<(), MigrateError> {
    let migrator = migrator(|text| text);
    let mut tx = connection.begin().await?;
    tx.execute(LOCK).await?;
    tx.execute("deallocate all").await?;
    create_schema(&mut *tx, &migrator).await?;
    migrator.run(&mut *tx).await?;
    tx.clear_cached_statements().await?;
    Ok(tx.commit().await?)
}

fn migrator(text_for_driver: fn(&'static str) -> &'static str) -> Migrator {
    let migrations = MIGRATIONS.iter().map(|&(version, name, text)| {
        let text = text_for_driver(text).into_sql_str();
        Migration::new(version, name.into(), MigrationType::Simple, text, false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    migrator.dangerous_set_table_name(MIGRATIONS_TABLE);
    // sqlx would lock for a session.
    migrator.set_locking(false);
    migrator
}

/// In a database that was never migrated, creates the tables and records the migrations that they replace.
async fn create_schema(
    connection: &mut impl Migrate,
    migrator: &Migrator,
) -> Result<(), MigrateError> {
    connection.ensure_migrations_table(MIGRATIONS_TABLE).await?;
    if !connection.list_applied_migrations(MIGRATIONS_TABLE).await?.is_empty() {
        return Ok(());
    }
    for migration in migrator.iter().filter(|migration| migration.version <= SCHEMA_VERSION) {
        if migration.version < SCHEMA_VERSION {
            connection.skip(MIGRATIONS_TABLE, migration).await?;
        } else {
            let schema = Migration { sql: SCHEMA.into_sql_str(), ..migration.clone() };
            connection.apply(MIGRATIONS_TABLE, &schema).await?;
        }
    }
    Ok(())
}
