//! What a ledger's answer means for the journal.

use super::{Policy, WAIT_MS_MAX, is_shared};
use crate::journal::delivery::{self, DeliveryId};
use crate::journal::obligation;
use crate::journal::write::{Live, Write};
use sdpp_ledger::{Call, Finality, LedgerError, Reference, Signed, TxId};

/// How long a claim is checked that stands in no block, in milliseconds: three days. Whoever names
/// an invented transaction costs us so many questions and no more.
const CLAIM_MS_MAX: u64 = 3 * 24 * 3_600_000;

/// The least times that it is asked for in a row before it is given up.
const CHECKS_MIN: u32 = 16;

/// How many checks follow each other with the same wait; it is twice as long after them.
const CHECKS_FOR_ONE_WAIT: u32 = 4;

/// How long the rest of a batch waits that cost too much, in milliseconds: longer than it takes to
/// ask for the halves of its other half, or they would meet again.
const TOO_DEAR_MS: u64 = 15_000;

/// What a ledger says where the account cannot pay.
pub(super) const SHORT_OF_FUNDS: &str = "InsufficientFunds";

/// What a claim comes to that was waited for in vain.
const NOT_INCLUDED: &str = "NotIncluded: its transaction stands in no block after three days";

/// What the waits of an outcome are made from.
pub(super) struct Clock<'a> {
    pub(super) policy: &'a Policy,
    pub(super) now_ms: u64,
    pub(super) jitter: u64,
}

impl Clock<'_> {
    fn poll_ms(&self) -> u64 {
        self.now_ms.saturating_add(self.policy.poll_ms)
    }

    /// When to ask again for what stood in no block so many times: a wait that grows with the time
    /// that went by, to some quarter of it, within [`WAIT_MS_MAX`].
    fn patient_ms(&self, tries: u32) -> u64 {
        let doublings = (tries / CHECKS_FOR_ONE_WAIT).min(40);
        let wait_ms = self.policy.poll_ms.max(1).saturating_mul(1 << doublings);
        self.now_ms.saturating_add(wait_ms.min(WAIT_MS_MAX))
    }

    /// Whether a claim was waited for long enough. A clock that leaps is no time that went by, so
    /// it must have been asked for some times too.
    fn gives_up(&self, since_ms: u64, tries: u32) -> bool {
        tries >= CHECKS_MIN && self.now_ms.saturating_sub(since_ms) >= CLAIM_MS_MAX
    }

    /// The wait after `tries` failures: twice as long each time, half of it certain and the rest
    /// by jitter, and never shorter than the ledger asks, within [`WAIT_MS_MAX`].
    fn backoff_ms(&self, tries: u32, error: &LedgerError) -> u64 {
        let doubled = self.policy.backoff_base_ms.saturating_mul(1 << tries.min(40));
        let most = doubled.min(self.policy.backoff_max_ms).max(1);
        let ours = most / 2 + self.jitter % (most - most / 2 + 1);
        let theirs = match error {
            LedgerError::Unavailable { retry_after: Some(after), .. } => {
                u64::try_from(after.as_millis()).unwrap_or(u64::MAX)
            }
            _ => 0,
        };
        self.now_ms.saturating_add(ours.max(theirs).min(WAIT_MS_MAX))
    }
}

/// Nothing was signed.
pub(super) fn unsigned(
    call: &Call,
    references: Vec<Reference>,
    error: &LedgerError,
    tries: u32,
    clock: &Clock<'_>,
) -> Vec<Write> {
    let is_batch = matches!(call, Call::SettleMany(_) | Call::CloseMany(_));
    if is_batch && matches!(error, LedgerError::Refused { code, .. } if code == SHORT_OF_FUNDS) {
        return halved(references, clock);
    }
    let write = |reference| match error {
        LedgerError::Unavailable { .. } => Write::Postpone {
            live: Live::Obligation(reference),
            due_ms: clock.backoff_ms(tries, error),
        },
        LedgerError::Refused { .. } if is_shared(call) => {
            Write::Obligation { reference, event: obligation::Event::Separated }
        }
        LedgerError::Refused { code, why } => Write::Refused { reference, why: reason(code, why) },
    };
    references.into_iter().map(write).collect()
}

/// The account cannot pay for so many at once: the first half, the more urgent one, stays due and
/// is tried by itself at once, the other one waits.
fn halved(mut references: Vec<Reference>, clock: &Clock<'_>) -> Vec<Write> {
    let due_ms = clock.now_ms.saturating_add(TOO_DEAR_MS);
    let waiting = references.split_off(references.len() / 2);
    let wait = |reference| Write::Postpone { live: Live::Obligation(reference), due_ms };
    waiting.into_iter().map(wait).collect()
}

