//! Who has work in the hash pool: no network may hold more than its share of the places, so that one
//! address, even one that logs in rightly again and again, does not keep everybody else out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The places that each network holds. Networks that hold none take no memory.
#[derive(Debug)]
pub struct Shares {
    most: usize,
    held: Mutex<HashMap<IpAddr, usize>>,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Share {
    of: Arc<Shares>,
    whose: Option<IpAddr>,
}

impl Shares {
    /// `most` places a network, at least one.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most: most.max(1), held: Mutex::default() })
    }

    /// A place for `whose`, if they have not all of theirs; nobody in particular always gets one.
    pub fn take(self: &Arc<Self>, whose: Option<IpAddr>) -> Option<Share> {
        if let Some(network) = whose {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            let places = held.entry(network).or_default();
            if *places >= self.most {
                return None;
            }
            *places += 1;
        }
        Some(Share { of: Arc::clone(self), whose })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let Some(network) = self.whose else { return };
        let mut held = self.of.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = held.get_mut(&network) {
            *places -= 1;
            if *places == 0 {
                held.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_gets_its_share_and_another_its_own() {
        let shares = Shares::new(2);
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().ok());
        let held = [shares.take(one), shares.take(one)];
        assert!(held.iter().all(Option::is_some));
        assert!(shares.take(one).is_none());
        assert!(shares.take(other).is_some());
        drop(held);
        assert!(shares.take(one).is_some());
        assert!(shares.held.lock().unwrap().is_empty(), "who holds nothing is forgotten");
    }

    #[test]
    fn who_is_nobody_in_particular_is_not_counted() {
        let shares = Shares::new(1);
        let held = [shares.take(None), shares.take(None)];
        assert!(held.iter().all(Option::is_some));
    }
}
