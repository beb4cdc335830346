//! What one party can do with its own key alone, after the fact: each a lie that was once believed.

use crate::pair::{self, Pair, Setting, key};
use crate::{
    Ledger, both, broke_after, bundle_with, debts, entries, lie, nth, offences, sign_again, signed,
    verdict,
};
use sdpp::crypto::layout::MessageKind;
use sdpp::dispute::{Bundle, ChannelWord, Condition, Disclosure, Offence, export};
use sdpp::message::{Complaint, Moment};
use sdpp::record::{Record, SignedMessage};
use sdpp::session::Grant;
use sdpp::terms::Role;
use sdpp_ledger::{Amount, Change, ChangeKind, Digest, Voucher};
use serde_json::json;

/// 24 items of co2 at 5, of which 26 are credited from item 9 on; all paid, 94 in all.
fn credited() -> Pair {
    let setting = Setting::default().anchored_after().no_records().order("co2", Some(24));
    let mut pair = setting.start();
    pair.run_to(6);
    let (items, amount) = (vec![2, 3], Some(Amount::new(26)));
    pair.seller
        .credit(Grant { items, reason: Complaint::Late, amount, ask: None }, pair.now_ms)
        .unwrap();
    pair.run();
    pair
}

/// A credit note of the seller's, without its words.
fn note(bundle: &Bundle, number: u64, from_seq: u8, total: u128, salt: u8) -> SignedMessage {
    let mut note = signed(MessageKind::Amend, bundle.body().session, number, &key(1));
    note.commitment = Digest::ZERO;
    (note.commitment.0[31], note.amount_total) = (from_seq, Amount::new(total));
    note.data_digest = Digest([salt; 32]);
    note.signature = key(1).sign(&note.digest());
    note
}

fn is_note(message: &SignedMessage) -> bool {
    message.kind == MessageKind::Amend
}

#[test]
fn a_seller_that_signs_a_smaller_note_beside_the_one_agreed_takes_nothing_back() {
    let [seller, buyer] = both(&credited());
    for salt in 0..8 {
        let less = note(&seller, 1, 9, 1, salt);
        let found = verdict(&[lie(&seller, |body| body.messages.push(less)), buyer.clone()]);
        assert_eq!((found.credited.units(), debts(&found)), (26, vec![]), "{salt}: {found}");
        assert_eq!(offences(&found), [(Role::Seller, Offence::WrongCredit)], "{found}");
    }
}

#[test]
fn a_buyer_that_refuses_the_note_that_it_agreed_to_accuses_nobody_but_itself() {
    let [seller, buyer] = both(&credited());
    let liar = lie(&buyer, |body| {
        let mut refusal = nth(body, MessageKind::Amend, 0).clone();
        refusal.commitment = Digest::ZERO;
        refusal.amount_total = Amount::ZERO;
        sign_again(&mut refusal, &key(2), |data| {
            data["change"] = json!({"refused": {"why": "no"}})
        });
        body.messages.push(refusal);
    });
    let found = verdict(&[seller, liar]);
    assert_eq!(offences(&found), [(Role::Buyer, Offence::WrongCredit)], "{found}");
    assert!(found.debts.iter().all(|debt| debt.by == Role::Buyer), "{found}");
}

#[test]
fn a_buyer_that_leaves_out_notes_and_words_accuses_nobody() {
    let [_, buyer] = both(&credited());
    let found = verdict(&[lie(&buyer, |body| {
        body.messages.retain(|message| !is_note(message));
        body.messages.iter_mut().for_each(|message| message.data = None);
    })]);
    assert_eq!(offences(&found), [], "{found}");
}

/// So many items of co2 by escrow; 100 were vouched on the channel before.
fn by_escrow(items: u64) -> Pair {
    let base = Amount::new(100);
    broke_after(items, Setting { base, ..Setting::default().no_records().by_escrow() })
}

