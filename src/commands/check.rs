//! `vestibule check`: try everything that the settings name, and say what to mend.

use url::Url;

use super::{CommandError, print};
use crate::check::{self, Status};
use crate::config::Config;

pub const EXAMPLES: &str = "\
It changes nothing and sends no email. Each line begins with ok, warning or failed. \
Exit status: 0 without a failed line, 1 with one, 2 if the settings are wrong. \
docs/checks.md explains each line.

Examples:
  vestibule check
  vestibule check --url https://accounts.example.org
  vestibule check --json";

#[derive(clap::Args)]
pub struct Check {
    /// Ask the site at URL, too, through its proxy, as a visitor does who forges headers
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The error does not repeat the text, as clap would: it may hold a password.
fn site_url(text: &str) -> Result<Url, CommandError> {
    let url = Url::parse(text).ok().filter(|url| {
        let is_bare = url.query().is_none() && url.fragment().is_none();
        let is_anonymous = url.username().is_empty() && url.password().is_none();
        ["http", "https"].contains(&url.scheme()) && is_bare && is_anonymous
    });
    url.ok_or_else(|| {
        let expected = "--url: expected the URL that people see, without a user or a query, like https://accounts.example.org";
        CommandError::Usage(expected.to_owned())
    })
}

pub async fn run(command: Check, config: &Config) -> Result<(), CommandError> {
    let url = command.url.as_deref().map(site_url).transpose()?;
    let findings = check::run(config, url.as_ref()).await;
    if command.json {
        print(&serde_json::to_string_pretty(&findings)?)?;
    } else {
        findings.iter().try_for_each(print)?;
    }
    match findings.iter().filter(|finding| finding.status == Status::Failed).count() {
        0 => Ok(()),
        1 => Err(CommandError::Failed("one check failed".to_owned())),
        count => Err(CommandError::Failed(format!("{count} checks failed"))),
    }
}
