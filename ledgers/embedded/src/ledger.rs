//! The ledger as sdpp sees it: a node and a key, with all three abilities.

use crate::effect::{BATCH_ROWS_MAX, check_rows, no_bonds, nothing_to_approve};
use crate::node::{CHANNELS_MAX, Node};
use crate::record::TxRecord;
use crate::tx::Tx;
use async_trait::async_trait;
use sdpp_ledger::{
    Account, Amount, Anchor, Asset, Call, Changes, Channel, ChannelId, Claim, Domain, Done, Escrow,
    Finality, Key, Ledger, LedgerError, LedgerId, Payments, Records, Result, Signed, Status,
    Transfer, TxId,
};
use std::sync::Arc;
use std::time::Duration;

/// One account on an embedded ledger, wherever its node is. Fees are zero here.
pub struct EmbeddedLedger {
    node: Arc<dyn Node>,
    key: Key,
    account: Account,
}

impl EmbeddedLedger {
    /// The account of `key` on the chain of `node`.
    pub fn new(node: Arc<dyn Node>, key: Key) -> Self {
        let account = key.public().account();
        EmbeddedLedger { node, key, account }
    }

    /// The node, for what an operator asks.
    pub fn node(&self) -> &Arc<dyn Node> {
        &self.node
    }

    fn prepare(&self, number: u64, call: &Call) -> Signed {
        let tx = Tx::sign(self.node.origin().digest(), &self.key, number, call);
        Signed { number, tx: Some(tx.id), raw: tx.raw, fee: Amount::ZERO }
    }
}

#[async_trait]
impl Ledger for EmbeddedLedger {
    fn id(&self) -> &LedgerId {
        self.node.origin().ledger()
    }

    fn account(&self) -> &Account {
        &self.account
    }

    async fn status(&self) -> Result<Status> {
        self.node.head().await
    }

    async fn next_number(&self) -> Result<u64> {
        self.node.next_number(&self.account).await
    }

    async fn submit(&self, signed: &Signed) -> Result<TxId> {
        self.node.submit(&signed.raw).await
    }

    async fn finality(&self, signed: &Signed) -> Result<Finality> {
        let own = signed.tx.as_ref().ok_or_else(|| {
            LedgerError::refused("Malformed", "this ledger's transactions have their id at once")
        })?;
        // One question, so that no block can fall between two answers.
        let has_number = self.node.by_number(&self.account, signed.number).await?;
        Ok(match has_number {
            None => Finality::Unknown,
            Some(record) if record.tx == *own => record.finality(),
            Some(other) if other.place.as_ref().is_some_and(|place| place.is_final) => {
                Finality::Replaced
            }
            Some(_) => Finality::Unknown,
        })
    }

    async fn coming(&self, asset: &Asset) -> Result<Amount> {
        self.node.coming(self.account(), asset).await
    }

    /// Our account's transactions are told by number, so each from there on is looked at.
    async fn done(&self, call: &Call, from: u64) -> Result<Done> {
        for number in from..self.next_number().await? {
            let Some(record) = self.node.by_number(&self.account, number).await? else { continue };
            // What had no effect leaves the call to be done.
            let has_failed = record.place.as_ref().is_some_and(|place| place.reverted.is_some());
            // One key signs one body in one way, so these are the bytes that the ledger has.
            let signed = self.prepare(number, &record.call);
            if record.call == *call && !has_failed && signed.tx.as_ref() == Some(&record.tx) {
                return Ok(Done::Found(signed));
            }
        }
        Ok(Done::No)
    }

    fn records(&self) -> Option<&dyn Records> {
        Some(self)
    }

    fn payments(&self) -> Option<&dyn Payments> {
        Some(self)
    }

    fn escrow(&self) -> Option<&dyn Escrow> {
        Some(self)
    }
}

#[async_trait]
impl Records for EmbeddedLedger {
    async fn anchor(&self, number: u64, anchor: &Anchor) -> Result<Signed> {
        Ok(self.prepare(number, &Call::Anchor(anchor.clone())))
    }

    async fn anchored(&self, tx: &TxId, anchor: &Anchor) -> Result<Finality> {
        let Some(record) = self.node.tx(tx).await? else {
            return Ok(Finality::Unknown);
        };
        Ok(record.anchors(anchor)?)
    }
}

#[async_trait]
impl Payments for EmbeddedLedger {
    async fn transfer(&self, number: u64, transfer: &Transfer) -> Result<Signed> {
        Ok(self.prepare(number, &Call::Transfer(transfer.clone())))
    }

    async fn paid(&self, claim: &Claim) -> Result<Finality> {
        let Some(record) = self.node.tx(&claim.tx).await? else {
            return Ok(Finality::Unknown);
        };
        Ok(TxRecord::pays(&record, &claim.transfer)?)
    }

    async fn balance(&self, account: &Account, asset: &Asset) -> Result<Amount> {
        self.node.balance(account, asset).await
    }
}

#[async_trait]
impl Escrow for EmbeddedLedger {
    fn domain(&self) -> &Domain {
        self.node.origin().domain()
    }

    fn grace_period(&self) -> Duration {
        Duration::from_millis(self.node.origin().genesis().grace_period_ms)
    }

    /// By the rules: between two blocks that nothing asked for no time is lost.
    async fn lag(&self) -> Result<Duration> {
        let genesis = self.node.origin().genesis();
        let on_top = genesis.depth.saturating_sub(1);
        Ok(Duration::from_millis(genesis.block_time_ms.saturating_mul(on_top)))
    }

    async fn escrow_call(&self, number: u64, call: &Call) -> Result<Signed> {
        match call {
            Call::Anchor(_) | Call::Transfer(_) => {
                let why = "an anchor or a transfer is not the escrow's";
                return Err(LedgerError::refused("NotAnEscrowCall", why));
            }
            Call::Approve(_) => return Err(nothing_to_approve().into()),
            Call::Bond(_) => return Err(no_bonds().into()),
            Call::SettleMany(batch) | Call::CloseMany(batch) => check_rows(batch)?,
            _ => {}
        }
        Ok(self.prepare(number, call))
    }

    fn rows_at_most(&self) -> usize {
        BATCH_ROWS_MAX
    }

    /// Asks in parts of [`CHANNELS_MAX`], all up to the height that the first to stop reached.
    async fn changes(&self, channels: &[ChannelId], from: u64) -> Result<Changes> {
        let mut parts = channels.chunks(CHANNELS_MAX);
        let mut all = self.node.changes(parts.next().unwrap_or_default(), from).await?;
        for part in parts {
            let more = self.node.changes(part, from).await?;
            all.next = all.next.min(more.next);
            all.list.extend(more.list);
        }
        all.list.retain(|change| (from..all.next).contains(&change.height));
        // The order within a block is told for each part, and a stable sort keeps it.
        all.list.sort_by_key(|change| change.height);
        Ok(all)
    }

    async fn channel(&self, id: &ChannelId) -> Result<Option<Channel>> {
        self.node.channel(id).await
    }
}
