//! The double, set up like the network that was recorded and asked the same, answers the same:
//! every value where it is determined, and keys and types where it is not.

#![allow(clippy::unwrap_used)]

mod support;

use iota_sdk_types::{Address, ObjectId, TransactionDigest};
use sdpp_iota_double::{Clock, Double, Fault, GenesisCoin, Options};
use serde_json::{Value, json};

use support::{Recorded, ask, post, recorded, same};

const PAYER: &str = "0x8d2d1c260127c74476b27136c5e38c003b66b889f5c80032fb81ebc3f44f45a3";
const FUNDED: &str = "9NCUDMB5TKQJ2ueVVR9bdinSuQrkpSorPUUR3h3nz7FE";

/// What no two networks have in common: when something was, and which checkpoint it is in.
const OF_ITS_TIME: &[&str] = &["timestampMs", "checkpoint"];

/// A double with the coins that the recorded network had when the payments began.
fn funded() -> Double {
    let listed = recorded("07-coins").response;
    let coins = listed["result"]["data"].as_array().unwrap().iter().map(|coin| GenesisCoin {
        id: coin["coinObjectId"].as_str().unwrap().parse().unwrap(),
        version: 2,
        owner: PAYER.parse().unwrap(),
        balance: coin["balance"].as_str().unwrap().parse().unwrap(),
        previous: FUNDED.parse().unwrap(),
    });
    start(coins.collect())
}

fn start(coins: Vec<GenesisCoin>) -> Double {
    let options = Options {
        chain_id: Some("fcece89d".to_owned()),
        coins,
        clock: Clock::Manual,
        ..Options::default()
    };
    Double::start(options).unwrap()
}

async fn replay(double: &Double, name: &str) {
    let Recorded { request, status, response } = recorded(name);
    let (got_status, got) = post(&double.url(), &request).await;
    assert_eq!(got_status, status, "{name}");
    same(name, &response, &got, OF_ITS_TIME);
}

#[tokio::test]
async fn a_payment_its_repeats_and_its_failures_are_answered_as_recorded() {
    let double = funded();
    let first = [
        "01-chain-identifier",
        "04-reference-gas-price",
        "05-balance",
        "06-all-balances",
        "07-coins",
        "08-dryrun-pay-record32",
        "09-execute-pay-record32",
        "10-get-tx-all",
        "11-get-tx-minimal",
        "12-is-indexed",
        "13-get-tx-checkpointed",
        "15-execute-replay-same-tx",
        "16-execute-stale-object-version",
        "17-get-tx-unknown",
        "18-get-tx-bad-digest",
        "19-coins-after",
        "20-execute-bad-signature",
        "21-dryrun-insufficient-funds",
        "22-execute-insufficient-funds",
        "23-coins-after2",
        "24-execute-budget-too-low",
        "25-execute-gasprice-too-low",
        "26-dryrun-record-0B",
        "27-dryrun-record-32B",
        "32-dryrun-record-16384B",
        "34-dryrun-record-hashcall-32B",
        "37-seller-balance",
        "63-balance-unknown-address",
        "67-method-not-found",
    ];
    for name in first {
        replay(&double, name).await;
    }
    // The unknown method, and nothing that the double answered.
    assert_eq!(double.tally().strange, ["no method iota_noSuchMethod"]);
}

