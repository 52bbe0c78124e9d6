//! What every page shows around its own content: title, site name, notices, who is logged in.

use crate::assets;
use crate::forms::Errors;

/// The frame of a page, `page` in the templates.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Unique to the page: "Log in".
    pub title: &'static str,
    /// `VESTIBULE_SITE_NAME`.
    pub site: String,
    /// Whether the page shows a refused form: its title then starts with `Error: ` (GOV.UK).
    pub failed: bool,
    /// What happened before this page, each shown once.
    pub notices: Vec<String>,
    /// The username, when somebody is logged in.
    pub username: Option<String>,
    /// Whether the development mailbox exists and may be linked to.
    pub mailbox: bool,
}

impl Page {
    /// The frame of a page that shows a form, refused when there are errors.
    #[must_use]
    pub fn with(self, errors: &Errors) -> Self {
        Self { failed: !errors.is_empty(), ..self }
    }

    /// The path of the style sheet.
    #[expect(clippy::unused_self, reason = "templates call it on the page")]
    pub fn css(&self) -> &'static str {
        assets::css()
    }

    /// The path of the script.
    #[expect(clippy::unused_self, reason = "templates call it on the page")]
    pub fn script(&self) -> &'static str {
        assets::script()
    }

    /// The path of the icon.
    #[expect(clippy::unused_self, reason = "templates call it on the page")]
    pub fn icon(&self) -> &'static str {
        assets::icon()
    }
}
