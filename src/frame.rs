//! The frame that an application puts around our pages in place of our own.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use crate::current_user::CurrentUser;

/// The parts of a page, for [`AppBuilder::frame`](crate::app::AppBuilder::frame).
///
/// All text is HTML, with what users typed escaped: put it into the page as it is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PageParts {
    /// What the page is for, "Log in"; after a refused form "Error: Log in".
    pub title: String,
    /// For `<head>`: the character set, `<title>`, icon, style sheet and script.
    pub head: String,
    /// For `<body>`: `<main>` with the heading and the form, and on account pages the links between them.
    pub content: String,
    /// For `<body>`: what has happened, like "You've been logged out."; mostly empty.
    pub notices: String,
    /// The user who is logged in. Not HTML: escape what you show of it.
    pub user: Option<CurrentUser>,
}

/// What makes the HTML of a whole page.
#[derive(Clone)]
pub struct Frame(Arc<dyn Fn(PageParts) -> String + Send + Sync>);

impl Frame {
    pub fn new(frame: impl Fn(PageParts) -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(frame))
    }

    /// Puts the frame around a page of ours, in which each part begins with its [`mark`]. `None` if it is
    /// no such page.
    pub fn around(&self, html: &str, user: Option<CurrentUser>) -> Option<String> {
        let mut parts: HashMap<&str, String> = HashMap::new();
        for part in html.split(MARK).skip(1) {
            let (name, text) = part.split_once(MARK_END)?;
            *parts.entry(name).or_default() += text.trim();
        }
        let mut part = |name| parts.remove(name);
        Some((self.0)(PageParts {
            title: part("title")?,
            head: part("head")?,
            content: part("content")?,
            notices: part("notices").unwrap_or_default(),
            user,
        }))
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("Frame")
    }
}

/// No text of a user has these: `<` is escaped.
const MARK: &str = "<!-- vestibule:";
const MARK_END: &str = " -->";

/// Where a part of a page begins. `rest` is left out.
pub fn mark(part: &str) -> String {
    format!("{MARK}{part}{MARK_END}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_with_the_same_name_are_joined_and_the_rest_is_left_out() {
        let frame = Frame::new(|page| {
            assert_eq!(page.user, None);
            format!("{}|{}|{}|{}", page.title, page.head, page.content, page.notices)
        });
        let text = [
            ("title", "T"),
            ("rest", "x"),
            ("head", "<H>"),
            ("content", " <1>\n"),
            ("notices", "N"),
            ("content", "<2>"),
            ("rest", "y"),
        ];
        let html: String = text.iter().map(|(name, text)| mark(name) + text).collect();
        assert_eq!(frame.around(&html, None).unwrap(), "T|<H>|<1><2>|N");
        assert_eq!(frame.around("<html>an email</html>", None), None);
    }
}
