//! What a final transaction did, read back from its events and from what stood before it.

use crate::escrow::channel_at;
use crate::events::Pages;
use crate::ledger::Chain;
use crate::rpc::{Answer, Rpc, Trouble};
use crate::view::{Block, Log, Receipt, at};
use crate::{abi, names};
use ethers_core::types::{Address, H256, U256};
use sdpp_ledger::{Amount, Call, ChannelId, Evidence, Redeem, Row, Transfer};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::task::JoinSet;

/// How many questions wait for their answer at once.
const ASKED_AT_ONCE: usize = 8;

/// The most pages of events that are read downwards for one answer.
const PAGES_MAX: u32 = 5_000;

/// The most channels that one question names.
pub(crate) const CHANNELS_ASKED: usize = 50;

impl Chain {
    /// What a transaction did; `call` and `from` are its own.
    pub async fn evidence(
        &self,
        node: &Arc<Rpc>,
        receipt: &Receipt,
        block: &Block,
        call: Option<&Call>,
        from: Address,
    ) -> Answer<Evidence> {
        let absurd = || node.trouble("a receipt with absurd numbers");
        let price = names::amount(receipt.effective_gas_price).ok_or_else(absurd)?;
        let gas = names::amount(receipt.gas_used).ok_or_else(absurd)?;
        let mut evidence = Evidence {
            fee: price.checked_mul(gas.units()).ok_or_else(absurd)?,
            ..Evidence::new(
                names::tx_id(receipt.transaction_hash),
                block.height(),
                format!("{:?}", block.hash),
                block.at_ms(),
            )
        };
        match call.filter(|_| receipt.took_effect()) {
            Some(Call::Transfer(transfer)) => {
                evidence.amount = arrived(receipt, transfer, from)?.ok_or_else(absurd)?;
            }
            Some(call) => {
                let rows = self.rows(node, receipt, call).await?;
                evidence.amount = sum(&rows).ok_or_else(absurd)?;
                if matches!(call, Call::SettleMany(_) | Call::CloseMany(_)) {
                    evidence.rows = rows;
                }
            }
            None => {}
        }
        Ok(evidence)
    }

    /// What became of each row that a call redeems, in order, by the events of its transaction.
    async fn rows(&self, node: &Arc<Rpc>, receipt: &Receipt, call: &Call) -> Answer<Vec<Row>> {
        let odd = || node.trouble("events that do not fit their transaction");
        let Some((asked, kind)) = redeemed(call) else {
            return Ok(Vec::new());
        };
        let fates = self.fates(receipt, asked, kind).ok_or_else(odd)?;
        let done = asked.iter().zip(&fates).filter(|(_, refused)| refused.is_none());
        let ids: Vec<ChannelId> = done.map(|(row, _)| row.channel).collect();
        let mut had = match ids.is_empty() {
            true => HashMap::new(),
            false => self.settled_before(node, receipt, &ids).await?,
        };
        let mut rows = Vec::with_capacity(asked.len());
        for (Redeem { channel, amount, .. }, refused) in asked.iter().zip(fates) {
            let mut moved = Amount::ZERO;
            if refused.is_none() {
                let before = had.insert(*channel, *amount).unwrap_or_default();
                moved = amount.checked_sub(before).ok_or_else(odd)?;
            }
            rows.push(Row { channel: *channel, amount: moved, refused });
        }
        Ok(rows)
    }

    /// Why each row was passed over, `None` for one that took effect; nothing where a row has no
    /// event. Who is paid on the way may call the escrow in between, so there may be events of
    /// strangers among ours. That a row takes effect only the channel's payee can bring about,
    /// which is who signed; that one is passed over anyone can write beside it. So an effect
    /// counts where there is one, and what was not asked for is let go.
    fn fates(
        &self,
        receipt: &Receipt,
        asked: &[Redeem],
        kind: &str,
    ) -> Option<Vec<Option<String>>> {
        let is_of = |log: &Log, topic: H256, row: &Redeem| {
            Some(log.address) == self.escrow_address()
                && log.topics == [topic, H256(row.channel.0)]
                && log.word(0) == Some(names::word(row.amount))
        };
        let (kind, skip) = (abi::topic(kind), abi::topic("RowSkipped"));
        let mut left: Vec<&Log> = receipt.logs.iter().collect();
        let fate = |row: &Redeem| {
            if let Some(place) = left.iter().position(|log| is_of(log, kind, row)) {
                // Each event is of one row: the same voucher a second time is passed over.
                left.remove(place);
                return Some(None);
            }
            let skips = receipt.logs.iter().filter(|log| is_of(log, skip, row));
            let whys: Vec<String> = skips.map(refusal).collect();
            // This is how a stranger's attempt at a channel of ours ends.
            let own = whys.iter().find(|why| *why != "NotPayee");
            own.or(whys.first()).map(|why| Some(why.clone()))
        };
        asked.iter().map(fate).collect()
    }

    /// What the payees of channels had before a transaction in which they got more.
    async fn settled_before(
        &self,
        node: &Arc<Rpc>,
        receipt: &Receipt,
        ids: &[ChannelId],
    ) -> Answer<HashMap<ChannelId, Amount>> {
        let first = receipt.logs.iter().filter_map(|log| log.log_index).min();
        let first = first.ok_or_else(|| node.trouble("events without a place"))?;
        let (height, before) = (receipt.height(), (receipt.height(), first.as_u64()));
        let (had, from) = match self.settled_at(node, height.saturating_sub(1), ids).await {
            Ok(had) => (had, height),
            // What stood there is not kept: the events are, down to the channels' opening.
            Err(Trouble::Said { .. }) => (HashMap::new(), 0),
            Err(trouble) => return Err(trouble),
        };
        self.settled_by_events(node, (from, before), ids, had).await
    }

