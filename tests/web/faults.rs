//! Faults of the database and of the clock: the answers meanwhile, and the recovery without a restart.

use std::time::Duration;

use axum::http::StatusCode;
use futures_util::future::{join, join_all};
use sqlx::Connection;
use sqlx::sqlite::SqliteConnectOptions;
use tokio::sync::watch;
use tokio::time::timeout;
use vestibule::config::Rate;
use vestibule::db::{Db, DbError, Location, sql};
use vestibule::models::user::find_user_by_username;

use crate::support::cluster::Cluster;
use crate::support::outbox::{TestOutbox, email};
use crate::support::smtp::FakeSmtp;
use crate::support::{Browser, OTHER_PASSWORD, PASSWORD, Site, email_of, postgres_url, until};

/// How long requests wait for a lock here, instead of five seconds. A busy machine can open a file in
/// less.
const SHORT: Duration = Duration::from_secs(1);

/// A lock of another program: reads succeed, writes wait.
enum Lock {
    Sqlite(sqlx::SqliteConnection),
    Postgres(sqlx::PgConnection),
}

impl Lock {
    async fn take(site: &Site) -> Self {
        match &site.app.config.database {
            Location::Sqlite(path) => {
                let options = SqliteConnectOptions::new().filename(path);
                let mut other = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
                sqlx::query("begin immediate").execute(&mut other).await.unwrap();
                Self::Sqlite(other)
            }
            Location::Postgres(server) => {
                let mut other = sqlx::PgConnection::connect_with(&server.options).await.unwrap();
                let lock = "begin; lock table vestibule_users, vestibule_sessions, vestibule_rate_limits, vestibule_outbox,
                    vestibule_one_time_codes, vestibule_devices in exclusive mode";
                sqlx::raw_sql(lock).execute(&mut other).await.unwrap();
                Self::Postgres(other)
            }
            Location::SqlitePool(_) | Location::PostgresPool(_) => panic!("a host's database"),
        }
    }

    async fn release(self) {
        match self {
            Self::Sqlite(other) => other.close().await.unwrap(),
            Self::Postgres(other) => other.close().await.unwrap(),
        }
    }
}

/// A browser, a path and the fields.
type Form<'a> = (&'a Browser, &'a str, &'a [(&'a str, &'a str)]);

const ANN: (&str, &str) = ("username", "ann");
const BOB: [(&str, &str); 4] = [
    ("username", "bob"),
    ("email", "bob@meadow.example"),
    ("password", PASSWORD),
    ("password_confirm", PASSWORD),
];

