//! Who is connected: so many at once, and when it gets tight no address keeps the others out.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::io::Write;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use super::connection::AtWork;
use crate::event::{Details, Event};
use crate::models::client_address::{is_trusted, network};

/// How many may wait for a place. They are taken from the kernel's queue to see who they are: behind
/// a thousand of one address the others would not be found.
pub(super) const MOST_WAITING: usize = 64;

/// So many places nobody loses, were they all idle: a browser opens six connections at once. Where
/// there are few places, it is a quarter of them.
const LEFT_TO_EACH: usize = 8;

/// For who finds no place even to wait. Written to whoever has not been read from.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// A client who has connected.
pub type Client = (TcpStream, SocketAddr);

/// All places and those who wait for one.
#[derive(Debug)]
pub struct Places {
    most: usize,
    proxies: Vec<IpNet>,
    taken: Vec<Place>,
    /// How many of them each owner has.
    held: HashMap<IpAddr, usize>,
    waiting: VecDeque<Client>,
}

#[derive(Debug)]
struct Place {
    owner: Owner,
    at_work: AtWork,
    task: AbortHandle,
}

/// An IPv4 address or an IPv6 /56; none is a trusted proxy, who speaks for many.
type Owner = Option<IpAddr>;

impl Places {
    /// `most` places. The connections of `proxies` are counted against nobody.
    pub fn new(most: usize, proxies: Vec<IpNet>) -> Self {
        let (taken, held, waiting) = (Vec::new(), HashMap::new(), VecDeque::new());
        Self { most, proxies, taken, held, waiting }
    }

    /// Takes a client in line, and answers one to be served now, if there is a place. When there is
    /// none, the client's address may get one from the address that has the most.
    pub fn arrive(&mut self, client: Client) -> Option<Client> {
        self.waiting.push_back(client);
        if self.taken.len() < self.most {
            return self.next();
        }
        if self.waiting.len() == 1 {
            Event::ConnectionsFull.write(Details::default());
        }
        let newcomer = self.waiting.back().map(|(_, peer)| self.owner(*peer));
        if let Some(newcomer) = newcomer {
            self.make_room_for(newcomer);
        }
        self.turn_away();
        None
    }

    /// Notes that `task` serves `peer`.
    pub fn take(&mut self, peer: SocketAddr, at_work: AtWork, task: AbortHandle) {
        let owner = self.owner(peer);
        if let Some(owner) = owner {
            *self.held.entry(owner).or_default() += 1;
        }
        self.taken.push(Place { owner, at_work, task });
    }

    /// Notes that `task` has ended, and answers who may be served in its place.
    pub fn leave(&mut self, task: tokio::task::Id) -> Option<Client> {
        if let Some(at) = self.taken.iter().position(|place| place.task.id() == task) {
            let place = self.taken.remove(at);
            self.uncount(place.owner);
        }
        if self.taken.len() < self.most { self.next() } else { None }
    }

    /// Closes the connections on which no request is under way.
    pub fn close_without_head(&mut self) {
        for place in self.taken.iter().filter(|place| place.at_work.awaits_head()) {
            place.task.abort();
        }
    }

    /// Of those who wait, the first whose address has the fewest places.
    fn next(&mut self) -> Option<Client> {
        let places = |(_, peer): &Client| self.places_of(self.owner(*peer));
        let first = (0..self.waiting.len()).min_by_key(|&at| places(&self.waiting[at]))?;
        self.waiting.remove(first)
    }

    /// Ends the oldest connection that waits for its client, of the address that has the most among
    /// those with more than enough. Work under way is left to end: it does so by itself, and soon.
    fn make_room_for(&mut self, newcomer: Owner) {
        let enough = (self.most / 4).min(LEFT_TO_EACH).max(self.places_of(newcomer) + 1);
        if self.held.values().all(|places| *places <= enough) {
            return;
        }
        let held = |place: &Place| place.owner.and_then(|owner| self.held.get(&owner)).copied();
        let idle = self.taken.iter().enumerate().filter(|(_, place)| !place.at_work.get());
        let greedy = idle.filter_map(|(at, place)| held(place).map(|places| (places, at)));
        let greediest = greedy.filter(|(places, _)| *places > enough);
        if let Some((_, at)) = greediest.max_by_key(|(places, at)| (*places, Reverse(*at))) {
            let place = &mut self.taken[at];
            place.task.abort();
            // It is theirs no more, and is not chosen again until it has ended.
            let owner = place.owner.take();
            self.uncount(owner);
        }
    }

    /// When too many wait, the last of the address with the most, served or waiting, is told to come
    /// back. By those who wait alone, many addresses with a connection each would keep a newcomer out.
    fn turn_away(&mut self) {
        if self.waiting.len() <= MOST_WAITING {
            return;
        }
        let owners: Vec<Owner> = self.waiting.iter().map(|(_, peer)| self.owner(*peer)).collect();
        let waiting = |owner: Owner| owners.iter().filter(|other| **other == owner).count();
        // A proxy speaks for many: each of its clients is counted as one.
        let share = |owner: Owner| owner.map_or(1, |_| self.places_of(owner) + waiting(owner));
        let last = (0..owners.len()).max_by_key(|&at| share(owners[at]));
        let client = last.and_then(|at| self.waiting.remove(at));
        if let Some(Ok(mut stream)) = client.map(|(stream, _)| stream.into_std()) {
            let _ = stream.write(BUSY);
        }
    }

    fn places_of(&self, owner: Owner) -> usize {
        owner.and_then(|owner| self.held.get(&owner)).copied().unwrap_or(0)
    }

    fn uncount(&mut self, owner: Owner) {
        let Some(owner) = owner else { return };
        if let Some(places) = self.held.get_mut(&owner) {
            *places -= 1;
            if *places == 0 {
                self.held.remove(&owner);
            }
        }
    }

    fn owner(&self, peer: SocketAddr) -> Owner {
        let address = peer.ip().to_canonical();
        let is_proxy = is_trusted(address, &self.proxies);
        (!is_proxy).then(|| network(address))
    }
}
