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

impl Fees {
    /// More than these, as much as a pool asks for to let one replace the other, and not less
    /// than what a new transaction would offer. `None` where that is over the ceiling.
    pub fn raised(self, today: Fees, ceiling: u128) -> Option<Fees> {
        let max = raised(self.max)?;
        let tip = raised(self.tip)?.max(today.tip);
        let fees = Fees { max: max.max(today.max).min(ceiling), tip: tip.min(ceiling) };
        (max <= ceiling).then_some(Fees { tip: fees.tip.min(fees.max), ..fees })
    }
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

    /// What a new transaction offers: enough for some six full blocks in a row.
    ///
    /// # Errors
    /// `Unavailable` where not even the next block's fee is under the ceiling.
    pub fn fees(self, ceiling: u128) -> Result<Fees, LedgerError> {
        let needed = self.base.saturating_add(self.tip);
        if needed > ceiling {
            return Err(LedgerError::unavailable(format!(
                "fees are above the ceiling: {needed} wei for each gas, allowed are {ceiling}"
            )));
        }
        Ok(self.bounded(ceiling))
    }

    /// The same, or the ceiling where it is lower.
    pub fn bounded(self, ceiling: u128) -> Fees {
        let max = self.base.saturating_mul(2).saturating_add(self.tip).min(ceiling);
        Fees { max, tip: self.tip.min(max) }
    }
}

/// An eighth more, rounded up: pools ask for a tenth.
fn raised(cap: u128) -> Option<u128> {
    cap.checked_add(cap.div_ceil(8).max(1))
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

    #[test]
    fn an_offer_stays_under_the_ceiling() {
        let market = Market { base: 100, tip: 7 };
        assert_eq!(market.fees(1_000), Ok(Fees { max: 207, tip: 7 }));
        assert_eq!(market.fees(107), Ok(Fees { max: 107, tip: 7 }));
        let above = market.fees(106).unwrap_err().to_string();
        assert!(above.contains("fees are above the ceiling"), "{above}");
        let absurd = Market { base: u128::MAX, tip: u128::MAX };
        assert!(absurd.fees(u128::MAX).is_ok(), "no overflow");
    }

    #[test]
    fn a_raise_is_an_eighth_on_both_and_at_least_todays_offer() {
        let (old, low) = (Fees { max: 1_001, tip: 1 }, Fees { max: 10, tip: 1 });
        assert_eq!(old.raised(low, 9_999), Some(Fees { max: 1_127, tip: 2 }));
        let today = Fees { max: 5_000, tip: 50 };
        assert_eq!(old.raised(today, 9_999), Some(today));
        assert_eq!(old.raised(today, 2_000), Some(Fees { max: 2_000, tip: 50 }));
        assert_eq!(old.raised(low, 1_126), None, "over the ceiling");
        assert_eq!(Fees { max: u128::MAX, tip: 1 }.raised(low, u128::MAX), None);
    }
}
