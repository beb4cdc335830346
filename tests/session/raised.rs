//! A payment whose fee is raised has another transaction, and stays the same payment.

use crate::liars::ends_with;
use crate::pair::*;
use sdpp::message::{Draft, PaymentAck};
use sdpp::record::{Act, End, FURTHER_TXS_MAX, Record};
use sdpp::session::Input;
use sdpp::terms::Purpose;
use sdpp_ledger::{Amount, Reference, TxId};
use std::collections::BTreeSet;

fn setting() -> Setting {
    Setting::default().anchored_after().no_records().order("co2", Some(6)).windows(2, 1)
}

/// What a side's journal was told of payments: under which reference, by which transaction.
fn claims(side: &Side) -> Vec<(Reference, TxId)> {
    let claim = |record: &Record| match record {
        Record::Payment { owed: Some(owed), .. } => match &owed.act {
            Act::Check(claim) => Some((owed.reference, claim.tx.clone())),
            Act::Do(_) => None,
        },
        _ => None,
    };
    side.records.iter().filter_map(claim).collect()
}

/// The session up to the first payment that the seller was told of and that no ledger has yet.
fn said() -> (Pair, PaymentAck, Reference) {
    let mut pair = setting().start();
    pair.never_final = true;
    while claims(&pair.s).is_empty() {
        assert!(pair.step(), "no payment was said");
    }
    let payment = pair.b.records.iter().find_map(|record| match record {
        Record::Payment { message, .. } => message.data.clone(),
        _ => None,
    });
    let payment = serde_json::from_str(&payment.unwrap()).unwrap();
    let reference = pair.b.session.unwrap().reference(Purpose::Payment, 1);
    (pair, payment, reference)
}

/// The buyer's signed word that this transaction pays.
fn say(pair: &mut Pair, payment: &PaymentAck, tx: &str) {
    let draft = Draft::new(pair.b.session.unwrap(), payment);
    let frame = draft.sign(&key(2), tx).1;
    pair.forge_to_seller(&frame);
}

#[test]
fn a_payment_whose_fee_was_raised_is_paid_under_the_transaction_that_was_mined() {
    let mut pair = setting().start();
    pair.raises = 2;
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    assert_eq!(pair.s.progress().paid, Amount::new(30));
    assert_eq!(pair.transferred(), Amount::new(30), "three transactions each, one of them mined");
    let claims = claims(&pair.s);
    assert_eq!(claims.len(), 9);
    for window in claims.chunks(3) {
        let references: BTreeSet<_> = window.iter().map(|(reference, _)| reference).collect();
        assert_eq!(references.len(), 1, "one payment, under one reference");
        let reference = window[0].0;
        let txs = [raised(&reference, 0), raised(&reference, 1), tx_of(&reference)];
        assert_eq!(window.iter().map(|(_, tx)| tx.clone()).collect::<Vec<_>>(), txs);
    }
}

/// However often the fee is raised, the seller hears of the transaction that is mined.
#[test]
fn the_last_name_is_kept_for_the_transaction_that_is_mined() {
    let mut pair = setting().start();
    pair.raises = 30;
    pair.run();
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    let claims = claims(&pair.s);
    assert_eq!(claims.len(), 3 * (FURTHER_TXS_MAX + 1));
    let (reference, last) = &claims[FURTHER_TXS_MAX];
    assert_eq!(*last, tx_of(reference));
}

#[test]
fn a_payment_that_is_said_again_otherwise_is_refused() {
    let (mut pair, payment, _) = said();
    let less = PaymentAck { amount_total: Amount::new(9), ..payment };
    say(&mut pair, &less, "0xanother");
    ends_with(&mut pair, Role::Buyer, "bad_payment", "window 1 was said to be paid, and not so");
    let (mut pair, payment, reference) = said();
    say(&mut pair, &payment, tx_of(&reference).as_str());
    ends_with(&mut pair, Role::Buyer, "bad_payment", "by that transaction already");
    let (mut pair, payment, _) = said();
    say(&mut pair, &payment, "");
    ends_with(&mut pair, Role::Buyer, "bad_payment", "names no transaction");
}

#[test]
fn a_buyer_cannot_have_the_ledger_asked_for_one_transaction_after_the_other() {
    let (mut pair, payment, _) = said();
    for further in 0..FURTHER_TXS_MAX {
        say(&mut pair, &payment, &format!("0x{further}"));
        assert!(pair.s.closed.is_none());
    }
    say(&mut pair, &payment, "0xonemore");
    ends_with(&mut pair, Role::Buyer, "bad_payment", "too many transactions");
    assert_eq!(claims(&pair.s).len(), FURTHER_TXS_MAX + 1);
}

/// Naming transactions buys time once: from when the payment was first said.
#[test]
fn a_payment_under_new_names_is_as_late_as_under_its_first() {
    let (mut pair, payment, _) = said();
    let deadline_ms = pair.seller.poll_timeout();
    pair.now_ms += 5_000;
    say(&mut pair, &payment, "0xanother");
    assert_eq!(pair.seller.poll_timeout(), deadline_ms);
    assert_eq!(pair.seller.wants(), 0, "and no credit");
}

/// It may have been on its way when the first was mined.
#[test]
fn a_further_transaction_of_a_payment_that_is_final_changes_nothing() {
    let (mut pair, payment, reference) = said();
    let tx = tx_of(&reference);
    pair.tell(Role::Seller, Input::Met { reference, tx: tx.clone() });
    let paid = pair.seller.progress().paid;
    assert_eq!(paid, Amount::new(10));
    pair.tell(Role::Buyer, Input::Met { reference, tx });
    pair.never_final = false;
    say(&mut pair, &payment, "0xanother");
    assert_eq!((pair.s.end(), pair.b.end()), (End::Complete, End::Complete));
    assert_eq!(pair.s.progress().paid, Amount::new(30), "each window once");
    assert_eq!(claims(&pair.s).len(), 3, "and nothing more is asked of the ledger");
}
