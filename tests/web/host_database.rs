//! A host application that shares its database: `App::builder`, and tables that refer to accounts.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use sqlx::SqlitePool;
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};
use vestibule::{App, Config};

use crate::support::host_database::{HostDatabase, HostPool, register};
use crate::support::{Browser, PASSWORD, new_schema};

/// The settings of a host that sets only `variables`.
fn config(variables: &[(&str, &str)]) -> Config {
    let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    Config::from_sources(&BTreeMap::new(), &variables.collect()).unwrap()
}

#[tokio::test]
async fn accounts_are_in_the_database_of_the_hosts_pool() {
    for host in HostDatabase::all().await {
        host.run("create table users (id integer primary key, name text unique)").await;
        let app = host.builder().build().await.unwrap();
        let mut ann = register(&app, "ann").await;
        assert_eq!(host.count("select count(*) from vestibule_users").await, 1);
        assert_eq!(host.count("select count(*) from users").await, 0);
        let again = host.builder().build().await.unwrap();
        let mut elsewhere = Browser::new(vestibule::site(&again));
        elsewhere.log_in("ann", PASSWORD).await;
        assert_eq!((elsewhere.path(), ann.is_logged_in().await), ("/account", true));
    }
}

#[tokio::test]
async fn host_and_vestibule_write_at_the_same_time() {
    for host in HostDatabase::all().await {
        host.run("create table notes (id integer primary key, body text)").await;
        let app = host.builder().build().await.unwrap();
        let hosts = async {
            for _ in 0..20 {
                host.run(
                    "insert into notes (id, body) select coalesce(max(id), 0) + 1, 'x' from notes",
                )
                .await;
            }
        };
        let ours = async {
            for username in ["ann", "bob", "cat"] {
                register(&app, username).await;
            }
        };
        tokio::join!(hosts, ours);
        assert_eq!(host.count("select count(*) from notes").await, 20);
        assert_eq!(host.count("select count(*) from vestibule_users").await, 3);
    }
}

#[tokio::test]
async fn a_write_waits_for_a_transaction_of_the_host() {
    for host in HostDatabase::all().await {
        let app = host.builder().build().await.unwrap();
        register(&app, "ann").await;
        let lock = "update vestibule_users set email = email";
        let (waited, ()) = match &host.pool {
            HostPool::Sqlite(pool) => {
                let mut tx = pool.begin().await.unwrap();
                sqlx::query(lock).execute(&mut *tx).await.unwrap();
                let release = async {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    tx.commit().await.unwrap();
                };
                tokio::join!(register(&app, "bob"), release)
            }
            HostPool::Postgres(pool) => {
                let mut tx = pool.begin().await.unwrap();
                sqlx::query("lock table vestibule_users").execute(&mut *tx).await.unwrap();
                let release = async {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    tx.commit().await.unwrap();
                };
                tokio::join!(register(&app, "bob"), release)
            }
        };
        drop(waited);
        assert_eq!(host.count("select count(*) from vestibule_users").await, 2);
    }
}

#[tokio::test]
async fn a_database_in_memory_lasts_as_long_as_the_app() {
    let options = SqlitePoolOptions::new().max_connections(1);
    let pool = options.connect("sqlite::memory:").await.unwrap();
    let app = App::builder(config(&[])).sqlite(pool.clone()).build().await.unwrap();
    register(&app, "ann").await;
    pool.close().await;
    let again = App::builder(config(&[])).sqlite(pool).build().await;
    assert!(again.is_err(), "the pool is closed");
    register(&app, "bob").await;
    let mut ann = Browser::new(vestibule::site(&app));
    assert_eq!(ann.log_in("ann", PASSWORD).await.path(), "/account");
}

#[tokio::test]
async fn a_pool_whose_connections_share_nothing_is_refused() {
    let private = SqliteConnectOptions::new().filename(":memory:");
    for options in
        [private.clone(), private.in_memory(true), SqliteConnectOptions::new().filename("")]
    {
        let pool = SqlitePool::connect_with(options).await.unwrap();
        let error = App::builder(config(&[])).sqlite(pool).build().await.unwrap_err().to_string();
        assert!(error.contains("sqlite::memory:"), "{error}");
    }
}

#[tokio::test]
async fn a_hosts_pool_is_used_instead_of_the_database_url() {
    let host = HostDatabase::in_a_file().await;
    let HostPool::Sqlite(pool) = host.pool else { panic!("SQLite") };
    let elsewhere = config(&[("VESTIBULE_DATABASE_URL", "sqlite:/nonexistent/folder/v.db")]);
    App::builder(elsewhere).sqlite(pool).build().await.unwrap();
    let key = host.folder.0.join("vestibule.key");
    let mode = std::fs::metadata(&key).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "the key is next to the host's file");
    let mode = std::fs::metadata(host.folder.0.join("host.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "other users of the machine cannot read the accounts");
}

#[tokio::test]
async fn a_database_in_memory_needs_no_key_file() {
    let before = std::path::Path::new("vestibule.key").exists();
    let pool = SqlitePool::connect("sqlite::memory:").await.unwrap();
    App::builder(config(&[])).sqlite(pool).build().await.unwrap();
    assert_eq!(std::path::Path::new("vestibule.key").exists(), before);
}

#[tokio::test]
async fn on_postgresql_a_host_must_give_the_key() {
    let Some(url) = new_schema().await else { return };
    let pool = sqlx::PgPool::connect(&url).await.unwrap();
    let error = App::builder(config(&[])).postgres(pool).build().await.unwrap_err().to_string();
    assert!(error.contains("VESTIBULE_SECRET"), "{error}");
}

#[tokio::test]
async fn a_database_that_cannot_be_used_is_explained() {
    let closed = PgPoolOptions::new().connect_lazy("postgres://nobody@127.0.0.1:1/none").unwrap();
    let secret = config(&[("VESTIBULE_SECRET", "b+iXfJnZ0sGeXfdc3Ii4TnVZdo1Jwf4dyyCWQMUFSsg=")]);
    let error = App::builder(secret).postgres(closed).build().await.unwrap_err().to_string();
    assert!(error.starts_with("the PostgreSQL pool: no PostgreSQL answers there"), "{error}");
    let missing = SqlitePool::connect_lazy("sqlite:/nonexistent/folder/host.db").unwrap();
    let error = App::builder(config(&[])).sqlite(missing).build().await.unwrap_err().to_string();
    assert!(error.starts_with("/nonexistent/folder/host.db: cannot be opened"), "{error}");
    let folder = HostDatabase::in_a_file().await.folder;
    std::fs::write(folder.0.join("text.db"), "not a database".repeat(100)).unwrap();
    let text = SqlitePool::connect_lazy_with(
        SqliteConnectOptions::new().filename(folder.0.join("text.db")),
    );
    let error = App::builder(config(&[])).sqlite(text).build().await.unwrap_err().to_string();
    assert!(error.contains("is not a SQLite database"), "{error}");
}
