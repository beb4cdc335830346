//! What a block says of a transaction: whether it is valid, which chaincode it is of and what that
//! told. Only here is the true code of a transaction: by its own id the gateway shows none.
//!
//! A block is final when it is there, so each is read once and its transactions of our chaincode
//! are kept for as long as there is room.

use crate::call::{Function, Request};
use crate::gateway::{Answer, Gateway, Trouble};
use crate::names;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sdpp_ledger::{Account, Amount, Call, Evidence, TxId};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

/// How many transactions of blocks that were read are kept.
const KEPT_MAX: usize = 4_096;

/// The longest text that is kept of one, in characters; references and names are not longer.
const TEXT_MAX: usize = 128;

/// What Fabric calls a transaction that clients sign and chaincodes make.
const ENDORSED: &str = "ENDORSER_TRANSACTION";

/// A transaction as its block has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Placed {
    pub tx: TxId,
    /// Its block's number and hash.
    pub height: u64,
    pub block: String,
    /// What validation made of it: `VALID`, or why not.
    pub code: String,
    /// The time that its client wrote into it, in milliseconds since 1970 UTC. It is the client's
    /// word and nobody checked it: there is no other time in a block.
    pub at_ms: u64,
    /// The chaincode that it is of; `None` where it is none of one chaincode.
    pub chaincode: Option<String>,
    /// The MSP id of who signed it.
    pub msp: String,
    /// The chaincode's function that it called.
    pub function: String,
    /// What it asked for, where it is a call of ours to the last byte.
    pub call: Option<Call>,
    /// What the chaincode told; a repeat tells nothing.
    pub event: Option<Told>,
}

/// What our chaincode told of a row that it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// The function that writes rows of this type; `None` where it is none that we ask for.
    pub function: Option<&'static Function>,
    /// Whose row.
    pub owner: Account,
    /// Under which reference.
    pub reference: String,
}

impl Placed {
    /// Whether it is valid.
    pub fn is_valid(&self) -> bool {
        self.code == "VALID"
    }

    /// Whether it says for good what validation made of it. The gateway leaves this out elsewhere:
    /// what has no code is not invalid, it is not told.
    fn is_validated(&self) -> bool {
        let is_code = |byte: u8| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_');
        !self.code.is_empty() && self.code.bytes().all(is_code) && self.code != "NOT_VALIDATED"
    }

    fn of_configuration(tx: &TxId, height: u64, block: &str) -> Self {
        Placed {
            tx: tx.clone(),
            height,
            block: block.to_owned(),
            code: "VALID".to_owned(),
            at_ms: 0,
            chaincode: None,
            msp: String::new(),
            function: String::new(),
            call: None,
            event: None,
        }
    }

    /// The evidence that it happened, and moved so much.
    pub fn evidence(&self, amount: Amount) -> Evidence {
        Evidence {
            amount,
            ..Evidence::new(self.tx.clone(), self.height, self.block.clone(), self.at_ms)
        }
    }
}

/// The transactions of blocks that were read, the newest last.
#[derive(Default)]
pub(crate) struct Kept(Mutex<Shelf>);

#[derive(Default)]
struct Shelf {
    by_tx: HashMap<TxId, Arc<Placed>>,
    order: VecDeque<TxId>,
}

impl Kept {
    fn find(&self, tx: &TxId) -> Option<Arc<Placed>> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).by_tx.get(tx).cloned()
    }

    fn keep(&self, placed: &Arc<Placed>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Shelf { by_tx, order } = &mut *kept;
        if by_tx.insert(placed.tx.clone(), placed.clone()).is_none() {
            order.push_back(placed.tx.clone());
        }
        if order.len() > KEPT_MAX
            && let Some(oldest) = order.pop_front()
        {
            by_tx.remove(&oldest);
        }
    }
}

