//! What a transaction offers for its gas (EIP-1559), under the ceiling that the operator set.

use crate::rpc::{Answer, Rpc, Trouble};
use ethers_core::types::U256;
use sdpp_ledger::LedgerError;
use serde::Deserialize;
use serde_json::json;

/// The blocks that the tip is judged by.
const HISTORY: u64 = 10;

/// The tip lies between these, in wei for each gas, whatever a node says.
const TIP_MIN: u128 = 1;
const TIP_MAX: u128 = 100_000_000_000;

/// What is offered, in wei for each gas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fees {
    /// At most this in all.
    pub max: u128,
    /// At most this to whoever makes the block.
    pub tip: u128,
}

/// What the chain asks for today, in wei for each gas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Market {
    base: u128,
    tip: u128,
}

impl Market {
    /// Asks a node.
    pub async fn ask(node: &Rpc) -> Answer<Market> {
        let head = node.head().await?;
        let no_base = || node.trouble("its blocks have no base fee (EIP-1559)");
        let base = head.base_fee_per_gas.ok_or_else(no_base)?;
        let base = u128::try_from(base).map_err(|_| node.trouble("an absurd base fee"))?;
        Ok(Market { base, tip: tip(node).await?.clamp(TIP_MIN, TIP_MAX) })
    }

    /// What one gas costs in the next block, in wei.
    pub fn price(self) -> u128 {
        self.base.saturating_add(self.tip)
    }

    /// What a new transaction offers: enough for some six full blocks in a row, and so much less
    /// than the ceiling that it can be raised, or cancelled, once at least.
    ///
    /// # Errors
    /// `Unavailable` where not even the next block's fee is within that.
    pub fn fees(self, ceiling: u128) -> Result<Fees, LedgerError> {
        let (needed, first) = (self.base.saturating_add(self.tip), first_at_most(ceiling));
        if needed <= first {
            return Ok(self.first(ceiling));
        }
        Err(LedgerError::unavailable(format!(
            "fees are above the ceiling: {needed} wei for each gas are asked, and of fee_ceiling \
             = {ceiling} a first offer may take {first}, as a raise must fit: {}",
            set_ceiling(raised(needed).unwrap_or(u128::MAX))
        )))
    }

    /// The same, or the most of a first offer where that is lower.
    pub fn first(self, ceiling: u128) -> Fees {
        let max = self.base.saturating_mul(2).saturating_add(self.tip).min(first_at_most(ceiling));
        Fees { max, tip: self.tip.min(max) }
    }

    /// More than the newest of so many offers, where it no longer covers what is asked; else
    /// `None`. What is offered is a bound and no price, so each raise looks further ahead than
    /// the one before, within `room`: few raises reach any price under the ceiling.
    ///
    /// # Errors
    /// `Unavailable` where the newest falls short of today's price and a raise is over the
    /// ceiling.
    pub fn raise(
        self,
        newest: Fees,
        offers: usize,
        room: u128,
        ceiling: u128,
    ) -> Result<Option<Fees>, LedgerError> {
        // The most that the base fee can rise by in one block.
        let next = self.base.saturating_add(self.base / 8);
        if self.is_covered(newest, next) {
            return Ok(None);
        }
        let doublings = u32::try_from(offers).unwrap_or(u32::MAX).saturating_add(1).min(32);
        let ahead = self.base.saturating_mul(1 << doublings).saturating_add(self.tip);
        let is_cheap = newest.max < next.saturating_add(self.tip);
        let wanted = if is_cheap { ahead.min(room).min(ceiling) } else { 0 };
        match self.above(newest, wanted, ceiling) {
            Some(fees) => Ok(Some(fees)),
            None if self.is_covered(newest, self.base) => Ok(None),
            None => {
                let least = raised(newest.max).unwrap_or(u128::MAX);
                let least = least.max(next.saturating_add(self.tip));
                Err(LedgerError::unavailable(over("a raise of what no longer is enough", least)))
            }
        }
    }

