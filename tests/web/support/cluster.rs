//! A PostgreSQL cluster that a test can stop, restart and pause, and a pooler in front of it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::certificates::{self, Identity};
use super::program::Folder;
use super::until;

/// The name in the certificate of a cluster with TLS.
pub const HOST: &str = "db.example";

/// Debian's path of it, which is not in every PATH.
const PGBOUNCER: &str = "/usr/sbin/pgbouncer";

/// A running cluster. It is stopped and deleted when it is dropped.
pub struct Cluster {
    programs: PathBuf,
    folder: Folder,
    port: u16,
    address: String,
    options: String,
}

impl Cluster {
    /// Starts a cluster; `None` if PostgreSQL is not installed.
    pub fn start() -> Option<Self> {
        Self::start_on("127.0.0.1")
    }

    /// As [`Cluster::start`], at another address of this machine.
    pub fn start_on(address: &str) -> Option<Self> {
        let cluster = Self::make(address)?;
        assert!(cluster.control(&["start"]), "PostgreSQL did not start");
        Some(cluster)
    }

    /// Starts a read-only cluster at the same port of another address; `None` if the port is taken.
    pub fn start_standby(&self, address: &str) -> Option<Self> {
        let mut standby = Self::make(address)?;
        standby.port = self.port;
        standby.options = String::from(" -c default_transaction_read_only=on");
        if standby.control(&["start"]) {
            return Some(standby);
        }
        eprintln!("port {} of {address} is taken: not tested", self.port);
        None
    }

    /// At every address, with a certificate for [`HOST`]. Also returns the file of its authority.
    pub fn start_with_tls() -> Option<(Self, PathBuf)> {
        let mut cluster = Self::make("*")?;
        let authority = cluster.make_certificates();
        let file = |name: &str| cluster.folder.0.join(name).display().to_string();
        cluster.options = format!(
            " -c ssl=on -c ssl_cert_file={} -c ssl_key_file={}",
            file("server.pem"),
            file("server.key")
        );
        cluster.write_rules("host all all all trust\nlocal all all trust\n");
        assert!(cluster.control(&["start"]), "PostgreSQL did not start");
        Some((cluster, authority))
    }

