//! The outbox: what to ask of a ledger next, and what the answer means for the journal.
//!
//! Pure but for [`perform`], which asks. One turn is: [`Outbox::plan`] from what is durable,
//! [`perform`] each step, and commit what [`Outbox::outcome`] makes of the answer before the next
//! step. Whatever is lost in between is planned again, so a restart needs no code of its own.

mod ask;
mod health;
mod outcome;
mod pack;
mod refusal;

pub use ask::{Answer, Gap, Step, perform};
pub use health::{Health, Trouble};
pub(in crate::journal) use pack::is_shared;
pub use pack::{Packed, pack};
pub(in crate::journal) use refusal::{THREATENED_AGAIN_MS, again_after_ms};

use super::delivery::{self, Cancel, Delivery, DeliveryId};
use super::obligation::{Obligation, redeem_in};
use super::reader::Reader;
use super::write::{Prepare, Write};
use super::{JournalError, damaged, keys};
use crate::terms::Purpose;
use outcome::{Clock, cancelled, checked, looked_up, raised, submitted, unsigned};
use pack::{Share, may_share_with, share_of};
use sdpp_ledger::{Account, Finality, LedgerError, LedgerId, Reference, Signed};

/// The most claims that one plan checks: the rest is due in the next. They are questions about
/// what a stranger named, so what is ours goes before them and does not wait long for them.
const CHECKS_AT_MOST: usize = 8;

/// The same beside something that is ours: claims get their turn all the same.
const CHECKS_BESIDE: usize = 1;

/// The most anchors under one root.
const ANCHORS_AT_MOST: usize = 1024;

/// The most vouchers in one transaction. With [`VARIANT_BYTES_MAX`] of variants it still fits a
/// row.
const REDEEMS_AT_MOST: usize = 100;

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
    /// The ledger was asked for its next number since we started, and since it last showed that
    /// somebody else uses our numbers.
    asked: bool,
    /// A number that the ledger waits for and that nothing of ours is on its way for.
    gap: Option<u64>,
    /// The last such number that was filled.
    filled: Option<u64>,
}

impl Outbox {
    /// The outbox of an account on a ledger.
    pub fn new(ledger: LedgerId, account: Account, policy: Policy) -> Self {
        Outbox { ledger, account, policy, asked: false, gap: None, filled: None }
    }

