//! What can be asked of a chain; nothing here changes it.

use super::{BLOCKS_AT_ONCE, Chain, Included, Kept, KeptOp, used};
use crate::record::{Place, TxRecord};
use crate::state::State;
use sdpp_ledger::{
    Account, Amount, Asset, Call, Change, Changes, Channel, ChannelId, Status, Transfer, TxId,
};
use std::collections::HashSet;

impl Chain {
    /// Newest block, and the depth that counts as final.
    pub fn status(&self) -> Status {
        Status { height: self.height, at_ms: self.at_ms, depth: self.origin.genesis().depth }
    }

    /// The lowest number that neither a block nor the pool uses.
    pub fn next_number(&self, account: &Account) -> u64 {
        let next = used(&self.by_account, account);
        self.pool.next_number(account, next)
    }

    /// What an account holds after the newest block.
    pub fn balance(&self, account: &Account, asset: &Asset) -> Amount {
        self.state.balance(account, asset)
    }

    /// What waits for a block and brings an account more: the faucet's money, and transfers, whether
    /// or not whoever sends them has so much.
    pub fn coming(&self, account: &Account, asset: &Asset) -> Amount {
        let funds = self.funds.iter().map(|fund| (&fund.account, &fund.asset, fund.amount));
        let transfers = self.pool.txs().filter_map(|tx| match &tx.call {
            Call::Transfer(Transfer { to, asset, amount, .. }) => Some((to, asset, *amount)),
            _ => None,
        });
        let ours = funds.chain(transfers).filter(|(to, of, _)| (*to, *of) == (account, asset));
        ours.fold(Amount::ZERO, |sum, (.., amount)| sum.saturating_add(amount))
    }

    /// A channel as it is for good.
    pub fn channel(&self, id: &ChannelId) -> Option<Channel> {
        self.state_for_good().channels.get(id).cloned()
    }

    /// Channels that an account pays into or is paid from, as they are for good.
    pub fn channels(&self, account: &Account, limit: usize) -> Vec<(ChannelId, Channel)> {
        let all = self.state_for_good().channels.iter();
        all.filter(|(_, c)| c.payer == *account || c.payee == *account)
            .take(limit)
            .map(|(id, channel)| (*id, channel.clone()))
            .collect()
    }

    /// What happened to channels in final blocks from a height on, in order: a block whole or not
    /// at all, and no further than [`BLOCKS_AT_ONCE`] blocks or the block that fills `limit`.
    pub fn changes(&self, channels: &[ChannelId], from: u64, limit: usize) -> Changes {
        let asked: HashSet<_> = channels.iter().collect();
        let start = self.blocks.partition_point(|kept| kept.height < from);
        let end = self.blocks.partition_point(|kept| kept.height <= self.final_height());
        let mut list = Vec::new();
        let mut unread = self.blocks.get(start..end).unwrap_or_default().iter();
        for kept in unread.by_ref().take(BLOCKS_AT_ONCE) {
            list.extend(self.changes_in(kept).filter(|change| asked.contains(&change.channel)));
            if list.len() >= limit {
                break;
            }
        }
        let next = unread.next().map_or(self.final_height() + 1, |kept| kept.height);
        Changes { list, next: next.max(from) }
    }

    fn changes_in<'a>(&'a self, kept: &'a Kept) -> impl Iterator<Item = Change> + 'a {
        let txs = kept.ops.iter().filter_map(|op| match op {
            KeptOp::Tx(id) => self.included.get(id),
            KeptOp::Fund(_) => None,
        });
        let told =
            txs.filter_map(|included| Some((&included.tx.id, included.outcome.as_ref().ok()?)));
        told.flat_map(move |(tx, effect)| {
            effect.changes.iter().map(move |(channel, kind)| Change {
                channel: *channel,
                kind: kind.clone(),
                tx: tx.clone(),
                height: kept.height,
                at_ms: kept.at_ms,
            })
        })
    }

    /// A transaction in a block or in the pool.
    pub fn tx(&self, id: &TxId) -> Option<TxRecord> {
        let included = self.included.get(id).map(|i| self.record(i));
        included.or_else(|| self.pool.find_id(id).map(|tx| TxRecord::new(tx, None)))
    }

    /// The transaction that has an account's number, in a block or in the pool.
    pub fn by_number(&self, account: &Account, number: u64) -> Option<TxRecord> {
        let index = usize::try_from(number).ok()?;
        let id = self.by_account.get(account).and_then(|ids| ids.get(index));
        let included = id.and_then(|id| self.included.get(id));
        if let Some(included) = included {
            return Some(self.record(included));
        }
        let waiting = self.pool.find(account, number)?;
        Some(TxRecord::new(waiting, None))
    }

    /// An account's newest transactions in blocks, newest first.
    pub fn history(&self, account: &Account, limit: usize) -> Vec<TxRecord> {
        let ids = self.by_account.get(account).into_iter().flatten().rev();
        let included = ids.filter_map(|id| self.included.get(id));
        included.take(limit).map(|i| self.record(i)).collect()
    }

    fn record(&self, included: &Included) -> TxRecord {
        let Included { tx, outcome, block } = included;
        let kept = &self.blocks[*block];
        let place = Place {
            height: kept.height,
            block: kept.hash,
            at_ms: kept.at_ms,
            amount: outcome.as_ref().map(|effect| effect.amount).unwrap_or_default(),
            rows: outcome.as_ref().map(|effect| effect.rows.clone()).unwrap_or_default(),
            reverted: outcome.as_ref().err().map(ToString::to_string),
            is_final: kept.height <= self.final_height(),
        };
        TxRecord::new(tx, Some(place))
    }

    fn state_for_good(&self) -> &State {
        match self.origin.genesis().depth {
            1 => &self.state,
            _ => &self.final_state,
        }
    }
}
