//! Migrations, and the tables of a host application in the same database.

use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, SqlSafeStr as _, SqliteConnection};
use tokio::time::timeout;
use vestibule::db::{Db, Location, latest_version, sql};

use crate::support::new_schema;
use crate::support::program::Folder;

/// The migration that gave the tables their prefix.
const RENAMED: i64 = 7;

/// The migration that made the column of usernames that of their keys.
const USERNAMES: i64 = 20;
const KEYS_WITH_AT: i64 = 28;

/// The migration that left one invitation for an address.
const ONE_INVITATION: i64 = 27;

const USER: &str = "insert into {users} (id, username, email, email_key, password_hash, credential_version, created_at)
    values ('u1', 'ann', 'ann@meadow.example', 'ann@meadow.example', 'x', 1, 1)";

/// A table of a host application, whose rows are deleted with the account.
const HOST_TABLE: &str = "create table notes (
    id text primary key, user_id text not null references {users} (id) on delete cascade);
    insert into notes (id, user_id) values ('n1', 'u1'), ('n2', 'u1')";

/// Tables and an index of a host application with the names that Vestibule's had before [`RENAMED`].
const SAME_NAMES: &str = "
    create table users (id integer primary key, name text unique);
    create table sessions (id integer primary key, user_id integer references users (id));
    create table devices (id integer primary key);
    create table resets (id integer primary key);
    create table one_time_codes (id integer primary key);
    create table limits (id integer primary key);
    create table outbox (id integer primary key);
    create index sessions_user on sessions (user_id);
    insert into users (id, name) values (1, 'host');
    insert into sessions (id, user_id) values (1, 1)";

const SQLITE_SCHEMA: &str = "
    select name || ' on ' || tbl_name from sqlite_schema
    union select tables.name || ': ' || columns.name || ' ' || columns.type || ' ' || columns.\"notnull\"
            || ' ' || coalesce(columns.dflt_value, '') || ' ' || columns.pk || ' ' || columns.cid
        from sqlite_schema tables join pragma_table_info(tables.name) columns
    union select indexes.name || ' (' || columns.name || ') ' || columns.seqno
        from sqlite_schema indexes join pragma_index_info(indexes.name) columns
    union select tables.name || ': ' || keys.\"from\" || ' -> ' || keys.\"table\" || ' ' || keys.on_delete
        from sqlite_schema tables join pragma_foreign_key_list(tables.name) keys
    order by 1";

const POSTGRES_SCHEMA: &str = "
    select replace(indexdef, current_schema() || '.', '') as line from pg_indexes
        where schemaname = current_schema()
    union select table_name || ': ' || column_name || ' ' || data_type || ' ' || is_nullable || ' '
            || coalesce(column_default, '') || ' ' || ordinal_position
        from information_schema.columns where table_schema = current_schema()
    union select conrelid::regclass || ': ' || conname || ' ' || pg_get_constraintdef(oid)
        from pg_constraint where connamespace = current_schema()::regnamespace
    order by line";

/// An empty database, and a connection to it that is not Vestibule's.
struct Database {
    location: Location,
    host: Host,
    _folder: Folder,
}

enum Host {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Database {
    /// One of each driver; only SQLite if the tests have no PostgreSQL.
    async fn both() -> Vec<Self> {
        let folder = Folder::new();
        let path = folder.0.join("vestibule.db");
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
        let options = options.create_if_missing(true).foreign_keys(true);
        let host = Host::Sqlite(SqliteConnection::connect_with(&options).await.unwrap());
        let mut found = vec![Self { location: Location::Sqlite(path), host, _folder: folder }];
        if let Some(url) = new_schema().await {
            let host = Host::Postgres(PgConnection::connect(&url).await.unwrap());
            let location = Location::parse(&url).unwrap();
            found.push(Self { location, host, _folder: Folder::new() });
        }
        found
    }

    /// Runs `text`, in which `{users}` is the table of users at `version`.
    async fn run(&mut self, text: &str, version: i64) {
        let users = if version < RENAMED { "users" } else { "vestibule_users" };
        let key = if version < USERNAMES { "username" } else { "username_key" };
        let text =
            text.replace("{users}", users).replace("(id, username,", &format!("(id, {key},"));
        let text = sqlx::raw_sql(AssertSqlSafe(text));
        match &mut self.host {
            Host::Sqlite(host) => text.execute(host).await.map(drop).unwrap(),
            Host::Postgres(host) => text.execute(host).await.map(drop).unwrap(),
        }
    }

    /// Runs the migrations up to `version`, as an older program did.
    async fn migrate(&mut self, version: i64) {
        match &mut self.host {
            Host::Sqlite(host) => {
                let migrator = migrator(version, |text| text.split("-- Only PostgreSQL").next());
                migrator.run(host).await.unwrap();
            }
            Host::Postgres(host) => migrator(version, |text| Some(text)).run(host).await.unwrap(),
        }
    }

