//! Copies every table of a database into another one, and compares them.

use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use sha2::{Digest, Sha256};
use sqlx::error::BoxDynError;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, AssertSqlSafe, ColumnIndex, Decode, Encode, Executor, Row, Type};

use super::connection::Connection;
use super::pool::PooledConnection;
use super::{Db, DbError, sql};

/// The most values of one statement: SQLite takes 32,766, PostgreSQL 65,535.
const MAX_VALUES: usize = 30_000;

/// The most rows of one statement.
const MAX_ROWS: usize = 500;

/// Every table but the list of migrations, the users first: other tables refer to them.
const SQLITE_COLUMNS: &str = "select tables.name, columns.name, lower(columns.type)
    from sqlite_schema tables join pragma_table_info(tables.name) columns
    where tables.type = 'table' and tables.name like 'vestibule^_%' escape '^'
        and tables.name <> 'vestibule_migrations'
    order by tables.name <> 'vestibule_users', tables.name, columns.name";
const POSTGRES_COLUMNS: &str = "select table_name::text, column_name::text, data_type::text
    from information_schema.columns
    where table_schema = current_schema() and table_name like 'vestibule^_%' escape '^'
        and table_name <> 'vestibule_migrations'
    order by table_name <> 'vestibule_users', table_name::text collate \"C\",
        column_name::text collate \"C\"";

/// A table after the copy, the same on both sides.
#[derive(Debug, PartialEq, Eq)]
pub struct CopiedTable {
    pub name: String,
    pub rows: u64,
    /// The sum of the digests of all rows, in any order.
    pub checksum: String,
}

/// Why nothing was copied.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    #[error(transparent)]
    Database(#[from] DbError),
    #[error("{0} is the database itself: name a new one")]
    SameFile(String),
    #[error("the target has accounts: copy into a new database")]
    NotEmpty,
    #[error("the tables of the two databases differ: {0}")]
    OtherTables(String),
    #[error(
        "{table}: a value of {column} holds the character NUL, which PostgreSQL does not store: remove it with an update"
    )]
    Nul { table: String, column: String },
    #[error("{0} differs after the copy: nothing was kept")]
    Differs(String),
}

impl From<sqlx::Error> for CopyError {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error.into())
    }
}

struct Table {
    name: String,
    columns: Vec<Column>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Column {
    name: String,
    kind: Kind,
}

/// The types of all columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Integer,
    Text,
    Bytes,
}

