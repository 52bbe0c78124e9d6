//! The URL of a request that a proxy asks about, as it says it.

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use url::Url;

/// Encoded in a path and a query, like all that is not ASCII.
const ODD: &AsciiSet = &CONTROLS.add(b'"').add(b'<').add(b'>').add(b'\\');

/// The URL of a request to an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardedUrl {
    /// As the rules for applications judge it.
    pub url: Url,
    /// Path and query as they were asked for.
    pub path: String,
}

impl ForwardedUrl {
    /// From `X-Forwarded-Proto`, `-Host` and `-Uri`. None of them may be a list, and a target that is
    /// not a path could change the host.
    pub fn from_parts(scheme: &[u8], host: &[u8], target: &[u8]) -> Option<Self> {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_[]:".contains(byte);
        let is_http = ["http", "https"].iter().any(|it| scheme.eq_ignore_ascii_case(it.as_bytes()));
        // Without a host, the first segment of the path would be taken for it.
        let is_host = !host.is_empty() && host.iter().all(is_plain);
        // No request has a space there, but a list of two has. No browser sends a fragment: servers do
        // not agree on whether a path ends at it.
        let is_path = target.starts_with(b"/") && !target.iter().any(|byte| b" #".contains(byte));
        if !is_http || !is_host || !is_path {
            return None;
        }
        let path = percent_encode(target, ODD).to_string();
        let (scheme, host) = (str::from_utf8(scheme).ok()?, str::from_utf8(host).ok()?);
        let url = Url::parse(&format!("{scheme}://{host}{path}")).ok()?;
        Some(Self { url, path })
    }

    /// From `X-Original-URL`.
    pub fn from_url(text: &[u8]) -> Option<Self> {
        let end = text.windows(3).position(|window| window == b"://")?;
        let (scheme, rest) = (&text[..end], &text[end + 3..]);
        let host = rest.split(|byte| *byte == b'/').next()?;
        let target = &rest[host.len()..];
        Self::from_parts(scheme, host, if target.is_empty() { b"/" } else { target })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<(String, String)> {
        let read = ForwardedUrl::from_url(text.as_bytes())?;
        Some((read.url.origin().ascii_serialization(), read.path))
    }

    #[test]
    fn a_url_is_read_as_browsers_read_it_and_its_path_is_kept_as_it_was_asked_for() {
        for (text, origin, path) in [
            ("https://wiki.example.org/a?b=c", "https://wiki.example.org", "/a?b=c"),
            ("https://wiki.example.org", "https://wiki.example.org", "/"),
            ("HTTPS://Wiki.Example.org:443/a/../B", "https://wiki.example.org", "/a/../B"),
            ("http://[::1]:3000/", "http://[::1]:3000", "/"),
            ("https://a.example//evil.example/", "https://a.example", "//evil.example/"),
            ("https://a.example/@evil.example", "https://a.example", "/@evil.example"),
            ("https://a.example/a,https://b/", "https://a.example", "/a,https://b/"),
            ("https://a.example/%2e%2e?x=%26", "https://a.example", "/%2e%2e?x=%26"),
            ("https://a.example/ä<\">\\", "https://a.example", "/%C3%A4%3C%22%3E%5C"),
        ] {
            assert_eq!(read(text), Some((origin.to_owned(), path.to_owned())), "{text}");
        }
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_no_url() {
        for text in [
            "",
            "/a",
            "://a.example/",
            "https:///a",
            "https:///a.example/a",
            "https://a.example, https://b.example/",
            "https, http://a.example/",
            "ftp://a.example/",
            "wss://a.example/",
            "https://a.example,b.example/",
            "https://ann@a.example/",
            "https://a.example@evil.example/",
            "https://a.example\\@evil.example/",
            "https://a.example#/x",
            "https://a.example?/x",
            "https://a exa.mple/",
            "https://ä.example/",
            "https://%61.example/",
            "https://a.example:x/",
            "https://a.example:99999/",
            "https://a.example/a, https://a.example/b",
            "https://a.example/a b",
            "https://a.example/a#b",
            "https://a.example/#",
            "https://a.example/a?b#c",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
        for target in
            ["", "a", "/a, /b", "@evil.example/", "http://evil.example/", "*", "?x", "\\x"]
        {
            let read = ForwardedUrl::from_parts(b"https", b"a.example", target.as_bytes());
            assert_eq!(read, None, "{target}");
        }
    }
}
