//! File descriptors: each connection takes one, and a process may have only so many.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::event::Event;

/// Returns how many of `connections` can be open at once besides `reserved` other files. Shells and
/// systemd set the soft limit to 1024 for programs that use select(2); this one does not, and raises it.
pub fn fit(connections: usize, reserved: usize) -> usize {
    let limit = raise((connections + reserved) as u64);
    let served = connections_within(limit, connections, reserved);
    if served < connections {
        Event::ConnectionsLowered { connections: served as u64 }.write();
    }
    served
}

/// At least one: the site is served under any limit.
fn connections_within(limit: u64, wanted: usize, reserved: usize) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX).saturating_sub(reserved).clamp(1, wanted)
}

/// Raises the soft limit to `needed` or to the hard one, and returns it.
fn raise(needed: u64) -> u64 {
    let limits = getrlimit(Resource::Nofile);
    let [soft, hard] = [limits.current, limits.maximum].map(|limit| limit.unwrap_or(u64::MAX));
    let raised = needed.min(hard);
    if soft >= raised {
        return soft;
    }
    let set = setrlimit(Resource::Nofile, Rlimit { current: Some(raised), ..limits });
    if set.is_ok() { raised } else { soft }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_for_the_database_and_mail_are_reserved() {
        assert_eq!(connections_within(4096, 1024, 128), 1024);
        assert_eq!(connections_within(1024 + 128, 1024, 128), 1024);
        assert_eq!(connections_within(1024, 1024, 128), 1024 - 128);
        assert_eq!(connections_within(64, 1024, 128), 1, "some site is better than none");
        assert_eq!(connections_within(64, 1, 128), 1);
    }
}
