//! The judge's table: one case for each way in which a session can end.
//!
//! `gas` costs 3 an item, four to a window; six were ordered, so 18 is due. `co2` costs 5.

use crate::pair::{self, Pair, Setting, key, menu, pinned};
use crate::{
    Ledger, both, broke_after, bundle, bundle_with, debts, entries, hang_up, keys, lie, nth,
    offences, settings, sign_again, signed, verdict,
};
use sdpp::crypto::layout::MessageKind;
use sdpp::dispute::{
    Bundle, ChannelWord, Condition, Disclosure, ExportError, JudgeError, Keys, Offence, Said,
    export, judge,
};
use sdpp::message::{Complaint, Moment};
use sdpp::record::{Record, SignedMessage};
use sdpp::session::{Grant, Input};
use sdpp::terms::{Method, Rate, Role};
use sdpp_ledger::{Amount, Change, ChangeKind, ChannelId, Digest, Voucher, keccak};
use serde_json::json;

/// Six items of gas by transfer, paid in full.
fn paid() -> Pair {
    let mut pair = Setting::default().start();
    pair.run();
    pair
}

#[test]
fn a_session_that_was_paid_owes_nothing_whoever_tells_it() {
    for (which, setting) in settings().into_iter().enumerate() {
        let mut pair = setting().start();
        pair.run();
        let [seller, buyer] = both(&pair);
        for bundles in [vec![seller.clone(), buyer.clone()], vec![seller], vec![buyer]] {
            let verdict = verdict(&bundles);
            assert_eq!(debts(&verdict), [], "setting {which}: {verdict}");
            assert_eq!(verdict.unless, [], "setting {which}: {verdict}");
            assert_eq!(verdict.misconduct, [], "setting {which}");
            assert_eq!((verdict.due, verdict.acknowledged.items), (Amount::new(18), 6));
            assert_eq!(verdict.receipted.amount, Amount::new(18));
            assert_eq!(verdict.parting, None, "setting {which}");
            assert!(verdict.sentence().starts_with("Nobody owes"), "{verdict}");
        }
    }
}

#[test]
fn a_session_that_was_paid_in_part_owes_the_rest() {
    let mut pair = Setting::default().anchored_after().no_records().start();
    pair.run_to(4).run_without_feeding();
    pair.ledger_down = true;
    pair.run();
    hang_up(&mut pair);
    let verdict = verdict(&both(&pair));
    assert_eq!(debts(&verdict), [(Role::Buyer, 6, 6)], "{verdict}");
    assert_eq!(verdict.receipted.amount, Amount::new(12));
    assert_eq!(offences(&verdict), []);
    assert!(verdict.sentence().contains("The buyer owes the seller 0.000006 SDP"), "{verdict}");
}

/// Acknowledged and not invoiced counts; by transfer nothing else secures it.
#[test]
fn a_buyer_that_vanishes_after_its_ack_owes_what_it_acknowledged() {
    let pair = broke_after(7, Setting::default().no_records());
    for bundles in [both(&pair).to_vec(), vec![bundle(&pair, Role::Seller)]] {
        let verdict = verdict(&bundles);
        assert_eq!((verdict.acknowledged.items, verdict.invoiced.items), (7, 4));
        assert_eq!(verdict.due, Amount::new(35));
        // The first window's payment is final by the seller's own word.
        assert_eq!(
            (verdict.admitted, debts(&verdict)),
            (Amount::new(20), vec![(Role::Buyer, 15, 15)])
        );
        let by = verdict.acknowledged.by.unwrap();
        assert_eq!((by.signed_by, by.kind, by.number), (Role::Buyer, MessageKind::Ack, 7));
    }
}

/// By escrow each ack brought its voucher: the seller has the money as far as the channel has it.
#[test]
fn a_buyer_that_vanishes_after_its_voucher_has_paid_as_far_as_the_channel_covers_it() {
    let base = Amount::new(100);
    let pair = broke_after(7, Setting { base, ..Setting::default().no_records().by_escrow() });
    let verdict = verdict(&[bundle_with(&pair, Role::Seller, Ledger::Silent)]);
    // What the invoice receipted was vouched, and taken as money.
    assert_eq!(debts(&verdict), [(Role::Buyer, 20, 0)], "{verdict}");
    let [Condition::Channel { pays, amount, .. }] = &verdict.unless[..] else {
        panic!("{verdict}")
    };
    assert_eq!((pays.units(), amount.units()), (135, 20));
    let voucher = verdict.voucher.clone().unwrap();
    assert_eq!((voucher.cumulative.units(), voucher.worth.units()), (135, 35));
    assert!(voucher.checked);
    assert!(verdict.to_string().contains("the seller can redeem by itself"), "{verdict}");
}

