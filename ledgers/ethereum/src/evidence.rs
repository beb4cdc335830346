//! What a final transaction did, read back from its events and from what stood before it.

use crate::escrow::channel_at;
use crate::ledger::Chain;
use crate::rpc::{Answer, Rpc, Trouble};
use crate::view::{Block, Log, Receipt, at};
use crate::{abi, names};
use ethers_core::types::{Address, H256, U256};
use sdpp_ledger::{Amount, Batch, Call, ChannelId, Evidence, Redeem, Row, Transfer};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::task::JoinSet;

/// How many questions wait for their answer at once.
const ASKED_AT_ONCE: usize = 8;

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
            tx: names::tx_id(receipt.transaction_hash),
            height: block.height(),
            block: format!("{:?}", block.hash),
            at_ms: block.at_ms(),
            amount: Amount::ZERO,
            fee: price.checked_mul(gas.units()).ok_or_else(absurd)?,
            rows: Vec::new(),
        };
        match call.filter(|_| receipt.took_effect()) {
            Some(Call::Transfer(transfer)) => {
                evidence.amount = arrived(receipt, transfer, from)?.ok_or_else(absurd)?;
            }
            Some(Call::Settle(redeem) | Call::Close(redeem)) => {
                let rows = self.rows(node, receipt, std::slice::from_ref(redeem)).await?;
                evidence.amount = sum(&rows).ok_or_else(absurd)?;
            }
            Some(Call::SettleMany(Batch { rows }) | Call::CloseMany(Batch { rows })) => {
                evidence.rows = self.rows(node, receipt, rows).await?;
                evidence.amount = sum(&evidence.rows).ok_or_else(absurd)?;
            }
            _ => {}
        }
        Ok(evidence)
    }

    /// What became of each row, by the events of its transaction: one for each, in order.
    async fn rows(&self, node: &Arc<Rpc>, receipt: &Receipt, asked: &[Redeem]) -> Answer<Vec<Row>> {
        let odd = || node.trouble("events that do not fit their transaction");
        let escrow = self.escrow_address().unwrap_or_default();
        let kinds = ["Settled", "ChannelClosed", "RowSkipped"].map(abi::topic);
        let is_row = |log: &&Log| {
            log.address == escrow && log.topics.first().is_some_and(|kind| kinds.contains(kind))
        };
        let events: Vec<&Log> = receipt.logs.iter().filter(is_row).collect();
        if events.len() != asked.len() {
            return Err(odd());
        }
        let first = events.first().and_then(|log| log.log_index).unwrap_or_default();
        let ids: Vec<ChannelId> = asked.iter().map(|row| row.channel).collect();
        let mut had = self.settled_before(node, receipt, first.as_u64(), &ids).await?;
        let mut rows = Vec::with_capacity(asked.len());
        for (redeem, log) in asked.iter().zip(events) {
            if log.topics.get(1) != Some(&H256(redeem.channel.0)) {
                return Err(odd());
            }
            let amount = log.word(0).and_then(names::amount).ok_or_else(odd)?;
            let before = had.entry(redeem.channel).or_default();
            let refused = (log.topics[0] == kinds[2]).then(|| refusal(log));
            let moved =
                if refused.is_some() { Some(Amount::ZERO) } else { amount.checked_sub(*before) };
            *before = if refused.is_some() { *before } else { amount };
            rows.push(Row { channel: redeem.channel, amount: moved.ok_or_else(odd)?, refused });
        }
        Ok(rows)
    }

    /// What the payees of channels had before a transaction's first event.
    async fn settled_before(
        &self,
        node: &Arc<Rpc>,
        receipt: &Receipt,
        first: u64,
        ids: &[ChannelId],
    ) -> Answer<HashMap<ChannelId, Amount>> {
        let height = receipt.height();
        let (mut had, from) = match self.settled_at(node, height.saturating_sub(1), ids).await {
            Ok(had) => (had, at(height)),
            // What stood there is not kept: the events are, from the beginning.
            Err(Trouble::Said { .. }) => (HashMap::new(), at(0)),
            Err(trouble) => return Err(trouble),
        };
        for ids in ids.chunks(CHANNELS_ASKED) {
            let filter = self.filter(&["Settled"], ids, from.clone(), at(height));
            for log in node.logs(filter).await? {
                let place =
                    (log.block_number.map(|n| n.as_u64()), log.log_index.map(|n| n.as_u64()));
                let is_before = place < (Some(height), Some(first));
                let amount = log.word(0).and_then(names::amount);
                if let (true, Some(id), Some(amount)) = (is_before, log.topics.get(1), amount) {
                    let most = had.entry(ChannelId(id.0)).or_default();
                    *most = amount.max(*most);
                }
            }
        }
        Ok(had)
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

    /// A question after the escrow's events of some kinds in some channels.
    pub fn filter(&self, kinds: &[&str], ids: &[ChannelId], from: Value, to: Value) -> Value {
        let kinds: Vec<H256> = kinds.iter().map(|kind| abi::topic(kind)).collect();
        let ids: Vec<H256> = ids.iter().map(|id| H256(id.0)).collect();
        let address = self.escrow_address();
        json!({ "address": address, "topics": [kinds, ids], "fromBlock": from, "toBlock": to })
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
