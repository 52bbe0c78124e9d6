//! `/metrics`, for Prometheus, on an address of its own.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::accounts::rate_limits::RateLimit;
use crate::app::App;
use crate::db::DbError;
use crate::metrics::{self, Gauges, StoredGauges};
use crate::middleware::request_id;
use crate::models::one_time_code::Purpose;
use crate::models::outbox::find_backlog;
use crate::models::user_session::count_logged_in;

/// How long the database may take to answer. The other metrics do not wait for longer.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a database that did not answer is left alone: each question may hold a connection that a
/// visitor needs.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(10);

/// What scrapes share.
struct Scraped {
    app: App,
    /// When the database may be asked again. Locked while it is asked: one connection is enough.
    database: Mutex<Instant>,
}

/// The router of the address for metrics.
pub fn router(app: &App) -> Router {
    app.metrics
        .add_labels(&Purpose::ALL.map(Purpose::name), &RateLimit::ALL.map(|limit| limit.name(app)));
    let scraped = Scraped { app: app.clone(), database: Mutex::new(Instant::now()) };
    let router = Router::new().route("/metrics", get(show)).with_state(Arc::new(scraped));
    // By the id `vestibule check` knows the server from another program.
    router.layer(from_fn_with_state(app.clone(), request_id::assign))
}

async fn show(State(scraped): State<Arc<Scraped>>) -> Response {
    let app = &scraped.app;
    let stored = scraped.ask_database().await;
    let (hash_queue, hash_waits) = app.hasher.waiting();
    let text = app.metrics.text(Gauges { hash_queue, hash_waits, stored });
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
}

impl Scraped {
    /// What the database knows; `None` if it does not answer in time.
    async fn ask_database(&self) -> Option<StoredGauges> {
        let mut ask_at = self.database.lock().await;
        if Instant::now() < *ask_at {
            return None;
        }
        let answer = timeout(DATABASE_TIMEOUT, stored_gauges(&self.app)).await;
        let stored = answer.ok().and_then(Result::ok);
        if stored.is_none() {
            *ask_at = Instant::now() + PAUSE_AFTER_FAILURE;
        }
        stored
    }
}

async fn stored_gauges(app: &App) -> Result<StoredGauges, DbError> {
    let (db, now, start) = (&app.db, app.clock.now(), Instant::now());
    db.check_readable().await?;
    let database = start.elapsed();
    let backlog = find_backlog(db.reader(), now).await?;
    let sessions = count_logged_in(db.reader()).await?;
    Ok(StoredGauges {
        database,
        sessions,
        outbox_length: backlog.length,
        outbox_oldest: backlog.oldest.map_or(0, |created_at| (now - created_at).max(0)),
    })
}
