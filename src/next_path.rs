//! Where to go after logging in or out: a path on this site, a URL of an application, or nowhere.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use unicode_normalization::UnicodeNormalization;
use url::Url;

use crate::accounts::pasted::is_invisible;
use crate::config::Apps;

/// In decoded octets. Longer than any path of this site or of an application that mounts it.
const MAX_OCTETS: usize = 2000;

/// Encoded in a path, like all that is not ASCII.
const ODD: &AsciiSet = &AsciiSet::EMPTY.add(b' ');

/// Encoded in the value of `next`.
const IN_NEXT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The login page that leads on to `path`, which may have a query.
pub fn login_before(path: &str) -> String {
    with_next("/login", path)
}

/// `page` with `next` in its query.
pub fn with_next(page: &str, next: &str) -> String {
    format!("{page}?next={}", utf8_percent_encode(next, IN_NEXT))
}

/// A path on this site, with its query: `/x?y`, never `//x`, `/\x` or anything that a browser could
/// read as another site (ASVS 3.7.2). Or a URL of an application that the settings name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NextPath(Option<String>);

impl NextPath {
    /// Accepts a path on this site and nothing else. `/wiki/Übersicht` is kept percent-encoded, as browsers
    /// send it and `Location` needs it.
    pub fn parse(text: &str) -> Self {
        if !is_short(text) || !text.chars().all(is_plain) || !has_plain_segments(text) {
            return Self(None);
        }
        let encoded = utf8_percent_encode(text, ODD).to_string();
        // A server that normalises the path must not make another site of it.
        let is_followed = is_local(&encoded) && is_local(&text.nfkc().collect::<String>());
        Self(is_followed.then_some(encoded))
    }

    /// As [`NextPath::parse`], and takes a URL within `apps`, too.
    pub fn parse_with(text: &str, apps: &Apps) -> Self {
        match Self::parse(text) {
            Self(None) => Self(app_url(text, apps)),
            path => path,
        }
    }

    /// The path, or `fallback`.
    pub fn or<'a>(&'a self, fallback: &'a str) -> &'a str {
        self.0.as_deref().unwrap_or(fallback)
    }

    /// The path for a form's hidden field, empty when there is none.
    pub fn as_str(&self) -> &str {
        self.or("")
    }

    /// `?next=…` for a link to another form, empty when there is none.
    pub fn query(&self) -> String {
        let Some(path) = &self.0 else {
            return String::new();
        };
        let encoded: String = url::form_urlencoded::byte_serialize(path.as_bytes()).collect();
        format!("?next={encoded}")
    }
}

/// Whether a path is short enough to be followed.
pub fn is_short(text: &str) -> bool {
    percent_decode_str(text).nth(MAX_OCTETS).is_none()
}

/// The URL as it was judged, not as it was written.
fn app_url(text: &str, apps: &Apps) -> Option<String> {
    let is_url = text.starts_with("https://") || text.starts_with("http://");
    if !is_url || !is_short(text) || !text.chars().all(is_plain) {
        return None;
    }
    let url = Url::parse(text).ok()?;
    let is_anonymous = url.username().is_empty() && url.password().is_none();
    apps.find(&url).filter(|_| is_anonymous)?;
    Some(url.into())
}

/// Whether no parser reads `c` as the end of a line or as a slash.
fn is_plain(c: char) -> bool {
    !c.is_control() && !matches!(c, '\\' | '\u{fffd}')
}

/// Whether every segment begins with a visible character, and the first one not with a character that
/// normalises to a slash, as `℀` does.
fn has_plain_segments(text: &str) -> bool {
    let path = text.split(['?', '#']).next().unwrap_or_default();
    let is_blank = |c: char| c.is_whitespace() || is_invisible(c);
    let is_slash = |c: char| !c.is_ascii() && c.nfkc().any(|part| matches!(part, '/' | '\\'));
    !path.split('/').any(|segment| segment.starts_with(is_blank))
        && !path.trim_start_matches('/').starts_with(is_slash)
}