#[test]
fn a_seller_that_vanishes_after_the_payment_is_owed_it_unless_the_ledger_has_it() {
    let mut pair = Setting::default().anchored_after().no_records().start();
    let has_paid = |record: &Record| matches!(record, Record::Payment { .. });
    while !pair.b.records.iter().any(has_paid) {
        assert!(pair.step(), "the buyer pays");
    }
    // The line is cut before the seller hears of it.
    pair.b.wire.clear();
    hang_up(&mut pair);
    let [seller, buyer] = [Role::Seller, Role::Buyer].map(|role| bundle(&pair, role));
    let verdict = verdict(&[seller, buyer.clone()]);
    assert_eq!(debts(&verdict), [(Role::Buyer, 12, 0)], "{verdict}");
    let [Condition::Final { window: 1, txs, said, pays, .. }] = &verdict.unless[..] else {
        panic!("{verdict}")
    };
    assert_eq!((txs.len(), pays.units()), (1, 12));
    assert!(said.iter().all(|word| word.word_of == Role::Buyer), "the seller says nothing of it");
    let parting = verdict.parting.clone().unwrap();
    assert_eq!((parting.window, parting.proven_for), (Some(1), None), "{parting:?}");
    assert!(verdict.sentence().ends_with("is final: then it owes nothing."), "{verdict}");
    let alone = crate::verdict(&[buyer]);
    assert_eq!(debts(&alone), [(Role::Buyer, 12, 0)]);
}

#[test]
fn an_invoice_of_a_wrong_amount_is_the_sellers_misconduct_and_owes_nothing_more() {
    let pair = paid();
    let [seller, buyer] = both(&pair);
    let liar = lie(&seller, |body| {
        let invoice = nth(body, MessageKind::DataInvoice, 1);
        sign_again(invoice, &key(1), |data| data["invoice"]["amount_total"] = json!("19"));
    });
    for bundles in [vec![liar.clone()], vec![liar, buyer]] {
        let verdict = verdict(&bundles);
        let wrong = (Role::Seller, Offence::WrongInvoice);
        assert!(offences(&verdict).contains(&wrong), "{verdict}");
        assert!(verdict.misconduct.iter().all(|one| one.by == Role::Seller), "{verdict}");
        assert_eq!((verdict.due, debts(&verdict)), (Amount::new(18), vec![]));
    }
}

#[test]
fn a_payment_of_a_wrong_amount_is_the_buyers_misconduct_where_the_buyer_is_heard() {
    let pair = broke_after(4, Setting::default().no_records());
    let [seller, buyer] = both(&pair);
    let short = |bundle: &Bundle| {
        lie(bundle, |body| {
            let payment = nth(body, MessageKind::PaymentAck, 0);
            sign_again(payment, &key(2), |data| data["amount_total"] = json!("17"));
        })
    };
    let heard = verdict(&[seller, short(&buyer)]);
    assert!(offences(&heard).contains(&(Role::Buyer, Offence::WrongPayment)), "{heard}");
    let [seller, _] = both(&pair);
    let alone = verdict(&[short(&seller)]);
    assert_eq!(offences(&alone), [], "the invoice that it answered could have been left out");
    assert!(alone.notes.iter().any(|note| note.contains("asks 20 in all")), "{alone}");
}

#[test]
fn two_invoices_with_one_number_are_named_and_the_buyer_owes_for_none_of_it() {
    let pair = paid();
    let [seller, buyer] = both(&pair);
    let liar = lie(&seller, |body| {
        let mut other = nth(body, MessageKind::DataInvoice, 1).clone();
        sign_again(&mut other, &key(1), |data| {
            data["invoice"]["root"] = json!(keccak(&[b"other items"]));
        });
        body.messages.push(other);
    });
    let found = verdict(&[liar, buyer.clone()]);
    assert!(offences(&found).contains(&(Role::Seller, Offence::DoubleInvoice)), "{found}");
    assert_eq!(found.misconduct.iter().filter(|one| one.by == Role::Buyer).count(), 0);
    assert_eq!(debts(&found), []);
    // Each side shows another one: together they convict.
    let swapped = lie(&seller, |body| {
        let other = nth(body, MessageKind::DataInvoice, 1);
        sign_again(other, &key(1), |data| {
            data["invoice"]["root"] = json!(keccak(&[b"other items"]));
        });
    });
    let found = verdict(&[swapped, buyer]);
    let double = found.misconduct.iter().find(|one| one.what == Offence::DoubleInvoice).unwrap();
    assert_eq!(double.proven_by.len(), 2);
    let parting = found.parting.unwrap();
    assert_eq!((parting.window, parting.proven_for), (Some(2), Some(Role::Buyer)));
}

