//! Whether a transaction is taken: its form, its signature, its gas, and what it takes.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use iota_sdk_types::{
    Command, Input, ObjectReference, ProgrammableTransaction, SignedTransaction, SimpleSignature,
    Transaction, TransactionExpiration, TransactionV1, UserSignature,
};

use super::Rules;
use super::effect::{coins_among, programmable};
use super::machine::is_known;
use super::refusal::Refusal;
use crate::coin::Coin;

/// As the protocol of the recorded network has them (version 23).
const TRANSACTION_BYTES_MAX: usize = 131_072;
const PURE_BYTES_MAX: usize = 16_384;
const COMMANDS_MAX: usize = 1_024;
const ARGUMENTS_MAX: usize = 512;
const INPUTS_MAX: usize = 2_048;
const GAS_COINS_MAX: usize = 256;
const GAS_PRICE_MAX: u64 = 100_000;
const BUDGET_MAX: u64 = 50_000_000_000;
/// Times the gas price: the least budget.
const BUDGET_MIN_UNITS: u64 = 1_000;

/// The coins that a transaction takes.
#[derive(Debug)]
pub(crate) struct Taken {
    /// Those that pay the gas, in the transaction's order.
    pub(crate) gas: Vec<Coin>,
    pub(crate) inputs: Vec<Coin>,
}

/// Reads a transaction as it stands in a request: BCS in base64.
pub(crate) fn decode(bytes: &str) -> Result<TransactionV1, Refusal> {
    let malformed = |error: &dyn std::fmt::Display| Refusal::Malformed(error.to_string());
    let bytes = STANDARD.decode(bytes).map_err(|error| malformed(&error))?;
    let read = bcs::from_bytes::<Transaction>(&bytes);
    match read.map_err(|error| malformed(&format!("Deserialization error: {error}")))? {
        Transaction::V1(transaction) => Ok(transaction),
        _ => Err(Refusal::NotServed("another version of transactions".to_owned())),
    }
}

/// Puts a transaction and its signatures together, if they are those of its sender.
pub(crate) fn signed(
    transaction: TransactionV1,
    signatures: &[String],
) -> Result<SignedTransaction, Refusal> {
    let read = |text: &String| {
        UserSignature::from_base64(text).map_err(|error| Refusal::Malformed(error.to_string()))
    };
    let signatures = signatures.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    if transaction.gas_payment.owner != transaction.sender {
        return Err(Refusal::NotServed("gas that another pays".to_owned()));
    }
    let [signature] = signatures.as_slice() else {
        let text = format!("Expect 1 signer signatures but got {}", signatures.len());
        return Err(Refusal::Signature(text));
    };
    let (expected, actual) = (transaction.sender, signature.derive_address());
    if expected != actual {
        let text = format!("Required Signature from {expected} is absent [\"{actual}\"]");
        return Err(Refusal::Signature(text));
    }
    if !holds(signature, &transaction)? {
        return Err(Refusal::Signature(
            "Signature is not valid: Fail to verify user sig Invalid signature was given to the \
             function"
                .to_owned(),
        ));
    }
    Ok(SignedTransaction { transaction: Transaction::V1(transaction), signatures })
}

fn holds(signature: &UserSignature, transaction: &TransactionV1) -> Result<bool, Refusal> {
    let message = transaction.signing_digest();
    match signature {
        UserSignature::Simple(SimpleSignature::Ed25519 { signature, public_key }) => {
            use ed25519_dalek::{Signature, Verifier, VerifyingKey};
            let signature = Signature::from_bytes(signature.bytes());
            let key = VerifyingKey::from_bytes(public_key.bytes());
            Ok(key.is_ok_and(|key| key.verify(&message, &signature).is_ok()))
        }
        UserSignature::Simple(SimpleSignature::Secp256k1 { signature, public_key }) => {
            use k256::ecdsa::{Signature, VerifyingKey, signature::Verifier};
            let signature = Signature::from_slice(signature.bytes());
            let key = VerifyingKey::from_sec1_bytes(public_key.bytes());
            Ok(matches!((key, signature), (Ok(key), Ok(signature))
                if key.verify(&message, &signature).is_ok()))
        }
        other => Err(Refusal::NotServed(format!("a signature of the scheme {:?}", other.scheme()))),
    }
}