    async fn open(&self) -> Db {
        Db::open(&self.location).await.unwrap()
    }

    /// Every table, column, index and constraint.
    async fn schema(&self, db: &Db) -> Vec<String> {
        let query = match self.host {
            Host::Sqlite(_) => SQLITE_SCHEMA,
            Host::Postgres(_) => POSTGRES_SCHEMA,
        };
        let lines = sql(query).fetch_all::<(String,)>(db.reader()).await.unwrap();
        lines.into_iter().map(|(line,)| line).collect()
    }
}

/// The files in `migrations/` up to `version`, as `text_for_driver` leaves them.
fn migrator(version: i64, text_for_driver: fn(&str) -> Option<&str>) -> Migrator {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let migrations = files.filter_map(|path| {
        let (number, name) = path.file_stem()?.to_str()?.split_once('_')?;
        let text = std::fs::read_to_string(&path).unwrap();
        let text = AssertSqlSafe(text_for_driver(&text)?.to_owned()).into_sql_str();
        let name = name.replace('_', " ").into();
        let number = number.parse().unwrap();
        Some(Migration::new(number, name, MigrationType::Simple, text, false))
    });
    let wanted = migrations.filter(|migration| migration.version <= version).collect();
    let mut migrator = Migrator::with_migrations(wanted);
    migrator.dangerous_set_table_name("vestibule_migrations");
    migrator
}

async fn count(db: &Db, query: &'static str) -> i64 {
    sql(query).fetch_optional::<(i64,)>(db.reader()).await.unwrap().unwrap().0
}

/// A migration that rebuilds the table of users (new table, copy, drop) deletes every row that a host
/// application keeps by `on delete cascade`, because SQLite treats `drop table` as a deletion.
#[tokio::test]
async fn no_migration_deletes_rows_of_a_host_application() {
    for from in 1..=latest_version() {
        for mut database in Database::both().await {
            database.migrate(from).await;
            database.run(USER, from).await;
            database.run(HOST_TABLE, from).await;
            let db = database.open().await;
            let kept = "select count(*) from notes
                join vestibule_users on vestibule_users.id = notes.user_id";
            assert_eq!(count(&db, kept).await, 2, "from version {from}");
            database.run("delete from vestibule_users where id = 'u1'", from).await;
            assert_eq!(count(&db, "select count(*) from notes").await, 0, "from version {from}");
            db.close().await;
        }
    }
}

#[tokio::test]
async fn an_upgraded_database_has_the_tables_of_a_new_one() {
    for from in 1..=latest_version() {
        for (mut old, new) in Database::both().await.into_iter().zip(Database::both().await) {
            old.migrate(from).await;
            let (old_db, new_db) = (old.open().await, new.open().await);
            let schema = new.schema(&new_db).await;
            assert!(schema.len() > 50, "{schema:#?}");
            assert_eq!(old.schema(&old_db).await, schema, "from version {from}");
            let versions = "select count(*) from vestibule_migrations";
            assert_eq!(count(&new_db, versions).await, count(&old_db, versions).await);
            old.run(SAME_NAMES, from).await;
            new.open().await.close().await;
            old.open().await.close().await;
        }
    }
}

#[tokio::test]
async fn a_new_database_may_contain_a_host_applications_tables_of_any_name() {
    for mut database in Database::both().await {
        database.run(SAME_NAMES, RENAMED).await;
        for _ in 0..2 {
            let db = database.open().await;
            let hosts = "select count(*) from users join sessions on sessions.user_id = users.id";
            assert_eq!(count(&db, hosts).await, 1);
            assert_eq!(count(&db, "select count(*) from vestibule_users").await, 0);
            db.close().await;
        }
        database.run(USER, USERNAMES).await;
        database.run("insert into sessions (id, user_id) values (2, 1)", RENAMED).await;
    }
}

#[tokio::test]
async fn every_table_and_index_has_the_prefix() {
    for database in Database::both().await {
        let db = database.open().await;
        for line in database.schema(&db).await {
            let line = line.replace("sqlite_autoindex_", "").replace("UNIQUE ", "");
            let name = line.trim_start_matches("CREATE INDEX ");
            assert!(name.starts_with("vestibule_"), "{line}");
        }
        db.close().await;
    }
}

#[tokio::test]
async fn programs_that_start_together_create_the_tables_once() {
    for database in Database::both().await {
        let starts = (0..8).map(|_| Db::open(&database.location));
        for opened in futures_util::future::join_all(starts).await {
            opened.unwrap().close().await;
        }
        let db = database.open().await;
        let version = count(&db, "select max(version) from vestibule_migrations").await;
        assert_eq!(version, latest_version());
        db.close().await;
    }
}

/// They were not refused before. One of them gets the key that they have in common.
#[tokio::test]
async fn usernames_that_look_alike_are_kept_by_an_upgrade() {
    for mut database in Database::both().await {
        database.migrate(USERNAMES - 1).await;
        for (at, name) in ["pau1", "paul", "m1", "ml", "ann"].into_iter().enumerate() {
            let user = USER.replace("u1", &format!("u{at}")).replace("ann", name);
            database.run(&user, USERNAMES - 1).await;
        }
        for name in ["m0", "mo", "k1m"] {
            let reserve = format!(
                "insert into vestibule_reserved_usernames (username, reserved_until) values ('{name}', 1)"
            );
            database.run(&reserve, USERNAMES - 1).await;
        }
        let db = database.open().await;
        let kept = "select count(*) from vestibule_users where username in ('pau1', 'paul', 'm1', 'ml', 'ann')";
        assert_eq!(count(&db, kept).await, 5);
        let keys = "select count(*) from vestibule_users where username || ' ' || username_key in
            ('pau1 pau1', 'paul paul', 'm1 rnl', 'ml ml', 'ann ann')";
        assert_eq!(count(&db, keys).await, 5);
        let reserved = "select count(*) from vestibule_reserved_usernames
            where username_key in ('rno', 'mo', 'klrn')";
        assert_eq!(count(&db, reserved).await, 3);
        db.close().await;
    }
}

/// Two that were sent at the same instant could both be used before.
#[tokio::test]
async fn the_newest_invitation_of_an_address_is_kept_by_an_upgrade() {
    for mut database in Database::both().await {
        database.migrate(ONE_INVITATION - 1).await;
        for (at, token, email) in
            [(1, "a1", "ann"), (2, "a2", "ann"), (2, "a3", "ann"), (1, "b1", "bob")]
        {
            let literal = if matches!(database.host, Host::Sqlite(_)) { "X'" } else { "'\\x" };
            let link = format!(
                "insert into vestibule_mail_links
                (token_hash, purpose, credential_version, email, email_key, created_at, expires_at)
                values ({literal}{token}', 'invite', 0, '{email}', '{email}', {at}, 9)"
            );
            database.run(&link, ONE_INVITATION - 1).await;
        }
        let db = database.open().await;
        let kept = "select count(*) from vestibule_mail_links where email || created_at in ('ann2', 'bob1')";
        assert_eq!(
            (count(&db, kept).await, count(&db, "select count(*) from vestibule_mail_links").await),
            (2, 2)
        );
        db.close().await;
    }
}

/// A username with @ had its own spelling as its key.
#[tokio::test]
async fn usernames_with_an_at_get_keys_that_look_alikes_share() {
    for mut database in Database::both().await {
        database.migrate(KEYS_WITH_AT - 1).await;
        let names =
            ["p@u1", "p@ul", "r@m", "s@m", "s@rn", "own@m.example", "q@1", "q@l1", "q@ll", "m@x"];
        for (at, name) in names.into_iter().enumerate() {
            let user = USER.replace("u1", &format!("id{at}")).replace("ann", name);
            database.run(&user, USERNAMES).await;
        }
        let named = "update vestibule_users set username = username_key;
            update vestibule_users set email_key = username where username = 'own@m.example'";
        database.run(named, USERNAMES).await;
        let db = database.open().await;
        let keys = "select count(*) from vestibule_users where username || ' ' || username_key in
            ('p@u1 p@u1', 'p@ul p@ul', 'r@m r@rn', 's@m s@m', 's@rn s@rn', 'own@m.example own@m.example',
            'q@1 q@l', 'q@l1 q@l1', 'q@ll q@ll', 'm@x rn@x')";
        assert_eq!(count(&db, keys).await, 10);
        db.close().await;
    }
}

/// Without an index, each user costs a scan of the table: minutes.
#[tokio::test]
async fn an_upgrade_of_many_usernames_takes_a_moment() {
    for mut database in Database::both().await {
        database.migrate(USERNAMES - 1).await;
        let users = "with recursive n (n) as (select 1 union all select n + 1 from n where n < 20000)
            insert into vestibule_users
                (id, username, email, email_key, password_hash, credential_version, created_at)
            select 'u' || n, 'user1' || n, 'u' || n || '@meadow.example', 'u' || n || '@meadow.example', 'x', 1, 1
            from n";
        database.run(users, USERNAMES - 1).await;
        let upgrade = timeout(Duration::from_secs(30), database.open());
        let db = upgrade.await.expect("an upgrade in less than 30 s");
        let keys = "select count(*) from vestibule_users where username_key like 'userl%'";
        assert_eq!(count(&db, keys).await, 20_000);
        db.close().await;
    }
}
