//! Stories of nodes that are behind, forget, or say what is not so: nothing that one of them says
//! once is a verdict.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use rig::code::{Code, address, number, topic};
use rig::proxy::{Fault, Proxy};
use rig::{
    Anvil, account, evidence, key, settings, signed, transfer, until, with_escrow, with_token,
};
use sdpp_ledger::{
    Amount, Asset, Call, Claim, Digest, Escrow, Finality, Key, Ledger, LedgerError, Open, Payments,
    Redeem, Transfer, TxId, Voucher, channel_id, prepare,
};
use sdpp_ledger_ethereum::{EthereumLedger, Settings};
use serde_json::{Value, json};
use std::fmt::Debug;

async fn connected(settings: Settings) -> EthereumLedger {
    EthereumLedger::connect(settings, key(0)).await.unwrap()
}

fn is_unavailable<T: Debug>(answer: &Result<T, LedgerError>, part: &str) {
    match answer {
        Err(LedgerError::Unavailable { what, .. }) if what.contains(part) => {}
        other => panic!("not unavailable with {part:?}: {other:?}"),
    }
}

fn is_refused<T: Debug>(answer: &Result<T, LedgerError>, wanted: &str) {
    match answer {
        Err(LedgerError::Refused { code, .. }) if code == wanted => {}
        other => panic!("not refused with {wanted}: {other:?}"),
    }
}

/// Does a call on a chain that makes blocks by itself.
async fn done(ledger: &EthereumLedger, call: &Call) -> TxId {
    let signed = signed(ledger, call).await;
    ledger.submit(&signed).await.unwrap();
    evidence(ledger, &signed).await.tx
}

/// A channel from account 0 to account 1, and a voucher in it.
async fn opened(payer: &EthereumLedger) -> Redeem {
    let (payee, salt, asset) = (account(1), Digest([1; 32]), Asset::coin());
    let channel = channel_id(payer.domain(), payer.account(), &payee, &asset, &salt, None);
    let open = Open { payee, asset, deposit: Amount::new(1_000), salt, signer: None };
    done(payer, &Call::Open(open)).await;
    let amount = Amount::new(10);
    let signature = Voucher { channel, amount }.sign(payer.domain(), &key(0));
    Redeem { channel, amount, signature }
}

/// Two chains that are one up to a point: the second is behind.
async fn ahead_and_behind() -> Option<(Anvil, Anvil, Settings)> {
    let (ahead, behind) = (Anvil::start(&[]).await?, Anvil::start(&[]).await?);
    let settings = with_escrow(&ahead, 1).await;
    assert_eq!(with_escrow(&behind, 1).await.escrow, settings.escrow);
    ahead.mine(behind.height().await.saturating_sub(ahead.height().await)).await;
    Some((ahead, behind, settings))
}

fn of(settings: &Settings, urls: &[String]) -> Settings {
    let endpoints = urls.iter().map(|url| url.parse().unwrap()).collect();
    Settings { endpoints, ..settings.clone() }
}

#[tokio::test]
async fn what_an_endpoint_that_is_behind_refuses_is_not_refused() {
    let Some((ahead, behind, settings)) = ahead_and_behind().await else { return };
    let both = of(&settings, &[ahead.url(), behind.url()]);
    let payer = connected(both).await;
    let settle = Call::Settle(opened(&payer).await);
    let payee = payer.signed_by(key(1));
    let funded = payer.signed_by(Key::from_bytes(&[9; 32]).unwrap());
    let coin = json!([funded.account().as_str(), "0xde0b6b3a7640000"]);
    ahead.ask("anvil_setBalance", coin).await;
    let pay = Call::Transfer(transfer(5, 1));
    ahead.mine(30).await;
    payer.status().await.unwrap();
    prepare(&payee, 0, &settle).await.unwrap();
    prepare(&funded, 0, &pay).await.unwrap();
    ahead.kill().await;
    is_unavailable(&prepare(&payee, 0, &settle).await, "blocks behind");
    is_unavailable(&prepare(&funded, 0, &pay).await, "blocks behind");
    // It has come as far, and is another chain: now it is so.
    behind.mine(60).await;
    payer.status().await.unwrap();
    is_refused(&prepare(&payee, 0, &settle).await, "ChannelNotFound");
    is_refused(&prepare(&funded, 0, &pay).await, "InsufficientFunds");
}

