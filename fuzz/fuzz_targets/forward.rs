//! The headers of a check, with a cookie, and a ticket or a page, through the whole site: the first byte is
//! the endpoint, the lines are the values.
#![no_main]

use std::net::SocketAddr;
use std::sync::LazyLock;

use axum::extract::ConnectInfo;
use axum::{Extension, Router};
use tokio::runtime::Runtime;
use vestibule::clock::Clock;
use vestibule::config::{Apps, HashCost};
use vestibule::db::Location;
use vestibule::key::ServerKey;
use vestibule::{App, Config, random};

#[path = "../../tests/web/support/rules.rs"]
#[allow(dead_code, reason = "each target needs one rule")]
mod rules;

/// Behind a trusted proxy, on a database that starts empty.
static SITE: LazyLock<(Runtime, Router)> = LazyLock::new(|| {
    let runtime = Runtime::new().unwrap();
    let app = runtime.block_on(App::start_at(config(), Clock::manual(1_795_370_400))).unwrap();
    let proxy = ConnectInfo(SocketAddr::from(([10, 0, 0, 1], 4711)));
    (runtime, vestibule::site(&app).layer(Extension(proxy)))
});

fn config() -> Config {
    let file = std::env::temp_dir().join(format!("vestibule-fuzz-{}.db", random::id(0)));
    Config {
        database: Location::Sqlite(file),
        hash: HashCost { memory_kib: 64, iterations: 1, threads: 1, queue: 100 },
        secret: ServerKey::from_bytes(b"a key for fuzzing, 32 bytes of it\xff").ok(),
        apps: Apps::parse(rules::APPS).unwrap(),
        trusted_proxies: rules::trusted_proxies(),
        ..Config::default()
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((endpoint, text)) = bytes.split_first() else { return };
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    SITE.0.block_on(rules::check(&SITE.1, *endpoint, &lines));
});
