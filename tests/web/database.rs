//! Transactions, values, connections and files of both databases.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use tokio::sync::Notify;
use tokio::time::timeout;
use vestibule::db::{Db, DbError, Location, sql};

use crate::support::{Site, postgres_url};

on_both_databases! {
    async fn migrating_twice_changes_nothing(site: Site) {
        site.registered("ann").await;
        Db::open(&site.app.config.database).await.unwrap();
        assert_eq!(site.count("select count(*) from vestibule_users").await, 1);
    }

    async fn a_database_of_a_newer_version_is_not_changed(site: Site) {
        let newer = "insert into vestibule_migrations (version, description, installed_on, success, checksum, execution_time)
            select 999, description, installed_on, success, checksum, execution_time from vestibule_migrations where version = 1";
        sql(newer).execute(site.db().writer()).await.unwrap();
        let refused = Db::open(&site.app.config.database).await;
        assert!(matches!(refused, Err(DbError::TooNew { version: 999, .. })), "{refused:?}");
        assert!(refused.unwrap_err().to_string().contains("start the Vestibule that made it"));
    }

    async fn a_dropped_transaction_is_rolled_back(site: Site) {
        let insert = "insert into vestibule_rate_limits (subject, count, window_ends_at) values ('x', 1, 1)";
        let mut tx = site.db().begin().await.unwrap();
        sql(insert).execute(tx.executor()).await.unwrap();
        drop(tx);
        assert_eq!(site.count("select count(*) from vestibule_rate_limits").await, 0);
        let mut tx = site.db().begin().await.unwrap();
        sql(insert).execute(tx.executor()).await.unwrap();
        tx.commit().await.unwrap();
        assert_eq!(site.count("select count(*) from vestibule_rate_limits").await, 1);
    }

    async fn a_commit_notifies_and_a_dropped_transaction_does_not(site: Site) {
        let notify = Arc::new(Notify::new());
        for is_committed in [false, true] {
            let mut tx = site.db().begin().await.unwrap();
            tx.notify_after_commit(&notify);
            if is_committed { tx.commit().await.unwrap(); } else { drop(tx) }
            assert_eq!(notify.notified().now_or_never().is_some(), is_committed);
        }
    }

    async fn every_type_of_value_is_read_as_it_was_written(site: Site) {
        let insert = "insert into vestibule_outbox (id, kind, sealed, tries, created_at, next_try_at, claimed_until, expires_at)
            values ($1, $2, $3, $4, $4, $4, $4, $4)";
        let bytes: Vec<u8> = (0..=255).collect();
        sql(insert).bind("ид").bind("").bind(bytes.clone()).bind(i64::MIN).execute(site.db().writer()).await.unwrap();
        let row = sql("select id, kind, sealed, tries from vestibule_outbox").fetch_optional::<(String, String, Vec<u8>, i64)>(site.db().reader());
        assert_eq!(row.await.unwrap(), Some(("ид".into(), String::new(), bytes, i64::MIN)));
    }
}

on_both_databases! {
    /// sqlx-postgres 0.9 would return a connection to the pool inside an open transaction.
    async fn a_caller_dropped_during_begin_leaves_no_transaction_open(site: Site) {
        let insert = "insert into vestibule_rate_limits (subject, count, window_ends_at) values ($1, 1, 1)";
        for micros in (0..150).map(|step| step * 20) {
            let begins = (0..8).map(|_| timeout(Duration::from_micros(micros), site.db().begin()));
            drop(join_all(begins).await);
            let names: Vec<String> = (0..16).map(|number| format!("{micros} {number}")).collect();
            let inserts = names.iter().map(|name| sql(insert).bind(name));
            let inserts = inserts.map(|insert| insert.execute(site.db().writer()));
            assert!(join_all(inserts).await.iter().all(Result::is_ok));
        }
        let other = Db::open(&site.app.config.database).await.unwrap();
        let count = sql("select count(*) from vestibule_rate_limits").fetch_optional::<(i64,)>(other.reader()).await;
        assert_eq!(count.unwrap(), Some((150 * 16,)), "others see what was written");
        other.close().await;
    }
}

