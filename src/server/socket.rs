//! A client's socket with timeouts for writing and closing.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use super::listener::Stream;

/// Sets the timeouts that hyper does not have: a client that sends requests and never reads the
/// responses would keep its connection for ever.
pub struct Socket {
    stream: Stream,
    write: Duration,
    linger: Duration,
    /// Whether the client may have a part of a response left to read.
    is_unread: Arc<AtomicBool>,
    /// Runs from the first write that had to wait until all is written. Progress does not move it:
    /// a reader of a byte at a time is no better.
    reading: Option<Pin<Box<Sleep>>>,
    /// Runs once our side is closed.
    closing: Option<Pin<Box<Sleep>>>,
}

impl Socket {
    pub fn new(
        stream: Stream,
        write: Duration,
        linger: Duration,
        is_unread: Arc<AtomicBool>,
    ) -> Self {
        Self { stream, write, linger, is_unread, reading: None, closing: None }
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
        let Self { stream, write, is_unread, reading, .. } = &mut *self;
        let written = Pin::new(&mut *stream).poll_write(cx, bytes);
        if written.is_ready() && reading.is_none() {
            return written;
        }
        is_unread.store(true, Ordering::Relaxed);
        let reading = reading.get_or_insert_with(|| Box::pin(sleep(*write)));
        if reading.as_mut().poll(cx).is_pending() && reading.deadline() > Instant::now() {
            return written;
        }
        // Without this the kernel would keep what was not read, megabytes of it.
        stream.drop_unread();
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// hyper flushes when its buffer is empty: all that was waiting has been taken.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.reading = None;
        self.is_unread.store(false, Ordering::Relaxed);
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Reads on for a moment: closing with unread data makes the kernel reset the connection, and a
    /// client that is still sending its 10 MB would never see our 413 (RFC 9112, 9.6).
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, linger, is_unread, closing, .. } = &mut *self;
        is_unread.store(true, Ordering::Relaxed);
        if closing.is_none() {
            ready!(Pin::new(&mut *stream).poll_shutdown(cx))?;
        }
        let closing = closing.get_or_insert_with(|| Box::pin(sleep(*linger)));
        let mut discarded = [0; 4096];
        while closing.as_mut().poll(cx).is_pending() {
            let mut buffer = ReadBuf::new(&mut discarded);
            let read = ready!(Pin::new(&mut *stream).poll_read(cx, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}
