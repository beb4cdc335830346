//! What a node tells of objects that are there, were there, and of what took them.

#![allow(clippy::unwrap_used)]

mod support;

use iota_sdk_types::{Argument, Command, Input, ObjectReference, Version};
use sdpp_iota_double::{Double, GenesisCoin, Options};
use serde_json::{Value, json};

use support::{Payer, Signed, ask, post};

const COIN: u64 = 200_000_000_000;

/// A double with coins of the payer.
fn start(coins: u64) -> Double {
    let coin = |number| GenesisCoin::new(Payer::recorded().address(), COIN, number);
    Double::start(Options { coins: (0..coins).map(coin).collect(), ..Options::default() }).unwrap()
}

/// The payer's coins.
async fn coins(double: &Double) -> Vec<ObjectReference> {
    let owner = Payer::recorded().address().to_string();
    let listed = ask(double, "iotax_getCoins", json!([owner])).await;
    let coin = |coin: &Value| {
        let text = |name: &str| coin[name].as_str().unwrap();
        let (id, digest) = (text("coinObjectId").parse(), text("digest").parse());
        let version = Version::from_u64(text("version").parse().unwrap());
        ObjectReference::new(id.unwrap(), version, digest.unwrap())
    };
    listed["result"]["data"].as_array().unwrap().iter().map(coin).collect()
}

/// Merges the second of two coins into the first.
async fn merge(double: &Double, [into, from]: [ObjectReference; 2]) -> Signed {
    let merge = Command::new_merge_coins(Argument::Gas, vec![Argument::Input(0)]);
    let inputs = vec![Input::ImmutableOrOwned(from)];
    let payer = Payer::recorded();
    let signed = payer.sign(payer.transaction(inputs, vec![merge], vec![into]));
    let (_, answer) = post(&double.url(), &signed.execute()).await;
    assert_eq!(answer["result"]["effects"]["status"]["status"], "success", "{answer}");
    signed
}

async fn takers(double: &Double, coin: &ObjectReference, rest: [Value; 3]) -> Value {
    let query = json!({ "filter": { "InputObject": coin.object_id.to_string() } });
    let [cursor, limit, descending] = rest;
    let answer =
        ask(double, "iotax_queryTransactionBlocks", json!([query, cursor, limit, descending]));
    answer.await
}

#[tokio::test]
async fn a_coin_that_was_merged_away_is_deleted_and_one_that_never_was_is_unknown() {
    let double = start(2);
    let [kept, gone] = coins(&double).await[..] else { panic!("two coins") };
    merge(&double, [kept, gone]).await;
    let never = support::PAYEE;
    let ids = json!([gone.object_id.to_string(), kept.object_id.to_string(), never]);
    let shown = ask(&double, "iota_multiGetObjects", json!([ids, {}])).await;
    let shown = shown["result"].as_array().unwrap();
    let expected = json!({ "error": {
        "code": "deleted",
        "object_id": gone.object_id.to_string(),
        "version": 2,
        "digest": "7gyGAp71YXQRoxmFBaHxofQXAipvgHyBKPyxmdSJxyvz",
    } });
    assert_eq!(shown[0], expected);
    assert_eq!(shown[1]["data"]["version"], "2");
    assert_eq!(shown[2]["error"], json!({ "code": "notExists", "object_id": never }));
    let payment = Payer::recorded().sign(Payer::recorded().payment(gone, 1));
    let (_, refused) = post(&double.url(), &payment.execute()).await;
    let words = format!("Could not find the referenced object {} at version None", gone.object_id);
    assert!(refused["error"]["message"].as_str().unwrap().ends_with(&words), "{refused}");
    let many = vec![never; 51];
    let refused = ask(&double, "iota_multiGetObjects", json!([many])).await;
    assert_eq!(refused["error"]["message"], "Input exceeds limit of 50");
    merge_is_forgotten(&double, gone).await;
    assert_eq!(double.tally().strange, Vec::<String>::new());
}

async fn merge_is_forgotten(double: &Double, gone: ObjectReference) {
    let [coin] = coins(double).await[..] else { panic!("one coin") };
    let payment = Payer::recorded().sign(Payer::recorded().payment(coin, 1));
    post(&double.url(), &payment.execute()).await;
    double.prune(double.height());
    let shown = ask(double, "iota_getObject", json!([gone.object_id.to_string()])).await;
    assert_eq!(shown["result"]["error"]["code"], "notExists");
}

#[tokio::test]
async fn what_took_a_coin_is_told_in_order_by_a_node_with_an_index() {
    let double = start(2);
    let [kept, gone] = coins(&double).await[..] else { panic!("two coins") };
    let first = merge(&double, [kept, gone]).await.digest.to_string();
    let mut all = vec![json!({ "digest": first })];
    for amount in 1..3 {
        let payer = Payer::recorded();
        let signed = payer.sign(payer.payment(coins(&double).await[0], amount));
        post(&double.url(), &signed.execute()).await;
        all.push(json!({ "digest": signed.digest.to_string() }));
    }
    let told = takers(&double, &kept, [Value::Null, Value::Null, Value::Null]).await;
    assert_eq!(told["result"]["data"], json!(all));
    assert_eq!(told["result"]["hasNextPage"], false);
    let last = takers(&double, &kept, [Value::Null, json!(1), json!(true)]).await;
    assert_eq!(last["result"]["data"], json!([all[2]]));
    assert_eq!(last["result"]["hasNextPage"], true);
    let cursor = last["result"]["nextCursor"].clone();
    let before = takers(&double, &kept, [cursor, Value::Null, json!(true)]).await;
    assert_eq!(before["result"]["data"], json!([all[1], all[0]]));
    let of_gone = takers(&double, &gone, [Value::Null, json!(1), json!(true)]).await;
    assert_eq!(of_gone["result"]["data"], json!([all[0]]));
    double.forget_index(true);
    let refused = takers(&double, &gone, [Value::Null, json!(1), json!(true)]).await;
    assert_eq!(refused["error"]["message"], "Index store not available on this Fullnode.");
    assert_eq!(double.tally().strange, Vec::<String>::new());
}
