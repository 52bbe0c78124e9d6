//! What a request costs: every statement, transaction and hash, in their order, on any thread.

use std::collections::HashMap;
use std::fmt::{Debug, Write};
use std::sync::{Mutex, Once, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Instrument, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// What has been done so far, by the span that it was done in.
static DONE: Mutex<Option<HashMap<u64, Vec<String>>>> = Mutex::new(None);
static LISTENING: Once = Once::new();

/// Runs `what` and answers the work that it did beside its own.
pub async fn work_of<T>(what: impl Future<Output = T>) -> (T, Vec<String>) {
    LISTENING.call_once(listen);
    let span = tracing::info_span!("work");
    let id = span.id().expect("the listener hears spans").into_u64();
    let value = what.instrument(span.clone()).await;
    let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
    (value, done.get_or_insert_default().remove(&id).unwrap_or_default())
}

fn listen() {
    let heard = Targets::new()
        .with_target("sqlx::query", LevelFilter::DEBUG)
        .with_target("vestibule::password_hasher", LevelFilter::TRACE)
        .with_target("vestibule::db", LevelFilter::TRACE)
        .with_target(module_path!(), LevelFilter::INFO);
    let listener = tracing_subscriber::registry().with(Listener.with_filter(heard));
    tracing::subscriber::set_global_default(listener).expect("the only listener of the tests");
}

struct Listener;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Listener {
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let scope = context.event_scope(event);
        let Some(work) = scope.and_then(|mut scope| scope.find(|span| span.name() == "work"))
        else {
            return;
        };
        let mut line = Line::default();
        event.record(&mut line);
        // A connection that the pool opens now, for whoever is next.
        if line.statement.trim_start().starts_with("PRAGMA") || line.text.starts_with("PRAGMA") {
            return;
        }
        let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
        let done = done.get_or_insert_default().entry(work.id().into_u64()).or_default();
        let line = line.finish();
        // How SQLite connections begin: the pool opens one when it likes, for whoever comes.
        if !line.starts_with("PRAGMA") {
            done.push(line);
        }
    }
}

/// An event as text. Times differ, and so do the rows that a query finds: those that are changed
/// must not.
#[derive(Default)]
struct Line {
    text: String,
    statement: String,
    affected: u64,
}

impl Line {
    fn finish(self) -> String {
        let statement = self.statement.split_whitespace().collect::<Vec<_>>().join(" ");
        let text = if statement.is_empty() { self.text } else { statement };
        let changes = if text.starts_with("select") { 0 } else { self.affected };
        format!("{text} [{changes}]")
    }
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if matches!(field.name(), "message" | "memory_kib" | "iterations") {
            write!(self.text, "{value:?} ").expect("a string takes everything");
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "summary" => value.clone_into(&mut self.text),
            "db.statement" => value.clone_into(&mut self.statement),
            _ => {}
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "rows_affected" {
            self.affected = value;
        } else {
            self.record_debug(field, &value);
        }
    }
}
