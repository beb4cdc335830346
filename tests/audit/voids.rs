//! Books of sessions whose seller lost items with its process: what is void is owed by nobody, and
//! nothing is wrong.

use super::*;
use crate::line::Wire;

fn settings() -> Vec<(&'static str, Setting)> {
    let base = || Setting::default().order("co2", Some(10)).windows(3, 2);
    vec![
        ("transfer", base()),
        ("transfer, anchors after", base().anchored_after()),
        ("transfer under MACs", base().under_mac().anchored_after()),
        ("escrow", base().by_escrow()),
        ("escrow under MACs", base().by_escrow().under_mac().windows(4, 1)),
    ]
}

#[test]
fn books_with_a_void_are_stated_in_full_and_nothing_is_wrong() {
    for (what, _) in settings() {
        let mut voided = 0;
        for at in (0..120).step_by(3) {
            let setting = settings().into_iter().find(|(one, _)| *one == what).unwrap().1;
            let mut wire = Wire::new(setting);
            if !(0..at).all(|_| wire.step()) || wire.pair.buyer.terms().is_none() {
                continue;
            }
            if wire.pair.s.closed.is_some() {
                break;
            }
            println!("{what}: killed after step {at}");
            wire.restart(false).unwrap();
            wire.finish();
            let void = wire.pair.s.progress().void;
            for (owner, book) in both(&wire.pair) {
                let report = audit(&owner, &book);
                assert_eq!(report.problems, []);
                let one = &report.statements[0];
                assert_eq!(one.state, State::Ended(End::Complete));
                let places = one.voids.iter().map(|void| void.places()).sum::<u64>();
                assert_eq!((one.items_delivered, places), (10, void));
                assert_eq!(
                    (one.last.invoiced, one.last.outstanding),
                    (Amount::new(50), Amount::ZERO)
                );
                let items: u64 = one.last.invoices.iter().map(|invoice| invoice.items).sum();
                assert_eq!((items, one.last.invoices.len() as u64), (10, one.windows));
                let (recomputed, unrated) = (one.windows_recomputed, one.unrated);
                assert_eq!(
                    (recomputed, unrated),
                    (one.windows, 0),
                    "what is withdrawn counts in none"
                );
            }
            voided += usize::from(void > 0);
        }
        assert!(voided > 3, "{what}: {voided} with a void");
    }
}

/// By the seller's own book alone, before the buyer has signed: a word of the seller's changes nothing.
#[test]
fn a_void_that_the_buyer_did_not_sign_changes_nothing() {
    let mut wire = Wire::new(Setting::default().order("co2", Some(10)).windows(3, 2));
    wire.run_to(5);
    wire.restart(false).unwrap();
    let is_amend = |record: &Record| matches!(record, Record::Amend { .. });
    while !wire.pair.s.records.iter().any(is_amend) {
        assert!(wire.step());
    }
    let invoiced = |pair: &Pair| {
        let report = audit(&seller(), &Book::of(&pair.s, seller()));
        assert_eq!(report.problems, []);
        let one = &report.statements[0];
        assert!(one.voids.is_empty());
        (one.items_delivered, one.last.invoiced)
    };
    assert_eq!(invoiced(&wire.pair), (6, Amount::new(30)));
}