#[tokio::test]
async fn who_was_silent_is_asked_before_anything_is_refused() {
    let Some((ahead, behind, settings)) = ahead_and_behind().await else { return };
    let settle = Call::Settle(opened(&connected(settings.clone()).await).await);
    let proxy = Proxy::start(ahead.port).await;
    let both = of(&settings, &[proxy.url(), behind.url()]);
    proxy.rule(|_, _| Some(Fault::LoseQuestion));
    let payee = connected(both).await.signed_by(key(1));
    proxy.calm();
    prepare(&payee, 0, &settle).await.unwrap();
}

#[tokio::test]
async fn a_balance_told_wrongly_once_refuses_nothing() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let proxy = Proxy::start(anvil.port).await;
    let ledger = connected(settings(&[proxy.url()], 1)).await;
    let call = Call::Transfer(transfer(5, 1));
    let nothing = || Fault::Result(json!("0x0"));
    proxy.next("eth_getBalance", nothing());
    prepare(&ledger, 0, &call).await.unwrap();
    // One that always tells it wrongly is not alone.
    proxy.rule(move |method, _| (method == "eth_getBalance").then(nothing));
    is_refused(&prepare(&ledger, 0, &call).await, "InsufficientFunds");
    let both = connected(settings(&[proxy.url(), anvil.url()], 1)).await;
    prepare(&both, 0, &call).await.unwrap();
    // A height that was told once is not the chain's.
    proxy.calm();
    let high = Fault::Altered("\"number\":\"0x".to_owned(), "\"number\":\"0x99999".to_owned());
    proxy.next("eth_getBlockByNumber", high);
    assert!(ledger.status().await.unwrap().height > 1_000_000);
    assert_eq!(ledger.status().await.unwrap().height, 0);
    let poor = ledger.signed_by(Key::from_bytes(&[9; 32]).unwrap());
    is_refused(&prepare(&poor, 0, &call).await, "InsufficientFunds");
}

#[tokio::test]
async fn what_a_node_refuses_while_it_catches_up_is_not_refused() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let proxy = Proxy::start(anvil.port).await;
    let settings = settings(&[proxy.url()], 1);
    let poor = connected(settings).await.signed_by(Key::from_bytes(&[9; 32]).unwrap());
    let call = Call::Transfer(transfer(5, 1));
    let syncing = json!({ "currentBlock": "0x1", "highestBlock": "0x2" });
    proxy.next("eth_syncing", Fault::Result(syncing));
    is_unavailable(&prepare(&poor, 0, &call).await, "has yet to catch up");
    proxy.next("eth_syncing", Fault::Error("no such method".to_owned()));
    is_refused(&prepare(&poor, 0, &call).await, "InsufficientFunds");
    is_refused(&prepare(&poor, 0, &call).await, "InsufficientFunds");
}

#[tokio::test]
async fn what_is_refused_for_two_reasons_is_not_refused() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let settings = with_escrow(&anvil, 1).await;
    let proxy = Proxy::start(anvil.port).await;
    let payer = connected(of(&settings, &[proxy.url()])).await;
    opened(&payer).await;
    let (payee, salt, asset) = (account(1), Digest([1; 32]), Asset::coin());
    let again = Open { payee, asset, deposit: Amount::new(1_000), salt, signer: None };
    let again = Call::Open(again);
    proxy.next("eth_getBalance", Fault::Result(json!("0x0")));
    is_unavailable(&prepare(&payer, 1, &again).await, "then ChannelAlreadyExists");
    is_refused(&prepare(&payer, 1, &again).await, "ChannelAlreadyExists");
}

/// Sends a transaction that Anvil signs, and waits for its block.
async fn sent(anvil: &Anvil, transaction: Value) -> TxId {
    let tx = anvil.ask("eth_sendTransaction", json!([transaction])).await;
    until("it is mined", async || {
        let receipt = anvil.ask("eth_getTransactionReceipt", json!([tx])).await;
        (!receipt.is_null()).then_some(())
    })
    .await;
    tx.as_str().unwrap().parse().unwrap()
}

