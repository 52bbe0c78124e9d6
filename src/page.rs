//! What every page shows around its content: title, site name, flashes, the user who is logged in.

use crate::accounts::field_errors::FieldErrors;
use crate::app::App;
use crate::flash::Flash;

/// The frame of a page, `page` in the templates.
pub struct Page {
    /// Unique to the page: "Log in".
    pub title: &'static str,
    pub app: App,
    /// What happened before this page, each shown once.
    pub flashes: Vec<Flash>,
    /// What is wrong with the form. The title then starts with `Error: ` (GOV.UK).
    pub errors: FieldErrors,
    /// Of the user who is logged in.
    pub username: Option<String>,
    /// Whether the development mailbox exists and this visitor may read it.
    pub mailbox: bool,
}

impl Page {
    /// The frame of a page that shows a form again that was refused.
    #[must_use]
    pub fn with_errors(self, errors: FieldErrors) -> Self {
        Self { errors, ..self }
    }

    /// What the path of every link and form begins with.
    pub fn base(&self) -> &str {
        self.app.config.base_url.path()
    }

    /// The page that the site's name links to.
    pub fn home(&self) -> &'static str {
        self.app.config.base_url.home()
    }

    /// Whether the site's name is shown next to the logo.
    pub fn show_name(&self) -> bool {
        self.app.config.logo.as_ref().is_none_or(|logo| logo.show_name)
    }
}
