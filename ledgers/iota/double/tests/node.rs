//! What a client can meet on a node, and can rely on: versions, locks, time, lag, pruning, faults.

#![allow(clippy::unwrap_used)]

mod support;

use std::time::Duration;

use iota_sdk_types::{
    Address, Argument, Command, Identifier, Input, ObjectReference, TransactionExpiration,
    TransactionKind, Version,
};
use sdpp_iota_double::{Clock, Double, Fault, GenesisCoin, Options};
use serde_json::{Value, json};

use support::{Payer, Signed, ask, in_time, post, recorded, same_shape};

const COIN: u64 = 200_000_000_000;

/// A double at the pace of a real network, under a clock that only the test moves, with so many
/// coins of the payer.
fn paced(coins: u64) -> Double {
    start(Options { coins: coins_of_payer(coins), clock: Clock::Manual, ..Options::real_pace() })
}

/// A double that is as fast as can be.
fn fast(coins: u64) -> Double {
    start(Options { coins: coins_of_payer(coins), ..Options::default() })
}

fn start(options: Options) -> Double {
    Double::start(options).unwrap()
}

fn coins_of_payer(coins: u64) -> Vec<GenesisCoin> {
    (0..coins).map(|number| GenesisCoin::new(payer().address(), COIN, number)).collect()
}

fn payer() -> Payer {
    Payer::recorded()
}

/// The payer's coins as the node lists them.
async fn coins(double: &Double) -> Vec<ObjectReference> {
    let owner = payer().address().to_string();
    let listed = ask(double, "iotax_getCoins", json!([owner])).await;
    let listed = listed["result"]["data"].as_array().unwrap().clone();
    let text = |coin: &Value, name: &str| coin[name].as_str().unwrap().to_owned();
    let coin = |coin: &Value| {
        let version: u64 = text(coin, "version").parse().unwrap();
        ObjectReference::new(
            text(coin, "coinObjectId").parse().unwrap(),
            Version::from_u64(version),
            text(coin, "digest").parse().unwrap(),
        )
    };
    listed.iter().map(coin).collect()
}

async fn send(double: &Double, signed: &Signed) -> Value {
    post(&double.url(), &signed.execute_with("WaitForEffectsCert")).await.1
}

/// Asks again and again until it is so.
async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

async fn pay(double: &Double, coin: ObjectReference, amount: u64) -> Signed {
    let signed = payer().sign(payer().payment(coin, amount));
    let answer = send(double, &signed).await;
    assert_eq!(answer["result"]["effects"]["status"]["status"], "success", "{answer}");
    signed
}

async fn find(double: &Double, signed: &Signed) -> Value {
    ask(double, "iota_getTransactionBlock", json!([signed.digest.to_string()])).await
}

fn refusal(answer: &Value) -> (i64, String) {
    let error = &answer["error"];
    let message = error["message"].as_str().unwrap_or_else(|| panic!("not refused: {answer}"));
    (error["code"].as_i64().unwrap(), message.to_owned())
}

async fn refused(double: &Double, signed: &Signed, words: &str) {
    let (code, message) = refusal(&send(double, signed).await);
    assert_eq!(code, -32002, "{message}");
    assert!(message.contains(words), "{message}");
}

#[tokio::test]
async fn a_payment_is_found_when_the_node_heard_of_it_and_final_when_its_checkpoint_came() {
    let double = paced(1);
    let coin = coins(&double).await[0];
    let paid = pay(&double, coin, 77).await;

    // As recorded after `WaitForEffectsCert`: unknown, and the coin as it was.
    let unknown = recorded("50-poll-checkpoint-0").response;
    let recorded_digest =
        recorded("49-exec-WaitForEffectsCert").response["result"]["digest"].clone();
    let unknown =
        unknown.to_string().replace(recorded_digest.as_str().unwrap(), &paid.digest.to_string());
    assert_eq!(find(&double, &paid).await.to_string(), unknown);
    assert_eq!(coins(&double).await[0], coin);

    double.advance(Duration::from_millis(1_500));
    let executed = find(&double, &paid).await;
    assert_eq!(executed["result"], json!({ "digest": paid.digest.to_string() }));
    assert_ne!(coins(&double).await[0], coin);

    double.advance(Duration::from_millis(250));
    let last = find(&double, &paid).await;
    let number = last["result"]["checkpoint"].as_str().unwrap();
    let checkpoint = ask(&double, "iota_getCheckpoint", json!([number])).await;
    assert_eq!(checkpoint["result"]["transactions"], json!([paid.digest.to_string()]));
    assert_eq!(checkpoint["result"]["timestampMs"], last["result"]["timestampMs"]);
    assert_eq!(double.tally().strange, Vec::<String>::new());
}