on_both_databases! {
    async fn a_form_waits_for_a_lock_that_is_held_for_a_moment(site: Site) {
        site.registered("ann").await;
        let lock = Lock::take(&site).await;
        let visitor = site.browser();
        let mut login = std::pin::pin!(visitor.post("/login", &[ANN, ("password", PASSWORD)]));
        assert!(timeout(Duration::from_millis(200), &mut login).await.is_err(), "it waits");
        lock.release().await;
        assert_eq!(login.await.status(), StatusCode::SEE_OTHER);
    }

    async fn while_nothing_can_be_written_forms_are_refused_and_change_nothing(site: Site) {
        let mut ann = site.registered("ann").await;
        let (mut resetting, code) = site.with_code("ann").await;
        let front = site.impatient(SHORT).await;
        let mails = site.mails().await.len();
        let lock = Lock::take(&site).await;
        let new = [("password", OTHER_PASSWORD), ("password_confirm", OTHER_PASSWORD)];
        let changed = [("current_password", PASSWORD), new[0], new[1]];
        let code_and_new = [("code", code.as_str()), new[0], new[1]];
        let (visitor, with_code, logged_in) =
            (site.browser().at(&front), resetting.at(&front), ann.at(&front));
        let forms: [Form<'_>; 6] = [
            (&visitor, "/register", &BOB),
            (&visitor, "/login", &[ANN, ("password", PASSWORD)]),
            (&visitor, "/forgot", &[ANN, ("email", "ann@meadow.example")]),
            (&with_code, "/reset", &code_and_new),
            (&logged_in, "/account/password", &changed),
            (&logged_in, "/logout", &[]),
        ];
        join_all(forms.map(async |(browser, path, fields)| {
            let answer = browser.post(path, fields).await;
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
            assert_eq!(answer.headers()["retry-after"], "2", "{path}");
            assert!(answer.headers().get("set-cookie").is_none(), "{path}: {:?}", answer.headers());
        }))
        .await;
        assert!(ann.at(&front).is_logged_in().await, "no user was logged out without a notice");
        lock.release().await;
        assert_eq!(site.count("select count(*) from vestibule_users").await, 1);
        assert_eq!(site.mails().await.len(), mails);
        // The same forms again.
        resetting.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(resetting.path(), "/login", "{}", resetting.text());
        let login = site.browser().post("/login", &[ANN, ("password", PASSWORD)]).await;
        assert_eq!(login.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(visitor.post("/register", &BOB).await.status(), StatusCode::SEE_OTHER, "by itself");
        assert!(!ann.is_logged_in().await, "the reset has ended the session");
    }

    async fn while_nothing_can_be_written_pages_work_and_notices_are_shown_again(site: Site) {
        let ann = site.registered_with_notice("ann").await;
        let mut left = site.registered("bob").await;
        left.keep(&left.post("/logout", &[]).await);
        // Long enough for the session's last use to be written, too.
        site.wait(600);
        let front = site.impatient(SHORT).await;
        let (mut ann, mut left) = (ann.at(&front), left.at(&front));
        let lock = Lock::take(&site).await;
        for path in ["/account", "/account/password", "/logout", "/account"] {
            ann.open(path).await;
            assert_eq!((ann.status, ann.path()), (StatusCode::OK, path), "{}", ann.text());
            assert_eq!(ann.flashes(), ["Your account was created."], "{path}");
        }
        left.open("/login").await;
        assert_eq!((left.status, left.flashes()), (StatusCode::OK, vec!["You've been logged out.".to_owned()]));
        for path in ["/login", "/register", "/forgot"] {
            assert_eq!(site.browser().at(&front).open(path).await.status, StatusCode::OK, "{path}");
        }
        lock.release().await;
        ann = ann.at(&site.router);
        ann.open("/account").await;
        assert_eq!(ann.flashes().len(), 1, "it could not be removed before");
        ann.open("/account").await;
        assert_eq!((ann.status, ann.flashes().len()), (StatusCode::OK, 0));
    }

    async fn nothing_is_changed_when_its_email_cannot_be_enqueued(site: Site) {
        let mut ann = site.registered("ann").await;
        let (mut resetting, code) = site.with_code("ann").await;
        let run = async |text| sql(text).execute(site.db().writer()).await.unwrap();
        run("alter table vestibule_outbox rename to nowhere").await;
        let new = [("password", OTHER_PASSWORD), ("password_confirm", OTHER_PASSWORD)];
        let forms: [Form<'_>; 3] = [
            (&site.browser(), "/register", &BOB),
            (&resetting, "/reset", &[("code", &code), new[0], new[1]]),
            (&ann, "/account/password", &[("current_password", PASSWORD), new[0], new[1]]),
        ];
        for (browser, path, fields) in forms {
            let answer = browser.post(path, fields).await;
            assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR, "{path}");
        }
        run("alter table nowhere rename to vestibule_outbox").await;
        assert_eq!(site.count("select count(*) from vestibule_users").await, 1);
        assert!(ann.is_logged_in().await, "the password was not changed");
        resetting.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(resetting.path(), "/login", "the code is still valid: {}", resetting.text());
    }

    async fn a_clock_an_hour_forward_and_back_locks_no_user_out_or_in(site: Site) {
        let three = Some(Rate { count: 3, period: 900 });
        let site_with = |config: &mut vestibule::Config| {
            config.limits.login_account = three;
            // Else an email of the hour ahead would be the newest.
            config.notices = vestibule::config::Notices::parse("none").unwrap();
        };
        let mut ann = site.registered("ann").await;
        let (mut resetting, code) = site.with_code("ann").await;
        let mut guesser = site.changed(site_with).await;
        for _ in 0..4 {
            guesser.log_in("ann", "wrong password").await;
        }
        assert_eq!(guesser.status, StatusCode::TOO_MANY_REQUESTS);
        site.wait(-3600);
        guesser.log_in("ann", PASSWORD).await;
        assert_eq!(guesser.status, StatusCode::TOO_MANY_REQUESTS, "the period has not ended");
        site.wait(901);
        guesser.log_in("ann", PASSWORD).await;
        assert_eq!(guesser.path(), "/account", "a limit lasts for its period: {}", guesser.text());
        assert!(ann.is_logged_in().await);
        resetting.open("/reset").await;
        resetting.press("Send a new code").await;
        assert_eq!(resetting.flashes(), ["If your details match an account, we've sent a new code."]);
        resetting.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(resetting.status, StatusCode::UNPROCESSABLE_ENTITY, "the old code is no longer valid");
        let newest = site.newest_code().await;
        site.wait(601);
        resetting.reset(&newest, OTHER_PASSWORD).await;
        assert!(resetting.problems()[0].starts_with("This code has expired"), "{}", resetting.text());
        site.wait(3600);
        assert!(ann.is_logged_in().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_goes_out_although_the_clock_went_back() {
    let server = FakeSmtp::start().await;
    for mut post in TestOutbox::all(&server.url()).await {
        let before = server.mails().len();
        server.refuse("later@example.com", "451 4.7.1 later");
        post.put(&email("later@example.com")).await;
        post.deliver().await;
        server.allow("later@example.com");
        post.put(&email("ann@example.com")).await;
        post.clock.advance(-3600);
        post.deliver().await;
        assert_eq!((post.waiting().await, server.mails().len()), (0, before + 2));
        post.close().await;
    }
}

/// While `switch` has made the database read-only, forms change nothing and pages work. Afterwards forms
/// work without a restart.
async fn read_only_for_a_while(site: &Site, switch: impl AsyncFn(bool)) {
    let mut ann = site.registered_with_notice("ann").await;
    let visitor = site.browser();
    let forms: [Form<'_>; 4] = [
        (&visitor, "/register", &BOB),
        (&visitor, "/login", &[ANN, ("password", PASSWORD)]),
        (&visitor, "/forgot", &[ANN, ("email", "ann@meadow.example")]),
        (&ann, "/logout", &[]),
    ];
    for (browser, path, fields) in forms {
        // SQLite's writer is opened anew after each failure.
        switch(true).await;
        let answer = browser.post(path, fields).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert_eq!(answer.headers()["retry-after"], "2", "{path}");
        assert!(answer.headers().get("set-cookie").is_none(), "{path}: {:?}", answer.headers());
    }
    for path in ["/login", "/register", "/forgot", "/healthz"] {
        assert_eq!(site.browser().open(path).await.status, StatusCode::OK, "{path}");
    }
    switch(true).await;
    let ready = site.browser().open("/readyz").await.status;
    assert_eq!(ready, StatusCode::SERVICE_UNAVAILABLE, "a form would fail");
    for _ in 0..2 {
        switch(true).await;
        ann.open("/account").await;
        assert_eq!((ann.status, ann.flashes().len()), (StatusCode::OK, 1), "{}", ann.text());
    }
    switch(false).await;
    assert_eq!(site.browser().open("/readyz").await.status, StatusCode::OK);
    assert_eq!(site.count("select count(*) from vestibule_users").await, 1);
    for (browser, path, fields) in [(&visitor, "/register", &BOB[..]), (&ann, "/logout", &[])] {
        assert_eq!(browser.post(path, fields).await.status(), StatusCode::SEE_OTHER, "{path}");
    }
    assert!(!ann.is_logged_in().await);
}

#[tokio::test]
async fn a_sqlite_that_is_read_only_for_a_while_refuses_forms_and_shows_pages() {
    let site = Site::on_sqlite().await;
    // SQLite's writer fails as on a disk that is mounted read-only.
    let switch = async |is_read_only| {
        let pragma = if is_read_only { "pragma query_only = 1" } else { "pragma query_only = 0" };
        sql(pragma).execute(site.db().writer()).await.unwrap();
    };
    read_only_for_a_while(&site, switch).await;
}

#[tokio::test]
async fn a_site_whose_file_was_deleted_or_replaced_is_not_ready() {
    let site = Site::on_sqlite().await;
    let Location::Sqlite(path) = &site.app.config.database else { panic!("no file") };
    let ready = async || site.browser().open("/readyz").await.status;
    let elsewhere = path.with_extension("moved");
    assert_eq!(ready().await, StatusCode::OK);
    std::fs::rename(path, &elsewhere).unwrap();
    assert_eq!(ready().await, StatusCode::SERVICE_UNAVAILABLE, "deleted");
    std::fs::copy(&elsewhere, path).unwrap();
    assert_eq!(ready().await, StatusCode::SERVICE_UNAVAILABLE, "replaced");
    std::fs::rename(&elsewhere, path).unwrap();
    assert_eq!(ready().await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_that_is_read_only_for_a_while_refuses_forms_and_shows_pages() {
    let Some(cluster) = Cluster::start() else { return };
    let site = Site::at(&cluster.url(), |_| ()).await;
    let other = tokio::sync::Mutex::new(sqlx::PgConnection::connect(&cluster.url()).await.unwrap());
    // As a switch to a standby does: connections end, and the next ones cannot write.
    let switch = async |is_read_only| {
        let set = if is_read_only {
            "alter database postgres set default_transaction_read_only = on"
        } else {
            "alter database postgres reset default_transaction_read_only"
        };
        let end = "select pg_terminate_backend(pid, 10000) from pg_stat_activity
            where backend_type = 'client backend' and pid <> pg_backend_pid()";
        for text in [set, end] {
            sqlx::query(text).execute(&mut *other.lock().await).await.unwrap();
        }
    };
    read_only_for_a_while(&site, switch).await;
}

/// After a failover the open connections cannot write, and new ones can.
#[tokio::test(flavor = "multi_thread")]
async fn connections_from_before_a_failover_are_all_replaced_at_the_first_failure() {
    let Some(cluster) = Cluster::start() else { return };
    for asks_readiness in [false, true] {
        let site = Site::at(&cluster.url(), |_| ()).await;
        let name = format!("ann{asks_readiness}").to_lowercase();
        let mut ann = site.registered(&name).await;
        let mut other = sqlx::PgConnection::connect(&cluster.url()).await.unwrap();
        let all_read_only = "alter role vestibule set default_transaction_read_only = on;
            select pg_terminate_backend(pid, 10000) from pg_stat_activity
            where backend_type = 'client backend' and pid <> pg_backend_pid()";
        sqlx::raw_sql(all_read_only).execute(&mut other).await.unwrap();
        // The maximum of connections, each in use.
        let busy = (0..16).map(|_| sql("select pg_sleep(0.6)").execute(site.db().reader()));
        assert!(join_all(busy).await.iter().all(Result::is_ok));
        assert!(ann.is_logged_in().await, "pages work");
        let back = "alter role vestibule reset default_transaction_read_only";
        sqlx::raw_sql(back).execute(&mut other).await.unwrap();
        if asks_readiness {
            assert_eq!(
                site.browser().open("/readyz").await.status,
                StatusCode::SERVICE_UNAVAILABLE
            );
            assert_eq!(site.browser().open("/readyz").await.status, StatusCode::OK);
        }
        let mut statuses = Vec::new();
        for _ in 0..20 {
            let fields = [("username", name.as_str()), ("password", PASSWORD)];
            statuses.push(site.browser().post("/login", &fields).await.status());
        }
        let failed = statuses.iter().filter(|status| **status != StatusCode::SEE_OTHER).count();
        assert!(failed <= usize::from(!asks_readiness), "{statuses:?}");
    }
}

/// Registers names until `is_over`, and adds those that were acknowledged to `acknowledged`.
async fn register_until(
    site: &Site,
    prefix: &str,
    acknowledged: &watch::Sender<Vec<String>>,
    is_over: impl Fn() -> bool,
) {
    for number in 0.. {
        if is_over() {
            return;
        }
        let name = format!("{prefix}{number}");
        let email = email_of(&name);
        let fields = [("username", name.as_str()), ("email", email.as_str()), BOB[2], BOB[3]];
        let answer = site.browser().post("/register", &fields).await;
        match answer.status() {
            StatusCode::SEE_OTHER => {
                acknowledged.send_modify(|names| names.push(name));
            }
            status => assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{name}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_or_hang_of_postgresql_under_load_loses_nothing() {
    let Some(cluster) = Cluster::start() else { return };
    let site = Site::at(&cluster.url(), |config| {
        config.database_wait = Duration::from_secs(1);
        config.limits.register_ip = None;
    })
    .await;
    let acknowledged = watch::Sender::new(Vec::new());
    let ten_more = async || {
        let mut acknowledged = acknowledged.subscribe();
        let most = acknowledged.borrow().len() + 10;
        acknowledged.wait_for(|acknowledged| acknowledged.len() >= most).await.unwrap();
    };
    let over = std::sync::atomic::AtomicBool::new(false);
    let is_over = || over.load(std::sync::atomic::Ordering::SeqCst);
    let names = ["a", "b", "c", "d"].map(|name| format!("load-{name}"));
    let load =
        join_all(names.iter().map(|name| register_until(&site, name, &acknowledged, is_over)));
    let faults = async {
        ten_more().await;
        tokio::task::block_in_place(|| cluster.restart());
        ten_more().await;
        cluster.hang();
        let started = std::time::Instant::now();
        let answer = site.browser().post("/login", &[ANN, ("password", PASSWORD)]).await;
        assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
        assert_eq!(site.browser().open("/readyz").await.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(site.browser().open("/login").await.status, StatusCode::OK);
        cluster.resume();
        ten_more().await;
        over.store(true, std::sync::atomic::Ordering::SeqCst);
    };
    timeout(Duration::from_mins(1), join(load, faults)).await.unwrap();
    assert_eq!(site.browser().open("/readyz").await.status, StatusCode::OK);
    let acknowledged = acknowledged.borrow().clone();
    for name in &acknowledged {
        let user = find_user_by_username(site.db().reader(), name).await.unwrap();
        assert!(user.is_some(), "{name} was registered");
    }
    let without_mail = site.count("select (select count(*) from vestibule_users) - (select count(*) from vestibule_outbox where kind = 'registered')").await;
    assert_eq!(without_mail, 0, "each account has its email");
    let busy = "select count(*) from pg_stat_activity where state like 'idle in transaction%'";
    assert_eq!(sql(busy).fetch_optional::<(i64,)>(site.db().reader()).await.unwrap(), Some((0,)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_without_an_answer_times_out_and_its_connection_is_replaced() {
    let Some(url) = postgres_url() else { return };
    let wait = Duration::from_millis(500);
    let db = Db::open_for(&Location::parse(&url).unwrap(), wait).await.unwrap();
    // One for each connection.
    let silent = join_all((0..16).map(|_| sql("select pg_sleep(30)").execute(db.writer())));
    for answer in timeout(Duration::from_secs(20), silent).await.unwrap() {
        assert!(answer.as_ref().is_err_and(DbError::is_transient), "{answer:?}");
    }
    let answers_again = until(async || db.check_writable().await.is_ok());
    timeout(Duration::from_secs(10), answers_again).await.expect("long before the statements end");
    timeout(Duration::from_secs(10), db.close()).await.unwrap();
}

#[tokio::test]
async fn a_session_that_cannot_be_saved_is_an_error_and_its_flash_is_still_shown() {
    let site = Site::on_sqlite().await;
    site.registered("ann").await;
    let mut resetting = site.browser();
    let ask = [ANN, ("email", "ann@meadow.example")];
    for email in ["ann@meadow.example", "other@meadow.example"] {
        resetting.keep(&resetting.post("/forgot", &[ANN, ("email", email)]).await);
    }
    let stuck = "create trigger stuck before update on vestibule_sessions begin select raise(abort, 'stuck'); end";
    sql(stuck).execute(site.db().writer()).await.unwrap();
    let answer = resetting.post("/forgot", &ask).await;
    assert_eq!(
        answer.status(),
        StatusCode::SERVICE_UNAVAILABLE,
        "the browser would not know the session"
    );
    resetting.open("/reset").await;
    assert_eq!((resetting.status, resetting.flashes().len()), (StatusCode::OK, 1));
}
