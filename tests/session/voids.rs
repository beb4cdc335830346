//! Sellers of live sources that are killed and started again: what is lost with them is declared void, is
//! not billed, and nothing is ever signed twice for one place.

use crate::line::*;
use crate::pair::*;
use sdpp::message::{Amend, Change, reread};
use sdpp::record::{End, Record, SignedMessage};
use sdpp::session::Buyer;
use sdpp::terms::Void;
use sdpp_ledger::Amount;
use std::collections::BTreeMap;

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

fn setting(what: &str) -> Setting {
    settings().into_iter().find(|(one, _)| *one == what).unwrap().1
}

/// Lets so many things happen. Whether there were so many.
fn steps(wire: &mut Wire, count: usize) -> bool {
    (0..count).all(|_| wire.step())
}

/// What both have signed to be void, by a journal.
fn voids(records: &[Record]) -> Vec<(Void, u64)> {
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
fn is_given(wire: &Wire, items: u64, price: u128) {
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
    if ours.owed != Amount::ZERO && !matches!(s.records.first(), Some(Record::Voucher { .. })) {
        let by_transfer = wire.pair.transferred();
        assert!(by_transfer == Amount::ZERO || by_transfer == ours.owed, "{by_transfer}");
    }
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

/// The changes that a side's journal has of another, in their order.
pub fn changes(records: &[Record]) -> Vec<(u64, Change)> {
    let of = |record: &Record| match record {
        Record::Amend { by: sdpp::terms::Role::Seller, message } => {
            let amend: Amend = reread::<Amend>(message as &SignedMessage).unwrap();
            Some((amend.from_seq, amend.change))
        }
        _ => None,
    };
    records.iter().filter_map(of).collect()
}
