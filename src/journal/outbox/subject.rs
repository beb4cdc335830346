//! What a step is about: the same thing is not asked for twice at a time, a trouble belongs to it,
//! and a ledger tells of it.

use super::{Outbox, Step};
use crate::journal::JournalError;
use crate::journal::obligation::{Obligation, State};
use crate::journal::reader::Reader;
use sdpp_ledger::Reference;

/// What a ledger is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Subject {
    /// To sign what is owed under this reference, or to check it.
    Owed(Reference),
    /// To take the delivery with this number, or to say how final it is.
    Way(u64),
    /// A higher fee for the delivery with this number, or its cancellation.
    Fee(u64),
}

impl Subject {
    /// All that a step is about.
    pub(super) fn of(step: &Step) -> Vec<Subject> {
        match step {
            Step::Prepare { references, .. } => {
                references.iter().copied().map(Subject::Owed).collect()
            }
            Step::Check { reference, .. } => vec![Subject::Owed(*reference)],
            Step::Submit { delivery, .. } | Step::Finality { delivery, .. } => {
                vec![Subject::Way(delivery.number)]
            }
            Step::Raise { delivery, .. } | Step::Cancel { delivery, .. } => {
                vec![Subject::Fee(delivery.number)]
            }
            Step::Fill { signed } => vec![Subject::Way(signed.number)],
        }
    }

    /// What a ledger that tells of something under this reference would be asked for; `None`
    /// where nothing waits for it.
    pub(super) fn told_by(
        outbox: &Outbox,
        journal: &Reader,
        reference: &Reference,
    ) -> Result<Option<Subject>, JournalError> {
        let row = journal.obligation(reference)?;
        Ok(match row.filter(|row| row.owed.ledger == outbox.ledger).map(|row| row.state) {
            Some(State::Watching) => Some(Subject::Owed(*reference)),
            Some(State::Riding { delivery }) if delivery.account == outbox.account => {
                Some(Subject::Way(delivery.number))
            }
            _ => None,
        })
    }

    /// Whether there is still something to ask about it.
    pub(super) fn is_open(&self, outbox: &Outbox, journal: &Reader) -> Result<bool, JournalError> {
        let is_asked_for =
            |row: Obligation| matches!(row.state, State::Open { .. } | State::Watching);
        Ok(match self {
            Subject::Owed(reference) => journal.obligation(reference)?.is_some_and(is_asked_for),
            Subject::Way(number) | Subject::Fee(number) => {
                journal.delivery(&outbox.id(*number))?.is_some_and(|row| row.state.is_live())
            }
        })
    }
}
