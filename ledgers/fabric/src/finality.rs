//! What became of a request: by the row under its reference, and by the block of the transaction
//! that wrote that row.

use crate::block::Placed;
use crate::call::Request;
use crate::gateway::{Answer, Trouble};
use crate::ledger::FabricLedger;
use crate::rows::Row;
use crate::submit::taken_by;
use sdpp_ledger::{Amount, Call, Finality, Signed};

impl FabricLedger {
    pub(crate) async fn finality_of(&self, signed: &Signed) -> Answer<Finality> {
        let (request, _) = Request::read(&signed.raw)?;
        let Some(row) = self.own.gateway.row_of(&request, &self.own.account).await? else {
            return Ok(Finality::Unknown);
        };
        let Some(placed) = self.own.gateway.placed(&self.own.kept, &row.tx).await? else {
            // A row without its block: the peer that was asked for the block is behind.
            return Ok(Finality::Pending(None));
        };
        self.is_written_by(&row, &placed)?;
        if row.request != request {
            // It can never happen, as nobody takes back what stands under a reference.
            let why = format!("Conflict: {}", taken_by(&row));
            return Ok(Finality::Reverted { why, evidence: placed.evidence(Amount::ZERO) });
        }
        Ok(Finality::Final(placed.evidence(moved(&row))))
    }

    /// Checks that a row stands for what its block says: rows are written by valid transactions of
    /// our chaincode alone.
    pub(crate) fn is_written_by(&self, row: &Row, placed: &Placed) -> Answer<()> {
        let chaincode = &self.own.gateway.settings().chaincode;
        let is_ours = placed.chaincode.as_ref() == Some(chaincode);
        if placed.is_valid() && is_ours && placed.tx == row.tx {
            return Ok(());
        }
        let what = format!("it has a row of {} and says that this is {}", row.tx, placed.code);
        Err(self.own.gateway.doubt(&what))
    }
}

/// What a row moved to somebody, as read back from the ledger.
pub(crate) fn moved(row: &Row) -> Amount {
    match row.request.call() {
        Some(Call::Transfer(transfer)) => transfer.amount,
        _ => Amount::ZERO,
    }
}

/// A refusal of what somebody says of a transaction.
pub(crate) fn refused<T>(code: &str, why: impl Into<String>) -> Answer<T> {
    Err(Trouble::refused(code, why))
}
