//! What counts as money, and what becomes of a payment that is none after all.

use crate::liars::{ends_with, last_error, lie};
use crate::pair::*;
use sdpp::message::PaymentAck;
use sdpp::record::{End, Record};
use sdpp::session::Input;
use sdpp::terms::{Purpose, Rate};
use sdpp_ledger::{Amount, Call};
use serde_json::{Value, json};

/// Such a voucher verifies under the signer's key, and no contract takes it.
#[test]
fn a_voucher_whose_v_is_the_other_one_is_no_money() {
    let change = |m: &mut Value| {
        let signature = m["voucher"]["signature"].as_str().unwrap().to_owned();
        let v = if signature.ends_with("1b") { "1c" } else { "1b" };
        m["voucher"]["signature"] = json!(format!("{}{v}", &signature[..130]));
    };
    let setting = Setting::default().by_escrow().under_mac().no_records();
    let mut pair = lie::<PaymentAck>(setting, Role::Buyer, change);
    ends_with(&mut pair, Role::Buyer, "bad_payment", "not signed by the channel's signer");
    assert_eq!(pair.s.progress().paid, Amount::ZERO);
    assert!(!pair.s.records.iter().any(|r| matches!(r, Record::Voucher { .. })));
}

/// A buyer that vouched more elsewhere than we know of pays its amount less its own base.
#[test]
fn a_base_above_what_the_seller_knows_is_good() {
    let setting = Setting { base: Amount::new(100), ..Setting::default().by_escrow() };
    let mut pair = setting.no_records().start();
    pair.known = Some(Amount::new(60));
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    assert_eq!(pair.s.progress().paid, Amount::new(18));
    let Some((_, Call::Close(redeem), _)) = pair.ledger.last() else {
        panic!("the channel is closed with the best voucher");
    };
    assert_eq!(redeem.amount, Amount::new(118));
}

/// One unit for six items at 5 each: a voucher for the first items is worth nothing.
#[test]
fn a_voucher_that_gives_nothing_new_is_not_redeemed() {
    let mut setting = Setting::default().by_escrow().no_records().order("co2", None);
    for offer in &mut setting.menu.currencies_accepted {
        offer.rate = Rate { numerator: Amount::new(1), denominator: Amount::new(100) };
    }
    let mut pair = setting.windows(20, 1).start();
    pair.run_to(3);
    while pair.b.delivered.len() < 3 || !types(&pair.b).contains(&"ack".to_owned()) {
        assert!(pair.step());
    }
    pair.stop(Role::Seller);
    assert!(pair.s.records.iter().any(|r| matches!(r, Record::Voucher { .. })));
    assert_eq!(pair.ledger, [], "nothing to redeem");
}

#[test]
fn an_order_whose_price_rounds_to_nothing_is_refused() {
    let cheap = |quantity| {
        let mut setting = Setting::default().order("co2", quantity).no_records();
        for offer in &mut setting.menu.currencies_accepted {
            offer.rate = Rate { numerator: Amount::new(1), denominator: Amount::new(6) };
        }
        let mut pair = setting.start();
        pair.run();
        pair
    };
    let mut pair = cheap(Some(1));
    ends_with(&mut pair, Role::Buyer, "order_refused", "rounds to nothing");
    assert_eq!(cheap(Some(6)).s.end(), End::Complete);
}

/// The buyer said that it paid, and its ledger will not do it after all.
#[test]
fn a_payment_that_was_said_and_is_refused_ends_the_session_by_our_own_fault() {
    let setting = Setting::default().anchored_after().no_records().order("co2", None);
    let mut pair = setting.windows(2, 4).start();
    pair.never_final = true;
    while !types(&pair.b).contains(&"payment_ack".to_owned()) {
        assert!(pair.step());
    }
    let reference = pair.b.session.unwrap().reference(Purpose::Payment, 1);
    pair.tell(Role::Buyer, Input::Refused { reference, why: "reverted".to_owned() });
    pair.run();
    assert_eq!(pair.b.end(), End::Failed);
    assert!(matches!(pair.b.records.last(), Some(Record::Ended { end: End::Failed, .. })));
    let (code, message) = last_error(&pair.b);
    assert_eq!(code, "internal");
    assert!(message.contains("window 1 cannot be paid: reverted"), "{message}");
    assert_eq!(pair.s.end(), End::Refused);
}

#[test]
fn a_payment_that_is_final_is_forgotten() {
    let setting = Setting::default().anchored_after().no_records().order("co2", None);
    let mut pair = setting.windows(2, 4).start();
    while pair.seller.progress().paid < Amount::new(10) {
        assert!(pair.step());
    }
    let reference = pair.b.session.unwrap().reference(Purpose::Payment, 1);
    pair.tell(Role::Buyer, Input::Refused { reference, why: "no".to_owned() });
    pair.run_to(20);
    assert!(pair.b.closed.is_none(), "what is final is final");
}