impl Gateway {
    /// A transaction as its block has it; `None` where no block has it.
    pub async fn placed(&self, kept: &Kept, tx: &TxId) -> Answer<Option<Arc<Placed>>> {
        if let Some(placed) = kept.find(tx) {
            return Ok(Some(placed));
        }
        let _turn = self.reader().await?;
        // Whoever waited finds what another has read meanwhile: one block tells of many.
        if let Some(placed) = kept.find(tx) {
            return Ok(Some(placed));
        }
        let asked: Answer<Shown> = self.lookup(&["blockByTxId", names::tx(tx)?]).await;
        let block = match asked {
            Ok(shown) => shown.block,
            Err(Trouble::NoSuchTransaction) => return Ok(None),
            Err(trouble) => return Err(trouble),
        };
        let chaincode = &self.settings().chaincode;
        let odd = |what| self.doubt(&format!("a block that {what}"));
        let hash = block.hash().ok_or_else(|| odd("has no hash"))?;
        let is_asked = |placed: &Placed| placed.tx == *tx;
        let mut found: Option<Arc<Placed>> = None;
        let is_configuration = block.transactions.is_none() && block.config.is_some();
        for entry in block.transactions.into_iter().flatten().flatten() {
            let Some(placed) = entry.placed(block.block_number, &hash, chaincode) else { continue };
            let is_first = !found.as_ref().is_some_and(|found| found.is_valid());
            // One id may be there twice, and is valid once at most.
            if is_asked(&placed) && is_first {
                found = Some(Arc::new(placed));
            } else if placed.is_valid() && placed.chaincode.as_ref() == Some(chaincode) {
                kept.keep(&Arc::new(placed));
            }
        }
        if is_configuration {
            // Such a block has one transaction, and does not show its id.
            found = Some(Arc::new(Placed::of_configuration(tx, block.block_number, &hash)));
        }
        let found = found.ok_or_else(|| odd("has not what it was asked for"))?;
        if !found.is_validated() {
            return Err(odd("does not say whether it is valid"));
        }
        kept.keep(&found);
        Ok(Some(found))
    }

    /// The hash of the channel's first block, which tells it from all other channels.
    pub async fn genesis(&self) -> Answer<[u8; 32]> {
        let shown: Shown = self.look(&["blocks", "0"]).await?;
        let hash = shown.block.hash().filter(|_| shown.block.block_number == 0);
        let bytes = hash.and_then(|hash| hex::decode(hash).ok()?.try_into().ok());
        bytes.ok_or_else(|| self.doubt("a first block that has no hash"))
    }
}

/// A block as the gateway shows it: the rest is passed over.
#[derive(Deserialize)]
struct Shown {
    block: Block,
}

#[derive(Deserialize)]
struct Block {
    block_number: u64,
    data_hash: String,
    #[serde(default)]
    previous_hash: String,
    /// None of a block of configuration.
    #[serde(default)]
    transactions: Option<Vec<Option<Entry>>>,
    /// Only of a block of configuration.
    #[serde(default)]
    config: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    r#type: String,
    tx_id: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    timestamp: i64,
    #[serde(default)]
    creator: Option<Creator>,
    #[serde(default)]
    actions: Option<Vec<Action>>,
}

#[derive(Deserialize)]
struct Creator {
    #[serde(default)]
    msp_id: String,
}

#[derive(Deserialize)]
struct Action {
    #[serde(default)]
    chaincode_id: Option<ChaincodeId>,
    #[serde(default)]
    input: Option<Input>,
    #[serde(default)]
    event: Option<Event>,
}

#[derive(Deserialize)]
struct ChaincodeId {
    #[serde(default)]
    name: String,
}

#[derive(Deserialize)]
struct Input {
    #[serde(default)]
    args: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    #[serde(default)]
    chaincode_id: String,
    #[serde(default)]
    transaction_id: String,
    #[serde(default)]
    event_name: String,
    #[serde(default)]
    payload: Value,
}

impl Block {
    /// The hash of its header, as Fabric makes it: SHA-256 over the header's fields in DER.
    fn hash(&self) -> Option<String> {
        let (previous, data) = (hex::decode(&self.previous_hash), hex::decode(&self.data_hash));
        let (previous, data) = (previous.ok()?, data.ok()?);
        if previous.len() > 32 || data.len() != 32 {
            return None;
        }
        let bytes = self.block_number.to_be_bytes();
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count().min(7);
        let mut number = bytes[zeros..].to_vec();
        if number[0] >= 0x80 {
            number.insert(0, 0);
        }
        let fields = [der(0x02, &number), der(0x04, &previous), der(0x04, &data)].concat();
        Some(hex::encode(Sha256::digest(der(0x30, &fields))))
    }
}

