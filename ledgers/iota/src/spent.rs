//! Whether what was signed can never land, as another transaction spent a coin of it. What a node
//! tells leads to that other one; what proves it is what it says itself, the signature under it,
//! and a checkpoint that lists it. So no single answer makes us sign anything anew.

use crate::ledger::Chain;
use crate::objects::{AT_ONCE, Now};
use crate::rpc::{Answer, Trouble};
use crate::tx::Tx;
use crate::view::Seen;
use iota_sdk_types::{ObjectId, ObjectReference, TransactionDigest, TransactionEffectsV1, Version};
use sdpp_ledger::Finality;
use std::collections::{BTreeSet, VecDeque};

/// The most transactions that are read to find out who spent a coin.
const READS_MAX: usize = 256;

impl Chain {
    /// Whether what a transaction was to spend is shown to have been spent by another, for good:
    /// then it can never happen. The coin that a refusal names is looked at first. Where something
    /// was spent and nobody can show by whom, nothing is said: it may have been this very
    /// transaction, long ago.
    pub async fn is_spent_by_another(&self, tx: &Tx, named: Option<ObjectId>) -> Answer<bool> {
        let mut coins = tx.gas().objects.clone();
        coins.sort_by_key(|at| Some(at.object_id) != named);
        let mut search = Search { chain: self, tx, reads: 0 };
        let (mut is_waiting, mut unproved) = (false, None);
        for coins in coins.chunks(AT_ONCE) {
            let ids: Vec<ObjectId> = coins.iter().map(|at| at.object_id).collect();
            for (at, now) in coins.iter().zip(self.node.objects(&ids).await?) {
                match search.fate(at, now).await? {
                    Fate::Open => {}
                    Fate::Spent(Finality::Pending(_)) => is_waiting = true,
                    Fate::Spent(_) => return Ok(true),
                    Fate::Unproved => unproved = unproved.or(Some(at.object_id)),
                }
            }
        }
        match unproved.filter(|_| !is_waiting) {
            Some(coin) => Err(self.unproved(&coin)),
            None => Ok(false),
        }
    }

    fn unproved(&self, coin: &ObjectId) -> Trouble {
        self.node.trouble(&format!(
            "unproved: coin {coin} is spent or unknown, and this node does not tell by what: \
             name one that keeps all transactions and an index of them"
        ))
    }
}

/// What became of a coin.
enum Fate {
    /// It is there as it was.
    Open,
    /// Another transaction spent it, and is as final as this.
    Spent(Finality),
    /// It is not there as it was, and nobody shows why.
    Unproved,
}

/// The search for what spent the coins of a transaction.
struct Search<'a> {
    chain: &'a Chain,
    tx: &'a Tx,
    /// How many transactions were read for it.
    reads: usize,
}

impl Search<'_> {
    async fn fate(&mut self, at: &ObjectReference, now: Now) -> Answer<Fate> {
        let chain = self.chain;
        let node = &chain.node;
        let spender = match now {
            Now::There { version, .. } if version <= at.version => return Ok(Fate::Open),
            Now::There { made_by: Some(last), .. } => self.spender(at, [last], at.version).await?,
            Now::There { made_by: None, .. } | Now::Unheard => {
                let last = node.last_taker(&at.object_id).await?;
                self.spender(at, last, at.version).await?
            }
            Now::Gone { at: gone } => {
                let last = node.last_taker(&at.object_id).await?;
                match self.spender(at, last, at.version).await? {
                    None => {
                        let heirs = self.heirs(gone).await?;
                        self.spender(at, heirs, gone).await?
                    }
                    found => found,
                }
            }
        };
        match spender {
            Some(spender) => Ok(Fate::Spent(self.proof(at, &spender).await?)),
            None => Ok(Fate::Unproved),
        }
    }

    /// What last touched our coins of this version or a later one: what merged a coin away left
    /// another one of ours behind, as a rule.
    async fn heirs(&self, version: Version) -> Answer<Vec<TransactionDigest>> {
        let node = &self.chain.node;
        let mut coins = node.coins(&self.tx.sender()).await?.list;
        coins.retain(|coin| coin.at.version >= version);
        coins.sort_by_key(|coin| coin.at.version);
        let ids: Vec<ObjectId> = coins.iter().map(|coin| coin.at.object_id).collect();
        let nearest = ids.chunks(AT_ONCE).next().unwrap_or_default();
        let made_by = |now| match now {
            Now::There { made_by, .. } => made_by,
            Now::Gone { .. } | Now::Unheard => None,
        };
        Ok(node.objects(nearest).await?.into_iter().filter_map(made_by).collect())
    }

    /// What took a coin at its version, looked for from some transactions back along what each
    /// depends on, as long as they wrote something newer than `floor`.
    async fn spender(
        &mut self,
        at: &ObjectReference,
        from: impl IntoIterator<Item = TransactionDigest>,
        floor: Version,
    ) -> Answer<Option<Seen>> {
        let mut known = BTreeSet::new();
        let mut open = VecDeque::new();
        self.follow(from, &mut known, &mut open)?;
        let mut is_on_its_line = false;
        while let Some(digest) = open.pop_front() {
            let Some(seen) = self.read(&digest).await? else { continue };
            if seen.tx.takes(&at.object_id, at.version) {
                return Ok(Some(seen));
            }
            let wrote = seen.effects.lamport_version;
            let touched = wrote > at.version && touches(&seen.effects, &at.object_id);
            if touched {
                // What left the coin to this one is among those that this one depends on.
                is_on_its_line = true;
                open.clear();
            }
            if touched || !is_on_its_line && wrote > floor {
                self.follow(seen.effects.dependencies, &mut known, &mut open)?;
            }
        }
        Ok(None)
    }

    /// Puts transactions where they are read next. None of them is the one that is asked about.
    fn follow(
        &self,
        from: impl IntoIterator<Item = TransactionDigest>,
        known: &mut BTreeSet<TransactionDigest>,
        open: &mut VecDeque<TransactionDigest>,
    ) -> Answer<()> {
        for digest in from {
            if digest == self.tx.digest {
                // What tells of objects is ahead of what tells of transactions, or that was pruned.
                return Err(self.landed());
            }
            if known.insert(digest) {
                open.push_back(digest);
            }
        }
        Ok(())
    }

    async fn read(&mut self, digest: &TransactionDigest) -> Answer<Option<Seen>> {
        if self.reads == READS_MAX {
            return Ok(None);
        }
        self.reads += 1;
        match self.chain.node.seen(digest).await {
            // The network's first ones, and those that brought packages: they spent no coin.
            Err(Trouble::TooLong { .. }) => Ok(None),
            seen => seen,
        }
    }

    /// How final the transaction is that took a coin of ours: it names the coin, and whoever owns
    /// that signed it, or it did not happen, whatever is said of it.
    async fn proof(&self, at: &ObjectReference, spender: &Seen) -> Answer<Finality> {
        if !spender.tx.is_signed() || spender.tx.sender() != self.tx.sender() {
            let (digest, coin) = (&spender.tx.digest, &at.object_id);
            return Err(self.chain.node.trouble(&format!(
                "coin {coin} was spent by {digest}, which its owner did not sign"
            )));
        }
        self.chain.told(spender).await
    }

    fn landed(&self) -> Trouble {
        self.chain.node.trouble(&format!(
            "{} has landed, and this node does not tell of it: not yet, or no longer",
            self.tx.digest
        ))
    }
}

fn touches(effects: &TransactionEffectsV1, coin: &ObjectId) -> bool {
    effects.changed_objects.iter().any(|changed| changed.object_id == *coin)
}
