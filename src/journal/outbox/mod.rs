//! The outbox: what to ask of a ledger next, and what the answer means for the journal.
//!
//! Pure but for [`take`] and [`perform`], which ask. One turn is: [`Outbox::turns`] from what is
//! durable, [`take`] it, commit what [`Outbox::outcome`] makes of the answers, and
//! [`Outbox::end`]. Whatever is lost in between is planned again, so a restart needs no code of
//! its own.
//!
//! On a ledger with numbers two transactions with one number exclude each other, and that is why
//! nothing happens twice. Where there are none it is because an obligation boards one delivery and
//! leaves it only when the ledger has shown that its bytes are done, or can never happen any more:
//! refused and never heard of, or *replaced*. Until then the same bytes go out, however often, and
//! they take effect once. So many may be on their way at once, in any order; what one transaction
//! alone may spend a ledger keeps apart by what it is told before it prepares
//! ([`sdpp_ledger::Ledger::note_live`]). Their numbers name deliveries and nothing else.

mod ask;
mod checking;
mod health;
mod outcome;
mod pack;
mod preparing;
mod refusal;
mod subject;
mod turns;

pub use ask::{Answer, Gap, Step, perform};
pub use health::{Ailment, Health, Trouble};
pub(in crate::journal) use pack::is_shared;
pub use pack::{Packed, pack};
pub(in crate::journal) use refusal::{THREATENED_AGAIN_MS, again_after_ms};
pub use turns::{Turn, take, unbroken};

use super::delivery::{self, Cancel, Delivery, DeliveryId};
use super::obligation::Obligation;
use super::reader::Reader;
use super::write::{Prepare, Write};
use super::{JournalError, damaged, keys};
use outcome::{Clock, cancelled, checked, looked_up, raised, shallow, submitted, unsigned};
use sdpp_ledger::{Account, Finality, Ledger, LedgerError, LedgerId, Reference, Signed};
use std::collections::BTreeSet;
use subject::Subject;
use turns::UnderWay;

/// The most variants of one delivery; from then on only an operator's cancellation comes on top.
/// Far from what it takes: a ledger raises what the price has passed, and by an eighth at least it
/// has then multiplied its fee by a thousand.
const VARIANTS_MAX: usize = 64;

/// The most bytes that the variants of one delivery may have together, so that its row fits.
const VARIANT_BYTES_MAX: usize = 100 * 1024;

/// How long a transaction may stand in no block before its fee is raised, in milliseconds, where
/// nobody says otherwise: half a minute, two blocks and a half of the slowest chain that is meant.
pub const RAISE_AFTER_MS: u64 = 30_000;

/// The longest wait that is ever written, in milliseconds: ten minutes.
const WAIT_MS_MAX: u64 = 10 * 60 * 1_000;

/// How an account's outbox behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How many due anchors may ride under one Merkle root, up to 1024; 1 for each its own
    /// transaction.
    pub anchors_at_most: usize,
    /// How many due vouchers may be redeemed in one transaction, up to 100; 1 for each its own.
    pub redeems_at_most: usize,
    /// How long a transaction may stand in no block before its fee is raised, in milliseconds,
    /// and never sooner than `poll_ms`; after each raise twice as long, up to ten minutes.
    pub raise_after_ms: u64,
    /// How many transactions may be on their way at once.
    pub in_flight_max: usize,
    /// How long to wait before asking again how final something is, in milliseconds.
    pub poll_ms: u64,
    /// The first wait after an outage, in milliseconds; each next one is twice as long.
    pub backoff_base_ms: u64,
    /// The longest wait after an outage, in milliseconds.
    pub backoff_max_ms: u64,
}

/// One account's outbox on one ledger. A value to keep; all that must last is in the journal.
#[derive(Debug, Clone)]
pub struct Outbox {
    ledger: LedgerId,
    account: Account,
    policy: Policy,
    /// See [`Ledger::has_numbers`].
    has_numbers: bool,
    /// The ledger was asked for its next number since we started, and since it last showed that
    /// somebody else uses our numbers.
    asked: bool,
    /// A number that the ledger waits for and that nothing of ours is on its way for.
    gap: Option<u64>,
    /// The last such number that was filled.
    filled: Option<u64>,
    under_way: UnderWay,
    /// What the ledger told of and was not asked about since.
    told: BTreeSet<Subject>,
}

impl Outbox {
    /// The outbox of the account that signs on a ledger.
    pub fn new(ledger: &dyn Ledger, policy: Policy) -> Self {
        Outbox {
            ledger: ledger.id().clone(),
            account: ledger.account().clone(),
            policy,
            has_numbers: ledger.has_numbers(),
            asked: false,
            gap: None,
            filled: None,
            under_way: UnderWay::default(),
            told: BTreeSet::new(),
        }
    }

