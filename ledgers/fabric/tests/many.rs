//! Stories of many orders at once: of one buyer, whose spends wait for each other, and of many,
//! who do not.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod rig;

use rig::{
    Double, FIRST, Gateway, IOUS, MONEY, Market, anchor, connected, evidence, landed, settings,
    signed,
};
use sdpp_ledger::{Call, Evidence, Ledger};
use sdpp_ledger_fabric::{FabricLedger, Settings};
use std::collections::BTreeSet;
use tokio::task::JoinSet;

const MANY: usize = 20;

/// Blocks that wait so long that a busy machine gets many transactions ready for one.
const LONG: [&str; 2] = ["--block-ms", "500"];

/// Prepares a call with each ledger and submits all at the same time: the evidence of each.
async fn at_once(calls: Vec<(FabricLedger, Call)>) -> Vec<Evidence> {
    let mut set = JoinSet::new();
    for (ledger, call) in calls {
        let signed = signed(&ledger, &call).await;
        set.spawn(async move {
            let (tx, _) = landed(&ledger, &signed).await;
            let evidence = evidence(&ledger, &signed).await;
            assert_eq!(evidence.tx, tx);
            evidence
        });
    }
    set.join_all().await
}

fn heights(all: &[Evidence]) -> BTreeSet<u64> {
    all.iter().map(|evidence| evidence.height).collect()
}

/// No transaction was made in vain, by us or by the gateway's own tries.
fn nothing_was_invalid(double: &Double) {
    for code in ["MVCC_READ_CONFLICT", "PHANTOM_READ_CONFLICT"] {
        assert_eq!(double.faults.count(code), 0, "{code}");
    }
}

#[tokio::test]
async fn twenty_payments_of_one_buyer_go_one_a_block_and_none_is_in_vain() {
    let Some(market) = Market::open().await else { return };
    let pay = |_| (market.buyer.clone(), Call::Transfer(market.transfer(MONEY, 7)));
    let all = at_once((0..MANY).map(pay).collect()).await;
    let blocks = heights(&all);
    println!("{MANY} payments of one buyer: {} blocks", blocks.len());
    assert_eq!(blocks.len(), MANY, "one a block");
    nothing_was_invalid(&market.double);
    assert_eq!(market.seller_has().await, FIRST + 7 * MANY as u128);
}

#[tokio::test]
async fn twenty_ious_and_anchors_of_one_buyer_wait_for_nobody() {
    let Some(market) = Market::open_with(&LONG).await else { return };
    let owe = |_| (market.buyer.clone(), Call::Transfer(market.transfer(IOUS, 7)));
    let put = |_| (market.buyer.clone(), anchor());
    for (what, calls) in [
        ("IOUs", (0..MANY).map(owe).collect::<Vec<_>>()),
        ("anchors", (0..MANY).map(put).collect()),
    ] {
        let all = at_once(calls).await;
        let blocks = heights(&all);
        println!("{MANY} {what} of one buyer: {} blocks", blocks.len());
        // How many get ready in time for one block is up to the machine; one by one they are not.
        assert!(blocks.len() < MANY * 3 / 4, "{what}: {} blocks", blocks.len());
    }
    nothing_was_invalid(&market.double);
    let ious = market.buyer.ious(market.buyer.account(), MONEY).await.unwrap();
    assert_eq!((ious.owed.count, ious.owed.total.units()), (20, 7 * MANY as u128));
}

/// Payments that wait for their turn take nothing from others that the gateway is given at once.
#[tokio::test]
async fn a_queue_of_payments_holds_up_no_record() {
    let Some(market) = Market::open_with(&["--block-ms", "100"]).await else { return };
    let buyer = Settings { in_flight_max: 2, ..settings(&market.gateway, "buyer") };
    let buyer = connected(buyer).await;
    let pay = |_| (buyer.clone(), Call::Transfer(market.transfer(MONEY, 7)));
    let payments = tokio::spawn(at_once((0..8).map(pay).collect()));
    let records = at_once(vec![(buyer.clone(), anchor()), (buyer.clone(), anchor())]).await;
    let last = payments.await.unwrap().iter().map(|one| one.height).max().unwrap();
    let recorded = records.iter().map(|one| one.height).max().unwrap();
    assert!(recorded + 3 < last, "records in {recorded}, the last payment in {last}");
}

/// Somebody with money in its balance.
async fn new_buyer(gateway: Gateway) -> FabricLedger {
    let signer = gateway.new_signer(false).await;
    gateway.mint("admin", &signer.account, MONEY, 100).await;
    gateway.sweep(&signer, MONEY).await;
    connected(settings(&gateway, &signer.name)).await
}

#[tokio::test]
async fn twenty_buyers_pay_one_seller_at_once_and_nobody_is_in_anothers_way() {
    let Some(market) = Market::open_with(&LONG).await else { return };
    let mut buyers = JoinSet::new();
    for _ in 0..MANY {
        buyers.spawn(new_buyer(market.gateway.clone()));
    }
    let pay = |buyer| (buyer, Call::Transfer(market.transfer(MONEY, 7)));
    let calls = buyers.join_all().await.into_iter().map(pay).collect();
    let all = at_once(calls).await;
    let blocks = heights(&all);
    println!("{MANY} payments of as many buyers: {} blocks", blocks.len());
    assert!(blocks.len() < MANY / 2, "{} blocks", blocks.len());
    nothing_was_invalid(&market.double);
    assert_eq!(market.seller_has().await, FIRST + 7 * MANY as u128);
}

/// What it is owed does not stand in the way of what it spends, however much comes in meanwhile.
#[tokio::test]
async fn a_seller_that_is_paid_by_many_spends_at_the_same_time() {
    let Some(market) = Market::open().await else { return };
    let mut calls = Vec::new();
    for at in 0..MANY {
        let call = match at % 2 {
            0 => (market.buyer.clone(), Call::Transfer(market.transfer(MONEY, 5))),
            _ => {
                let back = rig::transfer(market.buyer.account(), MONEY, 3);
                (market.seller.clone(), Call::Transfer(back))
            }
        };
        calls.push(call);
    }
    at_once(calls).await;
    nothing_was_invalid(&market.double);
    assert_eq!(market.seller_has().await, FIRST + (5 - 3) * MANY as u128 / 2);
}

/// No handle submits more at once than it was told to, whatever it is asked.
#[tokio::test]
async fn no_more_is_in_flight_than_the_settings_allow() {
    let Some(market) = Market::open().await else { return };
    let proxy = rig::proxy::Proxy::start(market.double.host()).await;
    let through = market.gateway.through(proxy.url());
    let settings = sdpp_ledger_fabric::Settings { in_flight_max: 3, ..settings(&through, "buyer") };
    let ledger = connected(settings).await;
    proxy.always("POST /transactions", rig::proxy::Fault::Silence);
    let mut set = JoinSet::new();
    for _ in 0..MANY {
        let (ledger, signed) = (ledger.clone(), signed(&ledger, &anchor()).await);
        set.spawn(async move { ledger.submit(&signed).await });
    }
    let submissions = || {
        let asked = proxy.asked();
        asked.iter().filter(|one| one.what == "POST /transactions").count()
    };
    while submissions() < 3 {
        tokio::task::yield_now().await;
    }
    // A question is no submission, and answered while all of these wait; whoever was to come
    // before it has come by now.
    for _ in 0..3 {
        ledger.status().await.unwrap();
    }
    assert_eq!(submissions(), 3);
    set.abort_all();
}
