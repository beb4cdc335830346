//! TLS under the data channel: nobody between seller and buyer reads along, and whoever answers has a
//! certificate of somebody that the other side believes. It stands beneath the protocol and changes
//! nothing in it: messages are signed all the same, and a key that is pinned is still checked.
//!
//! TLS 1.3 alone, of the provider that the ledgers' HTTP has too; no resumption and no early data, so
//! nothing that was said can be said again. Where both sides name a protocol it is [`PROTOCOL`]. This
//! module is given PEM and sockets; files and configs are not its business. In a build without the
//! feature `tls` its types are there and cannot be made.

#[cfg(not(feature = "tls"))]
mod absent;
#[cfg(feature = "tls")]
mod bounded;
#[cfg(feature = "tls")]
mod buyer;
#[cfg(feature = "tls")]
mod certificate;
#[cfg(feature = "tls")]
mod seller;

#[cfg(not(feature = "tls"))]
pub use absent::{BuyersTls, SellersTls, Stream, is_name, lifetimes, socket};
#[cfg(feature = "tls")]
pub use {
    bounded::{Stream, socket},
    buyer::{BuyersTls, is_name},
    certificate::lifetimes,
    seller::SellersTls,
};

use std::fmt;
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;
use zeroize::Zeroizing;

/// What both sides call the protocol above, where they call it anything (ALPN).
pub const PROTOCOL: &[u8] = b"sdpp/1";

/// The most bytes that are read in a handshake: a chain of certificates has a few thousand.
pub const HANDSHAKE_BYTES_MAX: usize = 64 * 1024;

/// The longest that a handshake may take, however long a first message may: it needs nobody to think,
/// pay or open anything.
pub const HANDSHAKE_MAX: Duration = Duration::from_secs(10);

/// How long a new connection may say nothing at all before it is taken for one without TLS: there the
/// seller speaks first, with TLS the buyer does, at once.
pub const SILENCE_MAX: Duration = Duration::from_secs(5);

/// What a side shows of itself, in PEM.
pub struct Papers {
    /// Its certificate, and those between it and its authority.
    pub certificate: Vec<u8>,
    /// The certificate's key.
    pub key: Zeroizing<String>,
}

/// Which of the PEM texts is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Our certificate.
    Certificate,
    /// Its key.
    Key,
    /// The authorities that are believed.
    Roots,
    /// The name that the other side must have.
    Name,
}

/// Something that TLS cannot be spoken with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}")]
pub struct Unsound {
    /// What of it.
    pub part: Part,
    /// What is wrong and what to do. Never a secret.
    pub what: String,
}

/// From when until when a certificate is good, in seconds since 1970 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// From then on.
    pub from_s: u64,
    /// Until then.
    pub until_s: u64,
}

/// Why a seller did not let a connection in.
#[derive(Debug)]
pub enum Refused {
    /// It speaks without TLS, or says nothing; it can be told.
    InTheClear(TcpStream),
    /// The handshake failed: a sentence.
    Handshake(String),
}

/// Why a buyer does not speak to whom it has dialled.
#[derive(Debug)]
pub enum DialError {
    /// What it shows does not prove that it is the one: a sentence.
    Unproven(String),
    /// It wants to know who we are, and does not take what we show: a sentence.
    WeAreRefused(String),
    /// It answers in the clear, with this to begin with.
    InTheClear(Vec<u8>),
    /// They found no common way to speak: a sentence.
    Handshake(String),
    /// The line broke, or was too slow.
    Line(io::Error),
}

impl fmt::Debug for Papers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Papers").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(feature = "tls")]
mod tests;
