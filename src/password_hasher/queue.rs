//! A bounded queue that is fair between networks, and between the wider networks that they are in.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

/// The network that a job is from, after the wider network that contains it.
pub type Path = [IpAddr; 2];

/// Jobs that wait. Networks are served in turn, and so are the networks within each: somebody who has
/// a wide network has one turn, however many of its parts send. A fixed share for each network would
/// not be fair: three networks that send enough leave nothing to a fourth.
#[derive(Debug)]
pub struct FairQueue<T> {
    most: usize,
    waiting: Node<T>,
}

/// A network: the networks in it, or the jobs of the innermost.
#[derive(Debug)]
struct Node<T> {
    /// Jobs here and in `networks`.
    len: usize,
    jobs: VecDeque<T>,
    /// None is empty.
    networks: HashMap<IpAddr, Node<T>>,
    /// The keys of `networks`, the next one to be served first.
    turns: VecDeque<IpAddr>,
}

impl<T> FairQueue<T> {
    /// A queue of at most `most` jobs.
    pub fn new(most: usize) -> Self {
        Self { most, waiting: Node::default() }
    }

    /// Adds a job and returns the job that is refused for it, if the queue is full: the newest of the
    /// network with the most jobs, or `job` itself where its own network would then have as many.
    pub fn push(&mut self, path: Path, job: T) -> Option<T> {
        let mut refused = None;
        if self.waiting.len >= self.most {
            refused = self.waiting.make_room(&path);
            if refused.is_none() {
                return Some(job);
            }
        }
        self.waiting.push(&path, job);
        refused
    }

    /// Takes the oldest job of the network whose turn it is. Its next job waits for all others.
    pub fn pop(&mut self) -> Option<T> {
        self.waiting.pop()
    }
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { len: 0, jobs: VecDeque::new(), networks: HashMap::new(), turns: VecDeque::new() }
    }
}

impl<T> Node<T> {
    fn push(&mut self, path: &[IpAddr], job: T) {
        self.len += 1;
        let Some((network, rest)) = path.split_first() else { return self.jobs.push_back(job) };
        if !self.networks.contains_key(network) {
            self.turns.push_back(*network);
        }
        self.networks.entry(*network).or_default().push(rest, job);
    }

    fn pop(&mut self) -> Option<T> {
        let Some(network) = self.turns.pop_front() else {
            return self.counted_out(|node| node.jobs.pop_front());
        };
        let job = self.take_from(network, Self::pop);
        if self.networks.contains_key(&network) {
            self.turns.push_back(network);
        }
        job
    }

    /// Removes a job of the network with the most, unless the one on `path` would then have as many:
    /// where a wide network gives way to itself, the networks in it are compared.
    fn make_room(&mut self, path: &[IpAddr]) -> Option<T> {
        let (network, rest) = path.split_first()?;
        let own = self.networks.get(network).map_or(0, |node| node.len);
        if self.networks.values().any(|node| node.len > own + 1) {
            return self.pop_newest();
        }
        self.take_from(*network, |node| node.make_room(rest))
    }

    /// Removes the newest job of the network with the most jobs.
    fn pop_newest(&mut self) -> Option<T> {
        let longest = self.networks.iter().max_by_key(|(_, node)| node.len);
        let Some(network) = longest.map(|(network, _)| *network) else {
            return self.counted_out(|node| node.jobs.pop_back());
        };
        let job = self.take_from(network, Self::pop_newest);
        if !self.networks.contains_key(&network) {
            self.turns.retain(|other| *other != network);
        }
        job
    }

    /// Takes a job from one of `networks`, which is removed when it is empty.
    fn take_from(
        &mut self,
        network: IpAddr,
        take: impl FnOnce(&mut Self) -> Option<T>,
    ) -> Option<T> {
        let job = self.counted_out(|node| take(node.networks.get_mut(&network)?));
        if self.networks.get(&network).is_some_and(|node| node.len == 0) {
            self.networks.remove(&network);
        }
        job
    }

