//! Processes that start together, on an empty folder or database.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};

use crate::support::program::{Ended, Folder};
use crate::support::{PASSWORD, new_schema};

/// Servers and commands, started at the same time.
fn start_together(folder: &Folder, count: usize, settings: &[(&str, &str)]) -> Vec<Child> {
    let kinds = [&["serve"][..], &["migrate"], &["user", "add"]];
    let starts = (0..count).map(|number| {
        let (name, email) = (format!("user{number}"), format!("user{number}@meadow.example"));
        let mut arguments = kinds[number % kinds.len()].to_vec();
        if arguments.len() == 2 {
            arguments.extend([name.as_str(), email.as_str()]);
        }
        let mut command = folder.command(&arguments, settings);
        command.env("VESTIBULE_LISTEN", "127.0.0.1:0");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // Those that read none may have ended.
        let _ = child.stdin.take().unwrap().write_all(PASSWORD.as_bytes());
        child
    });
    starts.collect()
}

/// Ends the servers, and returns how all of them ended.
fn end(children: Vec<Child>) -> Vec<Ended> {
    let mut ended = Vec::new();
    for (number, mut child) in children.into_iter().enumerate() {
        if number % 3 == 0 {
            // It serves, or has ended.
            let _ = child.stdout.as_mut().unwrap().read(&mut [0; 9]).unwrap();
            let pid = child.id().to_string();
            let _ = Command::new("kill").args(["-TERM", &pid]).status();
        }
        ended.push(Ended::from(child.wait_with_output().unwrap()));
    }
    ended
}

fn all_succeed(folder: &Folder, settings: &[(&str, &str)]) {
    for ended in end(start_together(folder, 40, settings)) {
        assert_eq!(ended.status, 0, "{}", ended.err);
    }
    let users = folder.run(&["user", "list"], settings, "");
    assert_eq!(users.out.lines().count(), 13, "{}", users.err);
}

#[test]
fn forty_processes_start_together_in_an_empty_folder() {
    let folder = Folder::new();
    all_succeed(&folder, &[]);
    let key = std::fs::read_to_string(folder.0.join("vestibule.key")).unwrap();
    assert_eq!(key.lines().count(), 1);
}

#[tokio::test]
async fn forty_processes_start_together_on_an_empty_postgresql() {
    let Some(url) = new_schema().await else { return };
    let secret = "b+iXfJnZ0sGeXfdc3Ii4TnVZdo1Jwf4dyyCWQMUFSsg=";
    let settings = [("VESTIBULE_DATABASE_URL", url.as_str()), ("VESTIBULE_SECRET", secret)];
    all_succeed(&Folder::new(), &settings);
}