    fn make(address: &str) -> Option<Self> {
        let Some(programs) = programs() else {
            eprintln!("PostgreSQL is not installed: not tested");
            return None;
        };
        let (folder, port) = (Folder::new(), free_port());
        let (address, options) = (address.to_owned(), String::new());
        let cluster = Self { programs, folder, port, address, options };
        chown_to_postgres(&cluster.folder.0);
        let made = cluster.run(
            "initdb",
            &["-U", "vestibule", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
        );
        assert!(made, "initdb failed");
        Some(cluster)
    }

    fn make_certificates(&self) -> PathBuf {
        let authority = Identity::self_signed(&certificates::authority(&[]));
        let server = authority.signs(&certificates::params(&[HOST]));
        let write = |name: &str, text: &str| {
            let path = self.folder.0.join(name);
            std::fs::write(&path, text).unwrap();
            chown_to_postgres(&path);
            make_private(&path);
            path
        };
        write("server.pem", &server.pem);
        write("server.key", &server.key_pem);
        write("authority.pem", &authority.pem)
    }

    /// Replaces `pg_hba.conf`, which says who may connect from where.
    pub fn set_rules(&self, rules: &str) {
        self.write_rules(rules);
        assert!(self.control(&["reload"]), "PostgreSQL did not reload");
    }

    fn write_rules(&self, rules: &str) {
        std::fs::write(self.folder.0.join("data/pg_hba.conf"), rules).unwrap();
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("postgres://vestibule@127.0.0.1:{}/postgres", self.port)
    }

    /// Restarts as after a power cut: connections break, and committed data is recovered.
    pub fn restart(&self) {
        assert!(self.control(&["-m", "immediate", "restart"]), "PostgreSQL did not restart");
    }

    /// Stops as in a power cut.
    pub fn stop(&self) {
        assert!(self.control(&["-m", "immediate", "stop"]), "PostgreSQL did not stop");
    }

    /// Starts after [`Cluster::stop`].
    pub fn start_again(&self) {
        assert!(self.control(&["start"]), "PostgreSQL did not start again");
    }

    /// Pauses all its processes: it accepts connections and statements but does not answer.
    pub fn hang(&self) {
        self.signal("-STOP");
    }

    /// Ends [`Cluster::hang`].
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, which: &str) {
        let file = self.folder.0.join("data/postmaster.pid");
        let parent = std::fs::read_to_string(file).unwrap().lines().next().unwrap().to_owned();
        let children = Command::new("ps").args(["-o", "pid=", "--ppid", &parent]).output();
        let children = String::from_utf8(children.unwrap().stdout).unwrap();
        let children = children.split_whitespace();
        // Children may end in between; the parent is there.
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
            "-p {} -k {} -c listen_addresses={} -c log_min_messages=panic{}",
            self.port,
            self.folder.0.display(),
            self.address,
            self.options
        );
        let log = self.folder.0.join("log").display().to_string();
        let mut all = vec!["-s", "-w", "-l", &log, "-o", &options];
        all.extend(arguments);
        self.run("pg_ctl", &all)
    }

    /// initdb and the server refuse to run as root.
    fn run(&self, program: &str, arguments: &[&str]) -> bool {
        let program = self.programs.join(program);
        let mut command = as_postgres(&program);
        command.arg("-D").arg(self.folder.0.join("data")).args(arguments).current_dir("/");
        command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.resume();
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

/// A `PgBouncer` in front of a cluster. It ends when this is dropped.
pub struct Pooler {
    child: Child,
    port: u16,
    _folder: Folder,
}

impl Pooler {
    /// With another pool mode than the default; `None` if it is not installed.
    pub async fn start(cluster: &Cluster, mode: &str) -> Option<Self> {
        Self::start_with(cluster, &format!("pool_mode = {mode}\n")).await
    }

    /// With further configuration lines.
    pub async fn start_with(cluster: &Cluster, lines: &str) -> Option<Self> {
        if !Path::new(PGBOUNCER).exists() {
            assert!(std::env::var_os("CI").is_none(), "CI must install pgbouncer");
            eprintln!("pgbouncer is not installed: not tested");
            return None;
        }
        let (folder, port) = (Folder::new(), free_port());
        let path = folder.0.display();
        let config = format!(
            "[databases]\npostgres = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {path}/users\n\
             {lines}",
            cluster.port
        );
        chown_to_postgres(&folder.0);
        std::fs::write(folder.0.join("users"), "\"vestibule\" \"\"\n").unwrap();
        let file = folder.0.join("pgbouncer.ini");
        std::fs::write(&file, config).unwrap();
        let mut command = as_postgres(Path::new(PGBOUNCER));
        command.arg("-q").arg(file).current_dir("/").stdout(Stdio::null()).stderr(Stdio::null());
        let pooler = Self { child: command.spawn().unwrap(), port, _folder: folder };
        until(async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()).await;
        Some(pooler)
    }

    pub fn url(&self) -> String {
        format!("postgres://vestibule@127.0.0.1:{}/postgres", self.port)
    }

    /// For a client that sends no parameter that `PgBouncer` would refuse.
    pub fn options(&self) -> sqlx::postgres::PgConnectOptions {
        let options: sqlx::postgres::PgConnectOptions = self.url().parse().unwrap();
        options.extra_float_digits(None)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// PostgreSQL's programs and `PgBouncer` refuse to run as root.
fn as_postgres(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
    command
}

fn chown_to_postgres(path: &Path) {
    if is_root() {
        let given = Command::new("chown").arg("postgres").arg(path).status();
        assert!(given.unwrap().success());
    }
}

fn make_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
