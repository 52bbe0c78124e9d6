//! Which rows come in with which username, for each setting of usernames, and what becomes of the others.

use serde_json::{Value, json};
use sqlx::Connection;
use vestibule::Config;
use vestibule::accounts::import::Report;
use vestibule::config::{UsernameMode, UsernameRule};
use vestibule::db::sql;

use super::{FAST, PASSWORD, import, report_of};
use crate::support::program::Folder;
use crate::support::{Site, email_of};

/// The username, the email and whether it has a password.
const ROWS: [(&str, &str, bool); 9] = [
    ("paul", "paul@meadow.example", true),
    ("no-email", "", true),
    ("only@meadow.example", " ", true),
    ("doubled", "PAUL@meadow.example", true),
    ("pau1", "twin@meadow.example", true),
    ("empty", "empty@meadow.example", false),
    ("paul@meadow.example", "eve@meadow.example", true),
    ("own@meadow.example", "own@meadow.example", true),
    ("Zoë", "zoe@meadow.example", true),
];

/// Mode, rule, and the usernames that the rows come in with: "-" without one, "" not at all.
const MATRIX: [(&str, &str, [&str; 9]); 6] = [
    ("required", "ascii", ["paul", "", "", "", "", "empty", "", "", ""]),
    (
        "required",
        "unicode",
        ["paul", "", "only@meadow.example", "", "", "empty", "", "own@meadow.example", "zoë"],
    ),
    ("optional", "ascii", ["paul", "", "-", "", "-", "empty", "-", "-", "-"]),
    (
        "optional",
        "unicode",
        ["paul", "", "only@meadow.example", "", "-", "empty", "-", "own@meadow.example", "zoë"],
    ),
    ("none", "ascii", ["-", "", "-", "", "-", "-", "-", "-", "-"]),
    ("none", "unicode", ["-", "", "-", "", "-", "-", "-", "-", "-"]),
];

fn rows() -> Vec<Value> {
    let rows = ROWS.iter().map(|(username, email, has_password)| {
        let hash = if *has_password { FAST } else { "" };
        json!({ "username": username, "email": email, "kind": "ldap SHA", "hash": hash })
    });
    rows.collect()
}

fn usernames(mode: &str, rule: &str) -> impl Fn(&mut Config) {
    let mode = match mode {
        "required" => UsernameMode::Required,
        "optional" => UsernameMode::Optional,
        _ => UsernameMode::None,
    };
    let rule = if rule == "ascii" { UsernameRule::Ascii } else { UsernameRule::Unicode };
    move |config| (config.usernames.mode, config.usernames.rule) = (mode, rule)
}

/// The address of the row at `at`.
fn email_at(at: usize) -> &'static str {
    if ROWS[at].1.trim().is_empty() { ROWS[at].0 } else { ROWS[at].1 }
}

fn counts(report: &Report) -> (u64, u64, usize) {
    (report.accounts, report.unchanged, report.refused.len())
}

async fn delete_all(site: &Site) {
    sql("delete from vestibule_users where id > ''").execute(site.db().writer()).await.unwrap();
}

