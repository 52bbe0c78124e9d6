//! Reads which other database a command means, from an argument or a file.

use std::path::{Path, PathBuf};

use url::Url;

use super::CommandError;
use crate::db::Location;

/// Reads an argument, or the file of a flag such as `--to-file`. A path is a SQLite file, and a URL without
/// a password gets that of `PGPASSWORD`.
pub fn read(
    argument: (&str, Option<String>),
    file: (&str, Option<PathBuf>),
) -> Result<Location, CommandError> {
    let ((name, text), (flag, file)) = (argument, file);
    let text = match (text, file) {
        (Some(text), _) => {
            refuse_password(&text, flag)?;
            text
        }
        (None, Some(file)) => {
            let failed = |cause| CommandError::Failed(format!("{}: {cause}", file.display()));
            std::fs::read_to_string(&file).map_err(failed)?
        }
        (None, None) => String::new(),
    };
    parse(text.trim()).map_err(|message| CommandError::Usage(format!("{name}: {message}")))
}

/// Every user of the machine can read the arguments.
fn refuse_password(text: &str, flag: &str) -> Result<(), CommandError> {
    let has_password = Url::parse(text).is_ok_and(|url| {
        url.password().is_some() || url.query_pairs().any(|(name, _)| name == "password")
    });
    if !has_password {
        return Ok(());
    }
    Err(CommandError::Usage(format!(
        "every user of this machine can read an argument: leave the password out of it, and set PGPASSWORD or use {flag}"
    )))
}

fn parse(text: &str) -> Result<Location, String> {
    if text.starts_with("sqlite:") {
        return Location::parse(text);
    }
    let Ok(mut url) = Url::parse(text) else { return Ok(Location::Sqlite(Path::new(text).into())) };
    if let (None, Ok(password)) = (url.password(), std::env::var("PGPASSWORD")) {
        // A URL without a host has none.
        let _ = url.set_password(Some(&password));
    }
    Location::parse(url.as_str())
}
