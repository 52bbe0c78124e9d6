//! The program on a Unix socket.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::program::{Answer, Ended, Folder};

/// A server on a Unix socket. It is killed when it is dropped.
pub struct UnixProgram {
    pub child: Child,
    pub socket: PathBuf,
    /// What it printed to stdout before it accepted connections.
    pub output: String,
}

impl UnixProgram {
    /// Serves on `socket` in `folder`, which is the program's working directory.
    pub fn start(folder: &Folder, settings: &[(&str, &str)]) -> Self {
        let mut command = folder.command(&["serve"], settings);
        command.env("VESTIBULE_LISTEN", "unix:socket");
        Self::spawn(command, folder.0.join("socket"))
    }

    /// Runs `command`, which serves on `socket`.
    pub fn spawn(mut command: Command, socket: PathBuf) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut output = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        while !output.contains("listening on ") {
            assert_ne!(lines.read_line(&mut output).unwrap(), 0, "it ended: {output}");
        }
        Self { child, socket, output }
    }

    /// One request on a new connection, with these headers.
    pub fn get(&self, path: &str, headers: &str) -> Answer {
        self.exchange(&format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Connection: close\r\n\r\n"
        ))
    }

    /// A login with a wrong password, with these headers.
    pub fn fail_login(&self, headers: &str) -> Answer {
        let body = "username=ann&password=wrong";
        self.exchange(&format!(
            "POST /login HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\n{headers}Connection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }

    pub fn exchange(&self, request: &str) -> Answer {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        Answer::read(stream)
    }

    /// Sends a signal and waits until it has ended.
    pub fn end_by(mut self, signal: &str) -> Ended {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        let mut err = String::new();
        let mut log = self.child.stderr.take().unwrap();
        std::io::Read::read_to_string(&mut log, &mut err).unwrap();
        let status = self.child.wait().unwrap().code().unwrap_or(-1);
        Ended { status, out: self.output.clone(), err }
    }
}

impl Drop for UnixProgram {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
