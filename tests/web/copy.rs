//! `vestibule copy`: everything from SQLite to PostgreSQL and back, or nothing.

use sqlx::{AssertSqlSafe, Connection as _};
use vestibule::db::{CopyError, Db, Location, copy, sql};

use crate::support::program::Folder;
use crate::support::{OTHER_PASSWORD, PASSWORD, email_of, new_schema};

const SECRET: &str = "b+iXfJnZ0sGeXfdc3Ii4TnVZdo1Jwf4dyyCWQMUFSsg=";

/// Every column of the tables that are copied, in order.
const COLUMNS: &str = "select tables.name, columns.name, lower(columns.type)
    from sqlite_schema tables join pragma_table_info(tables.name) columns
    where tables.type = 'table' and tables.name like 'vestibule%'
        and tables.name <> 'vestibule_migrations'
    order by tables.name <> 'vestibule_users', tables.name, columns.cid";

/// Puts `rows` rows into every table of the schema, also of those that a later migration adds.
async fn fill(path: &std::path::Path, rows: usize) -> Vec<String> {
    let db = Db::open(&Location::Sqlite(path.to_owned())).await.unwrap();
    let columns = sql(COLUMNS).fetch_all::<(String, String, String)>(db.reader()).await.unwrap();
    db.close().await;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).foreign_keys(true);
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    let mut tables: Vec<String> = columns.iter().map(|(table, ..)| table.clone()).collect();
    tables.dedup();
    for table in &tables {
        let of_table: Vec<_> = columns.iter().filter(|(name, ..)| name == table).collect();
        let names: Vec<&str> = of_table.iter().map(|(_, name, _)| name.as_str()).collect();
        let values: Vec<String> = of_table
            .iter()
            .map(|(_, name, kind)| match (name.as_str(), kind.as_str()) {
                ("id", "text") if table == "vestibule_users" => "'u' || n".to_owned(),
                ("user_id", _) => "'u' || n".to_owned(),
                (_, "bigint") => "9223372036854775807 - n".to_owned(),
                (_, "bytea") => "cast(x'00ff27' || n as blob)".to_owned(),
                (name, _) => format!("'{name} ä '' \u{1f511} \\ ' || n"),
            })
            .collect();
        let insert = format!(
            "with recursive counted (n) as (select 1 union all select n + 1 from counted where n < {rows})
             insert into {table} ({}) select {} from counted where n <= {rows}",
            names.join(", "),
            values.join(", ")
        );
        sqlx::query(AssertSqlSafe(insert)).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
    tables
}

fn sqlite(folder: &Folder, name: &str) -> Location {
    Location::Sqlite(folder.0.join(name))
}

#[tokio::test]
async fn every_row_of_every_table_is_copied_to_postgresql_and_back() {
    let Some(url) = new_schema().await else { return };
    let folder = Folder::new();
    // More than fit into a statement.
    let tables = fill(&folder.0.join("a.db"), 1203).await;
    assert!(tables.len() > 12, "{tables:?}");
    let from = Db::open_alone(&sqlite(&folder, "a.db")).await.unwrap();
    let postgres = Db::open_alone(&Location::parse(&url).unwrap()).await.unwrap();
    let there = copy(&from, &postgres).await.unwrap();
    assert_eq!(there.iter().map(|table| table.name.clone()).collect::<Vec<_>>(), tables);
    assert!(there.iter().all(|table| table.rows == 1203), "{there:?}");
    let back = Db::open_alone(&sqlite(&folder, "b.db")).await.unwrap();
    assert_eq!(copy(&postgres, &back).await.unwrap(), there);
    for db in [from, postgres, back] {
        db.close().await;
    }
    let dump = async |name: &str| {
        let db = Db::open(&sqlite(&folder, name)).await.unwrap();
        let users = sql("select username, email, password_hash from vestibule_users order by id");
        let users = users.fetch_all::<(String, String, String)>(db.reader()).await.unwrap();
        let keys = sql("select token_hash from vestibule_devices order by token_hash");
        let keys = keys.fetch_all::<(Vec<u8>,)>(db.reader()).await.unwrap();
        db.close().await;
        (users, keys)
    };
    assert_eq!(dump("a.db").await, dump("b.db").await);
}

#[tokio::test]
async fn nothing_is_kept_when_a_row_cannot_be_copied() {
    let Some(url) = new_schema().await else { return };
    let folder = Folder::new();
    fill(&folder.0.join("a.db"), 600).await;
    let from = Db::open_alone(&sqlite(&folder, "a.db")).await.unwrap();
    let nul = sql("update vestibule_history set detail = 'a' || char(0) where user_id = 'u600'");
    nul.execute(from.writer()).await.unwrap();
    let to = Db::open_alone(&Location::parse(&url).unwrap()).await.unwrap();
    let refused = copy(&from, &to).await.unwrap_err();
    assert!(matches!(refused, CopyError::Nul { .. }), "{refused}");
    assert!(refused.to_string().contains("vestibule_history"), "{refused}");
    let users = sql("select count(*) from vestibule_users");
    assert_eq!(users.fetch_optional::<(i64,)>(to.reader()).await.unwrap(), Some((0,)));
}

