//! The server's key: whether there is one that is private, random, and the database's.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use zeroize::Zeroizing;

use super::Finding;
use crate::config::Config;
use crate::db::{Db, Location};
use crate::disk::why_not_writable;
use crate::key::ServerKey;
use crate::permissions::why_not_private;

const NAME: &str = "key";

/// The finding, and the key if there is one.
pub fn check(config: &Config, db: Option<&Db>) -> (Finding, Option<ServerKey>) {
    if let Some(key) = &config.secret {
        return (Finding::ok(NAME, "VESTIBULE_SECRET"), Some(key.clone()));
    }
    let Location::Sqlite(database) = &config.database else {
        return (Finding::failed(NAME, "VESTIBULE_SECRET is missing"), None);
    };
    let path = database.with_file_name("vestibule.key");
    match read(&path) {
        Ok(Some(key)) => {
            (Finding::ok(NAME, format!("{}, private and random", path.display())), Some(key))
        }
        Ok(None) => (missing(&path, db.is_some()), None),
        Err(why) => (Finding::failed(NAME, format!("{}: {why}", path.display())), None),
    }
}

fn missing(path: &Path, has_database: bool) -> Finding {
    let shown = path.display();
    if let Some(why) = why_not_writable(path) {
        return Finding::failed(NAME, format!("{shown} cannot be created: {why}"));
    }
    if has_database {
        return Finding::failed(
            NAME,
            format!("{shown} is missing beside its database: restore it, or set VESTIBULE_SECRET"),
        );
    }
    Finding::ok(NAME, format!("{shown} does not exist: the first start creates it"))
}

/// As the start reads it, which also takes the rights from the group.
fn read(path: &Path) -> Result<Option<ServerKey>, String> {
    let mut file = match File::open(path) {
        Err(cause) if cause.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(|cause| format!("cannot be read: {cause}"))?,
    };
    let metadata = file.metadata().map_err(|cause| cause.to_string())?;
    if let Some(why) = why_not_private(path, &metadata) {
        return Err(why);
    }
    let mut text = Zeroizing::new(String::new());
    file.read_to_string(&mut text).map_err(|cause| format!("cannot be read: {cause}"))?;
    ServerKey::from_base64(&text).map(Some)
}