#[derive(Debug)]
enum Value {
    Integer(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

/// Copies every table in one transaction of `to`, which has no accounts, and compares both sides before it
/// is committed. Both databases have the schema of this program.
pub async fn copy(from: &Db, to: &Db) -> Result<Vec<CopiedTable>, CopyError> {
    let tables = tables(from).await?;
    compare_tables(&tables, &self::tables(to).await?)?;
    let accounts = sql("select id from vestibule_users limit 1");
    if accounts.fetch_optional::<(String,)>(to.reader()).await?.is_some() {
        return Err(CopyError::NotEmpty);
    }
    let (mut source, mut target) = (from.writers.begin().await?, to.writers.begin().await?);
    freeze(source.get()?, &tables).await?;
    for table in tables.iter().rev() {
        target.get()?.run(&format!("delete from \"{}\"", table.name)).await?;
    }
    let mut copied = Vec::new();
    for table in &tables {
        let read = copy_table(table, &mut source, &mut target).await?;
        let mut written = Checksum::default();
        read_rows(table, target.get()?, async |rows| {
            written.add_all(&rows);
            Ok(())
        })
        .await?;
        let written = written.finish(table);
        if read != written {
            return Err(CopyError::Differs(table.name.clone()));
        }
        copied.push(written);
    }
    target.finish().await?;
    source.finish().await?;
    Ok(copied)
}

/// Nothing is written to the source meanwhile: SQLite has one writer, and on PostgreSQL others wait.
async fn freeze(source: &mut Connection, tables: &[Table]) -> Result<(), sqlx::Error> {
    if let Connection::Postgres(_) = source {
        let names: Vec<String> = tables.iter().map(|table| format!("\"{}\"", table.name)).collect();
        source.run(&format!("lock table {} in share mode", names.join(", "))).await?;
    }
    Ok(())
}

async fn copy_table(
    table: &Table,
    source: &mut PooledConnection,
    target: &mut PooledConnection,
) -> Result<CopiedTable, CopyError> {
    let mut read = Checksum::default();
    let target = target.get()?;
    read_rows(table, source.get()?, async |rows| {
        read.add_all(&rows);
        insert(table, target, rows).await
    })
    .await?;
    Ok(read.finish(table))
}

async fn tables(db: &Db) -> Result<Vec<Table>, DbError> {
    let query = if db.is_postgres() { POSTGRES_COLUMNS } else { SQLITE_COLUMNS };
    let columns = sql(query).fetch_all::<(String, String, String)>(db.reader()).await?;
    let mut tables: Vec<Table> = Vec::new();
    for (table, name, kind) in columns {
        let kind = match kind.as_str() {
            "bigint" => Kind::Integer,
            "bytea" => Kind::Bytes,
            _ => Kind::Text,
        };
        let column = Column { name, kind };
        match tables.last_mut().filter(|last| last.name == table) {
            Some(last) => last.columns.push(column),
            None => tables.push(Table { name: table, columns: vec![column] }),
        }
    }
    Ok(tables)
}

fn compare_tables(from: &[Table], to: &[Table]) -> Result<(), CopyError> {
    let missing = |some: &[Table], others: &[Table]| {
        let has = |table: &Table| {
            others.iter().any(|other| other.name == table.name && other.columns == table.columns)
        };
        some.iter().find(|table| !has(table)).map(|table| table.name.clone())
    };
    match missing(from, to).or_else(|| missing(to, from)) {
        Some(name) => Err(CopyError::OtherTables(name)),
        None => Ok(()),
    }
}

/// Calls `each` for the rows of a table, some at a time.
async fn read_rows(
    table: &Table,
    connection: &mut Connection,
    each: impl AsyncFnMut(Vec<Vec<Value>>) -> Result<(), CopyError>,
) -> Result<(), CopyError> {
    let names: Vec<String> = table.columns.iter().map(|c| format!("\"{}\"", c.name)).collect();
    let query = format!("select {} from \"{}\"", names.join(", "), table.name);
    let query = AssertSqlSafe(query);
    match connection {
        Connection::Sqlite(connection) => {
            in_batches(table, connection.fetch(sqlx::query(query)), each).await
        }
        Connection::Postgres(connection) => {
            in_batches(table, connection.fetch(sqlx::query(query)), each).await
        }
    }
}

async fn in_batches<R: Row>(
    table: &Table,
    mut rows: BoxStream<'_, Result<R, sqlx::Error>>,
    mut each: impl AsyncFnMut(Vec<Vec<Value>>) -> Result<(), CopyError>,
) -> Result<(), CopyError>
where
    usize: ColumnIndex<R>,
    for<'r> Option<i64>: Decode<'r, R::Database> + Type<R::Database>,
    for<'r> Option<String>: Decode<'r, R::Database> + Type<R::Database>,
    for<'r> Option<Vec<u8>>: Decode<'r, R::Database> + Type<R::Database>,
{
    let most = (MAX_VALUES / table.columns.len()).min(MAX_ROWS);
    let mut batch = Vec::new();
    while let Some(row) = rows.try_next().await? {
        let values = table.columns.iter().enumerate().map(|(at, column)| {
            Ok(match column.kind {
                Kind::Integer => Value::Integer(row.try_get(at)?),
                Kind::Text => Value::Text(row.try_get(at)?),
                Kind::Bytes => Value::Bytes(row.try_get(at)?),
            })
        });
        batch.push(values.collect::<Result<Vec<Value>, sqlx::Error>>()?);
        if batch.len() == most {
            each(std::mem::take(&mut batch)).await?;
        }
    }
    if batch.is_empty() { Ok(()) } else { each(batch).await }
}

async fn insert(
    table: &Table,
    connection: &mut Connection,
    rows: Vec<Vec<Value>>,
) -> Result<(), CopyError> {
    let text = insert_text(table, rows.len());
    match connection {
        Connection::Sqlite(connection) => {
            let values = arguments::<SqliteArguments>(rows).map_err(sqlx::Error::Encode)?;
            connection.execute(sqlx::query_with(AssertSqlSafe(text), values)).await?;
        }
        Connection::Postgres(connection) => {
            refuse_nul(table, &rows)?;
            let values = arguments::<PgArguments>(rows).map_err(sqlx::Error::Encode)?;
            connection.execute(sqlx::query_with(AssertSqlSafe(text), values)).await?;
        }
    }
    Ok(())
}

fn insert_text(table: &Table, rows: usize) -> String {
    let names: Vec<String> = table.columns.iter().map(|c| format!("\"{}\"", c.name)).collect();
    let width = names.len();
    let row = |row: usize| {
        let places: Vec<String> =
            (1..=width).map(|column| format!("${}", row * width + column)).collect();
        format!("({})", places.join(", "))
    };
    let rows: Vec<String> = (0..rows).map(row).collect();
    format!("insert into \"{}\" ({}) values {}", table.name, names.join(", "), rows.join(", "))
}

fn arguments<A: Arguments>(rows: Vec<Vec<Value>>) -> Result<A, BoxDynError>
where
    for<'v> Option<i64>: Encode<'v, A::Database> + Type<A::Database>,
    for<'v> Option<String>: Encode<'v, A::Database> + Type<A::Database>,
    for<'v> Option<Vec<u8>>: Encode<'v, A::Database> + Type<A::Database>,
{
    let mut arguments = A::default();
    for value in rows.into_iter().flatten() {
        match value {
            Value::Integer(value) => arguments.add(value)?,
            Value::Text(value) => arguments.add(value)?,
            Value::Bytes(value) => arguments.add(value)?,
        }
    }
    Ok(arguments)
}

fn refuse_nul(table: &Table, rows: &[Vec<Value>]) -> Result<(), CopyError> {
    for row in rows {
        for (column, value) in table.columns.iter().zip(row) {
            if matches!(value, Value::Text(Some(text)) if text.contains('\0')) {
                let (table, column) = (table.name.clone(), column.name.clone());
                return Err(CopyError::Nul { table, column });
            }
        }
    }
    Ok(())
}

/// Of the rows of a table, in any order: the sum of their digests.
#[derive(Default)]
struct Checksum {
    rows: u64,
    sum: [u64; 4],
}

impl Checksum {
    fn add_all(&mut self, rows: &[Vec<Value>]) {
        for row in rows {
            let mut digest = Sha256::new();
            for value in row {
                let (kind, bytes) = match value {
                    Value::Integer(value) => (0, value.map(|value| value.to_be_bytes().to_vec())),
                    Value::Text(value) => (1, value.clone().map(String::into_bytes)),
                    Value::Bytes(value) => (2, value.clone()),
                };
                let length = bytes.as_ref().map_or(u64::MAX, |bytes| bytes.len() as u64);
                digest.update([kind]);
                digest.update(length.to_be_bytes());
                digest.update(bytes.unwrap_or_default());
            }
            let digest = digest.finalize();
            for (sum, part) in self.sum.iter_mut().zip(digest.as_chunks::<8>().0) {
                *sum = sum.wrapping_add(u64::from_be_bytes(*part));
            }
            self.rows += 1;
        }
    }

    fn finish(&self, table: &Table) -> CopiedTable {
        let [a, b, c, d] = self.sum;
        let checksum = format!("{a:016x}{b:016x}{c:016x}{d:016x}");
        CopiedTable { name: table.name.clone(), rows: self.rows, checksum }
    }
}
