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
    /// Whether it keeps no index of what took an object.
    without_index: bool,
    /// The number of the next event that it has not heard of.
    next: usize,
    coins: HashMap<ObjectId, Coin>,
    /// Coins that are there no more: the version that they went at, and by what.
    gone: HashMap<ObjectId, (u64, TransactionDigest)>,
    /// What took each coin, in order: the index.
    takers: HashMap<ObjectId, Vec<TransactionDigest>>,
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
            without_index: false,
            next: 0,
            coins: HashMap::new(),
            gone: HashMap::new(),
            takers: HashMap::new(),
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

    /// The version that a coin went at, if it was there and what ended it is not forgotten.
    pub(crate) fn gone(&self, chain: &Chain, id: &ObjectId) -> Option<u64> {
        let (version, by) = self.gone.get(id)?;
        chain.landed(by).map(|_| *version)
    }

    /// What took a coin, in order, as far as the node knows it; none where it keeps no index.
    pub(crate) fn takers(&self, chain: &Chain, id: &ObjectId) -> Option<Vec<TransactionDigest>> {
        let takers = self.takers.get(id).map_or(&[][..], Vec::as_slice).iter();
        let known = takers.filter(|digest| self.landed(chain, digest).is_some());
        (!self.without_index).then(|| known.copied().collect())
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

    pub(crate) fn forget_index(&mut self, forgotten: bool) {
        self.without_index = forgotten;
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
                if let Some(landed) = chain.landed(digest) {
                    self.hear_changes(digest, landed);
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

    fn hear_changes(&mut self, digest: &TransactionDigest, landed: &Landed) {
        let version = landed.executed.v1().lamport_version.as_u64();
        for change in &landed.executed.changes {
            if let Some(before) = &change.before {
                self.remove(&before.id);
                self.takers.entry(before.id).or_default().push(*digest);
            }
            match (&change.before, &change.after) {
                (_, Some(after)) => self.put(after.clone()),
                (Some(before), None) => drop(self.gone.insert(before.id, (version, *digest))),
                (None, None) => {}
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
