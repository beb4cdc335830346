//! A transaction as `sdpp ledger tx` shows it.

use crate::config::ledgers::{Asks, Transaction};
use sdpp_ledger::{Account, Amount, Call, Finality, TxId};
use serde::Serialize;
use std::fmt;

/// A transaction as it is shown.
#[derive(Serialize)]
pub(super) struct ShownTx<'a> {
    ledger: &'a str,
    tx: &'a TxId,
    from: &'a Account,
    number: u64,
    finality: &'static str,
    height: Option<u64>,
    /// Why it had no effect.
    why: Option<&'a str>,
    /// What it asks for, where we could have asked for it.
    call: Option<&'a Call>,
    /// Of whom it asks something else, and what it brings along.
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<Other<'a>>,
}

#[derive(Serialize)]
struct Other<'a> {
    to: Option<&'a Account>,
    value: Amount,
}

impl<'a> ShownTx<'a> {
    pub(super) fn new(ledger: &'a str, transaction: &'a Transaction) -> Self {
        let Transaction { tx, from, number, asks, finality } = transaction;
        let (finality, height, why) = match finality {
            Finality::Unknown => ("unknown", None, None),
            Finality::Pending(place) => ("pending", place.as_ref().map(|p| p.height), None),
            Finality::Final(evidence) => ("final", Some(evidence.height), None),
            Finality::Replaced => ("replaced", None, None),
            Finality::Reverted { why, evidence } => {
                ("reverted", Some(evidence.height), Some(why.as_str()))
            }
        };
        let (call, other) = match asks {
            Asks::Call(call) => (Some(call), None),
            Asks::Other { to, value } => (None, Some(Other { to: to.as_ref(), value: *value })),
        };
        ShownTx { ledger, tx, from, number: *number, finality, height, why, call, other }
    }
}

impl fmt::Display for ShownTx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ShownTx { ledger, tx, from, number, finality, .. } = self;
        write!(f, "{ledger}  {tx}  {finality}  number {number} of {from}  ")?;
        match (self.call, &self.other) {
            (Some(call), _) => tell(f, call),
            (None, Some(Other { to: Some(to), value })) => write!(f, "calls {to} with {value}"),
            (None, _) => f.write_str("makes a contract"),
        }?;
        self.why.map_or(Ok(()), |why| write!(f, "  without effect: {why}"))
    }
}

fn tell(f: &mut fmt::Formatter<'_>, call: &Call) -> fmt::Result {
    match call {
        Call::Anchor(_) => f.write_str("anchor"),
        Call::Transfer(to) => write!(f, "pays {} of {} to {}", to.amount, to.asset, to.to),
        Call::Open(open) => write!(f, "opens a channel to {} with {}", open.payee, open.deposit),
        Call::TopUp(top_up) => write!(f, "adds {} to a channel", top_up.amount),
        Call::Settle(redeem) => write!(f, "settles {}", redeem.amount),
        Call::Close(redeem) => write!(f, "closes a channel at {}", redeem.amount),
        Call::RequestClose(_) => f.write_str("asks to close a channel"),
        Call::Withdraw(_) => f.write_str("withdraws from a channel"),
        Call::SettleMany(batch) => write!(f, "settles {} channels", batch.rows.len()),
        Call::CloseMany(batch) => write!(f, "closes {} channels", batch.rows.len()),
        Call::Approve(approve) => write!(f, "lets the escrow take {}", approve.asset),
    }
}
