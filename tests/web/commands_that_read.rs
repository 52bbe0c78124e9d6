//! The commands that read: beside a program that writes, on a read-only disk, and on an older database.

use std::process::Command;

use sqlx::{Connection, SqliteConnection};

use crate::support::program::{Ended, Folder};
use crate::support::{PASSWORD, new_schema};

const READING: [&str; 7] = [
    "user show ann",
    "user list --json",
    "user sessions ann --json",
    "user export ann",
    "mail log ann@meadow.example --json",
    "user approve --list",
    "user invite --list",
];

fn words(line: &str) -> Vec<&str> {
    line.split(' ').collect()
}

fn run(folder: &Folder, line: &str) -> Ended {
    folder.run(&words(line), &[("VESTIBULE_LISTEN", "127.0.0.1:0")], "")
}

/// With ann, who has a session, a code and emails.
fn used_folder() -> Folder {
    let folder = Folder::new();
    let program = folder.serve(&[]);
    program.register_ann(PASSWORD);
    program.post("/forgot", "", &[("username", "ann"), ("email", "ann@meadow.example")]);
    program.terminate();
    assert_eq!(program.ended().0, 0);
    folder
}

async fn connect(folder: &Folder) -> SqliteConnection {
    let url = format!("sqlite:{}", folder.0.join("vestibule.db").display());
    SqliteConnection::connect(&url).await.unwrap()
}

/// What a command prints, without what changes from one run to the next.
fn printed(line: &str, ended: &Ended) -> String {
    assert_eq!(ended.status, 0, "{line}: {}", ended.err);
    if line.starts_with("user export") { String::new() } else { ended.out.clone() }
}

#[tokio::test(flavor = "multi_thread")]
async fn they_do_not_wait_for_a_program_that_writes() {
    let folder = used_folder();
    let before = READING.map(|line| printed(line, &run(&folder, line)));
    let mut writer = connect(&folder).await;
    sqlx::raw_sql("begin immediate; update vestibule_users set email_verified_at = 7")
        .execute(&mut writer)
        .await
        .unwrap();
    let beside = READING.map(|line| printed(line, &run(&folder, line)));
    assert_eq!(before, beside);
    let export = run(&folder, "user export ann");
    assert!(export.err.contains("history does not tell of this export"), "{}", export.err);
    let check = run(&folder, "check");
    assert!(check.out.contains("is locked by another program"), "{}", check.out);
    assert!(check.out.contains("schema version"), "all else is checked: {}", check.out);
    let written = folder.run(&["user", "disable", "ann"], &[], "");
    assert_eq!(written.status, 1, "it would wait: {}", written.err);
    sqlx::raw_sql("rollback").execute(&mut writer).await.unwrap();
    writer.close().await.unwrap();
    assert!(!run(&folder, "user export ann").err.contains("history does not tell"));
}

#[tokio::test(flavor = "multi_thread")]
async fn they_work_on_a_read_only_disk() {
    let folder = used_folder();
    let path = folder.0.display();
    let mounted = |line: &str| {
        let program = env!("CARGO_BIN_EXE_vestibule");
        let script = format!(
            "mount --bind {path} {path} && mount -o remount,ro,bind {path} && cd {path} && exec {program} {line}"
        );
        let mut command = Command::new("unshare");
        command.args(["-rm", "sh", "-c", &script]).env("VESTIBULE_LISTEN", "127.0.0.1:0");
        command.output().map(Ended::from)
    };
    let is_possible = mounted("--version").is_ok_and(|ended| ended.status == 0);
    if !is_possible {
        eprintln!("nothing can be mounted here: not tested");
        return;
    }
    for line in READING {
        let ended = mounted(line).unwrap();
        assert_eq!(printed(line, &ended), printed(line, &run(&folder, line)));
    }
    let check = mounted("check").unwrap();
    assert!(check.out.contains("takes no writes") && check.status == 1, "{}", check.out);
    assert_eq!(mounted("user disable ann").unwrap().status, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn they_do_not_migrate_an_older_database() {
    let folder = used_folder();
    let mut database = connect(&folder).await;
    let forget = "delete from vestibule_migrations where version = (select max(version) from vestibule_migrations)";
    sqlx::raw_sql(forget).execute(&mut database).await.unwrap();
    for line in READING {
        let refused = run(&folder, line);
        assert_eq!((refused.status, refused.out.as_str()), (1, ""), "{line}");
        assert!(refused.err.contains("run `vestibule migrate`"), "{line}: {}", refused.err);
    }
    let refused = run(&folder, "key rotate");
    assert!(refused.status == 1 && refused.err.contains("vestibule migrate"), "{}", refused.err);
    database.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn they_make_nothing_in_a_new_database_on_postgresql() {
    let Some(url) = new_schema().await else { return };
    let settings = [
        ("VESTIBULE_DATABASE_URL", url.as_str()),
        ("VESTIBULE_SECRET", "YSBrZXkgZm9yIHRlc3RzLCAzMiBieXRlcyBvZiBpdP8="),
    ];
    let folder = Folder::new();
    for _ in 0..2 {
        let refused = folder.run(&["user", "list"], &settings, "");
        assert!(
            refused.status == 1 && refused.err.contains("vestibule migrate"),
            "{}",
            refused.err
        );
    }
    assert_eq!(folder.run(&["migrate"], &settings, "").status, 0);
    assert_eq!(folder.run(&["user", "list"], &settings, "").status, 0);
}