#[tokio::test]
async fn sqlite_syncs_each_commit_and_readers_cannot_write() {
    let site = Site::on_sqlite().await;
    for (pragma, value) in [
        ("select synchronous from pragma_synchronous", 2),
        ("select foreign_keys from pragma_foreign_keys", 1),
    ] {
        let found =
            sql(pragma).fetch_optional::<(i64,)>(site.db().writer()).await.unwrap().unwrap().0;
        assert_eq!(found, value, "{pragma}");
    }
    let mode = sql("select journal_mode from pragma_journal_mode")
        .fetch_optional::<(String,)>(site.db().writer())
        .await
        .unwrap();
    assert_eq!(mode.unwrap().0, "wal");
    let insert =
        "insert into vestibule_rate_limits (subject, count, window_ends_at) values ('x', 1, 1)";
    assert!(sql(insert).execute(site.db().reader()).await.is_err(), "readers cannot write");
}

const COUNTED: &str =
    "insert into vestibule_rate_limits (subject, count, window_ends_at) values ($1, 1, 1)";

/// Writes `name` in its own transaction.
async fn write(db: &Db, name: String) -> Result<String, DbError> {
    let mut tx = db.begin().await?;
    sql(COUNTED).bind(&name).execute(tx.executor()).await?;
    tx.commit().await?;
    Ok(name)
}

on_both_databases! {
    async fn a_failed_transaction_does_not_roll_back_others(site: Site) {
        write(site.db(), "taken".into()).await.unwrap();
        let dropped = async {
            let mut tx = site.db().begin().await.unwrap();
            sql(COUNTED).bind("dropped").execute(tx.executor()).await.unwrap();
            drop(tx);
        };
        let names = (0..8).map(|number| write(site.db(), format!("kept {number}")));
        let more = (8..16).map(|number| write(site.db(), format!("kept {number}")));
        let conflict = write(site.db(), "taken".into());
        let single = sql(COUNTED).bind("taken").execute(site.db().writer());
        let (kept, (), conflict, single, more) =
            tokio::join!(join_all(names), dropped, conflict, single, join_all(more));
        assert!(kept.iter().chain(&more).all(Result::is_ok), "{kept:?} {more:?}");
        assert!(conflict.is_err() && single.is_err());
        assert_eq!(site.count("select count(*) from vestibule_rate_limits where subject like 'kept %'").await, 16);
        assert_eq!(site.count("select count(*) from vestibule_rate_limits").await, 17);
    }

    async fn a_caller_dropped_during_a_transaction_does_not_block_others(site: Site) {
        for micros in (0..100).map(|step| step * 30) {
            let names = (0..6).map(|number| write(site.db(), format!("{micros} {number}")));
            drop(join_all(names.map(|write| timeout(Duration::from_micros(micros), write))).await);
            write(site.db(), format!("{micros} after")).await.unwrap();
        }
        let other = Db::open_for(&site.app.config.database, Duration::from_millis(500)).await.unwrap();
        write(&other, "other".into()).await.expect("no transaction is left open");
        other.close().await;
        assert_eq!(site.count("select count(*) from vestibule_rate_limits where subject like '% after'").await, 100);
    }
}

#[tokio::test]
async fn a_failed_commit_fails_only_its_caller() {
    let site = Site::on_sqlite().await;
    let orphan = "insert into vestibule_devices (token_hash, user_id, logins, last_login_at) values ($1, 'nobody', 1, 1)";
    let breaks_at_commit = async {
        let mut tx = site.db().begin().await?;
        sql("pragma defer_foreign_keys = on").execute(tx.executor()).await?;
        sql(orphan).bind(vec![1_u8]).execute(tx.executor()).await?;
        tx.commit().await
    };
    let before = (0..4).map(|number| write(site.db(), format!("before {number}")));
    let after = (0..4).map(|number| write(site.db(), format!("after {number}")));
    let (before, broken, after) = tokio::join!(join_all(before), breaks_at_commit, join_all(after));
    assert!(broken.is_err());
    assert!(before.iter().chain(&after).all(Result::is_ok), "{before:?} {after:?}");
    assert_eq!(site.count("select count(*) from vestibule_rate_limits").await, 8);
    assert_eq!(site.count("select count(*) from vestibule_devices").await, 0);
}

