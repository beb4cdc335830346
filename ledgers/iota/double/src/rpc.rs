//! The node's methods: JSON-RPC 2.0 with parameters by position.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use iota_sdk_types::{Address, ObjectId, TransactionDigest};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::chain::check;
use crate::chain::checkpoint::Checkpoint;
use crate::chain::refusal::{Refusal, RpcError};
use crate::coin::COIN_TYPE;
use crate::faults::Fault;
use crate::objects;
use crate::openrpc;
use crate::shared::Shared;
use crate::show::{self, Parts};
use crate::world::{self, World};

/// As many coins, or transactions, are in one answer at most.
const PAGE_MAX: usize = 50;
pub(crate) const EXECUTE: &str = "iota_executeTransactionBlock";

/// Which transactions are asked for: those that took an object. A node has more filters.
#[derive(Deserialize)]
struct Query {
    filter: Filter,
    options: Option<Parts>,
}

#[derive(Deserialize)]
struct Filter {
    #[serde(rename = "InputObject")]
    input_object: String,
}

/// A request that can be answered.
pub(crate) struct Request {
    id: Value,
    pub(crate) method: String,
    params: Vec<Value>,
}

impl Request {
    /// Reads a body, or says what to answer instead.
    pub(crate) fn read(body: &[u8]) -> Result<Request, Value> {
        let refuse =
            |code, message: &str| Err(envelope(&Value::Null, Err(RpcError::new(code, message))));
        let request = match serde_json::from_slice::<Value>(body) {
            Ok(Value::Object(request)) => request,
            Ok(Value::Array(_)) => {
                return refuse(-32005, "Batched requests are not supported by this server");
            }
            Ok(_) => return refuse(-32600, "Invalid request"),
            Err(_) => return refuse(-32700, "Parse error"),
        };
        let method = request.get("method").and_then(Value::as_str);
        let (Some(method), Some("2.0")) = (method, request.get("jsonrpc").and_then(Value::as_str))
        else {
            return refuse(-32600, "Invalid request");
        };
        let params = match request.get("params") {
            Some(Value::Array(params)) => params.clone(),
            None | Some(Value::Null) => Vec::new(),
            Some(_) => return refuse(-32602, "Invalid params"),
        };
        let id = request.get("id").cloned().unwrap_or(Value::Null);
        Ok(Request { id, method: method.to_owned(), params })
    }

    /// As the node answers it: `fault` is one of those that happen on the way.
    pub(crate) async fn answer(&self, shared: &Arc<Shared>, fault: Option<&Fault>) -> Value {
        let result = match fault {
            Some(Fault::Refuse { code, message }) => Err(RpcError::new(*code, message.as_str())),
            _ if self.method == EXECUTE => self.execute(shared, fault).await,
            _ => shared.with(|world| self.look_up(world)),
        };
        let asked = openrpc::check_params(&self.method, &self.params);
        let answered = result.as_ref().map(|result| openrpc::check_result(&self.method, result));
        shared.with(|world| {
            world.note_strange(asked);
            world.note_strange(answered.unwrap_or(Ok(())));
        });
        envelope(&self.id, result)
    }

    fn look_up(&self, world: &mut World) -> Result<Value, RpcError> {
        match self.method.as_str() {
            "iota_getChainIdentifier" => Ok(json!(world.chain_id)),
            "iotax_getReferenceGasPrice" => Ok(json!(world.chain.rules.gas_price.to_string())),
            "iotax_getBalance" => self.balance(world),
            "iotax_getAllBalances" => self.all_balances(world),
            "iotax_getCoins" => self.coins(world),
            "iota_getObject" => self.object(world),
            "iota_multiGetObjects" => self.objects(world),
            "iotax_queryTransactionBlocks" => self.query(world),
            "iota_dryRunTransactionBlock" => self.dry_run(world),
            "iota_getTransactionBlock" => self.transaction(world),
            "iota_multiGetTransactionBlocks" => self.transactions(world),
            "iota_isTransactionIndexedOnNode" => {
                let digest = self.digest(0)?;
                Ok(json!(world.view.landed(&world.chain, &digest).is_some()))
            }
            "iota_getCheckpoint" => self.checkpoint(world),
            "iota_getLatestCheckpointSequenceNumber" => Ok(json!(world.view.height().to_string())),
            "rpc.discover" => Ok(openrpc::described()),
            _ => Err(RpcError::new(-32601, "Method not found")),
        }
    }

    fn balance(&self, world: &World) -> Result<Value, RpcError> {
        let owner = self.parsed::<Address>(0)?;
        let coin_type = self.optional::<String>(1)?.unwrap_or_else(|| COIN_TYPE.to_owned());
        let (count, total) = match coin_type == COIN_TYPE {
            true => holdings(world, &owner),
            false => (0, 0),
        };
        Ok(balance(&coin_type, count, total))
    }

    fn all_balances(&self, world: &World) -> Result<Value, RpcError> {
        let (count, total) = holdings(world, &self.parsed(0)?);
        let all = (count > 0).then(|| balance(COIN_TYPE, count, total));
        Ok(all.into_iter().collect())
    }