#[tokio::test]
async fn of_two_transactions_on_one_coin_the_second_is_refused_as_recorded() {
    let double = funded();
    let transcript: Value = serde_json::from_str(&support::data("41-equivocation")).unwrap();
    let refused: Value =
        serde_json::from_str(transcript["a"]["response"].as_str().unwrap()).unwrap();
    // The recorded transactions were not kept, only the refusal: two others are made here.
    let coin = "0xde24d44a037f01d87c8506364320ea7647be996bdc34cff067b1d456d0d74a84";
    let coin: ObjectId = coin.parse().unwrap();
    let digest = "Hxzyk8i1Sh7NFZuQr5AXYzi1JgZYJXPuXKo8ApTSZxFP".parse().unwrap();
    let payer = support::Payer::recorded();
    let one = payer.pay(coin, 2, digest, 5);
    let other = payer.pay(coin, 2, digest, 6);

    double.arm(Fault::HeldPromised.once());
    let url = double.url();
    let winner = tokio::spawn({
        let (url, request) = (url.clone(), one.execute());
        async move { post(&url, &request).await }
    });
    support::in_time(double.until_held(1)).await;
    let (_, loser) = post(&url, &other.execute()).await;
    double.release();
    let (_, winner) = winner.await.unwrap();

    let holder = one.digest.to_string();
    let text = refused.to_string().replace("oou4hu71UnDyaZWBHnGFiRFQJ6j389dL6ZdnjVNyrPF", &holder);
    let expected: Value = serde_json::from_str(&text).unwrap();
    same("41-equivocation", &expected, &loser, &[]);
    assert_eq!(winner["result"]["effects"]["status"], json!({ "status": "success" }));
}

#[tokio::test]
async fn a_sender_with_a_secp256k1_key_and_five_gas_coins_is_answered_as_recorded() {
    let response = recorded("ts-secp256k1-sender").response;
    let result = &response["result"];
    let payment = result["transaction"]["data"]["gasData"]["payment"].as_array().unwrap();
    let owner: Address = result["transaction"]["data"]["sender"].as_str().unwrap().parse().unwrap();
    let previous = result["effects"]["dependencies"][0].as_str().unwrap();
    let coins = payment.iter().map(|coin| GenesisCoin {
        id: coin["objectId"].as_str().unwrap().parse().unwrap(),
        version: 4,
        owner,
        balance: 200_000_000_000,
        previous: previous.parse().unwrap(),
    });
    let double = start(coins.collect());
    let signatures = result["transaction"]["txSignatures"].clone();
    let parts = json!({ "showInput": true, "showRawInput": true, "showEffects": true });
    let bytes = support::unsigned(result["rawTransaction"].as_str().unwrap());
    let answer =
        ask(&double, "iota_executeTransactionBlock", json!([bytes, signatures, parts])).await;
    same("ts-secp256k1-sender", &response, &answer, &[]);
}

#[tokio::test]
async fn the_faucet_gives_five_coins_in_the_recorded_shape() {
    let double = start(Vec::new());
    let faucet = double.faucet_url();
    for (name, path) in [("03-faucet-gas", "/gas"), ("61-faucet-v1-gas", "/v1/gas")] {
        let Recorded { request, status, response } = recorded(name);
        let (got_status, got) = post(&format!("{faucet}{path}"), &request).await;
        assert_eq!(got_status, status, "{name}");
        same(name, &response, &got, &["id", "transferTxDigest", "task"]);
    }
}

#[tokio::test]
async fn a_faucet_refuses_what_is_no_address_as_recorded() {
    let double = start(Vec::new());
    let Recorded { request, status, response } = recorded("62-faucet-bad-recipient");
    let answer = reqwest::Client::new()
        .post(format!("{}/gas", double.faucet_url()))
        // Written as the recorded client wrote it, for the column in the answer.
        .body(request.to_string().replace("\":", "\": "))
        .send()
        .await
        .unwrap();
    assert_eq!(u64::from(answer.status().as_u16()), status);
    assert_eq!(json!(answer.text().await.unwrap()), response);
}

#[tokio::test]
async fn many_digests_at_once_hide_the_unknown_one_as_recorded() {
    let double = funded();
    let paid = recorded("09-execute-pay-record32");
    post(&double.url(), &paid.request).await;
    let unknown = "4tFtNrGMaD4tzLa5r2d3rBY4c4smagtxqyrJffhYoLmz";
    let known: TransactionDigest =
        paid.response["result"]["digest"].as_str().unwrap().parse().unwrap();
    let parts = json!({ "showInput": true });
    let params = json!([[unknown, known.to_string()], parts]);
    let answer = ask(&double, "iota_multiGetTransactionBlocks", params).await;
    let recorded = recorded("70-multi-get-unknown").response;
    assert_eq!(answer["result"][0], recorded["result"][0]);
    support::same_shape("70-multi-get-unknown", &recorded, &answer);
}
