//! Vouchers that are redeemed while their session goes on.

use crate::pair::*;
use sdpp::record::{End, Record};
use sdpp::session::Output;
use sdpp_ledger::{Amount, Call};
use std::collections::BTreeSet;

/// Items at 5 each, two in a window, on a channel on which 100 were vouched before.
fn setting(quantity: Option<u64>) -> Setting {
    let setting = Setting::default().by_escrow().no_records().order("co2", quantity);
    Setting { base: Amount::new(100), ..setting.windows(2, 1) }
}

/// What the ledger was asked to redeem, in order: how much, and whether that closes the channel.
fn redeemed(pair: &Pair) -> Vec<(u128, bool)> {
    let redeems = pair.ledger.iter().filter_map(|(_, call, _)| match call {
        Call::Settle(redeem) => Some((redeem.amount.units(), false)),
        Call::Close(redeem) => Some((redeem.amount.units(), true)),
        _ => None,
    });
    redeems.collect()
}

#[test]
fn a_voucher_is_redeemed_once_it_is_worth_enough() {
    for signed in [true, false] {
        let mut setting = setting(Some(10));
        setting.seller.redeem_above.insert("SDP".to_owned(), Amount::new(20));
        let mut pair = if signed { setting.start() } else { setting.under_mac().start() };
        pair.run();
        assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
        assert_eq!(redeemed(&pair), [(120, false), (140, false), (150, true)]);
        let references: BTreeSet<_> = pair.ledger.iter().map(|(reference, ..)| reference).collect();
        assert_eq!(references.len(), 3, "each is owed for itself");
    }
}

#[test]
fn nothing_waits_until_it_is_redeemed() {
    let mut setting = setting(Some(10));
    setting.seller.redeem_above.insert("SDP".to_owned(), Amount::new(1));
    let mut pair = setting.start();
    pair.ledger_down = true;
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    let is_redeeming = |record: &&Record| matches!(record, Record::Redeeming { .. });
    let owed = pair.s.records.iter().filter(is_redeeming).count();
    assert_eq!(owed, 1, "one at a time, however long the ledger takes");
    // The voucher is on disk before, and nothing was sent in between.
    let at = pair.s.log.iter().position(|output| is_record(output, &is_redeeming)).unwrap();
    let is_voucher = |record: &&Record| matches!(record, Record::Voucher { .. });
    assert!(is_record(&pair.s.log[at - 1], &is_voucher));
}

/// A seller that is killed in mid-window can show for which items its voucher was given.
#[test]
fn an_ack_is_on_disk_with_the_voucher_that_it_brought() {
    let mut pair = setting(Some(10)).windows(8, 1).start();
    pair.run_to(3).run_without_feeding();
    let is_ack = |r: &&Record| matches!(r, Record::Ack { message } if message.number == 3);
    let is_voucher =
        |r: &&Record| matches!(r, Record::Voucher { amount, .. } if amount.units() == 115);
    let ack = pair.s.log.iter().position(|output| is_record(output, &is_ack)).unwrap();
    assert!(is_record(&pair.s.log[ack + 1], &is_voucher), "nothing leaves between the two");
}

fn is_record(output: &Output, is_it: &dyn Fn(&&Record) -> bool) -> bool {
    matches!(output, Output::Record { record, .. } if is_it(&&**record))
}

#[test]
fn vouchers_that_come_while_a_ledger_is_away_are_redeemed_as_one() {
    let mut setting = setting(None);
    setting.seller.redeem_above.insert("SDP".to_owned(), Amount::new(10));
    setting.seller.redeem_every_ms = Some(3_000);
    let mut pair = setting.start();
    pair.ledger_down = true;
    pair.run_to(20);
    pair.run_without_feeding();
    assert_eq!(redeemed(&pair), []);
    pair.ledger_down = false;
    pair.run_without_feeding();
    pair.wait_without_feeding();
    assert_eq!(redeemed(&pair), [(110, false), (200, false)]);
}

#[test]
fn a_voucher_that_was_in_hand_for_long_is_redeemed_though_nothing_moves() {
    let mut setting = setting(None);
    setting.seller.redeem_every_ms = Some(3_000);
    setting.seller.patience_ms = 20_000;
    let mut pair = setting.start();
    pair.run_to(4);
    pair.run_without_feeding();
    let since_ms = pair.now_ms;
    assert_eq!(redeemed(&pair), []);
    pair.wait_without_feeding();
    assert_eq!((pair.now_ms - since_ms, redeemed(&pair)), (3_000, vec![(120, false)]));
    assert!(pair.next_timeout().is_none_or(|at_ms| at_ms > pair.now_ms), "and only once");
    pair.run_to(6);
    pair.run_without_feeding();
    pair.wait_without_feeding();
    assert_eq!(redeemed(&pair), [(120, false), (130, false)]);
    pair.stop(Role::Seller);
    assert_eq!(pair.s.end(), End::Complete);
    assert_eq!(redeemed(&pair).last().map(|(_, closes)| *closes), Some(true));
}

#[test]
fn by_itself_a_seller_redeems_at_the_end_alone() {
    let mut pair = setting(Some(10)).start();
    pair.run();
    assert_eq!(redeemed(&pair), [(150, true)]);
}
