//! The log of a running site: to stderr, as text or as JSON.

use std::io::IsTerminal;
use std::panic::PanicHookInfo;

use tracing::Dispatch;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::prelude::*;

use crate::config::LogFormat;
use crate::event::Event;

/// Does nothing in a program that has a subscriber.
pub fn start(format: LogFormat) {
    if dispatch(format, std::io::stderr).try_init().is_ok() {
        std::panic::set_hook(Box::new(panicked));
    }
}

/// Writes each line to `writer`: one line an event, the time in UTC, the fields side by side.
pub fn dispatch<W>(format: LogFormat, writer: W) -> Dispatch
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let registry = tracing_subscriber::registry();
    let mut lines = fmt::layer().with_writer(writer);
    // At a terminal the layer itself looks at `NO_COLOR`.
    if !std::io::stderr().is_terminal() {
        lines.set_ansi(false);
    }
    match format {
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(false);
            registry.with(lines.with_span_list(false).with_filter(filter())).into()
        }
        LogFormat::Text => registry.with(lines.with_filter(filter())).into(),
    }
}

/// In one line, and without a message that was formatted at run time: it can contain what was typed.
fn panicked(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string);
    let message = info.payload().downcast_ref::<&'static str>().copied().unwrap_or("a panic");
    Event::Panicked { cause: message, path: place.as_deref() }.write();
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
