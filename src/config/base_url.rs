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

impl BaseUrl {
    /// Reads `https://id.example.org`, with a port or without; a `/` at the end is ignored.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text).map_err(|_| EXPECTED)?;
        let host = url.host_str().ok_or(EXPECTED)?;
        // Every Message-ID contains it, and mail servers accept no other characters there.
        let is_plain =
            host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-[]:".contains(&byte));
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let is_anonymous = url.username().is_empty() && url.password().is_none();
        if matches!(url.scheme(), "http" | "https") && is_plain && is_bare && is_anonymous {
            let origin = url.origin().ascii_serialization();
            Ok(Self { origin, host: host.to_owned(), https: url.scheme() == "https" })
        } else {
            Err(EXPECTED)
        }
    }

    /// `http://localhost:PORT`, the default. Browsers treat it as a secure context.
    pub fn localhost(port: u16) -> Self {
        let origin = match port {
            80 => "http://localhost".to_owned(),
            _ => format!("http://localhost:{port}"),
        };
        Self { origin, host: "localhost".to_owned(), https: false }
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

    /// The host as the right side of an email address, where IP addresses are in brackets
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
            assert_eq!(BaseUrl::parse(typed), Err(EXPECTED), "{typed}");
        }
    }

    #[test]
    fn the_default_is_localhost() {
        for (port, origin) in [(0, "http://localhost:0"), (80, "http://localhost")] {
            let url = BaseUrl::localhost(port);
            assert_eq!((url.origin(), url.host(), url.is_https()), (origin, "localhost", false));
        }
        assert_eq!(BaseUrl::parse("http://localhost:8000"), Ok(BaseUrl::localhost(8000)));
    }
}