    /// An offer that goes before this one, whatever is asked.
    ///
    /// # Errors
    /// `FeeCeiling` where that is over the ceiling.
    pub fn outbid(self, newest: Fees, ceiling: u128) -> Result<Fees, LedgerError> {
        let wanted = self.base.saturating_mul(2).saturating_add(self.tip).min(ceiling);
        self.above(newest, wanted, ceiling).ok_or_else(|| {
            let least = raised(newest.max).unwrap_or(u128::MAX);
            LedgerError::refused("FeeCeiling", over("an offer that goes before the last", least))
        })
    }

    /// Whether an offer is enough at a base fee. A tip that lacks no more than a raise adds is.
    fn is_covered(self, offer: Fees, base: u128) -> bool {
        let is_tip_enough = raised(offer.tip).is_none_or(|tip| tip >= self.tip);
        offer.max >= base.saturating_add(self.tip) && is_tip_enough
    }

    /// More than an offer, as much as a pool asks for to let one replace the other, and `wanted`
    /// at least. `None` where that is over the ceiling.
    fn above(self, offer: Fees, wanted: u128, ceiling: u128) -> Option<Fees> {
        let max = raised(offer.max)?.max(wanted);
        let tip = raised(offer.tip)?.max(self.tip).min(max);
        (max <= ceiling).then_some(Fees { max, tip })
    }
}

/// The most that a first offer takes of a ceiling: eight ninths, rounded down, so that a raise by
/// an eighth, rounded up, fits under it.
fn first_at_most(ceiling: u128) -> u128 {
    ceiling / 9 * 8 + ceiling % 9 * 8 / 9
}

/// An eighth more, rounded up: pools ask for a tenth.
fn raised(cap: u128) -> Option<u128> {
    cap.checked_add(cap.div_ceil(8).max(1))
}

/// What to tell an operator whose ceiling is too low.
fn over(what: &str, least: u128) -> String {
    format!("fees are above the ceiling: {what} takes more; {}", set_ceiling(least))
}

fn set_ceiling(least: u128) -> String {
    format!("set fee_ceiling to at least {least}")
}

#[derive(Deserialize)]
struct History {
    #[serde(default)]
    reward: Option<Vec<Vec<U256>>>,
}

