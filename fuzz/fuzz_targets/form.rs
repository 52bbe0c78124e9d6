//! The body of a form, through the whole site: the first byte is the page, the rest the body.
#![no_main]

use std::sync::LazyLock;

use axum::Router;
use tokio::runtime::Runtime;
use vestibule::clock::Clock;
use vestibule::config::HashCost;
use vestibule::db::Location;
use vestibule::key::ServerKey;
use vestibule::{App, Config, random};

#[path = "../../tests/web/support/rules.rs"]
#[allow(dead_code, reason = "each target needs one rule")]
mod rules;

struct Site {
    runtime: Runtime,
    router: Router,
    cookies: String,
}

/// On a database that starts empty, without limits, with cheap hashes and a clock that stands still.
static SITE: LazyLock<Site> = LazyLock::new(|| {
    let runtime = Runtime::new().unwrap();
    let (router, cookies) = runtime.block_on(async {
        let app = App::start_at(config(), Clock::manual(1_795_370_400)).await.unwrap();
        let router = vestibule::site(&app);
        let cookies = rules::insider(&router).await;
        (router, cookies)
    });
    Site { runtime, router, cookies }
});

fn config() -> Config {
    let file = std::env::temp_dir().join(format!("vestibule-fuzz-{}.db", random::id(0)));
    Config {
        database: Location::Sqlite(file),
        hash: HashCost { memory_kib: 64, iterations: 1, threads: 1, queue: 100 },
        secret: ServerKey::from_bytes(b"a key for fuzzing, 32 bytes of it\xff").ok(),
        limits: rules::no_limits(),
        ..Config::default()
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((page, body)) = bytes.split_first() else { return };
    let path = rules::FORMS[usize::from(*page) % rules::FORMS.len()];
    SITE.runtime.block_on(rules::form(&SITE.router, &SITE.cookies, path, body));
});