#[test]
fn a_voucher_of_before_is_worth_nothing_again() {
    let base = Amount::new(100);
    let pair = broke_after(3, Setting { base, ..Setting::default().no_records().by_escrow() });
    let seller = bundle_with(&pair, Role::Seller, Ledger::Silent);
    let replayed = lie(&seller, |body| {
        let held = body.voucher.as_mut().unwrap();
        let voucher = Voucher { channel: held.channel, amount: base };
        (held.amount, held.signature) = (base, voucher.sign(&held.domain, &key(2)));
        body.messages.retain(|message| message.kind != MessageKind::Ack);
    });
    let found = verdict(&[replayed]);
    assert_eq!((found.voucher.clone(), debts(&found)), (None, vec![]), "{found}");
    assert!(found.notes.iter().any(|note| note.contains("worth nothing")), "{found}");
    // Nor does one on another channel count, nor one that another signed.
    for lies in [true, false] {
        let other = lie(&seller, |body| {
            let held = body.voucher.as_mut().unwrap();
            if lies {
                held.channel.0[0] ^= 1;
            }
            let voucher = Voucher { channel: held.channel, amount: Amount::new(900) };
            held.amount = voucher.amount;
            held.signature = voucher.sign(&held.domain, &key(if lies { 2 } else { 1 }));
        });
        let found = verdict(&[other]);
        assert_eq!(offences(&found), [(Role::Seller, Offence::FalseEvidence)], "{found}");
        let voucher = found.voucher.unwrap();
        assert_eq!(voucher.worth, Amount::new(15), "the acks' own vouchers still count");
    }
}

#[test]
fn a_forged_ack_counts_for_nothing_and_against_who_brings_it() {
    let pair = broke_after(4, Setting::default().no_records());
    let [seller, buyer] = both(&pair);
    let forged = lie(&seller, |body| {
        let session = body.session;
        body.messages.push(signed(MessageKind::Ack, session, 60, &key(1)));
    });
    let found = verdict(&[forged, buyer.clone()]);
    assert_eq!(offences(&found), [(Role::Seller, Offence::FalseEvidence)]);
    assert_eq!((found.due, debts(&found)), (Amount::new(20), vec![]), "{found}");
    assert!(found.misconduct[0].why.contains("ack with number 60: its signature is false"));
    let elsewhere = lie(&seller, |body| {
        let session = sdpp::terms::SessionId(Digest([9; 32]));
        body.messages.push(signed(MessageKind::Ack, session, 60, &key(2)));
    });
    let found = verdict(&[elsewhere, buyer]);
    assert_eq!(offences(&found), [(Role::Seller, Offence::FalseEvidence)]);
    assert_eq!(found.due, Amount::new(20));
}

#[test]
fn one_sides_journal_is_enough_where_the_others_is_lost() {
    let pair = broke_after(6, Setting::default().no_records());
    let [seller, buyer] = both(&pair);
    let sellers = verdict(&[seller]);
    assert_eq!(debts(&sellers), [(Role::Buyer, 15, 15)], "{sellers}");
    assert_eq!(sellers.heard, [Role::Seller]);
    assert!(sellers.notes.iter().any(|note| note.starts_with("the buyer was not heard")));
    // The buyer keeps no copy of its acks: its bundle shows what it paid, and owes no more.
    let buyers = verdict(&[buyer]);
    assert_eq!(debts(&buyers), [(Role::Buyer, 20, 0)], "{buyers}");
    assert_eq!(offences(&buyers), []);
}

#[test]
fn no_clock_decides_anything() {
    let pair = broke_after(7, Setting::default());
    let [seller, buyer] = both(&pair);
    let at = |bundle: &Bundle, ms| lie(bundle, |body| body.exported_at = Moment(ms));
    let found = verdict(&[seller.clone(), buyer.clone()]);
    for (one, other) in [(0, u64::MAX / 1_000_000), (u64::MAX / 1_000_000, 0)] {
        let skewed = verdict(&[at(&seller, one), at(&buyer, other)]);
        assert_eq!(skewed.to_string(), found.to_string());
    }
}

