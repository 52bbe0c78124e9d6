//! A client that keeps its connection and parses as little of a response as possible.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a response may take.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// A client with one connection, opened when it is needed.
pub struct Client {
    address: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

/// The head of a response. Its body was read and discarded.
pub struct Answer {
    pub status: u16,
    head: String,
}

impl Answer {
    /// The value of a header.
    fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }

    pub fn location(&self) -> &str {
        self.header("location").unwrap_or_default()
    }

    /// `name=value` of a cookie that was set.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        let set = lines.filter(|(header, _)| header.eq_ignore_ascii_case("set-cookie"));
        let mut pairs = set.filter_map(|(_, value)| value.split(';').next());
        pairs.find(|pair| pair.split('=').next() == Some(name)).map(str::to_owned)
    }

    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.head);
        self
    }
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, stream: None, buffer: Vec::with_capacity(16 * 1024) }
    }

    /// Sends a request and reads the response.
    pub fn ask(&mut self, request: &[u8]) -> Answer {
        let address = self.address;
        let stream = self.stream.get_or_insert_with(|| connected(address));
        stream.write_all(request).expect("the server closed the connection");
        self.buffer.clear();
        let body = loop {
            if let Some(at) = position(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            self.read_more();
        };
        let head = String::from_utf8_lossy(&self.buffer[..body]).into_owned();
        let answer = Answer { status: head[9..12].parse().expect("a status"), head };
        match answer.header("content-length") {
            Some(length) => self.read_to(body + length.parse::<usize>().expect("a length")),
            None => self.read_chunks(body),
        }
        // The server closes a connection that is older than half a minute.
        if answer.header("connection") == Some("close") {
            self.stream = None;
        }
        answer
    }

    fn read_more(&mut self) {
        let mut part = [0; 16 * 1024];
        let stream = self.stream.as_mut().expect("it is connected");
        let length = stream.read(&mut part).expect("the server does not answer");
        assert_ne!(length, 0, "the server closed the connection");
        self.buffer.extend_from_slice(&part[..length]);
    }

    fn read_to(&mut self, end: usize) {
        while self.buffer.len() < end {
            self.read_more();
        }
    }

    /// Reads a chunked body: each chunk follows a line with its length, and the last is empty.
    fn read_chunks(&mut self, mut at: usize) {
        loop {
            let Some(end) = position(&self.buffer[at..], b"\r\n") else {
                self.read_more();
                continue;
            };
            let line = std::str::from_utf8(&self.buffer[at..at + end]).expect("a chunk's length");
            let length = usize::from_str_radix(line, 16).expect("a chunk's length");
            at += end + 2 + length + 2;
            self.read_to(at);
            if length == 0 {
                return;
            }
        }
    }
}

fn connected(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server does not listen");
    stream.set_nodelay(true).expect("a socket");
    stream.set_read_timeout(Some(READ_TIMEOUT)).expect("a socket");
    stream
}

fn position(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

/// The bytes of a GET request with additional headers.
pub fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{}\r\n", lines(headers)).into_bytes()
}

/// The bytes of a form, sent as from a page of the same site.
pub fn post(
    address: SocketAddr,
    path: &str,
    fields: &[(&str, &str)],
    headers: &[(&str, &str)],
) -> Vec<u8> {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nOrigin: http://{address}\r\n{}\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        lines(headers),
        body.len()
    )
    .into_bytes()
}

fn lines(headers: &[(&str, &str)]) -> String {
    let lines = headers.iter().map(|(name, value)| [name, ": ", value, "\r\n"].concat());
    lines.collect()
}
