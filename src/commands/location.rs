//! Reads which other database a command means, from an argument or a file.

use std::io::Read;
use std::path::PathBuf;

use url::Url;

use super::CommandError;
use crate::db::Location;
use crate::disk;

const EXPECTED: &str = "expected sqlite:PATH or postgres://USER@HOST/DATABASE";

/// Reads an argument, or the file of a flag such as `--to-file`, and says what to call the database in messages.
/// With `takes_path`, a path is a SQLite file. A URL without a password gets that of `PGPASSWORD`.
pub fn read(
    argument: (&str, Option<String>),
    file: (&str, Option<PathBuf>),
    takes_path: bool,
) -> Result<(Location, String), CommandError> {
    let ((name, text), (flag, file)) = (argument, file);
    let (name, text) = match (text, file) {
        (Some(text), _) => {
            refuse_password(&text, flag)?;
            (name.to_owned(), text)
        }
        (_, file) => {
            let (file, mut text) = (file.unwrap_or_default(), String::new());
            let name = format!("{flag} {}", file.display());
            let failed = |cause| CommandError::Failed(format!("{name}: {cause}"));
            let mut opened = disk::open(&file).map_err(failed)?;
            opened.read_to_string(&mut text).map_err(|cause| failed(cause.to_string()))?;
            (name, text)
        }
    };
    let location = parse(text.trim(), takes_path);
    let location = location.map_err(|why| CommandError::Usage(format!("{name}: {why}")))?;
    match &location {
        Location::Sqlite(path) => Ok((location.clone(), path.display().to_string())),
        _ => Ok((location, name)),
    }
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
    if !["sqlite:", "postgres:", "postgresql:"].iter().any(|known| text.starts_with(known)) {
        let is_path = takes_path && !text.is_empty() && !text.contains("://");
        // A URL may contain a password, and is not repeated.
        return if is_path { Ok(Location::Sqlite(text.into())) } else { Err(EXPECTED.to_owned()) };
    }
    let url = Url::parse(text).ok().filter(|url| url.scheme() != "sqlite");
    let Some(mut url) = url else { return Location::parse(text) };
    if let (None, Ok(password)) = (url.password(), std::env::var("PGPASSWORD")) {
        // A URL without a host has none.
        let _ = url.set_password(Some(&password));
    }
    Location::parse(url.as_str())
}