    fn coins(&self, world: &World) -> Result<Value, RpcError> {
        let owner = self.parsed::<Address>(0)?;
        let coin_type = self.optional::<String>(1)?;
        let cursor = self.optional::<String>(2)?;
        let cursor = cursor.map(|id| id.parse::<ObjectId>().map_err(|_| RpcError::params()));
        let (cursor, limit) = (cursor.transpose()?, self.optional::<usize>(3)?);
        let limit = limit.unwrap_or(PAGE_MAX).clamp(1, PAGE_MAX);
        let known = coin_type.is_none_or(|coin_type| coin_type == COIN_TYPE);
        let coins = world.view.coins_of(&owner).filter(|_| known);
        let mut coins = coins.filter(|coin| cursor.is_none_or(|cursor| coin.id > cursor));
        let page: Vec<_> = coins.by_ref().take(limit).collect();
        Ok(json!({
            "data": page.iter().map(|coin| show::coin(coin)).collect::<Vec<_>>(),
            // Of the last page too: there it leads to an empty one.
            "nextCursor": page.last().map(|coin| coin.id.to_string()),
            "hasNextPage": coins.next().is_some(),
        }))
    }

    fn object(&self, world: &World) -> Result<Value, RpcError> {
        let id = self.parsed::<ObjectId>(0)?;
        Ok(objects::object(world, &id, &self.optional(1)?.unwrap_or_default()))
    }

    fn objects(&self, world: &World) -> Result<Value, RpcError> {
        let ids = self.required::<Vec<String>>(0)?;
        let options = self.optional(1)?.unwrap_or_default();
        if ids.len() > PAGE_MAX {
            return Err(RpcError::new(-32602, format!("Input exceeds limit of {PAGE_MAX}")));
        }
        let one = |text: &String| {
            let id = text.parse::<ObjectId>().map_err(|_| RpcError::params())?;
            Ok(objects::object(world, &id, &options))
        };
        ids.iter().map(one).collect()
    }

    /// What took an object, by the index.
    fn query(&self, world: &World) -> Result<Value, RpcError> {
        let query = self.required::<Query>(0)?;
        let cursor = self.optional::<String>(1)?;
        let cursor = cursor.map(|digest| digest.parse().map_err(|_| RpcError::params()));
        let (cursor, limit) = (cursor.transpose()?, self.optional::<usize>(2)?);
        let limit = limit.filter(|limit| (1..=PAGE_MAX).contains(limit)).unwrap_or(PAGE_MAX);
        let id = query.filter.input_object.parse().map_err(|_| RpcError::params())?;
        let Some(mut digests) = world.view.takers(&world.chain, &id) else {
            return Err(RpcError::new(-32602, "Index store not available on this Fullnode."));
        };
        if self.optional(3)?.unwrap_or(false) {
            digests.reverse();
        }
        let seen = |cursor| digests.iter().position(|digest| *digest == cursor);
        let from = cursor.and_then(seen).map_or(0, |at| at + 1);
        let page: Vec<_> = digests.iter().skip(from).take(limit).collect();
        let next = page.last().copied().or(cursor.as_ref());
        // Where no parts are asked for, not even the checkpoint is among them.
        let one = |digest: &&TransactionDigest| match query.options {
            Some(parts) => shown(world, digest, parts),
            None => Some(json!({ "digest": digest.to_string() })),
        };
        Ok(json!({
            "data": page.iter().filter_map(one).collect::<Value>(),
            "nextCursor": next.map(ToString::to_string),
            "hasNextPage": from + page.len() < digests.len(),
        }))
    }

    fn dry_run(&self, world: &World) -> Result<Value, RpcError> {
        let run = || {
            let transaction = check::decode(&self.required::<String>(0)?)
                .map_err(|refusal| refusal.to_dry_run())?;
            let executed = world.chain.run(&transaction, |reference| world.view.find(reference));
            let executed = executed.map_err(|refusal| refusal.to_dry_run())?;
            Ok(show::dry_run(&transaction, &executed, world.chain.rules.gas_price))
        };
        run()
    }

    fn transaction(&self, world: &World) -> Result<Value, RpcError> {
        let digest = self.digest(0)?;
        let parts = self.optional::<Parts>(1)?.unwrap_or_default();
        shown(world, &digest, parts).ok_or_else(|| {
            let text = "Could not find the referenced transaction";
            RpcError::new(-32602, format!("{text} [TransactionDigest({digest})]."))
        })
    }

    /// An unknown one is listed with its digest alone, and is no error.
    fn transactions(&self, world: &World) -> Result<Value, RpcError> {
        let digests = self.required::<Vec<String>>(0)?;
        let parts = self.optional::<Parts>(1)?.unwrap_or_default();
        if digests.len() > PAGE_MAX {
            let text = "Size limit exceeded: input limit for multi-get transactions is";
            return Err(RpcError::new(-32602, format!("{text} {PAGE_MAX}")));
        }
        let one = |text: &String| {
            let digest = text.parse::<TransactionDigest>().map_err(|_| RpcError::params())?;
            let unknown = || json!({ "digest": digest.to_string() });
            Ok(shown(world, &digest, parts).unwrap_or_else(unknown))
        };
        digests.iter().map(one).collect()
    }

