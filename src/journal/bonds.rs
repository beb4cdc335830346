//! The bonds that a journal has part in: those that were pledged from it, and those that its sessions are
//! under. What was done about one stands under references of its own, in order.

use super::entry::Entry;
use super::obligation::{Obligation, State};
use super::reader::Reader;
use super::tree::{Pair, Tree};
use super::{JournalError, PAGE_MAX, damaged, keys};
use crate::record::{Act, Record, SignedMessage};
use crate::terms::{Purpose, SessionId};
use sdpp_ledger::{
    Account, Amount, Bond, BondAct, BondId, Call, ChannelId, Digest, LedgerId, Reference,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What the journal knows of a bond without reading entries again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Known {
    /// Its channel, where we pledged our part.
    pledged: Option<ChannelId>,
    /// The last session under it: a channel serves one at a time.
    last: Option<SessionId>,
}

impl Known {
    /// The bond that a record names, if it does.
    pub(super) fn named(record: &Record) -> Option<BondId> {
        match record {
            Record::Bonding { bond, .. } => Some(*bond),
            Record::Order { order, .. } => bond_of(order).map(|under| under.id),
            _ => None,
        }
    }

    /// Takes in a record that names it.
    pub(super) fn learn(&mut self, session: Option<SessionId>, record: &Record) {
        if let Record::Bonding { owed, .. } = record
            && let Act::Do(Call::Bond(bonding)) = &owed.act
            && bonding.act == BondAct::Pledge
        {
            self.pledged = Some(bonding.bond.channel);
        }
        self.last = session.or(self.last);
    }
}

/// A bond that we pledged, or are pledging, and have not had back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pledged {
    /// Its id.
    pub id: BondId,
    /// Its ledger.
    pub ledger: LedgerId,
    /// What was agreed.
    pub bond: Bond,
    /// What put something into it from here, and was not refused.
    rows: Vec<Obligation>,
}

impl Pledged {
    /// By all that was to be done about it; none where it is not pledged.
    fn of(id: BondId, mut rows: Vec<Obligation>) -> Option<Pledged> {
        if rows.iter().any(is_end) {
            return None;
        }
        rows.retain(|row| !matches!(row.state, State::Refused { .. }));
        let pledge = rows.iter().find(|row| act_of(row) == Some(&BondAct::Pledge))?;
        let Act::Do(Call::Bond(bonding)) = &pledge.owed.act else { return None };
        let (ledger, bond) = (pledge.owed.ledger.clone(), bonding.bond.clone());
        rows.retain(|row| matches!(act_of(row), Some(BondAct::Pledge | BondAct::Add { .. })));
        Some(Pledged { id, ledger, bond, rows })
    }

    /// What an account has pledged, and added, and what of that is on its way.
    pub fn amounts(&self, by: &Account) -> (Amount, Amount) {
        let mut sums = (Amount::ZERO, Amount::ZERO);
        for row in &self.rows {
            let takes = act_of(row).map_or(Amount::ZERO, |act| act.takes(&self.bond, by));
            sums.0 = sums.0.saturating_add(takes);
            if !row.state.is_settled() {
                sums.1 = sums.1.saturating_add(takes);
            }
        }
        sums
    }
}

/// What is read of an order here.
#[derive(Deserialize)]
struct Ordered {
    bond: Option<Under>,
}

/// The bond that an order is under, and what is ordered under it.
#[derive(Deserialize)]
pub(super) struct Under {
    pub(super) id: BondId,
    /// The root of the dataset; zero where that is none.
    dataset: Digest,
}

/// The bond that an order is under.
pub(super) fn bond_of(order: &SignedMessage) -> Option<Under> {
    // Every other order commits to nothing.
    if order.commitment == Digest::ZERO {
        return None;
    }
    let said: Ordered = serde_json::from_str(order.data.as_deref()?).ok()?;
    said.bond
}

/// What is done about a bond, where that is it.
pub fn bond_act(act: &Act) -> Option<&BondAct> {
    match act {
        Act::Do(Call::Bond(bonding)) => Some(&bonding.act),
        _ => None,
    }
}

/// What an obligation does about a bond.
pub fn act_of(row: &Obligation) -> Option<&BondAct> {
    bond_act(&row.owed.act)
}

/// The reference of what was done about a bond; the first has number 1.
pub fn bond_reference(id: &BondId, number: u64) -> Reference {
    SessionId(Digest(id.0)).reference(Purpose::Bond, number)
}

impl Reader {
    /// The bonds that this journal names.
    pub fn bonds(&self) -> Result<Vec<BondId>, JournalError> {
        let rows = self.meta(keys::BONDS)?;
        rows.iter().map(|(key, _)| last_of(key).map(BondId)).collect()
    }

    /// The sessions under a bond.
    pub fn sessions_under(&self, id: &BondId) -> Result<Vec<SessionId>, JournalError> {
        let rows = self.meta(&keys::under(id))?;
        rows.iter().map(|(key, _)| Ok(SessionId(Digest(last_of(key)?)))).collect()
    }