    /// What the payees of channels had before a place in the chain, by the events of the blocks
    /// down to a height, if they go on from `had`.
    async fn settled_by_events(
        &self,
        node: &Arc<Rpc>,
        (from, before): (u64, (u64, u64)),
        ids: &[ChannelId],
        mut had: HashMap<ChannelId, Amount>,
    ) -> Answer<HashMap<ChannelId, Amount>> {
        let kinds = ["Settled", "ChannelOpened"];
        let filters = ids.chunks(CHANNELS_ASKED).map(|ids| self.filter(&kinds, ids)).collect();
        let (mut pages, mut left) = (Pages::new(node, filters), Some(before.0));
        for _ in 0..PAGES_MAX {
            let Some(to) = left else { break };
            let page = pages.last(from..=to).await?;
            for log in page.logs.iter().filter(|log| log.place().is_some_and(|at| at < before)) {
                let Some((id, settled)) = self.settled_by(log, ids) else { continue };
                let most = had.entry(id).or_default();
                *most = settled.max(*most);
            }
            if ids.iter().all(|id| had.contains_key(id)) {
                return Ok(had);
            }
            left = page.blocks.start().checked_sub(1).filter(|to| *to >= from);
        }
        let what = "the events down to the opening of a channel cannot be read: name an endpoint \
                    that keeps them (an archive) among the ledger's";
        Err(Trouble::Said { what: format!("{}: {what}", node.endpoint()), said: None })
    }

    /// What an event says that a channel's payee has had.
    fn settled_by(&self, log: &Log, ids: &[ChannelId]) -> Option<(ChannelId, Amount)> {
        let id = ChannelId(log.topics.get(1)?.0);
        let is_asked = Some(log.address) == self.escrow_address() && ids.contains(&id);
        if !is_asked || log.removed == Some(true) {
            return None;
        }
        match log.topics[0] {
            kind if kind == abi::topic("Settled") => {
                Some((id, log.word(0).and_then(names::amount)?))
            }
            kind if kind == abi::topic("ChannelOpened") => Some((id, Amount::ZERO)),
            _ => None,
        }
    }

    /// What the payees of channels had at the end of a block.
    async fn settled_at(
        &self,
        node: &Arc<Rpc>,
        height: u64,
        ids: &[ChannelId],
    ) -> Answer<HashMap<ChannelId, Amount>> {
        let (mut had, mut asking) = (HashMap::new(), JoinSet::new());
        let escrow = self.escrow_address().unwrap_or_default();
        for id in ids {
            if asking.len() >= ASKED_AT_ONCE
                && let Some(Ok(answer)) = asking.join_next().await
            {
                let (id, settled): (ChannelId, Amount) = answer?;
                had.insert(id, settled);
            }
            let (node, id) = (Arc::clone(node), *id);
            asking.spawn(async move { settled(&node, escrow, id, height).await });
        }
        while let Some(answer) = asking.join_next().await {
            let (id, settled) = answer.map_err(|_| node.trouble("a question was cut off"))??;
            had.insert(id, settled);
        }
        Ok(had)
    }

    /// A question after the escrow's events of some kinds in some channels, in whatever blocks.
    pub fn filter(&self, kinds: &[&str], ids: &[ChannelId]) -> Value {
        let kinds: Vec<H256> = kinds.iter().map(|kind| abi::topic(kind)).collect();
        let ids: Vec<H256> = ids.iter().map(|id| H256(id.0)).collect();
        let address = self.escrow_address();
        json!({ "address": address, "topics": [kinds, ids] })
    }
}

/// The rows that a call redeems, and the event that says of each that it took effect.
pub(crate) fn redeemed(call: &Call) -> Option<(&[Redeem], &'static str)> {
    match call {
        Call::Settle(redeem) => Some((std::slice::from_ref(redeem), "Settled")),
        Call::Close(redeem) => Some((std::slice::from_ref(redeem), "ChannelClosed")),
        Call::SettleMany(batch) => Some((&batch.rows, "Settled")),
        Call::CloseMany(batch) => Some((&batch.rows, "ChannelClosed")),
        _ => None,
    }
}

async fn settled(
    node: &Rpc,
    escrow: Address,
    id: ChannelId,
    height: u64,
) -> Answer<(ChannelId, Amount)> {
    let channel = channel_at(node, escrow, &id, at(height)).await?;
    Ok((id, channel.map_or(Amount::ZERO, |channel| channel.settled)))
}

/// What a transfer brought to its payee: for a token by the token's own events, as one that
/// charges for a transfer brings less than it was told. `None` for an absurd sum.
pub(crate) fn arrived(
    receipt: &Receipt,
    transfer: &Transfer,
    from: Address,
) -> Answer<Option<Amount>> {
    let token = names::token(&transfer.asset)?;
    if token.is_zero() {
        return Ok(Some(transfer.amount));
    }
    let payee = names::address(&transfer.to)?;
    let topics = [abi::transfer_topic(), H256::from(from), H256::from(payee)];
    let is_ours = |log: &&Log| log.address == token && log.topics == topics;
    let mut sum = U256::zero();
    for log in receipt.logs.iter().filter(is_ours) {
        sum = sum.saturating_add(log.word(0).unwrap_or_default());
    }
    Ok(names::amount(sum))
}

fn refusal(log: &Log) -> String {
    let selector = log.data.get(32..36).unwrap_or_default();
    abi::selector_name(selector).unwrap_or_else(|| "Reverted".to_owned())
}

fn sum(rows: &[Row]) -> Option<Amount> {
    rows.iter().try_fold(Amount::ZERO, |sum, row| sum.checked_add(row.amount))
}
