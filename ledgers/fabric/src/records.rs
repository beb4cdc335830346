//! Anchors: rows that say who put which digest where, and the check of somebody's word that one is
//! there.

use crate::block::{Placed, Told};
use crate::call::{Function, Request};
use crate::finality::refused;
use crate::gateway::Answer;
use crate::ledger::FabricLedger;
use crate::rows::Row;
use async_trait::async_trait;
use sdpp_ledger::{Amount, Anchor, Call, Finality, Records, Result, Signed, TxId, clean};
use std::sync::Arc;

#[async_trait]
impl Records for FabricLedger {
    async fn anchor(&self, number: u64, anchor: &Anchor) -> Result<Signed> {
        self.prepared(number, &Call::Anchor(anchor.clone()))
    }

    async fn anchored(&self, tx: &TxId, anchor: &Anchor) -> Result<Finality> {
        Ok(self.is_anchored(tx, anchor).await?)
    }
}

/// A row that a transaction wrote, and its place.
pub(crate) struct Written {
    pub row: Row,
    pub placed: Arc<Placed>,
}

impl FabricLedger {
    async fn is_anchored(&self, tx: &TxId, anchor: &Anchor) -> Answer<Finality> {
        let asked = Request::of(&Call::Anchor(anchor.clone()))?;
        let Some(written) = self.written(tx, &["Anchored"], "NotThisAnchor").await? else {
            return Ok(Finality::Unknown);
        };
        if written.row.request != asked {
            return refused("NotThisAnchor", format!("{tx} holds something else"));
        }
        Ok(Finality::Final(written.placed.evidence(Amount::ZERO)))
    }

    /// The row that a transaction wrote, checked at our own gateway: in its block it is valid and
    /// of our chaincode, it told one of these events, and the row that this names is of it. Without
    /// that last step a repeat that moved nothing would count as what it repeats. `None` where no
    /// block has the transaction; `otherwise` is the code for one that did something else.
    pub(crate) async fn written(
        &self,
        tx: &TxId,
        events: &[&str],
        otherwise: &str,
    ) -> Answer<Option<Written>> {
        let Some(placed) = self.own.gateway.placed(&self.own.kept, tx).await? else {
            return Ok(None);
        };
        let chaincode = &self.own.gateway.settings().chaincode;
        let (function, told) = did(&placed, chaincode, events, otherwise)?;
        let Told { owner, reference, .. } = told;
        let row = self.own.gateway.row(function, owner.as_str(), reference).await?;
        // The block came from a peer that is ahead of the one that was asked for the row.
        let row = row.ok_or_else(|| self.own.gateway.doubt("it told of a row that it has not"))?;
        if row.tx != *tx {
            return refused("Repeated", format!("{} did it, not {tx}", row.tx));
        }
        Ok(Some(Written { row, placed }))
    }
}

/// What a transaction did, where it is valid, of our chaincode, and told one of these events.
fn did<'a>(
    placed: &'a Placed,
    chaincode: &str,
    events: &[&str],
    otherwise: &str,
) -> Answer<(&'static Function, &'a Told)> {
    let tx = &placed.tx;
    if placed.chaincode.as_deref() != Some(chaincode) {
        return refused("OtherChaincode", format!("{tx} is not of the chaincode {chaincode}"));
    }
    if !placed.is_valid() {
        let code = clean(&placed.code, std::iter::empty());
        return refused("Invalid", format!("the block has {tx} as {code}"));
    }
    let called = Function::named(&placed.function);
    match (&placed.event, called) {
        (Some(told), _) => match told.function {
            Some(function) if events.contains(&function.event) => Ok((function, told)),
            _ => refused(otherwise, format!("{tx} did something else")),
        },
        (None, Some(function)) if events.contains(&function.event) => {
            refused("Repeated", format!("{tx} repeats what was done before, and did nothing"))
        }
        (None, _) => refused(otherwise, format!("{tx} did something else")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::tests::placed;
    use crate::call::{MINT, PAY};
    use crate::gateway::Trouble;

    fn code(placed: &Placed) -> String {
        match did(placed, "sdpp", &["Paid", "Owed"], "NotATransfer") {
            Ok((function, told)) => format!("{} {}", function.name, told.reference),
            Err(Trouble::Refused { code, .. }) => code,
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_transaction_is_what_its_block_and_its_event_say() {
        let paid = placed(&PAY);
        assert_eq!(code(&paid), "Pay 0x01");
        let other = Placed { chaincode: Some("other".to_owned()), ..paid.clone() };
        assert_eq!(code(&other), "OtherChaincode");
        assert_eq!(code(&Placed { chaincode: None, ..paid.clone() }), "OtherChaincode");
        let invalid = Placed { code: "MVCC_READ_CONFLICT".to_owned(), ..paid.clone() };
        assert_eq!(code(&invalid), "Invalid");
        assert_eq!(code(&Placed { event: None, ..paid.clone() }), "Repeated");
        assert_eq!(code(&placed(&MINT)), "NotATransfer");
        let asked = Placed { function: "GetInfo".to_owned(), event: None, ..paid };
        assert_eq!(code(&asked), "NotATransfer");
    }
}
