//! What can be asked of a chain; nothing here changes it.

use super::{Chain, Included, used};
use crate::record::{Place, TxRecord};
use crate::state::State;
use sdpp_ledger::{Account, Amount, Asset, Channel, ChannelId, Status, TxId};

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
            amount: outcome.as_ref().copied().unwrap_or_default(),
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