fn vouch(bundle: &Bundle, amount: u128) -> (Amount, sdpp_ledger::Signature) {
    let held = bundle.body().voucher.clone().unwrap();
    let voucher = Voucher { channel: held.channel, amount: Amount::new(amount) };
    (voucher.amount, voucher.sign(&held.domain, &key(2)))
}

fn settled(bundle: &Bundle, settled: u128) -> Bundle {
    lie(bundle, |body| {
        let channel = body.voucher.as_ref().unwrap().channel;
        let (kind, tx) = (ChangeKind::Settled { settled: Amount::new(settled) }, "0x02".parse());
        let change = Change { channel, kind, tx: tx.unwrap(), height: 1, at_ms: 1 };
        body.ledgers.channel.push(ChannelWord { ledger: pair::ledger(), change });
    })
}

/// The channel served a session after this one: what it paid out then was not for this one.
#[test]
fn a_voucher_that_the_seller_never_had_makes_it_admit_nothing() {
    let pair = by_escrow(7);
    let seller = bundle_with(&pair, Role::Seller, Ledger::Silent);
    let buyer = bundle_with(&pair, Role::Buyer, Ledger::Silent);
    // No ack that reached the seller brought a voucher: the payment did, for 20 of 35.
    let (amount, signature) = vouch(&seller, 120);
    let honest = lie(&settled(&seller, 300), |body| {
        let held = body.voucher.as_mut().unwrap();
        (held.amount, held.signature) = (amount, signature);
        for n in 0..body.messages.iter().filter(|m| m.kind == MessageKind::Ack).count() {
            sign_again(nth(body, MessageKind::Ack, n), &key(2), |data| {
                data.as_object_mut().unwrap().remove("voucher");
            });
        }
    });
    let before = verdict(&[honest.clone(), buyer.clone()]);
    assert_eq!(debts(&before), [(Role::Buyer, 15, 15)], "{before}");
    for more in [135, 300] {
        let (amount, signature) = vouch(&seller, more);
        let mut ack = nth(&mut seller.body().clone(), MessageKind::Ack, 0).clone();
        sign_again(&mut ack, &key(2), |data| {
            data["voucher"] = json!({"cumulative_amount": amount, "signature": signature});
        });
        let liar = lie(&buyer, |body| body.messages.push(ack));
        let found = verdict(&[honest.clone(), liar]);
        assert_eq!(
            (found.admitted, found.debts[0].at_most.units()),
            (before.admitted, 15),
            "{found}"
        );
    }
}

#[test]
fn a_voucher_of_more_than_its_items_cost_is_the_buyers_misconduct_and_no_money() {
    let pair = by_escrow(7);
    let seller = bundle_with(&pair, Role::Seller, Ledger::Silent);
    let (amount, signature) = vouch(&seller, 300);
    let liar = lie(&seller, |body| {
        let ack = nth(body, MessageKind::Ack, 0);
        sign_again(ack, &key(2), |data| {
            data["voucher"] = json!({"cumulative_amount": amount, "signature": signature});
        });
    });
    // A seller that is heard alone may have left out a dearer leg that the voucher is of.
    let alone = verdict(std::slice::from_ref(&liar));
    assert_eq!(offences(&alone), [], "{alone}");
    assert_eq!(alone.voucher.unwrap().worth.units(), 35);
    let found = verdict(&[liar, bundle_with(&pair, Role::Buyer, Ledger::Silent)]);
    assert_eq!(offences(&found), [(Role::Buyer, Offence::WrongPayment)], "{found}");
    assert_eq!(found.voucher.unwrap().worth.units(), 35);
}

/// The buyer keeps no copy of its acks, and their vouchers are in their words.
#[test]
fn a_seller_that_drops_the_words_of_acks_and_its_voucher_is_owed_nothing_for_certain() {
    let pair = by_escrow(7);
    let buyer = bundle_with(&pair, Role::Buyer, Ledger::Silent);
    let liar = lie(&bundle_with(&pair, Role::Seller, Ledger::Silent), |body| {
        body.voucher = None;
        let acks = body.messages.iter_mut().filter(|m| m.kind == MessageKind::Ack);
        acks.for_each(|ack| ack.data = None);
    });
    for bundles in [vec![liar.clone(), buyer], vec![liar]] {
        let found = verdict(&bundles);
        let owed = debts(&found);
        assert_eq!((owed.len(), owed[0].0, owed[0].2), (1, Role::Buyer, 0), "{found}");
        let [Condition::Channel { pays, .. }] = &found.unless[..] else { panic!("{found}") };
        assert_eq!(pays.units(), 135, "{found}");
    }
}