    /// What to ask now, in order, but for what is being asked. Where there are numbers at most one
    /// thing is prepared: its number is certain only when the one before is taken.
    ///
    /// # Errors
    /// As all of [`Reader`]'s methods.
    pub fn plan(&self, journal: &Reader, now_ms: u64) -> Result<Vec<Step>, JournalError> {
        let mut steps = Vec::new();
        let gap = self.gap_row(journal)?;
        let fill = gap.as_ref().and_then(|(_, row)| row.as_ref()?.spent_by()).cloned();
        steps.extend(fill.map(|signed| Step::Fill { signed }));
        let at = gap.filter(|(_, row)| row.as_ref().is_none_or(Delivery::leaves_number));
        let at = at.map(|(number, _)| number);
        let live = self.live(journal)?;
        let numbers: Vec<u64> = live.iter().map(|(_, number)| *number).collect();
        // All that is on its way waits for what fills a gap.
        let room = if at.is_some() { 1 } else { self.room(journal, &live)? };
        for (due_ms, number) in &live {
            let is_told = self.told.contains(&Subject::Way(*number));
            let is_wanted = is_told || is_due(*due_ms, now_ms);
            if is_wanted && !self.under_way.has_delivery(*number) {
                let row = self.delivery(journal, *number)?;
                steps.extend(self.step_of(journal, row, &numbers, now_ms)?);
            }
        }
        if room > 0 {
            steps.extend(self.prepares(journal, &numbers, at, room, now_ms)?);
        }
        steps.extend(self.checks(journal, self.checks_at_most(steps.len()), now_ms)?);
        Ok(steps)
    }

    /// When [`Outbox::plan`] has something to ask next, in milliseconds since 1970 UTC, unless
    /// the journal is written before; `None` when nothing is on its way and nothing is due, but
    /// for what is being asked.
    ///
    /// # Errors
    /// As all of [`Reader`]'s methods.
    pub fn next_due(&self, journal: &Reader) -> Result<Option<u64>, JournalError> {
        if self.is_waiting() {
            return Ok(None);
        }
        let live = self.live(journal)?;
        let is_idle = |number: &u64| !self.under_way.has_delivery(*number);
        let idle = live.iter().filter(|(_, number)| is_idle(number));
        let mut due: Vec<u64> = idle.map(|(due_ms, _)| *due_ms).collect();
        if self.gap.is_some() || self.room(journal, &live)? > 0 {
            for kind in keys::TO_PREPARE {
                let first = journal.due(&self.ledger, kind, 1)?;
                due.extend(first.into_iter().map(|(due_ms, _)| due_ms));
            }
        }
        if self.checks_at_most(0) > 0 {
            due.extend(self.watching(journal, 1)?.first().map(|(due_ms, _)| *due_ms));
        }
        Ok(due.into_iter().min())
    }

    /// What an answer means for the journal. `jitter` is any random number: it spreads the waits
    /// after an outage.
    pub fn outcome(&mut self, step: Step, answer: Answer, now_ms: u64, jitter: u64) -> Vec<Write> {
        let clock = Clock { policy: &self.policy, now_ms, jitter };
        match (step, answer) {
            (Step::Prepare { call, references, head, at, .. }, Answer::Prepared(Ok(signed))) => {
                // Where one gap was, the next number may be another.
                (self.asked, self.gap) = (at.is_none(), None);
                let (ledger, account) = (self.ledger.clone(), self.account.clone());
                let prepare = Prepare { ledger, account, call, references, head, signed };
                vec![Write::Prepare(Box::new(prepare))]
            }
            (Step::Prepare { call, references, tries, .. }, Answer::Prepared(Err(error))) => {
                unsigned(&call, references, &error, tries, &clock)
            }
            (Step::Prepare { call, references, tries, .. }, Answer::Gap(gap)) => {
                let waits = unsigned(&call, references, &gap.error(), tries, &clock);
                // One gap after the other may be filled at once; the same one again waits.
                let is_progress = self.filled.is_some_and(|filled| gap.free > filled);
                self.notice(&gap);
                if is_progress { Vec::new() } else { waits }
            }
            (Step::Submit { delivery, tries, .. }, Answer::Submitted(answer)) => {
                // A number that is refused may come back, below others.
                self.asked &= !matches!(answer, Err(LedgerError::Refused { .. }));
                submitted(delivery, answer, tries, &clock)
            }
            (Step::Finality { delivery, tries, .. }, Answer::Finality(answer)) => {
                // Whoever uses our numbers may use the next as well.
                self.asked &= !matches!(answer, Ok(Finality::Replaced));
                looked_up(delivery, answer, tries, &clock)
            }
            (Step::Raise { delivery, .. }, Answer::Raised(answer)) => {
                vec![raised(delivery, answer)]
            }
            (Step::Raise { delivery, .. }, Answer::Gap(gap)) => {
                self.notice(&gap);
                vec![Write::Keep { delivery }]
            }
            (Step::Cancel { delivery, tries, .. }, Answer::Cancelled(answer)) => {
                vec![cancelled(delivery, answer, tries, &clock)]
            }
            (Step::Fill { signed }, Answer::Submitted(answer)) => {
                self.filled = answer.is_ok().then_some(signed.number);
                self.gap = None;
                Vec::new()
            }
            (Step::Check { reference, since_ms, tries, .. }, Answer::Finality(answer)) => {
                vec![checked(reference, answer, (since_ms, tries), &clock)]
            }
            (Step::Check { reference, .. }, Answer::Shallow { blocks }) => {
                vec![shallow(reference, blocks, &clock)]
            }
            // The answer to another question says nothing about this one: it is planned again.
            _ => Vec::new(),
        }
    }

