//! Payments that count for credit before they are final, and orders that are too small or too large.

use crate::liars::{ends_with, order_under};
use crate::pair::*;
use sdpp::message::{DataInvoice, OrderLimits};
use sdpp::record::{End, Record};
use sdpp::session::Input;
use sdpp::terms::Purpose;
use sdpp_ledger::Amount;

/// A stream of `co2` at 5 in windows of 4, so that a window costs 20, one of which may be unpaid.
fn counting(finality: &str) -> Pair {
    let mut setting = Setting::default().anchored_after().no_records().order("co2", None);
    for offer in &mut setting.menu.currencies_accepted {
        offer.finality = finality.to_owned();
    }
    let mut pair = setting.start();
    pair.never_final = true;
    pair.run();
    pair
}

/// The seller is told of the payment of a window.
fn seen(pair: &mut Pair, number: u64, blocks: u64) {
    let session = pair.seller.session().unwrap();
    let reference = session.reference(Purpose::Payment, number);
    pair.tell(Role::Seller, Input::Included { reference, blocks });
}

fn met(pair: &mut Pair, number: u64) {
    let reference = pair.seller.session().unwrap().reference(Purpose::Payment, number);
    let tx = tx_of(&reference);
    pair.tell(Role::Seller, Input::Met { reference, tx });
}

fn items(pair: &Pair) -> u64 {
    pair.seller.progress().items
}

fn receipts(pair: &Pair) -> Vec<String> {
    let invoices = sent(&pair.s).into_iter().filter(|m| m["message_type"] == "data_invoice");
    let total = |m: serde_json::Value| {
        let message: DataInvoice = serde_json::from_value(m["data"].clone()).unwrap();
        message.invoice.paid_total.to_string()
    };
    invoices.map(total).collect()
}

#[test]
fn a_small_payment_counts_once_it_is_so_deep_and_is_paid_only_when_it_is_final() {
    let mut pair = counting("blocks 2 up to 20, final");
    assert_eq!(items(&pair), 4, "it is said to be paid, and stands nowhere");
    seen(&mut pair, 1, 1);
    pair.run();
    assert_eq!(items(&pair), 4, "one block is too few");
    seen(&mut pair, 1, 2);
    pair.run();
    assert_eq!(items(&pair), 8);
    assert_eq!(pair.seller.progress().paid, Amount::ZERO);
    assert_eq!(receipts(&pair), ["0", "0"], "it is no receipt");
    // Both windows are at stake now: 40 is more than counts before it is final.
    seen(&mut pair, 2, 1_000);
    pair.run();
    assert_eq!(items(&pair), 8);
    met(&mut pair, 1);
    pair.run();
    assert_eq!(items(&pair), 12);
    assert_eq!(receipts(&pair), ["0", "0", "20"]);
    assert_eq!(pair.seller.progress().paid, Amount::new(20));
}

#[test]
fn more_at_stake_needs_more_blocks() {
    let mut pair = counting("blocks 1 up to 20, blocks 3 up to 40, blocks 6");
    seen(&mut pair, 1, 1);
    pair.run();
    for (blocks, after) in [(1, 8), (2, 8), (3, 12)] {
        seen(&mut pair, 2, blocks);
        pair.run();
        assert_eq!(items(&pair), after, "{blocks} blocks");
    }
    for (blocks, after) in [(5, 12), (6, 16)] {
        seen(&mut pair, 3, blocks);
        pair.run();
        assert_eq!(items(&pair), after, "{blocks} blocks");
    }
}

