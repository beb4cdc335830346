//! How signed bytes get to the network. Whatever a node answers, what counts is what it has then.

use crate::ledger::IotaLedger;
use crate::names;
use crate::rpc::{Answer, Trouble};
use crate::said::Said;
use crate::tx::Tx;
use sdpp_ledger::{Result, Signed, TxId};

impl IotaLedger {
    pub(crate) async fn submit_signed(&self, signed: &Signed) -> Result<TxId> {
        let tx = Tx::own(signed, self.own.signer.address)?;
        Ok(self.submitted(&tx).await?)
    }

    async fn submitted(&self, tx: &Tx) -> Answer<TxId> {
        let (node, id) = (&self.chain.node, names::tx(&tx.digest));
        match node.execute(tx.to_send()).await {
            Ok(told) if told == id.as_str() => Ok(id),
            Ok(_) => Err(node.trouble("executed something else than it was given")),
            // It may have come through before, or just now, its answer lost.
            Err(_) if node.seen(&tx.digest).await?.is_some() => Ok(id),
            Err(trouble) => Err(self.why_not_taken(tx, trouble).await?),
        }
    }

    /// What is said of a transaction that a node would not take and has not. It is refused only
    /// where its own bytes, or what others spent, show that it can never happen.
    async fn why_not_taken(&self, tx: &Tx, trouble: Trouble) -> Answer<Trouble> {
        let Trouble::Said { said, what } = &trouble else { return Ok(trouble) };
        Ok(match said {
            Said::BadSignature if !tx.is_signed() => Trouble::refused("InvalidSignature", what),
            Said::TooLarge => Trouble::refused("TooLarge", what),
            Said::Stale if self.chain.is_spent_by_another(tx).await? => {
                Trouble::refused("CoinsSpent", format!("another transaction spent them: {what}"))
            }
            _ => trouble,
        })
    }
}
