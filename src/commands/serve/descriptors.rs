//! File descriptors: each connection takes one, and a process may have only so many.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::places::MOST_WAITING;
use crate::event::{Details, Event};

/// What is needed beside those who are served: for who waits, and twice what was measured for the
/// database (PostgreSQL: 16), mail and the runtime.
const BESIDES: usize = MOST_WAITING + 64;

/// How many of so many `connections` can be served at once. Shells and systemd set the soft limit to
/// 1024 for programs that use select(2); this one does not, and raises it. Without descriptors left
/// nobody is accepted, and then no address loses its places to another.
pub fn fit(connections: usize) -> usize {
    let served = places(raise(connections + BESIDES), connections);
    if served < connections {
        let connections = Some(served);
        Event::ConnectionsLowered.write(Details { connections, ..Details::default() });
    }
    served
}

/// The site is served under any limit, if to one at a time.
fn places(limit: usize, wanted: usize) -> usize {
    limit.saturating_sub(BESIDES).clamp(1, wanted)
}

/// Raises the soft limit to `needed`, or to the hard one, and answers what it is then.
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
    fn what_the_program_needs_besides_is_left_to_it() {
        assert_eq!(places(4096, 1024), 1024);
        assert_eq!(places(1024 + BESIDES, 1024), 1024);
        assert_eq!(places(1024, 1024), 1024 - BESIDES);
        assert_eq!(places(BESIDES / 2, 1024), 1, "some site is better than none");
        assert_eq!(places(BESIDES / 2, 1), 1);
    }
}
