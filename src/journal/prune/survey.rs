//! How a session stands, by its entries and by what became of what it owes.

use super::rule::SessionFacts;
use crate::journal::bonds::bond_of;
use crate::journal::entry::Entry;
use crate::journal::obligation::State;
use crate::journal::query::PAGE_MAX;
use crate::journal::reader::Reader;
use crate::journal::{JournalError, damaged};
use crate::record::{Owed, Record};
use crate::terms::SessionId;
use sdpp_ledger::{Amount, BondId, ChannelId, Reference};
use std::collections::{BTreeMap, HashSet};

/// A session, looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Surveyed {
    pub(super) facts: SessionFacts,
    /// Its last entry: whether it changed since shows there.
    pub(super) last_seq: u64,
    /// The entries that were written with payload.
    pub(super) seqs: Vec<u64>,
}

/// Looks at a session as it is now. Reads all its entries without their payload.
pub(super) fn survey(reader: &Reader, session: &SessionId) -> Result<Surveyed, JournalError> {
    let mut look = Look::default();
    loop {
        let page = reader.session_bodies(session, look.found.last_seq, PAGE_MAX)?;
        if page.is_empty() {
            break;
        }
        page.iter().for_each(|entry| look.take(entry));
    }
    for reference in &look.owed {
        let row = reader.obligation(reference)?;
        let row = row.ok_or_else(|| damaged(format!("the obligation {reference} is gone")))?;
        look.found.facts.is_unsettled |= !row.state.is_settled();
        look.found.facts.is_refused |= matches!(row.state, State::Refused { .. });
    }
    for channel in &look.channels {
        // One that nobody watches yet is not known to be over.
        let is_over = reader.watched(channel)?.is_some_and(|watched| watched.is_over);
        look.found.facts.is_on_open_channel |= !is_over;
    }
    if let Some(bond) = &look.bond {
        look.found.facts.is_under_bond = !reader.is_bond_over(bond)?;
    }
    Ok(look.found)
}

#[derive(Default)]
struct Look {
    found: Surveyed,
    owed: HashSet<Reference>,
    channels: HashSet<ChannelId>,
    /// The bond that it is under.
    bond: Option<BondId>,
    /// The first and the last item of each window that is not paid yet, by number.
    windows: BTreeMap<u64, (u64, u64)>,
    /// What the last invoice asked for in all.
    billed: Amount,
}

impl Look {
    fn take(&mut self, entry: &Entry) {
        self.found.last_seq = entry.seq;
        if entry.lacks.is_some() {
            self.found.seqs.push(entry.seq);
        }
        let owed = entry.record.owed();
        self.owed.extend(owed.map(|Owed { reference, .. }| *reference));
        let facts = &mut self.found.facts;
        match &entry.record {
            Record::Order { order, .. } => {
                self.bond = bond_of(order).map(|under| under.id);
            }
            Record::Invoice { message, from_seq, to_seq, .. } => {
                facts.due_seq = facts.due_seq.max(*to_seq);
                // A leg's totals begin with nothing.
                let is_free = [Amount::ZERO, self.billed].contains(&message.amount_total);
                self.billed = message.amount_total;
                match self.windows.last_entry() {
                    // Nobody says that he paid what costs nothing: it is paid with those before it.
                    Some(mut before) if is_free => before.get_mut().1 = *to_seq,
                    None if is_free => facts.paid_seq = *to_seq,
                    _ => drop(self.windows.insert(message.number, (*from_seq, *to_seq))),
                }
            }
            Record::Ack { message } => facts.due_seq = facts.due_seq.max(message.number),
            Record::Payment { message, .. } => {
                let later = self.windows.split_off(&message.number.saturating_add(1));
                let paid = std::mem::replace(&mut self.windows, later);
                let (_, to_seq) = paid.get(&message.number).copied().unwrap_or_default();
                facts.paid_seq = facts.paid_seq.max(to_seq);
            }
            Record::Void { from_seq, billed, .. } => self.voided(*from_seq, *billed),
            Record::Voucher { channel, .. }
            | Record::Ceiling { channel, .. }
            | Record::Spent { channel, .. } => {
                self.channels.insert(*channel);
            }
            Record::Disputed { .. } => facts.is_disputed = true,
            Record::Ended { end, .. } => facts.ended = Some((*end, entry.at_ms)),
            _ => {}
        }
    }

    /// From this item on nothing that was invoiced or arrived is due: it is void.
    fn voided(&mut self, from_seq: u64, billed: Option<Amount>) {
        let before = from_seq.saturating_sub(1);
        self.windows.retain(|_, (first, _)| *first < from_seq);
        // Windows that cost nothing may be counted with the one before them.
        self.windows.values_mut().for_each(|(_, last)| *last = before.min(*last));
        self.billed = billed.unwrap_or(self.billed);
        let facts = &mut self.found.facts;
        (facts.due_seq, facts.paid_seq) = (facts.due_seq.min(before), facts.paid_seq.min(before));
    }
}
