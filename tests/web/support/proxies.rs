//! Vestibule behind real proxies, with the configurations of the documentation.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use tokio::net::TcpListener;

use super::hosts::{Authority, HostsBrowser};
use super::program::{Folder, Program};
use super::unix::UnixProgram;

pub const PYTHON: &str = "/usr/bin/python3";
pub const NGINX: &str = "/usr/sbin/nginx";
pub const CADDY: &str = "/usr/bin/caddy";

/// The hash's floor: what is tested here is not the hash.
const CHEAP: [(&str, &str); 2] =
    [("VESTIBULE_HASH_MEMORY_KIB", "7168"), ("VESTIBULE_HASH_ITERATIONS", "5")];

/// The hosts of the documented configurations.
const HOSTS: [&str; 3] = ["id.example.org", "wiki.example.org", "example.org"];

/// Which proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Nginx,
    Caddy,
}

/// The site behind the proxy.
enum Server {
    Tcp(#[expect(dead_code, reason = "it is killed when it is dropped")] Program),
    Unix(#[expect(dead_code, reason = "it is killed when it is dropped")] UnixProgram),
}

fn settings<'a>(base_url: &'a str, trusted: &'a str) -> Vec<(&'a str, &'a str)> {
    let settings = [
        ("VESTIBULE_BASE_URL", base_url),
        ("VESTIBULE_APPS", "https://wiki.example.org"),
        ("VESTIBULE_TRUSTED_PROXIES", trusted),
        ("VESTIBULE_SMTP_URL", "smtp://127.0.0.1:1"),
    ];
    CHEAP.into_iter().chain(settings).collect()
}

/// A site, an application and the proxy before both.
pub struct Setup {
    _server: Server,
    authority: Authority,
    proxy: Child,
    address: SocketAddr,
    folder: Folder,
}

impl Setup {
    /// With the configuration that `config` makes of the documented one; none where there is no such
    /// proxy.
    pub async fn start(
        kind: Kind,
        base_url: &str,
        config: impl FnOnce(SocketAddr) -> (String, SocketAddr),
    ) -> Option<Self> {
        let path = if kind == Kind::Nginx { NGINX } else { CADDY };
        if !is_there(path) {
            return None;
        }
        let folder = Folder::new();
        let settings = settings(base_url, "127.0.0.1");
        let program = tokio::task::block_in_place(|| folder.serve_with_log(&settings));
        let (text, app) = config(program.address);
        let text = text
            .replace("127.0.0.1:8000", &program.address.to_string())
            .replace("127.0.0.1:3000", &app.to_string());
        Some(Self::with_proxy(kind, &text, folder, Server::Tcp(program)).await)
    }

    /// With nginx in front of the Unix socket of the documentation; none where there is no nginx.
    pub async fn on_unix_socket(base_url: &str, text: &str) -> Option<Self> {
        if !is_there(NGINX) {
            return None;
        }
        let folder = Folder::new();
        let settings = settings(base_url, "unix");
        let program = tokio::task::block_in_place(|| UnixProgram::start(&folder, &settings));
        let text = text.replace("/run/vestibule/socket", &program.socket.display().to_string());
        Some(Self::with_proxy(Kind::Nginx, &text, folder, Server::Unix(program)).await)
    }

