//! The cap of open connections: more of them wait in line, and beyond that they are refused.

use std::collections::{HashMap, VecDeque};
use std::io::Write;
use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::task::{AbortHandle, Id};

use super::connection::InFlight;
use crate::event::Event;

/// Connections that wait until another one closes.
pub(super) const MAX_WAITING: usize = 64;

/// Written to a client whose request is not read.
const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// A connected client.
pub type Client = (TcpStream, SocketAddr);

/// The open connections and those that wait.
#[derive(Debug)]
pub struct ConnectionLimiter {
    max: usize,
    open: HashMap<Id, (AbortHandle, InFlight)>,
    waiting: VecDeque<Client>,
}

impl ConnectionLimiter {
    /// At most `max` connections at once.
    pub fn new(max: usize) -> Self {
        Self { max, open: HashMap::new(), waiting: VecDeque::new() }
    }

    /// Returns the client if it may be served now; else it waits or is rejected.
    pub fn accept(&mut self, client: Client) -> Option<Client> {
        if self.open.len() < self.max {
            return Some(client);
        }
        if self.waiting.is_empty() {
            Event::ConnectionsFull.write();
        }
        if self.waiting.len() < MAX_WAITING {
            self.waiting.push_back(client);
        } else {
            reject(client);
        }
        None
    }

    /// Counts a connection that `task` serves.
    pub fn add(&mut self, task: AbortHandle, in_flight: InFlight) {
        self.open.insert(task.id(), (task, in_flight));
    }

    /// Removes the connection of an ended task, and returns the client that is served next.
    pub fn remove(&mut self, task: Id) -> Option<Client> {
        self.open.remove(&task);
        self.waiting.pop_front()
    }

    /// Closes the connections without a request in flight.
    pub fn close_idle(&mut self) {
        for (task, _) in self.open.values().filter(|(_, in_flight)| in_flight.is_idle()) {
            task.abort();
        }
    }
}

fn reject((stream, _): Client) {
    if let Ok(mut stream) = stream.into_std() {
        let _ = stream.write(BUSY);
    }
}
