//! Turns: what is asked of a ledger at the same time, and what it told by itself.
//!
//! On a ledger with numbers there is one turn at a time, with all that is to be asked. Where
//! nothing depends on the order each step is a turn of its own, so that one that hangs holds up
//! nothing else; only what is prepared is prepared in one turn, for a preparation must know of all
//! those before it.

use super::checking::CHECKS_AT_MOST;
use super::subject::Subject;
use super::{Answer, Outbox, Step, perform};
use crate::journal::JournalError;
use crate::journal::reader::Reader;
use sdpp_ledger::{Ledger, LedgerError, Reference, Signed};
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// The most things that a ledger told of and that were not asked about yet; further ones are found
/// by asking when they are due.
const TOLD_MAX: usize = 1024;

/// What is said where our own side of a ledger panics.
const BROKE: &str = "our own side of it broke, which is a mistake in sdpp: the log says where";

/// Steps that are asked one after the other, and whose answers become durable together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turn {
    /// Its name; see [`Outbox::end`].
    pub id: u64,
    /// What to ask, in order.
    pub steps: Vec<Step>,
}

/// Takes a turn: asks for each of its steps. What one of them prepares the next ones know of, and
/// where one cannot be prepared for now the next ones are not tried: they wait behind it for
/// nothing, and what was prepared before waits with them. They are planned again.
pub async fn take(ledger: &dyn Ledger, steps: Vec<Step>) -> Vec<(Step, Answer)> {
    let mut answers = Vec::with_capacity(steps.len());
    let mut fresh: Vec<Signed> = Vec::new();
    let mut is_away = false;
    for mut step in steps {
        if let Step::Prepare { live, .. } = &mut step {
            if is_away {
                continue;
            }
            live.extend(fresh.iter().cloned());
        }
        let broke = || step.unanswered(LedgerError::unavailable(BROKE));
        let answer = unbroken(perform(ledger, &step)).await.unwrap_or_else(broke);
        match &answer {
            Answer::Prepared(Ok(signed)) => fresh.push(signed.clone()),
            Answer::Prepared(Err(LedgerError::Unavailable { .. })) => is_away = true,
            _ => {}
        }
        answers.push((step, answer));
    }
    answers
}

/// What something comes to; `None` where it panics, which is a mistake in this program. What hit one
/// thing that is owed does not end the rest, and the program's error output says where it was.
pub async fn unbroken<T>(asked: impl Future<Output = T>) -> Option<T> {
    let mut asked = pin!(asked);
    poll_fn(|cx| {
        // What is left of it is dropped and never looked at again.
        match catch_unwind(AssertUnwindSafe(|| asked.as_mut().poll(cx))) {
            Ok(polled) => polled.map(Some),
            Err(_) => Poll::Ready(None),
        }
    })
    .await
}

impl Outbox {
    /// What to ask now, in turns that may all be taken at the same time. Nothing of it is planned
    /// again before [`Outbox::end`].
    ///
    /// # Errors
    /// As all of [`Reader`]'s methods.
    pub fn turns(&mut self, journal: &Reader, now_ms: u64) -> Result<Vec<Turn>, JournalError> {
        if self.is_waiting() {
            return Ok(Vec::new());
        }
        self.forget_told(journal)?;
        let steps = self.plan(journal, now_ms)?;
        for subject in steps.iter().flat_map(Subject::of) {
            self.told.remove(&subject);
        }
        let is_lone = |step: &Step| !self.has_numbers && !matches!(step, Step::Prepare { .. });
        let (lone, together): (Vec<Step>, Vec<Step>) = steps.into_iter().partition(is_lone);
        let groups = lone.into_iter().map(|step| vec![step]).chain([together]);
        Ok(groups.filter(|steps| !steps.is_empty()).map(|steps| self.begin(steps)).collect())
    }

    /// What came of a turn is durable, or is lost: what it was about may be asked again.
    pub fn end(&mut self, turn: u64) {
        self.under_way.turns.remove(&turn);
    }

    /// The ledger told that something happened under these references: what waits there is asked
    /// about in the next plan. Nothing is written, and what is lost of it is found in its time.
    ///
    /// # Errors
    /// As all of [`Reader`]'s methods.
    pub fn hear(&mut self, journal: &Reader, references: &[Reference]) -> Result<(), JournalError> {
        for reference in references {
            if self.told.len() >= TOLD_MAX {
                break;
            }
            self.told.extend(Subject::told_by(self, journal, reference)?);
        }
        Ok(())
    }

    /// Whether nothing more may be asked for the moment: a turn is under way, and those that
    /// follow depend on it.
    pub(super) fn is_waiting(&self) -> bool {
        self.has_numbers && !self.under_way.turns.is_empty()
    }

    fn begin(&mut self, steps: Vec<Step>) -> Turn {
        let id = self.under_way.next_id;
        self.under_way.next_id = id.wrapping_add(1);
        self.under_way.turns.insert(id, About::of(&steps));
        Turn { id, steps }
    }

    /// Forgets what came to its end since the ledger told of it, as far as the next plan looks: at
    /// all that is on its way, and at the claims that come next.
    fn forget_told(&mut self, journal: &Reader) -> Result<(), JournalError> {
        let mut claims = 0;
        for subject in self.told.iter().copied().collect::<Vec<_>>() {
            let is_claim = matches!(subject, Subject::Owed(_));
            if is_claim && claims == CHECKS_AT_MOST {
                continue;
            }
            if !subject.is_open(self, journal)? {
                self.told.remove(&subject);
            } else if is_claim && !self.under_way.has(&subject) {
                claims += 1;
            }
        }
        Ok(())
    }
}

/// The turns that are under way. In memory alone: after a restart none is.
#[derive(Debug, Clone, Default)]
pub(super) struct UnderWay {
    next_id: u64,
    turns: BTreeMap<u64, About>,
}

/// What a turn is about.
#[derive(Debug, Clone, Default)]
struct About {
    subjects: BTreeSet<Subject>,
    prepares: bool,
    checks: usize,
}

impl About {
    fn of(steps: &[Step]) -> About {
        About {
            subjects: steps.iter().flat_map(Subject::of).collect(),
            prepares: steps.iter().any(|step| matches!(step, Step::Prepare { .. })),
            checks: steps.iter().filter(|step| matches!(step, Step::Check { .. })).count(),
        }
    }
}

impl UnderWay {
    /// Whether anything is being asked about the delivery with this number.
    pub(super) fn has_delivery(&self, number: u64) -> bool {
        self.has(&Subject::Way(number)) || self.has(&Subject::Fee(number))
    }

    /// Whether anything is being asked about this.
    pub(super) fn has(&self, subject: &Subject) -> bool {
        self.turns.values().any(|about| about.subjects.contains(subject))
    }

    /// Whether anything is being prepared.
    pub(super) fn prepares(&self) -> bool {
        self.turns.values().any(|about| about.prepares)
    }

    /// How many claims are being checked.
    pub(super) fn checks(&self) -> usize {
        self.turns.values().map(|about| about.checks).sum()
    }
}
