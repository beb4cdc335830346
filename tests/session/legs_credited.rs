//! What is credited where legs follow each other: of the leg that is on alone, and at what its items cost.

use crate::amends::{agreed_by, grant};
use crate::legs::*;
use crate::line::*;
use crate::pair::*;
use sdpp::message::LegReason;
use sdpp::record::{End, Record};
use sdpp::session::{Answer, Input, Offer};
use sdpp_ledger::Amount;
use std::sync::Arc;

#[test]
fn only_the_leg_that_is_on_is_credited() {
    let mut pair = by_transfer().windows(4, 2).start();
    pair.run_to(6);
    pair.tell(Role::Buyer, Input::Ledger { ledger: ledger(), trouble: Some(LegReason::Dear) });
    pair.run_to(14);
    let why = pair.seller.credit(grant(&[3], None), pair.now_ms).unwrap_err();
    assert!(why.contains("earlier leg"), "{why}");
    pair.seller.credit(grant(&[13], Some(4)), pair.now_ms).unwrap();
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    let first: u128 = exits(&pair)[0]["legs"][0]["amount_total"].as_str().unwrap().parse().unwrap();
    assert_eq!(invoices(&pair).pop().unwrap().3, (120 - first) * 7 / 3 - 4);
}

/// What a note has made free in the leg that is on is not free in the next.
#[test]
fn a_leg_is_borne_as_far_as_it_costs_itself() {
    for credit in [None, Some(100)] {
        let mut setting = by_transfer().order("co2", None).windows(4, 1);
        // 4 items on credit cost 46 OTH.
        setting.wish.currencies[1].max_total = Some(Amount::new(100));
        let mut pair = setting.start();
        pair.run_to(30);
        let note = credit.map(|_| pair.seller.credit(grant(&[1], credit), pair.now_ms));
        assert!(note.is_none_or(|note| note.is_ok()));
        pair.run_to(33);
        pair.tell(Role::Buyer, Input::Ledger { ledger: ledger(), trouble: Some(LegReason::Dear) });
        pair.run_to(38);
        assert_eq!((changes(&pair.b, "ask_leg"), changes(&pair.b, "leg")), (1, 1), "{credit:?}");
    }
}

/// A buyer may turn to another currency and back as often as it likes.
#[test]
fn what_is_credited_without_a_person_is_counted_over_all_legs_of_a_currency() {
    let mut setting = by_transfer().order("co2", Some(60)).windows(4, 2);
    setting.seller.credit_up_to = [("SDP".to_owned(), Amount::new(5))].into();
    let mut pair = setting.start();
    let mut answers = Vec::new();
    let both = [(ledger(), other_ledger()), (other_ledger(), ledger())];
    for (on, other) in [both.clone(), both].concat() {
        let last = pair.b.delivered.len() as u64;
        pair.run_to(last + 9);
        if on == ledger() {
            let invoiced = pair.b.records.iter().rev().find_map(|record| match record {
                Record::Invoice { to_seq, .. } => Some(*to_seq),
                _ => None,
            });
            let asked = pair.buyer.ask(complaint(&pair, invoiced.unwrap())).unwrap();
            pair.run_to(last + 14);
            answers.push(pair.buyer.answer(asked));
        }
        pair.tell(Role::Buyer, Input::Ledger { ledger: other, trouble: None });
        let trouble = Some(LegReason::Dear);
        pair.tell(Role::Buyer, Input::Ledger { ledger: on, trouble });
    }
    assert!(matches!(answers[..], [Some(Answer::Credited { .. }), None]), "{answers:?}");
    let terms = pair.buyer.terms().unwrap().clone();
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    let agreed = agreed_by(&pair.s.records, &terms);
    assert!(agreed.legs().filter(|leg| leg.currency.name == "SDP").count() >= 2);
    let credited: u128 = agreed.legs().map(|leg| leg.credited().units()).sum();
    assert_eq!(credited, 5);
}

/// What is asked for in one currency is not granted in another, by nobody: also not by a seller that was
/// started again and allows more.
#[test]
fn a_leg_that_is_over_has_its_requests_refused() {
    for killed in [false, true] {
        let mut wire = Wire::new(by_transfer().windows(4, 1));
        wire.run_to(5);
        let asked = wire.pair.buyer.ask(complaint(&wire.pair, 2)).unwrap();
        while wire.pair.seller.asks().is_empty() {
            assert!(wire.step());
        }
        let trouble = Some(LegReason::Dear);
        wire.pair.tell(Role::Buyer, Input::Ledger { ledger: ledger(), trouble });
        let is_signed = |record: &Record| matches!(record, Record::Priced(leg) if leg.from_seq > 1);
        while !wire.pair.s.records.iter().any(is_signed) {
            assert!(wire.step());
        }
        if killed {
            // The last that it wrote is the buyer's signature under the leg.
            let at = wire.pair.s.records.iter().position(is_signed).unwrap();
            wire.pair.s.records.truncate(at);
            let mut policy = wire.pair.offer.policy.clone();
            policy.credit_up_to =
                ["SDP", "OTH"].map(|name| (name.to_owned(), Amount::new(9))).into();
            let (key, menu) = (wire.pair.offer.key.clone(), wire.pair.offer.menu.clone());
            wire.pair.offer = Arc::new(Offer { key, menu, policy });
            wire.restart(true).unwrap();
        }
        wire.run_to(14);
        let refused = Some(Answer::Refused("it is of an earlier leg".to_owned()));
        assert_eq!(wire.pair.buyer.answer(asked), refused, "killed: {killed}");
        let terms = wire.pair.buyer.terms().unwrap().clone();
        wire.finish();
        let agreed = agreed_by(&wire.pair.s.records, &terms);
        assert!(agreed.legs().all(|leg| leg.credited() == Amount::ZERO), "killed: {killed}");
        assert_eq!(agreed_by(&wire.pair.b.records, &terms), agreed);
    }
}

/// What the leg before rounded off is asked for with a leg's first item, and is no part of what that costs.
#[test]
fn the_first_item_of_a_leg_is_credited_at_what_it_costs_itself() {
    for nth in [0, 1] {
        let mut setting = by_transfer().windows(4, 2);
        setting.menu.currencies_accepted[0].rate = rate(1, 9);
        let mut pair = setting.start();
        pair.run_to(6);
        pair.tell(Role::Buyer, Input::Ledger { ledger: ledger(), trouble: Some(LegReason::Dear) });
        pair.run_to(12);
        pair.seller.credit(grant(&[9 + nth], None), pair.now_ms).unwrap();
        let terms = pair.buyer.terms().unwrap().clone();
        pair.run();
        let leg = agreed_by(&pair.s.records, &terms).last_leg().clone();
        assert_eq!(leg.from_seq, 9);
        // 5 at 7 for 3 are 11 or 12; 4 were taken over, which are 9.
        assert!((11..=12).contains(&leg.credited().units()), "{}", leg.credited());
    }
}
