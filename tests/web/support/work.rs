//! The work of a request: every statement, transaction and hash in order, on any thread.

use std::collections::HashMap;
use std::fmt::{Debug, Write};
use std::sync::{Mutex, Once, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Instrument, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

/// The work so far, by span.
static DONE: Mutex<Option<HashMap<u64, Vec<String>>>> = Mutex::new(None);
static SUBSCRIBED: Once = Once::new();

/// Runs `what` and returns its value and the work that it did.
pub async fn work_of<T>(what: impl Future<Output = T>) -> (T, Vec<String>) {
    SUBSCRIBED.call_once(subscribe);
    let span = tracing::info_span!("work");
    let id = span.id().expect("spans are enabled").into_u64();
    let value = what.instrument(span.clone()).await;
    let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
    (value, done.get_or_insert_default().remove(&id).unwrap_or_default())
}

fn subscribe() {
    let filter = Targets::new()
        .with_target("sqlx::query", LevelFilter::DEBUG)
        .with_target("vestibule::password_hasher", LevelFilter::TRACE)
        .with_target("vestibule::db", LevelFilter::TRACE)
        .with_target(module_path!(), LevelFilter::INFO);
    let subscriber = tracing_subscriber::registry().with(Listener.with_filter(filter));
    tracing::subscriber::set_global_default(subscriber).expect("the only global subscriber");
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
        let mut done = DONE.lock().unwrap_or_else(PoisonError::into_inner);
        let done = done.get_or_insert_default().entry(work.id().into_u64()).or_default();
        let line = line.finish();
        // The pool may open a connection, or check one that has rested, at any time.
        if !["PRAGMA", "SET lock_timeout", "SELECT 1 "].iter().any(|start| line.starts_with(start))
        {
            done.push(line);
        }
    }
}

/// An event as text, without what may differ: times, and how many rows a query finds.
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
            write!(self.text, "{value:?} ").expect("writing to a string cannot fail");
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
