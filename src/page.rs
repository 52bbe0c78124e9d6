//! What every page shows around its own content: title, site name, notices, who is logged in.

use std::sync::Arc;

use crate::accounts::field_errors::FieldErrors;
use crate::app::App;
use crate::assets::Assets;
use crate::flash::Flash;

/// The frame of a page, `page` in the templates.
#[derive(Clone, Debug)]
pub struct Page {
    /// Unique to the page: "Log in".
    pub title: &'static str,
    /// `VESTIBULE_SITE_NAME`.
    pub site: String,
    /// Whether the name is written beside the logo.
    pub show_name: bool,
    /// Whether the page shows a refused form: its title then starts with `Error: ` (GOV.UK).
    pub failed: bool,
    /// What happened before this page, each shown once.
    pub flashes: Vec<Flash>,
    /// The username, when somebody is logged in.
    pub username: Option<String>,
    /// Whether the development mailbox exists and this visitor may read it.
    pub mailbox: bool,
    /// Where the static files are.
    pub assets: Arc<Assets>,
}

impl Page {
    /// The frame without a title, with nobody logged in and nothing to tell.
    pub fn new(app: &App, mailbox: bool) -> Self {
        Self {
            title: "",
            site: app.config.site_name.clone(),
            show_name: app.config.logo.as_ref().is_none_or(|logo| logo.show_name),
            failed: false,
            flashes: Vec::new(),
            username: None,
            mailbox,
            assets: Arc::clone(&app.assets),
        }
    }

    /// The frame of a page that shows a form, refused when there are errors.
    #[must_use]
    pub fn with(self, errors: &FieldErrors) -> Self {
        Self { failed: !errors.is_empty(), ..self }
    }
}