    /// The dataset that a session under a bond is of.
    pub(super) fn dataset_of(&self, session: &SessionId) -> Result<Option<Digest>, JournalError> {
        let Some(known) = self.session(session)? else { return Ok(None) };
        let founding: Option<Entry> = self.row(Tree::Entries, &keys::seq(known.first_seq))?;
        let under = founding.and_then(|entry| match entry.record {
            Record::Order { order, .. } => bond_of(&order),
            _ => None,
        });
        Ok(under.map(|under| under.dataset).filter(|root| *root != Digest::ZERO))
    }

    /// Whether a session is under one that has not ended.
    pub fn is_bond_used(&self, id: &BondId) -> Result<bool, JournalError> {
        let known: Option<Known> = self.row(Tree::Meta, &keys::bond(id))?;
        let Some(last) = known.and_then(|known| known.last) else { return Ok(false) };
        Ok(self.session(&last)?.is_some_and(|session| session.ended.is_none()))
    }

    /// The channels of those that we pledged and have not had back: there our answers are paid from.
    pub fn bonded_channels(&self) -> Result<BTreeSet<ChannelId>, JournalError> {
        Ok(self.pledged()?.into_iter().map(|pledged| pledged.bond.channel).collect())
    }

    /// The bonds that we pledged, or are pledging, and have not had back. A pledge that was refused is none.
    pub fn pledged(&self) -> Result<Vec<Pledged>, JournalError> {
        let mut all = Vec::new();
        for id in self.bonds()? {
            let known: Option<Known> = self.row(Tree::Meta, &keys::bond(&id))?;
            if known.is_some_and(|known| known.pledged.is_some()) {
                all.extend(Pledged::of(id, self.bond_rows(&id)?));
            }
        }
        Ok(all)
    }

    /// The leaves of the window that a session invoiced under a root, where it did and they are kept.
    pub fn window(
        &self,
        session: &SessionId,
        root: &Digest,
    ) -> Result<Option<Vec<Digest>>, JournalError> {
        let mut after = 0;
        loop {
            let page = self.session_bodies(session, after, PAGE_MAX)?;
            let Some(last) = page.last() else { return Ok(None) };
            after = last.seq;
            let is_it = |record: &Record| matches!(record, Record::Invoice { message, .. } if message.commitment == *root);
            let Some(found) = page.iter().find(|entry| is_it(&entry.record)) else { continue };
            return Ok(match self.entry(found.seq)?.map(|entry| entry.record) {
                Some(Record::Invoice { leaves, .. }) => Some(leaves.as_slice().to_vec()),
                _ => None,
            });
        }
    }

    /// All single values whose keys begin so.
    fn meta(&self, prefix: &[u8]) -> Result<Vec<Pair>, JournalError> {
        let mut rows: Vec<Pair> = Vec::new();
        loop {
            let after = rows.last().map(|(key, _)| key.clone());
            let page = self.page(Tree::Meta, prefix, after.as_deref(), PAGE_MAX)?;
            if page.is_empty() {
                return Ok(rows);
            }
            rows.extend(page);
        }
    }

    /// All that was ever to be done about a bond from here, the first first.
    pub fn bond_rows(&self, id: &BondId) -> Result<Vec<Obligation>, JournalError> {
        let mut rows = Vec::new();
        while let Some(row) = self.obligation(&bond_reference(id, rows.len() as u64 + 1))? {
            rows.push(row);
        }
        Ok(rows)
    }

    /// Whether something of a bond may be ours to lose: nothing is of one that we have had back, nor of one that
    /// none of our sessions is under where what we pledged was refused.
    pub fn may_lose_bond(&self, id: &BondId) -> Result<bool, JournalError> {
        let rows = self.bond_rows(id)?;
        if rows.iter().any(is_end) {
            return Ok(false);
        }
        let was_refused = rows.iter().any(|row| {
            act_of(row) == Some(&BondAct::Pledge) && matches!(row.state, State::Refused { .. })
        });
        Ok(!was_refused || Pledged::of(*id, rows).is_some() || !self.sessions_under(id)?.is_empty())
    }

    /// Whether we have had a bond back, so that nothing that was signed under it can be complained of
    /// any more. Of one that another pledged for us, or ended, nobody here knows.
    pub fn is_bond_over(&self, id: &BondId) -> Result<bool, JournalError> {
        Ok(self.bond_rows(id)?.iter().any(is_end))
    }
}

fn is_end(row: &Obligation) -> bool {
    matches!(act_of(row), Some(BondAct::End | BondAct::Revoke))
        && matches!(row.state, State::Met { .. })
}

/// The name at the end of a key.
fn last_of(key: &[u8]) -> Result<[u8; 32], JournalError> {
    key.last_chunk().copied().ok_or_else(|| damaged("a bond's row"))
}