/// The session's own currency counts, at its own rate.
#[test]
fn with_two_currencies_only_the_one_that_was_ordered_counts() {
    let setting = || {
        let mut menu = menu();
        let mut other = menu.currencies_accepted[0].clone();
        (other.currency, other.symbol, other.decimals) = ("EUR".into(), "EUR".into(), 2);
        other.rate = Rate { numerator: Amount::new(3), denominator: Amount::new(2) };
        menu.currencies_accepted.push(other);
        let mut pinned = pinned(Method::Transfer);
        (pinned.name, pinned.symbol, pinned.decimals) = ("EUR".into(), "EUR".into(), 2);
        let mut setting = Setting { menu, ..Setting::default() };
        setting.wish.currencies = vec![pinned];
        setting.no_records()
    };
    let pair = broke_after(7, setting());
    let [seller, buyer] = both(&pair);
    let found = verdict(&[seller.clone(), buyer.clone()]);
    // 7 * 5 * 3 / 2 = 52, rounded down once; 4 * 5 * 3 / 2 = 30 are paid.
    assert_eq!((found.due.units(), debts(&found)), (52, vec![(Role::Buyer, 22, 22)]), "{found}");
    assert!(found.sentence().contains("0.22 EUR"), "{found}");
    let other = lie(&seller, |body| {
        let invoice = nth(body, MessageKind::DataInvoice, 0);
        sign_again(invoice, &key(1), |data| data["invoice"]["currency"] = json!("SDP"));
    });
    let found = verdict(&[other, buyer]);
    assert!(offences(&found).contains(&(Role::Seller, Offence::WrongInvoice)), "{found}");
    assert_eq!(found.due.units(), 52);
}

#[test]
fn two_words_for_the_same_items_are_the_buyers_misconduct() {
    let pair = broke_after(7, Setting::default());
    let [seller, _] = both(&pair);
    let caught = lie(&seller, |body| {
        let session = body.session;
        body.messages.push(signed(MessageKind::Ack, session, 7, &key(2)));
    });
    let found = verdict(&[caught]);
    assert_eq!(offences(&found), [(Role::Buyer, Offence::DoubleAck)], "{found}");
    assert_eq!(debts(&found), [(Role::Buyer, 15, 15)], "both say that seven arrived");
}

/// Six items were ordered: the seller's papers with an ack of the seventh, and the buyer's with an invoice of
/// it.
pub fn beyond([seller, buyer]: [&Bundle; 2]) -> [Bundle; 2] {
    let acked = lie(seller, |body| {
        let session = body.session;
        body.messages.push(signed(MessageKind::Ack, session, 7, &key(2)));
        // Nor does it take a receipt or an exit to see that.
        body.messages.retain(|message| message.kind != MessageKind::Exit);
    });
    let invoiced = lie(buyer, |body| {
        sign_again(nth(body, MessageKind::DataInvoice, 1), &key(1), |data| {
            (data["seq"], data["invoice"]["to"]) = (json!(7), json!(7));
        });
        body.messages.retain(|message| message.kind != MessageKind::Exit);
    });
    [acked, invoiced]
}

#[test]
fn more_than_was_ordered_is_named_and_not_counted() {
    let pair = paid();
    let [seller, buyer] = both(&pair);
    let [acked, invoiced] = beyond([&seller, &buyer]);
    let found = verdict(&[acked]);
    assert_eq!(offences(&found), [(Role::Buyer, Offence::WrongAck)], "{found}");
    assert_eq!((found.acknowledged.items, debts(&found)), (6, vec![]));
    let found = verdict(&[invoiced]);
    assert_eq!(offences(&found), [(Role::Seller, Offence::WrongInvoice)], "{found}");
}

#[test]
fn an_item_that_is_not_under_its_invoiced_root_convicts_the_seller() {
    let pair = paid();
    let [_, buyer] = both(&pair);
    let mut with_item = entries(&pair.b, &pair, Ledger::Speaks);
    let session = buyer.body().session;
    let other = signed(MessageKind::Data, session, 2, &key(1));
    for entry in &mut with_item {
        if let Record::Ended { evidence, .. } = &mut entry.record {
            evidence.push(other.clone());
        }
    }
    let at = Moment(pair::START_MS);
    let bundle = export(&with_item, session, &key(2), at, &[]).unwrap();
    assert_eq!(bundle.body().proofs.len(), 1, "what was invoiced in its place goes along");
    let found = verdict(&[bundle]);
    assert_eq!(offences(&found), [(Role::Seller, Offence::OtherItem)], "{found}");
    assert_eq!(found.misconduct[0].proven_by.len(), 2);
    // Two items for one place convict without any proof.
    let again = signed(MessageKind::Data, session, 2, &key(1));
    let third = SignedMessage { commitment: Digest([3; 32]), ..again.clone() };
    let third = SignedMessage { signature: key(1).sign(&third.digest()), ..third };
    let found = verdict(&[lie(&buyer, |body| body.messages.extend([again, third]))]);
    assert_eq!(offences(&found), [(Role::Seller, Offence::OtherItem)], "{found}");
}

