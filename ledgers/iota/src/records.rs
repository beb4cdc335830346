//! Records: what a transaction carries, signed by its sender and in a checkpoint for good. A node
//! that prunes forgets it; who keeps the raw transaction, its effects and the checkpoint's number
//! can show it later all the same.

use crate::ledger::{Chain, IotaLedger};
use crate::names;
use crate::payments::effective;
use crate::prepare::call_of;
use crate::rpc::{Answer, Trouble};
use async_trait::async_trait;
use sdpp_ledger::{Anchor, Call, Finality, Records, Result, Signed, TxId};

#[async_trait]
impl Records for IotaLedger {
    async fn anchor(&self, number: u64, anchor: &Anchor) -> Result<Signed> {
        self.prepared(number, &Call::Anchor(anchor.clone())).await
    }

    async fn anchored(&self, tx: &TxId, anchor: &Anchor) -> Result<Finality> {
        Ok(self.chain.anchored(tx, anchor).await?)
    }
}

impl Chain {
    async fn anchored(&self, tx: &TxId, anchor: &Anchor) -> Answer<Finality> {
        let another = || Trouble::refused("NotThisAnchor", format!("{tx} holds something else"));
        let Some(seen) = self.seen(tx.as_str(), &names::digest(tx)?, another).await? else {
            return Ok(Finality::Unknown);
        };
        if seen.tx.shape().as_ref().and_then(call_of) != Some(Call::Anchor(anchor.clone())) {
            return Err(another());
        }
        effective(self.told(&seen).await?)
    }
}
