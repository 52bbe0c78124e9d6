//! The log of one test.

use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use serde_json::Value;
use tracing::Dispatch;
use tracing::dispatcher::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;
use vestibule::commands::log;
use vestibule::config::LogFormat;

/// While there is only one dispatcher, tracing asks the first thread that reaches an event whether it is
/// of interest, and keeps the answer for all threads. A test without a log would disable the event.
static SECOND: OnceLock<Dispatch> = OnceLock::new();

/// Collects what this thread logs, until it is dropped.
pub struct Log {
    written: Written,
    _guard: DefaultGuard,
}

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'writer> MakeWriter<'writer> for Written {
    type Writer = Self;

    fn make_writer(&'writer self) -> Self {
        self.clone()
    }
}

impl Log {
    pub fn start(format: LogFormat) -> Self {
        SECOND.get_or_init(|| log::dispatch(format, Written::default()));
        let written = Written::default();
        let dispatch = log::dispatch(format, written.clone());
        Self { written, _guard: tracing::dispatcher::set_default(&dispatch) }
    }

    /// Everything written so far.
    pub fn text(&self) -> String {
        let bytes = self.written.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8(bytes.clone()).unwrap()
    }

    /// The events from line `from` on, an object for each line.
    pub fn events(&self, from: usize) -> Vec<Value> {
        self.text().lines().skip(from).map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub fn lines(&self) -> usize {
        self.text().lines().count()
    }
}