/// What needs no coins to be known: sizes, commands, gas price and budget.
pub(crate) fn form<'a>(
    rules: &Rules,
    epoch: u64,
    transaction: &'a TransactionV1,
) -> Result<&'a ProgrammableTransaction, Refusal> {
    let Some(programmable) = programmable(transaction) else {
        return Err(Refusal::NotServed("a transaction of the system".to_owned()));
    };
    if matches!(transaction.expiration, TransactionExpiration::Epoch(last) if last < epoch) {
        return Err(Refusal::Input("Transaction Expired".to_owned()));
    }
    sizes(transaction, programmable)?;
    commands(programmable)?;
    gas(rules, transaction)?;
    Ok(programmable)
}

fn sizes(
    transaction: &TransactionV1,
    programmable: &ProgrammableTransaction,
) -> Result<(), Refusal> {
    let size = bcs::serialized_size(&Transaction::V1(transaction.clone())).unwrap_or(usize::MAX);
    let limit = |what: &str, max: usize, exceeded: bool| match exceeded {
        true => Err(Refusal::Input(format!("Size limit exceeded: {what} is {max}"))),
        false => Ok(()),
    };
    let pure = |input: &Input| matches!(input, Input::Pure(bytes) if bytes.len() >= PURE_BYTES_MAX);
    let gas = transaction.gas_payment.objects.len();
    let inputs = coins_among(&programmable.inputs).count() + gas;
    limit("serialized transaction size exceeded maximum", TRANSACTION_BYTES_MAX, {
        size > TRANSACTION_BYTES_MAX
    })?;
    limit("maximum number of gas payment objects", GAS_COINS_MAX, gas >= GAS_COINS_MAX)?;
    limit("maximum input objects in a transaction", INPUTS_MAX, inputs > INPUTS_MAX)?;
    limit("maximum commands in a programmable transaction", COMMANDS_MAX, {
        programmable.commands.len() > COMMANDS_MAX
    })?;
    limit("maximum pure argument size", PURE_BYTES_MAX, programmable.inputs.iter().any(pure))
}

fn commands(programmable: &ProgrammableTransaction) -> Result<(), Refusal> {
    if programmable
        .inputs
        .iter()
        .any(|input| !matches!(input, Input::Pure(_) | Input::ImmutableOrOwned(_)))
    {
        return Err(Refusal::NotServed("inputs that are shared or received".to_owned()));
    }
    for command in &programmable.commands {
        let (arguments, may_be_none) = match command {
            Command::SplitCoins(split) => (split.amounts.len(), true),
            Command::MergeCoins(merge) => (merge.coins_to_merge.len(), false),
            Command::TransferObjects(transfer) => (transfer.objects.len(), false),
            Command::MoveCall(call) if is_known(call) => (call.arguments.len(), true),
            Command::MoveCall(call) => {
                let what = format!("{}::{}::{}", call.package, call.module, call.function);
                return Err(Refusal::NotServed(format!("the Move function {what}")));
            }
            _ => return Err(Refusal::NotServed("a command of this kind".to_owned())),
        };
        if arguments == 0 && !may_be_none {
            return Err(Refusal::Input(EMPTY_COMMAND.to_owned()));
        }
        if arguments > ARGUMENTS_MAX {
            let text = "Size limit exceeded: maximum arguments in a command is";
            return Err(Refusal::Input(format!("{text} {ARGUMENTS_MAX}")));
        }
    }
    Ok(())
}

const EMPTY_COMMAND: &str = "TransferObjects, MergeCoin, and Publish cannot have empty arguments. \
    If MakeMoveVec has empty arguments, it must have a type specified";

fn gas(rules: &Rules, transaction: &TransactionV1) -> Result<(), Refusal> {
    let payment = &transaction.gas_payment;
    let (price, budget, reference) = (payment.price, payment.budget, rules.gas_price);
    let text = if payment.objects.is_empty() {
        "Transaction gas payment missing".to_owned()
    } else if price < reference {
        format!("Gas price {price} under reference gas price (RGP) {reference}")
    } else if price > GAS_PRICE_MAX {
        format!("Gas price cannot exceed {GAS_PRICE_MAX} nanos")
    } else if budget > BUDGET_MAX {
        format!("Gas budget: {budget} is higher than max: {BUDGET_MAX}")
    } else if budget < price * BUDGET_MIN_UNITS {
        format!("Gas budget: {budget} is lower than min: {}", price * BUDGET_MIN_UNITS)
    } else {
        return Ok(());
    };
    Err(Refusal::Input(text))
}

