//! Stories of what a gateway tells by itself: it wakes us, perhaps twice, perhaps late, and where
//! it tells nothing, asking finds all.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod rig;

use rig::proxy::{Fault, Proxy};
use rig::{
    Gateway, IOUS, MONEY, Market, PATIENCE, anchor, claim, connected, done, evidence, settings,
    signed, with_ious,
};
use sdpp_ledger::{Call, Finality, Ledger, Payments, Reference, Transfer};
use sdpp_ledger_fabric::{FabricLedger, Settings};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;

/// The seller's ledger, listening.
async fn listening(gateway: &Gateway) -> FabricLedger {
    let settings = with_ious(settings(gateway, "seller"), MONEY, 0, &["Org2MSP"]);
    connected(Settings { events: true, ..settings }).await
}

/// Waits until all of these were heard: how often each was.
async fn heard(ledger: &FabricLedger, wanted: &[Reference]) -> BTreeMap<Reference, usize> {
    let mut times = BTreeMap::new();
    let all = async {
        while !wanted.iter().all(|one| times.contains_key(one)) {
            let references = ledger.heard().await;
            assert!(!references.is_empty() && references.len() <= 256, "{references:?}");
            for reference in references {
                *times.entry(reference).or_insert(0) += 1;
            }
        }
    };
    timeout(PATIENCE, all).await.expect("all of it is heard");
    times
}

/// Has the seller listen, which begins with what comes after it began to.
async fn began(market: &Market, ledger: &FabricLedger) {
    let ledger = ledger.clone();
    let mut first = tokio::spawn(async move { ledger.heard().await });
    let until = tokio::time::Instant::now() + PATIENCE;
    loop {
        done(&market.buyer, &Call::Transfer(market.transfer(IOUS, 1))).await;
        if timeout(Duration::from_millis(200), &mut first).await.is_ok() {
            return;
        }
        assert!(tokio::time::Instant::now() < until, "it never heard anything");
    }
}

fn pay(market: &Market, asset: &str) -> (Transfer, Call) {
    let transfer = market.transfer(asset, 5);
    (transfer.clone(), Call::Transfer(transfer))
}

#[tokio::test]
async fn what_is_paid_to_us_and_what_we_do_is_heard() {
    let Some(market) = Market::open().await else { return };
    let seller = listening(&market.gateway).await;
    began(&market, &seller).await;
    let (money, by_money) = pay(&market, MONEY);
    let (ious, by_ious) = pay(&market, IOUS);
    let ours = signed(&seller, &anchor()).await;
    let Call::Anchor(sdpp_ledger::Anchor::One { reference, .. }) = anchor() else { panic!() };
    let stranger = connected(settings(&market.gateway, "stranger")).await;
    let others = rig::transfer(market.buyer.account(), MONEY, 5);
    done(&stranger, &Call::Transfer(others.clone())).await;
    done(&market.buyer, &by_money).await;
    done(&market.buyer, &by_ious).await;
    seller.submit(&ours).await.unwrap();
    let times = heard(&seller, &[money.reference, ious.reference]).await;
    assert!(!times.contains_key(&others.reference), "what is between others is not for us");
    assert!(!times.contains_key(&reference));
}

#[tokio::test]
async fn what_is_told_twice_or_late_is_what_it_was() {
    let Some(market) = Market::open().await else { return };
    let seller = listening(&market.gateway).await;
    began(&market, &seller).await;
    for fault in [
        json!({ "fault": "events", "when": "duplicate", "times": 3 }),
        json!({ "fault": "events", "when": "late", "ms": 400 }),
    ] {
        market.double.faults.arm(fault.clone());
        let (transfer, call) = pay(&market, MONEY);
        let tx = done(&market.buyer, &call).await.tx;
        heard(&seller, &[transfer.reference]).await;
        let claimed = seller.paid(&claim(&tx, &transfer)).await;
        assert!(matches!(claimed, Ok(Finality::Final(_))), "{fault}: {claimed:?}");
    }
    assert_eq!(market.seller_has().await, rig::FIRST + 10, "paid twice, and no more");
}