/// The middle of what was paid in the last blocks, else what the node suggests.
async fn tip(node: &Rpc) -> Answer<u128> {
    let params = json!([format!("0x{HISTORY:x}"), "latest", [50]]);
    let history: Answer<History> = node.ask("eth_feeHistory", params).await;
    let rewards = match history {
        Ok(history) => history.reward.unwrap_or_default(),
        Err(Trouble::Said { .. }) => Vec::new(),
        Err(other) => return Err(other),
    };
    let first = |block: Vec<U256>| block.first().and_then(|tip| u128::try_from(*tip).ok());
    let mut paid: Vec<u128> = rewards.into_iter().filter_map(first).filter(|t| *t > 0).collect();
    paid.sort_unstable();
    if let Some(middle) = paid.get(paid.len() / 2) {
        return Ok(*middle);
    }
    match node.ask::<U256>("eth_maxPriorityFeePerGas", json!([])).await {
        Ok(tip) => Ok(u128::try_from(tip).unwrap_or(TIP_MAX)),
        Err(Trouble::Said { .. }) => Ok(TIP_MIN),
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MARKET: Market = Market { base: 100, tip: 7 };

    #[test]
    fn an_offer_stays_under_eight_ninths_of_the_ceiling() {
        assert_eq!(MARKET.fees(1_000), Ok(Fees { max: 207, tip: 7 }));
        assert_eq!(MARKET.fees(121), Ok(Fees { max: 107, tip: 7 }));
        let above = MARKET.fees(120).unwrap_err().to_string();
        assert!(above.contains("fees are above the ceiling: 107 wei"), "{above}");
        assert!(above.contains("set fee_ceiling to at least 121"), "{above}");
        let absurd = Market { base: u128::MAX / 4, tip: u128::MAX / 4 };
        assert!(absurd.fees(u128::MAX).is_ok(), "no overflow");
    }

    #[test]
    fn what_still_covers_the_next_block_is_kept() {
        let keep = |offer| MARKET.raise(offer, 1, 9_999, 9_999).unwrap().is_none();
        assert!(keep(Fees { max: 119, tip: 7 }));
        assert!(!keep(Fees { max: 118, tip: 7 }), "the base fee may be 112 in the next block");
        assert!(keep(Fees { max: 500, tip: 6 }), "a raise would be less than what it lacks");
        assert!(!keep(Fees { max: 500, tip: 5 }), "others tip more by more than a raise");
    }

    #[test]
    fn a_raise_is_an_eighth_on_both_and_looks_further_ahead_each_time() {
        let cheap = Fees { max: 110, tip: 1 };
        let raise = |offers, room| MARKET.raise(cheap, offers, room, 9_999).unwrap().unwrap();
        assert_eq!(raise(1, 9_999), Fees { max: 407, tip: 7 });
        assert_eq!(raise(3, 9_999), Fees { max: 1_607, tip: 7 });
        assert_eq!(raise(3, 1_000), Fees { max: 1_000, tip: 7 }, "no more than there is room for");
        assert_eq!(raise(3, 5), Fees { max: 124, tip: 7 }, "but an eighth at least");
        assert_eq!(raise(usize::MAX, 9_999), Fees { max: 9_999, tip: 7 });
        let tipless = MARKET.raise(Fees { max: 800, tip: 3 }, 4, 9_999, 9_999).unwrap();
        assert_eq!(tipless, Some(Fees { max: 900, tip: 7 }), "its bound is high enough");
    }

    #[test]
    fn what_does_not_fit_names_the_ceiling_that_it_takes() {
        let newest = Fees { max: 100, tip: 7 };
        let error = MARKET.raise(newest, 1, 110, 110).unwrap_err();
        assert!(matches!(error, LedgerError::Unavailable { .. }));
        assert!(error.to_string().ends_with("set fee_ceiling to at least 119"), "{error}");
        assert_eq!(MARKET.raise(Fees { max: 108, tip: 7 }, 1, 110, 110), Ok(None), "it may do");
        let error = MARKET.outbid(newest, 112).unwrap_err();
        assert!(matches!(&error, LedgerError::Refused { code, .. } if code == "FeeCeiling"));
        assert!(error.to_string().ends_with("set fee_ceiling to at least 113"), "{error}");
        assert_eq!(MARKET.outbid(newest, 113), Ok(Fees { max: 113, tip: 8 }));
    }

    proptest! {
        #[test]
        fn a_first_offer_can_be_outbid_and_the_ceiling_that_is_named_is_the_least(
            base in 0..1_000_000_u128, tip in 1..1_000_000_u128, ceiling in 0..4_000_000_u128,
        ) {
            let market = Market { base, tip };
            if let Ok(first) = market.fees(ceiling) {
                prop_assert!(first.max >= base + tip && first.tip == tip);
                let over = market.outbid(first, ceiling).unwrap();
                prop_assert!(over.max <= ceiling && over.tip <= over.max);
                prop_assert!(10 * over.max >= 11 * first.max && 10 * over.tip >= 11 * first.tip);
            } else {
                let least = raised(base + tip).unwrap();
                prop_assert!(ceiling < least);
                prop_assert!(market.fees(least).is_ok() && market.fees(least - 1).is_err());
            }
        }

        #[test]
        fn few_raises_reach_any_price_under_the_ceiling(
            start in 1..1_000_u128, ceiling in 10_000..1_000_000_000_u128,
            rises in prop::collection::vec(9..100_u128, 1..60),
        ) {
            let mut market = Market { base: start, tip: 1 };
            let mut offers = vec![market.fees(ceiling).unwrap()];
            for rise in rises {
                market.base = (market.base * rise / 8).min(2 * ceiling);
                let newest = *offers.last().unwrap();
                match market.raise(newest, offers.len(), u128::MAX, ceiling) {
                    Ok(Some(more)) => offers.push(more),
                    Ok(None) => {}
                    Err(_) => prop_assert!(9 * (market.base + 1) > 7 * ceiling),
                }
            }
            prop_assert!(offers.len() <= 8, "{offers:?}");
        }
    }
}