#[test]
fn a_root_that_is_not_that_of_the_items_signed_convicts_the_seller() {
    let pair = paid();
    let [_, buyer] = both(&pair);
    let found = verdict(&[lie(&buyer, |body| {
        let session = body.session;
        let items = (1..4).map(|seq| signed(MessageKind::Data, session, seq, &key(1)));
        body.messages.extend(items.collect::<Vec<_>>());
        body.proofs.clear();
    })]);
    assert_eq!(offences(&found), [(Role::Seller, Offence::OtherItem)], "{found}");
    assert!(found.misconduct[0].why.contains("root of invoice 1"), "{found}");
}

#[test]
fn a_receipt_for_a_payment_that_never_was_is_named_where_the_seller_is_heard() {
    let pair = broke_after(7, Setting::default().no_records());
    let [seller, buyer] = both(&pair);
    let claimed = |bundle: &Bundle| {
        lie(bundle, |body| {
            body.messages.retain(|message| message.kind != MessageKind::PaymentAck);
            body.ledgers.acts.clear();
            let invoice = nth(body, MessageKind::DataInvoice, 0);
            sign_again(invoice, &key(1), |data| data["invoice"]["paid_total"] = json!("20"));
        })
    };
    let found = verdict(&[claimed(&seller)]);
    assert_eq!(offences(&found), [(Role::Seller, Offence::FalseReceipt)], "{found}");
    assert_eq!(debts(&found), [(Role::Buyer, 15, 15)], "its receipt binds it all the same");
    let unheard = verdict(&[claimed(&buyer)]);
    assert_eq!(offences(&unheard), [], "the buyer could have left its payment out: {unheard}");
    assert_eq!(debts(&unheard), [], "nor does it get back what it does not show that it paid");
}

#[test]
fn a_receipt_that_goes_back_is_named() {
    let pair = paid();
    let [_, buyer] = both(&pair);
    let found = verdict(&[lie(&buyer, |body| {
        let exits = body.messages.iter_mut().filter(|m| m.kind == MessageKind::Exit);
        let exit = exits.filter(|m| m.is_by(&key(1).public())).last().unwrap();
        sign_again(exit, &key(1), |data| data["paid_total"] = json!("6"));
    })]);
    assert_eq!(offences(&found), [(Role::Seller, Offence::FalseReceipt)], "{found}");
    assert!(found.misconduct[0].why.contains("receipted 12 and later only 6"), "{found}");
}

#[test]
fn an_exit_that_contradicts_its_sides_invoices_is_named() {
    let pair = paid();
    let [seller, buyer] = both(&pair);
    let less = lie(&seller, |body| {
        let exits = body.messages.iter_mut().filter(|m| m.kind == MessageKind::Exit);
        let mut exits = exits.filter(|m| m.is_by(&key(1).public()));
        sign_again(exits.next().unwrap(), &key(1), |data| {
            (data["items"], data["amount_total"]) = (json!(4), json!("12"));
            data["paid_total"] = json!("12");
        });
    });
    let found = verdict(&[less.clone(), buyer]);
    assert_eq!(offences(&found), [(Role::Seller, Offence::WrongExit)], "{found}");
    let alone = verdict(&[less]);
    assert!(offences(&alone).contains(&(Role::Seller, Offence::WrongExit)), "{alone}");
}

#[test]
fn one_transaction_for_two_windows_is_named() {
    let pair = paid();
    let [seller, buyer] = both(&pair);
    let mut tx = String::new();
    let twice = lie(&seller, |body| {
        tx.clone_from(&nth(body, MessageKind::PaymentAck, 0).verification);
        let second = nth(body, MessageKind::PaymentAck, 1);
        second.verification.clone_from(&tx);
        second.signature = key(2).sign(&second.digest());
    });
    let found = verdict(&[twice, buyer]);
    assert_eq!(offences(&found), [(Role::Buyer, Offence::WrongPayment)], "{found}");
    assert!(found.misconduct[0].why.contains(&tx), "{found}");
}

#[test]
fn delivered_and_not_acknowledged_is_never_owed() {
    let pair = broke_after(7, Setting::default());
    let [seller, _] = both(&pair);
    let found = verdict(&[lie(&seller, |body| {
        body.messages.retain(|message| message.kind == MessageKind::DataInvoice);
        body.ledgers.acts.clear();
    })]);
    assert_eq!((found.due, debts(&found)), (Amount::ZERO, vec![]), "{found}");
    assert_eq!((found.unproven.items, found.unproven.amount.units()), (4, 20));
    assert!(found.to_string().contains("that is not owed"), "{found}");
}