/// SQLite rolls the whole transaction back when the file is full: a later statement must not be committed
/// without the first.
#[tokio::test]
async fn after_sqlite_rolled_a_transaction_back_no_statement_runs_in_it() {
    let site = Site::on_sqlite().await;
    let bound =
        sql("pragma max_page_count = 80").fetch_optional::<(i64,)>(site.db().writer()).await;
    assert_eq!(bound.unwrap(), Some((80,)));
    let long = "x".repeat(500_000);
    let mut tx = site.db().begin().await.unwrap();
    sql(COUNTED).bind("first").execute(tx.executor()).await.unwrap();
    assert!(sql(COUNTED).bind(&long).execute(tx.executor()).await.is_err());
    assert!(sql(COUNTED).bind("after").execute(tx.executor()).await.is_err());
    assert!(tx.commit().await.is_err());
    assert_eq!(site.count("select count(*) from vestibule_rate_limits").await, 0);
    write(site.db(), "next".into()).await.unwrap();
}

/// The file becomes full while many write at once.
#[tokio::test]
async fn a_failed_commit_is_never_reported_as_a_success() {
    let site = Site::on_sqlite().await;
    let full = sql("select page_count from pragma_page_count")
        .fetch_optional::<(i64,)>(site.db().writer());
    assert!(full.await.unwrap().unwrap().0 < 80);
    let bound =
        sql("pragma max_page_count = 80").fetch_optional::<(i64,)>(site.db().writer()).await;
    assert_eq!(bound.unwrap(), Some((80,)));
    let long = "x".repeat(3000);
    let names = (0..64).map(|number| format!("{number} {long}"));
    let results = join_all(names.map(|name| write(site.db(), name))).await;
    let (kept, refused): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
    assert!(
        refused.iter().all(|error| error.as_ref().is_err_and(DbError::is_transient)),
        "{refused:?}"
    );
    assert!(!refused.is_empty(), "the file becomes full");
    let rows = site.count("select count(*) from vestibule_rate_limits").await;
    assert_eq!(
        usize::try_from(rows).unwrap(),
        kept.len(),
        "the rows are those reported as written"
    );
    sql("pragma max_page_count = 1000000")
        .fetch_optional::<(i64,)>(site.db().writer())
        .await
        .unwrap();
    write(site.db(), "with space again".into()).await.unwrap();
}

#[tokio::test]
#[cfg(unix)]
async fn only_the_owner_can_read_the_sqlite_file() {
    use std::os::unix::fs::PermissionsExt;
    let site = Site::on_sqlite().await;
    let Location::Sqlite(path) = &site.app.config.database else { panic!("SQLite") };
    for file in [path.clone(), path.with_extension("db-wal")] {
        let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn a_missing_folder_is_named_with_what_to_do() {
    let missing = Location::Sqlite("/nonexistent/folder/vestibule.db".into());
    let error = Db::open(&missing).await.unwrap_err().to_string();
    let named = "/nonexistent/folder/vestibule.db (VESTIBULE_DATABASE_URL): ";
    assert!(error.starts_with(named), "{error}");
}

/// Written past the test runner's capture: half of the tests did not run.
#[test]
fn a_missing_postgresql_is_reported() {
    if postgres_url().is_none() {
        assert!(std::env::var_os("CI").is_none(), "CI must name a PostgreSQL in TEST_POSTGRES_URL");
        let line = "TEST_POSTGRES_URL is not set: the tests ran on SQLite alone.\n";
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
}
