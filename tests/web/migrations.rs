//! Migrations and the tables of a host application that reference `users (id)`.

use std::path::Path;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Connection, PgConnection, SqliteConnection};
use vestibule::db::{Db, Location, sql};
use vestibule::random;

use crate::support::postgres_url;
use crate::support::program::Folder;

const USER: &str = "insert into users (id, username, email, email_key, password_hash, credential_version, created_at)
    values ('u1', 'ann', 'ann@meadow.example', 'ann@meadow.example', 'x', 1, 1)";

/// A table of a host application, whose rows are deleted with the account.
const HOST_TABLE: &str = "create table notes (
    id text primary key, user_id text not null references users (id) on delete cascade)";

const HOST_ROWS: &str = "insert into notes (id, user_id) values ('n1', 'u1'), ('n2', 'u1')";

/// The migrations up to `version`, as the program runs them.
fn migrator(version: i64) -> Migrator {
    let mut migrations = all();
    migrations.retain(|migration| migration.version <= version);
    let mut migrator = Migrator::with_migrations(migrations);
    migrator.dangerous_set_table_name("vestibule_migrations");
    migrator
}

/// Every file of `migrations/`.
fn all() -> Vec<Migration> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let (version, name) = name.split_once('_').unwrap();
            let text = sqlx::SqlSafeStr::into_sql_str(sqlx::AssertSqlSafe(
                std::fs::read_to_string(&path).unwrap(),
            ));
            let version = version.parse().unwrap();
            Migration::new(
                version,
                name.replace('_', " ").into(),
                MigrationType::Simple,
                text,
                false,
            )
        })
        .collect();
    found.sort_by_key(|migration| migration.version);
    found
}

async fn count(db: &Db, query: &'static str) -> i64 {
    sql(query).fetch_optional::<(i64,)>(db.reader()).await.unwrap().unwrap().0
}

/// Upgrades the database and checks that the host's rows still belong to the account.
async fn upgrade(location: &Location, from: i64) {
    let db = Db::open(location).await.unwrap();
    let kept = count(&db, "select count(*) from notes join users on users.id = notes.user_id");
    assert_eq!(kept.await, 2, "upgrading from version {from} lost rows of the host application");
    sql("delete from users where id = 'u1'").execute(db.writer()).await.unwrap();
    let left = count(&db, "select count(*) from notes").await;
    assert_eq!(left, 0, "after an upgrade from version {from} a deletion no longer cascades");
    db.close().await;
}

/// A migration that rebuilds `users` (new table, copy, drop) deletes every row that a host
/// application keeps by `on delete cascade`, because SQLite treats `drop table` as a deletion.
#[tokio::test]
async fn no_migration_deletes_rows_of_a_host_application_on_sqlite() {
    for from in 1..=vestibule::db::latest_version() {
        let folder = Folder::new();
        let path = folder.0.join("vestibule.db");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
        let options = options.create_if_missing(true).foreign_keys(true);
        let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
        migrator(from).run(&mut connection).await.unwrap();
        for statement in [USER, HOST_TABLE, HOST_ROWS] {
            sqlx::query(statement).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
        upgrade(&Location::Sqlite(path), from).await;
    }
}

#[tokio::test]
async fn no_migration_deletes_rows_of_a_host_application_on_postgresql() {
    let Some(url) = postgres_url() else { return };
    for from in 1..=vestibule::db::latest_version() {
        let schema = format!("test_{}", random::id(0));
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let set_up = format!("create schema {schema}; set search_path to {schema}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(set_up)).execute(&mut connection).await.unwrap();
        migrator(from).run(&mut connection).await.unwrap();
        for statement in [USER, HOST_TABLE, HOST_ROWS] {
            sqlx::query(statement).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
        let url = format!("{url}?options=-csearch_path%3D{schema}");
        upgrade(&Location::parse(&url).unwrap(), from).await;
    }
}
