//! Several nodes of the program on one PostgreSQL, behind nginx as a load balancer.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::http::StatusCode;
use base64::Engine;
use vestibule::clock::Clock;
use vestibule::db::{Db, Location};
use vestibule::key::ServerKey;
use vestibule::mail::worker::Worker;
use vestibule::models::outbox::Outbox;

use super::front::Front;
use super::outbox::mailer;
use super::program::{Folder, Program};
use super::smtp::FakeSmtp;
use super::until;

/// Debian's path of it, which is not in every PATH.
const NGINX: &str = "/usr/sbin/nginx";

/// The number of nodes.
pub const NODES: usize = 3;

const KEY: &[u8] = super::KEY;

/// The cheapest hash that is accepted.
const CHEAP: [(&str, &str); 4] = [
    ("VESTIBULE_HASH_MEMORY_KIB", "7168"),
    ("VESTIBULE_HASH_ITERATIONS", "5"),
    ("VESTIBULE_HASH_QUEUE", "1000"),
    ("VESTIBULE_LOG", "json"),
];

/// Running nodes and what they share. They stop when this is dropped.
pub struct Nodes {
    pub programs: Vec<Program>,
    /// Through nginx.
    pub front: Front,
    pub server: FakeSmtp,
    pub database: Location,
    nginx: Child,
    folder: Folder,
}

impl Nodes {
    /// In a new schema; `None` without PostgreSQL or nginx.
    pub async fn start(settings: &[(&str, &str)]) -> Option<Self> {
        let url = super::new_schema().await?;
        Self::start_on(&url, settings).await
    }

    /// On the database at `url`.
    pub async fn start_on(url: &str, settings: &[(&str, &str)]) -> Option<Self> {
        if !Path::new(NGINX).exists() {
            assert!(std::env::var_os("CI").is_none(), "CI must install nginx");
            eprintln!("nginx is not installed: not tested");
            return None;
        }
        let (server, folder) = (FakeSmtp::start().await, Folder::new());
        let programs = tokio::task::block_in_place(|| start_all(&folder, url, &server, settings));
        let (nginx, address) = start_nginx(&folder, &programs);
        let front = Front::at(address);
        until(async || front.browser().open("/healthz").await.status == StatusCode::OK).await;
        front.nodes();
        let database = Location::parse(url).unwrap();
        Some(Self { programs, front, server, database, nginx, folder })
    }

    /// Through one node.
    pub fn node(&self, number: usize) -> Front {
        Front::at(self.programs[number].address)
    }

    pub async fn db(&self) -> Db {
        Db::open(&self.database).await.unwrap()
    }

    /// The mail worker of another node, whose clock is `ahead` seconds ahead.
    pub fn worker(&self, db: &Db, ahead: i64) -> Worker {
        let key = ServerKey::from_bytes(KEY).unwrap();
        let clock = Clock::manual(Clock::System.now() + ahead);
        Worker::new(db.clone(), Outbox::new(key, clock), mailer(&self.server.url()))
    }

    /// Waits for a code in an email to `email`, and returns the newest.
    pub async fn code_to(&self, email: &str) -> String {
        let is_code = |line: &&str| line.len() == 9 && line.as_bytes()[4] == b'-';
        let mailed = self.server.until(|server| {
            let texts: Vec<_> =
                server.mails_to(email).iter().rev().map(super::smtp::Received::text).collect();
            let texts: Vec<String> =
                texts.into_iter().filter(|text| text.contains("/reset")).collect();
            let mut lines = texts.iter().flat_map(|text| text.lines()).map(str::trim);
            lines.find(is_code).map(str::to_owned)
        });
        tokio::time::timeout(Duration::from_secs(30), mailed).await.expect("a code by mail")
    }

    /// The logs of all nodes.
    pub fn log(&self) -> String {
        self.folder.log()
    }
}

impl Drop for Nodes {
    fn drop(&mut self) {
        let _ = self.nginx.kill();
        let _ = self.nginx.wait();
    }
}

/// Starts all nodes at once, on a database that may be empty.
pub fn start_all(
    folder: &Folder,
    url: &str,
    server: &FakeSmtp,
    settings: &[(&str, &str)],
) -> Vec<Program> {
    let secret = base64::engine::general_purpose::STANDARD.encode(KEY);
    let mail = server.url();
    let shared = [
        ("VESTIBULE_BASE_URL", super::browser::ORIGIN),
        ("VESTIBULE_DATABASE_URL", url),
        ("VESTIBULE_SECRET", &secret),
        ("VESTIBULE_SMTP_URL", &mail),
        ("VESTIBULE_TRUSTED_PROXIES", "127.0.0.1"),
    ];
    let all: Vec<_> = CHEAP.into_iter().chain(shared).chain(settings.iter().copied()).collect();
    std::thread::scope(|scope| {
        let starting: Vec<_> =
            (0..NODES).map(|_| scope.spawn(|| folder.serve_with_log(&all))).collect();
        starting.into_iter().map(|node| node.join().unwrap()).collect()
    })
}

/// One process, which uses the nodes in turn and names the node in each response.
fn start_nginx(folder: &Folder, programs: &[Program]) -> (Child, SocketAddr) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let nodes = programs
        .iter()
        .map(|node| format!("server {} max_fails=1 fail_timeout=1s;", node.address))
        .collect::<Vec<_>>()
        .join(" ");
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {kind};"))
        .join(" ");
    let config = format!(
        "daemon off; master_process off; pid nginx.pid; error_log nginx.log;
        events {{ worker_connections 512; }}
        http {{
            access_log off; {temporary}
            upstream vestibule {{ {nodes} }}
            server {{
                listen {address};
                location / {{
                    proxy_pass http://vestibule;
                    proxy_set_header Host $http_host;
                    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
                    add_header X-Node $upstream_addr always;
                }}
            }}
        }}"
    );
    std::fs::write(folder.0.join("nginx.conf"), config).unwrap();
    let folder = folder.0.display().to_string();
    let mut nginx = Command::new(NGINX);
    nginx.args(["-p", &folder, "-c", "nginx.conf", "-e", "nginx.log"]);
    (nginx.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap(), address)
}
