//! Paces: windows change their size, and how many may be unpaid, once both sides have signed it.

use crate::amends::{agreed_by, grant, setting, settings};
use crate::liars::{ends_with, lie_in};
use crate::pair::*;
use sdpp::message::{Amend, DataInvoice, PaceReason};
use sdpp::record::{End, Record};
use sdpp::session::PaceRule;
use sdpp::terms::Pace;
use sdpp_ledger::Amount;
use serde_json::json;

fn pace(granularity: u32, credit_windows: u32) -> Pace {
    Pace { granularity, credit_windows }
}

fn change(pair: &mut Pair, to: Pace) {
    pair.seller.change_pace(to, PaceReason::Earned, pair.now_ms).unwrap();
}

/// First and last item of each window, and the pace that its invoice names.
fn windows(pair: &Pair) -> Vec<(u64, u64, Option<u64>)> {
    let invoices = sent(&pair.s).into_iter().filter(|m| m["message_type"] == "data_invoice");
    let of = |m: serde_json::Value| {
        let invoice = &m["data"]["invoice"];
        let pace = invoice["pace"]["granularity"].as_u64();
        (invoice["from"].as_u64().unwrap(), invoice["to"].as_u64().unwrap(), pace)
    };
    invoices.map(of).collect()
}

fn items_sent(pair: &Pair) -> u64 {
    pair.seller.progress().items
}

#[test]
fn windows_are_of_another_size_from_the_next_one_on_however_they_are_paid() {
    for setting in settings() {
        let mut pair = setting.start();
        pair.run_to(6);
        change(&mut pair, pace(3, 2));
        pair.run();
        assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
        let (last_old, first_new) = windows(&pair)
            .windows(2)
            .find_map(|two| two[1].2.is_some().then_some((two[0], two[1])))
            .expect("windows changed");
        assert_eq!((last_old.1 + 1, last_old.2), (first_new.0, None));
        assert_eq!((first_new.1 + 1 - first_new.0, first_new.2), (3, Some(3)));
        assert_eq!(windows(&pair).last().unwrap().1, 24);
        assert_eq!(pair.s.progress().paid, Amount::new(120));
        let terms = pair.s.records.iter().any(|r| matches!(r, Record::Amend { .. }));
        assert!(terms && pair.b.progress().paid == Amount::new(120));
    }
}

#[test]
fn both_journals_tell_the_same_pace_for_every_item() {
    let mut pair = setting().start();
    pair.run_to(5);
    change(&mut pair, pace(2, 3));
    pair.run_to(12);
    let terms = pair.buyer.terms().unwrap().clone();
    let (ours, theirs) = (agreed_by(&pair.s.records, &terms), agreed_by(&pair.b.records, &terms));
    assert_eq!(ours, theirs);
    assert_eq!((ours.pace(8), ours.pace(9)), (pace(4, 1), pace(2, 3)));
}

#[test]
fn no_item_of_the_next_window_leaves_before_the_buyers_answer() {
    let mut pair = setting().windows(4, 4).start();
    pair.run_to(6);
    while pair.drain_outputs(Role::Seller) || pair.carry(Role::Seller) {}
    while pair.drain_outputs(Role::Buyer) || pair.carry(Role::Buyer) {}
    pair.muted = Some(Role::Buyer);
    change(&mut pair, pace(2, 1));
    pair.run();
    assert_eq!(items_sent(&pair), 8);
    pair.muted = None;
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    assert_eq!(windows(&pair)[2], (9, 10, Some(2)));
}

#[test]
fn a_buyer_that_does_not_answer_ends_the_session() {
    let mut pair = setting().by_escrow().windows(4, 4).start();
    pair.run_to(8);
    while pair.drain_outputs(Role::Seller) || pair.carry(Role::Seller) {}
    while pair.drain_outputs(Role::Buyer) || pair.carry(Role::Buyer) {}
    pair.muted = Some(Role::Buyer);
    change(&mut pair, pace(2, 1));
    pair.run().wait();
    assert_eq!(pair.s.why(), "a change of pace is out, and the buyer does not answer it");
}

