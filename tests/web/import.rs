//! Accounts of other programs: their hashes, and the commands that import them.

mod names;

use std::collections::BTreeSet;

use serde_json::{Value, json};
use vestibule::accounts::import::{Import, ImportRow, Place, Report};
use vestibule::app::App;
use vestibule::db::sql;
use vestibule::models::outbox::Email;
use vestibule::tasks::imported_hashes::measure;

use crate::support::program::{Ended, Folder};
use crate::support::work::work_of;
use crate::support::{Browser, OTHER_PASSWORD, Site, new_schema};

/// 118 hashes of 51 kinds, with the password that was compared and whether it is the right one. The program
/// that made each is its `source`.
const VECTORS: &str = include_str!("import/password-hashes.json");

/// The tables of a Django application, as `import/make-django-databases.py` made them.
const DJANGO_SQLITE: &str = include_str!("import/django-sqlite.sql");
const DJANGO_POSTGRES: &str = include_str!("import/django-postgres.sql");

const PASSWORD: &str = "correct horse 7";

const SLOW: &str =
    "pbkdf2_sha256$1000000$QzyD8VtHrh8xk3TnRxbtnu$ZmvwKucDN+b+FUkDAQCrvVYMiEsEZj7JD9B1n/zxu8o=";
const FAST: &str = "{SHA}4DMkbUWC5+z+kdxI7HpWtce8VNQ=";

async fn import(app: &App, rows: &[Value]) -> Report {
    let mut import = Import::new(app, false);
    for (line, row) in (1..).zip(rows) {
        let row = ImportRow::parse(row.to_string().as_bytes());
        import.add(Place::Line { line }, row).await.unwrap();
    }
    import.finish().await.unwrap()
}

fn row(name: &str, kind: &str, hash: &str) -> Value {
    let email = format!("{name}@meadow.example");
    json!({ "username": name, "email": email, "kind": kind, "hash": hash })
}

/// How many accounts have a hash of another program.
async fn imported_hashes(site: &Site) -> i64 {
    site.count("select count(*) from vestibule_users where password_scheme is not null").await
}

