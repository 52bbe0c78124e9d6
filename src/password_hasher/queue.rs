//! A bounded queue that is fair between networks, and between the wider networks that they are in.

use std::collections::VecDeque;
use std::net::IpAddr;

/// The network that a job is from, after the wider network that contains it.
pub type NetworkPath = [IpAddr; 2];

/// Networks, the next one to be served first. None is empty.
type Queues<T> = VecDeque<(IpAddr, VecDeque<T>)>;

/// Jobs that wait. Wide networks are served in turn, and so are the networks within each: a client
/// with a wide network has one turn, however many of its addresses it uses. A fixed share for each
/// network would not be fair: three networks that send enough would leave nothing to a fourth.
pub struct FairQueue<T> {
    max: usize,
    len: usize,
    networks: Queues<(IpAddr, VecDeque<T>)>,
}

impl<T> FairQueue<T> {
    /// A queue of at most `max` jobs.
    pub fn new(max: usize) -> Self {
        Self { max, len: 0, networks: VecDeque::new() }
    }

    /// How many jobs wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Adds a job. If that is one too many, returns the job that is refused: the newest of the network
    /// with the most jobs, in the wide network with the most jobs.
    pub fn push(&mut self, [wide, network]: NetworkPath, job: T) -> Option<T> {
        queue_of(queue_of(&mut self.networks, wide), network).push_back(job);
        if self.len < self.max {
            self.len += 1;
            return None;
        }
        let size = |networks: &Queues<T>| networks.iter().map(|(_, jobs)| jobs.len()).sum();
        let index = largest(&self.networks, wide, size);
        let (_, networks) = self.networks.get_mut(index)?;
        let index = largest(networks, network, VecDeque::len);
        let refused = networks.get_mut(index)?.1.pop_back();
        networks.retain(|(_, jobs)| !jobs.is_empty());
        self.networks.retain(|(_, networks)| !networks.is_empty());
        refused
    }

    /// Takes the oldest job of the network whose turn it is.
    pub fn pop(&mut self) -> Option<T> {
        let (wide, mut networks) = self.networks.pop_front()?;
        let (network, mut jobs) = networks.pop_front()?;
        let job = jobs.pop_front()?;
        self.len -= 1;
        if !jobs.is_empty() {
            networks.push_back((network, jobs));
        }
        if !networks.is_empty() {
            self.networks.push_back((wide, networks));
        }
        Some(job)
    }
}

/// The queue of `network`. A new one has its turn after all others.
fn queue_of<T>(queues: &mut Queues<T>, network: IpAddr) -> &mut VecDeque<T> {
    let known = queues.iter().position(|(known, _)| *known == network);
    let index = known.unwrap_or_else(|| {
        queues.push_back((network, VecDeque::new()));
        queues.len() - 1
    });
    &mut queues[index].1
}

