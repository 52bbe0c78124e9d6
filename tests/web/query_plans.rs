//! Every statement of requests, of the mail worker and of the sweep finds its rows by an index: none
//! becomes slower with the number of users.

use std::collections::BTreeSet;

use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row, SqliteConnection};
use vestibule::App;
use vestibule::accounts::approval::{Approval, approve};
use vestibule::accounts::delete_account::delete_account;
use vestibule::accounts::email::EmailAddress;
use vestibule::accounts::invitation::{invitations, invite};
use vestibule::config::RegistrationMode;
use vestibule::db::Location;
use vestibule::mail::worker::Worker;
use vestibule::models::approval::list_waiting;
use vestibule::models::mail_log::list_mails;
use vestibule::models::user::find_user_by_username;
use vestibule::tasks::hooks::run_next;
use vestibule::tasks::sweep::sweep;

use crate::support::apps::{WIKI, app_cookie, ask_proxy, behind_proxy};
use crate::support::outbox::mailer;
use crate::support::smtp::FakeSmtp;
use crate::support::work::work_of;
use crate::support::{Browser, OTHER_PASSWORD, PASSWORD, Site};

/// Tables of a few rows, whatever the number of users.
const SMALL_TABLES: [&str; 2] = ["vestibule_migrations", "vestibule_signing_keys"];

/// Whatever people and tasks do on a site.
async fn everything(site: &Site) {
    let with_hook = App::builder(site.app.config.clone()).clock(site.app.clock.clone());
    let with_hook = with_hook.on_registered(async |_| Err("the host is away".into()));
    let with_hook = with_hook.build().await.unwrap();
    let mut ann = site.registered("ann").await;
    assert!(run_next(&with_hook).await.unwrap());
    ann.click("Change password").await;
    ann.fill("Current password", PASSWORD).fill("New password", OTHER_PASSWORD);
    ann.fill("Confirm password", OTHER_PASSWORD).press("Change password").await;
    ann.press("Log out").await;
    ann.log_in("ann@meadow.example", PASSWORD).await.log_in("ann", OTHER_PASSWORD).await;
    let session = format!("vestibule={}", ann.cookie("vestibule").unwrap());
    ann.open("/session").await.open("/readyz").await;
    let proxy = behind_proxy(site).await;
    let cookie = app_cookie(&proxy, WIKI, &session).await;
    ask_proxy(&proxy, WIKI, &cookie).await;
    let mut cid =
        site.changed(|config| config.registration.mode = RegistrationMode::Verified).await;
    cid.register("ann", "cid@meadow.example", PASSWORD).await;
    site.wait(1);
    cid.press("Send a new code").await;
    cid.fill("Code", &site.newest_code().await).press("Create account").await;
    // Its address is proved, and its username was taken.
    cid.register("cid", "cid@meadow.example", PASSWORD).await;
    let mut dan =
        site.changed(|config| config.registration.mode = RegistrationMode::Approval).await;
    site.wait(1);
    dan.register("dan", "dan@meadow.example", PASSWORD).await;
    dan.fill("Code", &site.newest_code().await).press("Create account").await;
    for user in list_waiting(site.db().reader()).await.unwrap() {
        assert_eq!(approve(&site.app, &user).await.unwrap(), Approval::Approved);
    }
    let mut bob = site.browser();
    bob.ask_for_code("bob", "bob@meadow.example").await.reset("CCCC-CCCC", PASSWORD).await;
    invite(&site.app, &EmailAddress::parse("dora@meadow.example").unwrap()).await.unwrap();
    invitations(&site.app).await.unwrap();
    let mails = site.mails().await;
    let invitation = mails.iter().find(|mail| mail.kind == "invitation").unwrap();
    let link = invitation.text.lines().find_map(|line| line.strip_prefix("http://localhost:8000"));
    let mut dora = site.browser();
    dora.open(link.unwrap()).await.fill("Username", "dora");
    dora.fill("Password", PASSWORD)
        .fill("Confirm password", PASSWORD)
        .press("Create account")
        .await;
    assert_eq!(dora.path(), "/account", "{}", dora.text());
    let (mut ann, code) = site.with_code("ann").await;
    site.wait(60);
    ann.press("Send a new code").await;
    ann.reset(&code, PASSWORD).await.reset(&site.newest_code().await, PASSWORD).await;
    sweep(&with_hook).await.unwrap();
    let server = FakeSmtp::start().await;
    server.refuse("ann@meadow.example", "451 4.7.1 greylisted");
    let mailer = mailer(&server.url());
    let mut worker = Worker::new(site.db().clone(), site.app.outbox.clone(), mailer);
    worker.deliver_due().await.unwrap();
    by_the_operator(site).await;
    Browser::new(vestibule::metrics_router(&site.app)).open("/metrics").await;
}

/// Whatever the operator does on the command line.
async fn by_the_operator(site: &Site) {
    let (app, reader) = (&site.app, site.db().reader());
    let ann = find_user_by_username(reader, "ann").await.unwrap().unwrap();
    list_mails(site.db().reader(), &app.key, &ann.email, app.clock.now()).await.unwrap();
    delete_account(app, &ann, None).await.unwrap();
}

/// The statements in this work, without those of the development mailbox, which stays small.
fn statements(work: &[String]) -> BTreeSet<&str> {
    let texts = work.iter().filter_map(|line| line.rsplit_once(" [")).map(|(text, _)| text);
    let verbs = ["select", "insert", "update", "delete", "with"];
    let statements = texts.filter(|text| verbs.iter().any(|verb| text.starts_with(verb)));
    statements.filter(|statement| !statement.contains("'decoy_code'")).collect()
}

