//! The bonds that a journal has part in: those that were pledged from it, and those that its sessions are
//! under. What was done about one stands under references of its own, in order.

use super::entry::Entry;
use super::obligation::{Obligation, State};
use super::reader::Reader;
use super::{JournalError, PAGE_MAX};
use crate::record::{Act, Record, SignedMessage};
use crate::terms::{Purpose, SessionId};
use sdpp_ledger::{BondAct, BondId, Call, ChannelId, Digest, Reference};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// The bonds that a journal names. Read on as it grows, and shared by all who ask in one process.
#[derive(Debug, Clone, Default)]
pub struct KnownBonds(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// The last entry that was read.
    after: u64,
    ids: BTreeSet<BondId>,
    /// The channels of those that we pledged.
    pledged: BTreeMap<BondId, ChannelId>,
    /// The last session under each: a channel serves one at a time.
    last: BTreeMap<BondId, SessionId>,
}

impl KnownBonds {
    /// All of them.
    pub fn ids(&self, reader: &Reader) -> Result<BTreeSet<BondId>, JournalError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.read_on(reader)?;
        Ok(known.ids.clone())
    }

    /// Whether a session is under one that has not ended.
    pub fn is_used(&self, reader: &Reader, id: &BondId) -> Result<bool, JournalError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.read_on(reader)?;
        let Some(last) = known.last.get(id) else { return Ok(false) };
        Ok(reader.session(last)?.is_some_and(|session| session.ended.is_none()))
    }

    /// The channels of those that we pledged and have not had back: there our answers are paid from.
    pub fn channels(&self, reader: &Reader) -> Result<BTreeSet<ChannelId>, JournalError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.read_on(reader)?;
        let mut channels = BTreeSet::new();
        for (id, channel) in &known.pledged {
            if reader.is_pledged(id)? && !reader.is_bond_over(id)? {
                channels.insert(*channel);
            }
        }
        Ok(channels)
    }
}

impl Known {
    fn read_on(&mut self, reader: &Reader) -> Result<(), JournalError> {
        loop {
            let entries = reader.entries(self.after, PAGE_MAX)?;
            let Some(last) = entries.last() else { return Ok(()) };
            self.after = last.seq;
            entries.iter().for_each(|entry| self.take(entry));
        }
    }

    fn take(&mut self, entry: &Entry) {
        match &entry.record {
            Record::Bonding { bond, owed } => {
                self.ids.insert(*bond);
                if let Act::Do(Call::Bond(bonding)) = &owed.act
                    && bonding.act == BondAct::Pledge
                {
                    self.pledged.insert(*bond, bonding.bond.channel);
                }
            }
            Record::Order { order, .. } => {
                let Some(bond) = bond_of(order) else { return };
                self.ids.insert(bond);
                self.last.extend(entry.session.map(|session| (bond, session)));
            }
            _ => {}
        }
    }
}

/// What is read of an order here.
#[derive(Deserialize)]
struct Ordered {
    bond: Option<Under>,
}

#[derive(Deserialize)]
struct Under {
    id: BondId,
}

/// The bond that an order is under.
pub(super) fn bond_of(order: &SignedMessage) -> Option<BondId> {
    let said: Ordered = serde_json::from_str(order.data.as_deref()?).ok()?;
    Some(said.bond?.id)
}

/// What an obligation does about a bond.
pub fn act_of(row: &Obligation) -> Option<&BondAct> {
    match &row.owed.act {
        Act::Do(Call::Bond(bonding)) => Some(&bonding.act),
        _ => None,
    }
}

/// The reference of what was done about a bond; the first has number 1.
pub fn bond_reference(id: &BondId, number: u64) -> Reference {
    SessionId(Digest(id.0)).reference(Purpose::Bond, number)
}

impl Reader {
    /// All that was ever to be done about a bond from here, the first first.
    pub fn bond_rows(&self, id: &BondId) -> Result<Vec<Obligation>, JournalError> {
        let mut rows = Vec::new();
        while let Some(row) = self.obligation(&bond_reference(id, rows.len() as u64 + 1))? {
            rows.push(row);
        }
        Ok(rows)
    }

    /// Whether our part of a bond is pledged, or is on its way: a pledge that was refused is none.
    fn is_pledged(&self, id: &BondId) -> Result<bool, JournalError> {
        let is_pledge = |row: &Obligation| {
            act_of(row) == Some(&BondAct::Pledge) && !matches!(row.state, State::Refused { .. })
        };
        Ok(self.bond_rows(id)?.iter().any(is_pledge))
    }

    /// Whether we have had a bond back, so that nothing that was signed under it can be complained of
    /// any more. Of one that another pledged for us, or ended, nobody here knows.
    pub fn is_bond_over(&self, id: &BondId) -> Result<bool, JournalError> {
        let is_end = |row: &Obligation| {
            matches!(act_of(row), Some(BondAct::End | BondAct::Revoke))
                && matches!(row.state, State::Met { .. })
        };
        Ok(self.bond_rows(id)?.iter().any(is_end))
    }
}
