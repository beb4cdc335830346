//! What is no entry and lasts all the same: what a buyer has earned or owes, counted in the same
//! write as the facts that say so, and the last rates.

use super::{Fault, Stage};
use crate::journal::damaged;
use crate::journal::entry::Entry;
use crate::journal::facts::Session;
use crate::journal::keys;
use crate::journal::obligation::{Obligation, State};
use crate::journal::tree::Tree;
use crate::journal::write::Rated;
use crate::record::{Act, Record};
use crate::standing::{Standing, Tally};
use crate::terms::Purpose;

impl Stage<'_> {
    /// Brings a buyer's standing up to date with what a session of it says now.
    pub(super) fn count(
        &mut self,
        before: Option<&Tally>,
        session: &mut Session,
    ) -> Result<(), Fault> {
        let (Some(before), Some(tally)) = (before, &mut session.tally) else { return Ok(()) };
        let key = tally.peer.as_bytes().to_vec();
        let old: Standing = self.row(Tree::Standings, &key)?.unwrap_or_default();
        let mut standing = old;
        tally.count(before, &mut standing);
        if standing == old {
            return Ok(());
        }
        self.put_row("a standing", Tree::Standings, key, &standing)
    }

    /// A currency's last rate takes the place of the one before.
    pub(super) fn rated(&mut self, rated: &Rated) -> Result<(), Fault> {
        let key = keys::rated(&rated.currency, &rated.default);
        self.put_row("a rate", Tree::Meta, key, &(rated.rate, rated.at_ms))
    }

    /// A payment that a buyer has claimed is final.
    pub(super) fn count_paid(&mut self, row: &Obligation) -> Result<(), Fault> {
        let (Some(id), State::Met { .. }, Act::Check(claim), Purpose::Payment) =
            (row.session, &row.state, &row.owed.act, row.owed.purpose)
        else {
            return Ok(());
        };
        let Some(mut session) = self.row::<Session>(Tree::Sessions, &id.0.0)? else {
            return Ok(());
        };
        let Some(before) = session.tally.clone() else { return Ok(()) };
        let entry: Option<Entry> = self.row(Tree::Entries, &keys::seq(row.entry))?;
        let Some(Record::Payment { message, .. }) = entry.map(|entry| entry.record) else {
            return Err(damaged("a claim without its payment").into());
        };
        if let Some(tally) = &mut session.tally {
            tally.transferred(message.number, claim.transfer.amount);
        }
        self.count(Some(&before), &mut session)?;
        self.put_row("a session", Tree::Sessions, id.0.0.to_vec(), &session)
    }
}