/// The steps of a statement's plan that read all rows of a table, or all entries of an index.
async fn scans(database: &Location, statement: &str) -> Vec<String> {
    match database {
        Location::Sqlite(path) => {
            let url = format!("sqlite:{}", path.display());
            scans_on_sqlite(&mut SqliteConnection::connect(&url).await.unwrap(), statement).await
        }
        Location::Postgres(server) => {
            let connection = PgConnection::connect_with(&server.options).await;
            scans_on_postgresql(&mut connection.unwrap(), statement).await
        }
        Location::SqlitePool(_) | Location::PostgresPool(_) => panic!("a host's database"),
    }
}

async fn scans_on_sqlite(connection: &mut SqliteConnection, statement: &str) -> Vec<String> {
    let steps = plan_on_sqlite(connection, statement).await.into_iter();
    let scanned = |step: &String| step.strip_prefix("SCAN ").is_some_and(is_of_large_table);
    steps.filter(scanned).collect()
}

async fn plan_on_sqlite(connection: &mut SqliteConnection, statement: &str) -> Vec<String> {
    let explain = AssertSqlSafe(format!("explain query plan {statement}"));
    let steps = connection.fetch_all(explain).await.unwrap();
    steps.iter().map(|step| step.get("detail")).collect()
}

/// PostgreSQL prefers to read a small table as a whole, so it is kept from that where there is an index.
async fn scans_on_postgresql(connection: &mut PgConnection, statement: &str) -> Vec<String> {
    let values = (1..20).filter(|number| statement.contains(&format!("${number}")));
    let values = values.map(|_| "null").collect::<Vec<_>>().join(", ");
    let values = if values.is_empty() { values } else { format!("({values})") };
    // Elsewhere PostgreSQL finds out itself which types the values have.
    let statement = statement.replace("$2 + $3", "$2::bigint + $3");
    let prepare = format!(
        "set enable_seqscan = off; set plan_cache_mode = force_generic_plan;
         prepare statement as {statement}"
    );
    connection.execute(sqlx::raw_sql(AssertSqlSafe(prepare))).await.unwrap();
    let explain = AssertSqlSafe(format!("explain (format json) execute statement{values}"));
    let plan = connection.fetch_one(sqlx::raw_sql(explain)).await.unwrap();
    let plan: Value = serde_json::from_str(&plan.get_unchecked::<String, _>(0)).unwrap();
    let mut scans = Vec::new();
    collect_scans(&plan[0]["Plan"], &mut scans);
    scans
}

fn collect_scans(node: &Value, scans: &mut Vec<String>) {
    let is_scan = node["Node Type"].as_str().is_some_and(|kind| kind.ends_with("Scan"));
    let is_of_large_table = node["Relation Name"].as_str().is_some_and(is_of_large_table);
    if is_scan
        && is_of_large_table
        && node["Index Cond"].is_null()
        && node["Recheck Cond"].is_null()
    {
        scans.push(node.to_string());
    }
    for child in node["Plans"].as_array().into_iter().flatten() {
        collect_scans(child, scans);
    }
}

/// Of a table, and not of a part of the statement.
fn is_of_large_table(step: &str) -> bool {
    let name = step.split(' ').next().unwrap_or_default();
    (name.starts_with("vestibule_") || name == "other") && !SMALL_TABLES.contains(&name)
}

on_both_databases! {
    async fn no_statement_reads_a_whole_table(site: Site) {
        let ((), work) = work_of(Box::pin(everything(&site))).await;
        let statements = statements(&work);
        assert!(statements.len() > 30, "{statements:#?}");
        for statement in statements {
            let scans = scans(&site.app.config.database, statement).await;
            assert!(scans.is_empty(), "{statement}: {scans:#?}");
        }
    }
}

#[tokio::test]
async fn a_claim_does_not_sort_the_hooks_that_wait() {
    let site = Site::on_sqlite().await;
    let ((), work) = work_of(Box::pin(everything(&site))).await;
    let mut claims = statements(&work);
    claims.retain(|statement| statement.contains("vestibule_hook_events where kind = $1 and next"));
    assert_eq!(claims.len(), 2, "{claims:#?}");
    let Location::Sqlite(path) = &site.app.config.database else { panic!("a file") };
    let url = format!("sqlite:{}", path.display());
    let mut connection = SqliteConnection::connect(&url).await.unwrap();
    for claim in claims {
        let plan = plan_on_sqlite(&mut connection, claim).await;
        assert!(!plan.iter().any(|step| step.contains("ORDER BY")), "{plan:?}");
    }
}

#[tokio::test]
async fn scans_of_a_table_and_of_an_index_are_found() {
    let mut sites = vec![Site::on_sqlite().await];
    sites.extend(Site::on_postgresql().await);
    for site in sites {
        let database = &site.app.config.database;
        for statement in [
            "select id from vestibule_users where email = $1",
            "select id from vestibule_users order by id limit 1",
            "update vestibule_sessions set data = $1 where created_at < $2",
        ] {
            assert_eq!(scans(database, statement).await.len(), 1, "{statement}");
        }
        let found = "select id from vestibule_users where email_key = $1";
        assert!(scans(database, found).await.is_empty());
    }
}