/// The index of the largest network. Among equals that is `own`, so that a new job is refused rather
/// than another in its place.
fn largest<T>(queues: &Queues<T>, own: IpAddr, size: impl Fn(&VecDeque<T>) -> usize) -> usize {
    let sizes = queues.iter().map(|(network, queue)| (size(queue), *network == own));
    sizes.enumerate().max_by_key(|(_, size)| *size).map_or(0, |(index, _)| index)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The IPv4 address `number` in a network of its own.
    fn network(number: u8) -> NetworkPath {
        within(number, 1)
    }

    fn within(wide: u8, number: u8) -> NetworkPath {
        [[10, wide, 0, 0].into(), [10, wide, 0, number].into()]
    }

    /// Sends a job from `victim` once every `pause` served jobs, while `attackers` send without pause.
    /// Returns how many of the victim's jobs were served and refused, and the longest wait of one,
    /// counted in other jobs.
    fn attack(
        attackers: &[NetworkPath],
        victim: NetworkPath,
        pause: usize,
    ) -> (usize, usize, usize) {
        let mut queue = FairQueue::new(80);
        let (mut served, mut refused, mut longest_wait) = (0, 0, 0);
        for time in 0..600 {
            let senders = attackers.iter().cycle().take(100).copied();
            for sender in senders.chain((time % pause == 0).then_some(victim)) {
                let gone = queue.push(sender, (sender, time));
                refused += usize::from(gone.is_some_and(|(of, _)| of == victim));
            }
            if let Some((_, sent)) = queue.pop().filter(|(of, _)| *of == victim) {
                served += 1;
                longest_wait = longest_wait.max(time - sent);
            }
        }
        (served, refused, longest_wait)
    }

    #[test]
    fn networks_that_send_without_pause_leave_another_its_turn() {
        for attackers in [1, 3, 5, 20] {
            let networks: Vec<_> = (1..=attackers).map(network).collect();
            let attackers = networks.len();
            let (served, refused, longest_wait) = attack(&networks, network(0), attackers + 1);
            assert_eq!(refused, 0, "{attackers} attackers");
            assert!(served >= 600 / (attackers + 1) - 1, "{attackers} attackers: {served} served");
            assert!(longest_wait <= attackers, "{attackers} attackers: {longest_wait}");
        }
    }

    #[test]
    fn the_parts_of_one_wide_network_have_one_turn_together() {
        let parts: Vec<_> = (1..=200).map(|number| within(1, number)).collect();
        let (served, refused, longest_wait) = attack(&parts, network(0), 2);
        assert_eq!((served, refused), (300, 0));
        assert!(longest_wait <= 1, "{longest_wait}");
    }

    #[test]
    fn within_a_wide_network_its_parts_are_served_in_turn() {
        let parts: Vec<_> = (1..=5).map(|number| within(1, number)).collect();
        let attackers = [parts.clone(), vec![network(2)]].concat();
        let (served, refused, longest_wait) = attack(&attackers, within(1, 0), 12);
        assert!(refused == 0 && served >= 600 / 12 - 1, "{served} served, {refused} refused");
        assert!(longest_wait <= 12, "{longest_wait}");
    }

    #[test]
    fn a_full_queue_refuses_the_newest_job_of_the_network_with_the_most() {
        let mut queue = FairQueue::new(4);
        for job in ["a1", "a2", "a3"] {
            assert_eq!(queue.push(network(1), job), None);
        }
        assert_eq!(queue.push(network(2), "b1"), None);
        assert_eq!(queue.push(network(3), "c1"), Some("a3"));
        assert_eq!(
            queue.push(network(2), "b2"),
            Some("b2"),
            "the new job would only replace another"
        );
        assert_eq!(queue.push(network(1), "a4"), Some("a4"));
        let served: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(served, ["a1", "b1", "c1", "a2"], "one of each in turn");
        assert!(queue.len == 0 && queue.networks.is_empty(), "no network is remembered");
    }

    #[test]
    fn a_full_queue_refuses_a_job_of_the_wide_network_and_the_part_with_the_most() {
        let mut queue = FairQueue::new(4);
        for (number, job) in [(1, "a1"), (2, "b1"), (2, "b2"), (3, "c1")] {
            assert_eq!(queue.push(within(1, number), job), None);
        }
        assert_eq!(queue.push(network(2), "x1"), Some("b2"));
        let gone = queue.push(network(2), "x2").unwrap();
        assert!(["a1", "b1", "c1"].contains(&gone), "no part has more than one: {gone}");
        assert_eq!(
            queue.push(within(1, 9), "d1"),
            Some("d1"),
            "the new job would only replace another"
        );
        let served: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!((served.len(), served[1], served[3]), (4, "x1", "x2"), "{served:?}");
    }

    #[test]
    fn a_single_network_has_the_whole_queue_in_order() {
        let mut queue = FairQueue::new(3);
        let refused: Vec<_> = (1..=5).filter_map(|job| queue.push(network(1), job)).collect();
        assert_eq!(refused, [4, 5]);
        assert_eq!(std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>(), [1, 2, 3]);
    }
}
