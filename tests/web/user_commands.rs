//! The commands about one account, as the operator types them: what they print, and how they end.

use serde_json::Value;

use crate::support::program::{Ended, Folder, Program};
use crate::support::{OTHER_PASSWORD, PASSWORD, new_schema};

/// Runs `vestibule` with these words and this standard input.
fn run(folder: &Folder, line: &str, input: &str) -> Ended {
    let words: Vec<&str> = line.split(' ').collect();
    folder.run(&words, &[("VESTIBULE_LOG", "json")], input)
}

fn done(folder: &Folder, line: &str) -> Ended {
    let ended = run(folder, line, "");
    assert_eq!(ended.status, 0, "{line}: {}", ended.err);
    ended
}

fn json(folder: &Folder, line: &str) -> Value {
    serde_json::from_str(&done(folder, line).out).unwrap()
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().unwrap().keys().map(String::as_str).collect()
}

fn with_ann() -> Folder {
    let folder = Folder::new();
    let added = run(&folder, "user add ann ann@meadow.example", PASSWORD);
    assert_eq!(added.status, 0, "{}", added.err);
    folder
}

fn can_log_in(program: &Program, login: &str, password: &str) -> bool {
    let answer = program.post("/login", "", &[("username", login), ("password", password)]);
    answer.head.contains("location: /account")
}

/// The cookie of a browser that has asked for a code.
fn asker(program: &Program) -> String {
    let claim = [("username", "ann"), ("email", "ann@meadow.example")];
    program.post("/forgot", "", &claim).cookie()
}

#[test]
fn an_account_is_found_by_its_names_and_its_id_and_shown_with_these_keys() {
    let folder = with_ann();
    let user = json(&folder, "user show ann --json");
    let expected = ["created_at", "disabled", "email", "email_verified", "id", "username"];
    assert_eq!(keys(&user), expected);
    assert_eq!(keys(&json(&folder, "user list --json")[0]), expected);
    let id = user["id"].as_str().unwrap();
    for name in ["ANN", "Ann@Meadow.example", id, &id.to_uppercase()] {
        assert_eq!(json(&folder, &format!("user show {name} --json"))["id"], user["id"], "{name}");
    }
}

#[test]
fn an_account_is_disabled_and_enabled_beside_the_running_site() {
    let folder = with_ann();
    let program = folder.serve(&[]);
    let login = program.post("/login", "", &[("username", "ann"), ("password", PASSWORD)]);
    let cookie = login.cookie();
    let disabled = done(&folder, "user disable ANN@meadow.example --json");
    let user: Value = serde_json::from_str(&disabled.out).unwrap();
    assert_eq!(user["disabled"], true);
    let event: Value = serde_json::from_str(disabled.err.lines().next().unwrap()).unwrap();
    assert_eq!((&event["event"], &event["actor"]), (&"user_disabled".into(), &"operator".into()));
    assert_eq!(program.get("/account", &cookie).status, 303);
    assert!(!can_log_in(&program, "ann", PASSWORD));
    assert!(done(&folder, "user disable ann").err.contains("ann was disabled before."));
    for line in ["user show ann", "user list"] {
        assert!(done(&folder, line).out.contains("\tdisabled"), "{line}");
    }
    assert_eq!(json(&folder, "user list --json")[0]["disabled"], true);
    assert!(run(&folder, "user set-password ann --code", "").err.contains("is disabled"));
    assert_eq!(json(&folder, "user enable ann --json")["disabled"], false);
    done(&folder, "user enable ann");
    assert!(can_log_in(&program, "ann", PASSWORD));
    assert_eq!(program.get("/account", &cookie).status, 303);
    let nobody = run(&folder, "user disable eve", "");
    assert_eq!((nobody.status, nobody.out.as_str()), (1, ""));
    assert!(nobody.err.contains("\"eve\""), "{}", nobody.err);
}

#[test]
fn a_password_comes_from_standard_input_and_a_weak_one_is_refused() {
    let folder = with_ann();
    for weak in ["password1234", "short", "", "ann@meadow.example"] {
        let ended = run(&folder, "user set-password ann", weak);
        assert_eq!((ended.status, ended.out.as_str()), (1, ""), "{weak}: {}", ended.err);
        assert!(weak.is_empty() || !ended.err.contains(weak), "{}", ended.err);
    }
    let ended = run(&folder, "user set-password ann", &format!("{OTHER_PASSWORD}\n"));
    assert_eq!((ended.status, ended.out.as_str()), (0, ""), "{}", ended.err);
    assert!(!ended.err.contains(OTHER_PASSWORD));
    let program = folder.serve(&[]);
    assert!(can_log_in(&program, "ann", OTHER_PASSWORD) && !can_log_in(&program, "ann", PASSWORD));
    assert_eq!(run(&folder, "user set-password ann secret", "").status, 2, "never an argument");
}

