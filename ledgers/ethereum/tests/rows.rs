//! Stories of what a settlement brought, where others write into the same transaction, where the
//! node gives little at once, and where the settings have changed since.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;
mod suite;

use rig::code::{Code, Word, input_of_bytes, number, topic};
use rig::proxy::{Fault, Proxy};
use rig::{Anvil, account, evidence, key, signed, transfer, with_escrow};
use sdpp_ledger::{
    Amount, Asset, Batch, Call, ChangeKind, ChannelId, Digest, Escrow, Evidence, Finality, Ledger,
    LedgerError, Open, Redeem, Signature, TopUp, Voucher, channel_id,
};
use sdpp_ledger_ethereum::{EthereumLedger, Settings};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use suite::EthereumRig;

async fn rig(args: &[&str], depth: u64) -> Option<EthereumRig> {
    Some(EthereumRig::new(Anvil::start(args).await?, depth, false).await)
}

/// Does a call on a chain that makes blocks by itself.
async fn done(ledger: &EthereumLedger, call: &Call) -> Evidence {
    let signed = signed(ledger, call).await;
    ledger.submit(&signed).await.unwrap();
    evidence(ledger, &signed).await
}

/// A channel with a deposit of 1,000 for account 1.
async fn opened(payer: &EthereumLedger, salt: u8) -> ChannelId {
    let (payee, salt, asset) = (account(1), Digest([salt; 32]), Asset::coin());
    let id = channel_id(payer.domain(), payer.account(), &payee, &asset, &salt, None);
    let open = Open { payee, asset, deposit: Amount::new(1_000), salt, signer: None };
    done(payer, &Call::Open(open)).await;
    id
}

/// A voucher of Anvil's account `payer`.
fn redeem(payer: usize, ledger: &EthereumLedger, channel: ChannelId, units: u128) -> Redeem {
    let amount = Amount::new(units);
    let signature = Voucher { channel, amount }.sign(ledger.domain(), &key(payer));
    Redeem { channel, amount, signature }
}

fn row(redeem: &Redeem) -> Vec<u8> {
    let amount = redeem.amount.units().to_be_bytes();
    [redeem.channel.0.as_slice(), &amount, &redeem.signature.0].concat()
}

fn rows_of(evidence: &Evidence) -> Vec<(u128, Option<&str>)> {
    evidence.rows.iter().map(|row| (row.amount.units(), row.refused.as_deref())).collect()
}

/// How many events of the escrow a transaction has.
async fn events(rig: &EthereumRig, evidence: &Evidence) -> usize {
    let receipt = rig.anvil.ask("eth_getTransactionReceipt", json!([evidence.tx.as_str()])).await;
    let escrow = rig.settings.escrow.as_ref().unwrap().as_str();
    receipt["logs"].as_array().unwrap().iter().filter(|log| log["address"] == escrow).count()
}

#[tokio::test]
async fn what_a_payer_writes_into_our_close_is_not_our_close() {
    let Some(rig) = rig(&[], 1).await else { return };
    let [payer, payee, _] = &rig.ledgers;
    let escrow = rig.settings.escrow.clone().unwrap();
    let id = opened(payer, 1).await;
    let nothing = input_of_bytes("settleMany(bytes)", &[0; 113]);
    Code::default().call(&escrow, &nothing).put(&rig.anvil, &account(0)).await;
    let closed = done(payee, &Call::Close(redeem(0, payee, id, 400))).await;
    assert_eq!(events(&rig, &closed).await, 2, "the payer wrote nothing into it");
    assert_eq!(closed.amount, Amount::new(400));
}

