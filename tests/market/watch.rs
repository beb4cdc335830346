//! A channel is watched while it pays: what its payer does behind the session's back is noticed.

use crate::place::*;
use sdpp_ledger::{
    Amount, Call, ChangeKind, ChannelId, Escrow, InChannel, Ledger, LedgerError, Redeem, TxId,
    prepare,
};
use sdpp_ledger_embedded::{EmbeddedLedger, RemoteNode};
use serde_json::Value;
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant};

async fn ledger_of(place: &Place, name: &str) -> EmbeddedLedger {
    let node = RemoteNode::connect(place.ledger_address()).await.unwrap();
    EmbeddedLedger::new(Arc::new(node), place.key(name))
}

/// The buyer does something behind its own program's back.
pub async fn buyer_does(place: &Place, call: Call) -> Result<TxId, LedgerError> {
    let ledger = ledger_of(place, "buyer").await;
    let number = ledger.next_number().await?;
    let signed = prepare(&ledger, number, &call).await?;
    ledger.submit(&signed).await
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
    let asked = Call::RequestClose(InChannel { channel });
    let asked = runtime.block_on(buyer_does(&place, asked)).unwrap();
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

/// The seller sleeps through the request, the whole grace period and the withdrawal, and reads all
/// of it at once when it wakes: nothing can be paid any more, and nothing more is delivered.
#[test]
fn a_channel_that_is_over_when_the_seller_wakes_ends_its_session_at_once() {
    let setting = Setting { granularity: 3, methods: "[\"escrow\"]", ..Setting::default() };
    let mut place = Place::open(Setting { grace_ms: 2_500, outage_s: 1, ..setting });
    place.buyer("buyer", 1_000_000);
    let buyer = place.buy("buyer", "memory", "1600").spawn().unwrap();
    let channel = channel_in_use(&place);
    place.seller().signal("STOP");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        buyer_does(&place, Call::RequestClose(InChannel { channel })).await.unwrap();
        let ledger = ledger_of(&place, "buyer").await;
        while !ledger.channel(&channel).await.unwrap().unwrap().finalized {
            // Refused until the grace period is over.
            let _ = buyer_does(&place, Call::Withdraw(InChannel { channel })).await;
        }
    });
    place.seller().signal("CONT");
    let output = buyer.wait_with_output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let why = told["why"].as_str().unwrap();
    // Whoever sees it first says so: the seller, or the buyer's own watch while the seller sleeps.
    let has_failed = told["end"] == "refused" || told["end"] == "failed";
    let is_over = has_failed && why.contains("the channel that pays is over");
    // An answer that was on its way to it when it stopped may tell of the request alone.
    let is_closing = told["end"] == "complete" && why.contains("asked to close");
    assert!(is_over || is_closing, "{told}");
    // What the source had in one turn of the watch, at most, and not all that was ordered.
    assert!(told["items"].as_u64().unwrap() < 800, "{told}");
    place.close();
    // Its books say what that cost, and how much.
    let mut audit = sdpp();
    let (exit, text) =
        crate::place::told(audit.args(["audit", "--journal"]).arg(place.journal("seller")));
    assert_ne!(exit, 0, "{text}");
    // Where the session ended before the seller knew, it had redeemed already, in vain.
    let lost = text.split_once("is over and paid 0, ").map(|(_, rest)| (rest, " was vouched: "));
    let refused = || text.split_once("redeeming ").map(|(_, rest)| (rest, " is refused (Channel"));
    let (rest, then) = lost.or_else(refused).unwrap_or_else(|| panic!("{text}"));
    let (vouched, _) = rest.split_once(then).unwrap_or_else(|| panic!("{text}"));
    let vouched: u128 = vouched.parse().unwrap();
    assert!(vouched > 0, "{text}");
}

/// The ledger is away for longer than the seller planned for: whoever pays there may have asked
/// to close, and it would not know. Nothing more is delivered on trust, and the ledger's return
/// puts all right again.
#[test]
fn a_seller_that_cannot_watch_its_channels_ends_their_sessions_and_takes_no_more() {
    let setting = Setting { granularity: 3, methods: "[\"escrow\"]", ..Setting::default() };
    let mut place = Place::open(Setting { outage_s: 1, ..setting });
    place.buyer("buyer", 1_000_000);
    place.buyer("late", 1_000_000);
    let buyer = Running(place.buy("buyer", "memory", "1600").spawn().unwrap());
    channel_in_use(&place);
    place.ledger.signal("STOP");
    let ended = ended(buyer);
    assert!(ended["why"].as_str().unwrap().contains("stopped"), "{ended}");
    assert_eq!((&ended["end"], &ended["paid"]), (&"complete".into(), &ended["owed"]), "{ended}");
    assert!(ended["items"].as_u64().unwrap() < 1_600, "not all was delivered: {ended}");
    // It says so, to its people and to strangers.
    let unwatched = until(&place, |status| !status["ledgers"]["local"]["unwatched_ms"].is_null());
    assert_eq!(unwatched["ready"], false, "{unwatched}");
    assert!(unwatched["why"].to_string().contains("are not watched"), "{unwatched}");
    until(&place, |status| status["left_out"][0]["why"].to_string().contains("could not be read"));
    let (_, text) = told_status(&place);
    assert!(text.contains("unwatched local"), "{text}");
    let offered = sdpp().args(["menu", &place.address]).output().unwrap();
    assert!(!offered.status.success(), "{offered:?}");
    place.ledger.signal("CONT");
    until(&place, |status| status["ready"] == true && status["left_out"][0].is_null());
    let output = place.buy("late", "co2", "10").output().unwrap();
    assert_done(&output);
    place.close();
}