/// The seller's credit note is its signed word: what it credits is taken off, and what was paid
/// beyond that is owed back.
#[test]
fn a_credit_note_is_taken_off_what_is_due() {
    let pair = broke_after(4, Setting::default());
    let [seller, buyer] = both(&pair);
    let mut note = signed(MessageKind::Amend, seller.body().session, 1, &key(1));
    note.commitment = Digest::ZERO;
    (note.commitment.0[31], note.amount_total) = (5, Amount::new(6));
    note.signature = key(1).sign(&note.digest());
    let with_note = lie(&buyer, |body| body.messages.push(note.clone()));
    let found = verdict(&[seller.clone(), with_note.clone()]);
    assert_eq!((found.credited.units(), found.due.units()), (6, 14));
    assert_eq!(debts(&found), [(Role::Seller, 6, 6)], "{found}");
    assert!(found.sentence().starts_with("The seller owes the buyer"), "{found}");
    // The sentence itself says that nobody heard the seller.
    let alone = verdict(&[with_note]).sentence();
    assert!(alone.contains("By the buyer's evidence alone, the seller owes"), "{alone}");
    // A note that reaches into a window is none.
    note.commitment.0[31] = 3;
    note.signature = key(1).sign(&note.digest());
    let found = verdict(&[seller, lie(&buyer, |body| body.messages.push(note))]);
    assert_eq!(offences(&found), [(Role::Seller, Offence::WrongCredit)], "{found}");
    assert_eq!(debts(&found), []);
}

/// What a payment says that it pays beyond its window takes nothing off the next.
#[test]
fn a_payment_that_says_more_than_its_window_costs_pays_no_more() {
    let pair = broke_after(9, Setting::default().no_records());
    let [seller, buyer] = both(&pair);
    let honest = verdict(&[seller.clone(), buyer.clone()]);
    let more = lie(&buyer, |body| {
        let payment = nth(body, MessageKind::PaymentAck, 0);
        sign_again(payment, &key(2), |data| data["amount_total"] = json!("39"));
    });
    let found = verdict(&[seller, more]);
    assert_eq!(debts(&found), debts(&honest), "{found}");
    assert!(offences(&found).contains(&(Role::Buyer, Offence::WrongPayment)), "{found}");
}

/// A seller that admits less than was paid leaves the rest to the ledger.
#[test]
fn a_payment_that_is_admitted_in_part_stays_a_condition_for_the_rest() {
    let pair = broke_after(4, Setting::default().no_records());
    let [seller, buyer] = both(&pair);
    let less = lie(&seller, |body| {
        for act in &mut body.ledgers.acts {
            if let Said::Final { evidence, .. } = &mut act.said {
                evidence.amount = Amount::new(2);
            }
        }
    });
    let found = verdict(&[less, buyer]);
    assert_eq!((found.admitted.units(), debts(&found)), (2, vec![(Role::Buyer, 18, 0)]), "{found}");
}

/// A buyer that has refused a note, and signs it when the session was paid in full, gains nothing
/// by it: also where the refusal's words were pruned, or were too long to be kept.
#[test]
fn a_refusal_counts_by_its_layout_when_its_words_are_gone() {
    let setting = Setting::default().anchored_after().no_records().order("co2", Some(24));
    let mut pair = setting.start();
    pair.run();
    let [seller, buyer] = both(&pair);
    let session = seller.body().session;
    let mut note = signed(MessageKind::Amend, session, 1, &key(1));
    note.commitment = Digest::ZERO;
    (note.commitment.0[31], note.amount_total) = (9, Amount::new(6));
    note.signature = key(1).sign(&note.digest());
    let agreed = SignedMessage { signature: key(2).sign(&note.digest()), ..note.clone() };
    let mut refusal = signed(MessageKind::Amend, session, 1, &key(2));
    refusal.commitment = Digest::ZERO;
    refusal.signature = key(2).sign(&refusal.digest());
    let seller = lie(&seller, |body| body.messages.extend([note.clone(), refusal]));
    let buyer = lie(&buyer, |body| body.messages.extend([note, agreed]));
    let found = verdict(&[seller.clone(), buyer]);
    assert_eq!(offences(&found), [(Role::Buyer, Offence::WrongCredit)], "{found}");
    assert_eq!((found.credited, debts(&found)), (Amount::ZERO, vec![]), "{found}");
    let alone = verdict(&[seller]);
    assert_eq!((offences(&alone), debts(&alone)), (vec![], vec![]), "{alone}");
}

