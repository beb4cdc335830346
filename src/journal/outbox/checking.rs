//! Which claims are checked next.

use super::subject::Subject;
use super::{Outbox, Step, is_due, obligation};
use crate::journal::obligation::{Obligation, State};
use crate::journal::reader::Reader;
use crate::journal::{JournalError, damaged, keys};
use sdpp_ledger::Reference;

/// The most claims that one plan checks: the rest is due in the next. They are questions about
/// what a stranger named, so what is ours goes before them and does not wait long for them.
pub(super) const CHECKS_AT_MOST: usize = 8;

/// The same beside something that is ours: claims get their turn all the same.
const CHECKS_BESIDE: usize = 1;

impl Outbox {
    /// How many claims may be checked beside so many other steps. Where each is asked on its own
    /// none waits for another.
    pub(super) fn checks_at_most(&self, beside: usize) -> usize {
        match (self.has_numbers, beside) {
            (false, _) => CHECKS_AT_MOST.saturating_sub(self.under_way.checks()),
            (true, 0) => CHECKS_AT_MOST,
            (true, _) => CHECKS_BESIDE,
        }
    }

    /// The claims to check: those that are due, then those that the ledger told of: who makes it
    /// tell all the time keeps nobody waiting.
    pub(super) fn checks(
        &self,
        journal: &Reader,
        at_most: usize,
        now_ms: u64,
    ) -> Result<Vec<Step>, JournalError> {
        let due = self.watching(journal, at_most)?.into_iter();
        let due = due.filter(|(due_ms, _)| is_due(*due_ms, now_ms));
        let mut wanted: Vec<Reference> = due.map(|(_, reference)| reference).collect();
        for subject in self.told.iter().filter(|subject| !self.under_way.has(subject)) {
            if wanted.len() >= at_most {
                break;
            }
            if let Subject::Owed(reference) = subject
                && !wanted.contains(reference)
            {
                wanted.push(*reference);
            }
        }
        let mut steps = Vec::new();
        for reference in wanted {
            steps.extend(check(obligation(journal, reference.0.to_vec())?));
        }
        Ok(steps)
    }

    /// Up to so many claims that nobody asks about, by when they are due: in milliseconds since
    /// 1970 UTC.
    pub(super) fn watching(
        &self,
        journal: &Reader,
        at_most: usize,
    ) -> Result<Vec<(u64, Reference)>, JournalError> {
        let look_at = at_most.saturating_add(self.under_way.checks());
        let mut rows = Vec::new();
        for (due_ms, key) in journal.due(&self.ledger, keys::WATCHING, look_at)? {
            let reference = Reference(key.try_into().map_err(|_| damaged("a due row"))?);
            if rows.len() < at_most && !self.under_way.has(&Subject::Owed(reference)) {
                rows.push((due_ms, reference));
            }
        }
        Ok(rows)
    }
}

fn check(row: Obligation) -> Option<Step> {
    let (reference, claims) = (row.owed.reference, row.claims());
    let (since_ms, tries) = (row.at_ms, row.tries);
    let is_open = matches!(row.state, State::Watching) && !claims.is_empty();
    is_open.then_some(Step::Check { reference, claims, since_ms, tries })
}