#[test]
fn a_code_is_printed_alone_and_sets_a_password_once() {
    let folder = with_ann();
    let program = folder.serve(&[]);
    let cookie = asker(&program);
    let void = done(&folder, "user set-password ann --code").out.trim().to_owned();
    let printed = done(&folder, "user set-password ann --code");
    assert!(printed.err.contains("within 1 hour"), "{}", printed.err);
    let code = printed.out.strip_suffix('\n').unwrap();
    assert!(code.len() == 9 && code.as_bytes()[4] == b'-', "{code}");
    assert!(!printed.err.contains(code));
    let json = json(&folder, "user set-password ann --code --json");
    assert!(keys(&json) == ["code"] && json["code"].as_str().unwrap().len() == 9, "{json}");
    assert_eq!(run(&folder, "user set-password ann --json", "").status, 2, "it prints no data");
    let code = json["code"].as_str().unwrap();
    let reset = |cookie: &str, code: &str| {
        let fields =
            [("code", code), ("password", OTHER_PASSWORD), ("password_confirm", OTHER_PASSWORD)];
        program.post("/reset", cookie, &fields).head.contains("location: /login")
    };
    assert!(!reset(&cookie, &void));
    assert!(can_log_in(&program, "ann", PASSWORD));
    assert!(reset(&cookie, code));
    assert!(can_log_in(&program, "ann", OTHER_PASSWORD));
    assert!(!reset(&asker(&program), code));
}

#[test]
fn names_are_changed_by_the_rules_of_the_pages() {
    let folder = with_ann();
    assert_eq!(run(&folder, "user add bob bob@meadow.example", PASSWORD).status, 0);
    let user = json(&folder, "user set-email ann Ann@new.example --json");
    assert_eq!(
        (&user["email"], &user["email_verified"]),
        (&"Ann@new.example".into(), &false.into())
    );
    for (line, status, words) in [
        (
            "user set-email ann BOB@meadow.example",
            1,
            "BOB@meadow.example belongs to another account",
        ),
        ("user set-email ann nowhere", 2, "nowhere"),
        ("user set-email eve eve@meadow.example", 1, "\"eve\""),
        ("user rename ann BOB", 1, "\"BOB\" belongs to another account"),
        ("user rename ann b", 2, "\"b\" is no username"),
    ] {
        let ended = run(&folder, line, "");
        assert_eq!((ended.status, ended.out.as_str()), (status, ""), "{line}: {}", ended.err);
        assert!(ended.err.contains(words), "{line}: {}", ended.err);
    }
    let domains = [("VESTIBULE_REGISTRATION_DOMAINS", "meadow.example")];
    let other = folder.run(&["user", "set-email", "ann", "ann@other.example"], &domains, "");
    assert!(other.status == 1 && other.err.contains("REGISTRATION_DOMAINS"), "{}", other.err);
    let none = [("VESTIBULE_USERNAME", "none")];
    let unnamed = folder.run(&["user", "rename", "ann", "anna"], &none, "");
    assert!(unnamed.status == 2 && unnamed.err.contains("VESTIBULE_USERNAME"), "{}", unnamed.err);
    assert_eq!(json(&folder, "user rename ann Anna --json")["username"], "anna");
    assert!(done(&folder, "user rename anna anna").out.starts_with("anna\t"));
    assert_eq!(run(&folder, "user show ann", "").status, 1);
}

/// The operator may give out the site's own names, and nothing that is kept for another account.
#[test]
fn add_and_rename_take_and_refuse_the_same_usernames() {
    let folder = with_ann();
    done(&folder, "user rename ann anna");
    let settings = [("VESTIBULE_USERNAME", "optional"), ("VESTIBULE_USERNAME_RULE", "unicode")];
    let run =
        |line: &str| folder.run(&line.split(' ').collect::<Vec<_>>(), &settings, OTHER_PASSWORD);
    assert_eq!(run("user add bob bob@meadow.example").status, 0);
    for (name, status) in [
        ("ann", 1),
        ("anna", 1),
        ("\u{430}nn\u{430}", 2),
        ("eve@meadow.example", 2),
        ("postmaster", 0),
    ] {
        let (added, renamed) = (
            run(&format!("user add {name} cleo@meadow.example")),
            run(&format!("user rename bob {name}")),
        );
        assert_eq!(added.status, status, "{name}: {}", added.err);
        let taken_now = i32::from(status == 0);
        assert_eq!(renamed.status, status + taken_now, "{name}: {}", renamed.err);
    }
    assert_eq!(run("user rename bob support").status, 0);
    done(&folder, "user set-email anna new@meadow.example");
    let given_up = run("user add dora ann@meadow.example");
    assert!(given_up.status == 1 && given_up.err.contains("kept for one"), "{}", given_up.err);
}

