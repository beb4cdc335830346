//! Whom a seller sells to, and whom on credit: told before anything is looked at for an order.

use crate::legs;
use crate::pair::*;
use sdpp::door::{Debtors, Door, UnknownBuyer};
use sdpp::message::LegReason;
use sdpp::record::End;
use sdpp::session::{Input, Output};
use sdpp::standing::Standing;
use sdpp::terms::Method;
use sdpp_ledger::Amount;

fn setting(door: Door, method: Method) -> Setting {
    let mut setting = legs::setting(method, Method::Transfer);
    (setting.seller.asks_admission, setting.seller.door) = (true, door);
    setting
}

fn by_escrow_first() -> Door {
    Door { unknown_buyer: UnknownBuyer::Escrow, ..Door::default() }
}

fn lenient() -> Door {
    Door { debtors: Debtors::Escrow, ..Door::default() }
}

/// A buyer that has paid a hundred, and owes so much of a session that broke.
fn known(owed: u128) -> Standing {
    let mut standing = Standing::default();
    standing.pay(Amount::new(100), 10);
    standing.part(Amount::new(owed), true);
    standing
}

/// It ends refused before the buyer was asked about, a ledger looked at or anything written.
fn is_refused(pair: &Pair, why: &str) {
    assert_eq!((pair.s.end(), pair.b.end()), (End::Failed, End::Refused));
    assert!(pair.b.why().contains(why), "{}", pair.b.why());
    assert!(pair.b.delivered.is_empty() && pair.s.records.is_empty());
    let looks = |output: &Output| matches!(output, Output::Look { .. } | Output::Credit { .. });
    assert!(!pair.s.log.iter().any(looks), "nothing was looked at");
}

fn is_served(pair: &Pair) {
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete), "{}", pair.b.why());
}

#[test]
fn an_order_of_who_is_not_let_in_is_refused_before_anything_is_looked_at() {
    let us = key(2).public();
    let denies = Door { deny: vec![us], ..Door::default() };
    let allows_another = Door { allow: Some(vec![key(9).public()]), ..Door::default() };
    for door in [denies, allows_another] {
        for method in [Method::Transfer, Method::Escrow] {
            let mut pair = setting(door.clone(), method).start();
            pair.run();
            is_refused(&pair, "order_refused: this seller does not sell to the key");
            let asks = |output: &Output| matches!(output, Output::Admit { .. });
            assert!(!pair.s.log.iter().any(asks), "nobody was asked about it");
        }
    }
    let mut pair =
        setting(Door { allow: Some(vec![us]), ..Door::default() }, Method::Transfer).start();
    pair.run();
    is_served(&pair);
}

#[test]
fn a_buyer_that_never_paid_is_served_by_escrow_alone_where_the_seller_wants_that() {
    let mut pair = setting(by_escrow_first(), Method::Transfer).start();
    pair.run();
    is_refused(&pair, "credit: this seller serves who has never paid it by escrow alone");
    let mut pair = setting(by_escrow_first(), Method::Escrow).start();
    pair.run();
    is_served(&pair);
    let mut pair = setting(by_escrow_first(), Method::Transfer).start();
    pair.admits = Ok(known(0));
    pair.run();
    is_served(&pair);
}

#[test]
fn a_new_buyer_that_can_pay_by_escrow_too_orders_so_again() {
    let mut setting = setting(by_escrow_first(), Method::Transfer);
    setting.wish.currencies.push(pinned(Method::Escrow));
    let mut pair = setting.start();
    pair.run();
    let again = pair.b.again.as_ref().unwrap();
    assert!(again.currencies.iter().any(|ours| ours.method == Method::Escrow));
    let refused = ("SDP", Method::Transfer);
    assert!(again.currencies.iter().all(|ours| (ours.name.as_str(), ours.method) != refused));
}

#[test]
fn a_debtor_is_served_by_escrow_or_not_at_all_until_it_has_paid() {
    let strict = || Door { debtors: Debtors::Refuse, ..Door::default() };
    let told = |door: Door, method| {
        let mut pair = setting(door, method).start();
        pair.admits = Ok(known(20));
        pair.run();
        pair
    };
    is_refused(&told(lenient(), Method::Transfer), "credit: something is unpaid");
    is_served(&told(lenient(), Method::Escrow));
    for method in [Method::Transfer, Method::Escrow] {
        is_refused(&told(strict(), method), "order_refused: something is unpaid");
    }
    // What a part of a window costs nobody could pay: there is no invoice for it.
    for owed in [0, 19] {
        let mut pair = setting(strict(), Method::Transfer).start();
        pair.admits = Ok(known(owed));
        pair.run();
        is_served(&pair);
    }
}

#[test]
fn who_has_no_credit_gets_none_by_changing_the_currency_in_the_session() {
    let asks_leg = |standing: Standing| {
        let mut setting = setting(lenient(), Method::Escrow).windows(4, 2);
        setting.wish.currencies[0].channels.deposit = Amount::new(1_000);
        // The deposit is to grow in the second window, where that asks too much.
        setting.deposit = Amount::new(65);
        let mut pair = setting.start();
        pair.admits = Ok(standing);
        pair.run_to(6);
        pair.deposit = Amount::new(1_000);
        let trouble = Some(LegReason::Dear);
        pair.tell(Role::Buyer, Input::Ledger { ledger: ledger(), trouble });
        pair.run();
        pair.s.closed.as_ref().map_or_else(|| pair.seller.progress().legs, |closed| closed.2.legs)
    };
    assert_eq!(asks_leg(known(0)), 2);
    assert_eq!(asks_leg(known(20)), 1);
}

#[test]
fn where_there_is_no_room_for_a_session_the_seller_is_busy_and_says_until_when() {
    let mut pair = setting(Door::default(), Method::Transfer).start();
    pair.admits = Err("so many sessions are open: come again in 5 s".to_owned());
    pair.run();
    is_refused(&pair, "busy: so many sessions are open: come again in 5 s");
}
