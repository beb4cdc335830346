//! Anchors: rows that say who put which digest where, and the check of somebody's word that one is
//! there.

use crate::block::{Placed, Told};
use crate::call::{Function, Request};
use crate::finality::refused;
use crate::gateway::Answer;
use crate::ledger::FabricLedger;
use crate::rows::Row;
use async_trait::async_trait;
use sdpp_ledger::{Amount, Anchor, Call, Finality, Records, Result, Signed, TxId};
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
        if placed.chaincode.as_ref() != Some(chaincode) {
            return refused("OtherChaincode", format!("{tx} is not of chaincode {chaincode}"));
        }
        if !placed.is_valid() {
            let code = self.own.gateway.clean(&placed.code);
            return refused("Invalid", format!("the block has {tx} as {code}"));
        }
        let (function, told) = match &placed.event {
            Some(told @ Told { function: Some(function), .. })
                if events.contains(&function.event) =>
            {
                (*function, told)
            }
            None if Function::named(&placed.function)
                .is_some_and(|f| events.contains(&f.event)) =>
            {
                let why = format!("{tx} repeats what was done before, and did nothing");
                return refused("Repeated", why);
            }
            _ => return refused(otherwise, format!("{tx} did something else")),
        };
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
