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
    /// None where the ledger has no numbers.
    number: Option<u64>,
    finality: &'static str,
    height: Option<u64>,
    /// Why it had no effect.
    why: Option<&'a str>,
    /// What it asks for, where we could have asked for it.
    call: Option<&'a Call>,
    /// Of whom it asks something else, and what it brings along.
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<Other<'a>>,
    /// Which function of a chaincode it calls, where that is no call of ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<&'a str>,
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
        let (mut call, mut other, mut function) = (None, None, None);
        match asks {
            Asks::Call(asked) => call = Some(asked),
            Asks::Other { to, value } => other = Some(Other { to: to.as_ref(), value: *value }),
            Asks::Function(name) => function = Some(name.as_str()),
        }
        let number = *number;
        ShownTx { ledger, tx, from, number, finality, height, why, call, other, function }
    }
}

impl fmt::Display for ShownTx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ShownTx { ledger, tx, from, finality, .. } = self;
        write!(f, "{ledger}  {tx}  {finality}  ")?;
        match self.number {
            Some(number) => write!(f, "number {number} of {from}  "),
            None => write!(f, "of {from}  "),
        }?;
        match (self.call, &self.other, self.function) {
            (Some(call), ..) => tell(f, call),
            (None, Some(Other { to: Some(to), value }), _) => write!(f, "calls {to} with {value}"),
            (None, Some(Other { to: None, .. }), _) => f.write_str("makes a contract"),
            (None, None, function) => write!(f, "calls {}", function.unwrap_or("nothing")),
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
        Call::Bond(bonding) => write!(f, "is about a bond for channel {}", bonding.bond.channel),
    }
}
