//! How signed bytes get to the chain. Whatever a node answers, what counts is what it has then.

use crate::finality::own_id;
use crate::ledger::EthereumLedger;
use crate::names;
use crate::rpc::{Answer, Rpc, Trouble};
use crate::tx::Tx;
use crate::view::hex_text;
use ethers_core::types::H256;
use sdpp_ledger::{LedgerError, Result, Signed, TxId};
use serde::de::IgnoredAny;
use serde_json::json;
use std::sync::Arc;

impl EthereumLedger {
    pub(crate) async fn submit_signed(&self, signed: &Signed) -> Result<TxId> {
        let tx = Tx::read(signed, self.own.address)?;
        if tx.chain_id != self.chain.settings.chain_id {
            let why = format!("signed for chain {}", tx.chain_id);
            return Err(LedgerError::refused("WrongChain", why));
        }
        self.chain.nodes.ask(|node| Box::pin(self.submitted_on(node, signed))).await
    }

    async fn submitted_on(&self, node: Arc<Rpc>, signed: &Signed) -> Answer<TxId> {
        let id = own_id(signed)?;
        let hash = names::hash(id)?;
        let params = json!([hex_text(&signed.raw)]);
        let sent: Answer<IgnoredAny> = node.ask("eth_sendRawTransaction", params).await;
        match sent {
            Err(trouble) if !has(&node, hash).await? => {
                Err(self.why_not_taken(&node, signed.number, hash, trouble).await?)
            }
            _ => {
                self.own.know_number(signed.number.saturating_add(1));
                Ok(id.clone())
            }
        }
    }

    /// What is said of a transaction that a node would not take and has not.
    async fn why_not_taken(
        &self,
        node: &Rpc,
        number: u64,
        hash: H256,
        trouble: Trouble,
    ) -> Answer<Trouble> {
        let Trouble::Said { what, .. } = trouble else {
            return Ok(trouble);
        };
        let own = self.own.address;
        if self.chain.is_used_by_another(node, own, number, hash).await? {
            let why = format!("number {number} was used by another transaction, for good");
            return Ok(Trouble::refused("NumberUsed", why));
        }
        let is_used = node.count(own, json!("latest")).await? > number;
        let other =
            if is_used { format!("; number {number} was used by another") } else { String::new() };
        Ok(LedgerError::unavailable(format!("not taken: {what}{other}")).into())
    }
}

/// Whether a node has a transaction, in a block or in its pool.
async fn has(node: &Rpc, tx: H256) -> Answer<bool> {
    Ok(node.seen(tx).await?.is_some() || node.receipt(tx).await?.is_some())
}
