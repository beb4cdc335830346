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

/// How long a ledger may ask to be asked again before that is a trouble, in milliseconds: who is
/// busy with what it has of ours is not away.
const BUSY_MS_MAX: u64 = 30_000;

/// The troubles that a ledger makes. A value to keep, and to lose at will: none is on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Health {
    troubles: BTreeMap<Subject, (Trouble, Kind)>,
    /// The last answer left a trouble.
    is_ill: bool,
}

/// What is wrong with a ledger that troubles us for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ailment {
    /// It does not do what it is asked to.
    Away,
    /// All that it does not do is to take a higher fee within our limit.
    Dear,
}

/// What a ledger said instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nothing that says when it will be well.
    Outage,
    /// That it is to be asked again, and when.
    Busy,
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
    pub fn trouble(&self, now_ms: u64) -> Option<&Trouble> {
        let counts = |(trouble, kind): &&(Trouble, Kind)| match kind {
            Kind::Outage => true,
            Kind::Busy => now_ms.saturating_sub(trouble.since_ms) >= BUSY_MS_MAX,
        };
        let counting = self.troubles.values().filter(counts).map(|(trouble, _)| trouble);
        counting.min_by_key(|trouble| trouble.since_ms)
    }

    /// What of the troubles is reason enough to pay elsewhere, now or when they have lasted so long;
    /// and when that is, where it is not yet, in milliseconds since 1970 UTC.
    pub fn ailment(&self, now_ms: u64, lasting_ms: u64) -> (Option<Ailment>, Option<u64>) {
        let Some(trouble) = self.trouble(now_ms) else { return (None, None) };
        let at_ms = trouble.since_ms.saturating_add(lasting_ms);
        if now_ms < at_ms {
            return (None, Some(at_ms));
        }
        let is_fee = |subject: &Subject| matches!(subject, Subject::Fee(_));
        match self.troubles.keys().all(is_fee) {
            true => (Some(Ailment::Dear), None),
            false => (Some(Ailment::Away), None),
        }
    }

    /// Takes in an answer. Whether it is the first trouble after good times.
    pub fn hear(&mut self, step: &Step, answer: &Answer, now_ms: u64) -> bool {
        match outage(answer) {
            Some((what, kind)) => self.suffer(step, what, kind, now_ms),
            None => self.recover(step, answer),
        }
        let is_ill = self.trouble(now_ms).is_some();
        let was_ill = std::mem::replace(&mut self.is_ill, is_ill);
        is_ill && !was_ill
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
        self.is_ill &= !self.troubles.is_empty();
        Ok(())
    }

    fn suffer(&mut self, step: &Step, what: String, kind: Kind, now_ms: u64) {
        let subjects = Subject::of(step);
        // Of what shares a transaction one stands for all.
        let known = subjects.iter().find(|subject| self.troubles.contains_key(subject));
        let Some(subject) = known.or(subjects.first()).copied() else { return };
        let since_ms = match self.troubles.get(&subject) {
            Some((trouble, _)) => trouble.since_ms,
            None if self.troubles.len() < TROUBLES_MAX => now_ms,
            None => return,
        };
        self.troubles.insert(subject, (Trouble { since_ms, what }, kind));
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
fn outage(answer: &Answer) -> Option<(String, Kind)> {
    let error = match answer {
        Answer::Prepared(Err(error)) | Answer::Cancelled(Err(error)) => error.clone(),
        Answer::Submitted(Err(error)) | Answer::Finality(Err(error)) => error.clone(),
        Answer::Raised(Err(error)) => error.clone(),
        Answer::Gap(gap) => gap.error(),
        _ => return None,
    };
    match error {
        LedgerError::Unavailable { what, retry_after: None } => Some((what, Kind::Outage)),
        LedgerError::Unavailable { what, .. } => Some((what, Kind::Busy)),
        LedgerError::Refused { .. } => None,
    }
}
