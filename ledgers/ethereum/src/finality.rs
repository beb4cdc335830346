//! What became of a transaction. Mined is not final, absent is not replaced: both are said only
//! when the chain has shown it, deep enough, in the words of one node.

use crate::abi::Body;
use crate::evidence::redeemed;
use crate::ledger::{Chain, EthereumLedger};
use crate::rpc::{Answer, Rpc, Trouble};
use crate::tx::Tx;
use crate::view::{Block, Receipt, Seen, at};
use crate::{abi, names};
use ethers_core::types::{Address, H256};
use sdpp_ledger::{Call, Finality, Inclusion, LedgerError, Signed, TxId};
use serde_json::json;
use std::sync::Arc;

/// Where a transaction stands.
pub(crate) enum Place {
    /// The node does not know it.
    Absent,
    /// In a pool, or in a block that was given up while it was asked for.
    Waiting,
    /// In a block that is not deep enough.
    Shallow(Inclusion),
    /// In a block that stays.
    Deep(Box<Receipt>, Box<Block>),
}

impl EthereumLedger {
    pub(crate) async fn finality_on(&self, node: Arc<Rpc>, signed: &Signed) -> Answer<Finality> {
        let (tx, own) = (Tx::read(signed, self.own.address)?, self.own.address);
        let hash = names::hash(own_id(signed)?)?;
        let place = self.chain.place(&node, hash).await?;
        if matches!(place, Place::Absent)
            && self.chain.is_used_by_another(&node, own, signed.number, hash).await?
        {
            return Ok(Finality::Replaced);
        }
        let call = abi::call(&tx.body, self.chain.escrow_address());
        if call.is_none() && matches!(place, Place::Deep(..)) {
            self.chain.is_readable(&tx.body)?;
        }
        self.chain.told(&node, place, call.as_ref(), own).await
    }
}

impl Chain {
    /// Whether what our own transaction did can be read with these settings.
    fn is_readable(&self, body: &Body) -> Result<(), LedgerError> {
        let moves_money = |call: Call| redeemed(&call).is_some();
        let (Some(to), true) = (body.to, abi::call(body, body.to).is_some_and(moves_money)) else {
            return Ok(());
        };
        let now = self.settings.escrow.as_ref().map_or("none", |account| account.as_str());
        Err(LedgerError::unavailable(format!(
            "it was signed for the escrow contract {to:?} and the settings name {now}: what it \
             brought is read when they name {to:?} again"
        )))
    }

    /// Where a transaction stands.
    pub async fn place(&self, node: &Rpc, tx: H256) -> Answer<Place> {
        let Some(receipt) = node.receipt(tx).await? else {
            let seen = node.seen(tx).await?;
            return Ok(seen.map_or(Place::Absent, |_| Place::Waiting));
        };
        let head = node.head().await?;
        let block = node.block(receipt.height()).await?;
        let Some(block) = block.filter(|block| block.hash == receipt.block_hash) else {
            return Ok(Place::Waiting);
        };
        let is_deep = self.final_height(&head).is_some_and(|height| block.height() <= height);
        if is_deep && stands(node, &head).await? {
            // What it did is for good, and nothing shows it but the node's word: two of them.
            if node.receipt(tx).await?.as_ref() != Some(&receipt) {
                return Err(node.trouble("told in two ways what a transaction did"));
            }
            return Ok(Place::Deep(Box::new(receipt), Box::new(block)));
        }
        let (height, block) = (block.height(), format!("{:?}", block.hash));
        Ok(Place::Shallow(Inclusion { height, block }))
    }

    /// Whether what a node tells of a transaction counts. Of a kind whose hash is not known here
    /// there is but its word, which it has to repeat, and which is nothing before the block is
    /// deep.
    pub async fn counts(&self, node: &Rpc, seen: &Seen, place: &Place) -> Answer<bool> {
        if !seen.is_hearsay() {
            return Ok(true);
        }
        if node.seen(seen.hash).await?.as_ref() != Some(seen) {
            return Err(node.trouble("told a transaction in two ways"));
        }
        Ok(matches!(place, Place::Deep(..)))
    }

    /// The height of the newest block that is deep enough.
    pub fn final_height(&self, head: &Block) -> Option<u64> {
        head.height().saturating_add(1).checked_sub(self.settings.depth)
    }

    /// A place in the words of a ledger; `call` and `from` are the transaction's.
    pub async fn told(
        &self,
        node: &Arc<Rpc>,
        place: Place,
        call: Option<&Call>,
        from: Address,
    ) -> Answer<Finality> {
        Ok(match place {
            Place::Absent => Finality::Unknown,
            Place::Waiting => Finality::Pending(None),
            Place::Shallow(inclusion) => Finality::Pending(Some(inclusion)),
            Place::Deep(receipt, block) => {
                let evidence = self.evidence(node, &receipt, &block, call, from).await?;
                if receipt.took_effect() {
                    return Ok(Finality::Final(evidence));
                }
                Finality::Reverted { why: self.why_reverted(node, &receipt).await, evidence }
            }
        })
    }

    /// The reason, as the same call has it at the end of the block that it reverted in. As good
    /// as can be had without replaying the block.
    async fn why_reverted(&self, node: &Rpc, receipt: &Receipt) -> String {
        let Ok(Some(seen)) = node.seen(receipt.transaction_hash).await else {
            return "Reverted".to_owned();
        };
        let call = json!({
            "from": seen.from, "to": seen.signed.to, "value": seen.signed.value,
            "gas": seen.signed.gas, "data": seen.signed.input,
        });
        let answer: Answer<serde_json::Value> =
            node.ask("eth_call", json!([call, at(receipt.height())])).await;
        match answer {
            Err(Trouble::Said { said: Some(data), .. }) if !data.is_empty() => abi::refusal(&data),
            _ if receipt.gas_used == seen.signed.gas => "OutOfGas".to_owned(),
            _ => "Reverted".to_owned(),
        }
    }
}

/// Whether a block is still the one at its height: then all under it is what it was.
pub(crate) async fn stands(node: &Rpc, block: &Block) -> Answer<bool> {
    let now = node.block(block.height()).await?;
    Ok(now.is_some_and(|now| now.hash == block.hash))
}

/// The id of what we signed.
pub(crate) fn own_id(signed: &Signed) -> Result<&TxId, LedgerError> {
    let lacks = || LedgerError::refused("Malformed", "a transaction here has its id at once");
    signed.tx.as_ref().ok_or_else(lacks)
}
