//! PostgreSQL over a network: TLS, the password, poolers, and servers that cannot be used.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use futures_util::future::join_all;
use sqlx::Connection;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use vestibule::db::{Db, Location};
use vestibule::random;

use crate::support::cluster::{Cluster, HOST, Pooler};
use crate::support::program::Folder;
use crate::support::{OTHER_PASSWORD, PASSWORD, Site, email_of, postgres_url};

/// PostgreSQL's request for TLS, as each client sends it first.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];

const SECRET: &str = "hunter2-hunter2";

/// An address of this machine that is no loopback address. Without one it prints that nothing is tested.
fn own_address() -> Option<Ipv4Addr> {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // Sends nothing: the system only chooses the interface.
    let address = socket.connect("192.0.2.1:9").and_then(|()| socket.local_addr());
    match address {
        Ok(SocketAddr::V4(address)) if !address.ip().is_loopback() => Some(*address.ip()),
        _ => {
            eprintln!("this machine has no network: PostgreSQL over a network is not tested");
            None
        }
    }
}

/// A server that offers no TLS and asks for the password in clear text. Returns its address and what it
/// receives.
async fn listener(address: Ipv4Addr) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let received = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&received);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(receive_from(client, Arc::clone(&sink)));
        }
    });
    (address, received)
}

async fn receive_from(mut client: TcpStream, received: Arc<Mutex<Vec<u8>>>) {
    let mut bytes = vec![0; 4096];
    while let Ok(count @ 1..) = client.read(&mut bytes).await {
        received.lock().unwrap().extend(&bytes[..count]);
        let no_tls = &b"N"[..];
        let clear_text_password = &[b'R', 0, 0, 0, 8, 0, 0, 0, 3];
        let answer = if bytes[..count] == SSL_REQUEST { no_tls } else { clear_text_password };
        client.write_all(answer).await.unwrap();
    }
}

fn has_password(received: &Mutex<Vec<u8>>) -> bool {
    received.lock().unwrap().windows(SECRET.len()).any(|part| part == SECRET.as_bytes())
}

async fn open(url: &str) -> Result<Db, String> {
    let opened = Db::open(&Location::parse(url).unwrap()).await;
    opened.map_err(|error| error.to_string())
}