on_both_databases! {
    /// Those that take a moment come last: from then on each refusal takes as long.
    async fn each_hash_of_another_program_logs_in_with_its_password_alone(site: Site) {
        let mut vectors: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
        vectors.retain(|vector| !["django md5", "crypt md5"].contains(&vector["kind"].as_str().unwrap()));
        vectors.sort_by_key(|vector| (vector["slow"] == true, vector["right"] == true));
        let rows = vectors.iter().enumerate().map(|(number, vector)| {
            let name = format!("user{number}");
            json!({ "username": name, "email": format!("{name}@meadow.example"),
                "kind": vector["kind"], "hash": vector["hash"], "extra": vector["extra"] })
        });
        let report = import(&site.app, &rows.collect::<Vec<_>>()).await;
        assert_eq!((report.accounts, report.refused.len()), (114, 0));
        let app = site.app_with(|config| (config.limits.login_ip, config.limits.login_account) = (None, None));
        let app = app.await;
        for (number, vector) in vectors.iter().enumerate() {
            for _ in 0..2 {
                let mut browser = Browser::new(vestibule::site(&app));
                browser.log_in(&format!("user{number}"), vector["password"].as_str().unwrap()).await;
                assert_eq!(browser.path() == "/account", vector["right"] == true, "{vector}");
                if vector["right"] == false {
                    break;
                }
            }
        }
        let right = vectors.iter().filter(|vector| vector["right"] == true).count();
        let own = site.count("select count(*) from vestibule_users where password_hash like '$argon2id$%'").await;
        assert_eq!(usize::try_from(own).unwrap(), right, "each is replaced by one of our own");
    }

    async fn a_fast_hash_is_never_stored_and_a_slow_one_until_the_first_login(site: Site) {
        import(&site.app, &[row("ann", "ldap SHA", FAST), row("bob", "django", SLOW)]).await;
        let find = sql("select password_hash from vestibule_users order by username");
        let hashes: Vec<(String,)> = find.fetch_all(site.db().reader()).await.unwrap();
        assert!(hashes[0].0.contains("argon2id") && !hashes[0].0.contains("4DMkbUWC5"));
        assert!(hashes[1].0.contains("1000000"));
        site.browser().log_in("bob", PASSWORD).await;
        assert_eq!(imported_hashes(&site).await, 1);
        let (mut ann, code) = site.with_code("ann").await;
        ann.reset(&code, OTHER_PASSWORD).await;
        assert_eq!(imported_hashes(&site).await, 0, "a new password is one of our own, too");
        assert_eq!(site.browser().log_in("ann", PASSWORD).await.path(), "/login");
        assert_eq!(site.browser().log_in("ann", OTHER_PASSWORD).await.path(), "/account");
    }

    /// Other programs hash a password as it is typed, and not in NFC.
    async fn a_password_that_is_not_nfc_logs_in(site: Site) {
        let vectors: Vec<Value> = serde_json::from_str(VECTORS).unwrap();
        let composed = vectors.iter().find(|vector| vector["note"] == "UTF-8, not normalised").unwrap();
        // Django 5.2.19, 1000 rounds, of "Pa\u{308}sswort".
        let decomposed = "pbkdf2_sha256$1000$saltsaltsalt$CYfsC5huPYS2mlgMGy3JLdFmo+8JBXGWjADtH7/9Jys=";
        import(&site.app, &[row("ann", "django", composed["hash"].as_str().unwrap()), row("bob", "django", decomposed)]).await;
        let typed = composed["password"].as_str().unwrap().replace('ä', "a\u{308}");
        assert_eq!(site.browser().log_in("ann", &typed).await.path(), "/account");
        assert_eq!(site.browser().log_in("bob", "P\u{e4}sswort").await.path(), "/login");
        for _ in 0..2 {
            assert_eq!(site.browser().log_in("bob", "Pa\u{308}sswort").await.path(), "/account");
        }
        assert_eq!(site.browser().log_in("bob", "P\u{e4}sswort").await.path(), "/account");
    }

    async fn without_a_password_a_new_one_is_set_by_a_code(site: Site) {
        let locked = "!L5LCrOQ7ka3tRdRhyG1AzuiYTIDPuLpzQQEBTw2O";
        let none = json!({ "username": "bob", "email": "bob@meadow.example" });
        let report = import(&site.app, &[row("ann", "django", locked), none]).await;
        assert_eq!(report.accounts, 2);
        for name in ["ann", "bob"] {
            for password in [PASSWORD, locked, ""] {
                assert_eq!(site.browser().log_in(name, password).await.path(), "/login", "{name}");
            }
            let (mut browser, code) = site.with_code(name).await;
            browser.reset(&code, OTHER_PASSWORD).await;
            assert_eq!(site.browser().log_in(name, OTHER_PASSWORD).await.path(), "/account");
        }
    }

    async fn a_disabled_account_neither_logs_in_nor_gets_a_code(site: Site) {
        let mut disabled = row("ann", "django", SLOW);
        disabled["disabled"] = json!(true);
        import(&site.app, &[disabled]).await;
        let mut browser = site.browser();
        browser.log_in("ann", PASSWORD).await;
        assert!(browser.text().contains("Incorrect username or password."), "{}", browser.text());
        browser.ask_for_code("ann", "ann@meadow.example").await;
        let codes = site.mails().await.into_iter().filter(Email::is_code).count();
        assert_eq!(codes, 0, "as for nobody");
    }

    async fn a_second_import_changes_nothing_and_conflicts_are_refused(site: Site) {
        site.registered("cleo").await;
        let mut rows = vec![row("ann", "django", SLOW), row("bob", "ldap", FAST)];
        assert_eq!(import(&site.app, &rows).await.accounts, 2);
        site.browser().log_in("bob", PASSWORD).await;
        rows.extend([
            json!({ "username": "ann", "email": "other@meadow.example" }),
            json!({ "username": "dora", "email": "CLEO@meadow.example" }),
            json!({ "username": "Cleo", "email": "cleo@meadow.example", "kind": "ldap", "hash": FAST }),
            json!({ "username": "eve", "email": "eve@meadow.example" }),
            json!({ "username": "3ve", "email": "eve@meadow.example" }),
        ]);
        let report = import(&site.app, &rows).await;
        assert_eq!((report.rows, report.accounts, report.unchanged), (7, 1, 3));
        let refused: Vec<String> = report.refused.iter().map(|refused| refused.place.to_string()).collect();
        assert_eq!(refused, ["line 3", "line 4", "line 7"]);
        assert_eq!(site.browser().log_in("cleo", PASSWORD).await.path(), "/login", "it keeps its own");
        assert_eq!(site.browser().log_in("cleo", crate::support::PASSWORD).await.path(), "/account");
        assert_eq!(imported_hashes(&site).await, 1, "bob keeps the new hash");
    }

    /// After an import was killed, PostgreSQL may still be making accounts of its last rows.
    async fn of_two_imports_at_once_each_row_is_made_by_one_and_refused_by_none(site: Site) {
        // The first ones open the connections to the database.
        for round in 0..3 {
            let rows = (0..50).map(|number| row(&format!("user{round}.{number}"), "ldap", FAST));
            let rows: Vec<Value> = rows.collect();
            let (one, other) = tokio::join!(import(&site.app, &rows), import(&site.app, &rows));
            assert_eq!((one.accounts + other.accounts, one.unchanged + other.unchanged), (50, 50));
        }
    }

    async fn an_import_of_more_rows_than_one_statement_has_loses_none(site: Site) {
        let rows: Vec<Value> = (0..250).map(|number| row(&format!("user{number}"), "django", SLOW)).collect();
        let report = import(&site.app, &rows).await;
        assert_eq!((report.rows, report.accounts, report.refused.len()), (250, 250, 0));
        assert_eq!(site.count("select count(*) from vestibule_users").await, 250);
        assert_eq!(import(&site.app, &rows).await.unchanged, 250);
    }

    /// Some imported hashes take less time than our own.
    async fn our_own_hash_is_measured_beside_each_imported_one(site: Site) {
        import(&site.app, &[row("ann", "django", SLOW)]).await;
        let (measured, work) = work_of(measure(&site.app, &mut BTreeSet::new())).await;
        measured.unwrap();
        assert_eq!(work.iter().filter(|line| line.contains("hashed")).count(), 1, "{work:?}");
    }

    async fn a_running_server_measures_each_scheme_once_and_forgets_what_is_gone(site: Site) {
        import(&site.app, &[row("ann", "django", SLOW), row("bob", "ldap", FAST), row("cleo", "ldap", FAST)]).await;
        let mut known = BTreeSet::new();
        measure(&site.app, &mut known).await.unwrap();
        assert_eq!(known.len(), 2, "{known:?}");
        for name in ["ann", "bob", "cleo"] {
            assert_eq!(site.browser().log_in(name, PASSWORD).await.path(), "/account");
        }
        measure(&site.app, &mut known).await.unwrap();
        assert!(known.is_empty());
    }
}

