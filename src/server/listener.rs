//! Where clients connect: a TCP port or a Unix socket, opened here or passed by systemd.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use listenfd::ListenFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::time::sleep;

use crate::config::Listen;
use crate::disk::folder_of;

/// Everybody may connect to a Unix socket, as to a loopback port: its folder decides who can reach it.
const SOCKET_MODE: u32 = 0o666;

/// How often, and after which pauses, a start tries to lock the folder of its socket: for a second.
const MOST_TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(10);

/// A socket that accepts connections.
pub enum Listener {
    Tcp(TcpListener),
    Unix {
        listener: UnixListener,
        /// None if systemd made the file.
        file: Option<SocketFile>,
    },
}

/// A connection.
pub enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection, and the address that it comes from: none by a Unix socket.
pub type Client = (Stream, Option<SocketAddr>);

/// Why there is no socket for the setting of this name, and what to do.
pub fn explain(error: &io::Error, setting: &str, listen: &Listen) -> String {
    let what = match (error.kind(), listen) {
        (ErrorKind::AddrInUse, Listen::Tcp(_)) => {
            "the port is taken: stop the other program, or choose another with --listen"
        }
        (ErrorKind::PermissionDenied, Listen::Tcp(_)) => {
            "the port is not for this user: choose one above 1023 with --listen"
        }
        (ErrorKind::AddrNotAvailable, Listen::Tcp(_)) => {
            "this machine does not have the address: choose another with --listen"
        }
        (ErrorKind::AddrInUse, Listen::Unix(_)) => {
            "another program serves there, or it is no socket: stop the program, remove the file, or choose another with --listen"
        }
        (ErrorKind::NotFound, Listen::Unix(_)) => {
            "the folder does not exist: create it for this user, or choose another with --listen"
        }
        (ErrorKind::PermissionDenied, Listen::Unix(_)) => {
            "the folder is not for this user: give it write access, or choose another with --listen"
        }
        _ => &error.to_string(),
    };
    let flag = setting.to_lowercase().replace('_', "-");
    let what = what.replace("--listen", &format!("--{flag}"));
    format!("VESTIBULE_{setting}={listen}: {what}")
}

impl Listener {
    /// Opens a socket. The file of a Unix socket that no program uses any more is replaced.
    pub async fn bind(listen: &Listen) -> io::Result<Self> {
        let path = match listen {
            Listen::Tcp(address) => return TcpListener::bind(address).await.map(Self::Tcp),
            Listen::Unix(path) => std::path::absolute(path)?,
        };
        let turn = take_turn(folder_of(&path)).await;
        let listener = match UnixListener::bind(&path) {
            Err(error)
                if error.kind() == ErrorKind::AddrInUse
                    && turn.is_some()
                    && remove_unused(&path).await? =>
            {
                UnixListener::bind(&path)?
            }
            bound => bound?,
        };
        drop(turn);
        let inode = fs::symlink_metadata(&path)?.ino();
        let file = SocketFile { path, inode };
        fs::set_permissions(&file.path, Permissions::from_mode(SOCKET_MODE))?;
        Ok(Self::Unix { listener, file: Some(file) })
    }

    /// The socket that systemd, or a program like it, has opened for this one; `None` if there is none.
    pub fn inherited() -> io::Result<Option<Self>> {
        let mut passed = ListenFd::from_env();
        if passed.len() > 1 {
            let message = format!("{} sockets were passed, and one can be served", passed.len());
            return Err(io::Error::new(ErrorKind::InvalidInput, message));
        }
        if let Ok(Some(listener)) = passed.take_unix_listener(0) {
            listener.set_nonblocking(true)?;
            let listener = UnixListener::from_std(listener)?;
            return Ok(Some(Self::Unix { listener, file: None }));
        }
        let Some(listener) = passed.take_tcp_listener(0)? else { return Ok(None) };
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener).map(|listener| Some(Self::Tcp(listener)))
    }

    /// Where it listens.
    pub fn address(&self) -> io::Result<Listen> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Listen::Tcp),
            Self::Unix { listener, .. } => {
                let address = listener.local_addr()?;
                Ok(Listen::Unix(address.as_pathname().unwrap_or(Path::new("")).to_owned()))
            }
        }
    }

    pub async fn accept(&self) -> io::Result<Client> {
        match self {
            Self::Tcp(listener) => Ok(tcp(listener.accept().await?)),
            Self::Unix { listener, .. } => Ok((Stream::Unix(listener.accept().await?.0), None)),
        }
    }

    /// Lets no more clients connect, and returns those that the kernel has already connected, at most
    /// `max`.
    pub fn close(self, max: usize) -> Vec<Client> {
        let accept: Box<dyn FnMut() -> Option<Client>> = match self {
            Self::Tcp(listener) => {
                let Ok(listener) = listener.into_std() else { return Vec::new() };
                Box::new(move || {
                    let (stream, peer) = listener.accept().ok()?;
                    stream.set_nonblocking(true).ok()?;
                    Some(tcp((TcpStream::from_std(stream).ok()?, peer)))
                })
            }
            Self::Unix { listener, file } => {
                drop(file);
                let Ok(listener) = listener.into_std() else { return Vec::new() };
                Box::new(move || {
                    let (stream, _) = listener.accept().ok()?;
                    stream.set_nonblocking(true).ok()?;
                    Some((Stream::Unix(UnixStream::from_std(stream).ok()?), None))
                })
            }
        };
        std::iter::from_fn(accept).take(max).collect()
    }
}

fn tcp((stream, peer): (TcpStream, SocketAddr)) -> Client {
    // Pages are small and written at once: waiting to fill a packet only delays them.
    let _ = stream.set_nodelay(true);
    (Stream::Tcp(stream), Some(peer))
}

/// The file of a Unix socket. It is removed when this is dropped, unless another program has replaced it.
pub struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|file| file.ino() == self.inode) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Programs that start at the same time bind one after another: a socket that is bound and does not listen yet
/// looks unused. `None` if somebody else keeps the folder locked.
async fn take_turn(folder: &Path) -> Option<File> {
    let folder = File::open(folder).ok()?;
    for _ in 0..MOST_TRIES {
        if folder.try_lock().is_ok() {
            return Some(folder);
        }
        sleep(PAUSE).await;
    }
    None
}

/// Removes the file of a socket that no program listens on, and returns whether it did.
async fn remove_unused(path: &Path) -> io::Result<bool> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Ok(false);
    }
    let connected = UnixStream::connect(path).await;
    let is_unused = connected.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
    if is_unused {
        fs::remove_file(path)?;
    }
    Ok(is_unused)
}

impl Stream {
    /// Sends a short answer without waiting, and closes the connection.
    pub fn reject(self, answer: &[u8]) {
        let _ = match self {
            Self::Tcp(stream) => stream.try_write(answer),
            Self::Unix(stream) => stream.try_write(answer),
        };
    }

    /// Has the kernel drop what the client has not read when the connection is closed.
    pub fn drop_unread(&self) {
        if let Self::Tcp(stream) = self {
            let _ = stream.set_zero_linger();
        }
    }
}

/// Calls a method of either stream.
macro_rules! either {
    ($stream:expr, $method:ident($($argument:expr),*)) => {
        match $stream.get_mut() {
            Stream::Tcp(stream) => Pin::new(stream).$method($($argument),*),
            Stream::Unix(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, poll_read(cx, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, poll_shutdown(cx))
    }
}
