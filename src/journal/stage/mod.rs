//! Writes on their way to the disk: each is checked against what the ones before it leave.
//!
//! Nothing here touches the disk but to read. What a write changed is taken back when it is
//! refused; the rest becomes one batch.

mod bonds;
mod claims;
mod datasets;
mod deliveries;
mod prune;
mod reclaim;
mod redeem;
mod restored;
mod rows;
mod settle;
mod standing;
mod watch;

use super::delivery::Delivery;
use super::entry::{self, Entry, Head, Stored};
use super::facts::{Channel, Session};
use super::keys;
use super::obligation::{Event, Illegal, Obligation, State};
use super::quarantine::Quarantine;
use super::reader::row_bytes;
use super::tree::{Batch, Place, Store, Tree};
use super::write::{Live, News, NewsKind, Write, WriteError, Written};
use super::{JournalError, damaged};
use crate::record::{Act, Owed, Record};
use crate::standing::Tally;
use crate::terms::{Purpose, Role, SessionId};
use sdpp_ledger::{LedgerId, PublicKey, Reference, merkle};
use std::collections::BTreeMap;

/// Why a write cannot be applied: its own fault, or the journal's.
enum Fault {
    Write(WriteError),
    Journal(JournalError),
}

impl<E: Into<WriteError>> From<E> for Fault {
    fn from(error: E) -> Self {
        Fault::Write(error.into())
    }
}

impl From<JournalError> for Fault {
    fn from(error: JournalError) -> Self {
        Fault::Journal(error)
    }
}

/// The one record that may stand before its session's order: the order's own anchor goes first.
fn precedes_order(record: &Record) -> bool {
    matches!(record, Record::Anchoring { owed, .. } if owed.purpose == Purpose::Order)
}

/// What the journal alone appends.
fn is_inner(record: &Record) -> bool {
    matches!(
        record,
        Record::Met { .. }
            | Record::Refused { .. }
            | Record::Pruned { .. }
            | Record::Restored { .. }
            | Record::Learned { .. }
            | Record::Released
    )
}

fn unwritable(error: serde_json::Error) -> JournalError {
    damaged(format!("a record cannot be written: {error}"))
}

/// What a batch held at some place: nothing, or a value, or a removal.
type Before = Option<Option<Vec<u8>>>;

/// The state of the journal with some writes applied that are not on disk yet.
pub(super) struct Stage<'a> {
    store: &'a Store,
    identity: &'a PublicKey,
    now_ms: u64,
    head: Head,
    quarantine: Option<Quarantine>,
    batch: Batch,
    /// What the batch held before the current write, to take it back.
    undo: Vec<(Place, Before)>,
    /// The entries of each session, for its index.
    indexed: BTreeMap<SessionId, Vec<u64>>,
    written: Written,
}

impl<'a> Stage<'a> {
    pub(super) fn new(
        store: &'a Store,
        identity: &'a PublicKey,
        head: Head,
        quarantine: Option<Quarantine>,
        now_ms: u64,
    ) -> Self {
        Stage {
            store,
            identity,
            now_ms,
            head,
            quarantine,
            batch: Batch::new(),
            undo: Vec::new(),
            indexed: BTreeMap::new(),
            written: Written::default(),
        }
    }

    /// Applies one write or, when it is refused, nothing.
    pub(super) fn apply(
        &mut self,
        write: Write,
    ) -> Result<Result<Written, WriteError>, JournalError> {
        let (head, quarantine) = (self.head, self.quarantine);
        self.undo.clear();
        self.written = Written::default();
        match self.dispatch(write) {
            Ok(()) => Ok(Ok(std::mem::take(&mut self.written))),
            Err(Fault::Journal(error)) => Err(error),
            Err(Fault::Write(error)) => {
                self.take_back(head);
                self.quarantine = quarantine;
                Ok(Err(error))
            }
        }
    }

