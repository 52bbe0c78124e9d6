//! `vestibule backup` and `vestibule restore`: what they write, refuse and end.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use sqlx::{Connection as _, SqliteConnection};
use vestibule::db::{Db, Location, latest_version, sql};

use crate::support::program::{Ended, Folder};
use crate::support::{OTHER_PASSWORD, PASSWORD, email_of};

fn backup(folder: &Folder, file: &str) -> Ended {
    folder.run(&["backup", file], &[], "")
}

fn restore(folder: &Folder, arguments: &[&str]) -> Ended {
    folder.run(&[&["restore"], arguments].concat(), &[], "")
}

fn can_log_in(folder: &Folder, name: &str, password: &str) -> bool {
    let program = folder.serve(&[]);
    program.post("/login", "", &[("username", name), ("password", password)]).status == 303
}

fn add(folder: &Folder, name: &str) {
    let added = folder.run(&["user", "add", name, &email_of(name)], &[], PASSWORD);
    assert_eq!(added.status, 0, "{}", added.err);
}

/// The names of all files, without the lock.
fn files(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name != "vestibule.db.lock").collect();
    names.sort();
    names
}

async fn run_sql(path: &Path, text: &'static str) {
    let db = Db::open(&Location::Sqlite(path.to_owned())).await.unwrap();
    sql(text).execute(db.writer()).await.unwrap();
    db.close().await;
}