/// A value in DER that is shorter than 128 bytes, as all parts of a header are.
fn der(tag: u8, value: &[u8]) -> Vec<u8> {
    let length = u8::try_from(value.len()).unwrap_or(0x7f);
    [&[tag, length], value].concat()
}

impl Entry {
    /// What counts of it; `None` where its id is none.
    fn placed(self, height: u64, block: &str, ours: &str) -> Option<Placed> {
        let tx = Some(&self.tx_id).filter(|tx| names::is_hash(tx))?.parse().ok()?;
        // One action is all that a transaction has; of two it could not be said what it did.
        let mut actions = self.actions.unwrap_or_default();
        let action = if actions.len() == 1 { actions.pop() } else { None };
        let is_endorsed = self.r#type == ENDORSED;
        let named = action.as_ref().and_then(|action| action.chaincode_id.as_ref());
        let chaincode = named.filter(|_| is_endorsed).map(|id| short(id.name.clone()));
        let is_ours = chaincode.as_deref() == Some(ours);
        let (input, event) = action.map_or((None, None), |action| (action.input, action.event));
        let args = input.unwrap_or(Input { args: Vec::new() }).args;
        let mut args = args.into_iter();
        let request = Request { func: args.next().unwrap_or_default(), args: args.collect() };
        let event = event.filter(|event| is_ours && event.is_of(&self.tx_id, ours));
        Some(Placed {
            tx,
            height,
            block: block.to_owned(),
            code: short(self.status),
            at_ms: u64::try_from(self.timestamp / 1_000_000).unwrap_or(0),
            chaincode,
            msp: short(self.creator.map(|creator| creator.msp_id).unwrap_or_default()),
            call: if is_ours { request.call() } else { None },
            function: short(request.func),
            event: event.and_then(|event| event.told()),
        })
    }
}

/// As much of a text that anybody may have written as is kept.
fn short(text: String) -> String {
    if text.len() <= TEXT_MAX { text } else { text.chars().take(TEXT_MAX).collect() }
}

impl Event {
    fn is_of(&self, tx: &str, chaincode: &str) -> bool {
        self.transaction_id == tx && self.chaincode_id == chaincode && !self.event_name.is_empty()
    }

    fn told(&self) -> Option<Told> {
        let payload = match &self.payload {
            Value::String(text) => serde_json::from_slice(&STANDARD.decode(text).ok()?).ok()?,
            payload => payload.clone(),
        };
        Told::read(&self.event_name, &payload)
    }
}