/// What a buyer's program told at its end, which must come.
fn ended(mut buyer: Running) -> Value {
    let began = Instant::now();
    while buyer.0.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < Duration::from_secs(60), "its session is not ended");
        std::thread::yield_now();
    }
    let mut told = String::new();
    buyer.0.stdout.take().unwrap().read_to_string(&mut told).unwrap();
    serde_json::from_str(&told).unwrap()
}

/// The seller takes what it holds and closes, while its program sleeps: the buyer sees it by itself.
#[test]
fn a_buyer_whose_seller_closes_in_mid_session_vouches_no_more_and_has_its_rest_back() {
    let setting = Setting { granularity: 3, methods: "[\"escrow\"]", ..Setting::default() };
    let mut place = Place::open(setting);
    place.buyer("buyer", 1_000_000);
    let mut buyer = place.buy("buyer", "memory", "all").spawn().unwrap();
    let channel = channel_in_use(&place);
    let list = ["journal", "list", "entries", "--json", "--limit", "100000", "--journal"];
    let entries = sdpp().args(list).arg(place.journal("seller")).output().unwrap();
    assert_done(&entries);
    place.seller().signal("STOP");
    let mut vouchers = statements(&entries.stdout).into_iter().map(|entry| entry["record"].clone());
    let voucher = vouchers.rfind(|record| record["record"] == "voucher").unwrap();
    let amount: Amount = serde_json::from_value(voucher["amount"].clone()).unwrap();
    let signature = serde_json::from_value(voucher["signature"].clone()).unwrap();
    let redeem = Redeem { channel, amount, signature };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let ledger = ledger_of(&place, "seller").await;
        let number = ledger.next_number().await.unwrap();
        let signed = prepare(&ledger, number, &Call::Close(redeem)).await.unwrap();
        ledger.submit(&signed).await.unwrap();
    });
    assert_eq!(buyer.wait().unwrap().code(), Some(1));
    let output = buyer.wait_with_output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["end"], &told["left"]), (&"failed".into(), &serde_json::json!([])), "{told}");
    assert!(told["why"].as_str().unwrap().contains("the channel that pays is over"), "{told}");
    place.seller().signal("CONT");
    place.close();
    assert_eq!(place.balance("seller"), amount.units());
    assert_eq!(place.balance("buyer"), 1_000_000 - amount.units(), "and not one unit more");
    place.audit("buyer");
}

/// A buyer's journal that was put back is older than the truth: what its seller has had meanwhile
/// nobody here remembers, and that is said, whatever command looks next.
#[test]
fn a_buyer_is_told_of_money_that_it_does_not_remember_vouching() {
    let setting = Setting { methods: "[\"escrow\"]", ..Setting::default() };
    let mut place = Place::open(setting);
    place.buyer("buyer", 1_000_000);
    let path = place.path("buyer.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    let config = config.replace("\"5000\"\n", "\"5000\"\nkeep_channel = true\n");
    std::fs::write(&path, config).unwrap();
    let (journal, copy) = (place.journal("buyer"), place.path("copy"));
    for (paid, is_copied) in [(600, true), (1_200, false)] {
        assert_done(&place.buy("buyer", "co2", "30").output().unwrap());
        std::fs::remove_file(place.items("buyer")).unwrap();
        let began = Instant::now();
        while place.balance("seller") < paid {
            assert!(began.elapsed() < Duration::from_secs(60), "it is never settled");
            std::thread::yield_now();
        }
        if is_copied {
            let cp = std::process::Command::new("cp").arg("-a").args([&journal, &copy]).status();
            assert!(cp.unwrap().success());
        }
    }
    std::fs::remove_dir_all(&journal).unwrap();
    std::fs::rename(&copy, &journal).unwrap();
    let mut close = sdpp();
    let (exit, said) = told(close.args(["ledger", "close", "--all", "--config"]).arg(&path));
    assert_eq!(exit, 4, "{said}");
    assert!(said.contains("an unjust claim") && said.contains("paid out 1200, and 600"), "{said}");

    // The next order says it again.
    let bought = place.buy("buyer", "co2", "30").output().unwrap();
    assert_done(&bought);
    let said = String::from_utf8(bought.stderr).unwrap();
    assert!(said.contains("an unjust claim"), "{said}");
    let mut audit = sdpp();
    let (exit, said) = told(audit.args(["audit", "--offline", "--journal"]).arg(&journal));
    assert!(exit == 3 && said.contains("1200 is settled, 600 was vouched"), "{said}");
    place.close();
}

fn told_status(place: &Place) -> (i32, String) {
    told(sdpp().args(["status", "--journal"]).arg(place.journal("seller")))
}

/// Waits until the seller says so of itself.
fn until(place: &Place, is_so: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let status = place.status();
        if is_so(&status) {
            return status;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "it never came: {status}");
    }
}
