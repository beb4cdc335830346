//! What is out unsecured: the shell's book is asked before a buyer is served by transfer, before its
//! pace grows, and before a leg begins.

use crate::legs;
use crate::pair::*;
use sdpp::message::{LegReason, PaceReason};
use sdpp::record::End;
use sdpp::session::Input;
use sdpp::terms::{Method, Pace};
use sdpp_ledger::Amount;

fn setting(method: Method) -> Setting {
    let mut setting = legs::setting(method, Method::Transfer);
    setting.seller.asks_credit = true;
    setting
}

fn asked(pair: &Pair) -> Vec<(&str, u128)> {
    pair.credits.iter().map(|(name, amount)| (name.as_str(), amount.units())).collect()
}

#[test]
fn the_book_is_asked_before_a_buyer_is_served_by_transfer() {
    let mut pair = setting(Method::Transfer).windows(4, 2).start();
    pair.run();
    assert_eq!(asked(&pair), [("SDP", 40)]);
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    let mut pair = setting(Method::Escrow).windows(4, 2).start();
    pair.run();
    assert!(asked(&pair).is_empty(), "a deposit secures it");
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
}

#[test]
fn where_there_is_no_room_the_buyer_is_not_served_and_told_why() {
    let mut pair = setting(Method::Transfer).windows(4, 2).start();
    pair.credit_room = Amount::new(39);
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Failed, End::Refused));
    assert!(pair.b.why().contains("credit: no room for 40"), "{}", pair.b.why());
    assert!(pair.b.delivered.is_empty() && pair.s.records.is_empty());
}

#[test]
fn a_buyer_that_may_have_no_more_out_in_a_currency_orders_again_in_its_next() {
    let mut setting = setting(Method::Transfer).windows(4, 2);
    setting.wish.currencies.push(pinned(Method::Escrow));
    let names = |pair: &Pair| {
        let wish = pair.b.again.as_ref()?;
        Some(wish.currencies.iter().map(|ours| (ours.name.clone(), ours.method)).collect())
    };
    let mut pair = setting.start();
    pair.credit_room = Amount::new(39);
    pair.run();
    let next = [("OTH".to_owned(), Method::Transfer), ("SDP".to_owned(), Method::Escrow)];
    assert_eq!(names(&pair), Some(next.to_vec()));
    // With one currency only there is nothing to order again.
    let mut alone = Setting::default().windows(4, 2);
    alone.seller.asks_credit = true;
    let mut pair = alone.start();
    pair.credit_room = Amount::ZERO;
    pair.run();
    assert_eq!((pair.b.end(), names(&pair)), (End::Refused, None));
}

#[test]
fn a_leg_at_another_rate_counts_beside_what_the_one_before_has_out() {
    let mut setting = setting(Method::Transfer).windows(4, 2);
    setting.menu.default_currency = "DLR".to_owned();
    let mut pair = setting.start();
    pair.stalled.insert(ledger());
    pair.run_to(6);
    let mut menu = pair.offer.menu.clone();
    menu.currencies_accepted[0].rate = legs::rate(1, 2);
    pair.offers(menu);
    pair.buyer.ask_rate().unwrap();
    pair.run();
    // Eight items at 5 are not paid yet, and eight more at 5/2 may be out beside them, and one unit
    // by rounding.
    assert_eq!(asked(&pair), [("SDP", 40), ("SDP", 61)]);
}

#[test]
fn the_book_is_asked_before_a_pace_grows() {
    for (room, windows) in [(u128::MAX, 3), (40, 1)] {
        let mut pair = setting(Method::Transfer).start();
        pair.credit_room = Amount::new(room);
        pair.run_to(6);
        let pace = Pace { granularity: 4, credit_windows: 3 };
        pair.seller.change_pace(pace, PaceReason::Earned, pair.now_ms).unwrap();
        pair.run();
        assert_eq!(asked(&pair), [("SDP", 20), ("SDP", 60)]);
        assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
        let last =
            sent(&pair.s).into_iter().rfind(|m| m["message_type"] == "data_invoice").unwrap();
        let now = last["data"]["invoice"]["pace"]["credit_windows"].as_u64().unwrap_or(1);
        assert_eq!(now, windows);
    }
}

#[test]
fn a_smaller_pace_needs_no_more_room() {
    let mut pair = setting(Method::Transfer).windows(4, 2).start();
    pair.run_to(6);
    let pace = Pace { granularity: 2, credit_windows: 1 };
    pair.seller.change_pace(pace, PaceReason::Missed, pair.now_ms).unwrap();
    pair.run();
    assert_eq!(asked(&pair), [("SDP", 40)]);
}

#[test]
fn the_book_is_asked_before_a_leg_begins() {
    for (room, legs) in [(u128::MAX, 2), (47, 2), (46, 1)] {
        let mut pair = setting(Method::Transfer).start();
        pair.credit_room = Amount::new(room);
        pair.run_to(6);
        let trouble = Some(LegReason::Dear);
        pair.tell(Role::Buyer, Input::Ledger { ledger: ledger(), trouble });
        pair.run();
        assert_eq!(asked(&pair), [("SDP", 20), ("OTH", 47)]);
        assert_eq!((pair.s.end(), pair.s.progress().legs), (End::Complete, legs));
    }
}
