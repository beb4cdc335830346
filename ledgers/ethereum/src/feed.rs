//! Price feeds as Chainlink writes them (`AggregatorV3Interface`): a contract that others tell a
//! price. Who they are, and whether they are right, is not seen here.

use crate::abi;
use crate::ledger::EthereumLedger;
use crate::names;
use crate::rpc::{Answer, Rpc, Trouble};
use ethers_core::types::Address;
use sdpp_ledger::{Account, Feed, Result};
use serde_json::json;
use std::sync::Arc;

/// `(uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound)`.
const ANSWER_AT: usize = 32;
const UPDATED_AT: usize = 96;
const ROUND_BYTES: usize = 160;

impl EthereumLedger {
    /// The newest round of a feed, by the newest block.
    pub(crate) async fn told_by_feed(&self, contract: &Account) -> Result<Feed> {
        let address = names::address(contract)?;
        self.chain.nodes.ask(|node| Box::pin(feed_on(node, address))).await
    }
}

async fn feed_on(node: Arc<Rpc>, feed: Address) -> Answer<Feed> {
    let decimals = tell(&node, feed, &abi::DECIMALS).await?;
    let round = tell(&node, feed, &abi::LATEST_ROUND_DATA).await?;
    read(&decimals, &round).ok_or_else(|| {
        let why = format!("{feed:?} has no round with an answer, a time and decimals");
        Trouble::refused("NotAFeed", why)
    })
}

/// What a contract answers; one that reverts tells nothing.
async fn tell(node: &Rpc, feed: Address, selector: &[u8]) -> Answer<Vec<u8>> {
    match node.call(feed, selector, json!("latest")).await {
        Err(Trouble::Said { data: Some(_), .. }) => Ok(Vec::new()),
        told => told,
    }
}

/// A round that nobody has answered yet has no time.
fn read(decimals: &[u8], round: &[u8]) -> Option<Feed> {
    if (decimals.len(), round.len()) != (32, ROUND_BYTES) {
        return None;
    }
    let decimals = u8::try_from(abi::word(decimals, 0)?).ok()?;
    let answer = abi::int(round, ANSWER_AT)?;
    let at_s = u64::try_from(abi::word(round, UPDATED_AT)?).ok().filter(|at_s| *at_s > 0)?;
    Some(Feed { answer, decimals, at_ms: at_s.checked_mul(1_000)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(number: i128) -> Vec<u8> {
        let sign = if number < 0 { 0xff } else { 0 };
        [[sign; 16], number.to_be_bytes()].concat()
    }

    fn round(answer: &[u8], updated_at: i128) -> Vec<u8> {
        [&word(7), answer, &word(1), &word(updated_at), &word(7)].concat()
    }

    #[test]
    fn a_round_is_read_with_its_sign_and_its_time() {
        for answer in [301_255_000_000, 0, -5, i128::MAX, i128::MIN] {
            let told = read(&word(8), &round(&word(answer), 1_700_000_000));
            assert_eq!(told, Some(Feed { answer, decimals: 8, at_ms: 1_700_000_000_000 }));
        }
    }

    #[test]
    fn what_is_no_round_is_none() {
        let good = round(&word(5), 9);
        let wide = [vec![1], vec![0; 31]].concat();
        for (decimals, round) in [
            (word(8), good[..128].to_vec()),
            (word(8), Vec::new()),
            (Vec::new(), good.clone()),
            (good.clone(), good.clone()),
            (word(256), good.clone()),
            (word(8), round(&word(5), 0)),
            (word(8), round(&word(5), i128::from(u64::MAX))),
            (word(8), round(&wide, 9)),
        ] {
            assert_eq!(read(&decimals, &round), None, "{round:?} was taken");
        }
    }
}