    /// All that changed, and the new head.
    pub(super) fn finish(mut self) -> Result<(Batch, Head), JournalError> {
        for (session, seqs) in std::mem::take(&mut self.indexed) {
            for seqs in seqs.chunks(keys::SEQS_IN_ROW) {
                let (key, value) = keys::session_row(&session, seqs);
                self.batch.insert((Tree::SessionEntries, key), Some(value));
            }
        }
        if !self.batch.is_empty() {
            let head = row_bytes(&self.head)?;
            self.batch.insert((Tree::Meta, b"head".to_vec()), Some(head));
        }
        Ok((self.batch, self.head))
    }

    fn dispatch(&mut self, write: Write) -> Result<(), Fault> {
        self.check_quarantine(&write)?;
        match write {
            Write::Append { session, record } => self.append(session, *record),
            Write::Prepare(prepare) => self.prepare(*prepare),
            Write::Delivery { id, event, due_ms } => self.delivery_event(&id, event, due_ms),
            Write::Raise { delivery, signed } => self.raise(&delivery, *signed),
            Write::Keep { delivery } => self.keep(&delivery),
            Write::Cancel { reference } => self.cancel(&reference),
            Write::Void { delivery, signed } => self.void(&delivery, signed),
            Write::Obligation { reference, event } => self.lone_event(&reference, event),
            Write::Refused { reference, why } => self.unsigned(&reference, &why),
            Write::Included { reference, blocks, due_ms } => {
                self.included(&reference, blocks, due_ms)
            }
            Write::Absent { reference, due_ms } => self.absent(reference, due_ms),
            Write::Watch(watch) => self.watch(*watch),
            Write::Reclaim(reclaim) => self.reclaim(reclaim),
            Write::Prune(pruning) => self.prune(&pruning),
            Write::Settle(settle) => self.settle(*settle),
            Write::Rated(rated) => self.rated(&rated),
            Write::Keeping(stretch) => self.keep_stretch(&stretch),
            Write::Forget { root } => self.forget(&root),
            Write::Restore { backup_ms } => self.restore(backup_ms),
            Write::Release(release) => self.release_from(*release),
            Write::Learn { session, bundle } => {
                self.push(None, Record::Learned { session, bundle })
            }
            Write::Postpone { live, due_ms } => self.postpone(live, due_ms),
        }
    }

    fn take_back(&mut self, head: Head) {
        self.head = head;
        self.indexed.retain(|_, seqs| {
            seqs.retain(|seq| *seq <= head.seq);
            !seqs.is_empty()
        });
        for (key, before) in std::mem::take(&mut self.undo).into_iter().rev() {
            match before {
                Some(value) => self.batch.insert(key, value),
                None => self.batch.remove(&key),
            };
        }
    }

    // Records.

    fn append(&mut self, session: Option<SessionId>, record: Record) -> Result<(), Fault> {
        if is_inner(&record) {
            return Err(WriteError::OutboxOnly.into());
        }
        self.found(session, &record)?;
        if let Some(owed) = record.owed()
            && self.is_repeated(owed, session, &record)?
        {
            return Ok(());
        }
        let Some(record) = self.without_repeated_redeem(record)? else { return Ok(()) };
        self.learn(session, &record)?;
        let owed = record.owed().cloned();
        let has_ended = matches!(record, Record::Ended { .. });
        self.push(session, record)?;
        self.written.seq = Some(self.head.seq);
        if let Some(owed) = owed {
            self.owe(owed, session)?;
        }
        match session {
            Some(session) if has_ended => self.release(&session),
            _ => Ok(()),
        }
    }