#[tokio::test]
async fn who_listens_goes_on_after_the_gateway_was_away() {
    let Some(market) = Market::open().await else { return };
    let seller = listening(&market.gateway).await;
    began(&market, &seller).await;
    for _ in 0..2 {
        let faults = market.double.faults.clone();
        tokio::task::spawn_blocking(move || faults.restart(100)).await.unwrap();
        // What comes while nobody listens is told when somebody does again.
        let (transfer, call) = pay(&market, MONEY);
        done(&market.buyer, &call).await;
        heard(&seller, &[transfer.reference]).await;
    }
}

/// Two programs of one signer, and one that is started again: each hears, and the gateway keeps
/// no stream for each start.
#[tokio::test]
async fn starting_again_leaves_no_more_streams_at_the_gateway() {
    let Some(market) = Market::open().await else { return };
    for _ in 0..3 {
        let seller = listening(&market.gateway).await;
        began(&market, &seller).await;
    }
    for what in ["/eventstreams", "/subscriptions"] {
        let (status, list) = market.gateway.request("GET", what, None).await;
        assert_eq!((status, list.as_array().unwrap().len()), (200, 1), "{what}: {list}");
    }
}

#[tokio::test]
async fn a_gateway_that_tells_nothing_is_asked() {
    let Some(market) = Market::open().await else { return };
    let proxy = Proxy::start(market.double.host()).await;
    let through = market.gateway.through(proxy.url());
    // The first time for so long that who tried again would have.
    for (status, ms) in [(404, 2_500), (403, 300), (405, 300)] {
        let before = asked_for_events(&proxy);
        proxy.rule(move |asked| {
            let is_events = ["/eventstreams", "/subscriptions", "/ws"]
                .iter()
                .any(|path| asked.what.contains(path));
            is_events.then(|| Fault::Say(status, "no".into()))
        });
        let seller = listening(&through).await;
        let (transfer, call) = pay(&market, MONEY);
        let quiet = timeout(Duration::from_millis(ms), seller.heard()).await;
        assert!(quiet.is_err(), "{status}: {quiet:?}");
        assert_eq!(asked_for_events(&proxy) - before, 1, "{status}");
        let tx = done(&market.buyer, &call).await.tx;
        let claimed = seller.paid(&claim(&tx, &transfer)).await;
        assert!(matches!(claimed, Ok(Finality::Final(_))), "{status}: {claimed:?}");
    }
    // And who is not to listen never asks for it.
    let deaf = connected(settings(&market.gateway, "seller")).await;
    assert!(timeout(Duration::from_millis(100), deaf.heard()).await.is_err());
}

fn asked_for_events(proxy: &Proxy) -> usize {
    proxy.asked().iter().filter(|one| one.what.contains("/eventstreams")).count()
}

/// What comes over the socket is a stranger's: no more than a reason to look.
#[tokio::test]
async fn garbage_over_the_socket_is_passed_over() {
    let Some(market) = Market::open().await else { return };
    let proxy = Proxy::start(market.double.host()).await;
    let through = market.gateway.through(proxy.url());
    let seller = listening(&through).await;
    for fault in [
        Fault::Bytes(b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x7f\xff\xff\xff\xff".to_vec()),
        Fault::Say(200, "no socket".into()),
        Fault::Close,
        Fault::Endless,
    ] {
        proxy.always("GET /ws", fault);
        let quiet = timeout(Duration::from_millis(300), seller.heard()).await;
        assert!(quiet.is_err(), "{quiet:?}");
    }
    proxy.calm();
    began(&market, &seller).await;
    let prepared = signed(&seller, &anchor()).await;
    seller.submit(&prepared).await.unwrap();
    evidence(&seller, &prepared).await;
}
