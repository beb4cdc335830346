//! Walking the chain: each entry follows from the one before it, each payload is the one that its
//! entry was written with, and what has lost its payload was pruned.

use super::JournalError;
use super::entry::{Broken, Entry, Head, digest, genesis};
use super::keys;
use super::query::PAGE_MAX;
use super::reader::{Reader, StoredRow};
use super::tree::Tree;
use crate::record::{PrunedSession, Record};
use crate::terms::SessionId;
use sdpp_ledger::{Digest, PublicKey};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// What is wrong with an entry whose payload is gone without a record of it.
pub(super) const LOST: &str = "has lost its payload, and nobody pruned it";

/// A chain that holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Walked {
    /// Its last entry.
    pub head: Head,
    /// What was pruned from it.
    pub pruned: Pruned,
}

/// What a chain says of what was pruned from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// How many entries have lost their payload.
    pub entries: u64,
    /// Of how many sessions.
    pub sessions: u64,
    /// All of them ended before this moment, in milliseconds since 1970 UTC; 0 where nothing was
    /// pruned.
    pub before_ms: u64,
}

/// An entry as it is stored. Reading it needs nothing but itself, so any thread can.
pub struct Raw(StoredRow);

/// An entry as it was read, whose place in the chain is yet to be checked: see [`Walk::take`].
pub struct Unlinked {
    key_seq: u64,
    digest: Digest,
    entry: Result<Entry, String>,
    /// What is wrong with its payload.
    payload: Result<(), &'static str>,
}

impl Raw {
    /// Its seq, by where it stands.
    pub fn seq(&self) -> u64 {
        keys::tail(&self.0.0).unwrap_or(u64::MAX)
    }

    /// Reads it.
    pub fn read(self) -> Unlinked {
        let seq = self.seq();
        let Raw((_, body, payload)) = self;
        Unlinked::read(seq, &body, payload.as_deref())
    }
}

impl Unlinked {
    /// Reads what is stored under a seq: an entry's body, and its payload where it has some.
    pub fn read(key_seq: u64, body: &[u8], payload: Option<&[u8]>) -> Unlinked {
        // Where, and no more: what stands there may be a secret.
        let place = |e: serde_json::Error| format!("cannot be read at {}:{}", e.line(), e.column());
        let unlinked = |entry, payload| Unlinked { key_seq, digest: digest(body), entry, payload };
        match Entry::decode(body).map_err(place) {
            Err(what) => unlinked(Err(what), Ok(())),
            Ok(entry) => match entry.complete(payload) {
                Ok(entry) => unlinked(Ok(entry), Ok(())),
                // Its body still has its place in the chain, which may be wrong as well.
                Err(what) => unlinked(Entry::decode(body).map_err(place), Err(what)),
            },
        }
    }
}

impl Reader {
    /// Up to `limit` entries after entry `after`, as they are stored.
    ///
    /// # Errors
    /// As all of [`Reader`]'s methods.
    pub fn raw(&self, after: u64, limit: usize) -> Result<Vec<Raw>, JournalError> {
        Ok(self.stored(after, limit)?.into_iter().map(Raw).collect())
    }

    /// Walks the whole chain as it is now: the head, or the first entry that is wrong.
    pub fn verify(&self) -> Result<Result<Head, Broken>, JournalError> {
        Ok(self.walk()?.map(|walked| walked.head))
    }

    /// The same, and what was pruned from it. Memory: some bytes for each pruned session.
    pub fn walk(&self) -> Result<Result<Walked, Broken>, JournalError> {
        let walk = match self.walk_with(Walk::new(&self.identity()))? {
            Ok(walk) => walk,
            Err(broken) => return Ok(Err(broken)),
        };
        if walk.lost().is_none() {
            return Ok(Ok(walk.walked()));
        }
        // Which entry it was is known once all that was pruned is.
        let again = Walk::knowing(&self.identity(), walk.pruned);
        Ok(self.walk_with(again)?.map(Walk::walked))
    }

    /// Reads every row of every tree: what sled cannot give back is damaged, chain or not.
    ///
    /// # Errors
    /// As all of [`Reader`]'s methods.
    pub fn read_all(&self) -> Result<(), JournalError> {
        for tree in Tree::ALL {
            let mut after: Option<Vec<u8>> = None;
            loop {
                let page = self.page(tree, &[], after.as_deref(), PAGE_MAX)?;
                let Some((last, _)) = page.into_iter().next_back() else { break };
                after = Some(last);
            }
        }
        Ok(())
    }

    /// Walks up to the head as it is now, and further while what was lost so far may still turn
    /// out to have been pruned since.
    fn walk_with(&self, mut walk: Walk) -> Result<Result<Walk, Broken>, JournalError> {
        loop {
            let head = self.head()?;
            while walk.head.seq < head.seq {
                let rows = self.stored(walk.head.seq, PAGE_MAX)?;
                let rows = rows.into_iter();
                let mut rows =
                    rows.take_while(|(key, ..)| keys::tail(key).is_none_or(|seq| seq <= head.seq));
                let Some(first) = rows.next() else { break };
                for (key, body, payload) in std::iter::once(first).chain(rows) {
                    if let Err(broken) = walk.take(Raw((key, body, payload)).read()) {
                        return Ok(Err(broken));
                    }
                }
            }
            if let Err(broken) = walk.ends_at(head) {
                return Ok(Err(broken));
            }
            if walk.lost().is_none() || self.head()? == head {
                return Ok(Ok(walk));
            }
        }
    }
}

