//! The outbox: what to ask of a ledger next, and what the answer means for the journal.
//!
//! Pure but for [`perform`], which asks. One turn is: [`Outbox::plan`] from what is durable,
//! [`perform`] each step, and commit what [`Outbox::outcome`] makes of the answer before the next
//! step. Whatever is lost in between is planned again, so a restart needs no code of its own.

mod outcome;

use super::delivery::{self, Delivery, DeliveryId, Numbers};
use super::entry::Head;
use super::obligation::{Obligation, State};
use super::reader::Reader;
use super::write::{Prepare, Write};
use super::{JournalError, damaged, keys};
use crate::record::Act;
use crate::terms::Purpose;
use outcome::{Clock, checked, looked_up, submitted, unsigned};
use sdpp_ledger::{
    Account, Anchor, Call, Claim, Digest, Finality, Ledger, LedgerError, LedgerId, PublicKey,
    Reference, Signed, TxId, merkle,
};

/// The most claims that one plan checks: the rest is due in the next.
const CHECKS_AT_MOST: usize = 64;

/// The most anchors under one root.
const ANCHORS_AT_MOST: usize = 1024;

/// The longest wait that is ever written, in milliseconds: ten minutes.
const WAIT_MS_MAX: u64 = 10 * 60 * 1_000;

/// How an account's outbox behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// How many due anchors may ride under one Merkle root, up to 1024; 1 for each its own
    /// transaction.
    pub anchors_at_most: usize,
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
    /// The ledger was asked for its next number since we started.
    asked: bool,
}

/// One thing to ask of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Sign a call; nothing leaves yet.
    Prepare {
        /// What is to be done.
        call: Call,
        /// For which obligations.
        references: Vec<Reference>,
        /// The journal's head, where it is the last leaf under the root.
        head: Option<Head>,
        /// The account's next number by the journal.
        numbers: Numbers,
        /// Whether the ledger has to be asked for its own next number first.
        ask: bool,
        /// How often in a row this has led to nothing.
        tries: u32,
    },
    /// Hand over what is prepared and durable.
    Submit {
        /// The delivery.
        delivery: DeliveryId,
        /// Its bytes.
        signed: Signed,
        /// How often in a row this has led to nothing.
        tries: u32,
    },
    /// Ask how final it is.
    Finality {
        /// The delivery.
        delivery: DeliveryId,
        /// Its bytes.
        signed: Signed,
        /// How often in a row this has led to nothing.
        tries: u32,
    },
    /// Ask whether a claim is true.
    Check {
        /// What it pays for.
        reference: Reference,
        /// The claim.
        claim: Claim,
        /// How often in a row this has led to nothing.
        tries: u32,
    },
}

/// What a ledger said to a [`Step`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To [`Step::Prepare`].
    Prepared(Result<Signed, LedgerError>),
    /// To [`Step::Submit`].
    Submitted(Result<TxId, LedgerError>),
    /// To [`Step::Finality`] and [`Step::Check`].
    Finality(Result<Finality, LedgerError>),
}

/// What one transaction does for some obligations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The call.
    pub call: Call,
    /// The leaves under its root, the head's last; none where there is no root.
    pub leaves: Vec<Digest>,
}

impl Outbox {
    /// The outbox of an account on a ledger.
    pub fn new(ledger: LedgerId, account: Account, policy: Policy) -> Self {
        Outbox { ledger, account, policy, asked: false }
    }

    /// What to ask now, in order. At most one thing is prepared: its number is certain only when
    /// the one before is taken.
    ///
    /// # Errors
    /// As all of [`Reader`]'s methods.
    pub fn plan(&self, journal: &Reader, now_ms: u64) -> Result<Vec<Step>, JournalError> {
        let mut steps = Vec::new();
        let live = self.live(journal)?;
        let may_prepare = self.may_prepare(&live);
        let due = live.into_iter().filter(|row| is_due(row.due_ms, now_ms));
        steps.extend(due.filter_map(step_of));
        for (due_ms, key) in journal.due(&self.ledger, keys::WATCHING, CHECKS_AT_MOST)? {
            if is_due(due_ms, now_ms) {
                steps.extend(check(obligation(journal, key)?));
            }
        }
        if may_prepare {
            steps.extend(self.prepare(journal, now_ms)?);
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
        if self.may_prepare(&live) {
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
            (Step::Prepare { call, references, head, tries, .. }, Answer::Prepared(answer)) => {
                match answer {
                    Ok(signed) => {
                        self.asked = true;
                        vec![Write::Prepare(Box::new(Prepare {
                            ledger: self.ledger.clone(),
                            account: self.account.clone(),
                            call,
                            references,
                            head,
                            signed,
                        }))]
                    }
                    Err(error) => unsigned(&call, references, &error, tries, &clock),
                }
            }
            (Step::Submit { delivery, tries, .. }, Answer::Submitted(answer)) => {
                submitted(delivery, answer, tries, &clock)
            }
            (Step::Finality { delivery, tries, .. }, Answer::Finality(answer)) => {
                looked_up(delivery, answer, tries, &clock)
            }
            (Step::Check { reference, tries, .. }, Answer::Finality(answer)) => {
                vec![checked(reference, answer, tries, &clock)]
            }
            // The answer to another question says nothing about this one: it is planned again.
            _ => Vec::new(),
        }
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
        let row = journal.delivery(&DeliveryId {
            ledger: self.ledger.clone(),
            account: self.account.clone(),
            number,
        })?;
        row.ok_or_else(|| damaged("a due row without its delivery"))
    }

    /// The ledger must have taken each number before the next is prepared: one that it refuses is
    /// then the largest, can be given back, and leaves no gap that others wait behind for ever.
    fn may_prepare(&self, live: &[Delivery]) -> bool {
        live.len() < self.policy.in_flight_max && live.iter().all(|row| row.state.is_accepted())
    }

    fn prepare(&self, journal: &Reader, now_ms: u64) -> Result<Option<Step>, JournalError> {
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
            tries,
        }))
    }

    /// The obligations that the next transaction meets: the one due first, and with an anchor as
    /// many more anchors as may share its root.
    fn batch(&self, journal: &Reader, now_ms: u64) -> Result<Vec<Obligation>, JournalError> {
        let at_most = self.policy.anchors_at_most.clamp(1, ANCHORS_AT_MOST);
        let mut batch: Vec<Obligation> = Vec::new();
        for (due_ms, key) in journal.due(&self.ledger, keys::OPEN, 2 * at_most)? {
            if batch.len() == at_most {
                break;
            }
            if !is_due(due_ms, now_ms) {
                continue;
            }
            let row = obligation(journal, key)?;
            if batch.is_empty() {
                let shares = may_share(&row);
                batch.push(row);
                if !shares {
                    break;
                }
            } else if may_share(&row) {
                batch.push(row);
            }
        }
        Ok(batch)
    }

    /// The journal's head rides along where there is a root anyway, and with each session's last
    /// anchor, its exit.
    fn takes_head(&self, batch: &[Obligation]) -> bool {
        let is_last = |row: &Obligation| row.owed.purpose == Purpose::Exit;
        batch.iter().all(may_share)
            && (self.policy.anchors_at_most > 1 || batch.iter().any(is_last))
    }
}

