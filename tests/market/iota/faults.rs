//! The node is away, slow, behind, or loses its answers while a stream flows: each invoice is paid
//! once, and both books say what the node says.

use super::shop::{Plan, Shop};
use crate::shop::{ends_paid, until};
use sdpp_iota_double::Fault;
use std::collections::BTreeSet;
use std::time::Duration;

const EXECUTE: &str = "iota_executeTransactionBlock";

/// Buys 150 items with what goes wrong after the first of them.
fn faulted(wrong: impl FnOnce(&Shop)) {
    let Some(mut shop) = Shop::open(Plan { granularity: 10, ..Plan::default() }) else { return };
    let child = shop.buy("buyer", "co2", "150").spawn().unwrap();
    until("items flow", || shop.lines("buyer") > 10);
    wrong(&shop);
    ends_paid(child, 150);
    shop.close();
    shop.books_are_the_nodes();
    let bought = shop.audit("buyer").remove(0);
    let paid = bought["settlements"].as_array().unwrap();
    let paid: BTreeSet<&str> = paid.iter().map(|row| row["tx"].as_str().unwrap()).collect();
    assert_eq!(paid.len(), 15, "one payment for each window");
}

/// No more items than what two windows of credit allow.
fn stops_by_credit(shop: &Shop) {
    let at = shop.lines("buyer");
    until("a request met it", {
        let before: u64 = shop.tally().requests.values().sum();
        move || shop.tally().requests.values().sum::<u64>() > before + 5
    });
    assert!(shop.lines("buyer") <= at + 4 * 10, "no more than credit allows");
}

#[test]
fn answers_that_are_lost_in_mid_stream_cost_time_alone() {
    faulted(|shop| {
        shop.double.arm(Fault::Lost.times(4).on(EXECUTE));
        shop.double.arm(Fault::Dropped.times(4).on(EXECUTE));
        shop.double.arm(Fault::Garbage.times(2).on(EXECUTE));
        shop.double.arm(Fault::Lost.times(3).on("iota_getTransactionBlock"));
        shop.double.arm(Fault::Garbage.times(3).on("iota_dryRunTransactionBlock"));
        shop.double.arm(Fault::Dropped.times(3).on("iotax_getCoins"));
        shop.double.arm(Fault::TooMany.times(3).on("iota_getCheckpoint"));
    });
}

#[test]
fn a_node_that_is_away_in_mid_stream_is_waited_for() {
    faulted(|shop| {
        for fault in [Fault::Unavailable, Fault::Dropped] {
            let before = shop.lines("buyer");
            shop.double.arm(fault.always());
            stops_by_credit(shop);
            shop.double.clear();
            until("items flow again", || shop.lines("buyer") > before + 10);
        }
    });
}

#[test]
fn a_node_that_answers_late_or_of_long_ago_is_waited_for() {
    faulted(|shop| {
        shop.double.set_read_lag(Duration::from_millis(700));
        let before = shop.lines("buyer");
        until("items flow", || shop.lines("buyer") > before + 10);
        shop.double.stand_still(true);
        stops_by_credit(shop);
        shop.double.stand_still(false);
        shop.double.set_read_lag(Duration::from_millis(10));
        shop.double.hold_checkpoints(true);
        stops_by_credit(shop);
        shop.double.hold_checkpoints(false);
    });
}

/// What was promised its coins and not yet executed is sent again, and executed once.
#[test]
fn a_node_that_hangs_with_promised_coins_has_each_paid_once() {
    faulted(|shop| {
        for fault in [Fault::Held, Fault::HeldPromised, Fault::AnswerHeld] {
            shop.double.arm(fault.once().on(EXECUTE));
            shop.until_held(1);
            shop.double.release();
        }
        // The client gives it up after its patience, and asks again while it is still held.
        let asked = || shop.tally().requests.get(EXECUTE).copied().unwrap_or(0);
        shop.double.arm(Fault::HeldPromised.once().on(EXECUTE));
        shop.until_held(1);
        let before = asked();
        until("it was sent again", || asked() > before);
        shop.double.release();
    });
}
