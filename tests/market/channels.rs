//! One channel, session after session: used again, topped up, and given back at the end.

use crate::place::*;
use sdpp_ledger::{Amount, ChangeKind, ChannelId, Escrow};
use sdpp_ledger_embedded::{EmbeddedLedger, RemoteNode};
use serde_json::Value;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::Output;
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

/// What it vouched last it may have forgotten. Its seller has not, and shows it: so nothing is
/// paid for twice, and nothing that did not come.
#[test]
fn a_buyer_killed_again_and_again_goes_on_with_its_channel_and_pays_each_item_once() {
    let mut place = place(3, 5000, "keep_channel = true");
    for _ in 0..3 {
        let _ = std::fs::remove_file(place.items("buyer"));
        let mut buyer = Running(place.buy("buyer", "memory", "all").spawn().unwrap());
        while place.lines("buyer") < 20 {
            std::thread::yield_now();
        }
        buyer.0.kill().unwrap();
        buyer.wait();
    }
    let channel = channel(&place);
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
    let sum = |what| place.audit("seller").iter().map(|told| amount(&told[what])).sum::<u128>();
    assert_eq!(settled, Some(sum("settled")), "each unit belongs to one session");
    let (price, bread) = (3, 10 * 20);
    let items: u128 =
        place.audit("seller").iter().map(|s| s["items_acked"].as_u64().unwrap() as u128).sum();
    assert_eq!(settled, Some((items - 10) * price + bread), "for what it acknowledged alone");
    let signed: u128 = place.audit("buyer").iter().map(|told| amount(&told["paid"])).sum();
    // A kill resets the connection, and what left last may never be read: a window each time.
    let lost = signed.checked_sub(place.balance("seller")).unwrap();
    assert!(lost <= 3 * 3 * price, "and the buyer's book has no more than that beside it: {lost}");
}

/// Who copies a journal has two memories of one channel. The seller has one: the copy is turned
/// away while the channel is in use. Afterwards it learns from the ledger what was paid meanwhile,
/// and goes on from there: nothing is vouched twice.
#[test]
fn a_copied_journal_spends_no_channel_twice() {
    let mut place = place(3, 5000, "keep_channel = true");
    assert_eq!(bought(&place, "co2", "5")["paid"], "100");
    let channel = channel(&place);
    let config = std::fs::read_to_string(place.path("buyer.toml")).unwrap();
    let config = config.replace("buyer-journal", "twin-journal");
    std::fs::write(place.path("twin.toml"), config).unwrap();
    copy(&place.journal("buyer"), &place.path("copied"));

    let _ = std::fs::remove_file(place.items("buyer"));
    let mut buyer = Running(place.buy("buyer", "memory", "all").spawn().unwrap());
    while place.lines("buyer") < 10 {
        std::thread::yield_now();
    }
    let busy = by_twin(&place);
    let said = String::from_utf8_lossy(&busy.stderr);
    assert!(!busy.status.success() && said.contains("channel_busy"), "{said}");
    assert_eq!(place.lines("twin"), 0, "nothing is sent to it");
    buyer.signal("INT");
    assert!(buyer.wait().success(), "the session on it goes on undisturbed");

    let paid = 100 + place.lines("buyer") as u128 * 3;
    let settled = ChangeKind::Settled { settled: Amount::new(paid) };
    while !life(&place, channel).contains(&settled) {
        std::thread::yield_now();
    }
    is_clean(&place);
    assert_done(&by_twin(&place));
    assert_eq!(place.lines("twin"), 5);

    place.close();
    let opened = |kind: &&ChangeKind| matches!(kind, ChangeKind::Opened { .. });
    assert_eq!(life(&place, channel).iter().filter(opened).count(), 1, "it is the same channel");
    assert_eq!(place.balance("seller"), paid + 100, "and each item is paid, once");
}

/// Buys five items with the journal as it was when it was copied.
fn by_twin(place: &Place) -> Output {
    let _ = std::fs::remove_dir_all(place.journal("twin"));
    copy(&place.path("copied"), &place.journal("twin"));
    let _ = std::fs::remove_file(place.items("twin"));
    place.buy("twin", "co2", "5").output().unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::DirBuilder::new().mode(0o700).create(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        match path.is_dir() {
            true => copy(&path, &to.join(name)),
            false => drop(std::fs::copy(&path, to.join(name)).unwrap()),
        }
    }
}
