//! Sellers of live sources that are killed and started again: what is lost with them is declared void, is
//! not billed, and nothing is ever signed twice for one place.

use crate::amends::agreed_by;
use crate::cuts::{chances, run};
use crate::killed_buyer::Killable;
use crate::line::*;
use crate::pair::*;
use proptest::prelude::*;
use sdpp::message::{Amend, Change, Draft, LegReason, Refused, VoidChange, reread};
use sdpp::record::{End, Record};
use sdpp::session::{Buyer, Input, Output, Restart, Seller};
use sdpp::terms::{Method, Void};
use sdpp_ledger::Amount;
use std::collections::BTreeMap;
use zeroize::Zeroizing;

pub fn settings() -> Vec<(&'static str, Setting)> {
    let base = || Setting::default().order("co2", Some(10)).windows(3, 2);
    vec![
        ("transfer", base()),
        ("transfer, one item to a window", base().windows(1, 1)),
        ("transfer, the order as one window", base().windows(12, 1)),
        ("transfer, anchors after", base().anchored_after()),
        ("transfer under MACs", base().under_mac().anchored_after()),
        ("escrow", base().by_escrow().no_records()),
        ("escrow under MACs", base().by_escrow().under_mac().anchored_after()),
    ]
}

pub fn setting(what: &str) -> Setting {
    settings().into_iter().find(|(one, _)| *one == what).unwrap().1
}

/// Lets so many things happen. Whether there were so many.
pub fn steps(wire: &mut Wire, count: usize) -> bool {
    (0..count).all(|_| wire.step())
}

/// What both have signed to be void, by a journal.
pub fn voids(records: &[Record]) -> Vec<(Void, u64)> {
    Buyer::voids_of(records)
}

/// No place ever had two items, whatever left over whichever line.
fn no_place_is_signed_twice(wire: &Wire) {
    let mut leaves: BTreeMap<u64, String> = BTreeMap::new();
    for message in sent(&wire.pair.s) {
        let (seq, leaf) = (message["data"]["seq"].as_u64(), &message["data"]["leaf"]);
        if let (Some(seq), Some(leaf)) = (seq, leaf.as_str()) {
            let first = leaves.entry(seq).or_insert_with(|| leaf.to_owned());
            assert_eq!(first, leaf, "place {seq} has two items");
        }
    }
}

/// As many items as were ordered came that are billed, each once, and what they cost is paid.
pub fn is_given(wire: &Wire, items: u64, price: u128) {
    no_place_is_signed_twice(wire);
    let Pair { s, b, .. } = &wire.pair;
    assert_eq!((s.end(), b.end()), (End::Complete, End::Complete), "{} / {}", s.why(), b.why());
    let [ours, theirs] = [s, b].map(|side| side.progress());
    assert_eq!((ours.items, theirs.items, ours.void), (items, items, theirs.void));
    assert_eq!((ours.owed, theirs.owed), (Amount::new(u128::from(items) * price), ours.owed));
    assert_eq!(theirs.paid, theirs.owed);
    assert!(ours.paid >= ours.owed);
    let voids = voids(&b.records);
    assert_eq!(voids.iter().map(|(void, _)| void.places()).sum::<u64>(), ours.void);
    // What came of a void stays where it is, and nothing of it comes later.
    let delivered: u64 = voids.iter().map(|(_, delivered)| delivered).sum();
    assert_eq!(b.delivered.len() as u64, items + delivered);
    assert!(b.delivered.is_sorted_by(|one, next| one.0 < next.0 && one.1 != next.1));
    let by_transfer = wire.pair.transferred();
    assert!(by_transfer == Amount::ZERO || by_transfer == ours.owed, "{by_transfer}");
}

