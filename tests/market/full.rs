//! A disk that is full: the seller takes no orders, loses nothing that it acknowledged, and goes on
//! when there is room.

use crate::place::*;
use serde_json::Value;
use std::time::{Duration, Instant};

const MB: u64 = 1 << 20;

/// How many megabytes of room the seller wants: it writes some in a second, and hears of a shortage a moment late.
const ROOM_MB: u64 = 16;

/// A seller that wants room, and a buyer.
fn place() -> Place {
    let setting = Setting { granularity: 1, patience_ms: 5_000, ..Setting::default() };
    let mut place = Place::open(setting);
    let config = std::fs::read_to_string(place.path("seller.toml")).unwrap();
    let dir = "dir = \"seller-journal\"\n";
    assert!(config.contains(dir));
    let config = config.replace(dir, &format!("{dir}room_mb = {ROOM_MB}\n"));
    std::fs::write(place.path("seller.toml"), config).unwrap();
    place.sell();
    place.buyer("buyer", 1_000_000);
    place
}

fn used(place: &Place) -> u64 {
    std::fs::metadata(place.journal("seller").join("db")).unwrap().len()
}

fn until(place: &Place, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let started = Instant::now();
    loop {
        let status = place.status();
        if is_so(&status) {
            return status;
        }
        assert!(started.elapsed() < Duration::from_secs(60), "never {what}: {status}");
    }
}

/// Who orders before the node has heard of it is told that the seller cannot go on; who orders after
/// that, that it takes no orders.
fn orders_are_refused(place: &Place) {
    let started = Instant::now();
    loop {
        let output = place.buy("buyer", "co2", "3").output().unwrap();
        let why = String::from_utf8_lossy(&output.stderr).into_owned();
        let _ = std::fs::remove_file(place.items("buyer"));
        assert!(!output.status.success(), "{why}");
        if why.contains("takes no orders just now") {
            return;
        }
        let is_early = why.contains("cannot go on") && started.elapsed() < Duration::from_secs(60);
        assert!(is_early, "{why}");
    }
}

/// All is well again, and both books and the ledger say the same.
fn goes_on(mut place: Place) {
    place.limit_files(None);
    until(&place, "ready again", |status| status["ready"] == true);
    assert_done(&place.buy("buyer", "co2", "3").output().unwrap());
    // The last words of what the full disk ended are written while the seller runs.
    let mut list = sdpp();
    list.args(["journal", "list", "sessions", "--journal"]).arg(place.journal("seller"));
    let started = Instant::now();
    while told(&mut list).1.contains("  open  ") {
        assert!(started.elapsed() < Duration::from_secs(60), "a session has no end");
    }
    place.close();
    let sold = place.audit("seller");
    let settled: u128 = sold.iter().map(|one| amount(&one["settled"])).sum();
    assert!(sold.iter().all(|one| one["state"] != "open"), "{sold:?}");
    let received = place.balance("seller");
    // A payment that was sent when nothing could be written any more has no claim in its books.
    let windows = received.checked_sub(settled).unwrap();
    assert!(windows <= 2 * 3, "within K * W: {received} of {settled}");
    let bought = place.audit("buyer");
    let paid: u128 = bought.iter().map(|one| amount(&one["settled"])).sum();
    assert_eq!(paid, received, "{sold:?} {bought:?}");
}

#[test]
fn a_seller_short_of_room_ends_its_sessions_in_good_order_and_sells_again_when_there_is_room() {
    let mut place = place();
    let limit = used(&place) + (ROOM_MB + 1) * MB;
    place.limit_files(Some(limit));
    let buyer = place.buy("buyer", "memory", "all").spawn().unwrap();
    let short = until(&place, "short", |status| status["ready"] == false);
    let why = format!("less than {ROOM_MB} MB of room");
    assert!(short.to_string().contains(&why), "{short}");
    let output = buyer.wait_with_output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["end"], &told["owed"]), (&"complete".into(), &told["paid"]), "{told}");
    std::fs::rename(place.items("buyer"), place.path("first.items")).unwrap();
    orders_are_refused(&place);
    goes_on(place);
}

#[test]
fn a_disk_that_is_full_at_once_takes_nothing_back_and_the_journal_goes_on_with_room() {
    let mut place = place();
    let buyer = place.buy("buyer", "memory", "all").spawn().unwrap();
    while place.lines("buyer") < 30 {
        std::thread::yield_now();
    }
    let acknowledged = place.status()["journal"]["entries"].as_u64().unwrap();
    place.limit_files(Some(used(&place) / 2));
    until(&place, "stopped", |status| status.to_string().contains("the journal stopped"));
    assert!(!buyer.wait_with_output().unwrap().status.success(), "the seller could not go on");
    std::fs::rename(place.items("buyer"), place.path("first.items")).unwrap();
    orders_are_refused(&place);
    place.limit_files(None);
    let status = until(&place, "ready again", |status| status["ready"] == true);
    assert!(status["journal"]["entries"].as_u64().unwrap() >= acknowledged, "{status}");
    goes_on(place);
}
