//! Pruning: dropping what entries can do without, and nothing that anybody may still need.
//!
//! What goes is the payload of sessions that are over in every respect (the rule is [`kept`]), and
//! the signed bytes of transactions that carried nothing else and are final. What stays is the
//! chain: each signed layout with its amounts and digests, menu, order, exits, vouchers, what the
//! ledgers said. Each batch that goes leaves a [`crate::record::Record::Pruned`] in the chain, in
//! the same write, so at every moment what is missing is missing with a reason.
//!
//! A [`Sweep`] looks and writes nothing: it hands out small batches, and whoever drives it commits
//! each before it asks for the next. So a running node's own writes go between them.

mod rule;
mod survey;

pub use rule::{Kept, SessionFacts, kept};

use super::delivery::{Delivery, DeliveryId};
use super::walk::LOST;
use super::write::Write;
use super::{Journal, JournalError, Reader, damaged};
use crate::terms::SessionId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};
use survey::{Surveyed, survey};

/// The most entries and deliveries in one batch.
pub const BATCH_ROWS_MAX: usize = 64;

/// How much payload goes in one batch, in bytes, unless a single one is larger.
pub const BATCH_BYTES_MAX: usize = 1024 * 1024;

/// How many sessions or deliveries are looked at for one batch.
const LOOKS_MAX: usize = 256;

/// Of how many sessions it is remembered whether they keep what is theirs.
const REMEMBERED_MAX: usize = 4096;

/// One batch: what to drop. Only a [`Sweep`] makes one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruning {
    pub(super) before_ms: u64,
    pub(super) sessions: Vec<OfSession>,
    pub(super) deliveries: Vec<DeliveryId>,
    bytes: u64,
}

/// Payload of one session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OfSession {
    pub(super) session: SessionId,
    /// Its last entry when it was looked at.
    pub(super) last_seq: u64,
    /// The entries whose payload goes.
    pub(super) seqs: Vec<u64>,
    /// None of its entries up to this one has payload then.
    pub(super) through_seq: u64,
}

/// What one batch has dropped, or would.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Of which sessions, in the order in which they were looked at.
    pub sessions: Vec<SessionId>,
    /// The payload of so many entries.
    pub entries: u64,
    /// The signed bytes of so many deliveries.
    pub deliveries: u64,
    /// So many bytes in all.
    pub bytes: u64,
}

/// What all batches have dropped, or would, and what is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Of how many sessions.
    pub sessions: u64,
    /// The payload of so many entries.
    pub entries: u64,
    /// The signed bytes of so many deliveries.
    pub deliveries: u64,
    /// So many bytes in all.
    pub bytes: u64,
    /// How many sessions keep their payload, by reason.
    pub kept: BTreeMap<Kept, u64>,
}

/// How far a sweep is: sessions by id, then deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// After this session; `None` at the beginning.
    Sessions(Option<SessionId>),
    /// After this delivery; `None` before the first.
    Deliveries(Option<DeliveryId>),
}

/// What a node is asked for: a sweep, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// What ended before this moment is to be pruned, in milliseconds since 1970 UTC.
    pub before_ms: u64,
    /// Only say what would be dropped.
    pub dry_run: bool,
    /// Where to begin.
    pub from: Place,
}

/// What a node answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// What this part came to.
    pub tally: Tally,
    /// Where to go on; `None` when there is nothing more.
    pub rest: Option<Place>,
}

/// Goes through a journal once, and finds what can be dropped.
#[derive(Debug)]
pub struct Sweep {
    before_ms: u64,
    place: Option<Place>,
    /// The session that is being pruned.
    current: Option<Current>,
    remembered: HashMap<SessionId, Option<Kept>>,
    tally: Tally,
    last: Option<SessionId>,
}

/// A session that is being pruned.
#[derive(Debug)]
struct Current {
    session: SessionId,
    surveyed: Surveyed,
    /// Up to where it was pruned before.
    pruned_to_seq: u64,
    /// How many of its entries were looked at.
    at: usize,
}

