//! File descriptors: each connection takes one, and a process may have only so many.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::limiter::MAX_WAITING;
use crate::event::Event;

/// What is needed besides open connections: for those that wait, and twice what was measured for the
/// database (PostgreSQL: 16), mail and the runtime.
const RESERVED: usize = MAX_WAITING + 64;

/// Returns how many of `connections` can be open at once. Shells and systemd set the soft limit to
/// 1024 for programs that use select(2); this one does not, and raises it.
pub fn fit(connections: usize) -> usize {
    let served = connections_within(raise(connections + RESERVED), connections);
    if served < connections {
        Event::ConnectionsLowered { connections: served as u64 }.write();
    }
    served
}

/// At least one: the site is served under any limit.
fn connections_within(limit: usize, wanted: usize) -> usize {
    limit.saturating_sub(RESERVED).clamp(1, wanted)
}

/// Raises the soft limit to `needed` or to the hard one, and returns it.
fn raise(needed: usize) -> usize {
    let limits = getrlimit(Resource::Nofile);
    let (soft, hard) = (count(limits.current), count(limits.maximum));
    let raised = needed.min(hard);
    if soft >= raised {
        return soft;
    }
    let current = u64::try_from(raised).ok();
    let set = setrlimit(Resource::Nofile, Rlimit { current, ..limits });
    if set.is_ok() { raised } else { soft }
}

/// None is no limit.
fn count(limit: Option<u64>) -> usize {
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_for_the_database_and_mail_are_reserved() {
        assert_eq!(connections_within(4096, 1024), 1024);
        assert_eq!(connections_within(1024 + RESERVED, 1024), 1024);
        assert_eq!(connections_within(1024, 1024), 1024 - RESERVED);
        assert_eq!(connections_within(RESERVED / 2, 1024), 1, "some site is better than none");
        assert_eq!(connections_within(RESERVED / 2, 1), 1);
    }
}
