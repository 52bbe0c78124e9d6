//! Delete an account, by its owner or the operator, and what that does to a host application's rows.

use std::io::Write;
use std::process::{Command, Stdio};

use axum::body::Body;
use axum::http::{Response, StatusCode};
use tower_sessions::SessionStore;
use vestibule::accounts::delete_account::{Deletion, delete_account};
use vestibule::accounts::set_password::make_code;
use vestibule::config::Notices;
use vestibule::db::sql;
use vestibule::models::session::SqlSessionStore;
use vestibule::models::user::find_user_by_username;
use vestibule::{App, random};

use crate::support::host_database::{HostDatabase, register};
use crate::support::program::Folder;
use crate::support::{Browser, OTHER_PASSWORD, PASSWORD, Site, email_of};

const DAY: i64 = 24 * 60 * 60;

async fn delete(app: &App, username: &str) -> Deletion {
    let user = find_user_by_username(app.db.reader(), username).await.unwrap().unwrap();
    delete_account(app, &user, None).await.unwrap()
}

on_both_databases! {
    async fn nothing_of_a_deleted_account_is_left(site: Site) {
        let mut ann = site.registered("ann").await;
        site.registered("bob").await;
        let (mut resetting, code) = site.with_code("ann").await;
        let user = find_user_by_username(site.db().reader(), "ann").await.unwrap().unwrap();
        assert!(make_code(&site.app, &user).await.unwrap().is_some());
        let id = user.id;
        let tables = "select table_name from information_schema.tables where table_schema = current_schema()";
        let tables_on_sqlite = "select name from sqlite_schema where type = 'table'";
        let is_sqlite = site.db().sqlite_file().await.unwrap().is_some();
        let tables = sql(if is_sqlite { tables_on_sqlite } else { tables });
        let tables = tables.fetch_all::<(String,)>(site.db().reader()).await.unwrap();
        assert!(matches!(delete(&site.app, "ann").await, Deletion::Deleted));
        for (table,) in tables {
            let rows = rows_of(&site, &table).await;
            // An anonymous session keeps what was typed at /forgot.
            let names = if table == "vestibule_sessions" { &[][..] } else { &["ann@", ",ann,", "'ann'"] };
            for trace in names.iter().chain([&id.as_str()]) {
                assert!(!rows.contains(*trace), "{table}: {rows}");
            }
        }
        assert!(!ann.is_logged_in().await);
        assert_eq!(site.mails_to("ann").await, Vec::<String>::new());
        assert_eq!(site.mails_to("bob").await, ["registered"]);
        assert_eq!(site.count("select count(*) from vestibule_users").await, 1);
        let wrong = site.browser().log_in("ann", PASSWORD).await.text();
        assert_eq!(wrong, site.browser().log_in("nobody", PASSWORD).await.text());
        resetting.reset(&code, PASSWORD).await;
        assert_eq!(resetting.path(), "/reset", "the code is wrong, as for nobody: {}", resetting.text());
        assert_eq!(site.registered("ann").await.path(), "/account", "the name is free");
    }

    async fn an_account_is_deleted_once(site: Site) {
        site.registered("ann").await;
        let user = find_user_by_username(site.db().reader(), "ann").await.unwrap().unwrap();
        let both = tokio::join!(delete_account(&site.app, &user, None), delete_account(&site.app, &user, None));
        let outcomes = [both.0.unwrap(), both.1.unwrap()];
        let deleted = outcomes.iter().filter(|outcome| matches!(outcome, Deletion::Deleted));
        assert_eq!(deleted.count(), 1);
        assert!(outcomes.iter().any(|outcome| matches!(outcome, Deletion::Gone)));
    }
}

const PATH: &str = "/account/delete";

/// Types both and sends the form.
async fn leave(browser: &mut Browser, name: &str, password: &str) {
    browser.open(PATH).await;
    browser.fill("Username", name).fill("Current password", password);
    browser.press("Delete account").await;
}

