//! A socket that gives so many bytes and no more while the handshake lasts, and remembers the first
//! of them: whoever does not speak TLS may have said why in the clear.

use super::HANDSHAKE_BYTES_MAX;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

/// A connection under TLS, whose handshake is over.
pub type Stream = TlsStream<Bounded>;

/// What it goes over.
pub fn socket(stream: &mut Stream) -> &mut TcpStream {
    &mut stream.get_mut().0.stream
}

/// How much of what came first is remembered, in bytes: room for one short message.
const HEARD_BYTES_MAX: usize = 4 * 1024;

/// A socket with a bound.
#[derive(Debug)]
pub struct Bounded {
    stream: TcpStream,
    /// How many bytes may still come; `None` when the handshake is over.
    left: Option<usize>,
    heard: Vec<u8>,
}

impl Bounded {
    /// A socket whose handshake begins.
    pub(super) fn new(stream: TcpStream) -> Self {
        Bounded { stream, left: Some(HANDSHAKE_BYTES_MAX), heard: Vec::new() }
    }

    /// The handshake is over: from here on the protocol above has its own bounds.
    pub(super) fn free(&mut self) {
        self.left = None;
        self.heard = Vec::new();
    }

    /// What came first.
    pub(super) fn heard(&self) -> &[u8] {
        &self.heard
    }

    fn count(&mut self, came: &[u8]) -> io::Result<()> {
        let Some(left) = self.left else { return Ok(()) };
        let room = HEARD_BYTES_MAX.saturating_sub(self.heard.len());
        self.heard.extend_from_slice(&came[..came.len().min(room)]);
        let what = "the handshake is longer than any handshake is";
        let left = left.checked_sub(came.len()).ok_or_else(|| io::Error::other(what))?;
        self.left = Some(left);
        Ok(())
    }
}

impl AsyncRead for Bounded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        Poll::Ready(self.count(&buf.filled()[before..]))
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
