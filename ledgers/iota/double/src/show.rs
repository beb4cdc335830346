//! How a node shows a transaction and what it did: JSON in the recorded shapes.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use iota_sdk_types::{
    Address, Argument, Command, ExecutionError, ExecutionStatus, Input, MoveCall, ObjectDigest,
    ObjectReference, ProgrammableTransaction, SenderSignedTransaction, SignedTransaction,
    TransactionEffectsV1, TransactionV1,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::chain::Landed;
use crate::chain::effect::{Change, Executed, programmable};
use crate::chain::machine::is_known;
use crate::coin::{COIN_OBJECT_TYPE, COIN_TYPE, Coin};

/// Which parts of a transaction are asked for.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Parts {
    show_input: bool,
    show_raw_input: bool,
    show_effects: bool,
    show_raw_effects: bool,
    show_events: bool,
    show_object_changes: bool,
    show_balance_changes: bool,
}

/// The parts of a transaction that are asked for. A node `without_history` cannot tell the changes.
pub(crate) fn landed(landed: &Landed, parts: Parts, without_history: bool) -> Map<String, Value> {
    let (signed, executed) = (&landed.signed, &landed.executed);
    let transaction = landed.transaction();
    let effects = executed.v1();
    let mut shown = Map::new();
    let mut show = |name: &str, asked: bool, part: &dyn Fn() -> Value| {
        if asked {
            shown.insert(name.to_owned(), part());
        }
    };
    show("digest", true, &|| json!(effects.transaction_digest.to_string()));
    show("transaction", parts.show_input, &|| {
        let signatures: Vec<String> = signed.signatures.iter().map(|s| s.to_base64()).collect();
        json!({ "data": data(transaction), "txSignatures": signatures })
    });
    show("rawTransaction", parts.show_raw_input, &|| json!(raw_transaction(signed)));
    show("effects", parts.show_effects, &|| self::effects(effects));
    show("events", parts.show_events, &|| json!([]));
    let (objects, balances) = (parts.show_object_changes, parts.show_balance_changes);
    show("objectChanges", objects && !without_history, &|| {
        object_changes(transaction.sender, &executed.changes)
    });
    show("balanceChanges", balances && !without_history, &|| balance_changes(&executed.changes));
    show("errors", without_history && (objects || balances), &|| lost(executed, parts));
    show("rawEffects", parts.show_raw_effects, &|| json!(bytes(&executed.effects)));
    shown
}

/// The whole answer to a dry run.
pub(crate) fn dry_run(transaction: &TransactionV1, executed: &Executed, gas_price: u64) -> Value {
    json!({
        "effects": effects(executed.v1()),
        "events": [],
        "objectChanges": object_changes(transaction.sender, &executed.changes),
        "balanceChanges": balance_changes(&executed.changes),
        "input": data(transaction),
        "suggestedGasPrice": gas_price.to_string(),
        "executionErrorSource": executed.source,
    })
}

/// A coin as `iotax_getCoins` lists it.
pub(crate) fn coin(coin: &Coin) -> Value {
    json!({
        "coinType": COIN_TYPE,
        "coinObjectId": coin.id.to_string(),
        "version": coin.version.to_string(),
        "digest": coin.digest.to_string(),
        "balance": coin.balance.to_string(),
        "previousTransaction": coin.previous.to_string(),
    })
}

/// A transaction with its signatures, in BCS as nodes keep it.
fn raw_transaction(signed: &SignedTransaction) -> String {
    STANDARD.encode(bytes(&SenderSignedTransaction::from(signed.clone())))
}

fn bytes<T: serde::Serialize>(value: &T) -> Vec<u8> {
    // All that is written was read from BCS, or is made of types that have it.
    bcs::to_bytes(value).unwrap_or_default()
}

/// What a node says instead of changes that it cannot tell, as its objects' history is gone.
fn lost(executed: &Executed, parts: Parts) -> Value {
    let first = executed.changes.iter().find_map(|change| change.before.as_ref());
    let why =
        first.map_or_else(String::new, |coin| crate::chain::check::not_found(&coin.reference()));
    let asked = [(parts.show_balance_changes, "balance"), (parts.show_object_changes, "object")];
    let asked = asked.iter().filter(|(asked, _)| *asked);
    asked.map(|(_, what)| json!(format!("Cannot retrieve {what} changes: {why}"))).collect()
}

fn data(transaction: &TransactionV1) -> Value {
    let payment = &transaction.gas_payment;
    json!({
        "messageVersion": "v1",
        // Only these are taken.
        "transaction": programmable(transaction).map(programmable_data),
        "sender": transaction.sender.to_string(),
        "gasData": {
            "payment": payment.objects.iter().map(reference).collect::<Vec<_>>(),
            "owner": payment.owner.to_string(),
            "price": payment.price.to_string(),
            "budget": payment.budget.to_string(),
        },
    })
}

