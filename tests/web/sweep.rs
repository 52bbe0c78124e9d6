//! The deletion of expired rows: on one node at a time, and without blocking requests.

use std::time::Duration;

use sqlx::Connection;
use tokio::time::timeout;
use vestibule::db::{Db, Location, sql};
use vestibule::models::user::find_user_by_username;
use vestibule::tasks::sweep::sweep;

use crate::support::{PASSWORD, Site};

/// Longer than any clean-up of a few rows, and shorter than a wait for a lock.
const AT_ONCE: Duration = Duration::from_secs(3);

const LEFT: &str = "select (select count(*) from vestibule_sessions where expires_at = 1)
    + (select count(*) from vestibule_rate_limits where window_ends_at = 1)
    + (select count(*) from vestibule_one_time_codes where expires_at = 1)
    + (select count(*) from vestibule_devices where last_login_at = 1)
    + (select count(*) from vestibule_registrations where expires_at = 1)";

/// `many` rows in each of the five tables, which expired long ago.
async fn expired(site: &Site, many: u8) {
    site.registered("ann").await;
    let user = find_user_by_username(site.db().reader(), "ann").await.unwrap().unwrap().id;
    for number in 0..many {
        let (bytes, text) = (vec![number], number.to_string());
        for insert in [
            sql("insert into vestibule_sessions (id_hash, data, created_at, last_seen_at, expires_at)
                values ($1, '{}', 1, 1, 1)")
            .bind(bytes.clone()),
            sql("insert into vestibule_rate_limits (subject, count, window_ends_at) values ($1, 1, 1)")
                .bind(&text),
            sql("insert into vestibule_one_time_codes (id, attempts, codes_sent, created_at, expires_at)
                values ($1, 0, 1, 1, 1)")
            .bind(&text),
            sql("insert into vestibule_devices (token_hash, user_id, logins, last_login_at)
                values ($1, $2, 1, 1)")
            .bind(bytes)
            .bind(&user),
            sql("insert into vestibule_registrations
                (id, username, username_key, email, email_key, password_hash, created_at, expires_at)
                values ($1, '', '', '', '', '', 1, 1)")
            .bind(&text),
        ] {
            insert.execute(site.db().writer()).await.unwrap();
        }
    }
}

async fn sweep_at_once(site: &Site) -> u64 {
    timeout(AT_ONCE, sweep(&site.app)).await.expect("it waits for no lock").unwrap()
}

on_both_databases! {
    async fn a_sweep_deletes_more_than_a_batch_and_keeps_live_rows(site: Site) {
        expired(&site, 120).await;
        assert_eq!(sweep_at_once(&site).await, 600);
        assert_eq!(sweep_at_once(&site).await, 0);
        assert!(site.browser().log_in("ann", PASSWORD).await.path() == "/account");
        assert_eq!(site.count("select count(*) from vestibule_sessions").await, 2);
        assert_eq!(site.count("select count(*) from vestibule_devices").await, 2);
    }

    async fn a_sweep_clears_the_development_mailbox_of_old_emails(site: Site) {
        site.registered("ann").await;
        site.wait(24 * 60 * 60 - 60);
        sweep_at_once(&site).await;
        assert_eq!(site.mails().await.len(), 1);
        site.wait(60);
        sweep_at_once(&site).await;
        assert_eq!(site.count("select count(*) from vestibule_outbox").await, 0);
    }
}

#[tokio::test]
async fn rows_locked_by_a_request_are_left_for_the_next_sweep() {
    let Some(site) = Site::on_postgresql().await else { return };
    expired(&site, 3).await;
    let mut request = site.db().begin().await.unwrap();
    for hold in [
        "update vestibule_sessions set data = '{\"held\":1}' where id_hash = '\\x01'",
        "update vestibule_rate_limits set count = 2 where subject = '1'",
        "update vestibule_one_time_codes set attempts = 1 where id = '1'",
        "update vestibule_devices set logins = 2 where token_hash = '\\x01'",
        "update vestibule_registrations set proved_at = 2 where id = '1'",
    ] {
        assert_eq!(sql(hold).execute(request.executor()).await.unwrap(), 1);
    }
    assert_eq!(sweep_at_once(&site).await, 10);
    request.commit().await.unwrap();
    assert_eq!(site.count(LEFT).await, 5);
    assert_eq!(sweep_at_once(&site).await, 5);
}

#[tokio::test]
async fn one_node_sweeps_at_a_time() {
    let Some(site) = Site::on_postgresql().await else { return };
    expired(&site, 1).await;
    let other = Db::open(&site.app.config.database).await.unwrap();
    let mut lock = other.try_advisory_lock("sweep").await.unwrap().expect("no node holds the lock");
    assert_eq!(sweep_at_once(&site).await, 0);
    assert_eq!(site.count(LEFT).await, 5);
    assert!(other.try_advisory_lock("something else").await.unwrap().is_some());
    lock.keep_alive().await.unwrap();
    lock.release().await.unwrap();
    assert_eq!(sweep_at_once(&site).await, 5);
    let mine = site.db().try_advisory_lock("sweep").await.unwrap();
    assert!(mine.is_some(), "its own lock is released, too");
}

#[tokio::test]
async fn a_site_in_another_schema_has_its_own_lock() {
    let Some(site) = Site::on_postgresql().await else { return };
    let other = Site::on_postgresql().await.unwrap();
    let _lock = other.db().try_advisory_lock("sweep").await.unwrap().unwrap();
    expired(&site, 1).await;
    assert_eq!(sweep_at_once(&site).await, 5);
}

/// What PostgreSQL sees of a node that is gone: its connection ends.
#[tokio::test]
async fn a_node_that_loses_its_connection_loses_the_lock_and_stops() {
    let Some(site) = Site::on_postgresql().await else { return };
    expired(&site, 1).await;
    let other = Db::open(&site.app.config.database).await.unwrap();
    let mut lock = other.try_advisory_lock("sweep").await.unwrap().unwrap();
    let Location::Postgres(server) = &site.app.config.database else { panic!("PostgreSQL") };
    let mut admin = sqlx::PgConnection::connect_with(&server.options).await.unwrap();
    let end = "select pg_terminate_backend(pid, 10000) from pg_locks where locktype = 'advisory'
        and (classid::bigint << 32) | objid::bigint
            = hashtextextended('vestibule ' || current_schema() || ' sweep', 0)";
    let ended = sqlx::query(end).fetch_all(&mut admin).await.unwrap();
    assert_eq!(ended.len(), 1);
    assert!(lock.keep_alive().await.is_err(), "it must not continue while another node sweeps");
    assert_eq!(sweep_at_once(&site).await, 5);
}

/// Else a login could wait for a change of the password, and both for each other.
#[tokio::test]
async fn a_login_does_not_wait_for_locked_old_sessions_and_devices() {
    let Some(site) = Site::on_postgresql().await else { return };
    expired(&site, 120).await;
    sql("update vestibule_sessions set user_id = (select id from vestibule_users), expires_at = 9000000000
        where expires_at = 1")
    .execute(site.db().writer())
    .await
    .unwrap();
    let mut other = site.db().begin().await.unwrap();
    for hold in [
        "select 1::bigint from vestibule_sessions where last_seen_at = 1 and id_hash <> '\\x05' for update",
        "select 1::bigint from vestibule_devices where last_login_at = 1 and token_hash <> '\\x05' for update",
    ] {
        assert_eq!(sql(hold).fetch_all::<(i64,)>(other.executor()).await.unwrap().len(), 119);
    }
    let mut ann = site.browser();
    timeout(AT_ONCE, ann.log_in("ann", PASSWORD)).await.expect("it does not wait");
    assert_eq!(ann.path(), "/account", "{}", ann.text());
    other.commit().await.unwrap();
    site.browser().log_in("ann", PASSWORD).await;
    assert_eq!(site.count("select count(*) from vestibule_sessions").await, 100);
    assert_eq!(site.count("select count(*) from vestibule_devices").await, 50);
}
