//! What a ledger did not do for us lately: a trouble belongs to what it was asked for, and is over
//! when that same thing is answered, or is not to be asked for any more.

use super::subject::Subject;
use super::{Answer, Outbox, Step};
use crate::journal::JournalError;
use crate::journal::reader::Reader;
use sdpp_ledger::{Finality, LedgerError};
use std::collections::BTreeMap;

/// The most things that are remembered as not answered. More say no more.
const TROUBLES_MAX: usize = 64;

/// The troubles that a ledger makes. A value to keep, and to lose at will: none is on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    troubles: BTreeMap<Subject, Trouble>,
}

/// What was not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Since when, in milliseconds since 1970 UTC.
    pub since_ms: u64,
    /// What the ledger said last instead.
    pub what: String,
}

impl Health {
    /// The oldest trouble, if there is one.
    pub fn trouble(&self) -> Option<&Trouble> {
        self.troubles.values().min_by_key(|trouble| trouble.since_ms)
    }

    /// Takes in an answer. Whether it is the first trouble after good times.
    pub fn hear(&mut self, step: &Step, answer: &Answer, now_ms: u64) -> bool {
        let was_well = self.troubles.is_empty();
        match outage(answer) {
            Some(what) => self.suffer(step, what, now_ms),
            None => self.recover(step, answer),
        }
        was_well && !self.troubles.is_empty()
    }

    /// Forgets what is not to be asked for any more.
    ///
    /// # Errors
    /// As all of [`Reader`]'s methods.
    pub fn forget_settled(
        &mut self,
        outbox: &Outbox,
        journal: &Reader,
    ) -> Result<(), JournalError> {
        for subject in self.troubles.keys().copied().collect::<Vec<_>>() {
            if !subject.is_open(outbox, journal)? {
                self.troubles.remove(&subject);
            }
        }
        Ok(())
    }

    fn suffer(&mut self, step: &Step, what: String, now_ms: u64) {
        let subjects = Subject::of(step);
        // Of what shares a transaction one stands for all.
        let known = subjects.iter().find(|subject| self.troubles.contains_key(subject));
        let Some(subject) = known.or(subjects.first()).copied() else { return };
        let since_ms = match self.troubles.get(&subject) {
            Some(trouble) => trouble.since_ms,
            None if self.troubles.len() < TROUBLES_MAX => now_ms,
            None => return,
        };
        self.troubles.insert(subject, Trouble { since_ms, what });
    }

    fn recover(&mut self, step: &Step, answer: &Answer) {
        for subject in Subject::of(step) {
            self.troubles.remove(&subject);
        }
        // What is in a block, or over, needs no higher fee.
        let is_waiting =
            |finality: &Finality| matches!(finality, Finality::Unknown | Finality::Pending(None));
        if let (Step::Finality { delivery, .. }, Answer::Finality(Ok(finality))) = (step, answer)
            && !is_waiting(finality)
        {
            self.troubles.remove(&Subject::Fee(delivery.number));
        }
    }
}

/// What the ledger said in place of an answer. A refusal is an answer.
fn outage(answer: &Answer) -> Option<String> {
    let error = match answer {
        Answer::Prepared(Err(error)) | Answer::Cancelled(Err(error)) => error.clone(),
        Answer::Submitted(Err(error)) | Answer::Finality(Err(error)) => error.clone(),
        Answer::Raised(Err(error)) => error.clone(),
        Answer::Gap(gap) => gap.error(),
        _ => return None,
    };
    match error {
        LedgerError::Unavailable { what, .. } => Some(what),
        LedgerError::Refused { .. } => None,
    }
}
