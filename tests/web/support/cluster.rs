//! A PostgreSQL of a test's own, to be stopped, restarted and hung, and a pooler in front of it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::program::Folder;
use super::until;

/// The name in the certificate of a cluster with TLS.
pub const HOST: &str = "db.example";

/// Where Debian puts it: not on everybody's path.
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
    /// Starts one, or says in a line why not: there is no PostgreSQL on this machine.
    pub fn start() -> Option<Self> {
        Self::start_on("127.0.0.1")
    }

    /// As [`Cluster::start`], at another address of this machine.
    pub fn start_on(address: &str) -> Option<Self> {
        let cluster = Self::make(address)?;
        assert!(cluster.control(&["start"]), "PostgreSQL did not start");
        Some(cluster)
    }

    /// Another at the same port of another address, that takes no writes; none where that is taken.
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

    /// At every address, with a certificate for [`HOST`]; answers the file of its authority, too.
    pub fn start_with_tls() -> Option<(Self, PathBuf)> {
        let mut cluster = Self::make("*")?;
        let authority = cluster.make_certificates();
        let file = |name: &str| cluster.folder.0.join(name).display().to_string();
        cluster.options = format!(
            " -c ssl=on -c ssl_cert_file={} -c ssl_key_file={}",
            file("server.pem"),
            file("server.key")
        );
        let rules = "host all all all trust\nlocal all all trust\n";
        std::fs::write(cluster.folder.0.join("data/pg_hba.conf"), rules).unwrap();
        assert!(cluster.control(&["start"]), "PostgreSQL did not start");
        Some((cluster, authority))
    }

    fn make(address: &str) -> Option<Self> {
        let Some(programs) = programs() else {
            eprintln!("there is no PostgreSQL to restart: not tested");
            return None;
        };
        let (folder, port) = (Folder::new(), free_port());
        let (address, options) = (address.to_owned(), String::new());
        let cluster = Self { programs, folder, port, address, options };
        give_to_postgres(&cluster.folder.0);
        let made = cluster.run(
            "initdb",
            &["-U", "vestibule", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"],
        );
        assert!(made, "initdb failed");
        Some(cluster)
    }

    fn make_certificates(&self) -> PathBuf {
        use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let server_key = KeyPair::generate().unwrap();
        let server = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
        let server = server.signed_by(&server_key, &issuer).unwrap();
        let write = |name: &str, text: String| {
            let path = self.folder.0.join(name);
            std::fs::write(&path, text).unwrap();
            give_to_postgres(&path);
            make_private(&path);
            path
        };
        write("server.pem", server.pem());
        write("server.key", server_key.serialize_pem());
        write("authority.pem", authority.pem())
    }

    pub fn port(&self) -> u16 {
        self.port
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

/// A `PgBouncer` in front of a cluster. It ends when this is dropped.
pub struct Pooler {
    child: Child,
    port: u16,
    _folder: Folder,
}

impl Pooler {
    /// Its defaults with another mode; none, with a line that says so, where it is not installed.
    pub async fn start(cluster: &Cluster, mode: &str) -> Option<Self> {
        Self::start_with(cluster, &format!("pool_mode = {mode}\n")).await
    }

    /// As [`Pooler::start`], with more lines of its configuration.
    pub async fn start_with(cluster: &Cluster, lines: &str) -> Option<Self> {
        if !Path::new(PGBOUNCER).exists() {
            assert!(std::env::var_os("CI").is_none(), "CI must install pgbouncer");
            eprintln!("there is no pgbouncer to put before PostgreSQL: not tested");
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
        give_to_postgres(&folder.0);
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

    /// For a client that sends no parameter that it would refuse.
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

fn give_to_postgres(path: &Path) {
    if is_root() {
        let given = Command::new("chown").arg("postgres").arg(path).status();
        assert!(given.unwrap().success());
    }
}

fn make_private(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}