/// Checks a chain, one entry after the other.
#[derive(Debug)]
pub struct Walk {
    head: Head,
    /// Each session that has lost payload: how many of its entries, and which last.
    lost: HashMap<Option<SessionId>, (u64, u64)>,
    /// Up to where each session was pruned.
    pruned: HashMap<SessionId, u64>,
    before_ms: u64,
    /// All that was pruned is known: what else is lost is named where it stands.
    knows: bool,
}

impl Walk {
    /// Of one side's journal, from its beginning.
    pub fn new(identity: &PublicKey) -> Self {
        let (lost, pruned) = (HashMap::new(), HashMap::new());
        let head = Head { seq: 0, digest: genesis(identity), at_ms: 0 };
        Walk { head, lost, pruned, before_ms: 0, knows: false }
    }

    fn knowing(identity: &PublicKey, pruned: HashMap<SessionId, u64>) -> Self {
        Walk { pruned, knows: true, ..Walk::new(identity) }
    }

    /// Takes the next entry, and gives it back where its place is right.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn take(&mut self, next: Unlinked) -> Result<Entry, Broken> {
        let seq = self.place_of(&next);
        let broken = |what: String| Broken { seq, what };
        if next.key_seq != seq {
            return Err(broken(format!("is missing; the next one there is {}", next.key_seq)));
        }
        let entry = next.entry.map_err(broken)?;
        if entry.seq != seq {
            return Err(broken(format!("says that it is entry {}", entry.seq)));
        }
        if entry.prev != self.head.digest {
            return Err(broken("does not follow from the entry before it".to_owned()));
        }
        if entry.at_ms < self.head.at_ms {
            return Err(broken("is older than the entry before it".to_owned()));
        }
        self.head = Head { seq, digest: next.digest, at_ms: entry.at_ms };
        next.payload.map_err(|what| broken(what.to_owned()))?;
        self.learn(&entry).map_err(broken)?;
        Ok(entry)
    }

    /// Ends it: `head` is what the journal says its last entry is. `Ok(false)` where payload is
    /// gone that nothing says was pruned: [`Reader::walk`] names the entry.
    ///
    /// # Errors
    /// The first entry that is missing.
    pub fn end(&self, head: Head) -> Result<bool, Broken> {
        self.ends_at(head)?;
        Ok(self.lost().is_none())
    }

    /// Where the next entry must stand: right after the last, or where it says that the journal was
    /// restored after that one, beyond all that can have stood between.
    fn place_of(&self, next: &Unlinked) -> u64 {
        let record = next.entry.as_ref().map(|entry| &entry.record);
        match record {
            Ok(Record::Restored { after_seq, .. }) if *after_seq == self.head.seq => {
                next.key_seq.max(self.head.seq + 1)
            }
            _ => self.head.seq + 1,
        }
    }

    fn learn(&mut self, entry: &Entry) -> Result<(), String> {
        if entry.lacks.is_some() {
            let (count, last) = self.lost.entry(entry.session).or_default();
            (*count, *last) = (*count + 1, entry.seq);
            if self.knows && !self.is_pruned(entry.session, entry.seq) {
                return Err(LOST.to_owned());
            }
        }
        if let Record::Pruned { before_ms, sessions, .. } = &entry.record {
            self.before_ms = self.before_ms.max(*before_ms);
            for PrunedSession { session, through_seq, .. } in sessions {
                let through = self.pruned.entry(*session).or_default();
                *through = (*through).max(*through_seq);
            }
        }
        Ok(())
    }

    fn is_pruned(&self, session: Option<SessionId>, seq: u64) -> bool {
        let through = session.and_then(|session| self.pruned.get(&session));
        through.is_some_and(|through| seq <= *through)
    }

    /// A session that has lost payload which was not pruned, as far as is known.
    fn lost(&self) -> Option<&Option<SessionId>> {
        let lost = |(session, (_, last)): &(&Option<SessionId>, &(u64, u64))| {
            !self.is_pruned(**session, *last)
        };
        self.lost.iter().find(lost).map(|(session, _)| session)
    }

    /// Whether the walk ends at what the journal says its last entry is.
    fn ends_at(&self, head: Head) -> Result<(), Broken> {
        if self.head == head {
            return Ok(());
        }
        Err(Broken {
            seq: self.head.seq + 1,
            what: format!("is missing; the journal's head is entry {}", head.seq),
        })
    }

    fn walked(self) -> Walked {
        let entries = self.lost.values().map(|(count, _)| count).sum();
        let (sessions, before_ms) = (self.lost.len() as u64, self.before_ms);
        Walked { head: self.head, pruned: Pruned { entries, sessions, before_ms } }
    }
}
