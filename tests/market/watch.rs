//! A channel is watched while it pays: what its payer does behind the session's back is noticed.

use crate::place::*;
use sdpp_ledger::{Call, ChangeKind, ChannelId, Escrow, InChannel, Ledger, prepare};
use sdpp_ledger_embedded::{EmbeddedLedger, RemoteNode};
use std::sync::Arc;

async fn ledger_of(place: &Place, name: &str) -> EmbeddedLedger {
    let node = RemoteNode::connect(place.ledger_address()).await.unwrap();
    EmbeddedLedger::new(Arc::new(node), place.key(name))
}

/// The one open channel of the seller, once a voucher on it is in hand and its ledger was asked.
fn channel_in_use(place: &Place) -> ChannelId {
    loop {
        let status = place.status();
        let channel = &status["channels"][0];
        if channel["seen"] == true && channel["vouched"] != "0" {
            assert_eq!((&channel["side"], &channel["deposit"]), (&"seller".into(), &"5000".into()));
            assert_eq!(channel["ready_ms"], serde_json::Value::Null, "{channel}");
            return channel["channel"].as_str().unwrap().parse().unwrap();
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_payer_that_asks_to_close_in_mid_session_is_settled_at_once() {
    let methods = "[\"escrow\"]";
    let mut place = Place::open(Setting { granularity: 3, methods, ..Setting::default() });
    place.buyer("buyer", 1_000_000);
    let buyer = place.buy("buyer", "memory", "all").spawn().unwrap();
    let channel = channel_in_use(&place);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let asked = runtime.block_on(async {
        let ledger = ledger_of(&place, "buyer").await;
        let number = ledger.next_number().await.unwrap();
        let call = Call::RequestClose(InChannel { channel });
        let signed = prepare(&ledger, number, &call).await.unwrap();
        ledger.submit(&signed).await.unwrap()
    });
    // The session ends in good order, with the last window paid.
    let output = buyer.wait_with_output().unwrap();
    assert_done(&output);
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["end"], &told["paid"]), (&"complete".into(), &told["owed"]), "{told}");
    assert!(told["why"].as_str().unwrap().contains("asked to close"), "{told}");
    let paid = amount(&told["paid"]);
    let (life, now_ms) = runtime.block_on(async {
        let ledger = ledger_of(&place, "seller").await;
        // All the money may have come before the close: the close is what is waited for.
        let life = loop {
            let told = ledger.changes(&[channel], 0).await.unwrap().list;
            if told.iter().any(|change| matches!(change.kind, ChangeKind::Closed { .. })) {
                break told;
            }
        };
        (life, ledger.status().await.unwrap().at_ms)
    });
    let kinds: Vec<_> = life.iter().map(|change| &change.kind).collect();
    // A voucher that came between two looks at the channel is settled by the second.
    let [
        ChangeKind::Opened { .. },
        ChangeKind::CloseRequested { ready_ms },
        settles @ ..,
        ChangeKind::Closed { settled: closed },
    ] = &kinds[..]
    else {
        panic!("{kinds:?}");
    };
    let settled = |kind: &&ChangeKind| match kind {
        ChangeKind::Settled { settled } => *settled,
        other => panic!("{other:?} among {kinds:?}"),
    };
    let settled: Vec<_> = settles.iter().map(settled).collect();
    assert_eq!(life[1].tx, asked);
    assert!(now_ms < *ready_ms, "the money is there before the grace period ends");
    assert!(settled.first().is_some_and(|first| first.units() > 0), "at once: {kinds:?}");
    assert!(settled.is_sorted_by(|one, next| one < next), "each gives more: {kinds:?}");
    assert!(settled.last() <= Some(closed), "{kinds:?}");
    assert_eq!(closed.units(), paid, "and the session's end took the rest");
    place.close();
    let sold = place.audit("seller");
    assert_eq!((&sold[0]["state"], &sold[0]["outstanding"]), (&"complete".into(), &"0".into()));
    assert_eq!(place.balance("seller"), paid, "once");
    assert_eq!(place.balance("buyer"), 1_000_000 - paid, "what was not spent is back");
}
