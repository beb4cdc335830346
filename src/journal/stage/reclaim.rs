//! What is left in a channel of ours becomes owed to us, once at a time.

use super::{Fault, Stage};
use crate::journal::obligation::Obligation;
use crate::journal::reclaim::Reclaim;
use crate::journal::tree::Tree;
use crate::journal::watch::{Clock, Home, Last, Watched};
use crate::record::{Act, Owed, Record};

impl Stage<'_> {
    /// Owes the next step, where it is time for one; else nothing changes.
    pub(super) fn reclaim(&mut self, reclaim: Reclaim) -> Result<(), Fault> {
        let Reclaim { channel, wish, ledger_ms } = reclaim;
        let Some(row) = self.watched(&channel)? else { return Ok(()) };
        let Home::Ledger(ledger) = row.home.clone() else { return Ok(()) };
        let clock = Clock { now_ms: self.now_ms, ledger_ms };
        let last = match row.reclaiming(&channel) {
            Some(reference) => self.row::<Obligation>(Tree::Obligations, &reference.0)?,
            None => None,
        };
        let Some(step) = row.must_reclaim(wish, Last::of(last.as_ref()), clock) else {
            return Ok(());
        };
        let reclaims = row.reclaims.saturating_add(1);
        let owed = Owed {
            reference: step.reference(&channel, reclaims),
            purpose: step.purpose(),
            ledger,
            act: Act::Do(step.call(channel)),
            held: false,
        };
        self.put_watched(&channel, &Watched { reclaim: Some(step), reclaims, ..row })?;
        self.push(None, Record::Reclaiming { channel, owed: owed.clone() })?;
        self.written.seq = Some(self.head.seq);
        self.owe(owed, None)
    }
}