#[tokio::test]
async fn without_tls_no_password_is_sent_over_the_network_unless_the_url_allows_it() {
    let Some(own) = own_address() else { return };
    let (address, received) = listener(own).await;
    let refused = open(&format!("postgres://ann:{SECRET}@{address}/x")).await.unwrap_err();
    assert!(refused.contains("the server offers no TLS"), "{refused}");
    for mode in ["require", "verify-ca", "verify-full"] {
        let url = format!("postgres://ann:{SECRET}@{address}/x?sslmode={mode}");
        assert!(open(&url).await.is_err());
    }
    assert_eq!(*received.lock().unwrap(), SSL_REQUEST.repeat(4), "only requests for TLS");
    for mode in ["disable", "prefer"] {
        received.lock().unwrap().clear();
        let url = format!("postgres://ann:{SECRET}@{address}/x?sslmode={mode}");
        drop(timeout(Duration::from_secs(1), open(&url)).await);
        assert!(has_password(&received), "{mode} sends the password");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn environment_variables_neither_weaken_nor_redirect_the_connection() {
    let Some(own) = own_address() else { return };
    let ((address, received), (other, received_other)) = (listener(own).await, listener(own).await);
    let (host, port) = (other.ip().to_string(), other.port().to_string());
    let folder = Folder::new();
    let home = folder.0.display().to_string();
    let passwords = folder.0.join(".pgpass");
    std::fs::write(&passwords, format!("*:*:*:*:{SECRET}\n")).unwrap();
    let url = format!("postgres://ann:{SECRET}@{address}/x");
    let run = |extra: &[(&str, &str)]| {
        let mut settings = vec![
            ("VESTIBULE_DATABASE_URL", url.as_str()),
            ("VESTIBULE_SECRET", "YSBrZXkgZm9yIHRlc3RzLCAzMiBieXRlcyBvZiBpdP8="),
            ("HOME", &home),
        ];
        settings.extend(extra);
        tokio::task::block_in_place(|| folder.run(&["migrate"], &settings, ""))
    };
    let ended = run(&[
        ("PGSSLMODE", "disable"),
        ("PGHOST", &host),
        ("PGHOSTADDR", &host),
        ("PGPORT", &port),
        ("PGUSER", "eve"),
        ("PGPASSWORD", SECRET),
        ("PGDATABASE", "other"),
        ("PGSSLROOTCERT", "/nowhere"),
    ]);
    assert!(ended.status == 1 && ended.err.contains("offers no TLS"), "{}", ended.err);
    assert_eq!(*received.lock().unwrap(), SSL_REQUEST);
    assert!(received_other.lock().unwrap().is_empty());
    for variable in ["PGOPTIONS", "PGSSLCERT", "PGSSLKEY"] {
        let ended = run(&[(variable, "-csearch_path=other")]);
        let message =
            format!("{variable} is set in the environment, and only the URL counts: unset it");
        assert!(ended.status == 2 && ended.err.contains(&message), "{}", ended.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_must_be_signed_by_a_trusted_authority_and_name_the_host() {
    let Some(own) = own_address() else { return };
    let Some((cluster, authority)) = Cluster::start_with_tls() else { return };
    let port = cluster.port();
    let trusting = format!("sslrootcert={}", authority.display());
    let by_name = |name: &str, query: &str| {
        format!("postgres://vestibule:{SECRET}@{name}:{port}/postgres?hostaddr={own}&{query}")
    };
    open(&by_name(HOST, &trusting)).await.unwrap().close().await;
    for (url, message) in [
        (by_name(HOST, ""), "sslrootcert="),
        (by_name("other.example", &trusting), "the host as the certificate does"),
        (format!("postgres://vestibule:{SECRET}@{own}:{port}/postgres?{trusting}"), "the host as"),
        (by_name(HOST, "sslmode=verify-ca"), "certificate is refused"),
    ] {
        let refused = open(&url).await.unwrap_err();
        assert!(refused.contains(message) && !refused.contains(SECRET), "{url}: {refused}");
    }
    for query in ["sslmode=require", &format!("sslmode=verify-ca&{trusting}"), "sslmode=disable"] {
        open(&by_name("other.example", query)).await.unwrap().close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_weaker_ssl_mode_is_logged_at_the_start() {
    let Some(own) = own_address() else { return };
    let Some((cluster, _)) = Cluster::start_with_tls() else { return };
    let url =
        format!("postgres://vestibule:{SECRET}@{own}:{}/postgres?sslmode=require", cluster.port());
    let settings = [
        ("VESTIBULE_DATABASE_URL", url.as_str()),
        ("VESTIBULE_SECRET", "YSBrZXkgZm9yIHRlc3RzLCAzMiBieXRlcyBvZiBpdP8="),
        ("VESTIBULE_BASE_URL", "https://accounts.example"),
        ("VESTIBULE_SMTP_URL", "smtp://127.0.0.1:1"),
        ("VESTIBULE_LOG", "json"),
    ];
    let folder = Folder::new();
    drop(tokio::task::block_in_place(|| folder.serve_with_log(&settings)));
    let log = folder.log();
    let event = log.lines().find(|line| line.contains("\"weak_setting\"")).unwrap();
    assert!(event.contains("no certificate is checked") && !log.contains(SECRET), "{log}");
}

/// The first address of `localhost` accepts connections and does not answer, the second one works.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_address_of_a_name_does_not_block_the_next_address() {
    let Some(cluster) = Cluster::start_on("::1") else { return };
    let silent = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, cluster.port()));
    let Ok(_silent) = silent else { return };
    for mode in ["", "?sslmode=disable"] {
        let url = format!("postgres://vestibule@localhost:{}/postgres{mode}", cluster.port());
        let started = Instant::now();
        let db = open(&url).await.unwrap();
        // Each connection waits a quarter of a second for the first address.
        assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
        db.check_writable().await.unwrap();
        db.close().await;
    }
}

/// Of the two addresses of `localhost` the first leads to a server that takes no writes.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_takes_writes_is_preferred_to_a_standby() {
    let Some(cluster) = Cluster::start_on("::1") else { return };
    let Some(_standby) = cluster.start_standby("127.0.0.1") else { return };
    for query in ["", "?target_session_attrs=read-write", "?sslmode=disable"] {
        let url = format!("postgres://vestibule@localhost:{}/postgres{query}", cluster.port());
        let db = open(&url).await.unwrap();
        for _ in 0..3 {
            db.check_writable().await.unwrap();
        }
        db.close().await;
    }
    // Without an address that takes writes, a standby is used.
    cluster.hang();
    let url = format!("postgres://vestibule@localhost:{}/postgres", cluster.port());
    let refused = open(&url).await.unwrap_err();
    assert!(refused.contains("read-only"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_without_a_free_connection_is_refused_with_the_setting_to_change() {
    let Some(cluster) = Cluster::start() else { return };
    for mode in ["session", "transaction"] {
        let lines = format!("pool_mode = {mode}\ndefault_pool_size = 1\n");
        let Some(pooler) = Pooler::start_with(&cluster, &lines).await else { return };
        let started = Instant::now();
        let refused = open(&pooler.url()).await.unwrap_err();
        assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
        for message in ["pgbouncer=transaction", "pgbouncer=session", "pgbouncer.ini"] {
            assert!(refused.contains(message), "{mode}: {refused}");
        }
        open(&format!("{}?pgbouncer={mode}", pooler.url())).await.unwrap().close().await;
        // Another program uses the only connection.
        let mut other = sqlx::PgConnection::connect_with(&pooler.options()).await.unwrap();
        sqlx::Executor::execute(&mut other, "begin").await.unwrap();
        for (query, advice) in [("", true), ("?pgbouncer=transaction", false)] {
            let refused = open(&format!("{}{query}", pooler.url())).await.unwrap_err();
            assert!(refused.contains("default_pool_size in pgbouncer.ini"), "{mode}: {refused}");
            assert_eq!(refused.contains("pgbouncer=session"), advice, "{refused}");
        }
    }
}

#[tokio::test]
async fn a_database_that_is_not_utf8_is_refused_with_what_to_do() {
    let Some(url) = postgres_url() else { return };
    let mut connection = sqlx::PgConnection::connect(&url).await.unwrap();
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let name = format!("encoding_{}", random::id(0));
        let create =
            format!("create database {name} encoding '{encoding}' locale 'C' template template0");
        sqlx::raw_sql(sqlx::AssertSqlSafe(create)).execute(&mut connection).await.unwrap();
        let (server, _) = url.rsplit_once('/').unwrap();
        let refused = open(&format!("{server}/{name}")).await.map(drop);
        let drop_it = format!("drop database {name} with (force)");
        sqlx::raw_sql(sqlx::AssertSqlSafe(drop_it)).execute(&mut connection).await.unwrap();
        let message = format!("the database's encoding is {encoding}");
        let refused = refused.unwrap_err();
        assert!(
            refused.contains(&message) && refused.contains("encoding 'UTF8' template template0"),
            "{refused}"
        );
    }
}

/// Registers, logs out and in, and opens pages.
async fn visit(site: &Site, name: &str) {
    let mut browser = site.browser();
    browser.register(name, &email_of(name), PASSWORD).await;
    assert_eq!(browser.path(), "/account", "{}", browser.text());
    browser.keep(&browser.post("/logout", &[]).await);
    for password in [OTHER_PASSWORD, PASSWORD] {
        let answer = browser.post("/login", &[("username", name), ("password", password)]).await;
        let right = if password == PASSWORD {
            StatusCode::SEE_OTHER
        } else {
            StatusCode::UNPROCESSABLE_ENTITY
        };
        assert_eq!(answer.status(), right, "{name}");
        browser.keep(&answer);
    }
    for _ in 0..5 {
        assert!(browser.is_logged_in().await, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_works_through_a_pooler_in_transaction_mode_that_the_url_names() {
    let Some(cluster) = Cluster::start() else { return };
    let Some(pooler) = Pooler::start(&cluster, "transaction").await else { return };
    let refused = open(&pooler.url()).await.unwrap_err();
    assert!(refused.contains("add pgbouncer=transaction to the URL's parameters"), "{refused}");
    let url = format!("{}?pgbouncer=true", pooler.url());
    let site = Site::at(&url, |config| config.limits.register_ip = None).await;
    // Nodes that migrate at the same time.
    let more = join_all((0..4).map(|_| open(&url))).await;
    for db in more {
        db.unwrap().close().await;
    }
    let names: Vec<_> = (0..24).map(|number| format!("user{number}")).collect();
    timeout(Duration::from_mins(1), join_all(names.iter().map(|name| visit(&site, name))))
        .await
        .unwrap();
    let (mut resetting, code) = site.with_code("user0").await;
    resetting.reset(&code, OTHER_PASSWORD).await;
    assert_eq!(resetting.path(), "/login", "{}", resetting.text());
    assert_eq!(site.browser().open("/readyz").await.status, StatusCode::OK);
    assert_eq!(vestibule::tasks::sweep::sweep(&site.app).await.unwrap(), 0);
    assert_eq!(site.count("select count(*) from vestibule_users").await, 24);
    // Nothing is left on the server's connections for other programs.
    let mut other = sqlx::PgConnection::connect(&cluster.url()).await.unwrap();
    let left = "select count(*) from pg_locks where locktype = 'advisory'";
    let (left,): (i64,) = sqlx::query_as(left).fetch_one(&mut other).await.unwrap();
    assert_eq!(left, 0);
    let mut pooled = sqlx::PgConnection::connect_with(&pooler.options()).await.unwrap();
    for setting in ["lock_timeout", "idle_in_transaction_session_timeout"] {
        let ask = sqlx::AssertSqlSafe(format!("select current_setting('{setting}')"));
        let row = sqlx::Executor::fetch_one(&mut pooled, ask).await.unwrap();
        assert_eq!(sqlx::Row::get::<String, _>(&row, 0), "0", "{setting}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_in_session_mode_works_and_one_in_statement_mode_is_refused() {
    let Some(cluster) = Cluster::start() else { return };
    let Some(pooler) = Pooler::start(&cluster, "session").await else { return };
    let site = Site::at(&pooler.url(), |config| config.limits.register_ip = None).await;
    let names: Vec<_> = (0..8).map(|number| format!("user{number}")).collect();
    timeout(Duration::from_mins(1), join_all(names.iter().map(|name| visit(&site, name))))
        .await
        .unwrap();
    let refused = open(&format!("{}?options=-csearch_path%3Dx", pooler.url())).await.unwrap_err();
    assert!(refused.contains("ignore_startup_parameters in pgbouncer.ini"), "{refused}");
    let Some(pooler) = Pooler::start(&cluster, "statement").await else { return };
    let refused = open(&pooler.url()).await.unwrap_err();
    assert!(refused.contains("statement mode cannot be used"), "{refused}");
}