on_both_databases! {
    async fn the_owner_deletes_the_account_with_its_name_and_the_password(site: Site) {
        let mut ann = site.registered("ann").await;
        let mut phone = site.browser();
        phone.log_in("ann", PASSWORD).await;
        let id = find_user_by_username(site.db().reader(), "ann").await.unwrap().unwrap().id;
        ann.open("/account").await.click("Delete your account").await;
        assert_eq!((ann.path(), ann.title().as_str()), (PATH, "Delete your account – Vestibule"));
        leave(&mut ann, " Ann ", PASSWORD).await;
        assert_eq!(ann.visited, [PATH, "/login"]);
        assert_eq!(ann.flashes(), ["Your account was deleted."]);
        assert!(!ann.is_logged_in().await && !phone.is_logged_in().await);
        assert_eq!(site.mails_to("ann").await, ["account_deleted"]);
        for table in ["select count(*) from vestibule_users", "select count(*) from vestibule_devices", "select count(*) from vestibule_history where user_id <> ''", "select count(*) from vestibule_sessions where user_id is not null"] {
            assert_eq!(site.count(table).await, 0, "{table}");
        }
        assert!(!rows_of(&site, "vestibule_outbox").await.contains(&id), "the last mail is about nobody");
        assert_eq!(ann.log_in("ann", PASSWORD).await.path(), "/login");
    }

    async fn a_refused_form_deletes_nothing(site: Site) {
        let mut ann = site.registered("ann").await;
        let wrong_name = "That isn't your username.";
        for (name, password, problems) in [
            ("bob", PASSWORD, &[wrong_name][..]),
            ("", PASSWORD, &["Enter your username."]),
            ("ann@meadow.example", PASSWORD, &[wrong_name]),
            ("ann", "not the password", &["Current password is incorrect."]),
            ("ann", "", &["Enter your current password."]),
            ("x", "", &[wrong_name, "Enter your current password."]),
        ] {
            leave(&mut ann, name, password).await;
            assert_eq!((ann.status, ann.problems()), (StatusCode::UNPROCESSABLE_ENTITY, problems.iter().map(|&p| p.to_owned()).collect()));
            assert_eq!(ann.attribute("#username", "value").as_deref(), Some(name));
            assert!(ann.attribute("#current_password", "value").is_none());
        }
        assert!(ann.is_logged_in().await);
        assert_eq!(site.mails_to("ann").await, ["registered"]);
    }

    async fn guesses_of_the_password_are_limited_together_with_those_at_other_forms(site: Site) {
        let mut ann = site.registered("ann").await;
        for _ in 0..10 {
            leave(&mut ann, "ann", "not the password").await;
        }
        leave(&mut ann, "ann", PASSWORD).await;
        assert_eq!(ann.status, StatusCode::TOO_MANY_REQUESTS);
        let fields = [("current_password", PASSWORD), ("password", OTHER_PASSWORD), ("password_confirm", OTHER_PASSWORD)];
        assert_eq!(ann.post("/account/password", &fields).await.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(site.count("select count(*) from vestibule_users").await, 1);
    }

    async fn two_tabs_at_once_both_end_at_the_login_and_one_mail_is_sent(site: Site) {
        let ann = site.registered("ann").await;
        let fields = [("username", "ann"), ("current_password", PASSWORD)];
        let (one, other) = tokio::join!(ann.post(PATH, &fields), ann.post(PATH, &fields));
        for answer in [one, other] {
            assert_eq!(answer.status(), StatusCode::SEE_OTHER);
            assert!(answer.headers()["location"].to_str().unwrap().starts_with("/login"));
        }
        assert_eq!(site.mails_to("ann").await, ["account_deleted"]);
        let late = ann.post(PATH, &fields).await;
        assert_eq!(late.headers()["location"], "/login?next=/account/delete");
    }

    async fn a_form_from_before_a_new_password_deletes_nothing(site: Site) {
        let ann = site.registered("ann").await;
        let (mut other, code) = site.with_code("ann").await;
        other.reset(&code, OTHER_PASSWORD).await;
        let answer = ann.post(PATH, &[("username", "ann"), ("current_password", OTHER_PASSWORD)]).await;
        assert_eq!(answer.headers()["location"], "/login?next=/account/delete");
        assert_eq!(site.count("select count(*) from vestibule_users").await, 1);
    }

    async fn a_login_while_the_account_is_deleted_is_refused_or_ends_with_it(site: Site) {
        for round in 0..10 {
            let name = format!("ann{round}");
            let ann = site.registered(&name).await;
            let fields = [("username", name.as_str()), ("current_password", PASSWORD)];
            let login = [("username", name.as_str()), ("password", PASSWORD)];
            let mut phone = site.browser();
            let (deleted, logged_in) = tokio::join!(ann.post(PATH, &fields), phone.post("/login", &login));
            assert_eq!(deleted.status(), StatusCode::SEE_OTHER);
            let status = logged_in.status();
            assert!([StatusCode::SEE_OTHER, StatusCode::UNPROCESSABLE_ENTITY].contains(&status), "{status}");
            phone.keep(&logged_in);
            assert!(!phone.is_logged_in().await);
            site.wait(60);
        }
        assert_eq!(site.count("select count(*) from vestibule_users").await, 0);
        assert_eq!(site.count("select count(*) from vestibule_history where user_id <> ''").await, 0);
    }

    async fn a_session_of_an_account_that_is_gone_is_not_begun(site: Site) {
        let ann = site.registered("ann").await;
        let id = ann.cookie("vestibule").unwrap().parse().unwrap();
        let config = &site.app.config;
        let store = SqlSessionStore::new(site.app.db.clone(), site.app.clock.clone(), config.sessions);
        let mut record = store.load(&id).await.unwrap().unwrap();
        delete(&site.app, "ann").await;
        record.id = tower_sessions::session::Id::default();
        store.create(&mut record).await.unwrap();
        assert!(store.load(&record.id).await.unwrap().is_none());
    }

    async fn the_username_is_reserved_for_ninety_days(site: Site) {
        let mut ann = site.registered("ann").await;
        leave(&mut ann, "ann", PASSWORD).await;
        site.wait(90 * DAY - 60);
        let mut other = site.browser();
        other.register("ann", "other@meadow.example", PASSWORD).await;
        assert_eq!(other.visited.last().unwrap(), "/login");
        assert_eq!(site.count("select count(*) from vestibule_users").await, 0);
        other.register("anna", "ann@meadow.example", PASSWORD).await;
        assert_eq!(other.path(), "/account", "the address is free at once: {}", other.text());
        site.wait(60);
        let mut third = site.browser();
        third.register("ann", "third@meadow.example", PASSWORD).await;
        assert_eq!(third.path(), "/account", "{}", third.text());
    }
}

/// The answer to `request`, during which an account is deleted: as soon as it waits for the account's row.
/// SQLite has one writer at a time.
async fn during_a_deletion(
    site: &Site,
    request: impl Future<Output = Response<Body>>,
) -> Response<Body> {
    let mut deletion = site.db().begin().await.unwrap();
    let lock = "select pg_current_xact_id()::xid::text from vestibule_users for update";
    let (own,) = sql(lock).fetch_optional::<(String,)>(deletion.executor()).await.unwrap().unwrap();
    let waits = "select count(*) from pg_locks where not granted and transactionid::text = $1";
    let mut request = std::pin::pin!(request);
    let mut is_waiting = false;
    while !is_waiting {
        assert!(futures_util::poll!(&mut request).is_pending(), "it needs no row of the account");
        let (count,) = sql(waits)
            .bind(&own)
            .fetch_optional::<(i64,)>(site.db().reader())
            .await
            .unwrap()
            .unwrap();
        is_waiting = count > 0;
    }
    sql("delete from vestibule_users").execute(deletion.executor()).await.unwrap();
    deletion.commit().await.unwrap();
    request.await
}

#[tokio::test]
async fn what_waits_for_an_account_holds_nothing_that_its_deletion_needs() {
    let Some(site) = Site::on_postgresql().await else { return };
    let wrong = [("username", "ann"), ("password", "wrong")];
    // The failure that emails a link, and the link.
    site.registered("ann").await;
    let mut stranger = site.browser();
    for _ in 0..9 {
        stranger.log_in("ann", "wrong").await;
    }
    let answer = during_a_deletion(&site, stranger.post("/login", &wrong)).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(site.mails().await.len(), 1, "the welcome");
    site.registered("ann").await;
    for _ in 0..10 {
        stranger.log_in("ann", "wrong").await;
    }
    let mails = site.mails().await;
    let link =
        mails.iter().flat_map(|mail| mail.text.lines()).find(|line| line.contains("/unlock/"));
    let link = link.unwrap().trim_start_matches("http://localhost:8000").to_owned();
    let answer = during_a_deletion(&site, stranger.post(&link, &[])).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    // A login with a code.
    site.registered("ann").await;
    let mut coded = site.changed(|config| config.login_code = true).await;
    coded.open("/login/code").await.fill("Username or email", "ann").press("Email me a code").await;
    let code = site.newest_code().await;
    let answer =
        during_a_deletion(&site, coded.post("/login/code/confirm", &[("code", &*code)])).await;
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn without_the_notice_no_mail_is_sent() {
    let site = Site::with(|config| config.notices = Notices::parse("none").unwrap()).await;
    let mut ann = site.registered("ann").await;
    leave(&mut ann, "ann", PASSWORD).await;
    assert_eq!(ann.flashes(), ["Your account was deleted."]);
    assert_eq!(site.mails_to("ann").await, Vec::<String>::new());
}

/// All rows of a table as text.
async fn rows_of(site: &Site, table: &str) -> String {
    let db = site.db();
    if db.sqlite_file().await.unwrap().is_none() {
        let query = format!("select coalesce(string_agg(rows::text, ' '), '') from {table} rows");
        return text(site, query).await;
    }
    let columns = format!(
        "select coalesce(group_concat('coalesce(quote(' || name || '), '''')', ' || '',''  || '), '''''') from pragma_table_info('{table}')"
    );
    let columns = text(site, columns).await;
    text(site, format!("select coalesce(group_concat(',' || {columns} || ','), '') from {table}"))
        .await
}

async fn text(site: &Site, query: String) -> String {
    let row = sql(query.leak()).fetch_optional::<(String,)>(site.db().reader()).await;
    row.unwrap().unwrap().0
}

const HOST_TABLES: &str = "
    create table notes (id integer primary key,
        user_id text not null references vestibule_users (id) on delete cascade);
    create table comments (id integer primary key,
        user_id text references vestibule_users (id) on delete set null);
    insert into notes (id, user_id) select 1, id from vestibule_users where username = 'ann';
    insert into comments (id, user_id) select 1, id from vestibule_users where username = 'ann'";

#[tokio::test]
async fn rows_of_a_host_that_refer_to_the_account_are_deleted_or_cleared() {
    for host in HostDatabase::all().await {
        let app = host.builder().build().await.unwrap();
        register(&app, "ann").await;
        host.run(HOST_TABLES).await;
        assert!(matches!(delete(&app, "ann").await, Deletion::Deleted));
        assert_eq!(host.count("select count(*) from notes").await, 0);
        assert_eq!(host.count("select count(*) from comments where user_id is null").await, 1);
    }
}

#[tokio::test]
async fn a_host_may_forbid_a_deletion_and_then_nothing_is_changed() {
    for (at, rule) in ["on delete restrict", "on delete no action", "deferrable initially deferred"]
        .iter()
        .enumerate()
    {
        for host in HostDatabase::all().await {
            let app = host.builder().build().await.unwrap();
            let mut ann = register(&app, "ann").await;
            host.run(
                ["create table invoices (id integer primary key,
                    user_id text not null references vestibule_users (id) on delete restrict)",
                "create table invoices (id integer primary key,
                    user_id text not null references vestibule_users (id) on delete no action)",
                "create table invoices (id integer primary key,
                    user_id text not null references vestibule_users (id) deferrable initially deferred)"][at],
            )
            .await;
            host.run("insert into invoices (id, user_id) select 1, id from vestibule_users").await;
            let outcome = delete(&app, "ann").await;
            assert!(matches!(outcome, Deletion::Referenced(_)), "{rule}");
            assert!(ann.is_logged_in().await, "{rule}");
            assert_eq!(host.count("select count(*) from vestibule_outbox").await, 1);
            host.run("delete from invoices").await;
            assert!(matches!(delete(&app, "ann").await, Deletion::Deleted), "{rule}");
        }
    }
}

