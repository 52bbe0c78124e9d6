//! The server's key: whether there is one that is private, random, and the database's.

use std::path::Path;

use super::Finding;
use crate::config::Config;
use crate::db::Db;
use crate::disk::why_not_writable;
use crate::key::{ServerKey, file};
use crate::models::server_key::find_server_key;

const NAME: &str = "key";

/// The finding, and the key if there is one, as the server uses it.
pub async fn check(config: &Config, db: Option<&Db>) -> (Finding, Option<ServerKey>) {
    let (shown, key) = if let Some(key) = &config.secret {
        ("VESTIBULE_SECRET".to_owned(), key.clone())
    } else {
        let Some(path) = config.key_file() else {
            return (Finding::failed(NAME, "VESTIBULE_SECRET is missing"), None);
        };
        let shown = path.display().to_string();
        match file::inspect(&path) {
            Ok(Some(key)) => (shown, key),
            Ok(None) => return (missing(&path, db.is_some()), None),
            Err(why) => return (Finding::failed(NAME, why), None),
        }
    };
    let Some(used) = of_database(&key, db).await else {
        let why = "is not the key that the database was used with: restore that key, or see `vestibule serve --accept-new-key`";
        return (Finding::failed(NAME, format!("{shown} {why}")), Some(key));
    };
    (Finding::ok(NAME, format!("{shown}, private and random")), Some(used))
}

/// The key as the server has it from the database; none if the database was used with another. Before the
/// first start, and with an older schema, nothing is known of it.
async fn of_database(key: &ServerKey, db: Option<&Db>) -> Option<ServerKey> {
    let row = match db {
        Some(db) => find_server_key(db.reader()).await.ok().flatten(),
        None => None,
    };
    row.map_or_else(|| Some(key.clone()), |row| row.open(key))
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