    fn notice(&mut self, gap: &Gap) {
        (self.gap, self.asked) = (Some(gap.free), false);
    }

    /// This account's deliveries that may still happen: when each is to be looked at, in
    /// milliseconds since 1970 UTC, and its number.
    fn live(&self, journal: &Reader) -> Result<Vec<(u64, u64)>, JournalError> {
        journal.live_numbers(&self.ledger, &self.account)
    }

    fn delivery(&self, journal: &Reader, number: u64) -> Result<Delivery, JournalError> {
        let row = journal.delivery(&self.id(number))?;
        row.ok_or_else(|| damaged("a due row without its delivery"))
    }

    fn id(&self, number: u64) -> DeliveryId {
        DeliveryId { ledger: self.ledger.clone(), account: self.account.clone(), number }
    }

    /// The number that the ledger waits for, and what the journal has of it.
    fn gap_row(&self, journal: &Reader) -> Result<Option<(u64, Option<Delivery>)>, JournalError> {
        let row = self.gap.map(|number| Ok((number, journal.delivery(&self.id(number))?)));
        row.transpose()
    }

    /// What to ask about a delivery. Asking for other bytes comes every other time, so that it
    /// keeps nobody from seeing that what is out there has landed.
    fn step_of(
        &self,
        journal: &Reader,
        row: Delivery,
        live: &[u64],
        now_ms: u64,
    ) -> Result<Option<Step>, JournalError> {
        let Some(signed) = row.signed().cloned() else {
            return Ok(None);
        };
        let variants = row.own().to_vec();
        if self.told.contains(&Subject::Way(row.id.number)) && row.state.is_live() {
            let (delivery, tries) = (row.id, row.tries);
            return Ok(Some(Step::Finality { delivery, variants, tries }));
        }
        if row.cancel == Cancel::Wished && is_starved(&row) && row.tries.is_multiple_of(2) {
            let (delivery, tries) = (row.id, row.tries);
            return Ok(Some(Step::Cancel { delivery, variants, tries }));
        }
        if is_starved(&row) && self.may_raise(&row, now_ms) {
            let next = journal.numbers(&self.ledger, &self.account)?.next;
            let live = live.to_vec();
            return Ok(Some(Step::Raise { delivery: row.id, variants, next, live }));
        }
        let older = row.same().split_last().map_or(Vec::new(), |(_, older)| older.to_vec());
        let (delivery, tries) = (row.id, row.tries);
        Ok(match row.state {
            delivery::State::Prepared { .. } => {
                Some(Step::Submit { delivery, signed, older, tries })
            }
            state if state.is_live() => Some(Step::Finality { delivery, variants, tries }),
            _ => None,
        })
    }

    /// Whether a higher fee is worth a thought.
    fn may_raise(&self, row: &Delivery, now_ms: u64) -> bool {
        let since_ms = if row.priced_ms == 0 { row.at_ms } else { row.priced_ms };
        // What is asked again at once would keep everything else from being asked.
        let first_ms = self.policy.raise_after_ms.max(self.policy.poll_ms);
        let after_ms = first_ms.saturating_mul(1 << row.raises().min(32)).min(WAIT_MS_MAX);
        let bytes = |variants: &[Signed]| variants.iter().map(|one| one.raw.len()).sum::<usize>();
        let newest = row.variants.last().map(std::slice::from_ref).unwrap_or_default();
        row.own().len() < VARIANTS_MAX
            && bytes(&row.variants) + bytes(newest) <= VARIANT_BYTES_MAX
            && row.cancel != Cancel::Wished
            && is_due(since_ms.saturating_add(after_ms), now_ms)
    }
}

/// Whether a wait is over. One that is longer than any that is ever written was begun before the
/// clock was set back, and must not hold up a payment for years.
fn is_due(due_ms: u64, now_ms: u64) -> bool {
    due_ms <= now_ms || due_ms - now_ms > WAIT_MS_MAX
}

/// Whether it stands in no block, although the ledger had time to put it there.
fn is_starved(row: &Delivery) -> bool {
    match row.state {
        delivery::State::Prepared { accepted } => accepted || row.tries > 0,
        delivery::State::Sent => true,
        _ => false,
    }
}

fn obligation(journal: &Reader, reference: Vec<u8>) -> Result<Obligation, JournalError> {
    let reference = reference.try_into().map_err(|_| damaged("a due row"))?;
    let row = journal.obligation(&Reference(reference))?;
    row.ok_or_else(|| damaged("a due row without its obligation"))
}