/// What the commands print as JSON.
fn report_of(ended: &Ended) -> Value {
    serde_json::from_str(&ended.out).unwrap_or_else(|_| panic!("{} {}", ended.out, ended.err))
}

#[test]
fn the_lines_of_a_file_are_imported_or_refused_with_their_numbers() {
    let folder = Folder::new();
    let lines = [
        "\u{feff}{\"username\":\"ann\",\"email\":\"ann@meadow.example\",\"created_at\":\"2019-05-04T10:20:30Z\",\"email_verified\":true}\r",
        "",
        "{\"username\":\"bob\",\"email\":\"bob@meadow.example\",\"disabled\":true}\r",
        "{\"username\":\"cleo\",\"email\":\"cleo@meadow.example\",\"password\":\"plain\"}",
        "{\"username\":7,\"email\":\"seven@meadow.example\"}",
        "{\"username\":\"dora\",\"email\":\"dora@meadow.example\",\"created_at\":\"yesterday\"}",
        "{\"username\":\"eve\",\"email\":\"nowhere\"}",
        "{\"username\":\"fay\"}",
        "{\"username\":\"gus\",\"email\":\"gus@meadow.example\",\"hash\":\"$1$Xm5jegCm$UoNCXnp9ySuZNfoa5sdYj1\",\"kind\":\"crypt md5\"}",
        "not JSON",
        "[\"hal\",\"hal@meadow.example\"]",
        "{\"username\":\"ida\",\"email\":\"ida@meadow.example\",\"extra\":\"salt\"}",
        "{\"username\":\"ann\",\"email\":\"ann@meadow.example\"}",
    ];
    std::fs::write(folder.0.join("users.jsonl"), lines.join("\n")).unwrap();
    let run = |arguments: &[&str]| folder.run(arguments, &[], "");
    let trial = run(&["import", "users", "users.jsonl", "--dry-run", "--json"]);
    assert_eq!(trial.status, 1, "{}", trial.err);
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1, "a trial makes no database");
    let ended = run(&["import", "users", "users.jsonl", "--json"]);
    assert_eq!(ended.status, 1, "{}", ended.err);
    let report = report_of(&ended);
    assert_eq!(report, report_of(&trial));
    assert_eq!([&report["rows"], &report["accounts"], &report["unchanged"]], [12, 2, 0]);
    let refused = report["refused"].as_array().unwrap();
    let lines: Vec<u64> = refused.iter().map(|row| row["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [4, 5, 6, 7, 8, 9, 10, 11, 12, 13]);
    assert!(refused.iter().all(|row| row["reason"].is_string()), "{report}");
    let ann: Value = serde_json::from_str(&run(&["user", "show", "ann", "--json"]).out).unwrap();
    assert_eq!(ann["created_at"], "2019-05-04T10:20:30Z");
    assert_eq!((&ann["email_verified"], &ann["disabled"]), (&json!(true), &json!(false)));
    assert!(run(&["user", "show", "bob"]).out.contains("disabled"));
    let again = run(&["import", "users", "users.jsonl"]);
    assert!(again.out.contains("0 accounts made, 2 unchanged, 10 refused"), "{}", again.out);
    std::fs::write(folder.0.join("none.jsonl"), "").unwrap();
    assert_eq!(run(&["import", "users", "none.jsonl"]).status, 0);
}

/// Each reason names the field and what is accepted, and repeats no hash.
#[test]
fn a_wrong_line_is_refused_with_a_plain_reason() {
    let folder = Folder::new();
    let in_row = |field: &str| format!("{{\"email\":\"ann@meadow.example\",{field}}}");
    let named = |field: &str| in_row(&format!("\"username\":\"ann\",{field}"));
    let lines = [
        (in_row("\"username\":7"), "username must be a text in quotes, not 7"),
        ("{\"email\":[\"a\"]}".into(), "email must be a text in quotes, not an array"),
        (named("\"kind\":true"), "kind must be a text in quotes, not what is there"),
        (named("\"hash\":271828"), "hash must be a text in quotes, not what is there"),
        (named("\"hash\":{\"x\":271828}"), "hash must be a text in quotes, not an object"),
        (named("\"extra\":\"271828\""), "extra must be an object, not what is there"),
        (named("\"disabled\":\"yes\""), "disabled must be true or false, not \"yes\""),
        (named("\"email_verified\":1"), "email_verified must be true or false, not 1"),
        (named("\"created_at\":5"), "created_at must be a text in quotes, not 5"),
        (
            named("\"created_at\":\"2024-05-04\""),
            "created_at must be a time like 2024-05-04T10:20:30Z (RFC 3339), not \"2024-05-04\"",
        ),
        (named("\"phone\":5"), "\"phone\" is no field: expected username, email, hash"),
        (named("\"email\":\"b@meadow.example\""), "email is there twice"),
        (named("\"hash\":\"271828\""), "kind is missing: it names the program"),
        (named("\"hash\":\"django\",\"kind\":\"$2b$271828\""), "kind names no known program"),
        (named("\"hash\":\"271828\",\"kind\":\"php x$271828\""), "no hash of php"),
        (in_row("\"username\":\"a\""), "username \"a\" is not allowed: "),
        (in_row("\"disabled\":null"), "username is missing: VESTIBULE_USERNAME is required"),
        ("{\"username\":\"ann\",\"email\":null}".into(), "email is missing"),
        ("{\"email\":\"nowhere\"}".into(), "email must be an address like ann@example.com"),
        ("[{\"hash\":\"271828\"}]".into(), "this is not a JSON object"),
        ("\"271828\"".into(), "this is not a JSON object"),
        ("{\"hash\":\"271828".into(), "the line ends within the object"),
        (named("\"hash\":\"271828\",").replace(",}", ""), "the line ends within the object"),
        (
            "{\"hash\":\"271828\" \"x\":1}".into(),
            "this is not JSON: expected `,` or `}` at byte 18",
        ),
        (named("\"hash\":null") + " x", "this is not JSON: trailing characters"),
        ("{username:1}".into(), "this is not JSON: key must be a string at byte 2"),
    ];
    let mut text: Vec<u8> =
        lines.iter().flat_map(|(line, _)| format!("{line}\r\n\n").into_bytes()).collect();
    text.extend(b"{\"username\":\"\xff\"}");
    std::fs::write(folder.0.join("users.jsonl"), text).unwrap();
    let ended = folder.run(&["import", "users", "users.jsonl", "--dry-run"], &[], "");
    assert!(!ended.out.contains("271828"), "{}", ended.out);
    let reasons = lines.iter().map(|(_, reason)| *reason).chain(["this is not UTF-8 (byte 14)"]);
    let mut told = ended.out.lines();
    for (number, reason) in reasons.enumerate() {
        let line = told.next().unwrap();
        let start = format!("line {}: ", 2 * number + 1);
        assert!(line.starts_with(&start) && line.contains(reason), "{line}: {reason}");
    }
}

#[test]
fn a_source_that_cannot_be_used_is_named_with_its_cause() {
    let folder = Folder::new();
    let write = |name: &str, text: &str| std::fs::write(folder.0.join(name), text).unwrap();
    write("text.db", "not a database, and as long as the header of one\n");
    write("empty.db", "");
    write("url", "postgres://ann:hunter2@127.0.0.1:1/shop");
    write("wrong", "postgres://ann:hunter2/x@127.0.0.1:1/shop");
    write("other", "mysql://ann:hunter2@127.0.0.1/shop");
    std::fs::create_dir(folder.0.join("folder")).unwrap();
    for (arguments, status, words) in [
        (&["django", "postgres://ann@127.0.0.1:1/shop"][..], 1, "SOURCE: no PostgreSQL answers"),
        (&["django", "--from-file", "url"], 1, "--from-file url: no PostgreSQL answers"),
        (&["django", "--from-file", "wrong"], 2, "--from-file wrong: "),
        (&["django", "--from-file", "other"], 2, "--from-file other: expected sqlite:PATH or"),
        (&["django", "--from-file", "empty.db"], 2, "--from-file empty.db: expected sqlite:PATH"),
        (&["django", "--from-file", "none"], 1, "--from-file none: there is no file none"),
        (&["django", "text.db"], 1, "text.db: is not a SQLite database: name another file"),
        (&["django", "empty.db"], 1, "empty.db: there is no table auth_user with Django's columns"),
        (&["django", "folder"], 1, "folder is a folder: name a file"),
        (&["django", "sqlite:none.db"], 1, "there is no file none.db"),
        (&["users", "folder"], 1, "folder is a folder: name a file"),
        (&["users", "none.jsonl"], 1, "there is no file none.jsonl"),
    ] {
        let ended = folder.run(&[&["import"], arguments].concat(), &[], "");
        assert_eq!(ended.status, status, "{arguments:?}: {}", ended.err);
        assert!(ended.err.contains(words), "{arguments:?}: {}", ended.err);
        assert_eq!(ended.err.lines().count(), 1, "{}", ended.err);
        for wrong in ["VESTIBULE_DATABASE_URL", "hunter2"] {
            assert!(!ended.err.contains(wrong), "{arguments:?}: {}", ended.err);
        }
    }
}

#[tokio::test]
async fn a_postgresql_without_the_users_of_django_is_told() {
    use sqlx::Connection;
    for table in ["", "create table auth_user (id uuid)"] {
        let Some(url) = new_schema().await else { return };
        let mut other = sqlx::PgConnection::connect(&url).await.unwrap();
        sqlx::raw_sql(table).execute(&mut other).await.unwrap();
        other.close().await.unwrap();
        let ended = Folder::new().run(&["import", "django", &url], &[], "");
        assert!(ended.err.contains("SOURCE: there is no table auth_user"), "{}", ended.err);
        assert!(ended.err.contains("vestibule import users"), "{}", ended.err);
    }
}

#[test]
fn wrong_use_and_a_password_in_an_argument_are_refused_with_status_2() {
    let folder = Folder::new();
    let run = |arguments: &[&str]| folder.run(arguments, &[], "");
    for secret in
        ["postgres://me:hush@db.example/app", "postgres://me@db.example/app?password=hush"]
    {
        let ended = run(&["import", "django", secret]);
        assert!(ended.status == 2 && !ended.err.contains("hush"), "{}", ended.err);
        assert!(ended.err.contains("PGPASSWORD"), "{}", ended.err);
    }
    for wrong in [
        &["import"][..],
        &["import", "django"],
        &["import", "users"],
        &["import", "django", "mysql://x/y"],
        // No URL, and a password that must not be taken for a path.
        &["import", "django", "postgres://me:hu#sh@db.example/app"],
    ] {
        assert_eq!(run(wrong).status, 2, "{wrong:?}");
    }
    for missing in [["import", "django", "none.sqlite3"], ["import", "users", "none.jsonl"]] {
        assert_eq!(run(&missing).status, 1, "{missing:?}");
    }
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 0, "no database is made");
}

