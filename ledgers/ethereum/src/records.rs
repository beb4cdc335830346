//! Anchors: events of the escrow contract that say who put which digest where.

use crate::abi;
use crate::finality::Place;
use crate::ledger::{Chain, EthereumLedger};
use crate::names;
use crate::rpc::{Answer, Rpc, Trouble};
use crate::view::{Log, Receipt};
use async_trait::async_trait;
use ethers_core::types::{Address, H256};
use sdpp_ledger::{Anchor, Call, Finality, Ledger, LedgerError, Records, Result, Signed, TxId};
use std::sync::Arc;

#[async_trait]
impl Records for EthereumLedger {
    async fn anchor(&self, number: u64, anchor: &Anchor) -> Result<Signed> {
        self.prepared(number, &Call::Anchor(anchor.clone())).await
    }

    async fn anchored(&self, tx: &TxId, anchor: &Anchor) -> Result<Finality> {
        if self.records().is_none() {
            return Err(LedgerError::refused("NoSuchAbility", "no contract keeps records here"));
        }
        self.chain.nodes.ask(|node| Box::pin(self.chain.anchored_on(node, tx, anchor))).await
    }
}

impl Chain {
    async fn anchored_on(&self, node: Arc<Rpc>, tx: &TxId, anchor: &Anchor) -> Answer<Finality> {
        let hash = names::hash(tx)?;
        let Some(seen) = node.seen(hash).await? else {
            return Ok(Finality::Unknown);
        };
        let place = self.place(&node, hash).await?;
        if !self.counts(&node, &seen, &place).await? {
            return self.told(&node, place, None, seen.from).await;
        }
        let another = || Trouble::refused("NotThisAnchor", format!("{tx} holds something else"));
        let call = Call::Anchor(anchor.clone());
        if abi::call(&seen.body(), self.escrow_address()) != Some(call.clone()) {
            return Err(another());
        }
        if let Place::Deep(receipt, _) = &place
            && receipt.took_effect()
            && !self.says(receipt, anchor, seen.from)
        {
            return Err(another());
        }
        effective(self.told(&node, place, Some(&call), seen.from).await?)
    }

    /// Whether a transaction's events put exactly this anchor on record.
    fn says(&self, receipt: &Receipt, anchor: &Anchor, by: Address) -> bool {
        let by = H256::from(by);
        let (topics, data) = match anchor {
            Anchor::One { reference, digest } => {
                let kind = H256::zero();
                (vec![abi::topic("Recorded"), by, H256(reference.0), kind], digest.0)
            }
            Anchor::Root { root, count } => {
                let count = H256::from_low_u64_be((*count).into());
                (vec![abi::topic("RootRecorded"), by, H256(root.0)], count.0)
            }
        };
        let escrow = self.escrow_address();
        let is_it = |log: &Log| {
            Some(log.address) == escrow && log.topics == topics && log.data.as_ref() == data
        };
        receipt.logs.iter().any(is_it)
    }
}

/// A finality, unless it is there for good without effect.
pub(crate) fn effective(finality: Finality) -> Answer<Finality> {
    match finality {
        Finality::Reverted { why, .. } => Err(Trouble::refused("Reverted", why)),
        finality => Ok(finality),
    }
}