    /// Founds the session of an order.
    fn found(&mut self, session: Option<SessionId>, record: &Record) -> Result<(), Fault> {
        let Record::Order { role, peer, .. } = record else {
            return Ok(());
        };
        let id = session.ok_or(WriteError::NoSuchSession)?;
        if self.row::<Session>(Tree::Sessions, &id.0.0)?.is_some() {
            return Err(WriteError::SessionExists(id).into());
        }
        let session = Session {
            role: *role,
            first_seq: self.head.seq + 1,
            reserved_to_seq: 0,
            epochs: Vec::new(),
            ended: None,
            pruned_to_seq: None,
            tally: (*role == Role::Seller).then(|| Tally::new(peer)),
        };
        self.put_row("a session", Tree::Sessions, id.0.0.to_vec(), &session)
    }

    /// Whether this very record stands in the journal under its reference.
    fn is_repeated(
        &mut self,
        owed: &Owed,
        session: Option<SessionId>,
        record: &Record,
    ) -> Result<bool, Fault> {
        let key = &owed.reference.0;
        let Some(first) = self.row::<Obligation>(Tree::Obligations, key)? else {
            return Ok(false);
        };
        let seq = first.entry;
        let Some(entry) = self.row::<Entry>(Tree::Entries, &keys::seq(seq))? else {
            return Err(damaged(format!("entry {seq} is gone")).into());
        };
        let holds = entry.holds(record.clone()).map_err(unwritable)?;
        let is_same = entry.session == session && holds;
        if !is_same && !self.claim_also(&first, owed, session, record)? {
            let reference = owed.reference;
            return Err(WriteError::ReferenceConflict { reference, entry: seq }.into());
        }
        self.written.repeated = self.written.seq.is_none();
        self.written.seq.get_or_insert(seq);
        Ok(true)
    }

    /// Checks a record against what is known of its session and channel, and keeps what it adds.
    fn learn(&mut self, session: Option<SessionId>, record: &Record) -> Result<(), Fault> {
        if let (Some(id), false) = (session, precedes_order(record)) {
            let key = &id.0.0;
            let mut known: Session =
                self.row(Tree::Sessions, key)?.ok_or(WriteError::NoSuchSession)?;
            self.check_session(&id, &known, record)?;
            let before = known.tally.clone();
            if known.learn(record, self.head.seq + 1)? {
                self.count(before.as_ref(), &mut known)?;
                self.put_row("a session", Tree::Sessions, key.to_vec(), &known)?;
            }
        }
        if let Some(channel) = Channel::named(record) {
            let key = &channel.0;
            let mut known: Channel = self.row(Tree::Channels, key)?.unwrap_or_default();
            if known.learn(record)? {
                self.put_row("a channel", Tree::Channels, key.to_vec(), &known)?;
            }
        }
        self.learn_bond(session, record)?;
        self.begin_watch(record)
    }

    /// Puts a record at the end of the chain.
    fn push(&mut self, session: Option<SessionId>, record: Record) -> Result<(), Fault> {
        let entry = Entry {
            seq: self.head.seq + 1,
            at_ms: self.now_ms.max(self.head.at_ms),
            session,
            prev: self.head.digest,
            record,
            lacks: None,
        };
        let (seq, at_ms) = (entry.seq, entry.at_ms);
        let Stored { body, payload } = entry.encode().map_err(unwritable)?;
        self.head = Head { seq, digest: entry::digest(&body), at_ms };
        let key = keys::seq(seq);
        self.put("a record", Tree::Entries, key.into(), body)?;
        if let Some(payload) = payload {
            self.put("a record's payload", Tree::Payloads, key.into(), payload)?;
        }
        if let Some(session) = session {
            self.indexed.entry(session).or_default().push(seq);
        }
        Ok(())
    }

    // Obligations.

    fn owe(&mut self, owed: Owed, session: Option<SessionId>) -> Result<(), Fault> {
        if let Act::Check(claim) = &owed.act {
            self.check_tx_is_free(&owed, &claim.tx)?;
        }
        let row = Obligation {
            state: State::birth(&owed, session.is_some()),
            owed,
            also: Vec::new(),
            session,
            entry: self.head.seq,
            at_ms: self.head.at_ms,
            due_ms: self.now_ms,
            tries: 0,
            refusals: 0,
        };
        self.put_obligation(None, &row)
    }

