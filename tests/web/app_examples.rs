//! The applications of docs/apps.md behind its proxies: Flask, Express, and static sites.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::support::hosts::{Answer, Authority, HostsBrowser};
use crate::support::program::Folder;
use crate::support::proxies::{
    CADDY, Kind, PYTHON, Setup, documented, free_address, has_modules, is_there, start_caddy,
};
use crate::support::{PASSWORD, until};

const JWKS: &str = "https://id.example.org/.well-known/jwks.json";

/// A program that ends with the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_static_site_behind_caddy() {
    let folder = Folder::new();
    std::fs::write(folder.0.join("page.html"), "<p>a static page</p>").unwrap();
    let files =
        documented("caddyfile", "/srv/wiki").replace("/srv/wiki", &folder.0.display().to_string());
    let text = documented("caddyfile", "wiki.example.org {")
        .replace("\t\treverse_proxy 127.0.0.1:3000\n", &files);
    let nowhere = free_address();
    let Some(setup) =
        Setup::start(Kind::Caddy, "https://id.example.org", |_| (text, nowhere)).await
    else {
        return;
    };
    let page = register_at(&mut setup.browser(), "https://wiki.example.org/page.html").await;
    assert_eq!(page.body, "<p>a static page</p>");
    assert_eq!(page.header("cache-control"), Some("private, no-cache"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_static_site_on_ones_own_machine() {
    if !is_there(CADDY) {
        return;
    }
    let folder = Folder::new();
    std::fs::write(folder.0.join("page.html"), "<p>a static page</p>").unwrap();
    let address = free_address();
    let app = format!("http://app.localhost:{}", address.port());
    let settings = [("VESTIBULE_APPS", &*app), ("VESTIBULE_TRUSTED_PROXIES", "127.0.0.1")];
    let program = tokio::task::block_in_place(|| folder.serve_with_log(&settings));
    let text = documented("caddyfile", "http://app.localhost:8080")
        .replace("http://app.localhost:8080", &app)
        .replace("127.0.0.1:8000", &program.address.to_string())
        .replace("root * site", &format!("root * {}", folder.0.display()));
    let _caddy = Running(start_caddy(&folder.0, &text, address));
    until(async || tokio::net::TcpStream::connect(address).await.is_ok()).await;
    let mut ann = HostsBrowser::new(address, &Authority::new());
    let page = register_at(&mut ann, &format!("{app}/page.html")).await;
    assert_eq!(page.body, "<p>a static page</p>", "{:?}", ann.way);
    assert_eq!(page.header("cache-control"), Some("private, no-cache"));
    assert_eq!(ann.way.last().unwrap(), &format!("{app}/page.html"));
}

/// Registers on the login page that `url` leads to.
async fn register_at(browser: &mut HostsBrowser, url: &str) -> Answer {
    let login = browser.open(url).await;
    assert!(login.body.contains("<h1>Log in</h1>"), "{:?} {}", browser.way, login.body);
    let (page, query) = browser.way.last().unwrap().split_once("/login?next=").unwrap();
    let register = format!("{page}/register");
    let next = percent_encoding::percent_decode_str(query).decode_utf8().unwrap().into_owned();
    let fields = [
        ("username", "ann"),
        ("email", "ann@meadow.example"),
        ("password", PASSWORD),
        ("password_confirm", PASSWORD),
        ("next", next.as_str()),
    ];
    browser.submit(&register, &fields).await
}

async fn run_app(mut command: Command, address: SocketAddr) -> Running {
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let running = Running(child);
    until(async || tokio::net::TcpStream::connect(address).await.is_ok()).await;
    running
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_flask_application_behind_nginx() {
    if !is_there(PYTHON)
        || !has_modules(Command::new(PYTHON).args(["-c", "import flask, jwt, cryptography"]))
    {
        return;
    }
    let folder = Folder::new();
    let app = free_address();
    let text = documented("nginx", "server_name wiki.example.org");
    let code = documented("python", "from flask");
    let config = |vestibule: SocketAddr| {
        let keys = format!("http://{vestibule}/.well-known/jwks.json");
        std::fs::write(folder.0.join("app.py"), code.replace(JWKS, &keys)).unwrap();
        (text, app)
    };
    let Some(setup) = Setup::start(Kind::Nginx, "https://id.example.org", config).await else {
        return;
    };
    let mut flask = Command::new(PYTHON);
    flask.args(["-m", "flask", "run", "--port", &app.port().to_string()]).current_dir(&folder.0);
    let _flask = run_app(flask, app).await;
    greets_and_logs_out(&setup).await;
    let direct = ask_directly(app, "Remote-Token: forged").await;
    assert!(direct.starts_with("HTTP/1.1 401"), "{direct}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_express_application_behind_caddy() {
    const MODULES: &str = "/usr/share/nodejs";
    if !has_modules(
        Command::new("node").args(["-e", "require('express')"]).env("NODE_PATH", MODULES),
    ) {
        return;
    }
    let folder = Folder::new();
    let app = free_address();
    let code = documented("js", "require(\"express\")");
    std::fs::write(
        folder.0.join("app.js"),
        code.replace("listen(3000", &format!("listen({}", app.port())),
    )
    .unwrap();
    let text = documented("caddyfile", "wiki.example.org {");
    let Some(setup) = Setup::start(Kind::Caddy, "https://id.example.org", |_| (text, app)).await
    else {
        return;
    };
    let mut express = Command::new("node");
    express.arg("app.js").current_dir(&folder.0).env("NODE_PATH", MODULES);
    let _express = run_app(express, app).await;
    greets_and_logs_out(&setup).await;
}

async fn greets_and_logs_out(setup: &Setup) {
    let mut ann = setup.browser();
    let page = register_at(&mut ann, "https://wiki.example.org/").await;
    assert!(page.body.contains("<p>Hello ann</p>"), "{} {}", page.status, page.body);
    assert!(page.body.contains("action=\"/.vestibule/logout\""));
    let login = ann.submit("https://wiki.example.org/.vestibule/logout", &[("next", "/")]).await;
    assert!(login.body.contains("<h1>Log in</h1>"), "{:?}", ann.way);
}

/// One request to an application, past its proxy.
async fn ask_directly(address: SocketAddr, header: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET / HTTP/1.0\r\nHost: wiki.example.org\r\n{header}\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}