    async fn with_proxy(kind: Kind, text: &str, folder: Folder, server: Server) -> Self {
        let authority = Authority::new();
        for host in HOSTS {
            authority.write(&folder.0, host, 90);
        }
        let address = free_address();
        let proxy = match kind {
            Kind::Nginx => start_nginx(&folder.0, text, address),
            Kind::Caddy => start_caddy(&folder.0, text, address),
        };
        let mut setup = Self { _server: server, authority, proxy, address, folder };
        while tokio::net::TcpStream::connect(address).await.is_err() {
            assert!(setup.proxy.try_wait().unwrap().is_none(), "the proxy ended: {}", setup.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        setup
    }

    fn log(&self) -> String {
        let logs = ["caddy.log", "nginx.log"]
            .map(|name| std::fs::read_to_string(self.folder.0.join(name)));
        logs.into_iter().flatten().collect()
    }

    pub fn browser(&self) -> HostsBrowser {
        HostsBrowser::new(self.address, &self.authority)
    }
}

impl Drop for Setup {
    fn drop(&mut self) {
        let _ = self.proxy.kill();
        let _ = self.proxy.wait();
    }
}

/// Whether a program is installed, which CI must see to.
pub fn is_there(path: &str) -> bool {
    let found = Path::new(path).exists();
    assert!(found || std::env::var_os("CI").is_none(), "CI must install {path}");
    if !found {
        eprintln!("there is no {path}: not tested");
    }
    found
}

/// Whether a program finds its modules, which CI must install.
pub fn has_modules(command: &mut Command) -> bool {
    let found = command.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    assert!(found || std::env::var_os("CI").is_none(), "CI must install {command:?}");
    found
}

pub fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The block of the documentation in this language that contains `mark`.
pub fn documented(language: &str, mark: &str) -> String {
    let page =
        concat!(include_str!("../../../docs/apps.md"), include_str!("../../../docs/operating.md"));
    let fence = format!("```{language}\n");
    let blocks = page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap());
    let mut found = blocks.filter(|block| block.contains(mark));
    found.next().unwrap_or_else(|| panic!("no {language} with {mark}")).to_owned()
}

/// An application that answers with the request that it got, a header a line.
pub async fn start_echo() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let echo =
        Router::new().fallback(async |request: Request| {
            let (head, body) = request.into_parts();
            let mut lines = vec![format!("{} {}", head.method, head.uri)];
            lines.extend(head.headers.iter().map(|(name, value)| {
                format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))
            }));
            let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            lines.push(String::from_utf8_lossy(&body).into_owned());
            lines.join("\n")
        });
    tokio::spawn(async move { axum::serve(listener, echo).await });
    address
}

pub fn start_nginx(folder: &Path, text: &str, address: SocketAddr) -> Child {
    let shown = folder.display();
    let text = text
        .replace("listen 443 ssl;", &format!("listen {address} ssl;"))
        .replace("/etc/ssl/private/", &format!("{shown}/"))
        .replace("/etc/ssl/", &format!("{shown}/"));
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|kind| format!("{kind}_temp_path {kind};"))
        .join(" ");
    let config = format!(
        "daemon off; master_process off; pid nginx.pid; error_log nginx.log;
        events {{ worker_connections 512; }}
        http {{ access_log off; {temporary}
        {text} }}"
    );
    std::fs::write(folder.join("nginx.conf"), config).unwrap();
    let mut nginx = Command::new(NGINX);
    nginx.args(["-p", &shown.to_string(), "-c", "nginx.conf", "-e", "nginx.log"]);
    nginx.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

pub fn start_caddy(folder: &Path, text: &str, address: SocketAddr) -> Child {
    let shown = folder.display();
    let sites = text.lines().map(|line| match line.strip_suffix(" {") {
        Some(host) if HOSTS.contains(&host) => format!(
            "https://{host}:{} {{\n bind 127.0.0.1\n tls {shown}/{host}.pem {shown}/{host}.key",
            address.port()
        ),
        _ => line.to_owned(),
    });
    let sites = sites.collect::<Vec<_>>().join("\n");
    let config = format!("{{\n admin off\n auto_https off\n}}\n{sites}\n");
    std::fs::write(folder.join("Caddyfile"), config).unwrap();
    let mut caddy = Command::new(CADDY);
    caddy.args(["run", "--adapter", "caddyfile", "--config", "Caddyfile"]).current_dir(folder);
    caddy.env("HOME", folder).env("XDG_DATA_HOME", folder).env("XDG_CONFIG_HOME", folder);
    let log = std::fs::File::create(folder.join("caddy.log")).unwrap();
    caddy.stdout(Stdio::null()).stderr(log).spawn().unwrap()
}
