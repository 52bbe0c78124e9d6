//! Opens a PostgreSQL database: connects, checks that it can be used, and says why it cannot.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use sqlx::postgres::PgSslMode;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};
use tokio::net::{TcpStream, UnixListener, lookup_host};
use tokio::time::{sleep, timeout};

use super::pool::{Driver, Pool};
use super::server::Server;
use super::{DbError, Engine, migrations};
use crate::event::Event;
use crate::random;

/// Connections of one node, where PostgreSQL's default limit is 100 for all nodes.
const CONNECTIONS: u32 = 16;

/// When the next address of a name is tried, beside the first (RFC 8305, 5).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// How long the start waits for answers once it is connected.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// How much later than one that takes no writes another address may answer.
const STANDBY: Duration = Duration::from_secs(1);

/// Where to connect, and the settings of each connection.
pub struct Source {
    server: Server,
    /// `set …` and `begin; set local …`: a pooler that gives each transaction another connection
    /// would give what is set on a connection to another program.
    on_connect: Option<String>,
    begin: String,
}

impl Source {
    /// Connections on which no statement waits for a lock longer than `wait`.
    pub fn new(server: Server, wait: Duration) -> Self {
        let settings = [
            ("lock_timeout", format!("{}ms", wait.as_millis())),
            // No transaction is left open: the next one finds the rows free.
            ("idle_in_transaction_session_timeout", "30s".to_owned()),
        ];
        // Not in the startup message, where PgBouncer refuses them.
        let set = |how: &str| {
            settings.each_ref().map(|(name, value)| format!("{how} {name} = '{value}'")).join("; ")
        };
        let is_per_transaction = server.is_per_transaction == Some(true);
        Self {
            on_connect: (!is_per_transaction).then(|| set("set")),
            begin: if is_per_transaction {
                format!("begin; {}", set("set local"))
            } else {
                "begin".to_owned()
            },
            server,
        }
    }
}

impl Driver for PgConnection {
    type Source = Source;

    async fn connect_to(source: &Source) -> Result<Self, sqlx::Error> {
        let mut connection = connect(&source.server).await?;
        if let Some(text) = &source.on_connect {
            connection.run(text).await?;
        }
        Ok(connection)
    }

    async fn run(&mut self, text: &str) -> Result<(), sqlx::Error> {
        self.execute(AssertSqlSafe(text.to_owned())).await.map(drop)
    }

    fn begin_statement(source: &Source) -> &str {
        &source.begin
    }

    fn is_per_transaction(source: &Source) -> bool {
        source.on_connect.is_none()
    }
}

/// Opens the database of `server`. Connects once without the pool, whose error would only be a
/// timeout.
pub(super) async fn open(server: Server, wait: Duration) -> Result<Engine, DbError> {
    let connected = timeout(wait, connect(&server)).await;
    let connected = connected.map_err(|_| unusable("nothing answers within 5 seconds"))?;
    let first = connected.map_err(|error| why_unusable(&error))?;
    let checked = timeout(CHECK_TIMEOUT, check(&server, first)).await;
    checked.map_err(|_| why_no_answer(&server))??;
    if let Some(cause) = server.weakness() {
        Event::WeakSetting { cause }.write();
    }
    let engine = Engine::Postgres(Pool::new(Source::new(server, wait), CONNECTIONS, wait));
    migrations::migrate(&engine).await?;
    Ok(engine)
}

/// Connects to the first address of the server's name that takes writes, or else to one that works: a
/// cluster's name may have the addresses of its standbys, too. sqlx tries them one after the other,
/// and waits for a silent one as long as the kernel does, two minutes.
async fn connect(server: &Server) -> Result<PgConnection, sqlx::Error> {
    let addresses = addresses(server).await?;
    if addresses.is_empty() {
        return PgConnection::connect_with(&server.options).await;
    }
    let attempts = stream::iter(addresses).zip(stream::iter(0..)).map(async |(address, place)| {
        sleep(NEXT_ADDRESS * place).await;
        let mut connection = connect_to(server, address).await?;
        let is_read_only = connection.fetch_one("show transaction_read_only").await?;
        Ok((connection, is_read_only.try_get::<String, _>(0)? == "off"))
    });
    let mut attempts = pin!(attempts.buffer_unordered(usize::MAX));
    let (mut standby, mut failure) = (None, None);
    loop {
        let done = match standby {
            None => attempts.next().await,
            Some(_) => timeout(STANDBY, attempts.next()).await.unwrap_or_default(),
        };
        match done {
            Some(Ok((connection, true))) => return Ok(connection),
            Some(Ok((connection, false))) => standby = Some(connection),
            // An answer of the server tells more than a connection that failed.
            Some(Err(sqlx::Error::Io(_))) if failure.is_some() => {}
            Some(Err(error)) => failure = Some(error),
            None => return standby.ok_or(failure.unwrap_or(sqlx::Error::WorkerCrashed)),
        }
    }
}

