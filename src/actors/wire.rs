//! What carries a session: a socket, in the clear or under TLS; and the way to a seller.

use crate::tls::{BuyersTls, DialError, Stream, socket};
use std::cell::RefCell;
use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection, ready to carry.
pub enum Wire {
    /// In the clear.
    Plain(TcpStream),
    /// Under TLS, its handshake over.
    Tls(Box<Stream>),
}

impl Wire {
    /// Has the socket registered with the arbiter that this runs on: it was another one's.
    ///
    /// # Errors
    /// When the operating system refuses; the connection is as it was.
    pub(super) fn bring_here(&mut self) -> io::Result<()> {
        let socket = match self {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => socket(stream),
        };
        *socket = registered(socket.as_fd().try_clone_to_owned()?.into())?;
        Ok(())
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Wire::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Wire::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Wire::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// A connection that two tasks of one thread have, of which one reads and one writes, until it is taken
/// from both: TLS has one state for the two.
#[derive(Clone)]
pub(super) struct Line(Rc<RefCell<Option<Wire>>>);

impl Line {
    pub(super) fn new(wire: Wire) -> Line {
        Line(Rc::new(RefCell::new(Some(wire))))
    }

    /// Takes it: it is somebody else's.
    pub(super) fn take(&self) -> Option<Wire> {
        self.0.borrow_mut().take()
    }
}

impl AsyncRead for Line {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.0.borrow_mut().as_mut() {
            Some(wire) => Pin::new(wire).poll_read(cx, buf),
            // It did not break, and what comes over it is not ours to read.
            None => Poll::Pending,
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.0.borrow_mut().as_mut() {
            Some(wire) => Pin::new(wire).poll_write(cx, bytes),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0.borrow_mut().as_mut() {
            Some(wire) => Pin::new(wire).poll_flush(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0.borrow_mut().as_mut() {
            Some(wire) => Pin::new(wire).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}

/// The way to a seller: where it listens, and how TLS is spoken with it, where it is.
#[derive(Debug, Clone)]
pub struct Way {
    /// HOST:PORT.
    pub at: String,
    /// How TLS is spoken; `None` in the clear.
    pub tls: Option<BuyersTls>,
}

/// Why a seller was not reached.
#[derive(Debug)]
pub enum Unreached {
    /// No connection.
    Line(io::Error),
    /// A connection, and no TLS over it.
    Tls(DialError),
}

impl Way {
    /// Connects, and shakes hands where TLS is spoken; each within `patience`. A seller under TLS has
    /// begun to speak when this is done.
    ///
    /// # Errors
    /// [`Unreached`] says how far it came.
    pub async fn go(&self, patience: Duration) -> Result<Wire, Unreached> {
        let connected = tokio::time::timeout(patience, TcpStream::connect(&self.at)).await;
        let stream = connected.unwrap_or_else(|late| Err(late.into()));
        let stream = stream.and_then(|stream| at_once(&stream).map(|()| stream));
        let stream = stream.map_err(Unreached::Line)?;
        let Some(tls) = &self.tls else { return Ok(Wire::Plain(stream)) };
        let stream = tls.connect(stream, patience).await.map_err(Unreached::Tls)?;
        Ok(Wire::Tls(Box::new(stream)))
    }
}

/// Registers a socket with the arbiter that this runs on, as sessions want it.
///
/// # Errors
/// When the operating system refuses.
pub fn registered(stream: std::net::TcpStream) -> io::Result<TcpStream> {
    stream.set_nonblocking(true)?;
    let stream = TcpStream::from_std(stream)?;
    at_once(&stream)?;
    Ok(stream)
}

/// Has what is small leave at once: acks and payments are, and somebody waits for each.
fn at_once(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)
}
