//! Since when each ledger is not watched. A watch tells it each time that it has read all that is
//! final; sessions, the menu and the status ask.
//!
//! A seller plans for an outage of so long and no longer: beyond it, the payer of any channel may
//! have asked to close it and may withdraw before we know.

use sdpp_ledger::LedgerId;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What the watches see; its clones show the same.
#[derive(Debug, Clone)]
pub struct Sight {
    outage: Duration,
    read: Arc<Mutex<BTreeMap<LedgerId, Instant>>>,
}

impl Sight {
    /// No ledger is watched yet. One that was not read for longer than `outage` is not watched
    /// any more.
    pub(super) fn new(outage: Duration) -> Sight {
        Sight { outage, read: Arc::default() }
    }

    /// A watch over this ledger begins. Another life of it saw no more than the one before.
    pub(super) fn begin(&self, ledger: &LedgerId) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.entry(ledger.clone()).or_insert_with(Instant::now);
    }

    /// All that is final on this ledger is known just now.
    pub(super) fn saw(&self, ledger: &LedgerId) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.insert(ledger.clone(), Instant::now());
    }

    /// How long a ledger was not read, where that is longer than the outage that was planned for.
    pub fn blind_for(&self, ledger: &LedgerId) -> Option<Duration> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.get(ledger).map(Instant::elapsed).filter(|since| self.is_too_long(*since))
    }

    /// Whether this is longer than the outage that was planned for.
    pub(super) fn is_too_long(&self, unseen: Duration) -> bool {
        unseen > self.outage
    }
}