/// Where to connect; none where sqlx does it as well: a Unix socket, an address, or a name with one.
async fn addresses(server: &Server) -> Result<Vec<SocketAddr>, sqlx::Error> {
    let (host, port) = (server.options.get_host(), server.options.get_port());
    if let Some(address) = server.address {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    if server.options.get_socket().is_some() || host.parse::<IpAddr>().is_ok() {
        return Ok(Vec::new());
    }
    if server.is_localhost() {
        // Not what a name server says of it.
        let both = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
        return Ok(both.map(|address| SocketAddr::new(address, port)).to_vec());
    }
    let found: Vec<_> = lookup_host((host, port)).await?.collect();
    Ok(if found.len() == 1 { Vec::new() } else { found })
}

/// sqlx resolves the name that it compares with the certificate. To connect to one address of it, it
/// gets a Unix socket within this process, relayed to that address; only Linux has sockets without a
/// file, and elsewhere sqlx tries the addresses.
async fn connect_to(server: &Server, address: SocketAddr) -> Result<PgConnection, sqlx::Error> {
    if !matches!(server.options.get_ssl_mode(), PgSslMode::VerifyFull) {
        let options = server.options.clone().host(&address.ip().to_string());
        return PgConnection::connect_with(&options).await;
    }
    let folder = format!("\0vestibule-{}", random::id(0));
    let Ok(listener) = UnixListener::bind(format!("{folder}/.s.PGSQL.{}", address.port())) else {
        return PgConnection::connect_with(&server.options).await;
    };
    let options = server.options.clone().socket(folder);
    let relay = async {
        let mut network = TcpStream::connect(address).await?;
        network.set_nodelay(true)?;
        let (mut inside, _) = listener.accept().await?;
        tokio::spawn(async move { tokio::io::copy_bidirectional(&mut inside, &mut network).await });
        Ok(())
    };
    let (connection, ()) = tokio::try_join!(PgConnection::connect_with(&options), relay)?;
    Ok(connection)
}

/// Whether `server`, to which `first` is connected, can be used as it is.
async fn check(server: &Server, mut first: PgConnection) -> Result<(), DbError> {
    let encoding = ask(&mut first, "select current_setting('server_encoding')").await?;
    if encoding != "UTF8" {
        return Err(unusable(&format!(
            "the database's encoding is {encoding}, and it must hold every name and address: make another with `create database NAME encoding 'UTF8' template template0`"
        )));
    }
    if server.is_per_transaction.is_none() && is_pooled_by_transaction(server, &mut first).await? {
        return Err(unusable(
            "a pooler gives each transaction another connection (pool_mode = transaction in pgbouncer.ini): add pgbouncer=transaction to the URL's parameters, or set pool_mode = session for this database and add pgbouncer=session",
        ));
    }
    first.close().await.map_err(DbError::Driver)
}

/// Whether another client got the connection of the server that `first` had, or `first` has another
/// one now.
async fn is_pooled_by_transaction(
    server: &Server,
    first: &mut PgConnection,
) -> Result<bool, DbError> {
    const BACKEND: &str = "select pg_backend_pid()::text";
    let (before, again) = (ask(first, BACKEND).await?, ask(first, BACKEND).await?);
    // When no further connection is to be had, nothing can be told.
    let Ok(mut second) = connect(server).await else { return Ok(before != again) };
    second.execute("begin").await.map_err(|error| why_unusable(&error))?;
    let other = ask(&mut second, BACKEND).await?;
    // While `second` has a pooler's only connection, `first` would wait for it.
    let is_pooled = other == before || again != before || ask(first, BACKEND).await? != before;
    second.close().await.map_err(DbError::Driver)?;
    Ok(is_pooled)
}

/// A pooler accepts any number of connections, and keeps their statements waiting for one of its own.
fn why_no_answer(server: &Server) -> DbError {
    let advice = if server.is_per_transaction.is_some() {
        ""
    } else {
        ", and name its pool_mode in the URL's parameters: pgbouncer=transaction or pgbouncer=session"
    };
    unusable(&format!(
        "the server accepts connections and does not answer statements, like a pooler without a free connection: raise default_pool_size in pgbouncer.ini{advice}"
    ))
}

/// The text that `query` answers, without anything being prepared.
async fn ask(connection: &mut PgConnection, query: &'static str) -> Result<String, DbError> {
    let row = connection.fetch_one(query).await.map_err(|error| why_unusable(&error))?;
    Ok(row.try_get(0)?)
}

/// PostgreSQL's classes 28 (user or password) and 3D (database), and a socket that does not answer.
fn why_unusable(error: &sqlx::Error) -> DbError {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    let words = error.to_string();
    match (error, code.as_deref()) {
        (sqlx::Error::Tls(_), _) if words.contains("does not support TLS") => unusable(
            "the server offers no TLS, and over a network the password is not sent without: set ssl = on in postgresql.conf, or name a weaker sslmode in the URL",
        ),
        (sqlx::Error::Io(_) | sqlx::Error::Tls(_), _) if words.contains("certificate") => {
            unusable(&format!(
                "the server's certificate is refused ({words}): name its authority with sslrootcert=/path/of/ca.pem in the URL, and the host as the certificate does"
            ))
        }
        (sqlx::Error::Io(cause), _) => unusable(&format!(
            "no PostgreSQL answers there ({cause}): start it, or mend host and port"
        )),
        (_, Some("28P01" | "28000")) => unusable("PostgreSQL refuses the user or the password"),
        (_, Some("3D000")) => unusable("the database does not exist: make it with createdb"),
        (_, Some("08P01")) => unusable(&why_no_pooler(&words)),
        _ => unusable(&words),
    }
}

/// What `PgBouncer` refuses, with the setting that mends it.
fn why_no_pooler(words: &str) -> String {
    if words.contains("startup parameter") {
        format!(
            "a pooler refuses the connection ({words}): take `options` out of the URL and set such things with `alter role … set …`, or name them in ignore_startup_parameters in pgbouncer.ini"
        )
    } else if words.contains("statement pooling") {
        "a pooler in statement mode cannot be used: set pool_mode = session in pgbouncer.ini, or pool_mode = transaction and pgbouncer=transaction in the URL".to_owned()
    } else {
        format!("the connection is refused ({words})")
    }
}

fn unusable(cause: &str) -> DbError {
    DbError::Unusable { path: "VESTIBULE_DATABASE_URL".to_owned(), cause: cause.to_owned() }
}
