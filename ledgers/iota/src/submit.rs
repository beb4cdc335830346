//! How signed bytes get to the network. Whatever a node answers, what counts is what it has then;
//! whether coins that are spent make an end of something is for [`crate::finality`] to say.

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
            // What spent them may be an earlier offer of the same: who knows all that was signed
            // for it asks how final it is, and a refusal would stand in the way of that where the
            // next answer comes from a node that is behind.
            Err(trouble) if self.is_outrun(tx, &trouble).await? => Ok(id),
            Err(trouble) => Err(why_not_taken(tx, trouble)),
        }
    }

    /// Whether its coins are spent, where what a node said may come of that. Some never say so, but
    /// try again until their time is over.
    async fn is_outrun(&self, tx: &Tx, trouble: &Trouble) -> Answer<bool> {
        let Trouble::Said { said, object, .. } = trouble else { return Ok(false) };
        match said {
            Said::Stale => self.chain.is_spent_by_another(tx, *object).await,
            Said::Other => {
                Ok(matches!(self.chain.is_spent_by_another(tx, *object).await, Ok(true)))
            }
            _ => Ok(false),
        }
    }
}

/// What is said of a transaction that a node would not take and has not. It is refused only where
/// its own bytes show that it can never happen.
fn why_not_taken(tx: &Tx, trouble: Trouble) -> Trouble {
    let Trouble::Said { said, what, .. } = &trouble else { return trouble };
    match said {
        Said::BadSignature if !tx.is_signed() => Trouble::refused("InvalidSignature", what),
        Said::TooLarge => Trouble::refused("TooLarge", what),
        _ => trouble,
    }
}