#[tokio::test]
async fn who_waits_for_local_execution_is_answered_when_the_node_knows_it() {
    let double = paced(1);
    let signed = payer().sign(payer().payment(coins(&double).await[0], 77));
    let (url, request) = (double.url(), signed.execute());
    let waiting = tokio::spawn(async move { post(&url, &request).await.1 });
    in_time(until(|| double.tally().executed == 1)).await;
    assert!(!waiting.is_finished(), "the node does not know it yet");
    double.advance(Duration::from_millis(1_500));
    let answer = in_time(waiting).await.unwrap();
    assert_eq!(answer["result"]["confirmedLocalExecution"], true);
}

#[tokio::test]
async fn a_node_that_stands_still_confirms_nothing_and_shows_what_was() {
    let double = fast(1);
    let coin = coins(&double).await[0];
    double.stand_still(true);
    let signed = payer().sign(payer().payment(coin, 77));
    let (_, answer) = post(&double.url(), &signed.execute()).await;
    assert_eq!(answer["result"]["confirmedLocalExecution"], false);
    assert_eq!(coins(&double).await[0], coin);
    assert_eq!(refusal(&find(&double, &signed).await).0, -32602);
    double.stand_still(false);
    assert_eq!(coins(&double).await[0].version.as_u64(), 2);
    assert!(find(&double, &signed).await["result"]["checkpoint"].is_string());
}

#[tokio::test]
async fn while_checkpoints_are_held_what_is_executed_is_not_final() {
    let double = fast(1);
    double.hold_checkpoints(true);
    let paid = pay(&double, coins(&double).await[0], 77).await;
    assert_eq!(find(&double, &paid).await["result"], json!({ "digest": paid.digest.to_string() }));
    double.hold_checkpoints(false);
    assert_eq!(find(&double, &paid).await["result"]["checkpoint"], "1");
}

#[tokio::test]
async fn a_checkpoint_has_the_recorded_shape_and_follows_the_one_before() {
    let double = fast(1);
    pay(&double, coins(&double).await[0], 77).await;
    let mut answer = ask(&double, "iota_getCheckpoint", json!(["1"])).await;
    let first = ask(&double, "iota_getCheckpoint", json!(["0"])).await;
    assert_eq!(answer["result"]["previousDigest"], first["result"]["digest"]);
    // The recorded one lists two more: the double has none of the network's own transactions.
    let listed = answer["result"]["transactions"].as_array_mut().unwrap();
    listed.extend([json!(""), json!("")]);
    same_shape("14-get-checkpoint", &recorded("14-get-checkpoint").response, &answer);
    let latest = ask(&double, "iota_getLatestCheckpointSequenceNumber", json!([])).await;
    assert_eq!(latest["result"], "1");
    let missing = ask(&double, "iota_getCheckpoint", json!(["2"])).await;
    assert!(refusal(&missing).1.ends_with("not found for sequence number: 2"));
}

