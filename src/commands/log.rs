//! The log of a running site: to stderr, as text or as JSON.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

use crate::config::LogFormat;

/// Starts it. A host program's own subscriber stays.
pub fn start(format: LogFormat) {
    let registry = tracing_subscriber::registry();
    let lines = fmt::layer().with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Json => registry.with(lines.json().with_filter(filter())).try_init(),
        LogFormat::Text => {
            registry.with(lines.with_ansi(has_colours()).with_filter(filter())).try_init()
        }
    };
    drop(started);
}

/// tower-sessions warns of every unknown cookie: anybody could fill the log with it. Its spans say
/// nothing that our own lines do not.
fn filter() -> Targets {
    Targets::new()
        .with_default(LevelFilter::INFO)
        .with_target("tower_sessions", LevelFilter::ERROR)
        .with_target("tower_sessions_core", LevelFilter::OFF)
        .with_target("sqlx", LevelFilter::WARN)
        // "There is no transaction in progress": what a client that hangs up leaves behind.
        .with_target("sqlx::postgres::notice", LevelFilter::ERROR)
}

/// For a person at a terminal who did not ask for none (no-color.org).
fn has_colours() -> bool {
    std::io::stderr().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
