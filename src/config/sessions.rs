//! How long sessions live.

use super::sources::Given;
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
    pub(super) fn apply(&mut self, given: &mut Given) {
        let life = values::time(MINUTE..=LONGEST);
        given.set("SESSION_IDLE", &mut self.idle, &life);
        given.set("SESSION_MAX", &mut self.max, &life);
        self.idle_unremembered = IDLE_UNREMEMBERED.min(self.idle);
    }

    /// Blames the one that was given when a pause may be longer than the life that it is in.
    pub(super) fn check(self, given: &mut Given) {
        let sound = given.are_sound(["SESSION_IDLE", "SESSION_MAX"]);
        if self.idle <= self.max || !sound {
            return;
        }
        let (idle, max) = (values::spelled(self.idle), values::spelled(self.max));
        if given.offers("SESSION_IDLE") {
            let words = format!("expected {max} at most, which is SESSION_MAX");
            given.blame("SESSION_IDLE", words);
        } else {
            let words = format!("expected {idle} at least, which is SESSION_IDLE: set that too");
            given.blame("SESSION_MAX", words);
        }
    }
}
