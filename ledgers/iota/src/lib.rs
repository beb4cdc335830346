//! IOTA as a ledger of sdpp.

#![forbid(unsafe_code)]

mod coins;
mod names;
mod record;
#[cfg(test)]
mod recorded;
mod shape;
mod signer;
mod tx;

pub use signer::Scheme;