/// A transfer of 7 to account 1 as each kind of transaction that Anvil makes.
fn kinds(made: &Transfer) -> Vec<(&'static str, Value)> {
    let data = made.reference.to_string();
    let plain = json!({
        "from": account(0).as_str(), "to": account(1).as_str(), "value": "0x7", "data": data,
    });
    let with = |more: Value| {
        let mut made = plain.clone();
        made.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        made
    };
    let [key, other] = ["0x".to_owned() + &"1".repeat(64), "0x".to_owned() + &"2".repeat(40)];
    let access = json!([{ "address": other, "storageKeys": [key, key] }]);
    let auth = json!([{
        "chainId": "0x7a69", "address": other, "nonce": "0x0", "yParity": "0x1", "r": "0x1",
        "s": "0x2",
    }]);
    vec![
        ("0x0", with(json!({ "type": "0x0", "gasPrice": "0x77359400" }))),
        ("0x1", with(json!({ "type": "0x1", "gasPrice": "0x77359400", "accessList": access }))),
        ("0x2", with(json!({ "type": "0x2", "accessList": access }))),
        ("0x4", with(json!({ "type": "0x4", "authorizationList": auth, "gas": "0x30d40" }))),
    ]
}

#[tokio::test]
async fn a_transaction_told_wrongly_is_no_verdict_on_a_claim() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let proxy = Proxy::start(anvil.port).await;
    let payee = connected(settings(&[proxy.url()], 1)).await;
    let made = transfer(7, 1);
    let mut last = None;
    for (kind, transaction) in kinds(&made) {
        let tx = sent(&anvil, transaction).await;
        let told = anvil.ask("eth_getTransactionByHash", json!([tx.as_str()])).await;
        assert_eq!(told["type"], kind, "{told}");
        let claim = Claim { tx, transfer: made.clone() };
        let lies = [
            ("value", json!("0x1")),
            ("value", json!("0xffff")),
            ("input", json!(format!("0x{}", "9".repeat(64)))),
            ("input", json!("0x")),
            ("to", json!(account(2).as_str())),
            ("from", json!(account(2).as_str())),
            ("type", json!("0x3")),
            ("r", json!("0x1")),
            ("s", Value::Null),
        ];
        for (field, lie) in lies {
            let mut altered = told.clone();
            altered[field] = lie.clone();
            proxy.next("eth_getTransactionByHash", Fault::Result(altered));
            let answer = payee.paid(&claim).await;
            assert_eq!(proxy.waiting(), 0);
            assert!(
                matches!(answer, Err(LedgerError::Unavailable { .. })),
                "{kind} with {field} {lie}: {answer:?}"
            );
        }
        let answer = payee.paid(&claim).await;
        assert!(matches!(answer, Ok(Finality::Final(_))), "{kind}: {answer:?}");
        let other = Claim { transfer: transfer(7, 2), ..claim };
        is_refused(&payee.paid(&other).await, "WrongReference");
        last = Some((other, told));
    }

    // A kind that is not known here: the node has to say the same twice, of a deep block.
    let (claim, mut told) = last.unwrap();
    let claim = Claim { transfer: made, ..claim };
    told["type"] = json!("0x7e");
    let mut lie = told.clone();
    lie["value"] = json!("0x1");
    let always = |told: &Value| {
        let told = told.clone();
        proxy.rule(move |method, _| {
            (method == "eth_getTransactionByHash").then(|| Fault::Result(told.clone()))
        });
    };
    let shallow = connected(settings(&[proxy.url()], 9)).await;
    always(&lie);
    let answer = shallow.paid(&claim).await;
    assert!(matches!(answer, Ok(Finality::Pending(Some(_)))), "{answer:?}");
    is_refused(&payee.paid(&claim).await, "AmountTooLow");
    always(&told);
    proxy.next("eth_getTransactionByHash", Fault::Result(lie.clone()));
    is_unavailable(&payee.paid(&claim).await, "in two ways");
    assert!(matches!(payee.paid(&claim).await, Ok(Finality::Final(_))));
    proxy.next("eth_getTransactionByHash", Fault::Result(lie.clone()));
    proxy.next("eth_getTransactionByHash", Fault::Result(lie));
    let answer = payee.paid(&claim).await;
    assert!(matches!(answer, Ok(Finality::Final(_))), "refused, and looked at again: {answer:?}");
}