impl Journal {
    /// Drops the next batch of a sweep; false when there is none any more.
    ///
    /// # Errors
    /// As [`Journal::commit`].
    pub fn prune(&mut self, now_ms: u64, sweep: &mut Sweep) -> Result<bool, JournalError> {
        let Some(batch) = sweep.next(&self.reader())? else { return Ok(false) };
        if !batch.is_empty() {
            let answers = self.commit(now_ms, vec![Write::Prune(Box::new(batch))])?;
            // Nothing in a batch is refused; what has changed since is passed over.
            let written = answers.into_iter().flatten();
            written.filter_map(|written| written.pruned).for_each(|dropped| sweep.count(&dropped));
        }
        Ok(true)
    }
}

impl Current {
    /// The next entry that may have payload.
    fn next_seq(&mut self) -> Option<u64> {
        let mut left = self.surveyed.seqs.get(self.at..).unwrap_or_default().iter().copied();
        let before = left.clone().take_while(|seq| *seq <= self.pruned_to_seq).count();
        self.at += before;
        left.nth(before)
    }
}

impl Pruning {
    /// Whether there is nothing to drop.
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty() && self.deliveries.is_empty()
    }

    /// What it would drop.
    pub fn would_drop(&self) -> Dropped {
        Dropped {
            sessions: self.sessions.iter().map(|one| one.session).collect(),
            entries: self.sessions.iter().map(|one| one.seqs.len() as u64).sum(),
            deliveries: self.deliveries.len() as u64,
            bytes: self.bytes,
        }
    }

    /// Whether it takes nothing more beside so many rows.
    fn is_full_beside(&self, more: usize) -> bool {
        let rows: usize = self.sessions.iter().map(|one| one.seqs.len()).sum();
        rows + more + self.deliveries.len() >= BATCH_ROWS_MAX
            || self.bytes >= BATCH_BYTES_MAX as u64
    }
}

impl Tally {
    /// Adds what another part of the same sweep came to.
    pub fn add(&mut self, other: Tally) {
        self.sessions += other.sessions;
        self.entries += other.entries;
        self.deliveries += other.deliveries;
        self.bytes += other.bytes;
        for (reason, count) in other.kept {
            *self.kept.entry(reason).or_default() += count;
        }
    }
}

impl Sweep {
    /// A sweep of what ended before a moment, in milliseconds since 1970 UTC, from a place on.
    pub fn new(before_ms: u64, from: Place) -> Self {
        Sweep {
            before_ms,
            place: Some(from),
            current: None,
            remembered: HashMap::new(),
            tally: Tally::default(),
            last: None,
        }
    }

    /// What to drop next; `None` when there is nothing more. An empty batch says that it has
    /// looked for a while and found nothing yet.
    ///
    /// # Errors
    /// As all of [`Reader`]'s methods.
    pub fn next(&mut self, reader: &Reader) -> Result<Option<Pruning>, JournalError> {
        let mut batch = Pruning { before_ms: self.before_ms, ..Pruning::default() };
        self.fill(reader, &mut batch)?;
        match self.place.clone() {
            None => return Ok(None),
            Some(Place::Sessions(after)) => self.sessions(reader, after, &mut batch)?,
            Some(Place::Deliveries(after)) => self.deliveries(reader, after, &mut batch)?,
        }
        Ok(Some(batch))
    }

    /// Looks for the next batch and drops nothing; false when there is none any more.
    ///
    /// # Errors
    /// As all of [`Reader`]'s methods.
    pub fn rehearse(&mut self, reader: &Reader) -> Result<bool, JournalError> {
        let Some(batch) = self.next(reader)? else { return Ok(false) };
        self.count(&batch.would_drop());
        Ok(true)
    }

    /// Counts what a batch has come to.
    pub fn count(&mut self, dropped: &Dropped) {
        let is_new = |id: &&SessionId| Some(**id) != self.last;
        let sessions = dropped.sessions.iter().filter(is_new).count();
        self.last = dropped.sessions.last().copied().or(self.last);
        let (entries, deliveries, bytes) = (dropped.entries, dropped.deliveries, dropped.bytes);
        let kept = BTreeMap::new();
        self.tally.add(Tally { sessions: sessions as u64, entries, deliveries, bytes, kept });
    }

    /// What was counted so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Where another sweep can go on; `None` in the middle of a session, and at the end.
    pub fn rest(&self) -> Option<&Place> {
        self.place.as_ref().filter(|_| self.current.is_none())
    }

