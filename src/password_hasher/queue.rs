//! A bounded queue that is fair between networks: each has its own line, and the lines are served
//! in turn.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

/// Jobs that wait, by the network that sent them. A fixed share for each network would not be
/// fair: three networks that send enough leave nothing to a fourth.
#[derive(Debug)]
pub struct FairQueue<T> {
    most: usize,
    waiting: usize,
    /// None is empty.
    lines: HashMap<IpAddr, VecDeque<T>>,
    /// The networks that have a line, the next one to be served first.
    turns: VecDeque<IpAddr>,
}

impl<T> FairQueue<T> {
    /// A queue of at most `most` jobs.
    pub fn new(most: usize) -> Self {
        Self { most, waiting: 0, lines: HashMap::new(), turns: VecDeque::new() }
    }

    /// Adds a job of `network` and returns the job that is refused for it, if the queue is full: the
    /// newest of the network with the longest line, or `job` itself where its own line would become
    /// as long as that.
    pub fn push(&mut self, network: IpAddr, job: T) -> Option<T> {
        let mut refused = None;
        if self.waiting >= self.most {
            let own = self.lines.get(&network).map_or(0, VecDeque::len);
            let longest = self.lines.values_mut().max_by_key(|line| line.len());
            let Some(longest) = longest.filter(|line| line.len() > own + 1) else {
                return Some(job);
            };
            refused = longest.pop_back();
            self.waiting -= 1;
        }
        let line = self.lines.entry(network).or_default();
        if line.is_empty() {
            self.turns.push_back(network);
        }
        line.push_back(job);
        self.waiting += 1;
        refused
    }

    /// Takes the oldest job of the network whose turn it is. Its next job waits for all others.
    pub fn pop(&mut self) -> Option<T> {
        let network = self.turns.pop_front()?;
        let line = self.lines.get_mut(&network)?;
        let job = line.pop_front();
        if line.is_empty() {
            self.lines.remove(&network);
        } else {
            self.turns.push_back(network);
        }
        self.waiting -= 1;
        job
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(number: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, number])
    }

    /// What became of the jobs of a victim who sends one every `pause` jobs served, while each of
    /// `attackers` networks keeps sending: how many were served, how many refused, and how many
    /// other jobs the unluckiest one waited for.
    fn attacked(attackers: u8, pause: usize) -> (usize, usize, usize) {
        let (mut queue, victim) = (FairQueue::new(80), network(0));
        let (mut served, mut refused, mut longest_wait) = (0, 0, 0);
        for time in 0..2000 {
            for attacker in (1..=attackers).cycle().take(100) {
                if queue
                    .push(network(attacker), (network(attacker), time))
                    .is_some_and(|(of, _)| of == victim)
                {
                    refused += 1;
                }
            }
            if time % pause == 0
                && queue.push(victim, (victim, time)).is_some_and(|(of, _)| of == victim)
            {
                refused += 1;
            }
            if let Some((of, sent)) = queue.pop().filter(|(of, _)| *of == victim) {
                assert_eq!(of, victim);
                served += 1;
                longest_wait = longest_wait.max(time - sent);
            }
        }
        (served, refused, longest_wait)
    }

    #[test]
    fn networks_that_send_without_end_leave_another_its_turn() {
        for attackers in [1, 3, 5, 20] {
            let pause = usize::from(attackers) + 1;
            let (served, refused, longest_wait) = attacked(attackers, pause);
            assert_eq!(refused, 0, "{attackers} attackers");
            assert!(served >= 2000 / pause - 1, "{attackers} attackers: {served} served");
            assert!(
                longest_wait <= usize::from(attackers),
                "{attackers} attackers: {longest_wait}"
            );
        }
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
        assert!(queue.lines.is_empty() && queue.turns.is_empty(), "it remembers no network");
    }

    #[test]
    fn one_network_alone_has_the_whole_queue_in_order() {
        let mut queue = FairQueue::new(3);
        let refused: Vec<_> = (1..=5).filter_map(|job| queue.push(network(1), job)).collect();
        assert_eq!(refused, [4, 5]);
        assert_eq!(std::iter::from_fn(|| queue.pop()).collect::<Vec<_>>(), [1, 2, 3]);
    }
}