#[test]
fn a_live_source_goes_on_after_any_step_and_what_is_lost_is_void() {
    for (what, _) in settings() {
        let (mut killed, mut voided) = (0, 0);
        for at in 0..400 {
            let mut wire = Wire::new(setting(what));
            if !steps(&mut wire, at) {
                break;
            }
            if wire.pair.buyer.terms().is_none() || wire.pair.s.closed.is_some() {
                continue;
            }
            println!("{what}: killed after step {at}");
            wire.restart(false).unwrap();
            wire.finish();
            is_given(&wire, 10, 5);
            killed += 1;
            voided += usize::from(wire.pair.s.progress().void > 0);
        }
        println!("{what}: {killed} killed, {voided} with a void");
        assert!(killed > 20 && voided > 0, "{what}: {killed} killed, {voided} with a void");
    }
}

#[test]
fn a_live_source_goes_on_however_often_its_seller_is_killed() {
    for (what, _) in settings() {
        for at in (0..100).step_by(7) {
            for then in [1, 2, 3, 5, 8, 14] {
                let mut wire = Wire::new(setting(what));
                if !steps(&mut wire, at) || wire.pair.buyer.terms().is_none() {
                    continue;
                }
                println!("{what}: killed after step {at} and each {then} steps after that");
                for _ in 0..4 {
                    if wire.pair.s.closed.is_none() {
                        wire.restart(false).unwrap();
                    }
                    steps(&mut wire, then);
                }
                wire.finish();
                is_given(&wire, 10, 5);
            }
        }
    }
}

/// The line breaks while the void is out, for both or for one of them first.
#[test]
fn a_void_outlives_lines_that_break() {
    for (what, _) in settings() {
        for at in (0..100).step_by(9) {
            for then in [0, 1, 2, 3, 4, 6, 9, 13] {
                for how in [(at + then) % 3] {
                    let mut wire = Wire::new(setting(what));
                    if !steps(&mut wire, at) || wire.pair.buyer.terms().is_none() {
                        continue;
                    }
                    println!("{what}: killed after step {at}, cut {then} steps later, way {how}");
                    if wire.pair.s.closed.is_none() {
                        wire.restart(false).unwrap();
                    }
                    steps(&mut wire, then);
                    match how {
                        0 => wire.cut(),
                        1 => wire.hang_up(Role::Buyer),
                        _ => wire.hang_up(Role::Seller),
                    }
                    wire.finish();
                    is_given(&wire, 10, 5);
                }
            }
        }
    }
}

/// Both are killed, the buyer again and again: what it has forgotten it may say that it lacks.
#[test]
fn a_void_outlives_buyers_that_are_killed() {
    for (what, _) in settings() {
        for at in (8..90).step_by(9) {
            for then in [0, 1, 2, 3, 5, 8] {
                let mut killable = Killable::new(setting(what));
                if !steps(&mut killable.wire, at) || !killable.has_key() {
                    continue;
                }
                println!("{what}: killed after step {at}, the buyer {then} steps after that");
                if killable.wire.pair.s.closed.is_none() {
                    killable.wire.restart(false).unwrap();
                }
                let is_written = (at + then) % 2 == 0;
                for _ in 0..3 {
                    steps(&mut killable.wire, then);
                    killable.kill(is_written, true);
                }
                killable.wire.finish();
                is_given(&killable.wire, 10, 5);
            }
        }
    }
}

/// The live process of a seller believes no buyer that says it lacks something.
/// Where a leg's first items are void, whoever watches is told of it with the first that it gives.
#[test]
fn a_leg_whose_first_items_are_void_is_told_of() {
    let mut voided = 0;
    for at in 40..70 {
        let mut wire = Wire::new(crate::legs::setting(Method::Transfer, Method::Transfer));
        assert!(steps(&mut wire, 30));
        let trouble = Some(LegReason::Dear);
        wire.pair.tell(Role::Buyer, Input::Ledger { ledger: ledger(), trouble });
        steps(&mut wire, at - 30);
        wire.restart(false).unwrap();
        let terms = wire.pair.buyer.terms().unwrap().clone();
        wire.finish();
        let agreed = agreed_by(&wire.pair.b.records, &terms);
        let first = agreed.legs().last().unwrap().from_seq;
        voided += usize::from(agreed.is_void(first));
        let told = wire.pair.b.log.iter().filter_map(|output| match output {
            Output::Paying(paying) => Some(paying.currency.as_str()),
            _ => None,
        });
        let mut told: Vec<_> = told.collect();
        // Where the leg's first item came, and is void since, it is told of again.
        told.dedup();
        let legs: Vec<_> = agreed.legs().map(|leg| leg.currency.name.as_str()).collect();
        assert_eq!(told, legs, "killed after {at} steps");
    }
    assert!(voided > 0);
}

