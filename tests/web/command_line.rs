//! The command line's own comfort: completions, the manual page, flags without `serve`, suggestions.

use std::io::Write;
use std::process::{Command, Stdio};

use vestibule::config::SETTINGS;

use crate::support::program::Folder;
use crate::support::smtp::FakeSmtp;

#[test]
fn completions_and_the_manual_need_no_settings() {
    let wrong = [("VESTIBULE_LISTEN", "nowhere")];
    let folder = Folder::new();
    for (shell, words) in [
        ("bash", "complete -F _vestibule"),
        ("zsh", "#compdef vestibule"),
        ("fish", "complete -c vestibule"),
    ] {
        let ended = folder.run(&["completions", shell], &wrong, "");
        assert_eq!((ended.status, ended.err.as_str()), (0, ""));
        assert!(ended.out.contains(words) && ended.out.contains("check"), "{shell}");
    }
    assert_eq!(folder.run(&["completions", "tcsh"], &[], "").status, 2);
    assert_eq!(folder.run(&["man"], &wrong, "").status, 0);
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 0);
}

#[test]
fn the_manual_is_one_page_with_every_command_and_setting() {
    let page = Folder::new().run(&["man"], &[], "").out;
    assert_eq!(page.lines().filter(|line| line.starts_with(".TH ")).count(), 1);
    let text = page.replace("\\-", "-");
    for setting in SETTINGS.iter() {
        assert!(text.contains(&setting.variable()), "{}", setting.variable());
    }
    for command in ["serve", "user add", "mail test", "check", "migrate", "completions"] {
        assert!(text.contains(&format!("vestibule {command}")), "{command}");
    }
    let help = Folder::new().run(&["--help"], &[], "").out;
    assert!(!help.contains("\n  man ") && help.contains("takes the options of serve"), "{help}");
    let mut groff = Command::new("groff");
    groff.args(["-man", "-Tutf8", "-Kutf8", "-ww"]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut groff) = groff.stdout(Stdio::piped()).spawn() else { return };
    groff.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let formatted = groff.wait_with_output().unwrap();
    let complaints = String::from_utf8_lossy(&formatted.stderr);
    assert!(complaints.is_empty(), "{complaints}");
    let lines = String::from_utf8_lossy(&formatted.stdout).lines().count();
    assert!(lines > 200, "{lines}");
}

/// clap breaks the lines of a paragraph where the terminal ends; one that is broken already becomes ragged.
#[test]
fn the_help_of_each_command_fits_a_narrow_terminal() {
    fn check(command: &clap::Command) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines: Vec<&str> = help.lines().collect();
        for pair in lines.windows(2) {
            let is_prose = |line: &str| !line.is_empty() && !line.starts_with(' ');
            assert!(!(is_prose(pair[0]) && is_prose(pair[1])), "{}: {pair:?}", command.get_name());
        }
        let example = lines.iter().find(|line| line.starts_with(' ') && line.chars().count() > 80);
        assert_eq!(example, None, "{}", command.get_name());
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{} {}", command.get_name(), argument.get_id());
        }
        command.get_subcommands().for_each(check);
    }
    check(&vestibule::commands::command());
}

#[test]
fn the_flags_of_serve_work_without_its_name() {
    let folder = Folder::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let held = std::net::TcpListener::bind(taken).unwrap();
    let ended = folder.run(&["--listen", &taken.to_string(), "--site-name", "Wiki"], &[], "");
    assert_eq!(ended.status, 1);
    assert!(ended.err.contains(&format!("VESTIBULE_LISTEN={taken}")), "{}", ended.err);
    drop(held);
    let wrong = folder.run(&["--listen", "nowhere"], &[], "");
    assert!(wrong.status == 2 && wrong.err.contains("--listen"), "{}", wrong.err);
    assert_eq!(folder.run(&["--listen", "127.0.0.1:0", "user", "list"], &[], "").status, 2);
    let usage = folder.run(&["--help"], &[], "").out;
    assert!(usage.contains("vestibule [OPTIONS of serve]"), "{usage}");
}

#[test]
fn the_right_word_is_suggested_for_a_wrong_one() {
    let folder = Folder::new();
    for (arguments, suggestion) in [
        (&["chekc"][..], "'check'"),
        (&["user", "lst"], "'list'"),
        (&["--lisen", "x"], "'--listen'"),
        (&["serve", "--lisen", "x"], "'--listen'"),
        (&["check", "--jsn"], "'--json'"),
        (&["mail", "tset", "a@b.example"], "'test'"),
    ] {
        let ended = folder.run(arguments, &[], "");
        assert_eq!((ended.status, ended.out.as_str()), (2, ""), "{arguments:?}");
        assert!(ended.err.contains(suggestion), "{arguments:?}: {}", ended.err);
    }
}

#[test]
fn a_setting_that_is_no_flag_of_the_command_is_told_with_its_variable() {
    let folder = Folder::new();
    for (arguments, variable) in [
        (&["--smtp-url", "smtp://ann:hunter2@mail.example"][..], "VESTIBULE_SMTP_URL"),
        (&["serve", "--database-url=postgres://ann:hunter2@a.example/b"], "VESTIBULE_DATABASE_URL"),
        (&["check", "--base-url", "https://a.example"], "VESTIBULE_BASE_URL"),
    ] {
        let ended = folder.run(arguments, &[], "");
        assert_eq!((ended.status, ended.err.lines().count()), (2, 1), "{}", ended.err);
        let words = format!("is no flag of this command: set {variable}, or {variable}_FILE");
        assert!(ended.err.contains(&words) && !ended.err.contains("hunter2"), "{}", ended.err);
    }
}

#[test]
fn every_boolean_is_taken_in_each_spelling_and_letter_case() {
    let booleans = SETTINGS.iter().filter(|setting| {
        matches!(setting.value, "yes|no" | "on|off") && setting.name != "SHOW_NAME"
    });
    let names: Vec<_> = booleans.map(vestibule::config::Setting::variable).collect();
    assert!(!names.is_empty());
    for name in names {
        for value in ["yes", "No", "TRUE", "False", "oN", "OFF", "1", "0"] {
            let ended = Folder::new().run(&["migrate"], &[(&name, value)], "");
            assert_eq!(ended.status, 0, "{name}={value}: {}", ended.err);
        }
    }
}

#[test]
fn what_kubernetes_sets_for_a_service_is_ignored() {
    let settings = [
        ("VESTIBULE_SERVICE_HOST", "10.0.0.1"),
        ("VESTIBULE_SERVICE_PORT", "8000"),
        ("VESTIBULE_SERVICE_PORT_HTTP", "8000"),
        ("VESTIBULE_PORT", "tcp://10.0.0.1:8000"),
        ("VESTIBULE_PORT_8000_TCP", "tcp://10.0.0.1:8000"),
        ("VESTIBULE_PORT_8000_TCP_ADDR", "10.0.0.1"),
        ("VESTIBULE_PORT_8000_TCP_PROTO", "tcp"),
    ];
    let ended = Folder::new().run(&["migrate"], &settings, "");
    assert_eq!(ended.status, 0, "{}", ended.err);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reply_to_a_test_email_is_json_if_asked_for() {
    let server = FakeSmtp::start().await;
    let settings = [("VESTIBULE_SMTP_URL", &*server.url())];
    let arguments = ["mail", "test", "--json", "ann@example.com"];
    let ended = tokio::task::block_in_place(|| Folder::new().run(&arguments, &settings, ""));
    let reply: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert!(reply["reply"].as_str().unwrap().starts_with("250"), "{reply}");
}