/// The accounts of the Django database at `source` are in the folder's database, and log in.
async fn check_django(folder: &Folder, arguments: &[&str], settings: &[(&str, &str)]) {
    let ended = folder.run(arguments, settings, "");
    assert_eq!(ended.status, 1, "{}", ended.err);
    let report = report_of(&ended);
    assert_eq!([&report["rows"], &report["accounts"]], [15, 11], "{report}");
    let refused = report["refused"].as_array().unwrap();
    let refused: Vec<_> = refused
        .iter()
        .map(|row| (row["id"].as_i64().unwrap(), row["username"].as_str().unwrap()))
        .collect();
    assert_eq!(refused, [(7, "md5"), (12, "no-address"), (13, "doubled"), (15, "costly")]);
    let database = format!("sqlite:{}", folder.0.join("vestibule.db").display());
    // With the key that the command made beside the database.
    let site = Site::at(&database, |config| config.secret = None).await;
    let open = [
        "pbkdf2-sha256",
        "pbkdf2-sha1",
        "argon2",
        "scrypt",
        "bcrypt-sha256",
        "bcrypt",
        "admin",
        "plus+sign@example.test",
    ];
    for name in open {
        assert_eq!(site.browser().log_in(name, PASSWORD).await.path(), "/account", "{name}");
    }
    for name in ["unusable", "empty", "inactive"] {
        assert_eq!(site.browser().log_in(name, PASSWORD).await.path(), "/login", "{name}");
    }
    let joined = "select count(*) from vestibule_users where created_at = 1556965230";
    assert_eq!(site.count(joined).await, 11);
    let again = report_of(&folder.run(arguments, settings, ""));
    assert_eq!([&again["accounts"], &again["unchanged"]], [0, 11], "{again}");
}