/// By the shape of the text first, then as browsers resolve it (WHATWG URL standard).
fn is_local(text: &str) -> bool {
    if !text.starts_with('/') || text.starts_with("//") {
        return false;
    }
    let resolved = Url::parse("http://vestibule.invalid/").and_then(|base| base.join(text));
    resolved.is_ok_and(|url| {
        url.origin().ascii_serialization() == "http://vestibule.invalid"
            && !url.path().starts_with("//")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_on_this_site_is_followed() {
        for path in ["/", "/account", "/a/b?c=d&e=%2F#f"] {
            assert_eq!(NextPath::parse(path).or("/fallback"), path);
        }
        assert_eq!(NextPath::parse("/a?b=c").query(), "?next=%2Fa%3Fb%3Dc");
    }

    #[test]
    fn what_is_not_ascii_is_followed_percent_encoded() {
        for (text, path) in [
            ("/wiki/Übersicht", "/wiki/%C3%9Cbersicht"),
            ("/wiki/%C3%9Cbersicht", "/wiki/%C3%9Cbersicht"),
            ("/wiki/My Page", "/wiki/My%20Page"),
            ("/search?q=grün & blau#Ähre", "/search?q=gr%C3%BCn%20&%20blau#%C3%84hre"),
            ("/ä", "/%C3%A4"),
            ("/例え/😀?x=日本", "/%E4%BE%8B%E3%81%88/%F0%9F%98%80?x=%E6%97%A5%E6%9C%AC"),
            ("/\u{3002}evil.example", "/%E3%80%82evil.example"),
            ("/wiki/\u{2100}", "/wiki/%E2%84%80"),
            ("/wiki/a\u{ff0f}b", "/wiki/a%EF%BC%8Fb"),
            ("/نام\u{200c}ها", "/%D9%86%D8%A7%D9%85%E2%80%8C%D9%87%D8%A7"),
        ] {
            let next = NextPath::parse(text);
            assert_eq!(next.as_str(), path);
            assert_eq!(NextPath::parse(path), next, "as the form sends it back");
            let page = Url::parse("http://localhost:8000/login").unwrap();
            assert_eq!(page.join(path).unwrap(), page.join(text).unwrap());
        }
    }

    #[test]
    fn a_space_at_the_end_is_part_of_the_path() {
        for (text, path) in [("/a ", "/a%20"), ("/a/b \u{3000}?c= ", "/a/b%20%E3%80%80?c=%20")] {
            let next = NextPath::parse(text);
            assert_eq!(next.as_str(), path);
            assert_eq!(NextPath::parse(path), next, "as the form sends it back");
        }
    }

    #[test]
    fn the_login_page_gets_the_path_and_the_query() {
        for (path, login) in [
            ("/account", "/login?next=/account"),
            ("/a/b?c=d&e=%2F", "/login?next=/a/b%3Fc%3Dd%26e%3D%252F"),
            ("/wiki/%C3%9C+", "/login?next=/wiki/%25C3%259C%2B"),
        ] {
            assert_eq!(login_before(path), login);
            let pairs = url::form_urlencoded::parse(login.split_once('?').unwrap().1.as_bytes());
            assert_eq!(pairs.map(|(_, next)| next.into_owned()).collect::<Vec<_>>(), [path]);
        }
    }

    /// What has led other sites astray (OWASP's list, Clearance CVE-2021-23435, Gitea
    /// CVE-2026-25779), and its variations.
    const ELSEWHERE: &[&str] = &[
        "",
        "x",
        "?next=x",
        "#x",
        ".",
        "./account",
        "../account",
        "evil.example",
        "//",
        "//evil.example",
        "///evil.example",
        "////evil.example",
        "/////evil.example/%2f..",
        "//evil.example@localhost",
        "//localhost@evil.example",
        "//evil.example:80",
        "//[::1]",
        "//0x7f000001",
        "/\\evil.example",
        "/\\/evil.example",
        "/\\\\evil.example",
        "\\/evil.example",
        "\\\\evil.example",
        "\\evil.example",
        "/account\\..\\..\\evil.example",
        "/\t/evil.example",
        "/\n/evil.example",
        "/\r/evil.example",
        "\t//evil.example",
        "\n//evil.example",
        "\u{b}//evil.example",
        "\u{a0}//evil.example",
        "\0//evil.example",
        " //evil.example",
        " /account",
        "/ /evil.example",
        "/\u{7f}/evil.example",
        "/\u{200b}/evil.example",
        "/\u{ad}/evil.example",
        "\u{feff}/account",
        "/\u{2f}\u{2f}evil.example",
        "\u{2044}\u{2044}evil.example",
        "\u{2215}\u{2215}evil.example",
        "\u{ff0f}\u{ff0f}evil.example",
        "/\u{ff0f}evil.example",
        "/\u{ff3c}evil.example",
        "/\u{2100}evil.example",
        "/\u{2101}evil.example",
        "/\u{2105}/evil.example",
        "/./\u{ff0f}evil.example",
        "/a/../\u{ff0f}evil.example",
        "/a/..\u{ff0f}\u{ff0f}evil.example",
        "/a/..\u{ff3c}\u{ff3c}evil.example",
        "/a/\u{ff0e}\u{ff0e}//evil.example",
        "/\u{ff0e}//evil.example",
        "/a/\u{2025}//evil.example",
        "/\u{fffd}/evil.example",
        "/\u{202e}/evil.example",
        "/\u{85}/evil.example",
        "/a\u{a0}/\u{a0}/evil.example",
        "/ä\\evil.example",
        "/ä/..//evil.example",
        "/ä?x=\\evil.example",
        "//ä.example",
        "/a?b=\nc",
        "/.//evil.example",
        "/..//evil.example",
        "/./..//evil.example",
        "/%2e//evil.example",
        "/%2E%2e//evil.example",
        "/.%2e//evil.example",
        "/a/..//evil.example",
        "/a/../..//evil.example",
        "/a/%2e%2e//evil.example",
        "/.///evil.example",
        "http:/evil.example",
        "http:evil.example",
        "http:///evil.example",
        "http://evil.example",
        "https://evil.example",
        "HTTPS://evil.example",
        "https:evil.example",
        "https:\\\\evil.example",
        "h\ttps://evil.example",
        "http://localhost@evil.example",
        "http://localhost:8000/account",
        "http://vestibule.invalid/account",
        "//vestibule.invalid/account",
        "ftp://evil.example",
        "file:///etc/passwd",
        "mailto:ann@evil.example",
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "java\nscript:alert(1)",
        "\u{1}javascript:alert(1)",
        "javascript://%0aalert(1)",
        "data:text/html,x",
        "vbscript:x",
        "blob:http://localhost/x",
        "view-source:http://evil.example",
        "/a\r\nSet-Cookie: x",
        "/%0d%0a/\0",
        "<//evil.example",
        "@evil.example",
        ":80/evil.example",
        "%2f%2fevil.example",
        "%2Faccount",
        "%5cevil.example",
    ];

    #[test]
    fn a_path_that_could_leave_the_site_is_not_followed() {
        for text in ELSEWHERE {
            assert_eq!(NextPath::parse(text).or("/fallback"), "/fallback", "{text:?}");
        }
    }

    /// Decoded no further than the query was, each is a path here.
    const ODD_BUT_HERE: &[&str] = &[
        "/%2f/evil.example",
        "/%2fevil.example",
        "/%5cevil.example",
        "/%09/evil.example",
        "/%0d%0aSet-Cookie:x",
        "/;/evil.example",
        "/;@evil.example",
        "/@evil.example",
        "/:80/evil.example",
        "/.evil.example",
        "/http://evil.example",
        "/javascript:alert(1)",
        "/account?//evil.example",
        "/account#//evil.example",
        "/account//evil.example",
        "/?next=//evil.example",
        "/%25252f%25252fevil.example",
        "/%C0%AFevil.example",
        "/%FF/evil.example",
        "/a/%E2%84%80//evil.example",
    ];

    #[test]
    fn what_only_looks_like_another_site_is_followed_as_the_path_that_it_is() {
        for text in ODD_BUT_HERE {
            let path = NextPath::parse(text);
            assert_eq!(path.or("/fallback"), *text, "{text:?}");
            let url = Url::parse("http://localhost:8000/login").unwrap().join(text).unwrap();
            assert_eq!(url.origin().ascii_serialization(), "http://localhost:8000", "{text:?}");
        }
    }

    fn with_apps(text: &str) -> NextPath {
        let apps = "https://wiki.example.org,https://example.org/app,http://localhost:3000";
        NextPath::parse_with(text, &Apps::parse(apps).unwrap())
    }

    #[test]
    fn a_url_of_an_application_is_followed_as_it_was_judged() {
        for (text, url) in [
            ("https://wiki.example.org", "https://wiki.example.org/"),
            ("https://wiki.example.org/a?b=c&d#e", "https://wiki.example.org/a?b=c&d#e"),
            ("https://WIKI.example.org:443//a", "https://wiki.example.org//a"),
            ("https://wiki.example.org/Über sicht", "https://wiki.example.org/%C3%9Cber%20sicht"),
            ("https://wiki\u{3002}example.org/", "https://wiki.example.org/"),
            ("https://example.org/app/x/../y", "https://example.org/app/y"),
            ("http://localhost:3000/?x", "http://localhost:3000/?x"),
            ("/account", "/account"),
        ] {
            assert_eq!(with_apps(text).as_str(), url, "{text}");
            assert_eq!(with_apps(url).as_str(), url, "as the form sends it back");
        }
    }

    #[test]
    fn no_other_url_is_followed_with_applications() {
        let near = [
            "https:/wiki.example.org/",
            "https:wiki.example.org/",
            "https:\\\\wiki.example.org",
            "https://wiki.example.org\\@evil.example/",
            "https://wiki.example.org@evil.example/",
            "https://wiki.example.org:443@evil.example/",
            "https://ann@wiki.example.org/",
            "https://:word@wiki.example.org/",
            "https://wiki.example.org.evil.example/",
            "https://wiki.example.org./",
            "https://evil.example/https://wiki.example.org/",
            "https://evil.example#https://wiki.example.org/",
            "https://wiki.example.org:8443/",
            "http://wiki.example.org/",
            "https://example.org/",
            "https://example.org/app/../admin",
            "https://example.org/app/..%2fadmin",
            "//wiki.example.org/",
            "\thttps://wiki.example.org/",
            " https://wiki.example.org/",
            "ht\ntps://wiki.example.org/",
            "https://wiki.\texample.org/",
            "https://wiki.example.org/a\r\nSet-Cookie: x",
            "javascript://wiki.example.org/%0aalert(1)",
            "http://localhost:3000.evil.example/",
        ];
        for text in near.iter().chain(ELSEWHERE) {
            assert_eq!(with_apps(text).as_str(), "", "{text:?}");
        }
        let long = format!("https://wiki.example.org/{}", "a".repeat(MAX_OCTETS));
        assert_eq!(with_apps(&long).as_str(), "");
    }

    #[test]
    fn what_is_very_long_is_not_followed() {
        let of = |length: usize| format!("/{}", "a".repeat(length - 1));
        assert_eq!(NextPath::parse(&of(MAX_OCTETS)).as_str(), of(MAX_OCTETS));
        assert_eq!(NextPath::parse(&of(MAX_OCTETS + 1)).as_str(), "");
        for (part, most) in [("ä", 999), ("例", 666), ("%FF", 1999)] {
            let next = NextPath::parse(&format!("/{}", part.repeat(most)));
            assert!(next.as_str().len() > MAX_OCTETS, "{part}");
            assert_eq!(NextPath::parse(next.as_str()), next, "as the form sends it back");
            assert_eq!(NextPath::parse(&format!("/{}", part.repeat(most + 1))).as_str(), "");
        }
        assert_eq!(NextPath::parse(&"/..".repeat(100_000)).as_str(), "");
    }
}
