//! The release build in its own process, as operators run it but with limits that are
//! not reached, and one connection to it that is kept open.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use vestibule::random;

use super::limits::LIMITS;
use super::mail_sink;

/// Killed when it is dropped, its folder deleted.
pub struct Server {
    child: Child,
    address: SocketAddr,
    folder: PathBuf,
}

impl Server {
    /// On SQLite, or on PostgreSQL in its own schema.
    pub fn start(postgres: Option<&str>) -> Self {
        let folder = std::env::temp_dir().join(format!("vestibule-timing-{}", random::id(0)));
        std::fs::create_dir_all(&folder).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_vestibule"));
        command.arg("serve").current_dir(&folder).env_clear();
        command.env("VESTIBULE_LISTEN", "127.0.0.1:0");
        command.env("VESTIBULE_SMTP_URL", mail_sink::start());
        // They count all the same: what is counted, by whom, is part of what is timed.
        for limit in LIMITS {
            command.env(format!("VESTIBULE_LIMIT_{limit}"), "1000000/1d");
        }
        if let Some(url) = postgres {
            command.env("VESTIBULE_DATABASE_URL", own_schema(url));
            command.env("VESTIBULE_SECRET", "WgrGPrviZ3enH9xDfqjNDCnxsR2SKpjNpf0uOhOozfo=");
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let address = address_of(&mut child);
        Self { child, address, folder }
    }

    pub fn connect(&self) -> Connection {
        let address = self.address;
        Connection { from: connected(address), address, cookies: BTreeMap::new() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn connected(address: SocketAddr) -> BufReader<TcpStream> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    BufReader::new(stream)
}

fn address_of(child: &mut Child) -> SocketAddr {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said = lines.map_while(Result::ok);
    let found = said.find_map(|line| Some(line.strip_prefix("listening on http://")?.to_owned()));
    // Whatever else it says must not meet a closed pipe.
    std::thread::spawn(move || said.for_each(drop));
    found.expect("the server did not start").parse().unwrap()
}

fn own_schema(url: &str) -> String {
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

/// A connection, with the cookies that came over it.
pub struct Connection {
    from: BufReader<TcpStream>,
    address: SocketAddr,
    cookies: BTreeMap<String, String>,
}

/// The parts of an answer that are looked at.
pub struct Answer {
    pub status: u16,
    pub location: Option<String>,
    read_at: Instant,
}

impl Connection {
    pub fn forget_cookies(&mut self) {
        self.cookies.clear();
    }

    pub fn register(&mut self, name: &str, email: &str) -> Answer {
        self.forget_cookies();
        let password = "moss lantern quartz";
        let pairs = [
            ("username", name),
            ("email", email),
            ("password", password),
            ("password_confirm", password),
        ];
        let request = self.form("/register", &pairs);
        self.exchange(&request)
    }

    /// How long it took from the first byte sent to the last one read.
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
        let mut answer = Answer { status: 0, location: None, read_at: Instant::now() };
        let (mut line, mut length, mut is_last) = (String::new(), 0, false);
        while line != "\r\n" {
            line.clear();
            assert_ne!(self.from.read_line(&mut line).unwrap(), 0, "the server hung up");
            match line.trim_end().split_once(": ") {
                None if answer.status == 0 => answer.status = line[9..12].parse().unwrap(),
                // After half a minute: outside of what is timed comes another connection.
                Some(("connection", "close")) => is_last = true,
                Some(("content-length", value)) => length = value.parse().unwrap(),
                Some(("location", value)) => answer.location = Some(value.to_owned()),
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