/// Signed by both, netted in the next window: both books and all papers are net of it.
#[test]
fn a_credit_note_that_both_signed_is_netted_and_leaves_nothing_owed() {
    for by_escrow in [false, true] {
        let setting = Setting::default().anchored_after().no_records().order("co2", Some(24));
        let mut pair = if by_escrow { setting.by_escrow() } else { setting }.start();
        pair.run_to(6);
        let (items, amount) = (vec![2, 3], Some(Amount::new(26)));
        let grant = Grant { items, reason: Complaint::Late, amount, ask: None };
        pair.seller.credit(grant, pair.now_ms).unwrap();
        pair.run();
        let [seller, buyer] = both(&pair);
        for bundles in [vec![seller.clone(), buyer.clone()], vec![seller], vec![buyer.clone()]] {
            let found = verdict(&bundles);
            assert_eq!((found.credited.units(), found.due.units()), (26, 94), "{found}");
            assert_eq!((debts(&found), offences(&found)), (vec![], vec![]), "{found}");
            assert_eq!(found.parting, None);
        }
        // Who leaves the note out makes itself owe more, and the seller no liar.
        let without = verdict(&[lie(&buyer, |body| {
            body.messages.retain(|message| message.kind != MessageKind::Amend);
        })]);
        assert_eq!(debts(&without), [(Role::Buyer, 26, 26)], "{without}");
        assert_eq!(offences(&without), [], "{without}");
    }
}

/// What each side says of the channel is its word, and stands under its name.
#[test]
fn what_the_ledger_said_of_the_channel_is_told_as_each_sides_word() {
    let pair = broke_after(7, Setting::default().no_records().by_escrow());
    let [seller, buyer] = [Role::Seller, Role::Buyer].map(|role| {
        let kind = match role {
            Role::Seller => ChangeKind::CloseRequested { ready_ms: 1_767_225_600_000 },
            Role::Buyer => ChangeKind::Withdrawn,
        };
        lie(&bundle_with(&pair, role, Ledger::Silent), |body| {
            let settled = ChangeKind::Settled { settled: Amount::new(93) };
            for kind in (role == Role::Buyer).then_some(settled).into_iter().chain([kind]) {
                let tx = "0x02".parse().unwrap();
                let change = Change { channel: ChannelId([5; 32]), kind, tx, height: 1, at_ms: 1 };
                body.ledgers.channel.push(ChannelWord { ledger: pair::ledger(), change });
            }
        })
    });
    let found = verdict(&[seller, buyer]);
    let told = found.to_string();
    assert!(told.contains("The seller says of it: its payer asked to close it"), "{told}");
    let word = "The buyer says of it: it has paid 93, and its payer has withdrawn the rest";
    assert!(told.contains(word), "{told}");
    assert_eq!(debts(&found), [(Role::Buyer, 20, 0)], "no word of either changes what is owed");
}

#[test]
fn what_was_pruned_is_judged_by_the_frame_under_its_signature() {
    let pair = broke_after(7, Setting::default());
    let [seller, buyer] = both(&pair);
    let pruned = |bundle: &Bundle| {
        lie(bundle, |body| {
            let kinds = [MessageKind::DataInvoice, MessageKind::Ack, MessageKind::PaymentAck];
            let dropped = body.messages.iter_mut().filter(|m| kinds.contains(&m.kind));
            dropped.for_each(|message| message.data = None);
        })
    };
    let found = verdict(&[pruned(&seller), pruned(&buyer)]);
    assert_eq!((found.due.units(), debts(&found)), (35, vec![(Role::Buyer, 15, 15)]), "{found}");
    assert_eq!(offences(&found), []);
    assert!(found.notes.iter().any(|note| note.contains("without their words")), "{found}");
    let mixed = verdict(&[pruned(&seller), buyer]);
    assert_eq!((mixed.parting.clone(), debts(&mixed)), (None, debts(&found)), "{mixed}");
}

