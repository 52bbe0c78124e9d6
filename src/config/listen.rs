//! Where connections are accepted: an address and a port, or a Unix socket.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// What the settings of a Unix socket begin with.
const UNIX: &str = "unix:";

/// The longest path that the kernel binds a Unix socket to.
const MAX_UNIX_PATH: usize = 107;

/// Where connections are accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An address of this machine; port 0 picks a free one.
    Tcp(SocketAddr),
    /// The file of a Unix socket.
    Unix(PathBuf),
}

impl Listen {
    /// Reads `127.0.0.1:8000` or `unix:/run/vestibule/socket`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some(path) = text.strip_prefix(UNIX) else {
            let address = text.parse().map(Self::Tcp);
            return address.map_err(|_| {
                "expected an address and a port, like 127.0.0.1:8000, or unix:PATH".to_owned()
            });
        };
        if (1..=MAX_UNIX_PATH).contains(&path.len()) {
            Ok(Self::Unix(path.into()))
        } else {
            Err(format!("expected a path of 1 to {MAX_UNIX_PATH} bytes after unix:"))
        }
    }

    /// The address and the path: without a base URL people see the port of http for a Unix socket, where a
    /// proxy must be.
    pub(super) fn into_parts(self) -> (SocketAddr, Option<PathBuf>) {
        match self {
            Self::Tcp(address) => (address, None),
            Self::Unix(path) => ((Ipv4Addr::LOCALHOST, 80).into(), Some(path)),
        }
    }

    /// Whether one program cannot listen to both.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let is_any = matches!(self, Self::Tcp(address) if address.port() == 0);
        self == other && !is_any
    }

    /// Whether only this machine can connect.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix(_) => true,
        }
    }
}

/// As the setting is written.
impl fmt::Display for Listen {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(to),
            Self::Unix(path) => write!(to, "{UNIX}{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_or_a_path_is_written_as_it_is_read() {
        for text in ["127.0.0.1:8000", "[::1]:0", "unix:/run/vestibule/socket", "unix:socket"] {
            assert_eq!(Listen::parse(text).unwrap().to_string(), text);
        }
        let longest = format!("unix:{}", "x".repeat(MAX_UNIX_PATH));
        assert!(Listen::parse(&longest).is_ok());
        for text in ["unix:", &format!("{longest}x")] {
            assert!(Listen::parse(text).unwrap_err().contains("1 to 107 bytes"), "{text}");
        }
        for text in ["", "localhost:8000", "127.0.0.1", "8000", "/run/socket", "UNIX:/run/socket"] {
            assert!(Listen::parse(text).unwrap_err().ends_with("or unix:PATH"), "{text}");
        }
    }
}
