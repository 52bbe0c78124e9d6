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

    #[test]
    fn what_could_leave_the_site_is_not() {
        for text in [
            "",
            "x",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/a\r\nSet-Cookie: x",
            " /account",
            "/ä",
            "/.//evil.example",
            "/..//evil.example",
            "/%0d%0a/\0",
            "http:/evil.example",
            "?next=x",
        ] {
            assert_eq!(NextPath::parse(text).or("/fallback"), "/fallback", "{text:?}");
        }
    }
}