    fn counted_out(&mut self, take: impl FnOnce(&mut Self) -> Option<T>) -> Option<T> {
        let job = take(self)?;
        self.len -= 1;
        Some(job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The IPv4 address `number` in a network of its own.
    fn network(number: u8) -> Path {
        within(number, 1)
    }

    fn within(wide: u8, number: u8) -> Path {
        [[10, wide, 0, 0].into(), [10, wide, 0, number].into()]
    }

    /// What became of the jobs of a victim who sends one every `pause` jobs served, while each of
    /// `attackers` keeps sending: how many were served, how many refused, and how many other jobs the
    /// unluckiest one waited for.
    fn attacked(attackers: &[Path], victim: Path, pause: usize) -> (usize, usize, usize) {
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
    fn networks_that_send_without_end_leave_another_its_turn() {
        for attackers in [1, 3, 5, 20] {
            let networks: Vec<_> = (1..=attackers).map(network).collect();
            let attackers = networks.len();
            let (served, refused, longest_wait) = attacked(&networks, network(0), attackers + 1);
            assert_eq!(refused, 0, "{attackers} attackers");
            assert!(served >= 600 / (attackers + 1) - 1, "{attackers} attackers: {served} served");
            assert!(longest_wait <= attackers, "{attackers} attackers: {longest_wait}");
        }
    }

    #[test]
    fn the_parts_of_one_wide_network_have_one_turn_together() {
        let parts: Vec<_> = (1..=200).map(|number| within(1, number)).collect();
        let (served, refused, longest_wait) = attacked(&parts, network(0), 2);
        assert_eq!((served, refused), (300, 0));
        assert!(longest_wait <= 1, "{longest_wait}");
    }

    #[test]
    fn within_a_wide_network_its_parts_are_served_in_turn() {
        let parts: Vec<_> = (1..=5).map(|number| within(1, number)).collect();
        let beside = [parts.clone(), vec![network(2)]].concat();
        let (served, refused, longest_wait) = attacked(&beside, within(1, 0), 12);
        assert!(refused == 0 && served >= 600 / 12 - 1, "{served} served, {refused} refused");
        assert!(longest_wait <= 12, "{longest_wait}");
    }

    #[test]
    fn when_it_is_full_the_network_with_the_most_jobs_gives_way_with_its_newest() {
        let mut queue = FairQueue::new(4);
        for job in ["a1", "a2", "a3"] {
            assert_eq!(queue.push(network(1), job), None);
        }
        assert_eq!(queue.push(network(2), "b1"), None);
        assert_eq!(queue.push(network(3), "c1"), Some("a3"));
        assert_eq!(queue.push(network(2), "b2"), Some("b2"), "it would only trade places");
        assert_eq!(queue.push(network(1), "a4"), Some("a4"));
        let served: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(served, ["a1", "b1", "c1", "a2"], "one of each in turn");
        let Node { len, networks, turns, .. } = queue.waiting;
        assert!(len == 0 && networks.is_empty() && turns.is_empty(), "it remembers no network");
    }

    #[test]
    fn when_it_is_full_the_wide_network_gives_way_and_in_it_the_part_with_the_most() {
        let mut queue = FairQueue::new(4);
        for (number, job) in [(1, "a1"), (2, "b1"), (2, "b2"), (3, "c1")] {
            assert_eq!(queue.push(within(1, number), job), None);
        }
        assert_eq!(queue.push(network(2), "x1"), Some("b2"));
        let gone = queue.push(network(2), "x2").unwrap();
        assert!(["a1", "b1", "c1"].contains(&gone), "no part has more than one: {gone}");
        assert_eq!(queue.push(within(1, 9), "d1"), Some("d1"), "it would only trade places");
        let served: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!((served.len(), served[1], served[3]), (4, "x1", "x2"), "{served:?}");
    }

    #[test]
    fn one_network_alone_has_the_whole_queue_in_order() {
        let mut queue = FairQueue::new(3);
        let refused: Vec<_> = (1..=5).filter_map(|job| queue.push(network(1), job)).collect();
        assert_eq!(refused, [4, 5]);
        assert_eq!(std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>(), [1, 2, 3]);
    }
}