#[test]
fn a_ceiling_below_what_may_be_out_on_credit_is_said_before_an_order_leaves() {
    let mut setting = Setting::default().order("co2", None).windows(2, 2);
    setting.wish.max_total = Some(Amount::new(19));
    let mut pair = setting.start();
    pair.run();
    assert_eq!(pair.b.why(), "4 items cost 0.000020 SDP, our ceiling is 0.000019");
    assert!(pair.ledger.is_empty(), "no order is even anchored");
    let setting = Setting { deposit: Amount::new(119), ..Setting::default().by_escrow() };
    let mut setting = setting.order("co2", None).windows(2, 2);
    setting.base = Amount::new(100);
    let mut pair = setting.start();
    pair.run();
    assert_eq!(pair.b.why(), "4 items cost 0.000020 SDP, the channel's room is 0.000019");
    assert!(!types(&pair.b).contains(&"order".to_owned()));
}

/// What is free leaves before what is on credit: at 1 for 10 a window of nine is.
#[test]
fn what_may_be_out_on_credit_is_counted_behind_what_is_free() {
    for (most, is_ordered) in [(1, false), (2, true)] {
        let mut setting = Setting::default().order("co2", None).windows(9, 2).no_records();
        setting.menu.prices.insert("co2".to_owned(), Amount::new(1));
        setting.menu.default_currency = "DLR".to_owned();
        let (numerator, denominator) = (Amount::new(1), Amount::new(10));
        setting.menu.currencies_accepted[0].rate = Rate { numerator, denominator };
        setting.wish.max_total = Some(Amount::new(most));
        let mut pair = setting.start();
        pair.feeds_early = true;
        pair.run();
        let end = if is_ordered { End::Complete } else { End::Failed };
        assert_eq!(pair.b.end(), end, "{most}: {}", pair.b.why());
        assert_eq!(types(&pair.b).contains(&"order".to_owned()), is_ordered);
    }
}

/// With the largest price that fits, what W * K more items would cost does not.
#[test]
fn a_voucher_near_the_largest_amount_is_signed() {
    let mut setting = Setting::default().by_escrow().no_records().order("gas", Some(6));
    let price = Amount::new(u128::MAX / 6);
    setting.menu.prices.insert("gas".to_owned(), price);
    setting.deposit = Amount::new(u128::MAX);
    let mut pair = setting.start();
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete), "{}", pair.b.why());
}

#[test]
fn a_window_larger_than_we_hold_is_not_ordered() {
    let mut setting = Setting::default().windows(1_001, 1);
    setting.buyer.granularity_max = 1_000;
    let mut pair = setting.start();
    pair.run();
    ends_with(&mut pair, Role::Seller, "order_refused", "K is 1001, we take 1000 at most");
}

/// The exit goes before the payment that would give the seller more credit.
#[test]
fn a_buyer_at_its_ceiling_leaves_before_it_pays() {
    for escrow in [false, true] {
        let setting = Setting::default().no_records().order("co2", None).windows(2, 2);
        let mut setting = if escrow { setting.by_escrow() } else { setting };
        // Six items are too much, and that shows with the second: the last of its window.
        setting.wish.max_total = Some(Amount::new(25));
        let mut pair = setting.start();
        pair.run();
        let said: Vec<_> = types(&pair.b).into_iter().filter(|t| t != "ack").collect();
        let exit = said.iter().position(|t| t == "exit");
        let paid = said.iter().position(|t| t == "payment_ack");
        assert!(exit < paid, "{said:?}");
        assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    }
}

#[test]
fn the_number_that_a_smaller_base_misses_is_named() {
    let setting = Setting { base: Amount::new(5), ..Setting::default().by_escrow() };
    let mut pair = setting.no_records().start();
    pair.known = Some(Amount::new(8));
    pair.run();
    ends_with(&mut pair, Role::Buyer, "channel", "base is 5, the last amount vouched is 8");
}

/// What our account holds is looked at when the price is known, and before anything is ordered.
#[test]
fn a_buyer_that_cannot_pay_says_so_to_itself_and_orders_nothing() {
    for (quantity, cost) in [(Some(6), 18), (None, 12)] {
        let with = |holds| {
            let mut pair = Setting::default().order("gas", quantity).start();
            pair.holds = Amount::new(holds);
            pair.run_to(7);
            pair
        };
        let poor = with(cost - 1);
        assert_eq!((poor.b.end(), poor.b.why()), (End::Failed, &*format!("too little for {cost}")));
        assert!(poor.ledger.is_empty() && poor.b.records.is_empty(), "nothing is even anchored");
        assert_eq!(types(&poor.b), ["error"]);
        let (code, message) = last_error(&poor.b);
        let private = ("internal", "the buyer cannot go on");
        assert_eq!((code.as_str(), message.as_str()), private, "our purse is nobody's business");
        assert!(types(&with(cost).b).contains(&"order".to_owned()));
    }
}
