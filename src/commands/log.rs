//! The log of a running site: to stderr, as text or as JSON.

use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::MetadataExt;
use std::panic::PanicHookInfo;

use tracing::{Dispatch, Level, Metadata};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::prelude::*;

use crate::config::LogFormat;
use crate::event::Event;

/// Does nothing in a program that has a subscriber.
pub fn start(format: LogFormat) {
    let stderr = Stderr { has_priorities: is_journal() };
    if dispatch(format, stderr).try_init().is_ok() {
        std::panic::set_hook(Box::new(panicked));
    }
}

/// Writes each line to `writer`: one line an event, the time in UTC, the fields side by side.
pub fn dispatch<W>(format: LogFormat, writer: W) -> Dispatch
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    // For all layers, not of one: sqlx asks whether a notice of PostgreSQL would be written and then writes none,
    // and a layer's own filter drops the next event on that thread.
    let registry = tracing_subscriber::registry().with(filter());
    let mut lines = fmt::layer().with_writer(writer);
    // At a terminal the layer itself looks at `NO_COLOR`.
    if !std::io::stderr().is_terminal() {
        lines.set_ansi(false);
    }
    match format {
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(false);
            registry.with(lines.with_span_list(false)).into()
        }
        LogFormat::Text => registry.with(lines).into(),
    }
}

/// Standard error. For the journal, each line begins with its priority (sd-daemon(3)), which the journal takes
/// off.
struct Stderr {
    has_priorities: bool,
}

/// Writes one line, after a prefix.
struct Line(&'static str);

impl MakeWriter<'_> for Stderr {
    type Writer = Line;

    fn make_writer(&self) -> Line {
        Line("")
    }

    fn make_writer_for(&self, metadata: &Metadata<'_>) -> Line {
        let priority = match *metadata.level() {
            _ if !self.has_priorities => "",
            Level::ERROR => "<3>",
            Level::WARN => "<4>",
            Level::INFO => "<6>",
            _ => "<7>",
        };
        Line(priority)
    }
}

impl Write for Line {
    /// At once: other threads write, too.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(&[self.0.as_bytes(), line].concat())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Prints why a command failed, each line with the priority of an error.
pub fn print_error(text: &str) {
    let priority = if is_journal() { "<3>" } else { "" };
    for line in text.lines() {
        // Nobody may read it any more.
        let _ = writeln!(io::stderr(), "{priority}{line}");
    }
}

/// Whether the journal reads standard error: `JOURNAL_STREAM` says which file it reads, and may be inherited
/// by a program whose standard error leads elsewhere.
pub fn is_journal() -> bool {
    let journal = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    let stderr = std::fs::metadata("/proc/self/fd/2");
    stderr.is_ok_and(|stderr| journal == format!("{}:{}", stderr.dev(), stderr.ino()))
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
