//! What settling costs, as each ledger told last. Sessions ask at intervals for what they have in
//! hand, one of them for all that are on the same ledger: never for an item.
//!
//! No mailbox is used: it is shared, and nobody waits in it.

use sdpp_ledger::{Amount, LedgerError, LedgerId};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often a ledger is asked at the most, and how often a session looks.
pub const EVERY: Duration = Duration::from_secs(5);

/// What ledgers told; its clones share it.
#[derive(Debug, Clone, Default)]
pub struct Fees(Arc<Mutex<BTreeMap<LedgerId, Known>>>);

#[derive(Debug, Clone, Copy, Default)]
struct Known {
    asked_ms: u64,
    fee: Option<Amount>,
}

impl Fees {
    /// What settling costs on a ledger, in its coin's smallest unit; `None` where it did not say.
    pub fn fee(&self, ledger: &LedgerId) -> Option<Amount> {
        self.known().get(ledger).and_then(|known| known.fee)
    }

    /// Whether the ledger is to be asked now: whoever is told so asks, and nobody else for a while.
    pub fn is_due(&self, ledger: &LedgerId, now_ms: u64) -> bool {
        let mut all = self.known();
        let every_ms = u64::try_from(EVERY.as_millis()).unwrap_or(u64::MAX);
        match all.get_mut(ledger) {
            Some(known) if now_ms.abs_diff(known.asked_ms) < every_ms => false,
            Some(known) => {
                known.asked_ms = now_ms;
                true
            }
            None => {
                all.insert(ledger.clone(), Known { asked_ms: now_ms, fee: None });
                true
            }
        }
    }

    /// What the ledger answered. One that is away leaves nobody a fee to go by; one that refuses
    /// says nothing of what another voucher costs.
    pub fn told(&self, ledger: &LedgerId, answer: Result<Amount, LedgerError>) {
        if let Some(known) = self.known().get_mut(ledger) {
            known.fee = match answer {
                Ok(fee) => Some(fee),
                Err(LedgerError::Unavailable { .. }) => None,
                Err(_) => known.fee,
            };
        }
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<LedgerId, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn one_asks_for_all_and_an_outage_leaves_nothing_to_go_by() {
        let (fees, ledger): (Fees, LedgerId) = (Fees::default(), "embedded:7377".parse().unwrap());
        let other = fees.clone();
        assert!(fees.is_due(&ledger, 10_000) && !other.is_due(&ledger, 14_999));
        assert_eq!(other.fee(&ledger), None);
        fees.told(&ledger, Ok(Amount::new(7)));
        assert_eq!(other.fee(&ledger), Some(Amount::new(7)));
        assert!(other.is_due(&ledger, 15_000), "and then whoever looks first");
        fees.told(&ledger, Err(LedgerError::refused("NotPayable", "that voucher is not")));
        assert_eq!(other.fee(&ledger), Some(Amount::new(7)));
        fees.told(&ledger, Err(LedgerError::unavailable("it is away")));
        assert_eq!(other.fee(&ledger), None);
    }
}