#[tokio::test]
async fn a_row_that_took_effect_is_not_passed_over_by_the_word_of_a_payer() {
    let Some(rig) = rig(&[], 1).await else { return };
    let [first, payee, second] = &rig.ledgers;
    let escrow = rig.settings.escrow.clone().unwrap();
    let ids = [
        opened(first, 1).await,
        opened(second, 1).await,
        opened(second, 2).await,
        opened(second, 3).await,
    ];
    let bad = Redeem { signature: Signature([0; 65]), ..redeem(2, payee, ids[3], 70) };
    let rows = vec![
        redeem(0, payee, ids[0], 400),
        redeem(2, payee, ids[1], 500),
        redeem(2, payee, ids[2], 600),
        bad,
    ];
    // Paid when the second row is done, and before the others are: it passes over the third and
    // the fourth in its own name, and tells of the fourth's close in its own name too.
    let ours: Vec<u8> = rows[2..].iter().flat_map(row).collect();
    let [close, closed]: [Word; 2] = [topic("ChannelClosed(bytes32,uint256)"), ids[3].0];
    Code::default()
        .call(&escrow, &input_of_bytes("settleMany(bytes)", &ours))
        .tell(&[close, closed], &number(70))
        .put(&rig.anvil, &account(0))
        .await;
    let told = done(payee, &Call::CloseMany(Batch { rows })).await;
    assert_eq!(events(&rig, &told).await, 6, "the payer wrote nothing into it");
    let expected = [(400, None), (500, None), (600, None), (0, Some("InvalidSignature"))];
    assert_eq!(rows_of(&told), expected);
    assert_eq!(told.amount, Amount::new(1_500));
}

/// The blocks that a question after events is about.
fn blocks_of(params: &Value) -> (u64, u64) {
    let height = |key: &str| height(&params[0][key]);
    (height("fromBlock"), height("toBlock"))
}

