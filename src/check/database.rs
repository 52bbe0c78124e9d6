//! The database: whether it can be opened and written, and how it is set up.

use std::path::Path;

use super::Finding;
use crate::db::{Db, DbError, Location, Migrations, Server, latest_version};
use crate::disk::{folder_of, free_bytes, why_not_writable};
use crate::permissions::{why_folder_not_trusted, why_not_private};

const NAME: &str = "database";

/// The oldest PostgreSQL that its authors still mend.
const OLDEST_POSTGRES: i64 = 14;

/// Below the first a disk is full soon, below the second now.
const LITTLE_SPACE: u64 = 1 << 30;
const NO_SPACE: u64 = 64 << 20;

/// The findings, and the database if it can be read.
pub async fn check(location: &Location) -> (Vec<Finding>, Option<Db>) {
    let mut findings = Vec::new();
    let opened = match location {
        Location::Sqlite(path) if !path.exists() => {
            findings.push(missing(path));
            None
        }
        _ => match Db::open_as_is(location).await {
            Ok(db) => Some(db),
            Err(error) => {
                findings.push(Finding::failed(NAME, error.to_string()));
                None
            }
        },
    };
    if let Some(db) = &opened {
        findings.extend(read(db, location).await.unwrap_or_else(|error| {
            vec![Finding::failed(NAME, format!("it cannot be read: {error}"))]
        }));
    }
    if let Location::Sqlite(path) = location {
        let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        findings.extend(exposed(&path));
        findings.extend(free_space(folder_of(&path)));
    }
    (findings, opened)
}

fn missing(path: &Path) -> Finding {
    let shown = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match why_not_writable(path) {
        Some(why) => Finding::failed(NAME, format!("{} cannot be created: {why}", shown.display())),
        None => Finding::warning(
            NAME,
            format!(
                "{} does not exist: the first start creates it. If there is one already, run this in its folder, or correct VESTIBULE_DATABASE_URL",
                shown.display()
            ),
        ),
    }
}

async fn read(db: &Db, location: &Location) -> Result<Vec<Finding>, DbError> {
    let (product, major) = db.product().await?;
    let mut findings = vec![match db.try_to_write().await {
        Err(error) => Finding::failed(NAME, format!("{product}, takes no writes: {error}")),
        Ok(()) if db.is_postgres() && major < OLDEST_POSTGRES => Finding::warning(
            NAME,
            format!("{product} gets no fixes any more: upgrade it to {OLDEST_POSTGRES} or newer"),
        ),
        Ok(()) => Finding::ok(NAME, format!("{product}, can be read and written")),
    }];
    findings.push(migrations(db).await?);
    match location {
        Location::Postgres(server) => {
            findings.push(tls(db, server).await?);
            findings.push(pooler(server));
        }
        _ => findings.push(journal_mode(db).await?),
    }
    Ok(findings)
}

async fn migrations(db: &Db) -> Result<Finding, DbError> {
    const NAME: &str = "migrations";
    let Migrations { applied, pending } = match db.migrations().await {
        Err(error @ DbError::TooNew { .. }) => return Ok(Finding::failed(NAME, error.to_string())),
        found => found?,
    };
    if pending == 0 {
        return Ok(Finding::ok(NAME, format!("schema version {}", latest_version())));
    }
    if db.is_postgres() && !db.may_create_tables().await? {
        return Ok(Finding::failed(
            NAME,
            "the user may not create tables: run `grant create, usage on schema public to USER` in the database, or `alter database NAME owner to USER`",
        ));
    }
    let others = db.count_other_tables().await?;
    Ok(match (applied, others) {
        (0, 0) => Finding::ok(NAME, "the database is empty: the first start creates the tables"),
        (0, _) => Finding::warning(
            NAME,
            format!(
                "the database has {others} tables of another program and none of Vestibule: if that is not meant, correct VESTIBULE_DATABASE_URL before the first start creates its tables there"
            ),
        ),
        _ => Finding::warning(
            NAME,
            format!(
                "{pending} pending: back up, then run `vestibule migrate`, or start the server"
            ),
        ),
    })
}

async fn journal_mode(db: &Db) -> Result<Finding, DbError> {
    const NAME: &str = "journal mode";
    let mode = db.journal_mode().await?;
    Ok(match mode.as_str() {
        "wal" => Finding::ok(NAME, mode),
        _ => Finding::ok(NAME, format!("{mode}: the next start switches it to wal")),
    })
}

async fn tls(db: &Db, server: &Server) -> Result<Finding, DbError> {
    const NAME: &str = "database TLS";
    if let Some(weakness) = server.weakness() {
        return Ok(Finding::warning(
            NAME,
            format!("{weakness}: see docs/operating.md, PostgreSQL"),
        ));
    }
    if !server.is_on_this_machine() {
        return Ok(Finding::ok(NAME, "in force, and the certificate is checked"));
    }
    Ok(match db.tls_version().await? {
        Some(version) => Finding::ok(NAME, format!("in force ({version}), on this machine")),
        None => Finding::ok(NAME, "none, and none is needed on this machine"),
    })
}

fn pooler(server: &Server) -> Finding {
    const NAME: &str = "pooler";
    match server.is_per_transaction {
        Some(true) => Finding::ok(NAME, "transaction mode, as the URL says"),
        Some(false) => Finding::ok(NAME, "session mode, as the URL says; that was not checked"),
        None => Finding::ok(NAME, "none in transaction mode"),
    }
}

/// The start takes the rights to the file from others, and only warns of the folder.
fn exposed(path: &Path) -> Option<Finding> {
    const NAME: &str = "database file";
    let metadata = std::fs::metadata(path).ok()?;
    let why = why_not_private(path, &metadata).or_else(|| why_folder_not_trusted(folder_of(path)));
    why.map(|why| Finding::warning(NAME, why))
}

fn free_space(folder: &Path) -> Option<Finding> {
    const NAME: &str = "free space";
    let bytes = free_bytes(folder)?;
    let message = format!("{} MiB on the disk of {}", bytes >> 20, folder.display());
    Some(match bytes {
        ..NO_SPACE => Finding::failed(NAME, format!("{message}: free more now, forms will fail")),
        NO_SPACE..LITTLE_SPACE => {
            Finding::warning(NAME, format!("{message}: free more, or watch it"))
        }
        _ => Finding::ok(NAME, message),
    })
}
