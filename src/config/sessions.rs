//! How long sessions live.

use super::sources::RawSettings;
use super::values::{HOUR, MAX_TIME, MINUTE, spelled, time};

/// A working day.
const IDLE_UNREMEMBERED: i64 = 12 * HOUR;

/// Lifetimes of sessions, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLife {
    /// The longest pause in a remembered session.
    pub idle: i64,
    /// The longest life of any session.
    pub max: i64,
    /// The longest pause in a session without "remember me".
    pub idle_unremembered: i64,
}

impl SessionLife {
    pub(super) fn read(raw: &mut RawSettings) -> Self {
        let idle = raw.value("SESSION_IDLE", time(MINUTE..=MAX_TIME));
        let max = raw.value("SESSION_MAX", time(MINUTE..=MAX_TIME));
        if idle > max && raw.are_valid(["SESSION_IDLE", "SESSION_MAX"]) {
            if raw.is_set("SESSION_IDLE") {
                let message = format!("expected {} at most, which is SESSION_MAX", spelled(max));
                raw.add_error("SESSION_IDLE", message);
            } else {
                let idle = spelled(idle);
                let message =
                    format!("expected {idle} at least, which is SESSION_IDLE: set that too");
                raw.add_error("SESSION_MAX", message);
            }
        }
        Self { idle, max, idle_unremembered: IDLE_UNREMEMBERED.min(idle) }
    }
}