#[test]
fn sessions_are_listed_and_ended() {
    let folder = with_ann();
    assert_eq!(json(&folder, "user sessions ann --json"), serde_json::json!([]));
    let program = folder.serve(&[]);
    let login = program.post("/login", "", &[("username", "ann"), ("password", PASSWORD)]);
    let cookie = login.cookie();
    let sessions = json(&folder, "user sessions ann --json");
    assert_eq!(keys(&sessions[0]), ["address", "created_at", "device", "id", "last_seen_at"]);
    assert_eq!(sessions[0]["address"], "127.0.0.1");
    assert!(sessions[0]["created_at"].as_str().unwrap().ends_with('Z'));
    let listed = done(&folder, "user sessions ann");
    let token = cookie.split('=').nth(1).unwrap();
    assert!(listed.out.contains("127.0.0.1") && !listed.out.contains(token), "{}", listed.out);
    assert_eq!(program.get("/account", &cookie).status, 200);
    let ended = done(&folder, "user sessions ann --end");
    assert!(ended.err.contains("\"reason\":\"ended_by_operator\""), "{}", ended.err);
    assert_eq!(program.get("/account", &cookie).status, 303);
    assert_eq!(json(&folder, "user sessions ann --json"), serde_json::json!([]));
    assert_eq!(done(&folder, "user sessions ann --end").out, "");
}

#[test]
fn an_export_is_the_persons_own() {
    let folder = with_ann();
    let program = folder.serve(&[]);
    let login = program.post("/login", "", &[("username", "ann"), ("password", PASSWORD)]);
    let own = program.post("/account/export", &login.cookie(), &[]);
    let own: Value = serde_json::from_str(&own.body).unwrap();
    let printed = json(&folder, "user export ann --json");
    assert_eq!(keys(&printed), keys(&own));
    assert_eq!((&printed["id"], &printed["sessions"]), (&own["id"], &own["sessions"]));
    let history = printed["history"].as_array().unwrap();
    assert_eq!(
        (&history[0]["kind"], &history[0]["detail"]),
        (&"exported".into(), &"operator".into())
    );
}

#[test]
fn a_deletion_needs_a_yes_without_a_terminal() {
    let folder = with_ann();
    let asked = run(&folder, "user delete ann", "y\n");
    assert!(asked.status == 2 && asked.err.contains("--yes"), "{}", asked.err);
    done(&folder, "user show ann");
    done(&folder, "user delete ANN@meadow.example --yes");
    assert_eq!(run(&folder, "user show ann", "").status, 1);
}

#[test]
fn each_command_has_help_with_an_example() {
    for name in [
        "disable",
        "enable",
        "set-password",
        "set-email",
        "rename",
        "sessions",
        "export",
        "delete",
        "show",
    ] {
        let help = Folder::new().run(&["user", name, "--help"], &[], "");
        let example = format!("\n  vestibule user {name} ann");
        assert!(help.status == 0 && help.out.contains(&example), "{}", help.out);
        let nowhere = Folder::new().run(&["user", name, "ann", "--yes"], &[], "");
        assert_ne!(nowhere.status, 0);
    }
}

/// A terminal of its own, by `script` of util-linux.
#[test]
fn on_a_terminal_a_password_is_asked_for_twice() {
    let folder = with_ann();
    let typed = |one: &str, other: &str| {
        let program = env!("CARGO_BIN_EXE_vestibule");
        let line = format!(
            "(sleep 1; echo '{one}'; sleep 1; echo '{other}') | script -qec '{program} user set-password ann' /dev/null"
        );
        let ran =
            std::process::Command::new("bash").args(["-c", &line]).current_dir(&folder.0).output();
        String::from_utf8_lossy(&ran.unwrap().stdout).into_owned()
    };
    if std::process::Command::new("script").arg("--version").output().is_err() {
        eprintln!("script is not installed: not tested");
        return;
    }
    let differ = typed(OTHER_PASSWORD, PASSWORD);
    assert!(differ.contains("the two passwords differ"), "{differ}");
    let same = typed(OTHER_PASSWORD, OTHER_PASSWORD);
    assert!(same.contains("The password of ann was set"), "{same}");
}

/// Each line of the guide that runs the program, in its order, on a site with `ann`.
#[test]
fn every_command_of_the_guide_works() {
    let folder = with_ann();
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/users.md"));
    let guide = guide.unwrap();
    let lines: Vec<&str> =
        guide.lines().filter_map(|line| line.strip_prefix("vestibule ")).collect();
    assert!(lines.len() > 12, "{lines:?}");
    for line in lines {
        let ended = run(&folder, line, OTHER_PASSWORD);
        assert_eq!(ended.status, 0, "{line}: {}", ended.err);
    }
}

#[tokio::test]
async fn on_postgresql_no_line_of_the_log_is_lost() {
    let Some(url) = new_schema().await else { return };
    let settings = [
        ("VESTIBULE_DATABASE_URL", url.as_str()),
        ("VESTIBULE_SECRET", "YSBrZXkgZm9yIHRlc3RzLCAzMiBieXRlcyBvZiBpdP8="),
    ];
    let folder = Folder::new();
    for (line, event) in [
        ("user add ann ann@meadow.example", "user_added"),
        ("user disable ann", "user_disabled"),
        ("user enable ann", "user_enabled"),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let ended = folder.run(&words, &settings, PASSWORD);
        assert!(ended.err.contains(&format!("event=\"{event}\"")), "{line}: {}", ended.err);
    }
}
