//! Rows as the chaincode writes them and answers as it gives them, checked: what is not as the
//! chaincode's README has it is no answer.

use crate::call::{Function, Request};
use crate::gateway::{Answer, Gateway, Trouble};
use crate::names;
use sdpp_ledger::{Account, Amount, TxId};
use serde::Deserialize;
use serde_json::{Map, Value};

/// What stands under an account's reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    /// Whose it is.
    pub owner: Account,
    /// The transaction that wrote it.
    pub tx: TxId,
    /// What was asked for then.
    pub request: Request,
}

/// Who we are there.
#[derive(Debug, Deserialize)]
pub(crate) struct Caller {
    pub account: String,
    pub msp: String,
    pub admin: bool,
}

/// What answers.
#[derive(Debug, Deserialize)]
pub(crate) struct Info {
    pub name: String,
    pub version: String,
}

/// What an account has of an asset.
#[derive(Debug, Deserialize)]
pub(crate) struct Balance {
    /// What it can spend at once.
    pub balance: Amount,
    /// That and what waits for a sweep, where it could be added up.
    pub total: Amount,
    /// There is more than could be added up.
    pub more: bool,
}

/// What waits for a sweep.
#[derive(Debug, Deserialize)]
pub(crate) struct Credits {
    pub credits: Vec<Credit>,
}

/// What one transaction paid.
#[derive(Debug, Deserialize)]
pub(crate) struct Credit {
    pub tx: String,
    pub amount: Amount,
}

/// What an account holds and owes in IOUs of a unit.
#[derive(Debug, Deserialize)]
pub(crate) struct Debts {
    pub held: Debtors,
    pub owed: Debtors,
}

/// One side of that.
#[derive(Debug, Deserialize)]
pub(crate) struct Debtors {
    pub count: u64,
    pub total: Amount,
    pub more: bool,
    /// The first 200 of them.
    pub ious: Vec<Debt>,
}

/// One IOU.
#[derive(Debug, Deserialize)]
pub(crate) struct Debt {
    pub reference: String,
}

impl Debtors {
    /// Whether all of them are listed.
    pub fn is_whole(&self) -> bool {
        !self.more && u64::try_from(self.ious.len()).is_ok_and(|listed| self.count <= listed)
    }
}

impl Gateway {
    /// The row of a function under an account's reference, where there is one.
    pub async fn row(
        &self,
        function: &'static Function,
        owner: &str,
        reference: &str,
    ) -> Answer<Option<Row>> {
        let asked = Request::new("Get", &[function.row, owner, reference]);
        match self.query(&asked).await {
            Ok(fields) => {
                let odd = || self.doubt(&format!("a row of type {} that is odd", function.row));
                Row::read(function, owner, reference, &fields).map(Some).ok_or_else(odd)
            }
            Err(trouble) if trouble.is("NotFound") => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    /// The row that a request of ours would write, or has written.
    pub async fn row_of(&self, request: &Request, owner: &Account) -> Answer<Option<Row>> {
        let none = || Trouble::refused("Malformed", "not done once under a reference");
        let function = request.function().ok_or_else(none)?;
        self.row(function, owner.as_str(), request.reference()).await
    }
}

impl Row {
    /// Reads what was asked for under a type, an account and a reference.
    fn read(
        function: &'static Function,
        owner: &str,
        reference: &str,
        fields: &Map<String, Value>,
    ) -> Option<Row> {
        let text = |name: &str| fields.get(name).and_then(Value::as_str);
        let is_it = text("type") == Some(function.row)
            && text("owner") == Some(owner)
            && text("reference") == Some(reference);
        let tx = text("tx").filter(|tx| is_it && names::is_hash(tx))?;
        let mut args = vec![reference.to_owned()];
        for field in function.fields {
            args.push(argument(fields.get(*field)?));
        }
        let request = Request { func: function.name.to_owned(), args };
        Some(Row { owner: owner.parse().ok()?, tx: tx.parse().ok()?, request })
    }
}

/// A field as the argument that it was: a text is itself, anything else its JSON.
fn argument(field: &Value) -> String {
    field.as_str().map_or_else(|| field.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::{ANCHOR_ROOT, PAY};
    use serde_json::json;

    fn owner() -> String {
        format!("Org1MSP:{:064}", 7)
    }

    fn payment() -> Map<String, Value> {
        let row = json!({
            "type": "payment", "owner": owner(), "reference": "r-1", "tx": "ab".repeat(32),
            "to": format!("Org1MSP:{:064}", 8), "asset": "Org1MSP/USD", "amount": "5",
            "hash": "0x00", "at": "2026-11-20T21:22:41.492Z", "by": {"msp": "Org1MSP"},
        });
        row.as_object().unwrap().clone()
    }

    #[test]
    fn a_row_is_what_was_asked_for_when_it_was_written() {
        let row = Row::read(&PAY, &owner(), "r-1", &payment()).unwrap();
        let to = format!("Org1MSP:{:064}", 8);
        assert_eq!(row.request, Request::new("Pay", &["r-1", &to, "Org1MSP/USD", "5"]));
        let root = json!({
            "type": "root", "owner": owner(), "reference": "0x01", "tx": "ab".repeat(32),
            "count": 3,
        });
        let root = Row::read(&ANCHOR_ROOT, &owner(), "0x01", root.as_object().unwrap()).unwrap();
        assert_eq!(root.request, Request::new("AnchorRoot", &["0x01", "3"]));
    }

    #[test]
    fn a_row_of_another_place_is_no_answer() {
        let read = |change: &dyn Fn(&mut Map<String, Value>)| {
            let mut fields = payment();
            change(&mut fields);
            Row::read(&PAY, &owner(), "r-1", &fields)
        };
        assert!(read(&|_| ()).is_some());
        for (field, value) in
            [("type", "mint"), ("owner", "Org1MSP:00"), ("reference", "r-2"), ("tx", "0xab")]
        {
            let changed = read(&|fields| {
                fields.insert(field.to_owned(), json!(value));
            });
            assert_eq!(changed, None, "{field} {value} was taken");
        }
        assert_eq!(read(&|fields| drop(fields.remove("amount"))), None);
    }
}
