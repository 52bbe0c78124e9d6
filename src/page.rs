//! What every page shows around its content: title, site name, flashes, the user who is logged in.

use crate::accounts::field_errors::FieldErrors;
use crate::app::App;
use crate::config::{UsernameMode, UsernameRule};
use crate::flash::Flash;
use crate::frame::mark;

/// The pages of the account: path and name. Those that change one thing belong to the first.
pub const ACCOUNT_PAGES: &[(&str, &str)] = &[
    ("/account", "Account"),
    ("/account/password", "Password"),
    ("/account/sessions", "Sessions"),
    ("/account/history", "History"),
];

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

    /// The label of the field for what people log in with.
    pub fn login_label(&self) -> &'static str {
        if self.app.config.usernames.are_used() { "Username or email" } else { "Email" }
    }

    /// The label of the field for a username.
    pub fn username_label(&self) -> &'static str {
        match self.app.config.usernames.mode {
            UsernameMode::Optional => "Username (optional)",
            _ => "Username",
        }
    }

    /// What a new username may be.
    pub fn username_hint(&self) -> &'static str {
        match self.app.config.usernames.rule {
            UsernameRule::Ascii => {
                "3–30 characters: letters, numbers, and single dots, dashes or underscores in between."
            }
            UsernameRule::Unicode => {
                "Letters of one alphabet, numbers, and @\u{a0}.\u{a0}+\u{a0}-\u{a0}_"
            }
        }
    }

    /// What the path of every link and form begins with.
    pub fn base(&self) -> &str {
        self.app.config.base_url.path()
    }

    /// The page that the site's name links to.
    pub fn home(&self) -> &'static str {
        self.app.config.base_url.home()
    }

    /// What the window's title begins with.
    pub fn full_title(&self) -> String {
        let prefix = if self.errors.is_empty() { "" } else { "Error: " };
        format!("{prefix}{}", self.title)
    }

    /// Whether an application puts its own frame around the page's parts.
    pub fn is_framed(&self) -> bool {
        self.app.frame.is_some()
    }

    /// Marks where a part begins, for that frame.
    pub fn mark(&self, part: &str) -> String {
        if self.is_framed() { mark(part) } else { String::new() }
    }

    /// Whether the site's name is shown next to the logo.
    pub fn show_name(&self) -> bool {
        self.app.config.logo.as_ref().is_none_or(|logo| logo.show_name)
    }
}
