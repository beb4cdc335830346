//! Leave that was given to escrows to take deposits: what a holder of tokens wants to see.

use crate::journal::Entry;
use crate::record::{Act, Owed, Record};
use sdpp_ledger::{Asset, Call, LedgerId, Reference, TxId};

/// Leave for a ledger's escrow to take deposits of an asset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    /// The entry that says so.
    pub entry: u64,
    /// The ledger.
    pub ledger: LedgerId,
    /// The asset.
    pub asset: Asset,
    /// What became of it.
    pub outcome: Approved,
    reference: Reference,
}

/// What became of a leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Approved {
    /// It is on its way.
    Open,
    /// It is given, for good, by this transaction.
    Given(TxId),
    /// It was not given, for this reason.
    Refused(String),
}

/// Takes the next entry of a journal.
pub(super) fn take(approvals: &mut Vec<Approval>, entry: &Entry) {
    match &entry.record {
        Record::Approving { owed, .. } => approvals.extend(begun(entry.seq, owed)),
        Record::Met { reference, evidence, .. } => {
            settle(approvals, reference, Approved::Given(evidence.tx.clone()));
        }
        Record::Refused { reference, why } => {
            settle(approvals, reference, Approved::Refused(why.clone()));
        }
        _ => {}
    }
}

/// What is owed decides, not what stands beside it.
fn begun(entry: u64, owed: &Owed) -> Option<Approval> {
    let Act::Do(Call::Approve(approve)) = &owed.act else { return None };
    let (ledger, asset) = (owed.ledger.clone(), approve.asset.clone());
    Some(Approval { entry, ledger, asset, outcome: Approved::Open, reference: owed.reference })
}

fn settle(approvals: &mut [Approval], reference: &Reference, outcome: Approved) {
    if let Some(approval) = approvals.iter_mut().find(|one| one.reference == *reference) {
        approval.outcome = outcome;
    }
}
