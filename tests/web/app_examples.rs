//! The Flask and Express applications of docs/apps.md behind the documented proxies.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use crate::support::program::Folder;
use crate::support::proxies::{
    Kind, PYTHON, Setup, documented, free_address, has_modules, is_there,
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
    ann.open("https://wiki.example.org/").await;
    let query = ann.way.last().unwrap().split_once("?next=").unwrap().1.to_owned();
    let next = percent_encoding::percent_decode_str(&query).decode_utf8().unwrap().into_owned();
    let fields = [
        ("username", "ann"),
        ("email", "ann@meadow.example"),
        ("password", PASSWORD),
        ("password_confirm", PASSWORD),
        ("next", next.as_str()),
    ];
    let page = ann.submit("https://id.example.org/register", &fields).await;
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