#[tokio::test]
async fn coins_come_in_pages_each_of_which_says_where_the_next_begins() {
    let double = fast(5);
    let all = coins(&double).await;
    let (mut seen, mut cursor) = (Vec::new(), Value::Null);
    let owner = payer().address().to_string();
    loop {
        let page = ask(&double, "iotax_getCoins", json!([owner, null, cursor, 2])).await;
        let data = page["result"]["data"].as_array().unwrap().clone();
        seen.extend(data.iter().map(|coin| coin["coinObjectId"].as_str().unwrap().to_owned()));
        cursor = page["result"]["nextCursor"].clone();
        assert!(seen.len() <= all.len(), "a page came twice");
        if page["result"]["hasNextPage"] == false {
            break;
        }
    }
    let all: Vec<_> = all.iter().map(|coin| coin.object_id.to_string()).collect();
    assert_eq!(seen, all);
}

#[tokio::test]
async fn the_same_bytes_again_change_nothing_and_are_answered_the_same() {
    let double = fast(1);
    let signed = pay(&double, coins(&double).await[0], 77).await;
    let first = send(&double, &signed).await;
    assert_eq!(send(&double, &signed).await, first);
    let tally = double.tally();
    assert_eq!((tally.executed, tally.conflicts), (1, 0));
}

#[tokio::test]
async fn an_answer_that_is_lost_is_of_a_payment_that_was_made() {
    let double = fast(1);
    let signed = payer().sign(payer().payment(coins(&double).await[0], 77));
    double.arm(Fault::Lost.once().on("iota_executeTransactionBlock"));
    let request = signed.execute().to_string();
    let lost = reqwest::Client::new().post(double.url()).body(request).send().await;
    assert!(lost.is_err());
    assert!(find(&double, &signed).await["result"]["checkpoint"].is_string());
    assert_eq!(send(&double, &signed).await["result"]["effects"]["status"]["status"], "success");
    assert_eq!(double.tally().executed, 1);
}