    fn checkpoint(&self, world: &World) -> Result<Value, RpcError> {
        let asked = self.required::<String>(0)?;
        let number = asked.parse::<u64>().ok().filter(|number| *number <= world.view.height());
        number.and_then(|number| world.chain.checkpoint(number)).map(checkpoint).ok_or_else(|| {
            let text = "Verified checkpoint not found for sequence number:";
            RpcError::new(-32602, format!("{text} {asked}"))
        })
    }

    async fn execute(
        &self,
        shared: &Arc<Shared>,
        fault: Option<&Fault>,
    ) -> Result<Value, RpcError> {
        let refuse = |refusal: Refusal| refusal.to_execute();
        let signatures = self.required::<Vec<String>>(1)?;
        let parts = self.optional::<Parts>(2)?.unwrap_or_default();
        let wait = self.optional::<String>(3)?;
        let local = match wait.as_deref() {
            Some("WaitForLocalExecution") => true,
            None | Some("WaitForEffectsCert") => false,
            Some(_) => return Err(RpcError::params()),
        };
        let transaction = check::decode(&self.required::<String>(0)?).map_err(refuse)?;
        let signed = check::signed(transaction, &signatures).map_err(refuse)?;
        let digest = world::digest(&signed);
        shared.with(|world| world.promise(&signed)).map_err(refuse)?;
        if fault == Some(&Fault::HeldPromised) {
            shared.hold().await;
        }
        shared.with(|world| world.land(signed)).map_err(refuse)?;
        let confirmed = local && shared.until_known(&digest).await;
        shared.with(|world| {
            // It landed above, and what was pruned since is gone for the node too.
            let landed = world.chain.landed(&digest).ok_or_else(RpcError::params)?;
            let mut shown = show::landed(landed, parts, world.view.is_without_history());
            shown.insert("confirmedLocalExecution".to_owned(), json!(confirmed));
            Ok(Value::Object(shown))
        })
    }

    fn optional<T: DeserializeOwned>(&self, at: usize) -> Result<Option<T>, RpcError> {
        match self.params.get(at) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => serde_json::from_value(value.clone()).map_err(|_| RpcError::params()),
        }
    }

    fn required<T: DeserializeOwned>(&self, at: usize) -> Result<T, RpcError> {
        self.optional(at)?.ok_or_else(RpcError::params)
    }

    fn parsed<T: std::str::FromStr>(&self, at: usize) -> Result<T, RpcError> {
        self.required::<String>(at)?.parse().map_err(|_| RpcError::params())
    }

    fn digest(&self, at: usize) -> Result<TransactionDigest, RpcError> {
        self.parsed(at)
    }
}

fn shown(world: &World, digest: &TransactionDigest, parts: Parts) -> Option<Value> {
    let (landed, number) = world.view.landed(&world.chain, digest)?;
    let mut shown = show::landed(landed, parts, world.view.is_without_history());
    let checkpoint = number.and_then(|number| world.chain.checkpoint(number));
    if let (Some(number), Some(checkpoint)) = (number, checkpoint) {
        shown.insert("timestampMs".to_owned(), json!(checkpoint.summary.timestamp_ms.to_string()));
        shown.insert("checkpoint".to_owned(), json!(number.to_string()));
    }
    Some(Value::Object(shown))
}

fn checkpoint(checkpoint: &Checkpoint) -> Value {
    let summary = &checkpoint.summary;
    let mut shown = json!({
        "epoch": summary.epoch.to_string(),
        "sequenceNumber": summary.sequence_number.to_string(),
        "digest": checkpoint.digest.to_string(),
        "networkTotalTransactions": summary.network_total_transactions.to_string(),
        "epochRollingGasCostSummary": show::costs(&summary.epoch_rolling_gas_cost_summary),
        "timestampMs": summary.timestamp_ms.to_string(),
        "transactions": checkpoint.transactions.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "checkpointCommitments": [],
        // Nobody signs here: zeros of a signature's length.
        "validatorSignature": STANDARD.encode([0; 48]),
    });
    if let Some(previous) = &summary.previous_digest {
        shown["previousDigest"] = json!(previous.to_string());
    }
    shown
}

fn holdings(world: &World, owner: &Address) -> (usize, u128) {
    let balances = world.view.coins_of(owner).map(|coin| u128::from(coin.balance));
    balances.fold((0, 0), |(count, total), balance| (count + 1, total + balance))
}

fn balance(coin_type: &str, count: usize, total: u128) -> Value {
    json!({ "coinType": coin_type, "coinObjectCount": count, "totalBalance": total.to_string() })
}

fn envelope(id: &Value, result: Result<Value, RpcError>) -> Value {
    match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(RpcError { code, message, data }) => {
            let mut error = json!({ "code": code, "message": message });
            if let Some(data) = data {
                error["data"] = data;
            }
            json!({ "jsonrpc": "2.0", "id": id, "error": error })
        }
    }
}
