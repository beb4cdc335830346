//! What the node that is asked knows of the ledger. It hears of all that happens in order, a little
//! late; while it stands still it hears of nothing.

use std::collections::{BTreeSet, HashMap, HashSet};

use iota_sdk_types::{Address, ObjectId, ObjectReference, TransactionDigest};

use crate::chain::{Chain, Event, Landed};
use crate::coin::Coin;

/// A node's knowledge of the ledger.
#[derive(Debug)]
pub(crate) struct View {
    /// How late it hears, in milliseconds.
    lag_ms: u64,
    /// Whether it stands still.
    behind: bool,
    /// Whether it has forgotten the objects' earlier versions, of which balances are compared.
    without_history: bool,
    /// The number of the next event that it has not heard of.
    next: usize,
    coins: HashMap<ObjectId, Coin>,
    owned: HashMap<Address, BTreeSet<ObjectId>>,
    /// Transactions that it knows, and in which checkpoint each is.
    known: HashMap<TransactionDigest, Option<u64>>,
    hidden: HashSet<TransactionDigest>,
    height: u64,
}

impl View {
    /// That of a node that knows the coins of the genesis.
    pub(crate) fn new(chain: &Chain, lag_ms: u64) -> View {
        let mut view = View {
            lag_ms,
            behind: false,
            without_history: false,
            next: 0,
            coins: HashMap::new(),
            owned: HashMap::new(),
            known: HashMap::new(),
            hidden: HashSet::new(),
            height: 0,
        };
        for coin in chain.coins() {
            view.put(coin.clone());
        }
        view
    }

    /// Hears of what is old enough.
    pub(crate) fn catch_up(&mut self, chain: &Chain, now_ms: u64) {
        while let Some((at_ms, event)) = chain.event(self.next) {
            if self.behind || at_ms.saturating_add(self.lag_ms) > now_ms {
                return;
            }
            self.hear(chain, event);
            self.next += 1;
        }
    }

    /// The coin that is meant, in the version that the node knows.
    pub(crate) fn find(&self, reference: &ObjectReference) -> Option<Coin> {
        self.coin(&reference.object_id).cloned()
    }

    pub(crate) fn coin(&self, id: &ObjectId) -> Option<&Coin> {
        self.coins.get(id)
    }

    /// The coins of an owner, by their ids.
    pub(crate) fn coins_of(&self, owner: &Address) -> impl Iterator<Item = &Coin> {
        let ids = self.owned.get(owner).into_iter().flatten();
        ids.filter_map(|id| self.coins.get(id))
    }

    /// A transaction with its checkpoint, if the node knows it.
    pub(crate) fn landed<'a>(
        &self,
        chain: &'a Chain,
        digest: &TransactionDigest,
    ) -> Option<(&'a Landed, Option<u64>)> {
        let checkpoint = self.known.get(digest).filter(|_| !self.hidden.contains(digest))?;
        Some((chain.landed(digest)?, *checkpoint))
    }

    /// The last checkpoint that it knows.
    pub(crate) fn height(&self) -> u64 {
        self.height
    }

    pub(crate) fn is_behind(&self) -> bool {
        self.behind
    }

    pub(crate) fn stand_still(&mut self, behind: bool) {
        self.behind = behind;
    }

    pub(crate) fn set_lag(&mut self, lag_ms: u64) {
        self.lag_ms = lag_ms;
    }

    pub(crate) fn is_without_history(&self) -> bool {
        self.without_history
    }

    pub(crate) fn forget_history(&mut self, forgotten: bool) {
        self.without_history = forgotten;
    }

    /// Says that it does not know a transaction, whether it does or not, until it is remembered.
    pub(crate) fn hide(&mut self, digest: TransactionDigest) {
        self.hidden.insert(digest);
    }

    pub(crate) fn remember_all(&mut self) {
        self.hidden.clear();
    }

    fn hear(&mut self, chain: &Chain, event: &Event) {
        match event {
            Event::Landed(digest) => {
                // What was not heard of is not pruned.
                let changes = chain.landed(digest).map(|landed| &landed.executed.changes);
                for change in changes.into_iter().flatten() {
                    if let Some(before) = &change.before {
                        self.remove(&before.id);
                    }
                    if let Some(after) = &change.after {
                        self.put(after.clone());
                    }
                }
                self.known.insert(*digest, None);
            }
            Event::Checkpoint(number) => {
                self.height = *number;
                for digest in chain.checkpoint(*number).into_iter().flat_map(|c| &c.transactions) {
                    self.known.insert(*digest, Some(*number));
                }
            }
        }
    }

    fn put(&mut self, coin: Coin) {
        self.owned.entry(coin.owner).or_default().insert(coin.id);
        self.coins.insert(coin.id, coin);
    }

    fn remove(&mut self, id: &ObjectId) {
        let Some(coin) = self.coins.remove(id) else { return };
        if let Some(ids) = self.owned.get_mut(&coin.owner) {
            ids.remove(id);
        }
    }
}
