//! Thin actix shells around what decides: sockets, time, randomness and threads are here, and no
//! rule of the protocol is.
//!
//! One actor, one file: the [`journal`] (one, on a thread of its own), a [`ledger`] actor for each
//! signing account and a [`watch`] over its channels, one that [`reclaim`]s what is left in them, a [`session`] for each connection, the [`listener`] that makes them, and the
//! [`node`] that knows them all. The [`keeper`] starts again what breaks. Nothing that happens for each item crosses an actor; what happens
//! for each window may.

pub mod admission;
mod alarm;
pub mod amending;
mod approval;
pub mod asking;
pub mod backlog;
pub mod busy;
pub mod buying;
pub mod credit;
pub mod fees;
pub mod funding;
pub mod funds;
pub mod interrupted;
pub mod joining;
pub mod journal;
pub mod keeper;
pub mod lag;
pub mod ledger;
pub mod listener;
pub mod node;
pub mod offering;
pub mod promised;
mod rating;
mod readers;
pub mod recalling;
pub mod reclaim;
pub mod restarting;
pub mod resuming;
pub mod room;
pub mod selling;
pub mod session;
mod shown;
pub mod sight;
pub mod trusting;
pub mod waiting;
pub mod watch;
pub mod wire;
mod writer;

use sdpp_ledger::{Digest, Key, Ledger, LedgerId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// The ledgers that a node has accounts on.
pub type Ledgers = Arc<BTreeMap<LedgerId, Arc<dyn Ledger>>>;

/// The time, in milliseconds since 1970 UTC.
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The system gave no randomness: nothing safe can be done without.
#[derive(Debug, thiserror::Error)]
#[error("this system gives no randomness: {0}")]
pub struct NoRandomness(#[from] getrandom::Error);

/// Fresh random bytes.
///
/// # Errors
/// [`NoRandomness`] when the system gives none.
pub fn random<const N: usize>() -> Result<Zeroizing<[u8; N]>, NoRandomness> {
    let mut bytes = Zeroizing::new([0; N]);
    getrandom::getrandom(bytes.as_mut_slice())?;
    Ok(bytes)
}

/// A fresh random digest.
///
/// # Errors
/// [`NoRandomness`] when the system gives none.
pub fn random_digest() -> Result<Digest, NoRandomness> {
    Ok(Digest(*random()?))
}

/// A fresh key.
///
/// # Errors
/// [`NoRandomness`] when the system gives none.
pub fn random_key() -> Result<Key, NoRandomness> {
    loop {
        // One number in 2^128 is no key; then the next one is.
        if let Ok(key) = Key::from_bytes(&*random()?) {
            return Ok(key);
        }
    }
}
