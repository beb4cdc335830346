//! When what is in hand is brought to its ledger: one policy for all of them. Pure: whoever asks
//! tells it what is in hand and what bringing it costs.
//!
//! A voucher is worth its face, and redeeming it costs a fee however much it is. So it waits until
//! the fee is a small part of it, unless it has waited long, is too much to have at risk, or its
//! session ends. Invoices that one transfer can pay together wait alike, with whoever owes them, as
//! long as the seller's credit and patience last.

#[cfg(test)]
mod tests;

use crate::terms::Rate;
use sdpp_ledger::Amount;
use serde::{Deserialize, Serialize};

/// What demands that something is settled before its session ends. Where nothing is said, nothing
/// does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// The fee is below so many thousandths of what is in hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee_below_permille: Option<u32>,
    /// It has been in hand for so long, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_ms: Option<u64>,
    /// So much is in hand, in the currency's smallest unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure: Option<Amount>,
}

/// What is in hand and not settled. Amounts are in its currency's smallest unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hand {
    /// How much.
    pub value: Amount,
    /// Since when, in milliseconds since 1970 UTC.
    pub since_ms: u64,
    /// What settling costs; `None` where nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee: Option<Amount>,
    /// Until when it can wait at the longest, whatever the policy says, likewise; no end where there
    /// is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_ms: Option<u64>,
}

/// Why something is settled now, or is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Now: its session ends, or its leg.
    Close,
    /// Now: if more were held back, the seller would stop until it is paid.
    Credit,
    /// Now: more is in hand than may be at risk.
    Exposure,
    /// Now: it has waited long enough.
    Age,
    /// Now: the fee is a small part of it.
    Cheap,
    /// Not now: the fee is too large a part of it.
    Dear,
    /// Not now: nobody knows the fee.
    FeeUnknown,
    /// Not now: neither its age nor how much it is demands it, and the fee is not asked for.
    Waits,
}

impl Why {
    /// Whether it is settled now.
    pub fn is_now(self) -> bool {
        matches!(self, Why::Close | Why::Credit | Why::Exposure | Why::Age | Why::Cheap)
    }

    /// For people.
    pub fn told(self) -> &'static str {
        match self {
            Why::Close => "its session or its leg ends",
            Why::Credit => "with more unpaid the seller would stop",
            Why::Exposure => "so much may not be at risk",
            Why::Age => "it has waited long enough",
            Why::Cheap => "the fee is a small part of it",
            Why::Dear => "the fee is too large a part of it",
            Why::FeeUnknown => "nobody knows the fee",
            Why::Waits => "neither its age nor how much it is demands it",
        }
    }
}

impl Policy {
    /// Whether nothing is ever settled before its session ends.
    pub fn is_silent(&self) -> bool {
        *self == Policy::default()
    }

    /// Whether what is in hand is settled now, while its session goes on.
    pub fn decide(&self, hand: &Hand, now_ms: u64) -> Why {
        if self.exposure.is_some_and(|most| hand.value >= most) {
            return Why::Exposure;
        }
        if self.due_ms(hand).is_some_and(|due_ms| due_ms <= now_ms) {
            return Why::Age;
        }
        match (self.fee_below_permille, hand.fee) {
            (None, _) => Why::Waits,
            (Some(_), None) => Why::FeeUnknown,
            (Some(permille), Some(fee)) if is_small(fee, permille, hand.value) => Why::Cheap,
            (Some(_), Some(_)) => Why::Dear,
        }
    }

    /// When its age alone demands it, in milliseconds since 1970 UTC.
    pub fn due_ms(&self, hand: &Hand) -> Option<u64> {
        let aged_ms = self.age_ms.map(|age_ms| hand.since_ms.saturating_add(age_ms));
        [aged_ms, hand.latest_ms].into_iter().flatten().min()
    }
}

/// Whether a fee is below so many thousandths of a value.
fn is_small(fee: Amount, permille: u32, value: Amount) -> bool {
    let (fee, value, permille) = (fee.units(), value.units(), u128::from(permille));
    match (fee.checked_mul(1_000), value.checked_mul(permille)) {
        (Some(fee), Some(part)) => fee < part,
        // Beyond 2^118 a thousandth more or less decides nothing.
        _ => fee < (value / 1_000).saturating_mul(permille),
    }
}

/// What a fee in one currency is in another, both by what they are for one unit of the default
/// currency; rounded up. `None` where a rate is none, or 128 bits do not do.
pub fn fee_in(fee: Amount, paid_in: &Rate, wanted_in: &Rate) -> Option<Amount> {
    if paid_in == wanted_in {
        return Some(fee);
    }
    let up = paid_in.denominator.checked_mul(wanted_in.numerator.units())?;
    let down = paid_in.numerator.checked_mul(wanted_in.denominator.units())?;
    if down.is_zero() {
        return None;
    }
    let Rate { numerator: up, denominator: down } = Rate::reduced(up.units(), down.units());
    Some(Amount::new(fee.checked_mul(up.units())?.units().div_ceil(down.units())))
}
