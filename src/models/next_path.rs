//! Where to go after logging in: a path on this site, or nowhere.

use url::Url;

/// Longer than any path of ours or of an application that mounts us.
const LONGEST: usize = 2000;

/// A path on this site, with its query: `/x?y`, never `//x`, `/\x` or anything that a browser could
/// read as another site (ASVS 3.7.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NextPath(Option<String>);

impl NextPath {
    /// Takes what is a path on this site, and nothing else.
    pub fn parse(text: &str) -> Self {
        Self(is_local(text).then(|| text.to_owned()))
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

/// By the shape of the text first, then by what the standard that browsers follow makes of it.
fn is_local(text: &str) -> bool {
    let is_plain =
        text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let leads_here = text.starts_with('/') && !text.starts_with("//");
    let base = Url::parse("http://vestibule.invalid/").ok();
    let resolved = base.as_ref().and_then(|base| base.join(text).ok());
    is_plain
        && leads_here
        && resolved.zip(base).is_some_and(|(url, base)| {
            url.origin() == base.origin() && !url.path().starts_with("//")
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
        "/account ",
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
        "/\u{3002}evil.example",
        "/ä",
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
        "/a\u{560a}\u{560d}Set-Cookie: x",
        "/%0d%0a/\0",
        "<//evil.example",
        "@evil.example",
        ":80/evil.example",
        "%2f%2fevil.example",
        "%2Faccount",
        "%5cevil.example",
    ];

    #[test]
    fn what_could_leave_the_site_is_not() {
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

    #[test]
    fn what_is_very_long_is_not_followed() {
        let of = |length: usize| format!("/{}", "a".repeat(length - 1));
        assert_eq!(NextPath::parse(&of(LONGEST)).as_str(), of(LONGEST));
        assert_eq!(NextPath::parse(&of(LONGEST + 1)).as_str(), "");
        assert_eq!(NextPath::parse(&"/..".repeat(100_000)).as_str(), "");
    }
}