#[test]
fn only_what_an_earlier_process_sent_can_be_void() {
    let mut wire = Wire::new(setting("transfer"));
    wire.run_to(4);
    let restart = |may_void| Restart {
        rereads: false,
        may_void,
        session_key: Zeroizing::new([7; 32]),
        domains: BTreeMap::new(),
        standing: None,
    };
    let rebuilt = |may_void| {
        let Pair { offer, s, now_ms, .. } = &wire.pair;
        Seller::rebuilt(offer, &s.records, restart(may_void), *now_ms)
    };
    assert!(rebuilt(false).unwrap_err().contains("live"));
    assert!(rebuilt(true).is_ok());
}

/// The buyer's session as it is when its seller was killed after so many items, and it is back: with the
/// void on its way that the seller proposes.
pub fn proposed() -> Wire {
    let mut wire = Wire::new(setting("transfer"));
    wire.run_to(5);
    wire.restart(false).unwrap();
    while changes(&wire.pair.s.records).is_empty() {
        assert!(wire.step());
    }
    while wire.pair.drain_outputs(Role::Seller) {}
    let said: Vec<u8> = wire.pair.s.wire.drain(..).collect();
    for line in said.split_inclusive(|byte| *byte == b'\n') {
        if !String::from_utf8_lossy(line).contains("\"void\"") {
            wire.pair.tell(Role::Buyer, Input::Read(line));
        }
    }
    while wire.pair.drain_outputs(Role::Buyer) {}
    wire
}

/// A seller's void as its own key signs it.
fn signed(wire: &Wire, number: u64, from_seq: u64, to_seq: u64) -> Vec<u8> {
    let change = Change::Void(VoidChange { to_seq });
    let by = sdpp::terms::Role::Seller;
    let draft = Draft::new(wire.pair.b.session.unwrap(), &Amend { number, by, from_seq, change });
    draft.sign(&key(1), "").1
}

#[test]
fn a_void_that_cannot_be_what_was_lost_is_refused_and_nobody_is_to_blame() {
    let is_at = proposed();
    let (from_seq, change) = changes(&is_at.pair.s.records).remove(0);
    assert_eq!((from_seq, change), (7, Change::Void(VoidChange { to_seq: 9 })));
    let cases = [
        (7, 8, "ends no window"),
        (8, 9, "would be void"),
        (1, 9, "would be void"),
        (10, 12, "would be void"),
        (7, 24, "more than can have left"),
    ];
    for (from_seq, to_seq, says) in cases {
        let mut wire = proposed();
        let void = signed(&wire, 1, from_seq, to_seq);
        wire.pair.tell(Role::Buyer, Input::Read(&void));
        while wire.pair.drain_outputs(Role::Buyer) {}
        let answer = sent(&wire.pair.b).pop().unwrap();
        let why = answer["data"]["change"]["refused"]["why"].as_str().unwrap().to_owned();
        assert!(why.contains(says), "{from_seq} to {to_seq}: {why}");
        assert!(wire.pair.b.closed.is_none(), "it goes on, and waits for what fits");
    }
    // Nothing was lost where the connection never broke.
    let mut wire = Wire::new(setting("transfer"));
    wire.run_to(5);
    let void = signed(&wire, 1, 4, 6);
    wire.pair.tell(Role::Buyer, Input::Read(&void));
    while wire.pair.drain_outputs(Role::Buyer) {}
    let answer = sent(&wire.pair.b).pop().unwrap();
    let why = answer["data"]["change"]["refused"]["why"].as_str().unwrap().to_owned();
    assert!(why.contains("nothing was lost"), "{why}");
}