#[test]
fn a_site_moves_to_postgresql_with_passwords_sessions_codes_and_mails() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Some(url) = runtime.block_on(new_schema()) else { return };
    let folder = Folder::new();
    let program = folder.serve(&[]);
    let cookie = program.register_ann(PASSWORD);
    let asked =
        program.post("/forgot", "", &[("username", "ann"), ("email", "ann@meadow.example")]);
    let served = folder.run(&["copy", "--to", &url], &[], "");
    assert_eq!(served.status, 1);
    assert!(served.err.contains("vestibule.db is in use"), "{}", served.err);
    program.kill();
    std::fs::write(folder.0.join("url"), format!("{url}\n")).unwrap();
    let copied = folder.run(&["copy", "--to-file", "url", "--json"], &[], "");
    assert_eq!(copied.status, 0, "{}", copied.err);
    let key = folder.0.join("vestibule.key").display().to_string();
    assert!(copied.err.contains("VESTIBULE_SECRET") && copied.err.contains(&key), "{}", copied.err);
    let tables: serde_json::Value = serde_json::from_str(&copied.out).unwrap();
    assert_eq!(tables[0]["table"], "vestibule_users");
    assert_eq!(tables[0]["rows"], 1);
    let again = folder.run(&["copy", "--to", &url], &[], "");
    assert!(again.status == 1 && again.err.contains("the target has accounts"), "{}", again.err);

    let other = [("VESTIBULE_DATABASE_URL", url.as_str()), ("VESTIBULE_SECRET", SECRET)];
    let refused = folder.run(&["serve"], &other, "");
    assert!(refused.err.contains("this is not the key"), "{}", refused.err);
    let settings =
        [("VESTIBULE_DATABASE_URL", url.as_str()), ("VESTIBULE_SECRET_FILE", key.as_str())];
    let program = folder.serve(&settings);
    assert_eq!(program.get("/account", &cookie).status, 200, "the session is there");
    let mailbox = program.get("/dev/mailbox", "").body;
    let code = mailbox
        .lines()
        .map(str::trim)
        .find(|line| line.len() == 9 && vestibule::random::is_code(&line.replace('-', "")));
    let fields = [
        ("code", code.expect("the email with the code")),
        ("password", OTHER_PASSWORD),
        ("password_confirm", OTHER_PASSWORD),
    ];
    let reset = program.post("/reset", &asked.cookie(), &fields);
    assert!(reset.head.contains("location: /login"), "{}", reset.head);
    let target = folder.0.join("back.db").display().to_string();
    let served = folder.run(&["copy", "--to", &format!("sqlite:{target}")], &settings, "");
    assert!(served.status == 1 && served.err.contains("is in use"), "{}", served.err);
    program.kill();

    let back = folder.run(&["copy", "--to", &format!("sqlite:{target}")], &settings, "");
    assert_eq!(back.status, 0, "{}", back.err);
    assert!(back.err.contains("Keep VESTIBULE_SECRET"), "{}", back.err);
    let database = format!("sqlite:{target}");
    let program = folder.serve(&[("VESTIBULE_DATABASE_URL", database.as_str()), settings[1]]);
    let login = program.post("/login", "", &[("username", "ann"), ("password", OTHER_PASSWORD)]);
    assert_eq!(login.status, 303, "{}", login.head);
}

#[test]
fn a_copy_that_cannot_work_says_why() {
    let folder = Folder::new();
    let missing = folder.run(&["copy", "--to", "sqlite:new.db"], &[], "");
    assert!(missing.status == 1 && missing.err.contains("there is no database at"));
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 0);
    let added = folder.run(&["user", "add", "ann", &email_of("ann")], &[], PASSWORD);
    assert_eq!(added.status, 0, "{}", added.err);
    std::fs::write(folder.0.join("text.db"), "not a database, and longer than nothing").unwrap();
    for (to, status, why) in [
        ("postgres://ann:hunter2@127.0.0.1:1/accounts", 2, "set PGPASSWORD or use --to-file"),
        ("postgres://ann@127.0.0.1:1/accounts?password=hunter2", 2, "PGPASSWORD"),
        ("postgres://ann@127.0.0.1:1/accounts", 1, "--to: no PostgreSQL answers there"),
        ("mysql://ann@127.0.0.1/accounts", 2, "--to: expected sqlite:PATH"),
        ("sqlite:vestibule.db", 1, "vestibule.db is the database itself: name a new one"),
        ("sqlite:none/new.db", 1, "none/new.db: cannot be opened or written: the folder none does"),
        ("sqlite:text.db", 1, "text.db: is not a SQLite database: name another file"),
        ("", 2, "--to: expected sqlite:PATH"),
        ("new.db", 2, "--to: expected sqlite:PATH"),
        ("host=db user=ann password=hunter2", 2, "--to: expected sqlite:PATH"),
    ] {
        let ended = folder.run(&["copy", "--to", to], &[], "");
        assert_eq!((ended.status, ended.out.as_str()), (status, ""), "{to}: {}", ended.err);
        assert!(ended.err.contains(why), "{to}: {}", ended.err);
        for wrong in ["hunter2", "VESTIBULE_DATABASE_URL"] {
            assert!(!ended.err.contains(wrong), "{to}: {}", ended.err);
        }
    }
}
