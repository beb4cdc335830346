//! Payments of several windows: what both sides' books say of them, to the unit.

use crate::lies::{lie, sign_again};
use crate::pair::{self, Pair, Setting, key};
use crate::{Book, audit, both, buyer, seller};
use sdpp::audit::{State, Statement};
use sdpp::journal::Entry;
use sdpp::record::{Act, End, Record};
use sdpp::session::Input;
use sdpp::settling::Policy;
use sdpp_ledger::{Amount, Call, PublicKey};
use serde_json::json;

/// Six windows of 10, four of which may be unpaid, paid as late as can be.
fn setting(quantity: Option<u64>) -> Setting {
    let exposure = Some(Amount::new(1_000_000));
    let setting = Setting::default().anchored_after().no_records().order("co2", quantity);
    setting.windows(2, 4).together(Policy { exposure, ..Policy::default() })
}

fn paid_together() -> Pair {
    let mut pair = setting(Some(12)).start();
    pair.run();
    pair
}

fn journal(owner: PublicKey) -> (PublicKey, Vec<Entry>) {
    both(&paid_together()).into_iter().find(|(side, _)| *side == owner).unwrap()
}

fn only(owner: &PublicKey, entries: &[Entry]) -> Statement {
    let report = audit(owner, entries);
    assert_eq!(report.problems, []);
    report.statements.into_iter().next().unwrap()
}

/// Windows, and what was invoiced, paid, settled and is outstanding.
fn figures(one: &Statement) -> (u64, [u128; 4]) {
    let last = &one.last;
    let amounts = [last.invoiced, last.paid, last.settled, last.outstanding];
    (one.windows, amounts.map(Amount::units))
}

#[test]
fn a_payment_of_several_windows_is_one_line_of_all_their_items() {
    for (owner, entries) in both(&paid_together()) {
        let one = only(&owner, &entries);
        assert_eq!(figures(&one), (6, [60, 60, 60, 0]));
        assert_eq!(one.state, State::Ended(End::Complete));
        let lines: Vec<_> = one.payments().iter().map(|p| (p.items, p.amount.units())).collect();
        assert_eq!(lines, [(6, 30), (6, 30)]);
        assert_eq!(one.checks().count(), 2, "and a ledger is asked for each");
    }
}

#[test]
fn every_beginning_of_a_journal_with_such_payments_is_honest() {
    for (owner, entries) in both(&paid_together()) {
        for end in 0..=entries.len() {
            assert_eq!(audit(&owner, &entries[..end]).problems, [], "after {end}");
        }
    }
}

#[test]
fn a_session_that_breaks_with_several_unpaid_windows_leaves_both_books_alike() {
    for items in 1..16 {
        let mut pair = setting(None).start();
        pair.run_to(items).run_without_feeding();
        pair.tell(pair::Role::Seller, Input::Hangup);
        pair.tell(pair::Role::Buyer, Input::Hangup);
        pair.run();
        let [sold, bought] = both(&pair).map(|(owner, entries)| only(&owner, &entries));
        assert_eq!(figures(&sold), figures(&bought), "{items}");
        let (windows, [invoiced, _, settled, outstanding]) = figures(&sold);
        assert_eq!((invoiced, settled + outstanding), (u128::from(windows) * 10, invoiced));
        assert!(outstanding <= 40, "W windows at the most");
    }
}

#[test]
fn a_payment_of_several_windows_that_is_refused_leaves_all_of_them_outstanding() {
    for (owner, mut entries) in both(&paid_together()) {
        let is_payment = |record: &Record| match record {
            Record::Gathering { owed: Some(owed), .. }
            | Record::Payment { owed: Some(owed), .. } => Some(owed.reference),
            _ => None,
        };
        let first = entries.iter().find_map(|entry| is_payment(&entry.record)).unwrap();
        let why = "no such transaction".to_owned();
        for entry in &mut entries {
            match &mut entry.record {
                Record::Met { reference, .. } if *reference == first => {
                    let why = why.clone();
                    entry.record = Record::Refused { reference: first, why };
                }
                Record::Ended { end, .. } => *end = End::Outstanding,
                _ => {}
            }
        }
        // What the seller has signed as paid is another story.
        entries.retain(|entry| !matches!(entry.record, Record::Exit { .. }));
        let report = audit(&owner, &entries);
        let mut problems = report.problems.iter();
        assert!(problems.all(|one| one.what.contains("is a receipt for")), "{:?}", report.problems);
        assert_eq!(figures(&report.statements[0]), (6, [60, 60, 30, 30]));
    }
}

#[test]
fn what_was_pruned_is_counted_as_before() {
    let pair = paid_together();
    for (side, owner) in [(&pair.s, seller()), (&pair.b, buyer())] {
        let mut book = Book::written(side, owner);
        let before = only(&owner, &book.entries());
        assert!(book.prune().entries > 0);
        let after = only(&owner, &book.entries());
        assert_eq!(figures(&before), figures(&after));
        assert_eq!(before.payments(), after.payments());
    }
}

#[test]
fn a_transfer_that_is_not_for_all_of_its_windows_is_named() {
    lie(journal(buyer()), "the transfer for window 3 is not the one that was agreed", |entries| {
        let (seq, owed) = nth!(entries, 0, Record::Gathering { owed: Some(owed), .. } => owed);
        let Act::Do(Call::Transfer(transfer)) = &mut owed.act else { panic!("no transfer") };
        transfer.amount = Amount::new(10);
        seq
    });
    lie(journal(seller()), "the transfer for window 3 is not the one that was agreed", |entries| {
        let (seq, owed) = nth!(entries, 0, Record::Payment { owed: Some(owed), .. } => owed);
        let Act::Check(claim) = &mut owed.act else { panic!("no claim") };
        claim.transfer.amount = Amount::new(10);
        seq
    });
}

#[test]
fn a_payment_of_windows_that_another_pays_or_that_are_not_there_is_named() {
    for (from, what) in [
        (3, "the payment of window 6 pays window 3, as that of window 3 does"),
        (0, "windows 0 to 6 are not paid by one payment"),
        (7, "windows 7 to 6 are not paid by one payment"),
    ] {
        for owner in [seller(), buyer()] {
            lie(journal(owner), what, |entries| {
                let (seq, message) = nth!(entries, 1, Record::Payment { message, .. } => message);
                sign_again(message, &key(2), |data| data["from"] = json!(from));
                seq
            });
        }
    }
}