#[tokio::test]
async fn what_is_held_is_not_done_and_what_is_done_can_be_held_back() {
    let double = fast(2);
    let coins = coins(&double).await;
    for (fault, coin, done) in [(Fault::Held, coins[0], 0), (Fault::AnswerHeld, coins[1], 2)] {
        let signed = payer().sign(payer().payment(coin, 77));
        double.arm(fault.once());
        let (url, request) = (double.url(), signed.execute());
        let answer = tokio::spawn(async move { post(&url, &request).await.1 });
        in_time(double.until_held(1)).await;
        assert_eq!(double.tally().executed, done);
        double.release();
        let answer = in_time(answer).await.unwrap();
        assert_eq!(answer["result"]["effects"]["status"]["status"], "success", "{answer}");
    }
    double.arm(Fault::Dropped.once());
    let nothing = reqwest::Client::new().post(double.url()).body("{}").send().await;
    assert!(nothing.is_ok(), "what is no request meets no fault");
    let request = support::request("iota_getChainIdentifier", &json!([])).to_string();
    assert!(reqwest::Client::new().post(double.url()).body(request).send().await.is_err());
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_stop_what_it_began() {
    let double = fast(1);
    let signed = payer().sign(payer().payment(coins(&double).await[0], 77));
    double.arm(Fault::HeldPromised.once());
    let (url, request) = (double.url(), signed.execute());
    let client = tokio::spawn(async move { post(&url, &request).await });
    in_time(double.until_held(1)).await;
    client.abort();
    assert!(client.await.unwrap_err().is_cancelled());
    // A question gives the double the time to see that the client is gone.
    assert_eq!(refusal(&find(&double, &signed).await).0, -32602);
    double.release();
    in_time(until(|| double.tally().executed == 1)).await;
    assert!(find(&double, &signed).await["result"]["checkpoint"].is_string());
}

#[tokio::test]
async fn a_locked_coin_is_free_again_when_the_epoch_ends() {
    let double = fast(1);
    let coin = coins(&double).await[0];
    assert!(double.lock(coin.object_id));
    let signed = payer().sign(payer().payment(coin, 77));
    refused(&double, &signed, "reserved for another transaction").await;
    assert!(double.equivocate(coin.object_id));
    refused(&double, &signed, "equivocated until the next epoch").await;
    refused(&double, &signed, "(stake 50.0)\n- ").await;
    double.end_epoch();
    pay(&double, coin, 77).await;
    let paid = find(&double, &signed).await;
    assert!(paid["result"]["checkpoint"].is_string(), "{paid}");
}

#[tokio::test]
async fn what_was_pruned_is_unknown_and_can_never_land_again() {
    let double = fast(1);
    let signed = pay(&double, coins(&double).await[0], 77).await;
    pay(&double, coins(&double).await[0], 78).await;
    double.prune(2);
    assert!(refusal(&find(&double, &signed).await).1.contains("Could not find"));
    let checkpoint = ask(&double, "iota_getCheckpoint", json!(["1"])).await;
    assert_eq!(refusal(&checkpoint).1, "Verified checkpoint not found for sequence number: 1");
    refused(&double, &signed, "is not available for consumption, current version: 0x3").await;
    let balance = ask(&double, "iotax_getBalance", json!([support::PAYEE])).await;
    assert_eq!(balance["result"]["totalBalance"], "155");
}

#[tokio::test]
async fn a_node_without_history_shows_a_payment_without_its_balances() {
    let double = fast(1);
    let signed = pay(&double, coins(&double).await[0], 77).await;
    double.forget_history(true);
    let parts = json!({ "showRawInput": true, "showBalanceChanges": true });
    let params = json!([signed.digest.to_string(), parts]);
    let shown = ask(&double, "iota_getTransactionBlock", params).await;
    assert!(shown["result"].get("balanceChanges").is_none());
    assert!(shown["result"]["errors"][0].as_str().unwrap().contains("balance changes"));
    assert!(shown["result"]["rawTransaction"].is_string());
}

#[tokio::test]
async fn a_hidden_payment_is_unknown_for_a_while_and_its_coin_is_spent() {
    let double = fast(1);
    let signed = pay(&double, coins(&double).await[0], 77).await;
    double.hide(signed.digest);
    assert_eq!(refusal(&find(&double, &signed).await).0, -32602);
    assert_eq!(coins(&double).await[0].version.as_u64(), 2);
    double.remember_all();
    assert!(find(&double, &signed).await["result"]["checkpoint"].is_string());
}

#[tokio::test]
async fn a_record_alone_costs_what_was_recorded() {
    let double = fast(1);
    let inputs = vec![Input::pure(&vec![0xab_u8; 32]), Input::pure(&0_u64)];
    let commands = vec![
        Command::new_split_coins(Argument::Gas, vec![Argument::Input(1)]),
        Command::new_merge_coins(Argument::Gas, vec![Argument::NestedResult(0, 0)]),
    ];
    let record = payer().transaction(inputs, commands, vec![coins(&double).await[0]]);
    let answer = send(&double, &payer().sign(record)).await;
    let expected = recorded("ts-record-only-pure-0").response;
    let effects = &expected["result"]["effects"];
    assert_eq!(answer["result"]["effects"]["gasUsed"], effects["gasUsed"]);
    same_shape("ts-record-only-pure-0", effects, &answer["result"]["effects"]);
}

#[tokio::test]
async fn a_record_costs_nothing_more_up_to_the_size_that_was_recorded() {
    let double = fast(1);
    let gas = coins(&double).await[0];
    let recorded = recorded("27-dryrun-record-32B").response;
    let costs = &recorded["result"]["effects"]["gasUsed"];
    for size in [0, 32, 512, 4_096, 16_000, 16_381, 16_384, 20_000] {
        let mut payment = payer().payment(gas, 5);
        let TransactionKind::Programmable(programmable) = &mut payment.kind else { panic!() };
        programmable.inputs.push(Input::pure(&vec![0xab_u8; size]));
        let bytes = payer().sign(payment).bytes;
        let answer = ask(&double, "iota_dryRunTransactionBlock", json!([bytes])).await;
        if size <= 16_381 {
            assert_eq!(&answer["result"]["effects"]["gasUsed"], costs, "{size}");
        } else {
            assert!(refusal(&answer).1.contains("maximum pure argument size is 16384"), "{size}");
        }
    }
}

#[tokio::test]
async fn coins_are_split_and_merged_and_the_gas_coin_can_be_given_away() {
    let double = fast(3);
    let [gas, other, third] = coins(&double).await[..] else { panic!("three coins") };
    let payee: Address = support::PAYEE.parse().unwrap();
    let inputs = vec![
        Input::ImmutableOrOwned(other),
        Input::ImmutableOrOwned(third),
        Input::pure(&10_u64),
        Input::pure(&payee),
    ];
    let commands = vec![
        Command::new_merge_coins(Argument::Input(0), vec![Argument::Input(1)]),
        Command::new_split_coins(Argument::Input(0), vec![Argument::Input(2), Argument::Input(2)]),
        Command::new_transfer_objects(
            vec![Argument::NestedResult(1, 0), Argument::NestedResult(1, 1), Argument::Gas],
            Argument::Input(3),
        ),
    ];
    let signed = payer().sign(payer().transaction(inputs, commands, vec![gas]));
    let answer = send(&double, &signed).await;
    let used = &answer["result"]["effects"]["gasUsed"];
    // Three coins were there, and four are.
    assert_eq!(
        (&used["storageCost"], &used["storageRebate"]),
        (&json!("3921600"), &json!("2941200"))
    );
    let of = |owner: String| ask(&double, "iotax_getBalance", json!([owner]));
    let kept = of(payer().address().to_string()).await;
    assert_eq!(kept["result"]["totalBalance"], (2 * COIN - 20).to_string());
    let given = of(payee.to_string()).await;
    assert_eq!(given["result"]["totalBalance"], (COIN - 1_980_400 + 20).to_string());
    assert_eq!(double.tally().strange, Vec::<String>::new());
}

#[tokio::test]
async fn a_budget_that_does_not_cover_the_new_coin_fails_on_the_ledger_and_costs_the_computation() {
    let double = fast(1);
    let mut payment = payer().payment(coins(&double).await[0], 77);
    payment.gas_payment.budget = 1_980_399;
    let answer = send(&double, &payer().sign(payment)).await;
    let effects = &answer["result"]["effects"];
    assert_eq!(effects["status"], json!({ "status": "failure", "error": "Insufficient Gas." }));
    assert_eq!(effects["gasUsed"]["storageCost"], effects["gasUsed"]["storageRebate"]);
    let balance = ask(&double, "iotax_getBalance", json!([payer().address().to_string()])).await;
    assert_eq!(balance["result"]["totalBalance"], (COIN - 1_000_000).to_string());
    assert_eq!(double.tally().failed, 1);
}

#[tokio::test]
async fn a_new_coin_that_nobody_takes_fails_on_the_ledger() {
    let double = fast(1);
    let commands = vec![Command::new_split_coins(Argument::Gas, vec![Argument::Input(0)])];
    let gas = coins(&double).await[0];
    let split = payer().transaction(vec![Input::pure(&5_u64)], commands, vec![gas]);
    let answer = send(&double, &payer().sign(split)).await;
    let error = answer["result"]["effects"]["status"]["error"].as_str().unwrap();
    assert!(error.starts_with("Unused result without the drop ability"), "{error}");
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_changes_nothing() {
    let double = fast(2);
    let [coin, other] = coins(&double).await[..] else { panic!("two coins") };
    let payment = || payer().payment(coin, 77);
    let sign = |transaction| payer().sign(transaction);

    let mut rich = payment();
    rich.gas_payment.budget = 50_000_000_001;
    refused(&double, &sign(rich), "is higher than max: 50000000000").await;
    let mut late = payment();
    late.expiration = TransactionExpiration::Epoch(0);
    double.end_epoch();
    refused(&double, &sign(late), "Transaction Expired").await;
    let mut twice = payment();
    twice.gas_payment.objects = vec![coin, coin];
    refused(&double, &sign(twice), "cannot appear more than once").await;
    let mut free = payment();
    free.gas_payment.objects.clear();
    refused(&double, &sign(free), "Transaction gas payment missing").await;
    let future = ObjectReference::new(coin.object_id, Version::from_u64(9), coin.digest);
    let ahead = sign(payer().payment(future, 77));
    refused(&double, &ahead, "at version Some(SequenceNumber(9))").await;
    let forged = ObjectReference::new(coin.object_id, coin.version, other.digest);
    refused(&double, &sign(payer().payment(forged, 77)), "Invalid Object digest").await;
    let thief = Payer::new(8);
    let stolen = thief.sign(thief.payment(coin, 77));
    refused(&double, &stolen, "not signed by the correct sender").await;
    let imposter = Signed { signature: thief.sign(payment()).signature, ..sign(payment()) };
    refused(&double, &imposter, "Required Signature from").await;

    assert_eq!(double.tally().executed, 0);
    assert_eq!(coins(&double).await, [coin, other]);
}

#[tokio::test]
async fn a_coin_with_less_than_the_budget_is_refused() {
    let coins = vec![GenesisCoin::new(payer().address(), 9_999_999, 0)];
    let double = start(Options { coins, ..Options::default() });
    let signed = payer().sign(payer().payment(self::coins(&double).await[0], 77));
    let words = "Balance of gas object 9999999 is lower than the needed amount: 10000000";
    refused(&double, &signed, words).await;
}

#[tokio::test]
async fn what_the_double_cannot_run_it_says_instead_of_pretending() {
    let double = fast(1);
    let module = |name: &str| name.parse::<Identifier>().unwrap();
    let package = Address::FRAMEWORK.into();
    let call = Command::new_move_call(package, module("coin"), module("zero"), vec![], vec![]);
    let gas = coins(&double).await[0];
    let signed = payer().sign(payer().transaction(vec![], vec![call], vec![gas]));
    let (code, message) = refusal(&send(&double, &signed).await);
    assert_eq!(code, -32000);
    assert!(message.contains("a double") && message.contains("::coin::zero"), "{message}");
}

#[tokio::test]
async fn faults_come_as_often_as_asked_on_the_methods_asked() {
    let double = fast(0);
    double.arm(Fault::Unavailable.once());
    double.arm(Fault::TooMany.times(2).on("iota_getChainIdentifier"));
    double.arm(Fault::Refuse { code: -32050, message: "busy".to_owned() }.once());
    let chain = support::request("iota_getChainIdentifier", &json!([]));
    let price = support::request("iotax_getReferenceGasPrice", &json!([]));
    let mut met = Vec::new();
    for request in [&chain, &chain, &price, &chain, &chain] {
        let (status, answer) = post(&double.url(), request).await;
        met.push((status, answer["error"]["code"].as_i64()));
    }
    let expected = [(503, None), (429, None), (200, Some(-32050)), (429, None), (200, None)];
    assert_eq!(met, expected);

    double.arm(Fault::Garbage.always());
    assert!(post(&double.url(), &chain).await.1.is_string());
    double.clear();
    assert_eq!(post(&double.url(), &chain).await.1["result"], double.chain_id());
    double.arm(Fault::Huge { bytes: 100_000 }.once());
    let huge = reqwest::Client::new().post(double.url()).body(chain.to_string()).send().await;
    assert_eq!(huge.unwrap().bytes().await.unwrap().len(), 100_000);
    double.set_chain_id("6364aad5");
    assert_eq!(post(&double.url(), &chain).await.1["result"], "6364aad5");
    assert_eq!(double.tally().requests["iota_getChainIdentifier"], 8);
}

#[tokio::test]
async fn a_batch_and_what_is_no_request_are_refused() {
    let double = fast(0);
    let codes = [
        (json!([support::request("iota_getChainIdentifier", &json!([]))]), -32005),
        (json!({ "jsonrpc": "2.0", "id": 1 }), -32600),
        (support::request("iotax_getCoins", &json!({ "owner": "0x1" })), -32602),
        (support::request("iotax_getCoins", &json!([])), -32602),
        (support::request("iota_dryRunTransactionBlock", &json!(["AAAA"])), -32602),
        (support::request("iota_dryRunTransactionBlock", &json!(["no base64"])), -32602),
    ];
    for (body, code) in codes {
        let (status, answer) = post(&double.url(), &body).await;
        assert_eq!((status, refusal(&answer).0), (200, code), "{body}");
    }
}

#[tokio::test]
async fn a_task_of_the_faucet_is_done_when_it_is_asked_for() {
    let double = fast(0);
    let body = json!({ "FixedAmountRequest": { "recipient": payer().address().to_string() } });
    let (_, asked) = post(&format!("{}/v1/gas", double.faucet_url()), &body).await;
    let task = asked["task"].as_str().unwrap();
    let answer = reqwest::get(format!("{}/v1/status/{task}", double.faucet_url())).await.unwrap();
    assert_eq!(answer.status().as_u16(), 201);
    let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    same_shape("61-faucet-v1-status-0", &recorded("61-faucet-v1-status-0").response, &answer);
    assert_eq!(coins(&double).await.len(), 5);
    // The coins come of a transaction like any other.
    let given = &answer["status"]["transferred_gas_objects"]["sent"][0]["transferTxDigest"];
    let parts = json!({ "showEffects": true, "showInput": true, "showBalanceChanges": true });
    let shown = ask(&double, "iota_getTransactionBlock", json!([given, parts])).await;
    assert_eq!(shown["result"]["effects"]["status"]["status"], "success");
    assert_eq!(double.tally().strange, Vec::<String>::new());
}

#[tokio::test]
async fn the_faucet_answers_when_the_node_knows_its_coins() {
    let double = paced(0);
    let body = json!({ "FixedAmountRequest": { "recipient": payer().address().to_string() } });
    let url = format!("{}/gas", double.faucet_url());
    let waiting = tokio::spawn(async move { post(&url, &body).await.0 });
    in_time(until(|| double.tally().requests.contains_key("faucet"))).await;
    assert!(coins(&double).await.is_empty());
    assert!(!waiting.is_finished(), "the node does not know them yet");
    double.advance(Duration::from_millis(1_500));
    assert_eq!(in_time(waiting).await.unwrap(), 201);
    assert_eq!(coins(&double).await.len(), 5);
}

#[tokio::test]
async fn an_object_is_shown_as_far_as_asked() {
    let double = fast(1);
    let coin = coins(&double).await[0];
    let options = json!({ "showType": true, "showOwner": true, "showContent": true });
    let shown = ask(&double, "iota_getObject", json!([coin.object_id.to_string(), options])).await;
    let data = &shown["result"]["data"];
    assert_eq!(data["digest"], coin.digest.to_string());
    assert_eq!(data["content"]["fields"]["balance"], COIN.to_string());
    let missing = ask(&double, "iota_getObject", json!([support::PAYEE])).await;
    assert_eq!(missing["result"]["error"]["code"], "notExists");
    assert_eq!(double.tally().strange, Vec::<String>::new());
}

#[tokio::test]
async fn another_process_can_do_the_same_over_http() {
    let double = fast(1);
    let admin = double.admin_url();
    let coin = coins(&double).await[0];
    let locked = json!({ "do": "lock", "coin": coin.object_id.to_string() });
    assert_eq!(post(&admin, &locked).await.0, 200);
    let signed = payer().sign(payer().payment(coin, 77));
    refused(&double, &signed, "reserved for another transaction").await;
    let (_, told) = post(&admin, &json!({ "do": "end_epoch" })).await;
    assert_eq!((&told["epoch"], &told["conflicts"]), (&json!(1), &json!(1)));
    let armed = json!({ "do": "arm", "fault": "unavailable", "on": "iotax_getCoins", "times": 1 });
    post(&admin, &armed).await;
    let request = support::request("iotax_getCoins", &json!([support::PAYEE]));
    assert_eq!(post(&double.url(), &request).await.0, 503);
    assert_eq!(post(&admin, &json!({ "do": "nothing" })).await.0, 400);
}
