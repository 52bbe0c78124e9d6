//! Reads which other database a command means, from an argument or a file.

use std::path::PathBuf;

use url::Url;

use super::CommandError;
use crate::db::Location;

/// Reads an argument, or the file of a flag such as `--to-file`. With `takes_path`, a path is a SQLite file. A
/// URL without a password gets that of `PGPASSWORD`.
pub fn read(
    argument: (&str, Option<String>),
    file: (&str, Option<PathBuf>),
    takes_path: bool,
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
    parse(text.trim(), takes_path)
        .map_err(|message| CommandError::Usage(format!("{name}: {message}")))
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

fn parse(text: &str, takes_path: bool) -> Result<Location, String> {
    if text.starts_with("sqlite:") {
        return Location::parse(text);
    }
    let mut url = match Url::parse(text) {
        Ok(url) => url,
        Err(_) if takes_path && !text.contains("://") => return Ok(Location::Sqlite(text.into())),
        // The text may contain a password, and is not repeated.
        Err(_) => return Err("expected sqlite:PATH or postgres://USER@HOST/DATABASE".to_owned()),
    };
    if let (None, Ok(password)) = (url.password(), std::env::var("PGPASSWORD")) {
        // A URL without a host has none.
        let _ = url.set_password(Some(&password));
    }
    Location::parse(url.as_str())
}