#[test]
fn a_payment_whose_block_is_given_up_counts_no_more_and_no_item_leaves_until_it_does() {
    let mut pair = counting("blocks 1");
    seen(&mut pair, 1, 1);
    pair.run_to(7);
    assert_eq!(items(&pair), 7);
    seen(&mut pair, 1, 0);
    assert_eq!(pair.seller.wants(), 0);
    seen(&mut pair, 1, 1);
    assert_eq!(pair.seller.wants(), 1);
    // Windows after it do not count in its place.
    pair.run();
    seen(&mut pair, 2, 9);
    seen(&mut pair, 1, 0);
    assert_eq!((items(&pair), pair.seller.wants()), (8, 0));
    // It is waited for as any payment that is not final.
    let mut ended = pair.s.closed.is_some();
    for _ in 0..20 {
        if !ended {
            pair.wait();
            ended = pair.s.closed.is_some();
        }
    }
    assert_eq!(pair.s.end(), End::Outstanding, "{}", pair.s.why());
    assert_eq!((pair.s.progress().paid, pair.s.progress().owed), (Amount::ZERO, Amount::new(40)));
}

#[test]
fn a_session_ends_only_when_all_is_final() {
    let mut setting = Setting::default().anchored_after().no_records();
    setting.menu.currencies_accepted[0].finality = "blocks 1".to_owned();
    let mut pair = setting.start();
    pair.never_final = true;
    pair.run();
    for number in [1, 2] {
        seen(&mut pair, number, 1);
        pair.run();
    }
    assert!(items(&pair) == 6 && pair.s.closed.is_none(), "all was sent, and is waited for");
    for number in [1, 2] {
        met(&mut pair, number);
        pair.run();
    }
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
}

#[test]
fn where_only_what_is_final_counts_blocks_change_nothing() {
    for finality in ["final", "safe", "blocks 0", ""] {
        let mut pair = counting(finality);
        seen(&mut pair, 1, u64::MAX);
        pair.run();
        assert_eq!(items(&pair), 4, "{finality:?}");
        met(&mut pair, 1);
        pair.run();
        assert_eq!(items(&pair), 8, "{finality:?}");
    }
}

/// `gas` costs 3, `co2` 5 in windows of 4.
fn limited(min: Option<u128>, max: Option<u128>) -> Setting {
    let mut setting = Setting::default().anchored_after().no_records();
    for offer in &mut setting.menu.currencies_accepted {
        let (order_min, order_max) = (min.map(Amount::new), max.map(Amount::new));
        offer.limits = OrderLimits { order_min, order_max };
    }
    setting
}

#[test]
fn an_order_within_the_limits_is_served_and_another_is_refused_by_either_side() {
    let gas = |quantity| ("gas", Some(quantity));
    let cases = [
        (gas(6), Some(18), Some(18), None),
        (gas(5), Some(18), None, Some("the order comes to 15 SDP, the smallest taken is 18")),
        (gas(7), None, Some(18), Some("the order comes to 21 SDP, the largest taken is 18")),
        // A stream without an end counts what may be unpaid of it.
        (("co2", None), Some(20), Some(20), None),
        (("co2", None), None, Some(19), Some("comes to 20 SDP, the largest taken is 19")),
        (("co2", None), Some(21), None, Some("comes to 20 SDP, the smallest taken is 21")),
    ];
    for ((topic, quantity), min, max, refused) in cases {
        let mut pair = limited(min, max).order(topic, quantity).start();
        pair.source = Some(6);
        pair.run();
        match refused {
            None => assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete)),
            Some(says) => {
                assert!(pair.b.why().contains(says), "{}", pair.b.why());
                assert!(!types(&pair.b).contains(&"order".to_owned()), "it does not order");
            }
        }
    }
    let honest = || limited(Some(18), Some(18)).start();
    let few = "the order comes to 15 SDP, the smallest taken is 18";
    let many = "the order comes to 21 SDP, the largest taken is 18";
    for (quantity, says) in [(5, few), (7, many)] {
        let mut pair = order_under(honest(), |order| order.order_quantity = Some(quantity));
        ends_with(&mut pair, Role::Buyer, "quantity", says);
        assert!(!pair.s.records.iter().any(|r| matches!(r, Record::Order { .. })));
    }
}