#[tokio::test]
async fn what_a_transaction_did_is_not_by_one_answer() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let settings = with_escrow(&anvil, 1).await;
    let asset = with_token(&anvil, &settings).await;
    let proxy = Proxy::start(anvil.port).await;
    let ledger = connected(of(&settings, &[proxy.url()])).await;
    let made = Transfer { asset, ..transfer(100, 1) };
    let sent = signed(&ledger, &Call::Transfer(made.clone())).await;
    let tx = ledger.submit(&sent).await.unwrap();
    let told = evidence(&ledger, &sent).await;
    let claim = |units| {
        let transfer = Transfer { amount: Amount::new(units), ..made.clone() };
        Claim { tx: tx.clone(), transfer }
    };
    let hundred = hex::encode(number(100));
    let lies = [
        ("\"logs\":[", "\"logs\":[],\"were\":["),
        ("\"status\":\"0x1\"", "\"status\":\"0x0\""),
        (hundred.as_str(), &hex::encode(number(101))),
        (hundred.as_str(), &hex::encode(number(99))),
        ("\"gasUsed\":\"0x", "\"gasUsed\":\"0x1"),
    ];
    for (truth, lie) in lies {
        let altered = || Fault::Altered(truth.to_owned(), lie.to_owned());
        for units in [100, 101] {
            proxy.next("eth_getTransactionReceipt", altered());
            is_unavailable(&ledger.paid(&claim(units)).await, "in two ways");
        }
        proxy.next("eth_getTransactionReceipt", altered());
        is_unavailable(&ledger.finality(&sent).await, "in two ways");
    }
    assert_eq!(evidence(&ledger, &sent).await, told);
    assert_eq!(ledger.paid(&claim(100)).await, Ok(Finality::Final(told)));
    is_refused(&ledger.paid(&claim(101)).await, "AmountTooLow");
}

/// A token at an address, made of code that says yes to whatever it is asked.
async fn token(anvil: &Anvil, code: Code, at: u8) -> Asset {
    let at: sdpp_ledger::Account = format!("0x{}", hex::encode([at; 20])).parse().unwrap();
    code.answer(number(1)).put(anvil, &at).await;
    at.as_str().parse().unwrap()
}

/// The event of a token that brings account 1 something from account 0.
fn brought(code: Code, units: u128) -> Code {
    let event = topic("Transfer(address,address,uint256)");
    code.tell(&[event, address(&account(0)), address(&account(1))], &number(units))
}