fn programmable_data(programmable: &ProgrammableTransaction) -> Value {
    let kinds = pure_kinds(programmable);
    let inputs = programmable.inputs.iter().enumerate();
    json!({
        "kind": "ProgrammableTransaction",
        "inputs": inputs.map(|(at, shown)| input(shown, kinds.get(&at))).collect::<Vec<_>>(),
        "transactions": programmable.commands.iter().map(command).collect::<Vec<_>>(),
    })
}

/// What a pure input is used as.
#[derive(Clone, Copy)]
enum PureKind {
    Address,
    Number,
    Bytes,
}

/// What each pure input is, told by the commands that use it.
fn pure_kinds(programmable: &ProgrammableTransaction) -> BTreeMap<usize, PureKind> {
    let mut kinds = BTreeMap::new();
    let mut learn = |given: &Argument, kind: PureKind| {
        if let Argument::Input(at) = given {
            kinds.entry(usize::from(*at)).or_insert(kind);
        }
    };
    for command in &programmable.commands {
        match command {
            Command::SplitCoins(split) => {
                split.amounts.iter().for_each(|amount| learn(amount, PureKind::Number));
            }
            Command::TransferObjects(transfer) => learn(&transfer.address, PureKind::Address),
            Command::MoveCall(call) if is_known(call) => {
                call.arguments.iter().for_each(|given| learn(given, PureKind::Bytes));
            }
            _ => {}
        }
    }
    kinds
}

fn input(input: &Input, kind: Option<&PureKind>) -> Value {
    match input {
        Input::Pure(bytes) => {
            let (kind, value) = pure(bytes, kind);
            json!({ "type": "pure", "valueType": kind, "value": value })
        }
        Input::ImmutableOrOwned(object) => json!({
            "type": "object",
            "objectType": "immOrOwnedObject",
            "objectId": object.object_id.to_string(),
            "version": object.version.as_u64().to_string(),
            "digest": object.digest.to_string(),
        }),
        // Others are not taken.
        _ => Value::Null,
    }
}

fn pure(bytes: &[u8], kind: Option<&PureKind>) -> (Value, Value) {
    let known = match kind {
        Some(PureKind::Address) => {
            let address = <[u8; 32]>::try_from(bytes).ok().map(Address::new);
            address.map(|address| ("address", json!(address.to_string())))
        }
        Some(PureKind::Number) => {
            let number = <[u8; 8]>::try_from(bytes).ok().map(u64::from_le_bytes);
            number.map(|number| ("u64", json!(number.to_string())))
        }
        Some(PureKind::Bytes) => {
            bcs::from_bytes::<Vec<u8>>(bytes).ok().map(|bytes| ("vector<u8>", json!(bytes)))
        }
        None => None,
    };
    known.map_or((Value::Null, json!(bytes)), |(kind, value)| (json!(kind), value))
}

fn command(command: &Command) -> Value {
    let all = |given: &[Argument]| given.iter().map(argument).collect::<Vec<_>>();
    match command {
        Command::SplitCoins(split) => {
            json!({ "SplitCoins": [argument(&split.coin), all(&split.amounts)] })
        }
        Command::MergeCoins(merge) => {
            json!({ "MergeCoins": [argument(&merge.coin), all(&merge.coins_to_merge)] })
        }
        Command::TransferObjects(transfer) => {
            json!({ "TransferObjects": [all(&transfer.objects), argument(&transfer.address)] })
        }
        Command::MoveCall(call) => json!({ "MoveCall": move_call(call) }),
        // Others are not taken.
        _ => Value::Null,
    }
}

fn move_call(call: &MoveCall) -> Value {
    json!({
        "package": call.package.to_string(),
        "module": call.module.to_string(),
        "function": call.function.to_string(),
        "arguments": call.arguments.iter().map(argument).collect::<Vec<_>>(),
    })
}

fn argument(argument: &Argument) -> Value {
    match argument {
        Argument::Gas => json!("GasCoin"),
        Argument::Input(at) => json!({ "Input": at }),
        Argument::Result(at) => json!({ "Result": at }),
        Argument::NestedResult(at, sub) => json!({ "NestedResult": [at, sub] }),
        _ => Value::Null,
    }
}

