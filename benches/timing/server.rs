//! The release build in a process, with rate limits that are not reached, and a connection to it.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use vestibule::random;

use super::limits::LIMITS;
use super::mail_sink;
use super::process::{Folder, Program};

/// Of every account.
pub const PASSWORD: &str = "moss lantern quartz";

/// The server, on SQLite or PostgreSQL.
pub struct Server(Program);

impl Server {
    /// On SQLite, or in a new schema on PostgreSQL, with accounts of these names and addresses; imported, if
    /// `are_imported`, with the cheapest hash that is stored as it is.
    pub fn start<'a>(
        postgres: Option<&str>,
        accounts: impl Iterator<Item = (&'a str, &'a str)>,
        are_imported: bool,
    ) -> Self {
        let folder = Folder::new();
        let (smtp, schema) = (mail_sink::start(), postgres.map(new_schema));
        let command = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
            command.args(arguments).env_clear().current_dir(&folder.0);
            command.env("VESTIBULE_LISTEN", "127.0.0.1:0").env("VESTIBULE_SMTP_URL", &smtp);
            command.env("VESTIBULE_LOGIN_CODE", "on").env("VESTIBULE_REGISTRATION", "verified");
            // Not off: counting is a part of what is timed.
            for limit in LIMITS {
                command.env(format!("VESTIBULE_LIMIT_{limit}"), "1000000/1d");
            }
            if let Some(url) = &schema {
                command.env("VESTIBULE_DATABASE_URL", url);
                command.env("VESTIBULE_SECRET", "WgrGPrviZ3enH9xDfqjNDCnxsR2SKpjNpf0uOhOozfo=");
            }
            command
        };
        if are_imported {
            let hash = format!("pbkdf2:sha256:100000$salt${}", "ab".repeat(32));
            let row = |(username, email)| {
                let row = serde_json::json!({ "username": username, "email": email,
                    "kind": "werkzeug", "hash": hash });
                format!("{row}\n")
            };
            std::fs::write(folder.0.join("users.jsonl"), accounts.map(row).collect::<String>())
                .unwrap();
            let mut import = command(&["import", "users", "users.jsonl"]);
            assert!(import.stderr(Stdio::null()).status().unwrap().success());
        } else {
            for (name, email) in accounts {
                add_account(&mut command(&["user", "add", name, email]));
            }
        }
        let mut serve = command(&["serve"]);
        Self(Program::start(&mut serve, folder))
    }

    pub fn connect(&self) -> Connection {
        let address = self.0.address;
        Connection { from: connected(address), address, cookies: BTreeMap::new() }
    }
}

fn add_account(command: &mut Command) {
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{command:?}");
}

fn connected(address: SocketAddr) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    BufReader::new(stream)
}

fn new_schema(url: &str) -> String {
    let schema = format!("timing_{}", random::id(0));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        use sqlx::Connection;
        let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
        let create = sqlx::AssertSqlSafe(format!("create schema {schema}"));
        sqlx::query(create).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
    format!("{url}?options=-csearch_path%3D{schema}")
}

/// A connection with cookies.
pub struct Connection {
    from: BufReader<TcpStream>,
    address: SocketAddr,
    cookies: BTreeMap<String, String>,
}

/// The relevant parts of a response.
struct Answer {
    status: u16,
    read_at: Instant,
}

impl Connection {
    pub fn forget_cookies(&mut self) {
        self.cookies.clear();
    }

    /// Sends a form and returns the time from the first byte sent to the last byte read.
    pub fn post(&mut self, path: &str, fields: &[(&str, &str)], expected: u16) -> Duration {
        let request = self.form(path, fields);
        self.time(&request, expected)
    }

    /// As [`Connection::post`].
    pub fn get(&mut self, path: &str, expected: u16) -> Duration {
        let request = format!("GET {path} HTTP/1.1\r\n{}\r\n", self.common());
        self.time(&request, expected)
    }

    fn time(&mut self, request: &str, expected: u16) -> Duration {
        let start = Instant::now();
        let answer = self.exchange(request);
        assert_eq!(answer.status, expected, "{request}");
        answer.read_at - start
    }

    fn form(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let body =
            url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        format!(
            "POST {path} HTTP/1.1\r\nOrigin: http://{}\r\n{}Content-Length: {}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\n\r\n{body}",
            self.address,
            self.common(),
            body.len()
        )
    }

    fn common(&self) -> String {
        let pairs: Vec<_> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        format!("Host: {}\r\nCookie: {}\r\n", self.address, pairs.join("; "))
    }

    fn exchange(&mut self, request: &str) -> Answer {
        self.from.get_mut().write_all(request.as_bytes()).unwrap();
        let mut answer = Answer { status: 0, read_at: Instant::now() };
        let (mut line, mut length, mut is_last) = (String::new(), 0, false);
        while line != "\r\n" {
            line.clear();
            assert_ne!(
                self.from.read_line(&mut line).unwrap(),
                0,
                "the server closed the connection"
            );
            match line.trim_end().split_once(": ") {
                None if answer.status == 0 => answer.status = line[9..12].parse().unwrap(),
                // After half a minute. The next connection is opened outside of the measured time.
                Some(("connection", "close")) => is_last = true,
                Some(("content-length", value)) => length = value.parse().unwrap(),
                Some(("set-cookie", value)) => self.keep(value),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        self.from.read_exact(&mut body).unwrap();
        answer.read_at = Instant::now();
        if is_last {
            self.from = connected(self.address);
        }
        answer
    }

    fn keep(&mut self, cookie: &str) {
        let pair = cookie.split(';').next().unwrap_or_default();
        if let Some((name, value)) = pair.split_once('=') {
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
    }
}
