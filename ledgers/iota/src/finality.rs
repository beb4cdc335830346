//! What became of a transaction. Executed is not final: it is once it stands in a checkpoint that
//! lists it. Absent is not dead: it is once another transaction is shown to have spent what it was
//! to spend, which [`crate::spent`] looks for.

use crate::ledger::{Chain, IotaLedger, TxView};
use crate::names;
use crate::prepare::call_of;
use crate::rpc::Answer;
use crate::shape::Does;
use crate::tx::Tx;
use crate::view::{Checkpoint, Seen};
use sdpp_ledger::{Amount, Call, Evidence, Finality, Signed, TxId};

impl IotaLedger {
    pub(crate) async fn finality_of(&self, signed: &Signed) -> Answer<Finality> {
        let tx = Tx::own(signed, self.own.signer.address)?;
        let Some(seen) = self.chain.node.seen(&tx.digest).await? else {
            return Ok(match self.chain.is_spent_by_another(&tx, None).await? {
                true => Finality::Replaced,
                false => Finality::Unknown,
            });
        };
        let finality = self.chain.told(&seen).await?;
        if matches!(finality, Finality::Final(_) | Finality::Reverted { .. }) {
            self.own.book().note_spent(&tx.gas().objects);
        }
        Ok(finality)
    }
}

impl Chain {
    /// How final a transaction is that the node has executed.
    pub async fn told(&self, seen: &Seen) -> Answer<Finality> {
        let Some(height) = seen.checkpoint else {
            return Ok(Finality::Pending(None));
        };
        let checkpoint = self.node.checkpoint(height).await?;
        if !checkpoint.transactions.contains(&seen.tx.digest) {
            return Err(self.node.trouble("a checkpoint that does not list its transaction"));
        }
        let evidence = evidence(seen, &checkpoint);
        Ok(match seen.failure() {
            None => Finality::Final(evidence),
            Some(why) => Finality::Reverted { why, evidence },
        })
    }

    /// A transaction for whoever wants to see it.
    pub async fn view(&self, tx: &TxId) -> Answer<Option<TxView>> {
        let Some(seen) = self.node.seen(&names::digest(tx)?).await? else {
            return Ok(None);
        };
        let shape = seen.tx.shape();
        let (to, value) = match shape.as_ref().map(|shape| shape.does) {
            Some(Does::Pay { to, amount }) => (Some(names::account(&to)), amount),
            Some(Does::Record) | None => (None, 0),
        };
        Ok(Some(TxView {
            tx: tx.clone(),
            from: names::account(&seen.tx.sender()),
            to,
            value: Amount::new(value.into()),
            call: shape.as_ref().and_then(call_of),
            finality: self.told(&seen).await?,
        }))
    }
}

/// What is said of a transaction that stands in a checkpoint.
fn evidence(seen: &Seen, checkpoint: &Checkpoint) -> Evidence {
    let paid = match seen.tx.shape().as_ref().and_then(call_of) {
        Some(Call::Transfer(transfer)) if seen.failure().is_none() => transfer.amount,
        _ => Amount::ZERO,
    };
    let gas = seen.gas();
    Evidence {
        amount: paid,
        fee: Amount::new(gas.net().into()),
        rebate: Amount::new(gas.storage_rebate.into()),
        ..Evidence::new(
            names::tx(&seen.tx.digest),
            checkpoint.height,
            checkpoint.digest.to_base58(),
            checkpoint.at_ms,
        )
    }
}
