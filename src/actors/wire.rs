//! What carries a session: a socket, in the clear or under TLS.

use crate::tls::Stream;
use std::io;
use tokio::net::TcpStream;

/// A connection, ready to carry.
pub enum Wire {
    /// In the clear.
    Plain(TcpStream),
    /// Under TLS, its handshake over.
    Tls(Box<Stream>),
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
