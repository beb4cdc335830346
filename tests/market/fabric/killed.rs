//! A side is killed while it streams, or in the middle of what it does to the ledger, and started
//! again: what was owed is settled, and each thing happened once.

use super::shop::{Plan, Shop, times};
use crate::double::FIRST;
use crate::place::{Running, amount, assert_done};
use crate::shop::until;
use serde_json::{Value, json};

fn open() -> Option<Shop> {
    Shop::open(Plan { granularity: 3, ..Plan::default() })
}

/// Starts the seller again where it was killed, ends it in good order, and compares both journals
/// with what the network has.
fn both_books_agree(shop: &mut Shop) {
    let [_, bought] = shop.both_books_agree(3 * 2);
    let paid: u128 = bought.iter().map(|told| amount(&told["settled"])).sum();
    assert!(paid > 0);
    assert_eq!(shop.total("seller"), FIRST + paid, "each payment landed once");
    assert_eq!(shop.total("buyer"), FIRST - paid);
    for side in ["seller", "buyer"] {
        assert_eq!(shop.unsettled(side), Vec::<Value>::new(), "{side} owes nothing more");
        for what in ["Paid", "Anchored"] {
            times(&shop.told(side), what);
        }
    }
}

/// A new order of the same buyer goes on with what the old one owed.
fn buys_again(shop: &Shop) {
    std::fs::rename(shop.path("buyer.items"), shop.path("first.items")).unwrap();
    assert_done(&shop.buy("buyer", "co2", "5").output().unwrap());
}

#[test]
fn a_seller_killed_in_mid_stream_settles_all_when_it_is_back() {
    let Some(mut shop) = open() else { return };
    let mut buyer = Running(shop.buy("buyer", "memory", "all").spawn().unwrap());
    until("items flow", || shop.lines("buyer") > 30);
    shop.seller().signal("KILL");
    shop.seller().wait();
    assert!(!buyer.wait().success(), "the line broke");
    shop.sell();
    buys_again(&shop);
    shop.close();
    both_books_agree(&mut shop);
}

#[test]
fn a_buyer_killed_in_mid_stream_settles_all_when_it_is_back() {
    let Some(mut shop) = open() else { return };
    let mut buyer = Running(shop.buy("buyer", "memory", "all").spawn().unwrap());
    until("items flow", || shop.lines("buyer") > 30);
    buyer.signal("KILL");
    buyer.wait();
    buys_again(&shop);
    shop.close();
    both_books_agree(&mut shop);
}

/// Its payment is frozen at the gateway, before or after it was done, when it is killed.
#[test]
fn a_buyer_killed_while_its_payment_is_frozen_pays_once() {
    let freezes = [
        json!({ "fault": "freeze", "when": "before", "ms": 3_000, "func": "Pay" }),
        json!({ "fault": "freeze", "when": "after", "ms": 3_000, "func": "Pay" }),
        json!({ "fault": "freeze", "when": "late", "ms": 700, "func": "Pay" }),
    ];
    for freeze in freezes {
        let Some(mut shop) = open() else { return };
        let mut buyer = Running(shop.buy("buyer", "memory", "all").spawn().unwrap());
        until("items flow", || shop.lines("buyer") > 9);
        shop.double.faults.arm(freeze);
        until("it is frozen", || shop.double.faults.fired("freeze") > 0);
        buyer.signal("KILL");
        buyer.wait();
        buys_again(&shop);
        shop.close();
        both_books_agree(&mut shop);
    }
}

#[test]
fn a_seller_killed_while_its_record_is_frozen_records_once() {
    for when in ["before", "after"] {
        let Some(mut shop) = open() else { return };
        let mut buyer = Running(shop.buy("buyer", "memory", "all").spawn().unwrap());
        until("items flow", || shop.lines("buyer") > 9);
        let freeze = json!({ "fault": "freeze", "when": when, "ms": 3_000, "func": "Anchor" });
        shop.double.faults.arm(freeze);
        until("it is frozen", || shop.double.faults.fired("freeze") > 0);
        shop.seller().signal("KILL");
        shop.seller().wait();
        assert!(!buyer.wait().success(), "the line broke");
        shop.sell();
        buys_again(&shop);
        shop.close();
        both_books_agree(&mut shop);
    }
}
