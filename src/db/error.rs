//! The errors of a database, and what can be done after each.

use std::path::Path;

use sqlx::migrate::MigrateError;

/// Where the site's own database is named.
pub(super) const SETTING: &str = "VESTIBULE_DATABASE_URL";

/// Outcomes of a statement ("taken", "none found") are not errors.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// The database is unavailable, busy or full, or the SQL is wrong.
    #[error(transparent)]
    Driver(#[from] sqlx::Error),
    #[error("the database does not answer")]
    Timeout,
    #[error("the database is read-only, like a standby")]
    ReadOnly,
    #[error("the database could not be migrated: {0}")]
    Migrate(MigrateError),
    /// It has a migration that this program does not know.
    #[error(
        "{place} was written by a newer Vestibule (its schema version {version} is unknown to this one): start the Vestibule that made it, or restore a backup from before the upgrade"
    )]
    TooNew { place: String, version: i64 },
    #[error(
        "the database is older than this Vestibule, or new: back it up, then run `vestibule migrate` or start the server"
    )]
    Outdated,
    /// The SQLite file does not exist where one must.
    #[error(
        "there is no database at {0}: run this where the site runs, or set VESTIBULE_DATABASE_URL"
    )]
    Missing(String),
    /// What is written is lost at the end of the process.
    #[error("the database's file was deleted or replaced: stop the server, and restore a backup")]
    Replaced,
    /// Another process has the database open.
    #[error("{0} is in use: stop the servers and commands that use it first")]
    InUse(String),
    /// The SQLite file or its folder, or the PostgreSQL server, cannot be used.
    #[error("{path}: {cause}")]
    Unusable {
        /// The file, or the setting's name: a URL may hold a password.
        path: String,
        /// And what to do.
        cause: String,
    },
}

impl DbError {
    /// Whether another try may succeed: the database is unavailable, busy or out of connections.
    pub fn is_transient(&self) -> bool {
        use sqlx::Error::{Io, PoolClosed, PoolTimedOut};
        matches!(self, Self::Timeout | Self::Driver(PoolTimedOut | PoolClosed | Io(_)))
            || is_transient_code(&self.code())
    }

    /// Whether a row with the same key exists.
    pub fn is_duplicate(&self) -> bool {
        matches!(self, Self::Driver(sqlx::Error::Database(cause)) if cause.is_unique_violation())
    }

    /// Whether the server has closed the connection, or the network is cut.
    pub(super) fn is_connection_lost(&self) -> bool {
        let is_io = matches!(self, Self::Driver(sqlx::Error::Io(_)));
        is_io || has_class(&self.code(), &["57P", "08"])
    }

    /// Whether the next statement would fail on the connection, too.
    pub(super) fn is_session_broken(&self) -> bool {
        is_session_code(&self.code())
    }

    /// Whether a table or a column that the statement names is missing, or of another type.
    pub fn is_other_schema(&self) -> bool {
        let code = self.code();
        code == "1" || (code.starts_with("42") && code != "42501")
    }

    /// Whether rows of another table refer to what should be deleted, and forbid it: a foreign key without
    /// `on delete cascade`, or a trigger on SQLite.
    pub fn is_reference(&self) -> bool {
        matches!(self.code().as_str(), "23503" | "23001" | "787" | "1811")
    }

    pub(super) fn too_new(version: i64) -> Self {
        Self::TooNew { place: "the database".to_owned(), version }
    }

    /// Of the site's own SQLite file; what another one is called is said by [`DbError::at`].
    pub(super) fn of_file(path: &Path, cause: impl Into<String>) -> Self {
        Self::Unusable { path: format!("{} ({SETTING})", path.display()), cause: cause.into() }
    }

    /// With the name of another database than the site's own.
    #[must_use]
    pub fn at(self, place: &str) -> Self {
        match self {
            Self::Unusable { cause, .. } => Self::Unusable { path: place.to_owned(), cause },
            Self::InUse(_) => Self::InUse(place.to_owned()),
            Self::TooNew { version, .. } => Self::TooNew { place: place.to_owned(), version },
            error => error,
        }
    }

    /// The database's error code; empty for any other error.
    pub(super) fn code(&self) -> String {
        let Self::Driver(sqlx::Error::Database(cause)) = self else { return String::new() };
        cause.code().unwrap_or_default().into_owned()
    }
}

/// SQLite's primary code, without the extension. PostgreSQL's codes have five characters.
pub fn sqlite_code(code: &str) -> Option<u32> {
    let number = code.parse::<u32>().ok().filter(|_| code.len() < 5)?;
    Some(number & 0xff)
}

fn has_class(code: &str, classes: &[&str]) -> bool {
    classes.iter().any(|class| code.starts_with(class))
}

/// SQLite: read-only (8), I/O (10), corrupt (11), cannot open (14), no database (26).
/// PostgreSQL: class 25 (read-only since a failover, an aborted transaction), a prepared statement that
/// is gone, taken (26, 42P05) or from before a migration (0A000).
fn is_session_code(code: &str) -> bool {
    match sqlite_code(code) {
        Some(code) => matches!(code, 8 | 10 | 11 | 14 | 26),
        None => has_class(code, &["25", "26", "42P05", "0A000"]),
    }
}

/// SQLite: busy (5), locked (6), read-only (8), I/O (10), full (13), cannot open (14), each also in
/// its extended forms.
/// PostgreSQL: classes 08 (connection), 53 (resources), 57 (shutdown, cancelled), 58 (its own disk),
/// 40 (serialisation), 55P (a lock that was not free in time), 25006 (read-only, as after a switch
/// to a standby), 25P03 (a transaction that waited too long).
fn is_transient_code(code: &str) -> bool {
    match sqlite_code(code) {
        Some(code) => matches!(code, 5 | 6 | 8 | 10 | 13 | 14),
        None => has_class(code, &["08", "53", "57", "58", "40", "55P", "25006", "25P03"]),
    }
}

#[cfg(test)]
mod tests {
    use super::{is_session_code, is_transient_code};

    #[test]
    fn a_session_that_fails_every_statement_is_not_used_again() {
        for code in ["25006", "25P02", "25P03", "26000", "42P05", "0A000", "8", "1032", "10", "26"]
        {
            assert!(is_session_code(code), "{code}");
        }
        for code in ["23505", "40001", "55P03", "53100", "57014", "42601", "5", "13", "2067", ""] {
            assert!(!is_session_code(code), "{code}");
        }
    }

    #[test]
    fn a_busy_read_only_full_or_unavailable_database_is_a_transient_error() {
        for code in [
            // SQLite: busy, locked, and read-only, failing, full and unopenable disks.
            "5", "6", "8", "10", "13", "14",
            // In their extended forms: the file was moved, a read, a write and an fsync failed.
            "1032", "266", "778", "1034",
            // PostgreSQL: read-only, shut down, disk full, memory, connections, its own I/O, locks.
            "25006", "57P01", "53100", "53200", "53300", "58030", "55P03", "40001", "40P01",
            "08006", "25P03",
        ] {
            assert!(is_transient_code(code), "{code}");
        }
    }

    #[test]
    fn a_permanent_error_is_not_transient() {
        // Wrong SQL, a corrupt file, no database, a duplicate row, a wrong password. The last bytes of
        // 22021 and 42501 are SQLite's codes for a lock.
        for code in
            ["1", "11", "26", "2067", "42601", "42P01", "XX001", "23505", "22021", "42501", "28P01"]
        {
            assert!(!is_transient_code(code), "{code}");
        }
        assert!(!is_transient_code(""));
    }
}