    fn sessions(
        &mut self,
        reader: &Reader,
        after: Option<SessionId>,
        batch: &mut Pruning,
    ) -> Result<(), JournalError> {
        let page = reader.sessions(after.as_ref(), LOOKS_MAX)?;
        if page.is_empty() && self.current.is_none() {
            self.place = Some(Place::Deliveries(None));
        }
        for (id, known) in page {
            if batch.is_full_beside(0) || self.current.is_some() {
                return Ok(());
            }
            self.place = Some(Place::Sessions(Some(id)));
            let pruned_to_seq = known.pruned_to_seq.unwrap_or_default();
            if pruned_to_seq > 0 && reader.session_bodies(&id, pruned_to_seq, 1)?.is_empty() {
                continue;
            }
            let surveyed = survey(reader, &id)?;
            let reason = kept(&surveyed.facts, self.before_ms);
            self.remember(id, reason);
            match reason {
                Some(reason) => *self.tally.kept.entry(reason).or_default() += 1,
                None => {
                    self.current = Some(Current { session: id, surveyed, pruned_to_seq, at: 0 });
                }
            }
            self.fill(reader, batch)?;
        }
        Ok(())
    }

    /// Puts into a batch what is left of the session that is being pruned, as far as it fits.
    fn fill(&mut self, reader: &Reader, batch: &mut Pruning) -> Result<(), JournalError> {
        let Some(mut current) = self.current.take() else { return Ok(()) };
        let (session, mut seqs) = (current.session, Vec::new());
        while let Some(seq) = current.next_seq() {
            if batch.is_full_beside(seqs.len()) {
                break;
            }
            current.at += 1;
            match reader.payload_bytes(seq)? {
                Some(bytes) => batch.bytes += bytes as u64,
                // Another sweep was quicker.
                None if is_pruned(reader, &session, seq)? => continue,
                // Pruning it now would hide that somebody else did.
                None => return Err(damaged(format!("entry {seq} {LOST}"))),
            }
            seqs.push(seq);
        }
        let Surveyed { last_seq, .. } = current.surveyed;
        let is_all = current.next_seq().is_none();
        let through_seq = if is_all { last_seq } else { seqs.last().copied().unwrap_or_default() };
        if !is_all {
            self.current = Some(current);
        }
        if !seqs.is_empty() {
            batch.sessions.push(OfSession { session, last_seq, seqs, through_seq });
        }
        Ok(())
    }

    fn deliveries(
        &mut self,
        reader: &Reader,
        after: Option<DeliveryId>,
        batch: &mut Pruning,
    ) -> Result<(), JournalError> {
        let page = reader.deliveries(after.as_ref(), LOOKS_MAX)?;
        if page.is_empty() {
            self.place = None;
        }
        for row in page {
            if batch.is_full_beside(0) {
                return Ok(());
            }
            self.place = Some(Place::Deliveries(Some(row.id.clone())));
            if self.is_done_with(reader, &row)? {
                batch.bytes += row.raw_bytes() as u64;
                batch.deliveries.push(row.id);
            }
        }
        Ok(())
    }

    /// Whether nobody needs a transaction's bytes any more: it is final, and all that it carried
    /// is of sessions that keep nothing. What carried something else is kept whole.
    fn is_done_with(&mut self, reader: &Reader, row: &Delivery) -> Result<bool, JournalError> {
        if !row.is_prunable() || row.at_ms >= self.before_ms || row.references.is_empty() {
            return Ok(false);
        }
        for reference in &row.references {
            let owed = reader.obligation(reference)?;
            let Some(session) = owed.and_then(|owed| owed.session) else { return Ok(false) };
            if self.keeps(reader, session)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn keeps(&mut self, reader: &Reader, session: SessionId) -> Result<bool, JournalError> {
        if let Some(reason) = self.remembered.get(&session) {
            return Ok(reason.is_some());
        }
        let reason = kept(&survey(reader, &session)?.facts, self.before_ms);
        self.remember(session, reason);
        Ok(reason.is_some())
    }

    fn remember(&mut self, session: SessionId, reason: Option<Kept>) {
        if self.remembered.len() >= REMEMBERED_MAX {
            self.remembered.clear();
        }
        self.remembered.insert(session, reason);
    }
}

/// Whether a session was pruned up to this entry.
fn is_pruned(reader: &Reader, session: &SessionId, seq: u64) -> Result<bool, JournalError> {
    let known = reader.session(session)?;
    Ok(known.and_then(|known| known.pruned_to_seq).is_some_and(|through| seq <= through))
}