/// Nor does a voucher of a later session make the condition harder, or hide what is owed back.
#[test]
fn a_seller_that_shows_the_voucher_of_a_later_session_gains_nothing() {
    let pair = by_escrow(8);
    let seller = bundle_with(&pair, Role::Seller, Ledger::Silent);
    let buyer = bundle_with(&pair, Role::Buyer, Ledger::Silent);
    let credit = note(&seller, 1, 9, 26, 0);
    let honest = lie(&seller, |body| body.messages.push(credit.clone()));
    let (amount, signature) = vouch(&seller, 300);
    let later = |bundle: &Bundle| {
        lie(bundle, |body| {
            let held = body.voucher.as_mut().unwrap();
            (held.amount, held.signature) = (amount, signature);
        })
    };
    let before = debts(&verdict(&[settled(&honest, 140), buyer.clone()]));
    assert_eq!(before, [(Role::Seller, 26, 26)]);
    let found = verdict(&[later(&settled(&honest, 140)), buyer.clone()]);
    assert_eq!(debts(&found), before, "{found}");
    let found = verdict(&[later(&seller), buyer]);
    let [Condition::Channel { pays, .. }] = &found.unless[..] else { panic!("{found}") };
    assert_eq!(pays.units(), 140, "{found}");
}

/// What was refused stays refused when the words of both are pruned.
#[test]
fn a_note_that_was_refused_credits_nothing_when_words_are_pruned() {
    let pair = broke_after(7, Setting::default().no_records());
    let [seller, buyer] = both(&pair);
    let refused = |bundle: &Bundle| {
        lie(bundle, |body| {
            let mut refusal = signed(MessageKind::Amend, body.session, 1, &key(2));
            refusal.commitment = Digest::ZERO;
            refusal.signature = key(2).sign(&refusal.digest());
            body.messages.extend([note(bundle, 1, 5, 6, 0), refusal]);
        })
    };
    let found = verdict(&[refused(&seller), refused(&buyer)]);
    assert_eq!(
        (found.credited.units(), debts(&found)),
        (0, vec![(Role::Buyer, 15, 15)]),
        "{found}"
    );
    assert_eq!(offences(&found), [], "{found}");
}

#[test]
fn a_seller_that_signs_a_flood_of_invoices_does_not_hide_what_it_sold() {
    let mut pair = Setting::default().start();
    pair.run();
    let [seller, buyer] = both(&pair);
    let secret = pair.b.records.iter().find_map(|record| match record {
        Record::Epoch { salt_secret, .. } => Some(salt_secret.clone()),
        _ => None,
    });
    let salt = sdpp::crypto::salt(&secret.unwrap(), 3);
    let entries = entries(&pair.b, &pair, Ledger::Speaks);
    let disclosure = Disclosure { seq: 3, item: pair::item(3), salt };
    let at = Moment(pair::START_MS);
    let shown = export(&entries, buyer.body().session, &key(2), at, &[disclosure]).unwrap();
    let flood = lie(&seller, |body| {
        let invoice = nth(body, MessageKind::DataInvoice, 0).clone();
        for other in 0..64u8 {
            let mut more = invoice.clone();
            let root = Digest([other; 32]);
            sign_again(&mut more, &key(1), |data| data["invoice"]["root"] = json!(root));
            body.messages.push(more);
        }
    });
    let found = verdict(&[flood, shown]);
    assert!(found.items[0].proven, "{found}");
    assert!(offences(&found).contains(&(Role::Seller, Offence::DoubleInvoice)), "{found}");
}
