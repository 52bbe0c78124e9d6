//! Tells how a database is set up, and changes nothing.

use super::postgres::why_unusable;
use super::sqlite::explain;
use super::{Db, DbError, Migrations, migrations, sql};

impl Db {
    /// Its product and version for people, and the first number of the version.
    pub async fn product(&self) -> Result<(String, i64), DbError> {
        let (name, version) = if self.is_postgres() {
            ("PostgreSQL", "select current_setting('server_version')")
        } else {
            ("SQLite", "select sqlite_version()")
        };
        let version = self.ask(version).await?.unwrap_or_default();
        let major = version.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        Ok((format!("{name} {version}"), major.parse().unwrap_or_default()))
    }

    /// How many migrations it has, and how many are pending. Fails if it is newer than this program.
    pub async fn migrations(&self) -> Result<Migrations, DbError> {
        let table = if self.is_postgres() {
            "select to_regclass('vestibule_migrations')::text"
        } else {
            "select name from sqlite_master where name = 'vestibule_migrations'"
        };
        let applied = match self.ask(table).await? {
            Some(_) => {
                sql("select version from vestibule_migrations").fetch_all(self.reader()).await?
            }
            None => Vec::new(),
        };
        migrations::compare(&applied.into_iter().map(|(version,)| version).collect::<Vec<i64>>())
    }

    /// Fails if it takes no writes, also before it is migrated. Nothing is written.
    pub async fn try_to_write(&self) -> Result<(), DbError> {
        let tried = self.begin_and_commit().await;
        let Err(error) = tried else { return Ok(()) };
        Err(self.explain(error).await)
    }

    /// The error of a statement, with what to do.
    pub async fn explain(&self, error: DbError) -> DbError {
        match (error, self.sqlite_file().await) {
            (DbError::Driver(error), _) if self.is_postgres() => why_unusable(&error),
            (error, Ok(Some(path))) => explain(error, &path),
            (error, _) => error,
        }
    }

    async fn begin_and_commit(&self) -> Result<(), DbError> {
        if matches!(self.migrations().await, Ok(Migrations { applied: 1.., .. })) {
            return self.check_writable().await;
        }
        self.begin().await?.commit().await?;
        let is_read_only = self.is_postgres()
            && self.ask("select current_setting('transaction_read_only')").await?.as_deref()
                == Some("on");
        if is_read_only { Err(DbError::ReadOnly) } else { Ok(()) }
    }

    /// On PostgreSQL: whether this user may create tables in the schema.
    pub async fn may_create_tables(&self) -> Result<bool, DbError> {
        let right = "select has_schema_privilege(current_schema(), 'create')::text";
        Ok(self.ask(right).await?.as_deref() == Some("true"))
    }

    /// How many tables of other programs it has.
    pub async fn count_other_tables(&self) -> Result<i64, DbError> {
        let count = if self.is_postgres() {
            "select count(*)::text from pg_tables where schemaname = current_schema() and tablename not like 'vestibule\\_%'"
        } else {
            "select cast(count(*) as text) from sqlite_master where type = 'table' and name not like 'vestibule\\_%' escape '\\' and name not like 'sqlite\\_%' escape '\\'"
        };
        Ok(self.ask(count).await?.and_then(|count| count.parse().ok()).unwrap_or_default())
    }

    /// On SQLite.
    pub async fn journal_mode(&self) -> Result<String, DbError> {
        let mode = "select journal_mode from pragma_journal_mode";
        Ok(self.ask(mode).await?.unwrap_or_default())
    }

    /// On PostgreSQL: the version of TLS, if the connection is encrypted.
    pub async fn tls_version(&self) -> Result<Option<String>, DbError> {
        self.ask("select version from pg_stat_ssl where pid = pg_backend_pid()").await
    }

    /// The text that `query` selects.
    async fn ask(&self, query: &'static str) -> Result<Option<String>, DbError> {
        let row = sql(query).fetch_optional::<(Option<String>,)>(self.reader()).await?;
        Ok(row.and_then(|(text,)| text))
    }
}
