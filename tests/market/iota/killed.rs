//! A side is killed while it streams, or in the middle of what it does to the ledger, and started
//! again: what was owed is settled, and each thing happened once.

use super::shop::{Plan, Shop};
use crate::place::{Running, assert_done, sdpp};
use crate::shop::until;
use sdpp_iota_double::Fault;

const EXECUTE: &str = "iota_executeTransactionBlock";

fn open(records_on: &'static str) -> Option<Shop> {
    Shop::open(Plan { granularity: 3, records_on, ..Plan::default() })
}

/// A new order of the same buyer goes on with what the old one owed; then both end, and both
/// journals agree with each other and with the node.
fn buys_again_and_both_books_agree(shop: &mut Shop) {
    buys_again(shop);
    shop.books_are_the_nodes();
    both_books_agree(shop);
}

fn buys_again(shop: &mut Shop) {
    std::fs::rename(shop.path("buyer.items"), shop.path("first.items")).unwrap();
    assert_done(&shop.buy("buyer", "co2", "5").output().unwrap());
    shop.close();
}

fn both_books_agree(shop: &Shop) {
    let [sold, bought] = shop.both_books_agree(3 * 2);
    assert_eq!((sold.len(), bought.len()), (2, 2));
}

#[test]
fn a_buyer_killed_in_mid_stream_settles_all_when_it_is_back() {
    let Some(mut shop) = open("iota") else { return };
    let mut buyer = Running(shop.buy("buyer", "memory", "all").spawn().unwrap());
    until("items flow", || shop.lines("buyer") > 30);
    buyer.signal("KILL");
    buyer.wait();
    buys_again_and_both_books_agree(&mut shop);
}

#[test]
fn a_seller_killed_in_mid_stream_settles_all_when_it_is_back() {
    let Some(mut shop) = open("iota") else { return };
    let mut buyer = Running(shop.buy("buyer", "memory", "all").spawn().unwrap());
    until("items flow", || shop.lines("buyer") > 30);
    shop.seller().signal("KILL");
    shop.seller().wait();
    assert!(!buyer.wait().success(), "the line broke");
    shop.sell();
    buys_again_and_both_books_agree(&mut shop);
}

/// Its payment is held by the node when it is killed: before anything was done, with its coins
/// promised, or when all was done. Nobody but the buyer has anything executed here.
#[test]
fn a_buyer_killed_while_its_payment_is_held_pays_once() {
    for fault in [Fault::Held, Fault::HeldPromised, Fault::AnswerHeld] {
        let Some(mut shop) = open("nowhere") else { return };
        let mut buyer = Running(shop.buy("buyer", "memory", "all").spawn().unwrap());
        until("items flow", || shop.lines("buyer") > 9);
        shop.double.arm(fault.once().on(EXECUTE));
        shop.until_held(1);
        buyer.signal("KILL");
        buyer.wait();
        shop.double.release();
        buys_again_and_both_books_agree(&mut shop);
    }
}

/// What is on its way in the journal of a buyer that was killed keeps its coins: an operator's gift
/// is of others.
#[test]
fn a_gift_takes_no_coin_of_a_payment_on_its_way() {
    let Some(shop) = open("nowhere") else { return };
    let mut buyer = Running(shop.buy("buyer", "memory", "all").spawn().unwrap());
    until("items flow", || shop.lines("buyer") > 9);
    // Both windows of credit: the largest coins are theirs.
    shop.double.arm(Fault::HeldPromised.times(2).on(EXECUTE));
    shop.until_held(2);
    buyer.signal("KILL");
    buyer.wait();
    let mut fund = sdpp();
    fund.args(["ledger", "fund", "1000", "--account", &format!("0x{}", "ab".repeat(32))]);
    let given = fund.arg("--config").arg(shop.path("buyer.toml")).output().unwrap();
    assert_done(&given);
    assert_eq!(shop.tally().conflicts, 0, "nothing was promised twice");
    shop.double.release();
    std::fs::rename(shop.path("buyer.items"), shop.path("first.items")).unwrap();
    assert_done(&shop.buy("buyer", "co2", "5").output().unwrap());
    assert_eq!(shop.unsettled("buyer").len(), 0, "all of it landed");
    let tally = shop.tally();
    assert_eq!((tally.failed, tally.conflicts), (0, 0));
}

/// All that is on its way is prepared and durable, and never arrives; then its coins are gone.
#[test]
fn a_payment_whose_coins_a_wallet_merged_away_is_made_anew_and_once() {
    let Some(mut shop) = open("nowhere") else { return };
    let mut buyer = Running(shop.buy("buyer", "memory", "all").spawn().unwrap());
    until("items flow", || shop.lines("buyer") > 9);
    let asked = |method: &str| shop.tally().requests.get(method).copied().unwrap_or(0);
    let before = asked(EXECUTE);
    shop.double.arm(Fault::Dropped.always().on(EXECUTE));
    until("payments are prepared", || asked(EXECUTE) > before + 4);
    buyer.signal("KILL");
    buyer.wait();
    shop.double.clear();
    assert!(shop.coins("buyer") > 2, "there is something to merge");
    shop.merge_coins("buyer");
    assert_eq!(shop.coins("buyer"), 1);
    buys_again(&mut shop);
    let asked = shop.tally().requests.get("iotax_queryTransactionBlocks").copied();
    assert!(asked.unwrap_or(0) > 0, "it was looked for what took the coins");
    both_books_agree(&shop);
    assert_eq!(shop.unsettled("buyer").len(), 0);
    // The seller was told of the old ones before the line broke, and of the new ones by nobody: it
    // waits for what it was told, of the two windows that may be unpaid.
    assert!((1..=2).contains(&shop.unsettled("seller").len()));
    let bought = shop.audit("buyer");
    let rows = bought.iter().flat_map(|told| told["settlements"].as_array().unwrap());
    let paid: Vec<&str> = rows.map(|row| row["tx"].as_str().unwrap()).collect();
    let once: std::collections::BTreeSet<&str> = paid.iter().copied().collect();
    let tally = shop.tally();
    assert_eq!(paid.len(), once.len(), "each window by its own");
    assert_eq!((tally.executed, tally.failed), (once.len() as u64 + 1, 0), "beside the merge");
}

#[test]
fn a_seller_killed_while_something_is_held_records_once() {
    for fault in [Fault::Held, Fault::AnswerHeld] {
        let Some(mut shop) = open("iota") else { return };
        let mut buyer = Running(shop.buy("buyer", "memory", "all").spawn().unwrap());
        until("items flow", || shop.lines("buyer") > 9);
        shop.double.arm(fault.times(2).on(EXECUTE));
        shop.until_held(1);
        shop.seller().signal("KILL");
        shop.seller().wait();
        shop.double.clear();
        assert!(!buyer.wait().success(), "the line broke");
        shop.sell();
        buys_again_and_both_books_agree(&mut shop);
    }
}
