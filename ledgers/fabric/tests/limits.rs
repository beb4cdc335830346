//! Stories of promises that are prepared and not yet on the ledger: they count as owed, once.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod rig;

use rig::proxy::{Fault, Proxy};
use rig::{IOUS, MONEY, Market, connected, is_refused, settings, signed, transfer, with_ious};
use sdpp_ledger::{Call, Ledger, prepare};
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};

#[tokio::test]
async fn promises_that_are_prepared_count_as_owed_and_once_only() {
    let Some(market) = Market::open().await else { return };
    let settings = with_ious(settings(&market.gateway, "buyer"), MONEY, 100, &[]);
    let buyer = connected(settings).await;
    let owe = |units| Call::Transfer(transfer(market.seller.account(), IOUS, units));
    let first = signed(&buyer, &owe(60)).await;
    buyer.note_live(std::slice::from_ref(&first));
    is_refused(&prepare(&buyer, 1, &owe(41)).await, "InsufficientFunds");
    let second = signed(&buyer, &owe(40)).await;
    // What has landed and has not ended yet stands on the ledger too.
    buyer.submit(&first).await.unwrap();
    buyer.note_live(std::slice::from_ref(&first));
    signed(&buyer, &owe(40)).await;
    buyer.note_live(&[first, second]);
    is_refused(&prepare(&buyer, 2, &owe(1)).await, "InsufficientFunds");
    // What was prepared and came to nothing is owed no more.
    buyer.note_live(&[]);
    signed(&buyer, &owe(40)).await;
}

/// Of many promises only the first are listed. One that lands between two questions about them is
/// in the sum.
#[tokio::test]
async fn a_promise_that_lands_while_many_are_counted_counts() {
    let Some(market) = Market::open().await else { return };
    let proxy = Proxy::start(market.double.host()).await;
    let through = market.gateway.through(proxy.url());
    let buyer = connected(with_ious(settings(&through, "buyer"), MONEY, 100, &[])).await;
    let owe = |units| Call::Transfer(transfer(market.seller.account(), IOUS, units));
    let first = signed(&buyer, &owe(60)).await;
    buyer.submit(&first).await.unwrap();
    buyer.note_live(&[first]);
    // What was answered before it landed, of more than are listed.
    let side = json!({ "count": 201, "total": "0", "more": false, "ious": [] });
    let early = json!({ "result": { "held": side, "owed": side } }).to_string();
    let is_first = AtomicBool::new(true);
    proxy.rule(move |asked| {
        let is_early = asked.func == "GetIous" && is_first.swap(false, Ordering::Relaxed);
        is_early.then(|| Fault::Say(200, early.clone()))
    });
    is_refused(&prepare(&buyer, 1, &owe(41)).await, "InsufficientFunds");
    signed(&buyer, &owe(40)).await;
}

#[tokio::test]
async fn what_is_owed_already_is_prepared_again_without_owing_it_twice() {
    let Some(market) = Market::open().await else { return };
    let settings = with_ious(settings(&market.gateway, "buyer"), MONEY, 100, &[]);
    let buyer = connected(settings).await;
    let call = Call::Transfer(transfer(market.seller.account(), IOUS, 100));
    let tx = buyer.submit(&signed(&buyer, &call).await).await.unwrap();
    let again = signed(&buyer, &call).await;
    assert_eq!(buyer.submit(&again).await.unwrap(), tx);
    let Call::Transfer(made) = call else { panic!("a transfer") };
    let other = Call::Transfer(sdpp_ledger::Transfer { to: somebody_else(&market), ..made });
    is_refused(&prepare(&buyer, 1, &other).await, "InsufficientFunds");
}

/// Another account than that which was promised something.
fn somebody_else(market: &Market) -> sdpp_ledger::Account {
    let account = market.seller.account().as_str();
    let (msp, digits) = account.split_once(':').unwrap();
    format!("{msp}:{}", digits.chars().rev().collect::<String>()).parse().unwrap()
}
