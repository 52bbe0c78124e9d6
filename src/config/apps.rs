//! The applications behind the login: the only places outside of this site that it leads to.

use percent_encoding::percent_decode_str;
use url::Url;

const EXPECTED: &str = "expected URLs of applications, separated by commas, each an origin or an origin and a path, \
    like https://wiki.example.org,https://example.org/app, or none";

const EXPECTED_AFTER_LOGIN: &str =
    "expected a path on this site, like /account, or a URL within VESTIBULE_APPS";

/// The applications of `VESTIBULE_APPS`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Apps(Vec<AppUrl>);

/// An application: an origin, or what lies under a path of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppUrl {
    /// `https://wiki.example.org`, as a browser's `Origin` header says it.
    pub origin: String,
    /// `/app`, or empty: never with a slash at its end.
    path: String,
}

impl Apps {
    /// Reads URLs that are separated by commas, or `none`.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::default());
        }
        let apps = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let apps = apps.map(|app| AppUrl::parse(app).ok_or_else(|| EXPECTED.to_owned()));
        apps.collect::<Result<_, _>>().map(Self)
    }

    /// The application that `url` belongs to.
    pub fn find(&self, url: &Url) -> Option<&AppUrl> {
        let origin = url.origin().ascii_serialization();
        self.at(&origin).find(|app| app.contains(url.path()))
    }

    /// The applications of an origin.
    pub fn at(&self, origin: &str) -> impl Iterator<Item = &AppUrl> {
        self.0.iter().filter(move |app| app.origin == origin)
    }

    /// Every origin, once.
    pub fn origins(&self) -> Vec<&str> {
        let mut origins: Vec<_> = self.0.iter().map(|app| app.origin.as_str()).collect();
        origins.sort_unstable();
        origins.dedup();
        origins
    }
}

impl AppUrl {
    fn parse(text: &str) -> Option<Self> {
        let url = Url::parse(text).ok().filter(is_bare)?;
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte);
        let host = url.host_str().filter(|host| host.bytes().all(is_plain))?;
        (!host.ends_with('.')).then(|| Self {
            origin: url.origin().ascii_serialization(),
            path: url.path().trim_end_matches('/').to_owned(),
        })
    }

    /// The URL of the application's own start.
    pub fn start(&self) -> String {
        format!("{}{}/", self.origin, self.path)
    }

    /// Whether `path` begins with the application's path, and no server can read it as one that leaves
    /// that path, not even to come back: servers do not agree on which dot segments they resolve.
    pub fn contains(&self, path: &str) -> bool {
        let rest = path.strip_prefix(self.path.as_str());
        let is_below = |rest: &str| rest.is_empty() || rest.starts_with('/');
        self.path.is_empty() || rest.is_some_and(|rest| is_below(rest) && stays_below(rest))
    }
}

/// Http or https, with nothing behind the path and nobody before the host.
fn is_bare(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
}

/// Whether no dot segments of `path` lead above its start, in the reading in which they lead highest:
/// nginx decodes a path and merges slashes before it resolves them, some servers take a backslash for a
/// slash, and Java servers drop what follows a semicolon in a segment.
fn stays_below(path: &str) -> bool {
    let mut depth = 0_usize;
    for segment in path.split('/') {
        let decoded: Vec<u8> = percent_decode_str(segment).collect();
        let parts: Vec<_> = decoded.split(|byte| matches!(byte, b'/' | b'\\')).collect();
        // Several segments to one server, a single one to another.
        let is_ambiguous = parts.len() > 1;
        for part in parts {
            match part.split(|byte| *byte == b';').next().unwrap_or_default() {
                b".." if depth == 0 => return false,
                b".." => depth -= 1,
                b"" | b"." => {}
                _ => depth += usize::from(!is_ambiguous),
            }
        }
    }
    true
}