#[tokio::test]
async fn what_arrived_is_what_the_token_itself_tells() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let ledger = connected(settings(&[anvil.url()], 1)).await;
    // One keeps 40 of 100 for itself, one has another contract tell what never came, and one
    // tells of what another account got.
    let greedy = token(&anvil, brought(Code::default(), 60), 0xa1).await;
    let friend = token(&anvil, brought(Code::default(), 100), 0xa2).await;
    let lying = Code::default().call(&friend.as_str().parse().unwrap(), &[]);
    let lying = token(&anvil, lying, 0xa3).await;
    let event = topic("Transfer(address,address,uint256)");
    let elsewhere = [event, address(&account(0)), address(&account(2))];
    let elsewhere = token(&anvil, Code::default().tell(&elsewhere, &number(100)), 0xa4).await;
    for (place, (asset, came)) in [(greedy, 60), (lying, 0), (elsewhere, 0)].into_iter().enumerate()
    {
        let reference = u8::try_from(place).unwrap();
        let made = Transfer { asset, ..transfer(100, reference) };
        let sent = signed(&ledger, &Call::Transfer(made.clone())).await;
        let tx = ledger.submit(&sent).await.unwrap();
        assert_eq!(evidence(&ledger, &sent).await.amount, Amount::new(came), "{place}");
        let claim = |units| {
            let transfer = Transfer { amount: Amount::new(units), ..made.clone() };
            Claim { tx: tx.clone(), transfer }
        };
        is_refused(&ledger.paid(&claim(100)).await, "AmountTooLow");
        is_refused(&ledger.paid(&claim(came + 1)).await, "AmountTooLow");
        match ledger.paid(&claim(came)).await {
            Ok(Finality::Final(told)) => assert_eq!(told.amount, Amount::new(came)),
            other => panic!("{place}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn what_is_told_of_another_transaction_is_not_of_ours() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let proxy = Proxy::start(anvil.port).await;
    let ledger = connected(settings(&[proxy.url()], 1)).await;
    let [ours, other] = [transfer(7, 1), transfer(9, 2)].map(Call::Transfer);
    let sent = signed(&ledger, &ours).await;
    ledger.submit(&sent).await.unwrap();
    let told = evidence(&ledger, &sent).await;
    let other = done(&ledger, &other).await;
    for method in ["eth_getTransactionReceipt", "eth_getTransactionByHash"] {
        let anothers = anvil.ask(method, json!([other.as_str()])).await;
        proxy.next(method, Fault::Result(anothers));
        let claim = Claim { tx: told.tx.clone(), transfer: transfer(7, 1) };
        is_unavailable(&ledger.paid(&claim).await, "another");
    }
    let anothers = anvil.ask("eth_getTransactionReceipt", json!([other.as_str()])).await;
    proxy.next("eth_getTransactionReceipt", Fault::Result(anothers));
    is_unavailable(&ledger.finality(&sent).await, "another's receipt");
    assert_eq!(evidence(&ledger, &sent).await, told);
}

#[tokio::test]
async fn a_head_that_is_given_up_while_it_is_counted_makes_nothing_final() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let proxy = Proxy::start(anvil.port).await;
    let ledger = connected(settings(&[proxy.url()], 3)).await;
    let sent = signed(&ledger, &Call::Transfer(transfer(7, 1))).await;
    ledger.submit(&sent).await.unwrap();
    anvil.mine(4).await;
    let told = evidence(&ledger, &sent).await;
    let other = prepare(&ledger, sent.number, &Call::Transfer(transfer(9, 2))).await.unwrap();
    assert_eq!(ledger.finality(&other).await, Ok(Finality::Replaced));
    let head = format!("0x{:x}", anvil.height().await);
    // The head's own height is asked for once more, and there stands another block.
    let given_up = format!("0x{}", "5".repeat(64));
    let hash = anvil.ask("eth_getBlockByNumber", json!(["latest", false])).await["hash"].clone();
    let hash = hash.as_str().unwrap().to_owned();
    proxy.rule(move |method, params| {
        let is_asked = method == "eth_getBlockByNumber" && params[0] == head.as_str();
        is_asked.then(|| Fault::Altered(hash.clone(), given_up.clone()))
    });
    let answer = ledger.finality(&sent).await;
    assert!(matches!(answer, Ok(Finality::Pending(Some(_)))), "{answer:?}");
    assert_eq!(ledger.finality(&other).await, Ok(Finality::Unknown));
    let claim = Claim { tx: told.tx.clone(), transfer: transfer(7, 1) };
    let answer = ledger.paid(&claim).await;
    assert!(matches!(answer, Ok(Finality::Pending(Some(_)))), "{answer:?}");
    proxy.calm();
    assert_eq!(evidence(&ledger, &sent).await, told);
}

/// A height that a question names, if it names one.
fn height(value: &Value) -> Option<u64> {
    u64::from_str_radix(value.as_str()?.strip_prefix("0x")?, 16).ok()
}

/// A node that keeps the numbers of accounts for 128 blocks, and has lost one transaction.
fn forgets(proxy: &Proxy, head: u64, lost: &TxId) {
    let lost = lost.clone();
    proxy.rule(move |method, params| match method {
        "eth_getTransactionReceipt" | "eth_getTransactionByHash" => {
            (params[0] == lost.as_str()).then(|| Fault::Result(Value::Null))
        }
        "eth_getTransactionCount" => height(&params[1])
            .is_some_and(|height| height + 128 <= head)
            .then(|| Fault::Error("missing trie node".to_owned())),
        _ => None,
    });
}

#[tokio::test]
async fn a_payment_that_a_node_forgot_is_not_called_replaced() {
    let Some(anvil) = Anvil::start(&[]).await else { return };
    let proxy = Proxy::start(anvil.port).await;
    let ledger = connected(settings(&[proxy.url()], 2)).await;
    let sent = signed(&ledger, &Call::Transfer(transfer(7, 1))).await;
    let foreign = signed(&ledger, &Call::Transfer(transfer(9, 2))).await;
    assert_eq!(sent.number, foreign.number);
    let tx = ledger.submit(&sent).await.unwrap();
    anvil.ask("anvil_mine", json!(["0xc8"])).await;
    forgets(&proxy, anvil.height().await, &tx);
    is_unavailable(&ledger.finality(&sent).await, "does not know it by its id");
    is_unavailable(&ledger.submit(&sent).await, "does not know it by its id");
    // What took its place is found in the same way, and has to be what we signed.
    assert_eq!(ledger.finality(&foreign).await, Ok(Finality::Replaced));
    is_refused(&ledger.submit(&foreign).await, "NumberUsed");
    let other = Fault::Altered(tx.as_str().to_owned(), format!("0x{}", "5".repeat(64)));
    proxy.rule({
        let is_lost = tx.clone();
        move |method, params| match method {
            "eth_getBlockByNumber" if params[1] == true => Some(other.clone()),
            "eth_getTransactionReceipt" | "eth_getTransactionByHash" => {
                (params[0] == is_lost.as_str()).then(|| Fault::Result(Value::Null))
            }
            _ => None,
        }
    });
    is_unavailable(&ledger.finality(&sent).await, "a transaction that cannot be");

    anvil.ask("anvil_mine", json!(["0x12c"])).await;
    forgets(&proxy, anvil.height().await, &tx);
    let told = ledger.finality(&sent).await;
    for part in ["number 0 of 0xf39f", "an archive"] {
        is_unavailable(&told, part);
    }
    is_unavailable(&ledger.finality(&foreign).await, "an archive");
    // Another endpoint that keeps it all decides.
    let both = connected(settings(&[proxy.url(), anvil.url()], 2)).await;
    assert!(matches!(both.finality(&sent).await, Ok(Finality::Final(_))));
    assert_eq!(both.finality(&foreign).await, Ok(Finality::Replaced));
}

#[tokio::test]
async fn an_absurd_number_is_not_signed_under() {
    let Some(anvil) = Anvil::start(&["--no-mining"]).await else { return };
    let proxy = Proxy::start(anvil.port).await;
    let absurd = || Fault::Result(json!("0x10000000000"));
    let fresh = connected(settings(&[proxy.url()], 1)).await;
    // The first question is after what is used, the second after what is free.
    proxy.next("eth_getTransactionCount", absurd());
    is_unavailable(&fresh.next_number().await, "absurd numbers");
    proxy.next("eth_getTransactionCount", Fault::Late(std::time::Duration::ZERO));
    proxy.next("eth_getTransactionCount", absurd());
    is_unavailable(&fresh.next_number().await, "absurd numbers");
    assert_eq!(fresh.next_number().await, Ok(0));
    // It is absurd both times, and more than we know to have sent.
    let always = |number: &'static str| {
        proxy.rule(move |method, _| {
            (method == "eth_getTransactionCount").then(|| Fault::Result(json!(number)))
        });
    };
    always("0x202");
    is_unavailable(&fresh.next_number().await, "absurd numbers");
    always("0x200");
    assert_eq!(fresh.next_number().await, Ok(0x200), "a wallet that others use too");
    proxy.calm();

    // What we sent ourselves may all wait.
    let ledger = connected(settings(&[proxy.url()], 1)).await.signed_by(key(2));
    let mut last = None;
    for number in 0..3 {
        let sent = prepare(&ledger, number, &Call::Transfer(transfer(1, 1))).await.unwrap();
        ledger.submit(&sent).await.unwrap();
        last = Some(sent.number + 1);
    }
    proxy.next("eth_getTransactionCount", Fault::Late(std::time::Duration::ZERO));
    proxy.next("eth_getTransactionCount", Fault::Result(json!("0x203")));
    assert_eq!(ledger.next_number().await, Ok(0x203), "512 beyond what we sent");
    assert_eq!(ledger.next_number().await.ok(), last);
}