impl Told {
    /// What an event of our chaincode says by its name and its payload.
    pub fn read(name: &str, payload: &Value) -> Option<Told> {
        let text = |field: &str| payload.get(field).and_then(Value::as_str);
        let function = text("type").and_then(Function::writing);
        Some(Told {
            function: function.filter(|function| function.event == name),
            owner: text("owner").filter(|owner| names::is_account(owner))?.parse().ok()?,
            reference: text("reference").filter(|name| name.len() <= TEXT_MAX)?.to_owned(),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use serde_json::json;

    /// A block of a real network, cut to two transactions, one of which is invalid.
    fn recorded() -> Block {
        let shown: Shown = serde_json::from_str(include_str!("../tests/data/block.json")).unwrap();
        shown.block
    }

    #[test]
    fn a_recorded_block_has_its_codes_and_its_hash() {
        let block = recorded();
        let hash = block.hash().unwrap();
        let entries = block.transactions.unwrap().into_iter().flatten();
        let placed: Vec<Placed> =
            entries.filter_map(|entry| entry.placed(34, &hash, "settle")).collect();
        let codes: Vec<&str> = placed.iter().map(|placed| placed.code.as_str()).collect();
        assert_eq!(codes, ["VALID", "MVCC_READ_CONFLICT"]);
        assert!(placed.iter().all(|placed| placed.chaincode.as_deref() == Some("settle")));
        assert_eq!(placed[0].function, "PutRecord");
        assert_eq!(placed[0].msp, "Org1MSP");
        assert_eq!(placed[0].at_ms, 1_795_208_910_468);
        assert_eq!(placed[0].call, None);
    }

    /// The hash of block 58 of a real network is what its next block would name as the one before;
    /// it was recorded as the newest.
    #[test]
    fn a_blocks_hash_is_that_of_its_header() {
        let block = Block {
            block_number: 58,
            previous_hash: "f72088c86951445f181e57652c215ea7322563c70541dd9338c127467602c485"
                .into(),
            data_hash: "5ad39945e4275157caae61813d694f07a02f23bf084b563c1cccf4de78a176ea".into(),
            transactions: None,
            config: None,
        };
        let newest = "58ee38d5dc12a215e787796d557c6ece5065496a87529a335fa2340c76963707";
        assert_eq!(block.hash().as_deref(), Some(newest));
    }

    /// A valid transaction of our chaincode in which a function told of the row that it wrote.
    pub(crate) fn placed(function: &'static Function) -> Placed {
        let row = json!({
            "type": function.row, "owner": format!("Org1MSP:{:064}", 1), "reference": "0x01",
        });
        let payload = STANDARD.encode(row.to_string());
        let told = json!({ "eventName": function.event, "payload": payload });
        let placed = entry(told).placed(1, "", "sdpp").unwrap();
        Placed { function: function.name.to_owned(), ..placed }
    }

    fn entry(event: Value) -> Entry {
        let payment = json!({
            "type": "payment", "owner": format!("Org1MSP:{:064}", 1), "reference": "0x01",
        });
        let payload = STANDARD.encode(payment.to_string());
        let mut whole = json!({
            "chaincodeId": "sdpp", "transactionId": "ab".repeat(32), "eventName": "Paid",
            "payload": payload,
        });
        for (name, value) in event.as_object().unwrap() {
            whole[name] = value.clone();
        }
        let action = json!({ "chaincode_id": {"name": "sdpp"}, "event": whole });
        let entry = json!({
            "type": ENDORSED, "tx_id": "ab".repeat(32), "status": "VALID", "actions": [action],
        });
        serde_json::from_value(entry).unwrap()
    }

    fn told(event: Value) -> Option<Told> {
        entry(event).placed(1, "", "sdpp").unwrap().event
    }

    #[test]
    fn only_what_our_chaincode_told_in_this_transaction_counts() {
        let paid = told(json!({})).unwrap();
        assert_eq!(paid.function.map(|function| function.name), Some("Pay"));
        for other in [
            json!({"chaincodeId": "other"}),
            json!({"transactionId": "cd".repeat(32)}),
            json!({"eventName": ""}),
            json!({"payload": null}),
            json!({"payload": "!"}),
        ] {
            assert_eq!(told(other.clone()), None, "{other} was taken");
        }
        let misnamed = told(json!({"eventName": "Owed"})).unwrap();
        assert_eq!(misnamed.function, None);
        let elsewhere = entry(json!({})).placed(1, "", "other").unwrap();
        assert_eq!((elsewhere.event, elsewhere.call), (None, None));
    }

    #[test]
    fn of_two_actions_nothing_is_believed() {
        let mut entry = entry(json!({}));
        let twice = entry.actions.take().map(|mut actions| {
            let action = json!({ "chaincode_id": {"name": "sdpp"} });
            actions.push(serde_json::from_value(action).unwrap());
            actions
        });
        entry.actions = twice;
        assert_eq!(entry.placed(1, "", "sdpp").unwrap().chaincode, None);
    }

    #[test]
    fn what_was_kept_longest_goes_first() {
        let kept = Kept::default();
        let placed = |n: usize| {
            let mut entry = entry(json!({}));
            entry.tx_id = format!("{n:064}");
            Arc::new(entry.placed(1, "", "sdpp").unwrap())
        };
        (0..KEPT_MAX + 1).for_each(|n| kept.keep(&placed(n)));
        assert!(kept.find(&placed(0).tx).is_none());
        assert!(kept.find(&placed(1).tx).is_some());
        assert_eq!(kept.0.lock().unwrap().order.len(), KEPT_MAX);
    }
}