#[test]
fn a_void_that_is_refused_ends_the_session_which_is_settled() {
    let mut wire = proposed();
    let (from_seq, by) = (7, sdpp::terms::Role::Seller);
    let change = Change::Refused(Refused { why: "no".to_owned() });
    let refusal = Amend { number: 1, by, from_seq, change };
    let refusal = Draft::new(wire.pair.b.session.unwrap(), &refusal).sign(&key(2), "").1;
    wire.pair.tell(Role::Seller, Input::Read(&refusal));
    wire.finish();
    let (s, b) = (&wire.pair.s, &wire.pair.b);
    assert_eq!((s.end(), s.progress().void), (End::Failed, 0), "{}", s.why());
    assert!(s.why().contains("the buyer does not sign"), "{}", s.why());
    assert_ne!(b.end(), End::Misconduct);
    assert!(matches!(s.records.last(), Some(Record::Ended { .. })));
}

/// Vouchers for what is void stay with the seller, and later items are billed against them.
#[test]
fn money_for_what_is_void_pays_for_what_follows() {
    let mut wire = Wire::new(setting("escrow"));
    wire.run_to(5);
    while wire.step() && wire.pair.seller.progress().paid < Amount::new(25) {}
    wire.restart(false).unwrap();
    wire.finish();
    is_given(&wire, 10, 5);
    assert!(wire.pair.s.progress().void > 0);
}

/// The changes that a side's journal has of the seller's, in their order.
pub fn changes(records: &[Record]) -> Vec<(u64, Change)> {
    let of = |record: &Record| match record {
        Record::Amend { by: sdpp::terms::Role::Seller, message } => {
            let amend: Amend = reread(message).unwrap();
            Some((amend.from_seq, amend.change))
        }
        _ => None,
    };
    records.iter().filter_map(of).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Credit notes, complaints and paces on their way, lines that break, ledgers that are away.
    #[test]
    fn live_sources_go_on_whatever_was_under_way(mut chance in chances(12)) {
        chance.live = true;
        let wire = run(&chance);
        let Pair { s, b, .. } = &wire.pair;
        no_place_is_signed_twice(&wire);
        if s.end() == End::Complete && b.why().contains("order_refused") {
            // Behind the seller's exit nothing changes: what its buyer lacks of the end was free.
            return Ok(());
        }
        let ends = (s.end(), b.end());
        prop_assert_eq!(ends, (End::Complete, End::Complete), "{} / {}", s.why(), b.why());
        let [ours, theirs] = [s, b].map(|side| side.progress());
        prop_assert_eq!((ours.items, theirs.items), (chance.quantity, chance.quantity));
        prop_assert_eq!((ours.owed, ours.void), (theirs.owed, theirs.void));
        prop_assert!(ours.paid >= ours.owed && theirs.paid == theirs.owed);
    }
}

/// A buyer that wants no more says so, and its seller is killed before, while or after it does.
#[test]
fn a_buyer_that_leaves_signs_what_is_void_and_pays_what_is_not() {
    for (what, _) in settings() {
        for at in (4..80).step_by(5) {
            for then in [0, 1, 2, 4, 7] {
                let mut wire = Wire::new(setting(what));
                if !steps(&mut wire, at) || wire.pair.buyer.terms().is_none() {
                    continue;
                }
                println!(
                    "{what}: the buyer stops after step {at}, the seller {then} steps after that"
                );
                wire.pair.tell(Role::Buyer, Input::Stop(sdpp::message::Reason::Stopped));
                steps(&mut wire, then);
                let has_end = |record: &Record| matches!(record, Record::Ended { .. });
                if !wire.pair.s.records.iter().any(has_end) {
                    wire.restart(false).unwrap();
                }
                wire.finish();
                no_place_is_signed_twice(&wire);
                let Pair { s, b, .. } = &wire.pair;
                // One that is killed behind its exit may not hear what became of the last payment.
                assert!(matches!(s.end(), End::Complete | End::Outstanding), "{}", s.why());
                assert_eq!(b.end(), End::Complete, "{}", b.why());
                let [ours, theirs] = [s, b].map(|side| side.progress());
                assert_eq!((ours.items, ours.void), (theirs.items, theirs.void));
                assert_eq!((ours.owed, theirs.paid), (theirs.owed, theirs.owed));
            }
        }
    }
}