fn height(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

fn no(words: &str) -> Option<Fault> {
    Some(Fault::Error(words.to_owned()))
}

/// Whether a question is about the state at an old block.
fn is_old_state(method: &str, params: &Value) -> bool {
    method == "eth_call" && params[1].as_str().is_some_and(|block| block.starts_with("0x"))
}

/// The payee's way to the chain through a proxy.
async fn through(rig: &EthereumRig, proxy: &Proxy) -> EthereumLedger {
    let endpoints = vec![proxy.url().parse().unwrap()];
    let settings = Settings { endpoints, ..rig.settings.clone() };
    EthereumLedger::connect(settings, key(1)).await.unwrap()
}

fn is_unavailable<T: std::fmt::Debug>(answer: &Result<T, LedgerError>, part: &str) {
    match answer {
        Err(LedgerError::Unavailable { what, .. }) if what.contains(part) => {}
        other => panic!("not unavailable with {part:?}: {other:?}"),
    }
}

#[tokio::test]
async fn a_settlement_is_read_from_a_node_without_old_state_that_gives_few_blocks_at_once() {
    let Some(rig) = rig(&[], 1).await else { return };
    let [payer, payee, _] = &rig.ledgers;
    let id = opened(payer, 1).await;
    let other = opened(payer, 2).await;
    done(payee, &Call::Settle(redeem(0, payee, id, 100))).await;
    rig.anvil.ask("anvil_mine", json!(["0x258"])).await;
    let rows = vec![redeem(0, payee, other, 50), redeem(0, payee, id, 300)];
    let settling = signed(payee, &Call::SettleMany(Batch { rows })).await;
    payee.submit(&settling).await.unwrap();
    evidence(payee, &settling).await;

    let proxy = Proxy::start(rig.anvil.port).await;
    let ledger = through(&rig, &proxy).await;
    let opening = ledger.changes(&[other], 0).await.unwrap().list[0].height;
    let asked = proxy.asked("eth_getLogs");
    proxy.rule(move |method, params| match method {
        "eth_getLogs" => {
            let (from, to) = blocks_of(params);
            assert!(to >= opening, "it reads on below the opening");
            if to - from >= 15 { no("query exceeds the range of 15 blocks") } else { None }
        }
        _ if is_old_state(method, params) => no("missing trie node"),
        _ => None,
    });
    let told = evidence(&ledger, &settling).await;
    assert_eq!(rows_of(&told), [(50, None), (200, None)]);
    let asked = proxy.asked("eth_getLogs") - asked;
    assert!(asked < 100, "{asked} questions for 600 blocks of 15 at most");

    // A node that keeps no old events either, and says nothing of it.
    proxy.rule(move |method, params| match method {
        "eth_getLogs" if blocks_of(params).0 <= opening => Some(Fault::Result(json!([]))),
        _ if is_old_state(method, params) => no("missing trie node"),
        _ => None,
    });
    is_unavailable(&ledger.finality(&settling).await, "an archive");
    let urls = [proxy.url(), rig.anvil.url()].map(|url| url.parse().unwrap());
    let both = Settings { endpoints: urls.to_vec(), ..rig.settings.clone() };
    let both = EthereumLedger::connect(both, key(1)).await.unwrap();
    assert_eq!(rows_of(&evidence(&both, &settling).await), [(50, None), (200, None)]);
    proxy.rule(|method, params| match method {
        "eth_getLogs" => no("no events today"),
        _ if is_old_state(method, params) => no("missing trie node"),
        _ => None,
    });
    is_unavailable(&ledger.finality(&settling).await, "no events today");
}

#[tokio::test]
async fn a_history_that_a_payer_filled_is_watched_in_small_parts() {
    let Some(rig) = rig(&[], 1).await else { return };
    let [payer, payee, _] = &rig.ledgers;
    let id = opened(payer, 1).await;
    let first = rig.anvil.height().await;
    let mut number = payer.next_number().await.unwrap();
    for _ in 0..12 {
        let wei = Call::TopUp(TopUp { channel: id, amount: Amount::new(1) });
        let signed = sdpp_ledger::prepare(payer, number, &wei).await.unwrap();
        payer.submit(&signed).await.unwrap();
        number += 1;
    }
    done(payee, &Call::Settle(redeem(0, payee, id, 100))).await;
    let last = rig.anvil.height().await;
    rig.anvil.ask("anvil_mine", json!(["0x12c"])).await;

    let proxy = Proxy::start(rig.anvil.port).await;
    let ledger = through(&rig, &proxy).await;
    // It gives no more than two of the channel's events at once.
    proxy.rule(move |method, params| {
        let (from, to) = (method == "eth_getLogs").then(|| blocks_of(params))?;
        let events = (to.min(last) + 1).saturating_sub(from.max(first));
        if events > 2 { no("query returned more than 2 results") } else { None }
    });
    let (mut from, mut told) = (0, Vec::new());
    while from <= rig.anvil.height().await {
        let changes = ledger.changes(&[id], from).await.unwrap();
        assert!(changes.next > from, "the watch stands still");
        from = changes.next;
        told.extend(changes.list);
    }
    assert_eq!(told.len(), 14);
    assert_eq!(told[13].kind, ChangeKind::Settled { settled: Amount::new(100) });
    assert!(told.is_sorted_by_key(|change| change.height));
    let asked = proxy.asked("eth_getLogs");
    assert!(asked < 80, "{asked} questions: the silence after it is read in small parts too");

    // An answer that is too long to read is too much at once, too.
    proxy.calm();
    proxy.next("eth_getLogs", Fault::Say(vec![b' '; 17 << 20]));
    assert_eq!(ledger.changes(&[id], 0).await.unwrap().list.len(), 14);

    // What was read counts, however the rest goes.
    let asked = AtomicUsize::new(0);
    proxy.rule(move |method, params| {
        let (from, to) = (method == "eth_getLogs").then(|| blocks_of(params))?;
        let is_enough = asked.load(Ordering::Relaxed) == 3;
        match to - from {
            _ if is_enough => Some(Fault::TooMany(1)),
            5.. => no("query exceeds the range of 5 blocks"),
            _ => {
                asked.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    });
    let part = ledger.changes(&[id], 0).await.unwrap();
    assert!(part.next > 6 && part.next <= last, "{part:?}");
}

#[tokio::test]
async fn what_was_signed_for_another_escrow_is_not_read_by_this_one() {
    let Some(rig) = rig(&[], 1).await else { return };
    let [payer, payee, _] = &rig.ledgers;
    let ids = [opened(payer, 1).await, opened(payer, 2).await];
    let paid = signed(payee, &Call::Transfer(transfer(5, 1))).await;
    payee.submit(&paid).await.unwrap();
    let settle = signed(payee, &Call::Settle(redeem(0, payee, ids[0], 100))).await;
    payee.submit(&settle).await.unwrap();
    let rows = vec![redeem(0, payee, ids[1], 50)];
    let batch = signed(payee, &Call::CloseMany(Batch { rows })).await;
    payee.submit(&batch).await.unwrap();
    let told = evidence(payee, &batch).await;

    let before = rig.settings.escrow.clone().unwrap();
    let moved = with_escrow(&rig.anvil, 1).await;
    assert_ne!(moved.escrow, rig.settings.escrow);
    for settings in [moved, Settings { escrow: None, ..rig.settings.clone() }] {
        let ledger = EthereumLedger::connect(settings, key(1)).await.unwrap();
        is_unavailable(&ledger.finality(&settle).await, before.as_str());
        is_unavailable(&ledger.finality(&batch).await, before.as_str());
        assert!(matches!(ledger.finality(&paid).await, Ok(Finality::Final(_))));
    }
    assert_eq!(evidence(payee, &batch).await, told);
}

#[tokio::test]
async fn an_event_that_was_not_asked_for_is_not_taken() {
    let Some(rig) = rig(&[], 1).await else { return };
    let [payer, payee, _] = &rig.ledgers;
    let id = opened(payer, 1).await;
    let first = done(payee, &Call::Settle(redeem(0, payee, id, 100))).await;
    let settle = signed(payee, &Call::Settle(redeem(0, payee, id, 300))).await;
    payee.submit(&settle).await.unwrap();
    let told = evidence(payee, &settle).await;
    assert_eq!(told.amount, Amount::new(200));

    let proxy = Proxy::start(rig.anvil.port).await;
    let ledger = through(&rig, &proxy).await;
    let filter = json!([{ "fromBlock": "0x0", "toBlock": "latest" }]);
    let all = rig.anvil.ask("eth_getLogs", filter).await;
    let block = json!(format!("0x{:x}", first.height));
    let is_first = |log: &&Value| log["blockNumber"] == block;
    let event = all.as_array().unwrap().iter().find(is_first).unwrap().clone();
    let from = first.height;
    let lies = [
        ("address", json!(account(2).as_str())),
        ("topics", json!([event["topics"][0], format!("0x{}", "2".repeat(64))])),
        ("topics", json!([event["topics"][0]])),
        ("topics", json!([])),
        ("topics", json!([format!("0x{}", "2".repeat(64)), event["topics"][1]])),
        ("removed", json!(true)),
        ("logIndex", Value::Null),
        ("data", json!("0x")),
    ];
    for (field, lie) in &lies {
        // It tells of more that was settled before, as no escrow of ours did.
        let mut odd = event.clone();
        odd["data"] = json!(format!("0x{}", hex::encode(number(250))));
        odd[*field] = lie.clone();
        let (told_all, odd_one) = (all.clone(), odd.clone());
        proxy.rule(move |method, params| match method {
            "eth_getLogs" => {
                let (from, to) = blocks_of(params);
                let is_in = |log: &&Value| (from..=to).contains(&height(&log["blockNumber"]));
                let all = told_all.as_array().unwrap().iter().chain([&odd_one]);
                Some(Fault::Result(all.filter(is_in).cloned().collect()))
            }
            _ if is_old_state(method, params) => no("missing trie node"),
            _ => None,
        });
        let answer = ledger.finality(&settle).await;
        assert_eq!(answer, Ok(Finality::Final(told.clone())), "{field}: {lie}");
        proxy.rule(move |method, _| (method == "eth_getLogs").then(|| Fault::Result(json!([odd]))));
        let answer = ledger.changes(&[id], from).await;
        assert!(matches!(answer, Err(LedgerError::Unavailable { .. })), "{field}: {answer:?}");
    }
    // One of a block that the question was not about, and of one that does not stand.
    proxy.rule(move |method, _| (method == "eth_getLogs").then(|| Fault::Result(json!([event]))));
    assert_eq!(ledger.changes(&[id], from).await.unwrap().list.len(), 1);
    is_unavailable(&ledger.changes(&[id], from + 1).await, "a block that was not asked for");
}