#[test]
fn what_the_buyer_cannot_take_it_refuses_and_the_session_goes_on() {
    let by_leaves = {
        let mut setting = setting();
        setting.buyer.granularity_max = 5;
        (setting, pace(6, 1))
    };
    let by_ceiling = {
        let mut setting = setting().order("co2", None);
        setting.wish.max_total = Some(Amount::new(120));
        (setting, pace(20, 1))
    };
    let by_room = {
        let mut setting = setting().by_escrow();
        setting.deposit = Amount::new(5 * 20);
        (setting.order("co2", None), pace(20, 1))
    };
    for (setting, to) in [by_leaves, by_ceiling, by_room] {
        let mut pair = setting.start();
        pair.source = Some(16);
        pair.run_to(6);
        change(&mut pair, to);
        pair.run();
        assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
        assert!(types(&pair.b).contains(&"amend".to_owned()), "it answers");
        assert!(windows(&pair).iter().all(|(_, _, pace)| pace.is_none()), "{:?}", windows(&pair));
    }
}

/// A rule that grows what a buyer may owe with what it has paid.
fn earned() -> PaceRule {
    PaceRule::new(|facts| {
        let windows = u32::try_from(facts.settled.units() / 20).unwrap();
        (windows > facts.pace.credit_windows)
            .then_some((pace(facts.pace.granularity, windows), PaceReason::Earned))
    })
}

#[test]
fn our_own_rule_is_asked_at_each_closed_window() {
    let mut setting = setting().by_escrow();
    setting.seller.pace = Some(earned());
    let mut pair = setting.start();
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    let invoices = sent(&pair.s).into_iter().filter(|m| m["message_type"] == "data_invoice");
    let paces: Vec<u64> =
        invoices.filter_map(|m| m["data"]["invoice"]["pace"]["credit_windows"].as_u64()).collect();
    assert!(paces.is_sorted() && paces.last() > Some(&2), "{paces:?}");
    let why = |m: serde_json::Value| m["data"]["invoice"]["pace"]["why"].clone();
    let last = sent(&pair.s).into_iter().rfind(|m| m["message_type"] == "data_invoice");
    assert_eq!(last.map(why), Some(json!("earned")));
}

#[test]
fn our_own_rule_does_not_ask_again_for_what_was_refused() {
    let mut setting = setting().by_escrow();
    setting.buyer.granularity_max = 4;
    let wants = |_: &sdpp::terms::PaceFacts| Some((pace(5, 1), PaceReason::Earned));
    setting.seller.pace = Some(PaceRule::new(wants));
    let mut pair = setting.start();
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    let amends = types(&pair.s).into_iter().filter(|kind| kind == "amend").count();
    assert_eq!(amends, 1);
}

#[test]
fn a_pace_and_a_credit_take_turns() {
    let mut pair = setting().windows(4, 2).start();
    pair.run_to(5);
    change(&mut pair, pace(3, 1));
    pair.seller.credit(grant(&[1], Some(7)), pair.now_ms).unwrap();
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    assert_eq!(pair.s.progress().paid, Amount::new(113));
    assert!(windows(&pair).iter().any(|(from, to, k)| (to + 1 - from, *k) == (3, Some(3))));
}

#[test]
fn a_pace_that_does_not_fit_is_not_signed() {
    type Case = (fn(&mut serde_json::Value), &'static str);
    let cases: [Case; 5] = [
        (|m| m["from_seq"] = json!(7), "item 7 does not begin the next window"),
        (|m| m["from_seq"] = json!(13), "item 13 does not begin the next window"),
        (|m| m["number"] = json!(2), "the seller's amend 2 comes where 1 is due"),
        (|m| m["change"]["pace"]["granularity"] = json!(0), "K or W is zero"),
        (|m| m["change"]["pace"]["credit_windows"] = json!(1_000_000), "1000000 at most"),
    ];
    for (lie, says) in cases {
        let mut pair = setting().windows(4, 4).start();
        pair.run_to(6);
        change(&mut pair, pace(2, 1));
        lie_in::<Amend>(&mut pair, Role::Seller, lie);
        ends_with(&mut pair, Role::Seller, "bad_amend", says);
        assert!(!types(&pair.b).contains(&"amend".to_owned()), "{says}");
    }
}

#[test]
fn an_invoice_that_names_another_pace_is_refused() {
    for lie in
        [json!(null), json!({"amend": 1, "granularity": 2, "credit_windows": 9, "why": "earned"})]
    {
        let mut pair = setting().start();
        pair.run_to(6);
        change(&mut pair, pace(2, 2));
        while pair.b.delivered.len() < 9 {
            assert!(pair.step());
        }
        lie_in::<DataInvoice>(&mut pair, Role::Seller, |m| m["invoice"]["pace"] = lie.clone());
        ends_with(&mut pair, Role::Seller, "bad_invoice", "its pace");
    }
}