/// A path on this site, or a URL within `apps`.
pub(super) fn after_login(text: &str, apps: &Apps) -> Result<String, String> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let base = Url::parse("http://vestibule.invalid/").map_err(|_| EXPECTED_AFTER_LOGIN)?;
    let url = base.join(text).map_err(|_| EXPECTED_AFTER_LOGIN)?;
    let is_here =
        text.starts_with('/') && url.origin() == base.origin() && !url.path().starts_with("//");
    match apps.find(&url) {
        _ if !is_plain => Err(EXPECTED_AFTER_LOGIN.into()),
        _ if is_here => Ok(text.into()),
        Some(_) if url.username().is_empty() && url.password().is_none() => Ok(url.into()),
        _ => Err(EXPECTED_AFTER_LOGIN.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(apps: &str, url: &str) -> bool {
        Apps::parse(apps).unwrap().find(&Url::parse(url).unwrap()).is_some()
    }

    const APPS: &str = "https://wiki.example.org, https://example.org/app/,http://localhost:3000,";

    const WITHIN: &[&str] = &[
        "https://wiki.example.org",
        "https://WIKI.example.org:443/any?x#y",
        "https://wiki.example.org//evil.example/",
        "https://example.org/app",
        "https://example.org/app?x",
        "https://example.org/app/",
        "https://example.org/app/a/../b",
        "https://example.org/app/a;b/..;/c",
        "https://example.org/x/../app/",
        "https://example.org/app/%2e%2e/app/",
        "http://localhost:3000/",
    ];

    const OUTSIDE: &[&str] = &[
        "http://wiki.example.org/",
        "https://wiki.example.org./",
        "https://wiki.example.org:8443/",
        "https://wiki.example.org.evil.example/",
        "https://a.wiki.example.org/",
        "https://evilwiki.example.org/",
        "https://wiki.example.org@evil.example/",
        "https://example.org/",
        "https://example.org/application",
        "https://example.org/APP/",
        "https://example.org/%61pp/",
        "https://example.org//app/",
        "https://example.org/app/..",
        "https://example.org/app/../admin",
        "https://example.org/app/%2e%2e/admin",
        "https://example.org/app/.%2E/admin",
        "https://example.org/app/..;/admin",
        "https://example.org/app/..;x=y/admin",
        "https://example.org/app/a/..%3b/%2e%2e;/admin",
        "https://example.org/app/..%2fadmin",
        "https://example.org/app/..%2Fadmin",
        "https://example.org/app/%2e%2e%2fadmin",
        "https://example.org/app%2f..%2fadmin",
        "https://example.org/app/..%5cadmin",
        "https://example.org/app/..\\admin",
        "https://example.org/app/a//..%2f..%2fadmin",
        "https://example.org/app/a%2f..%2fb",
        "https://example.org/app/a%2fb/..;/..;/admin",
        "http://localhost/",
        "http://localhost:3001/",
        "https://localhost:3000/",
        "http://127.0.0.1:3000/",
        "ftp://wiki.example.org/",
    ];

    #[test]
    fn an_application_is_an_origin_or_what_lies_under_its_path() {
        for url in WITHIN {
            assert!(has(APPS, url), "{url}");
        }
        for url in OUTSIDE {
            assert!(!has(APPS, url), "{url}");
        }
    }

    #[test]
    fn origins_are_told_once_as_browsers_write_them() {
        let apps = Apps::parse("https://B.example:443/x,https://b.example/y,http://a.example:80");
        let apps = apps.unwrap();
        assert_eq!(apps.origins(), ["http://a.example", "https://b.example"]);
        let starts: Vec<_> = apps.at("https://b.example").map(AppUrl::start).collect();
        assert_eq!(starts, ["https://b.example/x/", "https://b.example/y/"]);
        assert_eq!(Apps::parse("none"), Ok(Apps::default()));
        assert_eq!(Apps::parse(""), Ok(Apps::default()));
    }

    #[test]
    fn what_is_no_url_of_an_application_is_refused() {
        for text in [
            "wiki.example.org",
            "*",
            "https://*.example.org",
            "https://",
            "https://wiki.example.org.",
            "https://wiki.example.org?x",
            "https://wiki.example.org/#x",
            "https://ann@wiki.example.org",
            "https://ann:word@wiki.example.org",
            "ftp://wiki.example.org",
            "javascript:alert(1)",
            "https://wiki.example.org https://b.example",
            "https://wiki.example.org;https://b.example",
            "https://wiki.example.org,none",
            "/app",
        ] {
            assert_eq!(Apps::parse(text), Err(EXPECTED.into()), "{text}");
        }
    }

    #[test]
    fn a_place_is_a_path_here_or_a_url_within_the_applications() {
        let apps = Apps::parse("https://wiki.example.org,https://example.org/app").unwrap();
        for (text, kept) in [
            ("/account", "/account"),
            ("/", "/"),
            ("/notes?x=y", "/notes?x=y"),
            ("https://WIKI.example.org", "https://wiki.example.org/"),
            ("https://example.org/app/start", "https://example.org/app/start"),
        ] {
            assert_eq!(after_login(text, &apps), Ok(kept.into()));
        }
        for text in [
            "",
            "account",
            "//evil.example",
            "//wiki.example.org@evil.example",
            "/\\evil.example",
            "/.//evil.example",
            "/a b",
            "/ä",
            "https://evil.example",
            "https://example.org/other",
            "https://example.org/app/../other",
            "https://ann@wiki.example.org",
            "javascript:alert(1)",
        ] {
            assert_eq!(after_login(text, &apps), Err(EXPECTED_AFTER_LOGIN.into()), "{text}");
        }
    }
}
