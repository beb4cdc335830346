//! A build without TLS: nothing of it can be made, so nothing of it can be reached.

use super::{DialError, Lifetime, Papers, Part, Refused, Unsound};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// How a seller lets buyers in: not in this build.
#[derive(Debug, Clone)]
pub enum SellersTls {}

/// How a buyer reaches a seller: not in this build.
#[derive(Debug, Clone)]
pub enum BuyersTls {}

/// A connection under TLS: not in this build.
#[derive(Debug)]
pub enum Stream {}

impl SellersTls {
    /// Refuses.
    ///
    /// # Errors
    /// [`Unsound`] always, with what to build.
    pub fn new(_: Papers, _: Option<&[u8]>) -> Result<Self, Unsound> {
        Err(not_built(Part::Certificate))
    }

    /// Nobody has one to call this on.
    ///
    /// # Errors
    /// None ever.
    pub async fn accept(&self, _: TcpStream, _: Duration) -> Result<Stream, Refused> {
        match *self {}
    }
}

impl BuyersTls {
    /// Refuses.
    ///
    /// # Errors
    /// [`Unsound`] always, with what to build.
    pub fn new(_: Option<&[u8]>, _: Option<Papers>, _: &str) -> Result<Self, Unsound> {
        Err(not_built(Part::Name))
    }

    /// Nobody has one to call this on.
    ///
    /// # Errors
    /// None ever.
    pub async fn connect(&self, _: TcpStream, _: Duration) -> Result<Stream, DialError> {
        match *self {}
    }
}

/// There is none.
pub fn socket(stream: &mut Stream) -> &mut TcpStream {
    match *stream {}
}

/// No name is needed here.
pub fn is_name(_: &str) -> bool {
    false
}

/// Nothing is known of certificates here.
pub fn lifetimes(_: &[u8]) -> Vec<Lifetime> {
    Vec::new()
}

fn not_built(part: Part) -> Unsound {
    let what = "this sdpp was built without TLS: build one with `--features tls`".to_owned();
    Unsound { part, what }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match *self {}
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        match *self {}
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match *self {}
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match *self {}
    }
}