/// Finds the coins that a transaction takes, if they are as it says and its sender's.
pub(crate) fn coins(
    transaction: &TransactionV1,
    programmable: &ProgrammableTransaction,
    find: impl Fn(&ObjectReference) -> Option<Coin>,
) -> Result<Taken, Refusal> {
    let mut seen = BTreeSet::new();
    let mut take = |reference: &ObjectReference| {
        let id = reference.object_id;
        if !seen.insert(id) {
            return Err(Refusal::Input(format!(
                "Mutable object {id} cannot appear more than once in one transaction"
            )));
        }
        owned(transaction, reference, find(reference))
    };
    let inputs = coins_among(&programmable.inputs).map(&mut take).collect::<Result<Vec<_>, _>>()?;
    let gas = transaction.gas_payment.objects.iter().map(&mut take);
    let gas = gas.collect::<Result<Vec<_>, _>>()?;
    let (balance, budget) = (
        gas.iter().map(|coin| u128::from(coin.balance)).sum::<u128>(),
        transaction.gas_payment.budget,
    );
    if balance < u128::from(budget) {
        return Err(Refusal::Input(format!(
            "Balance of gas object {balance} is lower than the needed amount: {budget}"
        )));
    }
    Ok(Taken { gas, inputs })
}

fn owned(
    transaction: &TransactionV1,
    reference: &ObjectReference,
    coin: Option<Coin>,
) -> Result<Coin, Refusal> {
    let (id, version, sender) =
        (reference.object_id, reference.version.as_u64(), transaction.sender);
    let text = match coin {
        Some(coin) if coin.version == version && coin.digest != reference.digest => {
            format!("Invalid Object digest for object {id}. Expected digest : {}", coin.digest)
        }
        Some(coin) if coin.version > version => format!(
            "Object ID {id} Version {version:#x} Digest {} is not available for consumption, \
             current version: {:#x}",
            reference.digest, coin.version
        ),
        Some(coin) if coin.version == version && coin.owner != sender => format!(
            "Transaction was not signed by the correct sender: Object {id} is owned by account \
             address {}, but given owner/signer address is {sender}",
            coin.owner
        ),
        Some(coin) if coin.version == version => return Ok(coin),
        Some(_) => not_found(reference),
        None => gone(reference),
    };
    Err(Refusal::Input(text))
}

/// That there is no such object any more, or was never one, in the words of a node.
fn gone(reference: &ObjectReference) -> String {
    format!("Could not find the referenced object {} at version None", reference.object_id)
}

/// That an object is not there at a version, in the words of a node.
pub(crate) fn not_found(reference: &ObjectReference) -> String {
    let (id, version) = (reference.object_id, reference.version.as_u64());
    format!("Could not find the referenced object {id} at version Some(SequenceNumber({version}))")
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// Bytes on which three implementations agree.
    #[test]
    fn the_vectors_are_decoded_and_their_digests_and_signatures_are_right() {
        let vectors = include_str!("../../tests/data/vectors.json");
        let vectors: Value = serde_json::from_str(vectors).unwrap();
        let vectors = vectors["vectors"].as_array().unwrap();
        assert_eq!(vectors.len(), 2);
        for vector in vectors {
            let text = |name: &str| vector[name].as_str().unwrap().to_owned();
            let transaction = decode(&text("b64")).unwrap();
            assert_eq!(transaction.digest().to_string(), text("digest"));
            assert_eq!(transaction.signing_digest_hex(), text("signing_digest"));
            assert_eq!(transaction.sender.to_string(), text("from"));
            let mut changed = transaction.clone();
            assert!(signed(transaction, &[text("signature")]).is_ok());
            changed.gas_payment.budget += 1;
            let refused = signed(changed, &[text("signature")]).unwrap_err();
            assert!(matches!(refused, Refusal::Signature(_)), "{refused:?}");
        }
    }
}
