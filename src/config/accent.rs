//! The one accent colour of pages and mails, and what is made of it.

/// The accent colour in both schemes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accent {
    /// On light pages.
    pub light: Shades,
    /// On dark pages.
    pub dark: Shades,
}

/// What an accent is made of, each as `#rrggbb`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shades {
    /// Links and buttons.
    pub accent: String,
    /// Both under the pointer.
    pub up: String,
    /// Words on a button.
    pub on: String,
}

impl Shades {
    fn of(accent: &str, up: &str, on: &str) -> Self {
        Self { accent: accent.to_owned(), up: up.to_owned(), on: on.to_owned() }
    }
}

impl Default for Accent {
    /// A deep green.
    fn default() -> Self {
        Self {
            light: Shades::of("#1d5b50", "#123e37", "#fffefb"),
            dark: Shades::of("#83cbb9", "#a9e0d2", "#0e211c"),
        }
    }
}
