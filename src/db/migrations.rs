//! Migrates the schema to this program's version.

use std::sync::Arc;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::{Connection as _, Executor, PgConnection};

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
    (8, "apps", include_str!("../../migrations/0008_apps.sql")),
];

/// Not sqlx's default: a host application may use that for its own migrations.
const MIGRATIONS_TABLE: &str = "vestibule_migrations";

/// One node migrates at a time. The lock is like that of `advisory_lock.rs`, and waits without a limit.
const LOCK: &str = "set local lock_timeout = 0;
    select pg_advisory_xact_lock(hashtextextended('vestibule migrations ' || current_schema(), 0))";

fn migrator() -> Migrator {
    let migrations = MIGRATIONS.iter().map(|&(version, name, text)| {
        let text = sqlx::SqlSafeStr::into_sql_str(text);
        Migration::new(version, name.into(), MigrationType::Simple, text, false)
    });
    let mut migrator = Migrator::with_migrations(migrations.collect());
    migrator.dangerous_set_table_name(MIGRATIONS_TABLE);
    // sqlx would lock for a session.
    migrator.set_locking(false);
    migrator
}

/// The schema version that this program knows.
pub fn latest_version() -> i64 {
    MIGRATIONS.last().map_or(0, |&(version, ..)| version)
}

pub async fn migrate(pool: &Arc<Pool>) -> Result<(), DbError> {
    let mut connection = pool.acquire().await?;
    let migrated = match connection.get()? {
        Connection::Sqlite(connection) => migrator().run(connection).await,
        Connection::Postgres(connection) => migrate_postgres(connection).await,
    };
    migrated.map_err(|error| match error {
        MigrateError::VersionMissing(version) => DbError::TooNew(version),
        MigrateError::Execute(driver) => DbError::Driver(driver),
        other => DbError::Migrate(other),
    })?;
    connection.finish().await
}

/// In one transaction, which waits as long as another node migrates. A pooler keeps the connection, and
/// what sqlx prepares on it: from other programs before, and for them afterwards.
async fn migrate_postgres(connection: &mut PgConnection) -> Result<(), MigrateError> {
    let mut tx = connection.begin().await?;
    tx.execute(LOCK).await?;
    tx.execute("deallocate all").await?;
    migrator().run(&mut *tx).await?;
    tx.clear_cached_statements().await?;
    Ok(tx.commit().await?)
}
