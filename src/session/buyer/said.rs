//! Payments by transfer that the seller was told of and that are not final. Whoever raises a fee
//! signs another transaction for the same payment, and either may be mined: the seller is told of
//! each, or it would wait for one that never comes.

use super::paying::Unpaid;
use crate::record::FURTHER_TXS_MAX;
use sdpp_ledger::TxId;

/// Payments that the seller was told of, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Said(Vec<Payment>);

/// One of them, and every transaction that it was told under.
#[derive(Debug)]
struct Payment {
    unpaid: Unpaid,
    told: Vec<TxId>,
}

impl Said {
    /// The seller is told of a payment for the first time.
    pub(super) fn add(&mut self, unpaid: Unpaid, tx: TxId) {
        self.0.push(Payment { unpaid, told: vec![tx] });
    }

    /// What the seller is to be told when a payment has this transaction too; nothing where it
    /// knows it. The last name that is left to us is kept for the transaction that is mined.
    pub(super) fn again(&mut self, number: u64, tx: &TxId, is_final: bool) -> Option<Unpaid> {
        let payment = self.0.iter_mut().find(|payment| payment.unpaid.number == number)?;
        let kept = if is_final { 0 } else { 1 };
        let room = FURTHER_TXS_MAX + 1 - kept;
        if payment.told.contains(tx) || payment.told.len() >= room {
            return None;
        }
        payment.told.push(tx.clone());
        Some(Unpaid { tx: Some(tx.clone()), ..payment.unpaid })
    }

    /// A payment is final.
    pub(super) fn forget(&mut self, number: u64) {
        self.0.retain(|payment| payment.unpaid.number != number);
    }

    /// Since when the oldest invoice of them is here.
    pub(super) fn since_ms(&self) -> Option<u64> {
        self.0.iter().map(|payment| payment.unpaid.since_ms).min()
    }

    /// The numbers of their windows.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.0.iter().map(|payment| payment.unpaid.number)
    }
}
