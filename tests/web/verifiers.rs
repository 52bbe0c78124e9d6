//! The verifiers of docs/apps.md in Python, Node and Go take what is signed for them, and nothing else.

use std::path::Path;
use std::process::Command;

use axum::Router;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;
use vestibule::signing_key::SigningKey;

use crate::support::program::Folder;
use crate::support::proxies::{PYTHON, documented, has_modules, is_there};

const JWKS: &str = "https://id.example.org/.well-known/jwks.json";

/// What makes a program of the Go function: it gets the token and the list as arguments.
const GO_HEAD: &str = r#"package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"os"
	"strings"
	"time"
)
"#;
const GO_MAIN: &str = r#"
func main() {
	var keys jwks
	json.Unmarshal([]byte(os.Args[2]), &keys)
	is, err := identity(os.Args[1], keys)
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("is", is.Preferred_username)
}
"#;

fn key() -> SigningKey {
    SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap()
}

async fn serve(keys: Value) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new().route("/", get(async move || keys.to_string()));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    format!("http://{address}/")
}

fn go_program(folder: &Path) -> Option<Command> {
    if !Path::new("/usr/bin/go").exists() {
        eprintln!("there is no Go: not tested");
        return None;
    }
    let code = format!("{GO_HEAD}\n{}{GO_MAIN}", documented("go", "func identity"));
    std::fs::write(folder.join("main.go"), code).unwrap();
    let mut build = Command::new("/usr/bin/go");
    build.args(["build", "-o", "verifier", "main.go"]).current_dir(folder);
    build.env("GO111MODULE", "off").env("GOCACHE", folder.join("cache"));
    let built = build.output().unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    Some(Command::new(folder.join("verifier")))
}

fn encoded(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// Tokens that no verifier may take, made of one that all take.
fn forgeries(good: &str, claims: &Value, ours: &SigningKey) -> Vec<(&'static str, String)> {
    let changed = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        claims
    };
    let signed = |name, value| ours.sign(&changed(name, value)).unwrap();
    let (text, signature) = good.rsplit_once('.').unwrap();
    let (header, body) = text.split_once('.').unwrap();
    let other = if signature.starts_with('A') { 'B' } else { 'A' };
    let root = encoded(changed("preferred_username", json!("root")).to_string());
    let kid = ours.jwk()["kid"].clone();
    let unsigned = encoded(json!({"alg": "none", "kid": kid}).to_string());
    let hashed = encoded(json!({"alg": "HS256", "kid": kid}).to_string());
    let public = ours.jwk()["x"].as_str().unwrap().to_owned();
    let mut mac = Hmac::<Sha256>::new_from_slice(&URL_SAFE_NO_PAD.decode(public).unwrap()).unwrap();
    mac.update(format!("{hashed}.{body}").as_bytes());
    let mac = encoded(mac.finalize().into_bytes());
    let theirs = key().sign(claims).unwrap();
    let their_signature = theirs.rsplit_once('.').unwrap().1;
    vec![
        ("another signature", format!("{text}.{other}{}", &signature[1..])),
        ("other claims", format!("{header}.{root}.{signature}")),
        ("no algorithm", format!("{unsigned}.{body}.")),
        ("no algorithm, signed", format!("{unsigned}.{body}.{signature}")),
        ("the public key as a shared one", format!("{hashed}.{body}.{mac}")),
        ("an unknown key", theirs.clone()),
        ("an unknown key under our name", format!("{text}.{their_signature}")),
        ("no signature", format!("{text}.")),
        ("two parts", text.to_owned()),
        ("a signature of nothing", format!("{text}.{}", "A".repeat(86))),
        ("nothing", String::new()),
        ("no token", "a.b.c".to_owned()),
        ("another application", signed("aud", json!("https://other.example.org"))),
        ("another site", signed("iss", json!("https://evil.example"))),
        ("expired", signed("exp", json!(vestibule::clock::Clock::System.now() - 1))),
        ("without an end", signed("exp", Value::Null)),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_verifiers_take_what_is_signed_for_them_alone() {
    let ours = key();
    let claims = json!({
        "iss": "https://id.example.org",
        "aud": "https://wiki.example.org",
        "exp": vestibule::clock::Clock::System.now() + 60,
        "sub": "01j",
        "preferred_username": "ann",
        "email": "ann@meadow.example",
        "email_verified": false,
    });
    let good = ours.sign(&claims).unwrap();
    let keys = json!({"keys": [key().jwk(), ours.jwk()]});
    let url = serve(keys.clone()).await;
    let folder = Folder::new();
    let mut verifiers = Vec::new();
    let mut node = Command::new("node");
    node.arg("-e").arg(documented("js", "async function identity").replace(JWKS, &url)
        + "\nidentity(process.argv[1]).then((user) => console.log('is', user.preferred_username));")
        .arg("--");
    verifiers.push(node);
    if is_there(PYTHON)
        && has_modules(Command::new(PYTHON).args(["-c", "import jwt, cryptography"]))
    {
        let mut python = Command::new(PYTHON);
        python.arg("-c").arg(
            documented("python", "def identity").replace(JWKS, &url)
                + "\nimport sys\nprint('is', identity(sys.argv[1])['preferred_username'])",
        );
        verifiers.push(python);
    }
    verifiers.extend(go_program(&folder.0));
    let forged = forgeries(&good, &claims, &ours);
    for verifier in verifiers {
        let run = |token: &str| {
            let mut command = Command::new(verifier.get_program());
            command.args(verifier.get_args()).arg(token).arg(keys.to_string());
            command.output().unwrap()
        };
        let output = run(&good);
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "is ann", "{output:?}");
        for (what, token) in &forged {
            let output = run(token);
            let name = verifier.get_program();
            assert!(
                !output.status.success() && !output.stdout.starts_with(b"is"),
                "{name:?}: {what}"
            );
        }
    }
}
