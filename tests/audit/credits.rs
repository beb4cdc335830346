//! Credit notes in a journal: both signatures, and invoices net of them.

use crate::lies::lie;
use crate::pair::{Pair, Setting, key};
use crate::{Book, audit, buyer, seller};
use sdpp::journal::Entry;
use sdpp::message::Complaint;
use sdpp::record::{Record, SignedMessage};
use sdpp::session::Grant;
use sdpp::terms::Role;
use sdpp_ledger::Amount;

/// Six items at 3, four to a window; so much is credited from the fifth on.
fn credited(setting: Setting, amount: u128) -> Pair {
    let mut pair = setting.start();
    pair.run_to(3);
    let grant = grant(vec![1, 2], Some(Amount::new(amount)));
    pair.seller.credit(grant, pair.now_ms).unwrap();
    pair.run();
    pair
}

fn grant(items: Vec<u64>, amount: Option<Amount>) -> Grant {
    Grant { items, reason: Complaint::Lost, amount, ask: None }
}

fn journal(owner: fn() -> sdpp_ledger::PublicKey) -> (sdpp_ledger::PublicKey, Vec<Entry>) {
    let pair = credited(Setting::default(), 4);
    let side = if owner() == seller() { &pair.s } else { &pair.b };
    (owner(), Book::of(side, owner()))
}

fn amend(entries: &mut [Entry], of: Role) -> (u64, &mut SignedMessage) {
    let mut found = entries.iter_mut().filter_map(|entry| match &mut entry.record {
        Record::Amend { by, message } if *by == of => Some((entry.seq, message)),
        _ => None,
    });
    found.next().expect("there is one")
}

#[test]
fn a_session_with_a_credit_is_audited_clean_on_both_sides() {
    for setting in [Setting::default(), Setting::default().by_escrow().under_mac()] {
        let pair = credited(setting, 4);
        for (owner, side) in [(seller(), &pair.s), (buyer(), &pair.b)] {
            let report = audit(&owner, &Book::of(side, owner));
            assert_eq!(report.problems, []);
            let one = &report.statements[0];
            assert_eq!((one.last.invoiced, one.last.settled), (Amount::new(14), Amount::new(14)));
            assert_eq!((one.last.credited, one.last.credit_left), (Amount::new(4), Amount::ZERO));
        }
    }
}

/// Wherever a process is killed between the two signatures, what it has is stated.
#[test]
fn every_beginning_of_a_journal_with_credits_is_honest() {
    for owner in [seller, buyer] {
        let (owner, entries) = journal(owner);
        for end in 0..=entries.len() {
            assert_eq!(audit(&owner, &entries[..end]).problems, [], "after {end}");
        }
    }
    for items in 3..6 {
        let setting = Setting::default().by_escrow().windows(2, 2).order("co2", None);
        let mut pair = setting.start();
        pair.run_to(3);
        pair.seller.credit(grant(vec![1], None), pair.now_ms).unwrap();
        pair.run_to(items);
        pair.tell(crate::pair::Role::Seller, sdpp::session::Input::Hangup);
        pair.tell(crate::pair::Role::Buyer, sdpp::session::Input::Hangup);
        pair.run();
        for (owner, side) in [(seller(), &pair.s), (buyer(), &pair.b)] {
            assert_eq!(audit(&owner, &Book::of(side, owner)).problems, [], "at {items}");
        }
    }
}

#[test]
fn a_credit_that_no_window_was_left_for_is_told() {
    let pair = credited(Setting::default(), 9);
    let report = audit(&buyer(), &Book::of(&pair.b, buyer()));
    assert_eq!(report.problems, []);
    let one = &report.statements[0];
    assert_eq!((one.last.invoiced, one.last.credited), (Amount::new(12), Amount::new(9)));
    assert_eq!(one.last.credit_left, Amount::new(3), "the last window cost 6");
}

#[test]
fn a_credit_that_is_not_signed_by_both_is_none() {
    for owner in [seller, buyer] {
        lie(journal(owner), "this is no amend of the seller's", |entries| {
            let (seq, message) = amend(entries, Role::Seller);
            message.signature = key(2).sign(&message.digest());
            seq
        });
        lie(journal(owner), "this is no amend of the buyer's", |entries| {
            let (seq, message) = amend(entries, Role::Buyer);
            message.signature = key(1).sign(&message.digest());
            seq
        });
        // Without the buyer's word nothing is credited, and the invoice asks too little.
        lie(journal(owner), "asks 14 in all, 18 is agreed", |entries| {
            let (seq, _) = amend(entries, Role::Buyer);
            entries.retain(|entry| entry.seq != seq);
            nth!(entries, 1, Record::Invoice { message, .. } => message).0
        });
    }
}

#[test]
fn a_credit_that_reaches_back_is_named() {
    lie(journal(seller), "is in force from item 5, and 6 were invoiced", |entries| {
        let (seq, _) = amend(entries, Role::Buyer);
        let at = entries.iter().position(|entry| entry.seq == seq).unwrap();
        let late = entries.remove(at);
        let end = |entry: &Entry| matches!(entry.record, Record::Exit { .. });
        let end = entries.iter().position(end).unwrap();
        entries.insert(end, late);
        seq
    });
}

#[test]
fn a_credit_above_what_the_items_cost_is_named() {
    lie(journal(seller), "4 items cost 12: 13 are too much to credit", |entries| {
        let (seq, message) = amend(entries, Role::Seller);
        message.amount_total = Amount::new(13);
        message.data = None;
        message.signature = key(1).sign(&message.digest());
        seq
    });
}