fn effects(effects: &TransactionEffectsV1) -> Value {
    let version = effects.lamport_version.as_u64();
    let mut lists: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    let mut before = Vec::new();
    let mut written = Vec::new();
    for changed in &effects.changed_objects {
        let id = changed.object_id.to_string();
        if let Some(version) = changed.input_state.opt_version() {
            let version = version.as_u64().to_string();
            before.push(json!({ "objectId": id, "sequenceNumber": version }));
        }
        let digest = changed.output_state.opt_object_digest();
        let digest_or_gone = digest.unwrap_or(ObjectDigest::OBJECT_DELETED).to_string();
        let reference = json!({ "objectId": id, "version": version, "digest": digest_or_gone });
        let shown = match changed.output_state.opt_object_owner() {
            Some(owner) => {
                json!({ "owner": { "AddressOwner": owner_address(&owner) }, "reference": reference })
            }
            None => reference,
        };
        let list = match (digest, changed.input_state.opt_version()) {
            (None, _) => "deleted",
            (_, None) => "created",
            _ => "mutated",
        };
        written.push(shown.clone());
        lists.entry(list).or_default().push(shown);
    }
    let gas = effects.gas_object_index.and_then(|at| written.get(at as usize).cloned());
    let dependencies = effects.dependencies.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut shown = json!({
        "messageVersion": "v1",
        "status": status(&effects.status),
        "executedEpoch": effects.epoch.to_string(),
        "gasUsed": costs(&effects.gas_cost_summary),
        "modifiedAtVersions": before,
        "transactionDigest": effects.transaction_digest.to_string(),
        "gasObject": gas,
        "dependencies": dependencies,
    });
    // Lists with nothing in them are left out.
    for (name, list) in lists {
        shown[name] = json!(list);
    }
    shown
}

/// Costs as a node shows them, in NANOS.
pub(crate) fn costs(costs: &iota_sdk_types::GasCostSummary) -> Value {
    json!({
        "computationCost": costs.computation_cost.to_string(),
        "computationCostBurned": costs.computation_cost_burned.to_string(),
        "storageCost": costs.storage_cost.to_string(),
        "storageRebate": costs.storage_rebate.to_string(),
        "nonRefundableStorageFee": costs.non_refundable_storage_fee.to_string(),
    })
}

fn owner_address(owner: &iota_sdk_types::Owner) -> String {
    owner.address_or_object().map(ToString::to_string).unwrap_or_default()
}

fn status(status: &ExecutionStatus) -> Value {
    let ExecutionStatus::Failure { error, command } = status else {
        return json!({ "status": "success" });
    };
    let text = error_text(error);
    let text = command.map_or(text.clone(), |command| format!("{text} in command {command}"));
    json!({ "status": "failure", "error": text })
}

/// Nodes end these two with a full stop, which the types do not have.
fn error_text(error: &ExecutionError) -> String {
    match error {
        ExecutionError::InsufficientCoinBalance | ExecutionError::InsufficientGas => {
            format!("{error}.")
        }
        other => other.to_string(),
    }
}

fn object_changes(sender: Address, changes: &[Change]) -> Value {
    let mut lists = [Vec::new(), Vec::new(), Vec::new()];
    for change in changes {
        let (list, kind) = match (&change.before, &change.after) {
            (Some(_), Some(_)) => (0, "mutated"),
            (None, _) => (1, "created"),
            (_, None) => (2, "deleted"),
        };
        let Some(coin) = change.after.as_ref().or(change.before.as_ref()) else { continue };
        let mut shown = json!({
            "type": kind,
            "sender": sender.to_string(),
            "objectType": COIN_OBJECT_TYPE,
            "objectId": coin.id.to_string(),
            "version": written_version(changes).to_string(),
        });
        if let Some(after) = &change.after {
            shown["owner"] = json!({ "AddressOwner": after.owner.to_string() });
            shown["digest"] = json!(after.digest.to_string());
            if let Some(before) = &change.before {
                shown["previousVersion"] = json!(before.version.to_string());
            }
        }
        lists[list].push(shown);
    }
    json!(lists.concat())
}

/// The version of all that a transaction wrote. The gas coin is always among it.
fn written_version(changes: &[Change]) -> u64 {
    changes.iter().find_map(|change| change.after.as_ref()).map_or(0, |coin| coin.version)
}

fn balance_changes(changes: &[Change]) -> Value {
    let mut sums: BTreeMap<Address, i128> = BTreeMap::new();
    for change in changes {
        if let Some(before) = &change.before {
            *sums.entry(before.owner).or_default() -= i128::from(before.balance);
        }
        if let Some(after) = &change.after {
            *sums.entry(after.owner).or_default() += i128::from(after.balance);
        }
    }
    sums.iter()
        .filter(|(_, amount)| **amount != 0)
        .map(|(owner, amount)| {
            json!({
                "owner": { "AddressOwner": owner.to_string() },
                "coinType": COIN_TYPE,
                "amount": amount.to_string(),
            })
        })
        .collect()
}

fn reference(reference: &ObjectReference) -> Value {
    json!({
        "objectId": reference.object_id.to_string(),
        "version": reference.version.as_u64(),
        "digest": reference.digest.to_string(),
    })
}
