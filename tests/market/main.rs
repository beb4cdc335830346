//! Stories through the real program: a ledger that is served, a seller and buyers, each a process
//! of its own.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[cfg(feature = "ethereum")]
mod anvil;
mod channels;
mod crash;
mod place;
mod trade;
mod watch;
