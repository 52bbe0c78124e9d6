//! A client's socket with timeouts for writing and closing.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use super::connection::{InFlight, Timeouts};

/// Timeouts what hyper leaves open: a client that sends requests and never reads the answers would
/// keep its place for ever.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    in_flight: InFlight,
    write: Duration,
    linger: Duration,
    /// Runs from the first write that had to wait until all is written. Progress does not move it:
    /// a reader of a byte at a time is no better.
    reading: Option<Pin<Box<Sleep>>>,
    /// Runs once our side is closed.
    closing: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    /// Records in `in_flight` when the client has something left to read.
    pub fn new(stream: TcpStream, timeouts: &Timeouts, in_flight: InFlight) -> Self {
        let Timeouts { write, linger, .. } = *timeouts;
        Self { stream, in_flight, write, linger, reading: None, closing: None }
    }

    fn with_timeout<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() && self.reading.is_none() {
            return written;
        }
        self.in_flight.set_unread(true);
        let write = self.write;
        let reading = self.reading.get_or_insert_with(|| Box::pin(sleep(write)));
        let is_late = reading.as_mut().poll(cx).is_ready() || reading.deadline() <= Instant::now();
        if is_late { Poll::Ready(Err(self.reset())) } else { written }
    }

    /// Without lingering the kernel would keep what was not read, megabytes of it.
    fn reset(&self) -> io::Error {
        let _ = self.stream.set_zero_linger();
        io::ErrorKind::TimedOut.into()
    }

    /// Reads on for a moment: closing with unread data makes the kernel reset the connection, and a
    /// client that is still sending its 10 MB would never see our 413 (RFC 9112, 9.6).
    fn drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let linger = self.linger;
        let closing = self.closing.get_or_insert_with(|| Box::pin(sleep(linger)));
        let mut thrown_away = [0; 4096];
        while closing.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut thrown_away);
            let read = ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(())
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.with_timeout(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.with_timeout(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// hyper flushes when its buffer is empty: all that was waiting has been taken.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.reading = None;
        self.in_flight.set_unread(false);
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The client may not have read the last of the answer.
        self.in_flight.set_unread(true);
        if self.closing.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        }
        self.drain(cx).map(Ok)
    }
}
