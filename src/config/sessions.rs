//! How long sessions live.

use super::sources::RawSettings;
use super::values::{self, DAY, HOUR, LONGEST, MINUTE};

/// A session without "remember me" ends when it is unused for this long: a working day.
const IDLE_UNREMEMBERED: i64 = 12 * HOUR;

/// Life times of sessions, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLife {
    /// The longest pause in a remembered session.
    pub idle: i64,
    /// The longest life of any session.
    pub max: i64,
    /// The longest pause in a session without "remember me".
    pub idle_unremembered: i64,
}

impl Default for SessionLife {
    fn default() -> Self {
        Self { idle: 14 * DAY, max: 30 * DAY, idle_unremembered: IDLE_UNREMEMBERED }
    }
}

impl SessionLife {
    pub(super) fn apply(&mut self, raw: &mut RawSettings) {
        let life = values::time(MINUTE..=LONGEST);
        raw.set("SESSION_IDLE", &mut self.idle, &life);
        raw.set("SESSION_MAX", &mut self.max, &life);
        self.idle_unremembered = IDLE_UNREMEMBERED.min(self.idle);
    }

    /// Refuses a pause that is longer than the longest life.
    pub(super) fn check(self, raw: &mut RawSettings) {
        let are_valid = raw.are_valid(["SESSION_IDLE", "SESSION_MAX"]);
        if self.idle <= self.max || !are_valid {
            return;
        }
        let (idle, max) = (values::spelled(self.idle), values::spelled(self.max));
        if raw.is_set("SESSION_IDLE") {
            let words = format!("expected {max} at most, which is SESSION_MAX");
            raw.add_error("SESSION_IDLE", words);
        } else {
            let words = format!("expected {idle} at least, which is SESSION_IDLE: set that too");
            raw.add_error("SESSION_MAX", words);
        }
    }
}