on_both_databases! {
    async fn each_row_comes_in_as_the_settings_allow_or_is_listed(site: Site) {
        for (mode, rule, expected) in MATRIX {
            delete_all(&site).await;
            let app = site.app_with(usernames(mode, rule)).await;
            let report = import(&app, &rows()).await;
            let made = expected.iter().filter(|name| !name.is_empty()).count();
            assert_eq!(counts(&report), (u64::try_from(made).unwrap(), 0, ROWS.len() - made), "{mode} {rule}");
            for (at, name) in expected.iter().enumerate() {
                let find = sql("select username from vestibule_users where email_key = $1").bind(email_at(at));
                let found: Option<(String,)> = find.fetch_optional(site.db().reader()).await.unwrap();
                let own = if *name == "-" { "" } else { name };
                let is_right = found.as_ref().is_some_and(|(username,)| username == own);
                assert!(is_right || name.is_empty(), "{mode} {rule} {:?}: {found:?}", ROWS[at]);
                if !name.is_empty() && ROWS[at].2 {
                    let mut browser = site.browser();
                    browser.log_in(email_at(at), PASSWORD).await;
                    assert_eq!(browser.path(), "/account", "{mode} {rule} {:?}", ROWS[at]);
                }
            }
            let told = report.without_username.iter().map(|row| row.place.to_string());
            let dropped = (1..).zip(expected).filter(|(_, name)| mode == "optional" && *name == "-");
            assert!(told.eq(dropped.map(|(line, _)| format!("line {line}"))), "{mode} {rule}");
            let again = import(&app, &rows()).await;
            assert_eq!(counts(&again), (0, u64::try_from(made).unwrap(), ROWS.len() - made), "{mode} {rule}");
            assert!(again.without_username.is_empty());
        }
    }

    /// In a batch after that of the first.
    async fn names_of_earlier_batches_count(site: Site) {
        let mut rows: Vec<Value> = (0..150).map(|at| json!({ "username": format!("user{at}"), "email": email_of(&format!("user{at}")) })).collect();
        rows.push(json!({ "username": "user0", "email": "other@meadow.example" }));
        rows.push(json!({ "username": "usero", "email": "twin@meadow.example" }));
        rows.push(json!({ "username": "other", "email": email_of("user7") }));
        let report = import(&site.app, &rows).await;
        assert_eq!(counts(&report), (150, 0, 3));
        let app = site.app_with(usernames("optional", "ascii")).await;
        assert_eq!(counts(&import(&app, &rows).await), (2, 150, 1));
    }

    async fn an_address_that_was_a_username_is_not_known_to_be_its_owners(site: Site) {
        let app = site.app_with(usernames("none", "ascii")).await;
        import(&app, &[json!({ "username": "only@meadow.example" }), json!({ "email": email_of("ann") })]).await;
        let unproved = "select count(*) from vestibule_users where email_verified_at is null and email_key = 'only@meadow.example'";
        assert_eq!(site.count(unproved).await, 1);
        assert_eq!(site.count("select count(*) from vestibule_users where email_verified_at = 0").await, 1);
    }

    /// A second run must not bring back who left in the meantime.
    async fn what_was_given_up_is_kept_for_its_owner(site: Site) {
        let mut ann = site.registered("ann").await;
        ann.open("/account/username").await.fill("New username", "anna").press("Change username").await;
        site.wait(1);
        ann.open("/account/email").await.fill("New email", "new@meadow.example").press("Email me a code").await;
        let code = site.newest_code().await;
        ann.fill("Code", &code).press("Change email").await;
        assert_eq!(ann.path(), "/account", "{}", ann.text());
        let rows = [
            json!({ "username": "ann", "email": "other@meadow.example" }),
            json!({ "username": "amy", "email": "ann@meadow.example" }),
            json!({ "username": "anna", "email": "new@meadow.example" }),
        ];
        let report = import(&site.app, &rows).await;
        assert_eq!(counts(&report), (0, 1, 2));
        assert!(report.refused[0].reason.contains("had it lately"), "{}", report.refused[0].reason);
        assert!(report.refused[1].reason.contains("given back"), "{}", report.refused[1].reason);
    }

    async fn no_row_is_from_the_future(site: Site) {
        // Now it is 18:00 on the 22nd.
        let row = |name: &str, time: &str| json!({ "username": name, "email": email_of(name), "created_at": time });
        let rows = [
            row("ann", "2026-11-23T18:00:01Z"),
            row("bob", "2026-11-23T18:00:00Z"),
            row("cleo", "2026-11-22T17:59:55Z"),
        ];
        let report = import(&site.app, &rows).await;
        assert_eq!(counts(&report), (2, 0, 1));
        assert!(report.refused[0].reason.contains("in the future"), "{}", report.refused[0].reason);
        let find = sql("select created_at from vestibule_users order by username");
        let times: Vec<(i64,)> = find.fetch_all(site.db().reader()).await.unwrap();
        assert_eq!(times, [(site.app.clock.now(),), (site.app.clock.now() - 5,)]);
    }
}

#[tokio::test]
async fn the_users_of_django_come_in_by_the_same_rules() {
    let folder = Folder::new();
    let url = format!("sqlite:{}?mode=rwc", folder.0.join("db.sqlite3").display());
    let mut django = sqlx::SqliteConnection::connect(&url).await.unwrap();
    let table =
        "create table auth_user (id integer primary key, password text, username text, email text,
        is_active bool, date_joined datetime)";
    sqlx::raw_sql(table).execute(&mut django).await.unwrap();
    for (username, email, has_password) in ROWS {
        let row = "insert into auth_user (password, username, email, is_active, date_joined)
            values ($1, $2, $3, 1, '2019-05-04 10:20:30')";
        let hash = if has_password { super::SLOW } else { "" };
        sqlx::query(row).bind(hash).bind(username).bind(email).execute(&mut django).await.unwrap();
    }
    django.close().await.unwrap();
    for (mode, rule, expected) in MATRIX {
        let database = format!("sqlite:{mode}-{rule}.db");
        let settings = [
            ("VESTIBULE_USERNAME", mode),
            ("VESTIBULE_USERNAME_RULE", rule),
            ("VESTIBULE_DATABASE_URL", &database),
        ];
        let ended = folder.run(&["import", "django", "db.sqlite3", "--json"], &settings, "");
        let refused = (1..).zip(expected).filter(|(_, name)| name.is_empty()).map(|(id, _)| id);
        let report = report_of(&ended);
        let ids =
            report["refused"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap());
        assert!(ids.eq(refused), "{mode} {rule}: {report}");
        let told = ended.err.lines().filter(|line| line.contains("without its username")).count();
        let dropped = expected.iter().filter(|name| mode == "optional" && **name == "-").count();
        assert_eq!(told, dropped, "{}", ended.err);
        let again =
            report_of(&folder.run(&["import", "django", "db.sqlite3", "--json"], &settings, ""));
        assert_eq!((&again["accounts"], &again["unchanged"]), (&json!(0), &report["accounts"]));
    }
}