#[test]
fn the_command_deletes_one_account_and_asks_first() {
    let folder = Folder::new();
    let run = |arguments: &[&str]| folder.run(&[&["user"], arguments].concat(), &[], PASSWORD);
    let missing = run(&["delete", "ann", "--yes"]);
    assert_eq!((missing.status, missing.err.contains("no database")), (1, true), "{}", missing.err);
    for name in ["ann", "bob", "cat"] {
        assert_eq!(run(&["add", name, &email_of(name)]).status, 0);
    }
    let unasked = run(&["delete", "ann"]);
    assert_eq!((unasked.status, unasked.out.as_str()), (2, ""), "no terminal: {}", unasked.err);
    assert!(unasked.err.contains("--yes"), "{}", unasked.err);
    assert_eq!(run(&["show", "ann"]).status, 0, "nothing was deleted");
    assert_eq!(run(&["delete", "--yes"]).status, 2);
    assert_eq!(run(&["delete", "eve", "--yes"]).status, 1);
    let deleted = run(&["delete", "ANN", "--yes", "--json"]);
    assert_eq!(deleted.status, 0, "{}", deleted.err);
    let user: serde_json::Value = serde_json::from_str(&deleted.out).unwrap();
    assert_eq!(
        (user["username"].as_str(), user["email"].as_str()),
        (Some("ann"), Some("ann@meadow.example"))
    );
    assert!(deleted.err.contains("user_deleted"), "{}", deleted.err);
    assert_eq!(run(&["delete", "Bob@Meadow.Example", "--yes"]).status, 0);
    let cat: serde_json::Value =
        serde_json::from_str(&run(&["show", "cat", "--json"]).out).unwrap();
    let id = cat["id"].as_str().unwrap().to_uppercase();
    assert_eq!(run(&["show", &id]).out, run(&["show", "cat"]).out, "an id in any letter case");
    let deleted = run(&["delete", &id, "--yes"]);
    assert_eq!((deleted.status, deleted.out.starts_with("cat\tcat@meadow.example\t")), (0, true));
    assert_eq!(run(&["list"]).out, "");
    assert_eq!(run(&["delete", "cat", "--yes"]).status, 1);
}

