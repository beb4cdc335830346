//! The faucet's HTTP surface: `POST /gas`, `POST /v1/gas` and `GET /v1/status/{task}`.

use hyper::Method;
use iota_sdk_types::{Address, ObjectId, TransactionDigest};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::{Value, json};

use crate::http::Answer;
use crate::shared::Shared;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Asked {
    fixed_amount_request: FixedAmount,
}

#[derive(Deserialize)]
struct FixedAmount {
    recipient: Recipient,
}

struct Recipient(Address);

impl<'de> Deserialize<'de> for Recipient {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Recipient, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Recipient).map_err(|_| D::Error::custom("Deserialization failed"))
    }
}

pub(crate) async fn answer(method: &Method, path: &str, body: &[u8], shared: &Shared) -> Answer {
    let given = match (method, path) {
        (&Method::POST, "/gas" | "/v1/gas") => give(body, shared),
        (&Method::GET, path) => {
            let task = path.strip_prefix("/v1/status/");
            return task.map_or_else(|| Answer::text(404, ""), |task| status(task, shared));
        }
        _ => return Answer::text(404, ""),
    };
    let (tx, coins) = match given {
        Ok(given) => given,
        Err(answer) => return answer,
    };
    // It answers when its node knows the coins.
    shared.until_known(&tx).await;
    match path {
        "/gas" => {
            let body = json!({ "transferredGasObjects": sent(&tx, &coins), "error": null });
            Answer::json(201, &body)
        }
        _ => Answer::json(202, &json!({ "task": task(&tx), "error": null })),
    }
}

type Given = (TransactionDigest, Vec<(ObjectId, u64)>);

fn give(body: &[u8], shared: &Shared) -> Result<Given, Answer> {
    let asked: Asked = serde_json::from_slice(body).map_err(|error| {
        let text = "Failed to deserialize the JSON body into the target type";
        Answer::text(422, format!("{text}: FixedAmountRequest.recipient: {error}"))
    })?;
    let Recipient(payee) = asked.fixed_amount_request.recipient;
    shared.with(|world| world.give(payee)).map_err(|refusal| {
        let error = refusal.to_execute().message;
        Answer::json(500, &json!({ "transferredGasObjects": [], "error": error }))
    })
}

fn sent(tx: &TransactionDigest, coins: &[(ObjectId, u64)]) -> Value {
    let coin = |(id, amount): &(ObjectId, u64)| {
        let (id, tx) = (id.to_string(), tx.to_string());
        json!({ "amount": amount, "id": id, "transferTxDigest": tx })
    };
    coins.iter().map(coin).collect()
}

/// A task is named by the transaction that does it, written like a UUID.
fn task(tx: &TransactionDigest) -> String {
    let hex = hex::encode(&tx.bytes()[..16]);
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    parts.join("-")
}

fn status(asked: &str, shared: &Shared) -> Answer {
    let done = shared.with(|world| world.given(|tx| task(tx) == asked));
    let Some((tx, coins)) = done else {
        return Answer::json(404, &json!({ "status": null, "error": "no such task" }));
    };
    let sent = json!({ "sent": sent(&tx, &coins) });
    let status = json!({ "status": "SUCCEEDED", "transferred_gas_objects": sent });
    Answer::json(201, &json!({ "status": status, "error": null }))
}
