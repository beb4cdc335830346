//! What the journal answers to a session's writes, and whose fault a refusal is.

use crate::actors::journal::Committed;
use crate::journal::{Write, WriteError};
use crate::record::Record;
use crate::session::Input;
use sdpp_ledger::Reference;

/// What a write claims to be paid by a transaction that the peer names.
pub(super) fn claim_in(write: &Write) -> Option<Reference> {
    let Write::Append { record, .. } = write else { return None };
    let Record::Payment { owed, .. } = record.as_ref() else { return None };
    owed.as_ref().map(|owed| owed.reference)
}

/// The claims that were refused because their transactions have paid something else: that is a lie of the
/// peer's, and no fault of our journal. Else the first write that was refused, as a sentence.
pub(super) fn all_written(
    committed: Committed,
    claims: &[Option<Reference>],
) -> Result<Vec<Input<'static>>, String> {
    let answers = committed.map_err(|error| error.to_string())?;
    let mut refused = Vec::new();
    for (answer, claim) in answers.into_iter().zip(claims) {
        match (answer, *claim) {
            (Ok(_), _) => {}
            (Err(WriteError::TxUsed { tx, .. }), Some(reference)) => {
                let why = format!("transaction {tx} has paid something else already");
                refused.push(Input::Refused { reference, why });
            }
            (Err(error), _) => return Err(format!("the journal refused a record: {error}")),
        }
    }
    Ok(refused)
}