#[test]
fn an_id_that_is_another_accounts_username_is_refused() {
    let folder = Folder::new();
    let run = |arguments: &[&str]| folder.run(&[&["user"], arguments].concat(), &[], PASSWORD);
    assert_eq!(run(&["add", "ann", &email_of("ann")]).status, 0);
    let ann: serde_json::Value =
        serde_json::from_str(&run(&["show", "ann", "--json"]).out).unwrap();
    let id = ann["id"].as_str().unwrap();
    assert_eq!(run(&["add", id, &email_of("eve")]).status, 0);
    for command in [&["show", id][..], &["delete", id, "--yes"]] {
        let refused = run(command);
        assert_eq!(
            (refused.status, refused.err.contains("name the address")),
            (1, true),
            "{}",
            refused.err
        );
    }
    assert_eq!(random::id(0).len(), id.len());
}

#[test]
fn on_a_terminal_the_command_asks() {
    let folder = Folder::new();
    assert_eq!(folder.run(&["user", "add", "ann", &email_of("ann")], &[], PASSWORD).status, 0);
    for (answer, status) in [("n\n", 1), ("\n", 1), ("yes\n", 0)] {
        let command = format!("{} user delete ann", env!("CARGO_BIN_EXE_vestibule"));
        let mut terminal = Command::new("script");
        terminal.args(["-qec", &command, "/dev/null"]).current_dir(&folder.0);
        terminal.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut running = terminal.spawn().unwrap();
        running.stdin.take().unwrap().write_all(answer.as_bytes()).unwrap();
        let ended = running.wait_with_output().unwrap();
        let shown = String::from_utf8_lossy(&ended.stdout);
        assert_eq!(ended.status.code(), Some(status), "{answer:?}: {shown}");
        assert!(shown.contains("Delete the account ann (ann@meadow.example)? [y/N]"), "{shown}");
    }
    assert_eq!(folder.run(&["user", "list"], &[], "").out, "");
}
