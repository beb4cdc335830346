//! Why a transaction was not taken, in the words of a node.

use iota_sdk_types::{ObjectReference, TransactionDigest};
use serde_json::{Value, json};

/// A transaction that was not taken: nothing happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Something about what it takes or offers, in the words of the validators.
    Input(String),
    /// A signature that does not hold.
    Signature(String),
    /// What it takes is promised to others.
    Reserved(Vec<Lock>),
    /// What is no transaction at all.
    Malformed(String),
    /// What the double does not do, and a node perhaps would.
    NotServed(String),
}

/// A version of a coin that was promised to others: one has all votes, or each has a share with
/// which none of them can ever land.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lock {
    pub(crate) object: ObjectReference,
    pub(crate) holders: Vec<TransactionDigest>,
}

/// An error of the JSON-RPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RpcError {
    pub(crate) code: i64,
    pub(crate) message: String,
    pub(crate) data: Option<Value>,
}

impl RpcError {
    pub(crate) fn new(code: i64, message: impl Into<String>) -> RpcError {
        RpcError { code, message: message.into(), data: None }
    }

    /// Parameters that are not of their form.
    pub(crate) fn params() -> RpcError {
        let data = Some(json!("Deserialization failed"));
        RpcError { code: -32602, message: "Invalid params".to_owned(), data }
    }
}

const INPUTS: &str = "Transaction execution failed due to issues with transaction inputs, \
    please review the errors and try again:\n- ";
const LOCKED: &str =
    "Failed to sign transaction by a quorum of validators because one or more of its objects is";

impl Refusal {
    /// As an answer to `iota_executeTransactionBlock`.
    pub(crate) fn to_execute(&self) -> RpcError {
        match self {
            Refusal::Input(text) => RpcError::new(-32002, format!("{INPUTS}{text}")),
            Refusal::Signature(text) => {
                RpcError::new(-32002, format!("Invalid user signature: {text}"))
            }
            Refusal::Reserved(locks) => reserved(locks),
            Refusal::Malformed(text) => RpcError::new(-32602, text.as_str()),
            Refusal::NotServed(what) => not_served(what),
        }
    }

    /// As an answer to `iota_dryRunTransactionBlock`, which asks for no signature and no locks.
    pub(crate) fn to_dry_run(&self) -> RpcError {
        match self {
            Refusal::Input(text) => {
                RpcError::new(-32602, format!("Error checking transaction input objects: {text}"))
            }
            other => other.to_execute(),
        }
    }
}

fn reserved(locks: &[Lock]) -> RpcError {
    let equivocated = locks.iter().any(|lock| lock.holders.len() > 1);
    let how = if equivocated {
        "equivocated until the next epoch"
    } else {
        "reserved for another transaction"
    };
    let mut message = format!("{LOCKED} {how}. Other transactions locking these objects:");
    let mut data = serde_json::Map::new();
    for Lock { object, holders } in locks {
        let (id, version) = (object.object_id.to_string(), object.version.as_u64());
        let object = json!([id, version, object.digest.to_string()]);
        let stake = 100 / holders.len().max(1);
        for holder in holders.iter().map(ToString::to_string) {
            let of_holder = data.entry(&holder).or_insert_with(|| {
                message.push_str(&format!("\n- {holder} (stake {stake}.0)"));
                json!([])
            });
            if let Some(list) = of_holder.as_array_mut() {
                list.push(object.clone());
            }
        }
    }
    RpcError { code: -32002, message, data: Some(Value::Object(data)) }
}

fn not_served(what: &str) -> RpcError {
    RpcError::new(-32000, format!("a double of a node, which does not serve this: {what}"))
}
