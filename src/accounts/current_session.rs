//! The session that a request came with, for requests that read no page.

use std::sync::PoisonError;
use std::time::Duration;

use tokio::time::sleep;

use crate::app::App;
use crate::db::DbError;
use crate::models::session::{
    LoggedInSession, find_user_by_session, touch_session, write_if_possible,
};

/// How stale the time of the last use may grow, in seconds: an application asks with each of its
/// requests.
const TOUCH_AFTER: i64 = 10 * 60;

/// How long the next try waits after the last use of a session could not be written.
const RETRY_AFTER: Duration = Duration::from_mins(1);

/// The session with this key, if a user is logged in there. This counts as its use: people who work only
/// in an application stay logged in.
pub async fn current_session(app: &App, key: &[u8]) -> Result<Option<LoggedInSession>, DbError> {
    let found = find_user_by_session(app.db.reader(), key, app.clock.now()).await?;
    if let Some(session) = &found {
        touch_in_background(app, session);
    }
    Ok(found)
}

fn touch_in_background(app: &App, session: &LoggedInSession) {
    let (life, now) = (app.config.sessions, app.clock.now());
    if !session.is_touch_due(life, TOUCH_AFTER, now) || !claim_touch(app, session) {
        return;
    }
    let (app, session) = (app.clone(), session.clone());
    tokio::spawn(async move {
        let touch = touch_session(app.db.writer(), &session, life, now);
        if !write_if_possible("the_last_use_of_a_session_was_not_noted", touch).await {
            sleep(RETRY_AFTER).await;
        }
        let mut touching = app.touching.lock().unwrap_or_else(PoisonError::into_inner);
        touching.remove(&session.key);
    });
}

/// Whether no other request is writing it.
fn claim_touch(app: &App, session: &LoggedInSession) -> bool {
    let mut touching = app.touching.lock().unwrap_or_else(PoisonError::into_inner);
    touching.insert(session.key.clone())
}
