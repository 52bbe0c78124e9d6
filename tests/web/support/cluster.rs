//! A PostgreSQL of a test's own, to be stopped, restarted and hung.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::program::Folder;

/// A running cluster. It is stopped and deleted when it is dropped.
pub struct Cluster {
    programs: PathBuf,
    folder: Folder,
    port: u16,
}

impl Cluster {
    /// Starts one, or says in a line why not: there is no PostgreSQL on this machine.
    pub fn start() -> Option<Self> {
        let Some(programs) = programs() else {
            eprintln!("there is no PostgreSQL to restart: not tested");
            return None;
        };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let cluster = Self { programs, folder: Folder::new(), port };
        cluster.give_folder_away();
        let made = cluster.run(
            "initdb",
            &["-U", "vestibule", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
        );
        assert!(made, "initdb failed");
        assert!(cluster.control(&["start"]), "PostgreSQL did not start");
        Some(cluster)
    }

    pub fn url(&self) -> String {
        format!("postgres://vestibule@127.0.0.1:{}/postgres", self.port)
    }

    /// As after a power cut: connections end without a word, and what was committed is recovered.
    pub fn restart(&self) {
        assert!(self.control(&["-m", "immediate", "restart"]), "PostgreSQL did not restart");
    }

    /// As a power cut.
    pub fn stop(&self) {
        assert!(self.control(&["-m", "immediate", "stop"]), "PostgreSQL did not stop");
    }

    /// After [`Cluster::stop`]: what was committed is recovered.
    pub fn start_again(&self) {
        assert!(self.control(&["start"]), "PostgreSQL did not start again");
    }

    /// Stops all its processes where they are: it takes connections and statements and says nothing.
    pub fn hang(&self) {
        self.signal("-STOP");
    }

    /// Lets them go on.
    pub fn go_on(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, which: &str) {
        let file = self.folder.0.join("data/postmaster.pid");
        let parent = std::fs::read_to_string(file).unwrap().lines().next().unwrap().to_owned();
        let children = Command::new("ps").args(["-o", "pid=", "--ppid", &parent]).output();
        let children = String::from_utf8(children.unwrap().stdout).unwrap();
        let children = children.split_whitespace();
        // Those that end in between are nobody's loss; the parent is there.
        let sent = Command::new("kill")
            .arg(which)
            .arg(&parent)
            .args(children)
            .stderr(Stdio::null())
            .status();
        let _ = sent.unwrap();
    }

    fn control(&self, arguments: &[&str]) -> bool {
        let options = format!(
            "-p {} -k {} -c listen_addresses=127.0.0.1 -c log_min_messages=panic",
            self.port,
            self.folder.0.display()
        );
        let log = self.folder.0.join("log").display().to_string();
        let mut all = vec!["-s", "-w", "-l", &log, "-o", &options];
        all.extend(arguments);
        self.run("pg_ctl", &all)
    }

    /// initdb and the server refuse to run as root.
    fn run(&self, program: &str, arguments: &[&str]) -> bool {
        let program = self.programs.join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        command.arg("-D").arg(self.folder.0.join("data")).args(arguments).current_dir("/");
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    }

    fn give_folder_away(&self) {
        if is_root() {
            let given = Command::new("chown").arg("postgres").arg(&self.folder.0).status();
            assert!(given.unwrap().success());
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.go_on();
        self.control(&["-m", "immediate", "stop"]);
    }
}

fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<_> = versions.flatten().map(|entry| entry.path().join("bin")).collect();
    found.retain(|folder| folder.join("initdb").exists());
    found.sort();
    found.pop()
}

fn is_root() -> bool {
    let user = Command::new("id").arg("-u").output().unwrap();
    user.stdout.starts_with(b"0")
}
