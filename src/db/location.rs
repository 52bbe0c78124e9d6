//! Where the data is: a SQLite file, a PostgreSQL server, or what a host application's pool connects to.

use std::path::PathBuf;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{PgPool, SqlitePool};
use url::Url;

use super::{DbError, Server};
use crate::random;
use crate::unencoded;

/// Where the data is. `Debug` shows nothing of a URL: it may hold a password.
#[derive(Clone, Debug)]
pub enum Location {
    /// A file, made at the first start.
    Sqlite(PathBuf),
    Postgres(Box<Server>),
    /// The database of a host application. Connections of our own are opened to it.
    SqlitePool(SqlitePool),
    PostgresPool(PgPool),
}

impl Location {
    /// A database in memory, for a trial.
    pub fn in_memory() -> Self {
        let options = SqliteConnectOptions::new().in_memory(true).shared_cache(true);
        Self::SqlitePool(SqlitePool::connect_lazy_with(
            options.filename(format!("file:{}", random::id(0))),
        ))
    }

    /// Fails if it is a SQLite file that does not exist: a command that reads must not create an empty database
    /// in the wrong folder.
    pub fn require_existing(&self) -> Result<(), DbError> {
        match self {
            Self::Sqlite(path) if !path.exists() => {
                Err(DbError::Missing(path.display().to_string()))
            }
            _ => Ok(()),
        }
    }

    /// Reads `sqlite:PATH` or a `postgres://` URL. The error repeats nothing that may be a password.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            // The options behind a `?` are sqlx's own.
            let path = path.strip_prefix("//").unwrap_or(path).split('?').next();
            return match path.unwrap_or_default() {
                "" => Err("expected a path behind sqlite:, like sqlite:vestibule.db".into()),
                ":memory:" => Err("expected a file, like sqlite:vestibule.db: a database in memory is lost at the stop, and its connections do not share it".into()),
                path => Ok(Self::Sqlite(PathBuf::from(path))),
            };
        }
        if let Some(advice) = unencoded::advice(text) {
            return Err(advice);
        }
        match Url::parse(text) {
            Ok(url) if ["postgres", "postgresql"].contains(&url.scheme()) => {
                Server::from_url(&url).map(|server| Self::Postgres(Box::new(server)))
            }
            _ => Err("expected sqlite:PATH or postgres://USER:PASSWORD@HOST/NAME, with characters like @ : / # in the password percent-encoded".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Location;

    #[test]
    fn an_sqlite_url_is_a_path() {
        for (text, path) in [
            ("sqlite:vestibule.db", "vestibule.db"),
            ("sqlite://data/v.db", "data/v.db"),
            ("sqlite:///var/lib/v.db?mode=rwc", "/var/lib/v.db"),
        ] {
            let parsed = Location::parse(text).unwrap();
            assert!(matches!(&parsed, Location::Sqlite(found) if found == path), "{parsed:?}");
        }
        for text in ["sqlite:", "sqlite://", "sqlite::memory:", "vestibule.db", ""] {
            assert!(Location::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_postgres_url_is_never_repeated() {
        let url = "postgresql://me:hush@db.example/vestibule?sslmode=require";
        assert!(!format!("{:?}", Location::parse(url)).contains("hush"));
        let message = Location::parse("postgres://me:hu#sh@db.example:x/v").unwrap_err();
        assert!(!message.contains("hu#sh") && message.contains("%23"), "{message}");
        assert!(Location::parse("mysql://me@host/v").is_err());
    }
}