/// Asks a ledger. The only thing here that waits for anything.
pub async fn perform(ledger: &dyn Ledger, step: &Step) -> Answer {
    match step {
        Step::Prepare { call, numbers, ask, .. } => {
            Answer::Prepared(sign(ledger, call, numbers, *ask).await)
        }
        Step::Submit { signed, .. } => Answer::Submitted(ledger.submit(signed).await),
        Step::Finality { signed, .. } => Answer::Finality(ledger.finality(signed).await),
        Step::Check { claim, .. } => Answer::Finality(match ledger.payments() {
            Some(payments) => payments.paid(claim).await,
            None => Err(LedgerError::refused(
                "NoSuchAbility",
                format!("ledger {} moves no money", ledger.id()),
            )),
        }),
    }
}

async fn sign(
    ledger: &dyn Ledger,
    call: &Call,
    numbers: &Numbers,
    ask: bool,
) -> sdpp_ledger::Result<Signed> {
    let number = match ask {
        true => numbers.next.max(ledger.next_number().await?),
        false => numbers.next,
    };
    sdpp_ledger::prepare(ledger, number, call).await
}

/// What one transaction does for these obligations: the call of a single one, or the root over
/// the leaves of many and the head's. `None` when they cannot share one.
pub fn pack(owed: &[Obligation], head: Option<Head>, identity: &PublicKey) -> Option<Packed> {
    if let ([row], None) = (owed, head) {
        return match &row.owed.act {
            Act::Do(call) => Some(Packed { call: call.clone(), leaves: Vec::new() }),
            Act::Check(_) => None,
        };
    }
    let leaves: Option<Vec<Digest>> = owed.iter().map(Obligation::leaf).collect();
    let mut leaves = leaves.filter(|leaves| !leaves.is_empty())?;
    leaves.extend(head.map(|head| Anchor::leaf(&head.reference(identity), &head.digest)));
    let call = Call::Anchor(Anchor::Root {
        root: merkle::root(&leaves),
        count: u32::try_from(leaves.len()).ok()?,
    });
    Some(Packed { call, leaves })
}

/// Whether a call stands for more than one thing, so that its refusal says nothing of each.
pub(super) fn is_shared(call: &Call) -> bool {
    matches!(call, Call::Anchor(Anchor::Root { .. }))
}

/// Whether a wait is over. One that is longer than any that is ever written was begun before the
/// clock was set back, and must not hold up a payment for years.
fn is_due(due_ms: u64, now_ms: u64) -> bool {
    due_ms <= now_ms || due_ms - now_ms > WAIT_MS_MAX
}

fn may_share(row: &Obligation) -> bool {
    row.state == State::Open { alone: false } && row.leaf().is_some()
}

fn obligation(journal: &Reader, reference: Vec<u8>) -> Result<Obligation, JournalError> {
    let reference = reference.try_into().map_err(|_| damaged("a due row"))?;
    let row = journal.obligation(&Reference(reference))?;
    row.ok_or_else(|| damaged("a due row without its obligation"))
}

fn check(row: Obligation) -> Option<Step> {
    match row.owed.act {
        Act::Check(claim) => {
            Some(Step::Check { reference: row.owed.reference, claim, tries: row.tries })
        }
        Act::Do(_) => None,
    }
}

fn step_of(row: Delivery) -> Option<Step> {
    let signed = row.signed()?.clone();
    let (delivery, tries) = (row.id, row.tries);
    match row.state {
        delivery::State::Prepared { .. } => Some(Step::Submit { delivery, signed, tries }),
        state if state.is_live() => Some(Step::Finality { delivery, signed, tries }),
        _ => None,
    }
}
