//! The binary in a process, in an empty folder, on a free port.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use vestibule::random;

/// How long a test waits for the program. Only a broken one needs as long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A temporary folder, deleted when this is dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("vestibule-program-{}", random::id(0)));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The command line in this folder, configured only by `settings`.
    pub fn command(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
        command.args(arguments).current_dir(&self.0).env_clear().envs(settings.iter().copied());
        command
    }

    /// Runs a command to its end, with `input` on its standard input.
    pub fn run(&self, arguments: &[&str], settings: &[(&str, &str)], input: &str) -> Ended {
        let mut command = self.command(arguments, settings);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // The program may end before it reads.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        Ended::from(child.wait_with_output().unwrap())
    }

    /// Starts serving, and waits until the socket accepts.
    pub fn serve(&self, settings: &[(&str, &str)]) -> Program {
        Program::start(self.command(&["serve"], settings), Stdio::piped())
    }

    /// As [`Folder::serve`], with a log in a file ([`Folder::log`]): under load a pipe would fill up.
    pub fn serve_with_log(&self, settings: &[(&str, &str)]) -> Program {
        self.start_with_log(self.command(&["serve"], settings))
    }

    /// Starts this command, which serves, with a log in a file.
    pub fn start_with_log(&self, command: Command) -> Program {
        Program::start(command, self.log_file())
    }

    /// Serves with a soft and a hard limit of open files.
    pub fn serve_with_open_files(
        &self,
        (soft, hard): (u32, u32),
        settings: &[(&str, &str)],
    ) -> Program {
        let shell = format!("ulimit -Sn {soft} && ulimit -Hn {hard} && exec \"$0\" serve");
        let mut command = Command::new("bash");
        command.args(["-c", &shell, env!("CARGO_BIN_EXE_vestibule")]);
        command.current_dir(&self.0).env_clear().envs(settings.iter().copied());
        Program::start(command, Stdio::piped())
    }

    /// Serves in a process for which a write beyond its file size limit is an error, as on a full disk.
    pub fn serve_with_full_disk_errors(&self, settings: &[(&str, &str)]) -> Program {
        let mut command = Command::new("bash");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" serve", env!("CARGO_BIN_EXE_vestibule")]);
        command.current_dir(&self.0).env_clear().envs(settings.iter().copied());
        // To a pipe such a process can still write.
        Program::start(command, Stdio::piped())
    }

    /// Everything logged so far, by all starts.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.0.join("log")).unwrap()
    }

    fn log_file(&self) -> Stdio {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.0.join("log"));
        log.unwrap().into()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// How a command ended.
pub struct Ended {
    pub status: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A running server. It is killed when it is dropped.
pub struct Program {
    pub child: Child,
    pub address: SocketAddr,
    /// What it printed to stdout before it accepted connections.
    pub output: String,
}

impl Program {
    fn start(mut command: Command, log: Stdio) -> Self {
        if !command.get_envs().any(|(name, _)| name == "VESTIBULE_LISTEN") {
            command.env("VESTIBULE_LISTEN", "127.0.0.1:0");
        }
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut output = String::new();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let address = loop {
            let start = output.len();
            assert_ne!(lines.read_line(&mut output).unwrap(), 0, "it ended: {output}");
            if let Some(address) = output[start..].trim().strip_prefix("listening on http://") {
                break address.parse().unwrap();
            }
        };
        Self { child, address, output }
    }

    /// One request on a new connection.
    pub fn get(&self, path: &str, cookie: &str) -> Answer {
        self.exchange(&format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n",
            self.address
        ))
    }

    /// A form, sent from the site's own page.
    pub fn post(&self, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
        let body =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.exchange(&format!("{}{body}", self.post_head(path, cookie, body.len())))
    }

    /// The head of a form of `length` bytes.
    pub fn post_head(&self, path: &str, cookie: &str, length: usize) -> String {
        format!(
            "POST {path} HTTP/1.1\r\nHost: {0}\r\nOrigin: http://{0}\r\nCookie: {cookie}\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {length}\r\n\r\n",
            self.address
        )
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Waits until the program no longer accepts connections.
    pub async fn gone(&self) {
        // The program closes a silent connection after a while.
        while let Ok(mut silent) = tokio::net::TcpStream::connect(self.address).await {
            let _ = silent.read(&mut [0; 1]).await;
        }
    }

    /// As [`Program::post`]; `None` if the program ended before it answered.
    pub fn try_post(&self, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Option<Answer> {
        let body =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request = format!("{}{body}", self.post_head(path, cookie, body.len()));
        stream.write_all(request.as_bytes()).ok()?;
        let mut bytes = Vec::new();
        // A response before the connection broke counts.
        let _ = stream.read_to_end(&mut bytes);
        let answer = Answer::parse(&bytes);
        (answer.status > 0).then_some(answer)
    }

    fn exchange(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        Answer::read(stream)
    }

    /// Registers `ann` and returns the session's cookie.
    pub fn register_ann(&self, password: &str) -> String {
        let fields = [
            ("username", "ann"),
            ("email", "ann@meadow.example"),
            ("password", password),
            ("password_confirm", password),
        ];
        let answer = self.post("/register", "", &fields);
        assert!(answer.head.contains("location: /account"), "{}", answer.head);
        answer.cookie()
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// `kill -9` while it is borrowed.
    pub fn kill_now(&self) {
        self.signal("-KILL");
    }

    /// Limits the size of its files, in bytes.
    pub fn limit_files(&self, bytes: Option<u64>) {
        let limit = bytes.map_or("unlimited".to_owned(), |bytes| bytes.to_string());
        let pid = self.child.id().to_string();
        let mut set = Command::new("prlimit");
        set.args(["--pid", &pid, &format!("--fsize={limit}:")]);
        assert!(set.status().unwrap().success());
    }

    /// A line of `/proc/PID/status`, in KiB: `VmRSS`, `VmHWM`.
    pub fn memory(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Ctrl-c.
    pub fn interrupt(&self) {
        self.signal("-INT");
    }

    pub fn hang_up(&self) {
        self.signal("-HUP");
    }

    fn signal(&self, which: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([which, &pid]).status().unwrap().success());
    }

    /// Waits until it ends. Returns the exit status and the log.
    pub fn ended(mut self) -> (i32, String) {
        let mut log = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut log).unwrap();
        }
        (self.child.wait().unwrap().code().unwrap_or(-1), log)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A response.
pub struct Answer {
    pub status: u16,
    /// Status line and headers.
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn read(mut stream: impl Read) -> Self {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        Self::parse(&bytes)
    }

    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }

    /// `name=value` of the session's cookie that it sets.
    pub fn cookie(&self) -> String {
        let (_, rest) = self.head.split_once("set-cookie: vestibule=").unwrap();
        let rest = format!("vestibule={rest}");
        rest.split(';').next().unwrap().to_owned()
    }
}
