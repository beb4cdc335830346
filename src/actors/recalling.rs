//! What ledgers know of what a restored journal has forgotten: they are asked once, before the
//! journal signs anything. No mailbox is used.

use crate::journal::delivery::DeliveryId;
use crate::journal::obligation::State;
use crate::journal::quarantine::is_repeatable;
use crate::journal::{JournalError, Obligation, PAGE_MAX, Prepare, Reader, Release};
use crate::record::Act;
use sdpp_ledger::{Call, Done, Ledger, LedgerError, LedgerId, Reference};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How far below an account's next number is looked: no number waits longer to be filled, because
/// nothing beyond it takes effect before, and fewer are on their way at once.
const NUMBERS_BACK: u64 = 1_024;

/// What the ledgers told.
#[derive(Debug, Default)]
pub struct Recalled {
    /// What it makes of the journal.
    pub release: Release,
    /// What is not done, and goes on.
    pub not_done: Vec<Reference>,
}

/// Why the ledgers could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum RecallError {
    /// The journal could not be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Something is owed to a ledger that we have no account on.
    #[error("{0} is owed to ledger {1}, which is not in the config: add it, to ask it")]
    NoSuchLedger(Reference, LedgerId),
    /// A ledger is away.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Asks the ledgers for all that is open and would take effect a second time.
///
/// # Errors
/// Where one of them cannot be asked: what it has is still forgotten.
pub async fn recall(
    reader: &Reader,
    ledgers: &BTreeMap<LedgerId, Arc<dyn Ledger>>,
) -> Result<Recalled, RecallError> {
    let mut recalled = Recalled::default();
    for row in doubtful(reader)? {
        let (reference, id) = (row.owed.reference, row.owed.ledger.clone());
        let ledger = ledgers.get(&id).ok_or(RecallError::NoSuchLedger(reference, id))?;
        let Act::Do(call) = row.owed.act else { continue };
        match done(reader, ledger.as_ref(), &call).await {
            Ok(Done::No) => recalled.not_done.push(reference),
            Ok(Done::Found(signed)) => recalled.release.found.push(Prepare {
                ledger: ledger.id().clone(),
                account: ledger.account().clone(),
                call,
                references: vec![reference],
                head: None,
                signed,
            }),
            Err(RecallError::Ledger(LedgerError::Refused { .. })) => {
                recalled.release.untold.push(reference);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(recalled)
}

/// All that is to be prepared, and would be done twice if it was prepared before.
fn doubtful(reader: &Reader) -> Result<Vec<Obligation>, JournalError> {
    let mut found = Vec::new();
    for unsettled in reader.counts()?.unsettled {
        let mut after: Option<Obligation> = None;
        loop {
            let page = reader.unsettled(&unsettled.ledger, after.as_ref(), PAGE_MAX)?;
            let Some(last) = page.last() else { break };
            after = Some(last.clone());
            let is_open = |row: &Obligation| matches!(row.state, State::Open { .. });
            found.extend(page.into_iter().filter(|row| is_open(row) && is_repeatable(row)));
        }
    }
    Ok(found)
}

/// What became of a call that may have been signed since the backup. What is found under a number
/// that the journal knows as another's is that other's own, and no answer.
async fn done(reader: &Reader, ledger: &dyn Ledger, call: &Call) -> Result<Done, RecallError> {
    let (id, account) = (ledger.id().clone(), ledger.account().clone());
    let from = reader.numbers(&id, &account)?.next.saturating_sub(NUMBERS_BACK);
    let done = ledger.done(call, from).await?;
    if let Done::Found(signed) = &done {
        let id = DeliveryId { ledger: id, account, number: signed.number };
        if reader.delivery(&id)?.is_some_and(|row| !row.leaves_number()) {
            let why = format!("number {} of {} is another delivery's", id.number, id.account);
            return Err(LedgerError::refused("NumberUsed", why).into());
        }
    }
    Ok(done)
}
