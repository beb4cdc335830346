//! How signed bytes get to the network. Whatever a node answers, what counts is what it has then;
//! whether coins that are spent make an end of something is for [`crate::finality`] to say.

use crate::ledger::IotaLedger;
use crate::names;
use crate::rpc::{Answer, Meaning, Trouble};
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
        let Trouble::Said { said: Meaning { said, object }, .. } = trouble else {
            return Ok(false);
        };
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
    let Trouble::Said { said, what } = &trouble else { return trouble };
    match said.said {
        Said::BadSignature if !tx.is_signed() => Trouble::refused("InvalidSignature", what),
        Said::TooLarge if tx.is_too_large() => Trouble::refused("TooLarge", what),
        _ => trouble,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::{Does, Shape};
    use crate::signer::{Scheme, Signer};
    use crate::tx::Draft;
    use iota_sdk_types::{ObjectDigest, ObjectId, ObjectReference};
    use sdpp_ledger::{Key, LedgerError};

    /// What is said of one with a record of so many bytes that a node calls too large.
    fn too_large(bytes: usize, coins: usize) -> LedgerError {
        let signer = Signer::new(Key::from_bytes(&[7; 32]).unwrap(), Scheme::Ed25519);
        let shape = Shape { does: Does::Record, record: vec![1; bytes], split: None };
        let coin = ObjectReference::new(ObjectId::ZERO, 1.into(), ObjectDigest::ZERO);
        let draft = Draft { shape, gas: vec![coin; coins], price: 1_000, budget: 5_000_000 };
        let tx = Tx::own(&draft.sign(0, &signer), signer.address).unwrap();
        let what = "Size limit exceeded".to_owned();
        let said = Meaning { said: Said::TooLarge, object: None };
        why_not_taken(&tx, Trouble::Said { said, what }).into()
    }

    #[test]
    fn too_large_is_refused_where_its_own_bytes_say_so_too() {
        // What was recorded: 16,381 bytes were taken, 16,384 were not.
        for within in [(70, 1), (70, 256), (16_381, 1)] {
            let said = too_large(within.0, within.1);
            assert!(matches!(said, LedgerError::Unavailable { .. }), "{within:?}: {said}");
        }
        for beyond in [(16_384, 1), (70, 2_000)] {
            let said = too_large(beyond.0, beyond.1);
            let is_refused =
                matches!(&said, LedgerError::Refused { code, .. } if code == "TooLarge");
            assert!(is_refused, "{beyond:?}: {said}");
        }
    }
}