    /// What to ask now, in order. At most one thing is prepared: its number is certain only when
    /// the one before is taken.
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
        let numbers: Vec<u64> = live.iter().map(|row| row.id.number).collect();
        // All that is on its way waits for what fills a gap.
        let may_prepare = at.is_some() || self.may_prepare(&live);
        for row in live.into_iter().filter(|row| is_due(row.due_ms, now_ms)) {
            steps.extend(self.step_of(journal, row, &numbers, now_ms)?);
        }
        if may_prepare {
            steps.extend(self.prepare(journal, numbers, at, now_ms)?);
        }
        let checks = if steps.is_empty() { CHECKS_AT_MOST } else { CHECKS_BESIDE };
        for (due_ms, key) in journal.due(&self.ledger, keys::WATCHING, checks)? {
            if is_due(due_ms, now_ms) {
                steps.extend(check(obligation(journal, key)?));
            }
        }
        Ok(steps)
    }

    /// When [`Outbox::plan`] has something to ask next, in milliseconds since 1970 UTC, unless
    /// the journal is written before; `None` when nothing is on its way and nothing is due.
    ///
    /// # Errors
    /// As all of [`Reader`]'s methods.
    pub fn next_due(&self, journal: &Reader) -> Result<Option<u64>, JournalError> {
        let live = self.live(journal)?;
        let mut due: Vec<u64> = live.iter().map(|row| row.due_ms).collect();
        let mut kinds = vec![keys::WATCHING];
        if self.gap.is_some() || self.may_prepare(&live) {
            kinds.push(keys::OPEN);
        }
        for kind in kinds {
            let first = journal.due(&self.ledger, kind, 1)?;
            due.extend(first.into_iter().map(|(due_ms, _)| due_ms));
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
            // The answer to another question says nothing about this one: it is planned again.
            _ => Vec::new(),
        }
    }

    fn notice(&mut self, gap: &Gap) {
        (self.gap, self.asked) = (Some(gap.free), false);
    }

    /// This account's deliveries that may still happen.
    fn live(&self, journal: &Reader) -> Result<Vec<Delivery>, JournalError> {
        let mut live = Vec::new();
        for (_, key) in journal.due(&self.ledger, keys::LIVE, usize::MAX)? {
            let number = keys::tail(&key).ok_or_else(|| damaged("a due row"))?;
            if key == keys::in_account(&self.account, number) {
                live.push(self.delivery(journal, number)?);
            }
        }
        Ok(live)
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
        if row.cancel == Cancel::Wished && is_starved(&row) && row.tries.is_multiple_of(2) {
            let (delivery, tries) = (row.id, row.tries);
            return Ok(Some(Step::Cancel { delivery, variants, tries }));
        }
        if is_starved(&row) && self.may_raise(&row, now_ms) {
            let next = journal.numbers(&self.ledger, &self.account)?.next;
            let live = live.to_vec();
            return Ok(Some(Step::Raise { delivery: row.id, variants, next, live }));
        }
        let (delivery, tries) = (row.id, row.tries);
        Ok(match row.state {
            delivery::State::Prepared { .. } => Some(Step::Submit { delivery, signed, tries }),
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

    /// The ledger must have taken each number before the next is prepared: one that it refuses is
    /// then the largest, can be given back, and leaves no gap that others wait behind for ever.
    fn may_prepare(&self, live: &[Delivery]) -> bool {
        live.len() < self.policy.in_flight_max && live.iter().all(|row| row.state.is_accepted())
    }

    fn prepare(
        &self,
        journal: &Reader,
        live: Vec<u64>,
        at: Option<u64>,
        now_ms: u64,
    ) -> Result<Option<Step>, JournalError> {
        let batch = self.batch(journal, now_ms)?;
        let Some(first) = batch.first() else {
            return Ok(None);
        };
        let head = match self.takes_head(&batch) {
            true => Some(journal.head()?),
            false => None,
        };
        let tries = first.tries;
        let references = batch.iter().map(|row| row.owed.reference).collect();
        let packed = pack(&batch, head, &journal.identity());
        let numbers = journal.numbers(&self.ledger, &self.account)?;
        Ok(packed.map(|packed| Step::Prepare {
            call: packed.call,
            references,
            head,
            ask: !self.asked || numbers.given_back,
            numbers,
            live,
            at,
            tries,
        }))
    }

    /// The obligations that the next transaction meets: the most urgent, and as many more as may
    /// share its transaction.
    fn batch(&self, journal: &Reader, now_ms: u64) -> Result<Vec<Obligation>, JournalError> {
        let mut batch: Vec<Obligation> = Vec::new();
        let mut at_most = 1;
        for row in self.by_urgency(journal, now_ms)? {
            if batch.is_empty() {
                at_most = share_of(&row).map_or(1, |share| self.at_most(share));
                batch.push(row);
            } else if may_share_with(&row, &batch) {
                batch.push(row);
            }
            if batch.len() == at_most {
                break;
            }
        }
        Ok(batch)
    }

    /// What is due, as far as is looked at: first what redeems from channels that their payers may
    /// empty soon, then what is due first.
    fn by_urgency(&self, journal: &Reader, now_ms: u64) -> Result<Vec<Obligation>, JournalError> {
        let look_at = 2 * self.at_most(Share::Root).max(self.at_most(Share::Settle));
        let mut rows = Vec::new();
        for (due_ms, key) in journal.due(&self.ledger, keys::OPEN, look_at)? {
            if is_due(due_ms, now_ms) {
                let row = obligation(journal, key)?;
                rows.push((ready_ms(journal, &row)?, row));
            }
        }
        rows.sort_by_key(|(ready_ms, _)| *ready_ms);
        Ok(rows.into_iter().map(|(_, row)| row).collect())
    }

    fn at_most(&self, share: Share) -> usize {
        match share {
            Share::Root => self.policy.anchors_at_most.clamp(1, ANCHORS_AT_MOST),
            Share::Settle | Share::Close => self.policy.redeems_at_most.clamp(1, REDEEMS_AT_MOST),
        }
    }

    /// The journal's head rides along where there is a root anyway, and with each session's last
    /// anchor, its exit.
    fn takes_head(&self, batch: &[Obligation]) -> bool {
        let is_last = |row: &Obligation| row.owed.purpose == Purpose::Exit;
        batch.iter().all(|row| share_of(row) == Some(Share::Root))
            && (self.policy.anchors_at_most > 1 || batch.iter().any(is_last))
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

/// From when on the payer may take what this redeems; at the end of time where it did not ask to.
fn ready_ms(journal: &Reader, row: &Obligation) -> Result<u64, JournalError> {
    let Some((redeem, _)) = redeem_in(&row.owed) else { return Ok(u64::MAX) };
    let watched = journal.watched(&redeem.channel)?;
    Ok(watched.and_then(|watched| watched.ready_ms).unwrap_or(u64::MAX))
}

fn check(row: Obligation) -> Option<Step> {
    let (reference, claims) = (row.owed.reference, row.claims());
    let (since_ms, tries) = (row.at_ms, row.tries);
    (!claims.is_empty()).then_some(Step::Check { reference, claims, since_ms, tries })
}
