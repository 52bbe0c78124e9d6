//! Connections of either driver, and how they are opened.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use sqlx::postgres::PgSslMode;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Executor, PgConnection, Row, SqliteConnection};
use tokio::net::{TcpStream, UnixListener, lookup_host};
use tokio::time::{sleep, timeout};

use super::server::Server;
use crate::random;

/// After this delay the next address of a name is tried at the same time (RFC 8305, 5).
const NEXT_ADDRESS_DELAY: Duration = Duration::from_millis(250);

/// How long after a standby an address that takes writes may answer.
const STANDBY_WAIT: Duration = Duration::from_secs(1);

pub enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Connection {
    /// Runs a statement without values.
    pub async fn run(&mut self, text: &str) -> Result<(), sqlx::Error> {
        let text = AssertSqlSafe(text.to_owned());
        match self {
            Self::Sqlite(connection) => connection.execute(text).await.map(drop),
            Self::Postgres(connection) => connection.execute(text).await.map(drop),
        }
    }

    /// Ends the transaction, if there is one.
    pub async fn roll_back(&mut self) -> Result<(), sqlx::Error> {
        match self {
            // SQLite calls it an error to end a transaction where there is none.
            Self::Sqlite(_) => self.run("SAVEPOINT any; ROLLBACK").await,
            Self::Postgres(_) => self.run("ROLLBACK").await,
        }
    }

    pub async fn close(self) -> Result<(), sqlx::Error> {
        match self {
            Self::Sqlite(connection) => sqlx::Connection::close(connection).await,
            Self::Postgres(connection) => sqlx::Connection::close(connection).await,
        }
    }
}

/// What a pool connects to.
pub enum Source {
    Sqlite(SqliteConnectOptions),
    Postgres {
        server: Server,
        lock_timeout: Duration,
        /// Run on each new connection: shows others that the database is in use.
        use_lock: &'static str,
    },
}

impl Source {
    pub async fn connect(&self) -> Result<Connection, sqlx::Error> {
        match self {
            Self::Sqlite(options) => Ok(Connection::Sqlite(options.connect().await?)),
            Self::Postgres { server, lock_timeout, use_lock } => {
                let mut connection = Connection::Postgres(connect(server).await?);
                if !self.is_per_transaction() {
                    // Less than the pool waits, so that the error is this one.
                    let wait = lock_timeout.as_millis() / 2;
                    let limits = limits("SET", *lock_timeout);
                    let text = format!("SET lock_timeout = {wait}; {use_lock}; {limits}");
                    connection.run(&text).await?;
                }
                Ok(connection)
            }
        }
    }

    /// Whether a pooler may run each transaction on another connection, and give what is set on this one to
    /// another program.
    pub fn is_per_transaction(&self) -> bool {
        matches!(self, Self::Postgres { server, .. } if server.is_per_transaction == Some(true))
    }

    /// The statements that begin a transaction that may write.
    pub fn begin(&self) -> String {
        match self {
            Self::Postgres { lock_timeout, .. } if self.is_per_transaction() => {
                format!("BEGIN; {}", limits("SET LOCAL", *lock_timeout))
            }
            Self::Postgres { .. } => "BEGIN".to_owned(),
            Self::Sqlite(_) => "BEGIN IMMEDIATE".to_owned(),
        }
    }
}

/// No statement waits for a lock for longer, and no transaction is left open with its locks. Not in the
/// startup message, where `PgBouncer` refuses such parameters.
fn limits(set: &str, lock_timeout: Duration) -> String {
    let millis = lock_timeout.as_millis();
    format!("{set} lock_timeout = {millis}; {set} idle_in_transaction_session_timeout = '30s'")
}

/// Connects to the first address of the server's name that takes writes, or else to one that works: the
/// name of a cluster may have the addresses of its standbys, too. sqlx would try them one after the
/// other, and wait two minutes for one that does not answer.
pub async fn connect(server: &Server) -> Result<PgConnection, sqlx::Error> {
    let addresses = addresses(server).await?;
    if addresses.is_empty() {
        return server.options.connect().await;
    }
    let attempts = stream::iter(addresses).zip(stream::iter(0..)).map(async |(address, place)| {
        sleep(NEXT_ADDRESS_DELAY * place).await;
        let mut connection = connect_to(server, address).await?;
        let is_read_only = connection.fetch_one("show transaction_read_only").await?;
        Ok((connection, is_read_only.try_get::<String, _>(0)? == "off"))
    });
    let mut attempts = pin!(attempts.buffer_unordered(usize::MAX));
    let (mut standby, mut failure) = (None, None);
    loop {
        let done = match standby {
            None => attempts.next().await,
            Some(_) => timeout(STANDBY_WAIT, attempts.next()).await.unwrap_or_default(),
        };
        match done {
            Some(Ok((connection, true))) => return Ok(connection),
            Some(Ok((connection, false))) => standby = Some(connection),
            // The server's own error says more than a failed connection.
            Some(Err(sqlx::Error::Io(_))) if failure.is_some() => {}
            Some(Err(error)) => failure = Some(error),
            None => return standby.ok_or(failure.unwrap_or(sqlx::Error::WorkerCrashed)),
        }
    }
}

/// Where to connect; none for a Unix socket and a single address, to which sqlx connects as well.
async fn addresses(server: &Server) -> Result<Vec<SocketAddr>, sqlx::Error> {
    let (host, port) = (server.options.get_host(), server.options.get_port());
    if let Some(address) = server.address {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    if server.options.get_socket().is_some() {
        return Ok(Vec::new());
    }
    if server.is_localhost() {
        // A name server may answer anything for this name.
        let both = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
        return Ok(both.map(|address| SocketAddr::new(address, port)).to_vec());
    }
    let found: Vec<_> = lookup_host((host, port)).await?.collect();
    Ok(if found.len() == 1 { Vec::new() } else { found })
}

/// sqlx resolves the name that it compares with the certificate. To connect to one address of that name,
/// it gets a Unix socket of this process, whose data is copied to and from the address. Only Linux has
/// sockets without a file; elsewhere sqlx tries the addresses.
async fn connect_to(server: &Server, address: SocketAddr) -> Result<PgConnection, sqlx::Error> {
    if !matches!(server.options.get_ssl_mode(), PgSslMode::VerifyFull) {
        let options = server.options.clone().host(&address.ip().to_string());
        return options.connect().await;
    }
    let folder = format!("\0vestibule-{}", random::id(0));
    let Ok(listener) = UnixListener::bind(format!("{folder}/.s.PGSQL.{}", address.port())) else {
        return server.options.connect().await;
    };
    let options = server.options.clone().socket(folder);
    let relay = async {
        let mut network = TcpStream::connect(address).await?;
        network.set_nodelay(true)?;
        let (mut inside, _) = listener.accept().await?;
        tokio::spawn(async move { tokio::io::copy_bidirectional(&mut inside, &mut network).await });
        Ok(())
    };
    let (connection, ()) = tokio::try_join!(options.connect(), relay)?;
    Ok(connection)
}