#[test]
fn an_item_is_disclosed_with_its_proof_and_no_other() {
    let pair = paid();
    let entries = entries(&pair.b, &pair, Ledger::Speaks);
    let session = pair.b.session.unwrap();
    let secret = pair.b.records.iter().find_map(|record| match record {
        Record::Epoch { salt_secret, .. } => Some(salt_secret.clone()),
        _ => None,
    });
    let salt = sdpp::crypto::salt(&secret.clone().unwrap(), 3);
    let disclose = |item: Vec<u8>, seq| {
        let disclosure = Disclosure { seq, item, salt };
        export(&entries, session, &key(2), Moment(pair::START_MS), &[disclosure])
    };
    let bundle = disclose(pair::item(3), 3).unwrap();
    let found = verdict(&[Bundle::parse(&bundle.write()).unwrap()]);
    let [item] = &found.items[..] else { panic!("{found}") };
    assert!(item.proven && item.seq == 3 && item.invoice == 1, "{item:?}");
    assert!(found.to_string().contains("is what the seller sold in window 1"), "{found}");
    let text = String::from_utf8(bundle.write()).unwrap();
    let secret = secret.unwrap().0.to_string();
    assert!(!text.contains(&secret), "the secret of the salts stays home");
    assert_eq!(disclose(pair::item(4), 3).unwrap_err(), ExportError::OtherItem(3));
    assert_eq!(disclose(pair::item(7), 7).unwrap_err(), ExportError::Unproven(7));
    // A liar that shows another item proves nothing.
    let found = verdict(&[lie(&bundle, |body| {
        let disclosed = body.proofs[0].disclosed.as_mut().unwrap();
        disclosed.item.0[0] ^= 1;
    })]);
    assert!(!found.items[0].proven && found.to_string().contains("NOT proven"), "{found}");
}

#[test]
fn who_the_parties_are_is_proven_by_the_keys_that_are_given_and_by_nothing_else() {
    let pair = paid();
    let both = both(&pair);
    let found = judge(&both, &Keys::default()).unwrap();
    assert!(!found.seller.identity_proven && found.to_string().contains("identity unproven"));
    let wrong = Keys { buyer: Some(key(9).public()), ..keys() };
    let error = judge(&both, &wrong).unwrap_err();
    assert!(matches!(error, JudgeError::OtherKey { who: Role::Buyer, .. }), "{error}");
}

#[test]
fn what_is_no_session_of_the_exporter_is_refused() {
    let pair = paid();
    let [seller, buyer] = both(&pair);
    let elsewhere = broke_after(2, Setting::default());
    let [other, _] = both(&elsewhere);
    let error = |bundles: &[Bundle]| judge(bundles, &keys()).unwrap_err();
    assert!(matches!(error(&[seller.clone(), other]), JudgeError::Sessions(..)));
    assert_eq!(error(&[]), JudgeError::Count(0));
    let stolen = Bundle::sign(buyer.body().clone(), &key(9));
    assert!(error(&[stolen]).to_string().contains("not signed by the session's buyer"));
    let posing = lie(&buyer, |body| body.role = Role::Seller);
    assert!(error(&[posing]).to_string().contains("not signed by the session's seller"));
    let other_menu = lie(&seller, |body| {
        sign_again(&mut body.menu, &key(1), |data| data["payment_granularity"] = json!(9));
    });
    assert!(error(&[other_menu]).to_string().contains("for another menu"));
    let false_order = lie(&seller, |body| body.order.signature = key(1).sign(&Digest::ZERO));
    assert!(error(&[false_order]).to_string().contains("signature of the order is false"));
}

/// 95 items at ten to a window; 93 are acknowledged, 90 paid, and the buyer is gone.
#[test]
fn the_story_of_the_buyer_that_took_95_and_acknowledged_93() {
    for by_escrow in [false, true] {
        let setting = Setting::default().no_records().windows(10, 1).order("co2", None);
        let setting = if by_escrow { setting.by_escrow() } else { setting };
        let mut pair = setting.start();
        pair.run_to(93).run_without_feeding();
        pair.tell(pair::Role::Seller, Input::Items(vec![pair::item(94), pair::item(95)]));
        while pair.drain_outputs(pair::Role::Seller) {}
        hang_up(&mut pair);
        let seller = bundle_with(&pair, Role::Seller, Ledger::Speaks);
        let found = verdict(&[seller]);
        assert_eq!(found.acknowledged.items, 93, "{found}");
        assert_eq!((found.due.units(), found.unproven.amount), (465, Amount::ZERO));
        // The redeeming of the last voucher is the seller's own word.
        let rest = if by_escrow { vec![] } else { vec![(Role::Buyer, 15, 15)] };
        assert_eq!(debts(&found), rest, "{found}");
        let silent = verdict(&[bundle_with(&pair, Role::Seller, Ledger::Silent)]);
        let rest = if by_escrow { (Role::Buyer, 20, 0) } else { (Role::Buyer, 65, 15) };
        assert_eq!(debts(&silent), [rest], "{silent}");
    }
}
