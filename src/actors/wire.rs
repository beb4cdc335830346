//! What carries a session: a socket, in the clear or under TLS.

use crate::tls::Stream;
use std::io;
use std::os::fd::AsFd;
use tokio::net::TcpStream;

/// A connection, ready to carry.
pub enum Wire {
    /// In the clear.
    Plain(TcpStream),
    /// Under TLS, its handshake over.
    Tls(Box<Stream>),
}

impl Wire {
    /// Another handle of the connection, which another session can go on with; `None` under TLS, whose
    /// state has one owner.
    pub(super) fn spare(&self) -> Option<std::net::TcpStream> {
        match self {
            Wire::Plain(stream) => stream.as_fd().try_clone_to_owned().ok().map(Into::into),
            Wire::Tls(_) => None,
        }
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
///
/// # Errors
/// When the operating system refuses.
pub fn at_once(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)
}