#[test]
fn a_backup_beside_a_server_that_writes_is_complete_and_private() {
    let folder = Folder::new();
    let program = folder.serve(&[("VESTIBULE_LIMIT_REGISTER_IP", "off")]);
    program.register_ann(PASSWORD);
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                let (name, email) =
                    (format!("user{number}"), format!("user{number}@meadow.example"));
                let fields = [
                    ("username", name.as_str()),
                    ("email", email.as_str()),
                    ("password", PASSWORD),
                    ("password_confirm", PASSWORD),
                ];
                assert_eq!(program.post("/register", "", &fields).status, 303);
                if is_done.load(Ordering::SeqCst) {
                    break;
                }
            }
        });
        for number in 0..5 {
            let written = backup(&folder, &format!("backup{number}.db"));
            assert_eq!(written.status, 0, "{}", written.err);
            assert!(written.out.contains("vestibule_users\t"), "{}", written.out);
            let key = folder.0.join("vestibule.key").display().to_string();
            assert!(written.err.contains(&format!("{key} is not part of it")), "{}", written.err);
        }
        is_done.store(true, Ordering::SeqCst);
    });
    program.kill();
    let mode = std::fs::metadata(folder.0.join("backup4.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let names = files(&folder.0);
    assert!(names.iter().all(|name| !name.starts_with('.')), "{names:?}");
    assert!(!names.contains(&"backup4.db-wal".to_owned()), "{names:?}");
    let other = Folder::new();
    let file = folder.0.join("backup4.db").display().to_string();
    assert_eq!(restore(&other, &[&file]).status, 0);
    assert!(can_log_in(&other, "ann", PASSWORD));
}

#[test]
fn a_backup_overwrites_nothing_and_names_what_is_missing() {
    let folder = Folder::new();
    let missing = backup(&folder, "backup.db");
    assert!(missing.status == 1 && missing.err.contains("there is no database at vestibule.db"));
    assert!(files(&folder.0).is_empty());
    add(&folder, "ann");
    std::fs::write(folder.0.join("backup.db"), "mine").unwrap();
    std::os::unix::fs::symlink("nowhere", folder.0.join("link.db")).unwrap();
    for name in ["backup.db", "link.db"] {
        let exists = backup(&folder, name);
        assert_eq!(exists.status, 1, "{}", exists.err);
        assert!(exists.err.contains("exists: a backup overwrites nothing"), "{}", exists.err);
    }
    assert_eq!(std::fs::read_to_string(folder.0.join("backup.db")).unwrap(), "mine");
    let nowhere = backup(&folder, "missing/backup.db");
    assert!(
        nowhere.status == 1 && nowhere.err.contains("missing does not exist"),
        "{}",
        nowhere.err
    );
    let dash = backup(&folder, "-");
    assert_eq!((dash.status, dash.out.as_str()), (2, ""), "{}", dash.err);
    assert!(!folder.0.join("-").exists());
    let json = folder.run(&["backup", "json.db", "--json"], &[], "");
    let json: serde_json::Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(json["tables"]["vestibule_users"], 1);
}

#[test]
fn a_full_disk_leaves_no_half_backup() {
    let folder = Folder::new();
    add(&folder, "ann");
    let before = files(&folder.0);
    let shell = "trap '' XFSZ; ulimit -f 64; exec \"$0\" backup backup.db";
    let mut command = std::process::Command::new("bash");
    command.args(["-c", shell, env!("CARGO_BIN_EXE_vestibule")]);
    let ended = command.current_dir(&folder.0).env_clear().output().unwrap();
    let err = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{err}");
    assert!(err.contains("backup.db: cannot be written"), "{err}");
    assert_eq!(files(&folder.0), before);
}

#[test]
fn with_postgresql_both_name_its_own_commands() {
    let settings = [
        ("VESTIBULE_DATABASE_URL", "postgres://ann:hunter2@127.0.0.1:1/accounts"),
        ("VESTIBULE_SECRET", "YSBrZXkgZm9yIHRlc3RzLCAzMiBieXRlcyBvZiBpdP8="),
    ];
    for (command, program) in [("backup", "pg_dump"), ("restore", "pg_restore")] {
        let ended = Folder::new().run(&[command, "file"], &settings, "");
        assert_eq!((ended.status, ended.out.as_str()), (1, ""));
        assert!(ended.err.contains(program) && !ended.err.contains("hunter2"), "{}", ended.err);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_database_has_the_accounts_of_the_backup_and_lets_nobody_in() {
    let folder = Folder::new();
    let program = folder.serve(&[]);
    let cookie = program.register_ann(PASSWORD);
    assert_eq!(backup(&folder, "backup.db").status, 0);
    let refused = restore(&folder, &["backup.db", "--force"]);
    assert_eq!(refused.status, 1);
    assert!(refused.err.contains("is in use: stop the servers"), "{}", refused.err);
    let bob = [
        ("username", "bob"),
        ("email", "bob@meadow.example"),
        ("password", PASSWORD),
        ("password_confirm", PASSWORD),
    ];
    assert_eq!(program.post("/register", "", &bob).status, 303);
    // The log of the old database is left beside it.
    program.kill();
    assert!(folder.0.join("vestibule.db-wal").exists());
    let refused = restore(&folder, &["backup.db"]);
    assert!(refused.status == 1 && refused.err.contains("--force"), "{}", refused.err);
    let restored = restore(&folder, &["backup.db", "--force"]);
    assert_eq!(restored.status, 0, "{}", restored.err);
    assert!(restored.err.contains("All sessions are ended (1)"), "{}", restored.err);
    assert!(!folder.0.join("vestibule.db-wal").exists());
    let program = folder.serve(&[]);
    assert_eq!(program.get("/account", &cookie).status, 303, "the session is ended");
    assert!(!program.get("/dev/mailbox", "").body.contains("ann@meadow.example"));
    program.kill();
    assert!(can_log_in(&folder, "ann", PASSWORD) && !can_log_in(&folder, "bob", PASSWORD));
    let names = files(&folder.0);
    assert!(names.iter().all(|name| !name.starts_with('.')), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_device_of_a_restored_backup_is_trusted() {
    let folder = Folder::new();
    let program = folder.serve(&[]);
    program.register_ann(PASSWORD);
    program.kill();
    assert_eq!(backup(&folder, "backup.db").status, 0);
    assert_eq!(restore(&folder, &["backup.db", "--force"]).status, 0);
    let db = Db::open(&Location::Sqlite(folder.0.join("vestibule.db"))).await.unwrap();
    let left = sql("select (select count(*) from vestibule_devices) + (select count(*) from vestibule_sessions)
        + (select count(*) from vestibule_one_time_codes) + (select count(*) from vestibule_outbox)");
    assert_eq!(left.fetch_optional::<(i64,)>(db.reader()).await.unwrap(), Some((0,)));
    db.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_whole_backup_of_this_program_is_refused_and_changes_nothing() {
    let folder = Folder::new();
    add(&folder, "ann");
    assert_eq!(backup(&folder, "backup.db").status, 0);
    let path = folder.0.join("backup.db");
    let whole = std::fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    damaged[4096..12288].fill(0x5a);
    std::fs::write(folder.0.join("damaged.db"), damaged).unwrap();
    std::fs::write(folder.0.join("cut.db"), &whole[..whole.len() / 2]).unwrap();
    std::fs::write(folder.0.join("text.db"), "not a database".repeat(100)).unwrap();
    std::fs::write(folder.0.join("empty.db"), "").unwrap();
    std::fs::create_dir(folder.0.join("folder")).unwrap();
    let other = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.0.join("other.db"));
    let mut other = SqliteConnection::connect_with(&other.create_if_missing(true)).await.unwrap();
    sqlx::query("create table accounts (id bigint)").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    std::fs::copy(&path, folder.0.join("newer.db")).unwrap();
    run_sql(
        &folder.0.join("newer.db"),
        "insert into vestibule_migrations select 9999, description, installed_on, success, checksum, execution_time
            from vestibule_migrations where version = 1",
    )
    .await;
    std::fs::copy(&path, folder.0.join("dangling.db")).unwrap();
    let dangling = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.0.join("dangling.db"));
    let mut dangling = SqliteConnection::connect_with(&dangling.foreign_keys(false)).await.unwrap();
    let insert = "insert into vestibule_devices (token_hash, user_id, logins, last_login_at) values (x'00', 'nobody', 1, 1)";
    sqlx::query(insert).execute(&mut dangling).await.unwrap();
    dangling.close().await.unwrap();
    for (name, why) in [
        ("damaged.db", "damaged.db: is damaged"),
        ("cut.db", "cut.db: is damaged: restore an undamaged backup"),
        ("text.db", "text.db: is not a SQLite database: name another file"),
        ("empty.db", "empty.db: is empty: name another file"),
        ("other.db", "other.db: is not a database of Vestibule: name another file"),
        ("folder", "folder is a folder: name a file"),
        ("newer.db", "newer.db was written by a newer Vestibule (its schema version 9999"),
        ("dangling.db", "refer to rows that are missing"),
        ("missing.db", "there is no file missing.db"),
        ("vestibule.db", "is the database itself"),
    ] {
        let refused = restore(&folder, &[name, "--force"]);
        assert_eq!(refused.status, 1, "{name}: {}", refused.err);
        assert!(refused.err.contains(why), "{name}: {}", refused.err);
        assert!(!refused.err.contains("VESTIBULE_DATABASE_URL"), "{name}: {}", refused.err);
    }
    let names = files(&folder.0);
    assert!(names.iter().all(|name| !name.starts_with('.')), "{names:?}");
    assert!(can_log_in(&folder, "ann", PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_backup_is_migrated_and_one_with_its_log_is_complete() {
    let folder = Folder::new();
    add(&folder, "ann");
    let path = folder.0.join("vestibule.db");
    run_sql(&path, "drop table vestibule_server_key").await;
    run_sql(&path, "delete from vestibule_migrations where version = 26").await;
    // As `cp` of a database whose server was killed.
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    let mut open = SqliteConnection::connect_with(&options).await.unwrap();
    let change = "update vestibule_users set email = 'new@meadow.example'";
    sqlx::query(change).execute(&mut open).await.unwrap();
    std::fs::copy(&path, folder.0.join("old.db")).unwrap();
    std::fs::copy(folder.0.join("vestibule.db-wal"), folder.0.join("old.db-wal")).unwrap();
    drop(open);
    let other = Folder::new();
    let restored = restore(&other, &[&folder.0.join("old.db").display().to_string()]);
    assert_eq!(restored.status, 0, "{}", restored.err);
    assert!(restored.err.contains("vestibule.key is missing"), "{}", restored.err);
    let migrated = other.run(&["migrate"], &[], "");
    assert!(migrated.err.contains(&latest_version().to_string()), "{}", migrated.err);
    let shown = other.run(&["user", "list"], &[], "");
    assert!(shown.out.contains("new@meadow.example"), "{} {}", shown.out, shown.err);
}

/// Killed at any moment, the old or the new database is there.
#[tokio::test]
async fn a_killed_restore_leaves_the_old_or_the_new_database() {
    let folder = Folder::new();
    add(&folder, "ann");
    assert_eq!(backup(&folder, "backup.db").status, 0);
    add(&folder, "bob");
    for millis in (0..200).step_by(10) {
        let mut command = folder.command(&["restore", "backup.db", "--force"], &[]);
        command.stderr(std::process::Stdio::null());
        let mut child = command.spawn().unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(millis)).await;
        let _ = child.kill();
        child.wait().unwrap();
        let users = folder.run(&["user", "list"], &[], "");
        assert_eq!(users.status, 0, "{}", users.err);
        assert!(users.out.contains("ann@meadow.example"), "after {millis} ms: {}", users.out);
    }
    assert_eq!(restore(&folder, &["backup.db", "--force"]).status, 0);
    assert!(!can_log_in(&folder, "bob", OTHER_PASSWORD));
}