    fn release(&mut self, session: &SessionId) -> Result<(), Fault> {
        for (key, _) in self.scan(Tree::Held, &session.0.0)? {
            let reference = key.last_chunk().ok_or_else(|| damaged("a held row"))?;
            self.obligation_event(&Reference(*reference), Event::Released, None)?;
        }
        Ok(())
    }

    /// An event that comes from outside, and must not touch what a delivery carries.
    fn lone_event(&mut self, reference: &Reference, event: Event) -> Result<(), Fault> {
        let row = self.obligation(reference)?;
        let is_inner = matches!(
            event,
            Event::Released | Event::Boarded { .. } | Event::Dropped | Event::Deferred
        );
        if is_inner || matches!(row.state, State::Riding { .. }) {
            return Err(Illegal::new(&row.state, &event).into());
        }
        if event == Event::Retried {
            row.claims()
                .iter()
                .try_for_each(|claim| self.check_tx_is_free(&row.owed, &claim.tx))?;
        }
        self.obligation_event(reference, event, None)
    }

    fn obligation_event(
        &mut self,
        reference: &Reference,
        event: Event,
        proof: Option<merkle::Proof>,
    ) -> Result<(), Fault> {
        let old = self.obligation(reference)?;
        let event = self.paid_once(&old, event)?;
        let mut row = old.clone();
        row.state = old.state.clone().next(event, &old.owed)?;
        row.due_ms = self.now_ms;
        row.tries = 0;
        if old.is_refused() {
            row.refusals = 0;
        }
        self.put_obligation(Some(&old), &row)?;
        if old.is_refused() != row.is_refused() {
            self.count_redeems(&row.owed)?;
        }
        self.record_settled(&row, proof)
    }

    /// What the chain and the session learn when an obligation is settled.
    fn record_settled(
        &mut self,
        row: &Obligation,
        proof: Option<merkle::Proof>,
    ) -> Result<(), Fault> {
        let reference = row.owed.reference;
        let (record, kind) = match &row.state {
            State::Met { evidence } => (
                Record::Met { reference, evidence: evidence.clone(), proof },
                NewsKind::Met(evidence.clone()),
            ),
            State::Refused { why } => {
                (Record::Refused { reference, why: why.clone() }, NewsKind::Refused(why.clone()))
            }
            _ => return Ok(()),
        };
        self.count_paid(row)?;
        self.tell(row, kind);
        self.push(row.session, record)
    }

    fn put_obligation(&mut self, old: Option<&Obligation>, row: &Obligation) -> Result<(), Fault> {
        let before = old.map(Obligation::index).unwrap_or_default();
        self.reindex(before, row.index())?;
        if matches!(row.state, State::Open { .. } | State::Watching) {
            self.has_work(&row.owed.ledger);
        }
        let key = row.owed.reference.0.to_vec();
        self.put_row("an obligation", Tree::Obligations, key, row)
    }

    fn postpone(&mut self, live: Live, due_ms: u64) -> Result<(), Fault> {
        match live {
            Live::Obligation(reference) => {
                let old = self.obligation(&reference)?;
                let tries = old.tries.saturating_add(1);
                let row = Obligation { due_ms, tries, ..old.clone() };
                self.put_obligation(Some(&old), &row)
            }
            Live::Delivery(id) => {
                let old = self.delivery(&id)?;
                let tries = old.tries.saturating_add(1);
                let row = Delivery { due_ms, tries, ..old.clone() };
                self.put_delivery(Some(&old), &row)
            }
        }
    }

    // What listeners want to know.

    fn tell(&mut self, row: &Obligation, kind: NewsKind) {
        self.written.news.push(News { session: row.session, reference: row.owed.reference, kind });
    }

    fn has_work(&mut self, ledger: &LedgerId) {
        if !self.written.ledgers.contains(ledger) {
            self.written.ledgers.push(ledger.clone());
        }
    }
}
