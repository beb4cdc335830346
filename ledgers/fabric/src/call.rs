//! What is asked of the chaincode, and how it stands there afterwards: one table of its functions
//! that change something, the rows that they write and the events that tell of them.

use sdpp_ledger::{Amount, Anchor, Call, LedgerError, Reference, Result, Transfer};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

use crate::names::{self, Kind};

/// A function of the chaincode that does something once under its caller's reference. The
/// reference is the first argument of each.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    /// Its name.
    pub name: &'static str,
    /// The type of the row that it writes.
    pub row: &'static str,
    /// The name of the event that tells of it.
    pub event: &'static str,
    /// The fields of the row that its further arguments become, in their order.
    pub fields: &'static [&'static str],
}

pub(crate) static ANCHOR: Function =
    Function { name: "Anchor", row: "anchor", event: "Anchored", fields: &["digest"] };
/// The root is its own reference.
pub(crate) static ANCHOR_ROOT: Function =
    Function { name: "AnchorRoot", row: "root", event: "Anchored", fields: &["count"] };
pub(crate) static PAY: Function =
    Function { name: "Pay", row: "payment", event: "Paid", fields: &["to", "asset", "amount"] };
pub(crate) static OWE: Function =
    Function { name: "Owe", row: "iou", event: "Owed", fields: &["to", "unit", "amount"] };
pub(crate) static MINT: Function =
    Function { name: "Mint", row: "mint", event: "Minted", fields: &["to", "asset", "amount"] };
pub(crate) static SWEEP: Function =
    Function { name: "Sweep", row: "sweep", event: "Swept", fields: &["asset", "credits"] };

static FUNCTIONS: [&Function; 6] = [&ANCHOR, &ANCHOR_ROOT, &PAY, &OWE, &MINT, &SWEEP];

impl Function {
    /// The function of this name.
    pub fn named(name: &str) -> Option<&'static Function> {
        FUNCTIONS.into_iter().find(|function| function.name == name)
    }

    /// The function that writes rows of this type.
    pub fn writing(row: &str) -> Option<&'static Function> {
        FUNCTIONS.into_iter().find(|function| function.row == row)
    }
}

/// What is asked of the chaincode.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Request {
    /// The function.
    pub func: String,
    /// Its arguments.
    pub args: Vec<String>,
}

impl Request {
    /// A request of any function.
    pub fn new(func: &str, args: &[&str]) -> Self {
        Request { func: func.to_owned(), args: args.iter().map(|&arg| arg.to_owned()).collect() }
    }

    /// What is asked for a call.
    ///
    /// # Errors
    /// `Malformed` for names that are none here and for nothing paid, `NoSuchAbility` for calls of
    /// an escrow.
    pub fn of(call: &Call) -> Result<Self> {
        match call {
            Call::Anchor(Anchor::One { reference, digest }) => {
                Ok(Request::new(ANCHOR.name, &[&reference.to_string(), &digest.to_string()]))
            }
            Call::Anchor(Anchor::Root { count: 0, .. }) => Err(malformed("a root over nothing")),
            Call::Anchor(Anchor::Root { root, count }) => {
                Ok(Request::new(ANCHOR_ROOT.name, &[&root.to_string(), &count.to_string()]))
            }
            Call::Transfer(transfer) => Request::paying(transfer),
            _ => Err(LedgerError::refused("NoSuchAbility", "there is no escrow on this ledger")),
        }
    }

    fn paying(transfer: &Transfer) -> Result<Self> {
        let Transfer { to, asset, amount, reference } = transfer;
        if *amount == Amount::ZERO {
            return Err(malformed("nothing is paid"));
        }
        let (name, what) = match names::kind(asset)? {
            Kind::Money(asset) => (PAY.name, asset),
            Kind::Iou(unit) => (OWE.name, unit),
        };
        let (reference, amount) = (reference.to_string(), amount.to_string());
        Ok(Request::new(name, &[&reference, names::account(to)?, what, &amount]))
    }

    /// The call that this is asked for, where it is one of ours to the last byte.
    pub fn call(&self) -> Option<Call> {
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        let call = match (self.func.as_str(), args.as_slice()) {
            ("Anchor", [reference, digest]) => {
                let (reference, digest) = (read(reference)?, read(digest)?);
                Call::Anchor(Anchor::One { reference, digest })
            }
            ("AnchorRoot", [root, count]) => {
                Call::Anchor(Anchor::Root { root: read(root)?, count: read(count)? })
            }
            ("Pay", [reference, to, asset, amount]) => {
                let (asset, amount) = (read(asset)?, read(amount)?);
                let (to, reference) = (read(to)?, read(reference)?);
                Call::Transfer(Transfer { to, asset, amount, reference })
            }
            ("Owe", [reference, to, unit, amount]) => {
                let (asset, amount) = (names::iou(unit)?, read(amount)?);
                let (to, reference) = (read(to)?, read(reference)?);
                Call::Transfer(Transfer { to, asset, amount, reference })
            }
            _ => return None,
        };
        (Request::of(&call).ok().as_ref() == Some(self)).then_some(call)
    }