pub(super) fn submitted(
    id: DeliveryId,
    answer: Result<TxId, LedgerError>,
    tries: u32,
    clock: &Clock<'_>,
) -> Vec<Write> {
    let (event, due_ms) = match answer {
        Ok(tx) => (delivery::Event::Sent { tx }, clock.poll_ms()),
        Err(LedgerError::Refused { code, why }) => {
            let why = reason(&code, &why);
            (delivery::Event::Rejected { why }, clock.poll_ms())
        }
        Err(error) => return vec![postponed(id, tries, &error, clock)],
    };
    vec![Write::Delivery { id, event, due_ms }]
}

pub(super) fn looked_up(
    id: DeliveryId,
    answer: Result<Finality, LedgerError>,
    tries: u32,
    clock: &Clock<'_>,
) -> Vec<Write> {
    use delivery::Event;
    let (event, due_ms) = match answer {
        Ok(Finality::Unknown) => (Event::Unknown, clock.now_ms),
        Ok(Finality::Pending(None)) => (Event::Pending, clock.poll_ms()),
        Ok(Finality::Pending(Some(place))) => (Event::Included { place }, clock.poll_ms()),
        Ok(Finality::Final(evidence)) => (Event::Final { evidence }, clock.now_ms),
        Ok(Finality::Replaced) => (Event::Replaced, clock.now_ms),
        Ok(Finality::Reverted { why, evidence }) => {
            (Event::Reverted { why, evidence }, clock.now_ms)
        }
        // Even a refusal to tell is no word on what happened.
        Err(error) => return vec![postponed(id, tries, &error, clock)],
    };
    vec![Write::Delivery { id, event, due_ms }]
}

/// An answer to the wish for a higher fee. An outage is no hurry: what is out there may land.
pub(super) fn raised(delivery: DeliveryId, answer: Result<Option<Signed>, LedgerError>) -> Write {
    match answer {
        Ok(Some(signed)) => Write::Raise { delivery, signed: signed.into() },
        Ok(None) | Err(_) => Write::Keep { delivery },
    }
}

pub(super) fn cancelled(
    delivery: DeliveryId,
    answer: Result<Signed, LedgerError>,
    tries: u32,
    clock: &Clock<'_>,
) -> Write {
    let signed = match answer {
        Ok(signed) => Ok(signed.into()),
        Err(LedgerError::Refused { code, why }) => Err(reason(&code, &why)),
        Err(error) => return postponed(delivery, tries, &error, clock),
    };
    Write::Void { delivery, signed }
}

/// A claim's transaction stands in a block that is not deep enough.
pub(super) fn shallow(reference: Reference, blocks: u64, clock: &Clock<'_>) -> Write {
    Write::Included { reference, blocks, due_ms: clock.poll_ms() }
}

pub(super) fn checked(
    reference: Reference,
    answer: Result<Finality, LedgerError>,
    (since_ms, tries): (u64, u32),
    clock: &Clock<'_>,
) -> Write {
    use obligation::Event;
    let later = |due_ms| Write::Postpone { live: Live::Obligation(reference), due_ms };
    let event = match answer {
        Ok(Finality::Final(evidence)) => Event::Met { evidence },
        Ok(Finality::Pending(Some(_))) => return shallow(reference, 1, clock),
        Ok(Finality::Unknown | Finality::Pending(None)) if clock.gives_up(since_ms, tries) => {
            Event::Refused { why: NOT_INCLUDED.to_owned() }
        }
        Ok(Finality::Unknown | Finality::Pending(None)) => {
            return Write::Absent { reference, due_ms: clock.patient_ms(tries) };
        }
        Ok(Finality::Replaced) => {
            Event::Refused { why: "another transaction took its place".to_owned() }
        }
        Ok(Finality::Reverted { why, .. }) => Event::Refused { why },
        Err(LedgerError::Refused { code, why }) => Event::Refused { why: reason(&code, &why) },
        Err(error) => return later(clock.backoff_ms(tries, &error)),
    };
    Write::Obligation { reference, event }
}

fn postponed(id: DeliveryId, tries: u32, error: &LedgerError, clock: &Clock<'_>) -> Write {
    Write::Postpone { live: Live::Delivery(id), due_ms: clock.backoff_ms(tries, error) }
}

fn reason(code: &str, why: &str) -> String {
    format!("{code}: {why}")
}
