//! Vouchers that are redeemed while their session goes on.

use crate::pair::*;
use sdpp::record::{End, Record};
use sdpp::session::{Input, Output};
use sdpp::settling::{Policy, Why};
use sdpp_ledger::{Amount, Call};
use std::collections::{BTreeMap, BTreeSet};

/// Items at 5 each, two in a window, on a channel on which 100 were vouched before.
fn setting(quantity: Option<u64>) -> Setting {
    let setting = Setting::default().by_escrow().no_records().order("co2", quantity);
    Setting { base: Amount::new(100), ..setting.windows(2, 1) }
}

fn in_sdp(policy: Policy) -> BTreeMap<String, Policy> {
    BTreeMap::from([("SDP".to_owned(), policy)])
}

fn exposed(units: u128) -> BTreeMap<String, Policy> {
    in_sdp(Policy { exposure: Some(Amount::new(units)), ..Policy::default() })
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
        setting.seller.settling = exposed(20);
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
    setting.seller.settling = exposed(1);
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
    let policy = Policy { age_ms: Some(3_000), ..exposed(10)["SDP"] };
    setting.seller.settling = in_sdp(policy);
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
    setting.seller.settling = in_sdp(Policy { age_ms: Some(3_000), ..Policy::default() });
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

fn fee(pair: &mut Pair, fee: Option<u128>) {
    let fee = fee.map(Amount::new);
    pair.seller.handle(Input::Fee { ledger: ledger(), fee }, pair.now_ms);
    pair.run_without_feeding();
}

/// What was decided, and what was in hand then.
fn decided(pair: &Pair) -> Vec<(Why, u128, Option<u128>)> {
    let all = pair.s.records.iter().filter_map(|record| match record {
        Record::Settling { why, hand, .. } => {
            Some((*why, hand.value.units(), hand.fee.map(Amount::units)))
        }
        _ => None,
    });
    all.collect()
}

#[test]
fn a_voucher_waits_while_the_fee_is_dear_and_is_redeemed_when_it_pays() {
    let mut setting = setting(None);
    setting.seller.settling = in_sdp(Policy { fee_below_permille: Some(100), ..Policy::default() });
    let mut pair = setting.under_mac().start();
    pair.run_to(4);
    pair.run_without_feeding();
    assert_eq!(redeemed(&pair), [], "nobody knows the fee");
    fee(&mut pair, Some(3));
    assert_eq!(redeemed(&pair), [], "20 in hand, and 3 are more than a tenth of it");
    pair.run_to(6);
    pair.run_without_feeding();
    assert_eq!(redeemed(&pair), [], "a tenth is not below a tenth");
    pair.run_to(8);
    pair.run_without_feeding();
    assert_eq!(redeemed(&pair), [(140, false)], "now it pays, and all windows ride in one");
    fee(&mut pair, Some(1));
    pair.run_to(10);
    pair.run_without_feeding();
    assert_eq!(redeemed(&pair), [(140, false)], "10 in hand");
    fee(&mut pair, Some(0));
    assert_eq!(redeemed(&pair), [(140, false), (150, false)], "the fee falls, and nothing moves");
    pair.run_to(12);
    fee(&mut pair, None);
    pair.stop(Role::Seller);
    assert_eq!(pair.s.end(), End::Complete);
    let expected = [
        (Why::FeeUnknown, 10, None),
        (Why::Dear, 20, Some(3)),
        (Why::Cheap, 40, Some(3)),
        (Why::Dear, 10, Some(1)),
        (Why::Cheap, 10, Some(0)),
    ];
    assert_eq!(decided(&pair)[..5], expected, "one for each change of mind: {:?}", decided(&pair));
    assert!(pair.seller.redeemable().is_none());
}

#[test]
fn what_waits_to_the_end_is_said_to_be_redeemed_because_of_it() {
    let mut setting = setting(Some(10));
    setting.seller.settling = in_sdp(Policy { fee_below_permille: Some(1), ..Policy::default() });
    let mut pair = setting.under_mac().start();
    pair.run_to(4);
    pair.run_without_feeding();
    let Some((on, Call::Settle(redeem))) = pair.seller.redeemable() else { panic!("not one") };
    assert_eq!((on, redeem.amount), (ledger(), Amount::new(120)));
    fee(&mut pair, Some(1));
    pair.run();
    assert_eq!(pair.s.end(), End::Complete);
    assert_eq!(redeemed(&pair), [(150, true)]);
    let expected =
        [(Why::FeeUnknown, 10, None), (Why::Dear, 20, Some(1)), (Why::Close, 50, Some(1))];
    assert_eq!(decided(&pair), expected);
}