    /// The bytes that stand for it in a journal: there is one way to write them.
    pub fn bytes(&self) -> Vec<u8> {
        let Request { func, args } = self;
        serde_json::json!({ "args": args, "func": func }).to_string().into_bytes()
    }

    /// Reads such bytes back.
    ///
    /// # Errors
    /// `Malformed` for all that is not a call of ours to the last byte.
    pub fn read(bytes: &[u8]) -> Result<(Self, Call)> {
        let other = || malformed("these bytes are no request of ours");
        let request: Request = serde_json::from_slice(bytes).map_err(|_| other())?;
        let call = request.call().filter(|_| request.bytes() == bytes).ok_or_else(other)?;
        Ok((request, call))
    }

    /// The function, where it is one of the table.
    pub fn function(&self) -> Option<&'static Function> {
        Function::named(&self.func)
    }

    /// What it is done once under.
    pub fn reference(&self) -> &str {
        self.args.first().map(String::as_str).unwrap_or_default()
    }
}

/// Under which reference others know a call: an anchored root is its own.
pub(crate) fn reference_of(text: &str) -> Option<Reference> {
    read(text)
}

fn read<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok()
}

fn malformed(why: &str) -> LedgerError {
    LedgerError::refused("Malformed", why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use sdpp_ledger::{Digest, TopUp};

    fn call() -> impl Strategy<Value = Call> {
        let bytes = any::<[u8; 32]>();
        let asset = prop_oneof!["[A-Za-z0-9.-]{1,9}/[A-Z]{1,5}", "iou:[A-Za-z0-9./-]{1,20}"];
        let paid = (bytes, "[A-Za-z0-9.-]{1,9}:[0-9a-f]{64}", asset, 1..u128::MAX);
        prop_oneof![
            (bytes, bytes).prop_map(|(reference, digest)| Anchor::One {
                reference: Reference(reference),
                digest: Digest(digest)
            }
            .into_call()),
            (bytes, 1..u32::MAX).prop_map(|(root, count)| Anchor::Root {
                root: Digest(root),
                count
            }
            .into_call()),
            paid.prop_map(|(reference, to, asset, units)| Call::Transfer(Transfer {
                to: to.parse().unwrap(),
                asset: asset.parse().unwrap(),
                amount: Amount::new(units),
                reference: Reference(reference),
            })),
        ]
    }

    trait IntoCall {
        fn into_call(self) -> Call;
    }

    impl IntoCall for Anchor {
        fn into_call(self) -> Call {
            Call::Anchor(self)
        }
    }

    proptest! {
        #[test]
        fn a_call_is_read_back_from_its_bytes(call in call()) {
            let request = Request::of(&call).unwrap();
            prop_assert_eq!(Request::read(&request.bytes()).unwrap(), (request, call));
        }
    }

    #[test]
    fn bytes_that_are_no_call_of_ours_are_refused() {
        let transfer = Transfer {
            to: format!("Org1MSP:{:064}", 1).parse().unwrap(),
            asset: "Org1MSP/USD".parse().unwrap(),
            amount: Amount::new(5),
            reference: Reference([7; 32]),
        };
        let good = String::from_utf8(Request::paying(&transfer).unwrap().bytes()).unwrap();
        assert!(Request::read(good.as_bytes()).is_ok());
        for bad in [
            good.replace(",", ", "),
            good.replace("\"5\"", "\"05\""),
            good.replace("\"5\"", "5"),
            good.replace("\"5\"", "\"0\""),
            good.replace("\"Pay\"", "\"Mint\""),
            good.replace("Org1MSP/USD", "USD"),
            good.replace("0x07", "0X07"),
            good.replace("}", ",\"x\":1}"),
            format!("{good} "),
            String::new(),
        ] {
            assert!(Request::read(bad.as_bytes()).is_err(), "{bad} was taken");
        }
    }

    #[test]
    fn what_can_never_work_is_refused_before_it_is_sent() {
        let transfer = |to: &str, asset: &str, units| {
            let (to, asset) = (to.parse().unwrap(), asset.parse().unwrap());
            let (amount, reference) = (Amount::new(units), Reference([1; 32]));
            Request::of(&Call::Transfer(Transfer { to, asset, amount, reference }))
        };
        let to = format!("Org1MSP:{:064}", 1);
        assert!(transfer(&to, "iou:hours", 1).is_ok());
        assert!(transfer(&to, "iou:hours", 0).is_err());
        assert!(transfer("bob", "iou:hours", 1).is_err());
        assert!(transfer(&to, "coin", 1).is_err());
        let channel = sdpp_ledger::ChannelId([0; 32]);
        let top_up = Call::TopUp(TopUp { channel, amount: Amount::new(1) });
        let refused = Request::of(&top_up).unwrap_err();
        assert!(refused.to_string().contains("NoSuchAbility"), "{refused}");
        let root = Anchor::Root { root: Digest::ZERO, count: 0 };
        assert!(Request::of(&Call::Anchor(root)).is_err());
    }
}
