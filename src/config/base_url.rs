//! The URL that people see the site at: an origin, nothing behind it.

use std::fmt;

use url::{Host, Url};

const EXPECTED: &str = "expected http:// or https://, a host and perhaps a port, with no path, like https://id.example.org";

/// An http or https origin. Its host is lower-case and in punycode, a default port is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    origin: String,
    host: String,
    https: bool,
}

/// Whether mail servers accept it, too: it is in every mail's Message-ID.
fn is_plain(host: &str) -> bool {
    host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-[]:".contains(&byte))
}

impl BaseUrl {
    /// Reads `https://id.example.org`, with a port or without; a `/` at the end is ignored.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|_| EXPECTED)?;
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return Err(EXPECTED.into()),
        };
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let anonymous = url.username().is_empty() && url.password().is_none();
        match url.host_str() {
            Some(host) if bare && anonymous && is_plain(host) => {
                Ok(Self::of(https, host, url.port()))
            }
            _ => Err(EXPECTED.into()),
        }
    }

    /// `http://localhost:PORT`, the default. Browsers treat it as a secure context.
    pub fn localhost(port: u16) -> Self {
        Self::of(false, "localhost", Some(port))
    }

    fn of(https: bool, host: &str, port: Option<u16>) -> Self {
        let (scheme, usual) = if https { ("https", 443) } else { ("http", 80) };
        let origin = match port {
            Some(port) if port != usual => format!("{scheme}://{host}:{port}"),
            _ => format!("{scheme}://{host}"),
        };
        Self { origin, host: host.into(), https }
    }

    /// `https://id.example.org`, as a browser's `Origin` header says it (RFC 6454, 6.2).
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether this is production: `Secure` cookies, HSTS, no development mailbox.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// The host without the port; an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The URL of the page at `path`.
    pub fn join(&self, path: &str) -> String {
        format!("{}/{}", self.origin, path.trim_start_matches('/'))
    }

    /// The same host at another port: port 0 becomes a real one only when the socket is bound.
    #[must_use]
    pub fn with_port(&self, port: u16) -> Self {
        Self::of(self.https, &self.host, Some(port))
    }

    /// The host as the right side of a mail address, where IP addresses stand in brackets
    /// (RFC 5321, 4.1.3).
    pub(super) fn mail_host(&self) -> String {
        match Host::parse(&self.host) {
            Ok(Host::Ipv4(address)) => format!("[{address}]"),
            _ => self.host.clone(),
        }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_write_it() {
        for (typed, origin) in [
            ("https://ID.Example.org", "https://id.example.org"),
            ("https://id.example.org:443/", "https://id.example.org"),
            ("http://id.example.org:80", "http://id.example.org"),
            ("http://[::1]:8000", "http://[::1]:8000"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
        ] {
            let url = BaseUrl::parse(typed).unwrap();
            assert_eq!(url.origin(), origin);
            assert_eq!(url.to_string(), origin);
            assert_eq!(url.is_https(), typed.starts_with("https"));
        }
    }

    #[test]
    fn more_than_an_origin_is_refused() {
        for typed in [
            "",
            "id.example.org",
            "ftp://id.example.org",
            "https://",
            "https://id.example.org/auth",
            "https://id.example.org/?a=b",
            "https://id.example.org/#top",
            "https://user@id.example.org",
            "https://user:word@id.example.org",
        ] {
            assert_eq!(BaseUrl::parse(typed), Err(EXPECTED.into()), "{typed}");
        }
    }

    #[test]
    fn a_path_is_joined_with_one_slash() {
        let url = BaseUrl::parse("https://id.example.org").unwrap();
        assert_eq!(url.join("/reset"), "https://id.example.org/reset");
        assert_eq!(url.join("reset"), "https://id.example.org/reset");
    }

    #[test]
    fn the_port_can_be_filled_in_later() {
        let url = BaseUrl::localhost(0);
        assert_eq!(url.origin(), "http://localhost:0");
        assert_eq!(url.with_port(4321).origin(), "http://localhost:4321");
        assert_eq!(url.with_port(80).origin(), "http://localhost");
        assert_eq!(url.host(), "localhost");
    }
}
