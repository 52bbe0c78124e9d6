//! Connects to each address of a PostgreSQL server's name.
//!
//! sqlx tries the addresses one after the other and waits for a silent one as long as the kernel does,
//! two minutes. Here the next address is tried a quarter of a second later, beside it (RFC 8305).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use sqlx::postgres::PgSslMode;
use sqlx::{Connection, PgConnection};
use tokio::net::{TcpStream, UnixListener, lookup_host};
use tokio::time::sleep;

use super::server::Server;
use crate::random;

/// When the next address is tried (RFC 8305, 5).
const NEXT: Duration = Duration::from_millis(250);

/// Connects to `server`, by the first of its addresses that works.
///
/// # Errors
/// When none works: the server's own error rather than a connection's.
pub async fn connect(server: &Server) -> Result<PgConnection, sqlx::Error> {
    let mut addresses = addresses(server).await?.into_iter();
    if addresses.len() == 0 {
        return PgConnection::connect_with(&server.options).await;
    }
    let mut running = FuturesUnordered::new();
    let mut failed = None;
    loop {
        running.extend(addresses.next().map(|address| connect_to(server, address)));
        tokio::select! {
            Some(done) = running.next() => match done {
                Ok(connection) => return Ok(connection),
                Err(error) => failed = Some(worse(failed, error)),
            },
            () = sleep(NEXT), if addresses.len() > 0 => {}
            else => return Err(failed.unwrap_or(sqlx::Error::WorkerCrashed)),
        }
    }
}

/// Where to connect; none where sqlx knows by itself: a Unix socket, an address, or a name with one.
async fn addresses(server: &Server) -> Result<Vec<SocketAddr>, sqlx::Error> {
    let (host, port) = (server.options.get_host(), server.options.get_port());
    if let Some(address) = server.address {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    if server.options.get_socket().is_some() || host.parse::<IpAddr>().is_ok() {
        return Ok(Vec::new());
    }
    if server.is_localhost() {
        // Whatever a name server says of it.
        let both = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
        return Ok(both.map(|address| SocketAddr::new(address, port)).to_vec());
    }
    let found: Vec<_> = lookup_host((host, port)).await?.collect();
    Ok(if found.len() == 1 { Vec::new() } else { found })
}

/// An answer of the server tells more than a connection that failed.
fn worse(before: Option<sqlx::Error>, now: sqlx::Error) -> sqlx::Error {
    match before {
        Some(before) if matches!(now, sqlx::Error::Io(_)) => before,
        _ => now,
    }
}

async fn connect_to(server: &Server, address: SocketAddr) -> Result<PgConnection, sqlx::Error> {
    if matches!(server.options.get_ssl_mode(), PgSslMode::VerifyFull) {
        return connect_as(server, address).await;
    }
    PgConnection::connect_with(&server.options.clone().host(&address.ip().to_string())).await
}

/// sqlx resolves the name that it compares with the certificate. To connect to one address of it, it
/// is given a socket within this process that leads there; only Linux has those without a file.
#[cfg(target_os = "linux")]
async fn connect_as(server: &Server, address: SocketAddr) -> Result<PgConnection, sqlx::Error> {
    let folder = format!("\0vestibule-{}", random::id(0));
    let port = server.options.get_port();
    let listener = UnixListener::bind(format!("{folder}/.s.PGSQL.{port}"))?;
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

#[cfg(not(target_os = "linux"))]
async fn connect_as(server: &Server, _: SocketAddr) -> Result<PgConnection, sqlx::Error> {
    PgConnection::connect_with(&server.options).await
}
