//! A side is told to end: it does so in good order within a stated time, at once when it is told a
//! second time, and whatever it leaves is gone on with at the next start.

use crate::crash::{both_books_agree_after, entries};
use crate::place::*;
use crate::relay::Relay;
use std::time::{Duration, Instant};

/// Nothing here takes longer, and sessions have more patience than that.
const AT_MOST: Duration = Duration::from_secs(60);

/// A market whose sessions wait for longer than any story, and a seller that ends within so long.
fn market(drain_s: u64) -> (Place, Running) {
    let setting = Setting { granularity: 3, patience_ms: 300_000, ..Setting::default() };
    let mut place = Place::open(setting);
    place.sell_with("outage_s", &format!("drain_s = {drain_s}\noutage_s"));
    place.buyer("buyer", 1_000_000);
    let buyer = Running(place.buy("buyer", "memory", "all").spawn().unwrap());
    while place.lines("buyer") < 30 {
        std::thread::yield_now();
    }
    (place, buyer)
}

/// The seller ends by itself with this exit, long before a session's patience is over.
fn ends(place: &mut Place, exit: i32) {
    let began = Instant::now();
    assert_eq!(place.seller().wait().code(), Some(exit));
    assert!(began.elapsed() < AT_MOST, "{:?}", began.elapsed());
}

/// The buyer goes on, finds its seller gone, and pays at its next order what it owed.
fn both_start_again(mut place: Place, mut buyer: Running, acknowledged: u64) {
    buyer.signal("CONT");
    buyer.wait();
    place.sell();
    std::fs::rename(place.items("buyer"), place.path("first.items")).unwrap();
    assert_done(&place.buy("buyer", "co2", "5").output().unwrap());
    place.close();
    both_books_agree_after(&mut place, acknowledged);
}

#[test]
fn a_buyer_that_does_not_answer_keeps_no_seller_from_ending_in_the_time_that_it_states() {
    let (mut place, buyer) = market(1);
    buyer.signal("STOP");
    let acknowledged = entries(&place, "seller");
    place.seller().signal("TERM");
    ends(&mut place, 1);
    both_start_again(place, buyer, acknowledged);
}

#[test]
fn a_ledger_that_hangs_keeps_no_seller_from_ending_in_the_time_that_it_states() {
    let (mut place, buyer) = market(1);
    place.ledger.signal("STOP");
    let acknowledged = entries(&place, "seller");
    place.seller().signal("TERM");
    ends(&mut place, 1);
    place.ledger.signal("CONT");
    both_start_again(place, buyer, acknowledged);
}

#[test]
fn a_seller_that_is_told_twice_ends_at_once_and_says_between_that_it_is_ending() {
    let (mut place, buyer) = market(3_600);
    buyer.signal("STOP");
    let acknowledged = entries(&place, "seller");
    place.seller().signal("TERM");
    let began = Instant::now();
    loop {
        let status = place.status();
        if status["why"].to_string().contains("it is ending") {
            break;
        }
        assert!(began.elapsed() < AT_MOST, "{status}");
    }
    assert_eq!(place.seller().0.try_wait().unwrap(), None, "it waits for its buyer");
    place.seller().signal("TERM");
    ends(&mut place, 1);
    both_start_again(place, buyer, acknowledged);
}

#[test]
fn a_seller_that_ends_in_mid_stream_leaves_equal_books_and_nothing_owed() {
    let (mut place, mut buyer) = market(60);
    place.seller().signal("TERM");
    ends(&mut place, 0);
    assert!(buyer.wait().success());
    let (sold, bought) = (place.audit("seller").remove(0), place.audit("buyer").remove(0));
    for key in ["session", "items_delivered", "invoiced", "settled"] {
        assert_eq!(sold[key], bought[key], "{key}: {sold} {bought}");
    }
    assert_eq!((&sold["state"], &sold["outstanding"]), (&"complete".into(), &"0".into()));
    let acknowledged = entries(&place, "seller");
    both_books_agree_after(&mut place, acknowledged);
}

/// A session whose line broke before its seller was told to end is waited for, and nobody else is let in.
#[test]
fn a_buyer_whose_line_broke_may_come_back_to_a_seller_that_is_ending() {
    let setting =
        Setting { granularity: 3, patience_ms: 300_000, resume_s: 600, ..Setting::default() };
    let mut place = Place::open(setting);
    ["buyer", "other"].iter().for_each(|name| place.buyer(name, 1_000_000));
    let line = Relay::new();
    line.leads_to(&place.address);
    let order = [line.address.as_str(), "memory", "all"];
    let mut buyer = Running(buy(place.dir.path(), "buyer", &order).spawn().unwrap());
    while place.lines("buyer") < 30 {
        std::thread::yield_now();
    }
    // The ledger listens, and is no seller.
    line.leads_to(place.ledger_address());
    line.cut();
    place.seller().signal("TERM");
    while !place.status()["why"].to_string().contains("it is ending") {
        std::thread::yield_now();
    }
    let (exit, said) = told(&mut place.buy("other", "co2", "5"));
    assert!(exit != 0 && said.contains("this seller is closing"), "{said}");
    assert_eq!(place.seller().0.try_wait().unwrap(), None, "it waits for its buyer");
    line.leads_to(&place.address);
    ends(&mut place, 0);
    assert!(buyer.wait().success());
    let (sold, bought) = (place.audit("seller").remove(0), place.audit("buyer").remove(0));
    for key in ["session", "items_delivered", "invoiced", "settled"] {
        assert_eq!(sold[key], bought[key], "{key}: {sold} {bought}");
    }
    assert_eq!((&sold["state"], &sold["outstanding"]), (&"complete".into(), &"0".into()));
}

#[test]
fn a_buyer_that_is_told_twice_ends_at_once_and_goes_on_at_its_next_order() {
    let (place, mut buyer) = market(60);
    place.ledger.signal("STOP");
    let acknowledged = entries(&place, "seller");
    let began = Instant::now();
    // The first asks the session to end, which it cannot; two that come together count as one.
    while buyer.0.try_wait().unwrap().is_none() {
        assert!(began.elapsed() < AT_MOST);
        buyer.signal("INT");
    }
    assert_eq!(buyer.wait().code(), Some(1));
    place.ledger.signal("CONT");
    let mut place = place;
    std::fs::rename(place.items("buyer"), place.path("first.items")).unwrap();
    assert_done(&place.buy("buyer", "co2", "5").output().unwrap());
    place.close();
    both_books_agree_after(&mut place, acknowledged);
}
