//! One channel, session after session: used again, topped up, and given back at the end.

use crate::place::*;
use sdpp_ledger::{ChangeKind, ChannelId, Escrow};
use sdpp_ledger_embedded::{EmbeddedLedger, RemoteNode};
use serde_json::Value;
use std::sync::Arc;

const FUNDS: u64 = 1_000_000;

/// A buyer whose new channels hold so much, with further keys of its currency.
fn place(granularity: u32, deposit: u64, keys: &str) -> Place {
    let methods = "[\"escrow\"]";
    let place = Place::open(Setting { granularity, methods, ..Setting::default() });
    place.buyer("buyer", FUNDS);
    let config = std::fs::read_to_string(place.path("buyer.toml")).unwrap();
    let config = config.replace("\"5000\"", &format!("\"{deposit}\"\n{keys}"));
    std::fs::write(place.path("buyer.toml"), config).unwrap();
    place
}

fn bought(place: &Place, topic: &str, quantity: &str) -> Value {
    let _ = std::fs::remove_file(place.items("buyer"));
    let output = place.buy("buyer", topic, quantity).output().unwrap();
    assert_done(&output);
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The one channel of the seller's side, as its running node tells it.
fn channel(place: &Place) -> ChannelId {
    loop {
        let status = place.status();
        let channels = status["channels"].as_array().unwrap();
        assert!(channels.len() < 2, "{status}");
        if let Some(channel) = channels.first() {
            return channel["channel"].as_str().unwrap().parse().unwrap();
        }
        std::thread::yield_now();
    }
}

fn life(place: &Place, channel: ChannelId) -> Vec<ChangeKind> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let node = RemoteNode::connect(place.ledger_address()).await.unwrap();
        let ledger = EmbeddedLedger::new(Arc::new(node), place.key("seller"));
        let told = ledger.changes(&[channel], 0).await.unwrap();
        told.list.into_iter().map(|change| change.kind).collect()
    })
}

fn is_clean(place: &Place) {
    for side in ["seller", "buyer"] {
        for session in place.audit(side) {
            assert_eq!(session["outstanding"], "0", "{side}: {session}");
        }
    }
}

#[test]
fn a_kept_channel_serves_session_after_session() {
    let mut place = place(10, 700, "keep_channel = true");
    let first = bought(&place, "co2", "30");
    assert_eq!((&first["end"], &first["paid"]), (&"complete".into(), &"600".into()), "{first}");
    let channel = channel(&place);
    // 100 of the deposit are left: the first fits in, the second does not.
    assert_eq!(bought(&place, "co2", "5")["paid"], "100");
    assert_eq!(bought(&place, "co2", "40")["paid"], "800");
    place.close();
    let kinds = life(&place, channel);
    let amounts: Vec<(&str, u128)> = kinds
        .iter()
        .map(|kind| match kind {
            ChangeKind::Opened { deposit } => ("opened", deposit.units()),
            ChangeKind::ToppedUp { deposit } => ("topped up", deposit.units()),
            ChangeKind::Settled { settled } => ("settled", settled.units()),
            other => panic!("{other:?}"),
        })
        .collect();
    let deposits: Vec<_> = amounts.iter().filter(|(what, _)| *what != "settled").collect();
    assert_eq!(deposits, [&("opened", 700), &("topped up", 1500)]);
    assert_eq!(amounts.last(), Some(&("settled", 1500)), "{amounts:?}");
    assert_eq!(place.balance("seller"), 1500);
    assert_eq!(place.balance("buyer"), u128::from(FUNDS) - 1500);
    is_clean(&place);
}

#[test]
fn as_many_items_as_there_are_on_a_small_deposit() {
    let mut place = place(3, 60, "");
    let _ = std::fs::remove_file(place.items("buyer"));
    let mut buyer = Running(place.buy("buyer", "memory", "all").spawn().unwrap());
    let channel = channel(&place);
    while place.lines("buyer") < 100 {
        assert!(buyer.0.try_wait().unwrap().is_none(), "it ended before its time");
        std::thread::yield_now();
    }
    buyer.signal("INT");
    assert!(buyer.wait().success());
    place.close();
    let (kinds, paid) = (life(&place, channel), place.lines("buyer") as u128 * 3);
    let top_ups = kinds.iter().filter(|kind| matches!(kind, ChangeKind::ToppedUp { .. })).count();
    assert!(top_ups >= 4, "{kinds:?}");
    assert!(
        matches!(kinds.last(), Some(ChangeKind::Closed { settled }) if settled.units() == paid)
    );
    assert_eq!(place.balance("seller"), paid);
    assert_eq!(place.balance("buyer"), u128::from(FUNDS) - paid, "what is left is back");
    is_clean(&place);
}

/// What a killed buyer may have vouched is written, so its next session begins above it.
#[test]
fn a_killed_buyer_goes_on_with_its_channel() {
    let mut place = place(3, 5000, "keep_channel = true");
    let mut buyer = Running(place.buy("buyer", "memory", "all").spawn().unwrap());
    while place.lines("buyer") < 20 {
        std::thread::yield_now();
    }
    let channel = channel(&place);
    buyer.0.kill().unwrap();
    buyer.wait();
    let again = bought(&place, "co2", "10");
    assert_eq!((&again["end"], &again["paid"]), (&"complete".into(), &"200".into()), "{again}");
    place.close();
    let kinds = life(&place, channel);
    let opened = kinds.iter().filter(|kind| matches!(kind, ChangeKind::Opened { .. })).count();
    assert_eq!(opened, 1);
    let spent = u128::from(FUNDS) - place.balance("buyer");
    assert_eq!(spent, 5000, "no second deposit was made");
    let settled = kinds.iter().rev().find_map(|kind| match kind {
        ChangeKind::Settled { settled } => Some(settled.units()),
        _ => None,
    });
    assert_eq!(settled, Some(place.balance("seller")));
    assert!(settled >= Some(20 * 3 - 18 + 200), "{settled:?}");
}