const UNICODE: (&str, &str) = ("VESTIBULE_USERNAME_RULE", "unicode");

#[tokio::test]
async fn the_users_of_a_django_application_on_sqlite_log_in() {
    use sqlx::Connection;
    let folder = Folder::new();
    let url = format!("sqlite:{}?mode=rwc", folder.0.join("db.sqlite3").display());
    let mut django = sqlx::SqliteConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(DJANGO_SQLITE).execute(&mut django).await.unwrap();
    django.close().await.unwrap();
    check_django(&folder, &["import", "django", "db.sqlite3", "--json"], &[UNICODE]).await;
}

#[tokio::test]
async fn the_users_of_a_django_application_on_postgresql_log_in() {
    use sqlx::Connection;
    let Some(url) = new_schema().await else { return };
    let mut django = sqlx::PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql(DJANGO_POSTGRES).execute(&mut django).await.unwrap();
    django.close().await.unwrap();
    let folder = Folder::new();
    let arguments = ["import", "django", &url, "--json"];
    check_django(&folder, &arguments, &[UNICODE, ("PGPASSWORD", "any")]).await;
    std::fs::write(folder.0.join("url.txt"), format!("{url}\n")).unwrap();
    let from_file =
        folder.run(&["import", "django", "--from-file", "url.txt", "--json"], &[UNICODE], "");
    assert_eq!(report_of(&from_file)["unchanged"], 11);
}
