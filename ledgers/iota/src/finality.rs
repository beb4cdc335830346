//! What became of a transaction. Executed is not final: it is once it stands in a checkpoint that
//! lists it. Absent is not dead: it is once another transaction is shown to have spent what it was
//! to spend.

use crate::ledger::{Chain, IotaLedger, TxView};
use crate::names;
use crate::prepare::call_of;
use crate::rpc::{Answer, Trouble};
use crate::shape::Does;
use crate::tx::Tx;
use crate::view::{Checkpoint, Seen};
use iota_sdk_types::{ObjectId, TransactionDigest, TransactionEffectsV1, Version};
use sdpp_ledger::{Amount, Call, Evidence, Finality, Signed, TxId};

/// The most transactions that are read to find out who spent a coin.
const READS_MAX: usize = 256;

/// The most coins of a transaction that are looked at for that.
const COINS_LOOKED_AT: usize = 8;

impl IotaLedger {
    pub(crate) async fn finality_of(&self, signed: &Signed) -> Answer<Finality> {
        let tx = Tx::own(signed, self.own.signer.address)?;
        let Some(seen) = self.chain.node.seen(&tx.digest).await? else {
            return Ok(match self.chain.is_spent_by_another(&tx).await? {
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

    /// Whether what a transaction was to spend is shown to have been spent by another, for good:
    /// then it can never happen. Where something was spent and nobody can show by whom, nothing is
    /// said: it may have been this very transaction, long ago.
    pub async fn is_spent_by_another(&self, tx: &Tx) -> Answer<bool> {
        let mut unproved = None;
        for at in tx.gas().objects.iter().take(COINS_LOOKED_AT) {
            let newest = self.node.newest(&at.object_id).await?;
            let Some(newest) = newest.filter(|newest| newest.version > at.version) else {
                continue;
            };
            let Some(made_by) = newest.made_by else {
                unproved.get_or_insert_with(|| self.unproved(&at.object_id));
                continue;
            };
            if made_by == tx.digest {
                // What tells of objects is ahead of what tells of transactions, or that was pruned.
                return Err(self.landed(&tx.digest));
            }
            match self.spender(&at.object_id, at.version, made_by).await? {
                Some(spender) if spender.tx.digest == tx.digest => {
                    return Err(self.landed(&tx.digest));
                }
                Some(spender) => return Ok(spender.is_for_good()),
                None => unproved = Some(self.unproved(&at.object_id)),
            }
        }
        unproved.map_or(Ok(false), Err)
    }

    /// Who spent a coin at a version, found from the transaction that touched it last, back along
    /// what each depends on; nobody where the node does not keep all of them.
    async fn spender(
        &self,
        coin: &ObjectId,
        version: Version,
        last: TransactionDigest,
    ) -> Answer<Option<Seen>> {
        let mut reads = 1;
        let mut at = self.node.seen(&last).await?;
        while let Some(seen) = at {
            match taken_at(&seen.effects, coin) {
                Some(taken) if taken == version => return Ok(Some(seen)),
                Some(taken) if taken > version => {
                    at = self.maker(&seen.effects, coin, taken, &mut reads).await?;
                }
                _ => return Err(self.node.trouble("a coin's history that does not fit")),
            }
        }
        Ok(None)
    }

    /// Which of the transactions that another depends on left a coin at a version.
    async fn maker(
        &self,
        of: &TransactionEffectsV1,
        coin: &ObjectId,
        version: Version,
        reads: &mut usize,
    ) -> Answer<Option<Seen>> {
        for digest in &of.dependencies {
            *reads += 1;
            if *reads > READS_MAX {
                return Ok(None);
            }
            let Some(seen) = self.node.seen(digest).await? else { continue };
            let touched = seen.effects.changed_objects.iter();
            let has = touched.into_iter().any(|changed| changed.object_id == *coin);
            if has && seen.effects.lamport_version == version {
                return Ok(Some(seen));
            }
        }
        Ok(None)
    }

    fn landed(&self, digest: &TransactionDigest) -> Trouble {
        self.node.trouble(&format!(
            "{digest} has landed, and this node does not tell of it: not yet, or no longer"
        ))
    }

    fn unproved(&self, coin: &ObjectId) -> Trouble {
        self.node.trouble(&format!(
            "coin {coin} was spent, and this node no longer tells by what: name one that keeps \
             all transactions"
        ))
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

/// At which version a transaction took a coin.
fn taken_at(effects: &TransactionEffectsV1, coin: &ObjectId) -> Option<Version> {
    let changed = effects.changed_objects.iter().find(|changed| changed.object_id == *coin)?;
    changed.input_state.opt_version()
}
