//! The URL that people see the site at: an origin, and perhaps the path that all pages are under.

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

const EXPECTED: &str = "expected http:// or https://, a host, perhaps a port, and perhaps a path of letters, digits, -, _, . and ~, like https://id.example.org or https://example.org/auth";

/// An http or https URL. Its host is lower-case and in punycode, a default port is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    origin: String,
    path: String,
    host: String,
    https: bool,
}

impl BaseUrl {
    /// Reads `https://id.example.org` or `https://example.org/auth`; a `/` at the end is ignored.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let url = Url::parse(text).map_err(|_| EXPECTED)?;
        let host = url.host_str().ok_or(EXPECTED)?;
        // Every Message-ID contains it, and mail servers accept no other characters there.
        let is_plain =
            host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-[]:".contains(&byte));
        // As it was typed: Url resolves dot segments, and turns backslashes into slashes.
        let path = typed_path(text).filter(|path| is_plain_path(path)).ok_or(EXPECTED)?;
        let is_bare = url.path().trim_end_matches('/') == path
            && url.query().is_none()
            && url.fragment().is_none();
        let is_anonymous = url.username().is_empty() && url.password().is_none();
        if matches!(url.scheme(), "http" | "https") && is_plain && is_bare && is_anonymous {
            let (origin, https) = (url.origin().ascii_serialization(), url.scheme() == "https");
            Ok(Self { origin, path: path.to_owned(), host: host.to_owned(), https })
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
        Self { origin, path: String::new(), host: "localhost".to_owned(), https: false }
    }

    /// `https://id.example.org`, as a browser's `Origin` header says it (RFC 6454, 6.2).
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// What the path of every page begins with: empty, or `/auth` without a `/` at the end.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path of a page on the origin: `/auth/login` for `/login`.
    pub fn path_of(&self, page: &str) -> String {
        format!("{}{page}", self.path)
    }

    /// The page that the site's name links to. Below a path, the path itself may be the host application's page.
    pub fn home(&self) -> &'static str {
        if self.path.is_empty() { "/" } else { "/login" }
    }

    /// Whether this is production: `Secure` cookies, HSTS, no development mailbox.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Whether it leads to the machine that it is opened on.
    pub fn is_local(&self) -> bool {
        let address = self.host.trim_matches(['[', ']']).parse::<IpAddr>();
        let is_name = self.host == "localhost" || self.host.ends_with(".localhost");
        is_name || address.is_ok_and(|ip| ip.to_canonical().is_loopback())
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
        write!(f, "{}{}", self.origin, self.path)
    }
}

/// The path without the `/` at its end.
fn typed_path(text: &str) -> Option<&str> {
    let (_, rest) = text.trim().split_once("://")?;
    let path = rest.find('/').map_or("", |start| &rest[start..]);
    Some(path.strip_suffix('/').unwrap_or(path))
}

/// Whether no proxy, browser or router reads the path in another way. No segment begins with a dot:
/// those are relative, or of other programs (`/.well-known`).
fn is_plain_path(path: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    path.split('/').skip(1).all(|segment| {
        !segment.is_empty() && !segment.starts_with('.') && segment.bytes().all(is_plain)
    })
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
            assert_eq!((url.to_string().as_str(), url.path()), (origin, ""));
            assert_eq!(url.is_https(), typed.starts_with("https"));
        }
    }

    #[test]
    fn a_path_is_kept_without_the_slash_at_its_end() {
        for (typed, path) in [
            ("https://example.org/auth", "/auth"),
            ("https://example.org/auth/", "/auth"),
            ("https://Example.org:443/Auth/v1.0_a-b~c/", "/Auth/v1.0_a-b~c"),
        ] {
            let url = BaseUrl::parse(typed).unwrap();
            assert_eq!((url.origin(), url.path()), ("https://example.org", path));
            assert_eq!(url.to_string(), format!("https://example.org{path}"));
            assert_eq!(url.path_of("/login"), format!("{path}/login"));
            assert_eq!(url.host(), "example.org");
        }
    }

    #[test]
    fn more_than_an_origin_and_a_plain_path_is_refused() {
        for typed in [
            "",
            "id.example.org",
            "/auth",
            "https:id.example.org",
            "https:\\\\id.example.org",
            "https://id.example.org\\auth",
            "https://id.example.org//",
            "https://id.example.org/auth//",
            "https://id.example.org/a//b",
            "https://id.example.org/auth/..",
            "https://id.example.org/x/../auth",
            "https://id.example.org/%2e%2e/auth",
            "https://id.example.org/.well-known",
            "https://id.example.org/au%74h",
            "https://id.example.org/a b",
            "https://id.example.org/ä",
            "https://id.example.org/a\tb",
            "https://id.example.org/a;b",
            "https://id.example.org/{a}",
            "https://id.example.org/*a",
            "https://id.example.org/a\"b",
            "https://id.example.org/auth?a=b",
            "https://id.example.org/auth#top",
            "https://user@id.example.org/auth",
            "ftp://id.example.org",
            "https://",
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
