//! Lies about credit notes: each ends the session, with what was signed kept as evidence.

use crate::amends::*;
use crate::liars::{ends_with, lie_in};
use crate::pair::Side as Party;
use crate::pair::*;
use sdpp::crypto::layout::MessageKind;
use sdpp::crypto::{Keys, leaf, salt};
use sdpp::message::{Ack, Amend, Ask, Base64, Body, Change, Complaint, DataInvoice, Draft, Facts};
use sdpp::record::{End, Record};
use sdpp::session::Input;
use sdpp::terms::Role as Side;
use sdpp_ledger::{Amount, Digest, merkle};
use serde_json::{Value, json};

fn evidence(side: &Party) -> Vec<sdpp::record::SignedMessage> {
    match side.records.last() {
        Some(Record::Ended { end: End::Misconduct, evidence, .. }) => evidence.clone(),
        other => panic!("no misconduct: {other:?}"),
    }
}

fn credited() -> Pair {
    let mut pair = setting().windows(4, 4).start();
    pair.run_to(6);
    credit(&mut pair, &[1], None).unwrap();
    pair
}

#[test]
fn a_note_that_does_not_fit_is_not_signed() {
    type Case = (fn(&mut Value), &'static str);
    let cases: [Case; 9] = [
        (|m| m["change"]["credit"]["total"] = json!("6"), "0 and 5 are not 6"),
        (|m| m["change"]["credit"]["amount"] = json!("0"), "0 and 0 are not 5"),
        (|m| m["from_seq"] = json!(5), "item 5 does not begin the next window"),
        (|m| m["from_seq"] = json!(13), "item 13 does not begin the next window"),
        (|m| m["number"] = json!(2), "the seller's amend 2 comes where 1 is due"),
        (|m| m["change"]["credit"]["items"] = json!([]), "it is for 1 to 256 items"),
        (|m| m["change"]["credit"]["items"] = json!([2, 1]), "do not stand in their order"),
        (|m| m["change"]["credit"]["items"] = json!([9]), "do not stand in their order"),
        (|m| m["change"]["credit"]["ask"] = json!(1), "request 1, which is not open"),
    ];
    for (change, says) in cases {
        let mut pair = credited();
        lie_in::<Amend>(&mut pair, Role::Seller, change);
        ends_with(&mut pair, Role::Seller, "bad_amend", says);
        assert!(evidence(&pair.b)[0].is_by(&key(1).public()), "{says}");
        assert!(!types(&pair.b).contains(&"amend".to_owned()), "{says}");
    }
}

/// More than all items before it cost, though the sums add up.
#[test]
fn more_than_the_items_cost_is_not_credited() {
    let mut pair = credited();
    lie_in::<Amend>(&mut pair, Role::Seller, |m| {
        m["change"]["credit"]["amount"] = json!("41");
        m["change"]["credit"]["total"] = json!("41");
    });
    ends_with(&mut pair, Role::Seller, "bad_amend", "8 items cost 40: 41 are too much");
}

#[test]
fn a_note_for_nothing_is_no_note() {
    let mut pair = credited();
    lie_in::<Amend>(&mut pair, Role::Seller, |m| {
        m["change"]["credit"]["amount"] = json!("0");
        m["change"]["credit"]["total"] = json!("0");
    });
    ends_with(&mut pair, Role::Seller, "bad_amend", "it credits nothing");
}

#[test]
fn an_answer_to_another_note_is_none() {
    let mut pair = credited();
    while pair.b.wire.is_empty() || !types(&pair.b).contains(&"amend".to_owned()) {
        assert!(pair.step());
    }
    lie_in::<Amend>(&mut pair, Role::Buyer, |m| m["change"]["credit"]["total"] = json!("50"));
    ends_with(&mut pair, Role::Buyer, "bad_amend", "is not the credit note that was proposed");
    assert!(evidence(&pair.s)[0].is_by(&key(2).public()));
}

#[test]
fn a_change_that_nobody_knows_is_refused_and_the_session_goes_on() {
    let mut pair = credited();
    lie_in::<Amend>(&mut pair, Role::Seller, |m| m["change"] = json!({"granularity": 8}));
    // The seller, which had proposed something else, sees that it is refused.
    assert_eq!(pair.s.end(), End::Complete, "{}", pair.s.why());
    assert_eq!((pair.b.end(), pair.s.progress().paid), (End::Complete, Amount::new(120)));
}

/// `amend` as it stands, with whatever a seller writes into it.
#[derive(serde::Serialize, serde::Deserialize)]
struct RawAmend(Value);

impl Body for RawAmend {
    const KIND: MessageKind = MessageKind::Amend;

    fn facts(&self) -> Facts {
        serde_json::from_value::<Amend>(self.0.clone()).unwrap().facts()
    }
}

/// What would be refused is kept with its words: by them alone a judge sees that it moved no price.
#[test]
fn a_change_that_is_too_long_to_be_kept_is_not_refused_but_ends_the_session() {
    let changes = [
        json!({ "granularity": 8 }),
        json!({ "pace": { "granularity": 1_000_000, "credit_windows": 1, "why": "earned" } }),
        json!({ "void": { "to_seq": 12 } }),
    ];
    for change in changes {
        println!("{change}");
        let mut pair = credited();
        lie_in::<RawAmend>(&mut pair, Role::Seller, |m| {
            (m["change"], m["pad"]) = (change.clone(), json!("x".repeat(20_000)));
        });
        ends_with(&mut pair, Role::Seller, "bad_amend", "it is too long");
        assert!(!types(&pair.b).contains(&"amend".to_owned()));
    }
}

#[test]
fn an_invoice_that_forgets_the_credit_is_refused() {
    let mut pair = credited();
    pair.run_to(9);
    while !pair.s.wire.is_empty() {
        assert!(pair.step());
    }
    lie_in::<DataInvoice>(&mut pair, Role::Seller, |m| {
        m["invoice"]["amount"] = json!("20");
        m["invoice"]["amount_total"] = json!("60");
    });
    ends_with(&mut pair, Role::Seller, "bad_invoice", "invoice 3: its amount");
}

#[test]
fn an_invoice_that_nets_before_the_note_is_in_force_is_refused() {
    let mut pair = credited();
    lie_in::<DataInvoice>(&mut pair, Role::Seller, |m| {
        m["invoice"]["amount"] = json!("15");
        m["invoice"]["amount_total"] = json!("35");
    });
    ends_with(&mut pair, Role::Seller, "bad_invoice", "invoice 2: its amount");
}

#[test]
fn a_voucher_that_forgets_the_credit_is_refused() {
    let mut pair = setting().by_escrow().start();
    pair.run_to(6);
    credit(&mut pair, &[1], None).unwrap();
    pair.run_to(10);
    while !pair.b.wire.is_empty() {
        assert!(pair.step());
    }
    lie_in::<Ack>(&mut pair, Role::Buyer, |m| {
        let amount: u128 = m["voucher"]["cumulative_amount"].as_str().unwrap().parse().unwrap();
        m["voucher"]["cumulative_amount"] = json!((amount + 5).to_string());
    });
    let (code, message) = crate::liars::last_error(&pair.s);
    assert_eq!(code, "bad_payment", "{message}");
}

fn asked(change: impl Fn(&mut Value)) -> Pair {
    let mut pair = setting().windows(4, 4).start();
    run_to_invoice(&mut pair, 2);
    pair.buyer.ask(complaint(&pair, 2)).unwrap();
    lie_in::<Amend>(&mut pair, Role::Buyer, change);
    pair
}

#[test]
fn a_request_with_a_false_proof_is_misconduct() {
    type Case = (fn(&mut Value), &'static str);
    let cases: [Case; 8] = [
        (|m| m["change"]["ask"]["body"] = json!("bGll"), "a sealed item does not open"),
        (|m| m["change"]["ask"]["leaf"] = json!(Digest([9; 32])), "to the invoiced root"),
        (|m| m["change"]["ask"]["proof"]["path"] = json!([]), "does not lead to"),
        (|m| m["change"]["ask"]["seq"] = json!(3), "does not stand in that invoice's window"),
        (|m| m["change"]["ask"]["seq"] = json!(99), "does not stand in that invoice's window"),
        (|m| m["change"]["ask"]["invoice"] = json!(99), "no such invoice was sent"),
        (|m| m["change"]["ask"]["invoice"] = json!(0), "no such invoice was sent"),
        (|m| m["change"]["ask"]["proof"]["count"] = json!(5), "does not stand in"),
    ];
    for (change, says) in cases {
        let mut pair = asked(change);
        ends_with(&mut pair, Role::Buyer, "bad_item", says);
        assert!(evidence(&pair.s)[0].is_by(&key(2).public()), "{says}");
    }
}

#[test]
fn a_number_out_of_its_turn_is_none() {
    let mut pair = asked(|m| m["number"] = json!(2));
    ends_with(&mut pair, Role::Buyer, "bad_amend", "the buyer's amend 2 comes where 1 is due");
}

#[test]
fn a_buyer_proposes_no_credit() {
    let note = json!({"credit": {"amount": "5", "total": "5", "items": [1], "reason": "late"}});
    let mut pair = asked(move |m| m["change"] = note.clone());
    ends_with(&mut pair, Role::Buyer, "bad_amend", "a buyer proposes no such change");
}

/// Another item than the one that was sold, under its own number and with the right proof.
#[test]
fn another_item_in_the_place_of_the_one_that_was_sold_is_misconduct() {
    let mut pair = setting().windows(4, 4).start();
    run_to_invoice(&mut pair, 2);
    pair.buyer.ask(complaint(&pair, 2)).unwrap();
    let keys = Keys::first(&zeroize::Zeroizing::new([33; 32]), pair.b.session.unwrap());
    let other = keys.from(Side::Buyer).seal(MessageKind::Amend, 1, b"another").unwrap();
    let body = serde_json::to_value(Base64(other)).unwrap();
    lie_in::<Amend>(&mut pair, Role::Buyer, |m| m["change"]["ask"]["body"] = body.clone());
    ends_with(&mut pair, Role::Buyer, "bad_item", "does not lead to the invoiced root");
}

/// The item is sealed on its way, and no journal has it.
#[test]
fn a_request_shows_the_item_to_the_seller_alone() {
    let mut pair = setting().start();
    run_to_invoice(&mut pair, 1);
    pair.buyer.ask(complaint(&pair, 2)).unwrap();
    pair.run();
    let plain = serde_json::to_string(&Base64(item(2))).unwrap();
    for side in [&pair.s, &pair.b] {
        let kept = serde_json::to_string(&side.records).unwrap();
        assert!(!kept.contains(plain.trim_matches('"')) && !kept.contains("ppm"));
    }
}

/// Every one with a proof that is good: still nobody reads so many.
#[test]
fn a_flood_of_requests_ends_the_session() {
    let mut pair = setting().windows(4, 6).start();
    pair.ledger_down = true;
    run_to_invoice(&mut pair, 5);
    let session = pair.b.session.unwrap();
    let keys = Keys::first(&zeroize::Zeroizing::new([33; 32]), session);
    let leaf = |seq| leaf(&session, seq, &salt(keys.salt_secret(), seq), &item(seq));
    let ask = |seq: u64| {
        let (invoice, from) = (seq.div_ceil(4), 4 * ((seq - 1) / 4) + 1);
        let leaves: Vec<_> = (from..from + 4).map(leaf).collect();
        let proof = merkle::prove(&leaves, usize::try_from(seq - from).unwrap()).unwrap();
        let body = keys.from(Side::Buyer).seal(MessageKind::Amend, seq, &item(seq)).unwrap();
        let (reason, amount, body) = (Complaint::Lost, None, Base64(body));
        let ask = Ask { seq, reason, amount, body, leaf: leaf(seq), invoice, proof };
        let (by, change) = (Side::Buyer, Change::Ask(ask));
        let amend = Amend { number: seq, by, from_seq: 0, change };
        Draft::new(session, &amend).sign(&key(2), "").1
    };
    for seq in 1..=16 {
        pair.tell(Role::Seller, Input::Read(&ask(seq)));
        while pair.drain_outputs(Role::Seller) {}
    }
    assert_eq!((pair.seller.asks().len(), pair.s.closed.is_some()), (16, false));
    pair.tell(Role::Seller, Input::Read(&ask(17)));
    while pair.drain_outputs(Role::Seller) {}
    ends_with(&mut pair, Role::Buyer, "unexpected", "one more request has no place here");
}

/// The seller has signed each item, and signs an invoice that is of others: the items as they were
/// signed make that plain to anybody.
#[test]
fn an_invoice_for_other_items_is_convicted_by_the_items_that_were_signed() {
    let lied = |setting: Setting| {
        let mut pair = setting.start();
        run_to_invoice(&mut pair, 1);
        let other = json!(Digest([9; 32]));
        lie_in::<DataInvoice>(&mut pair, Role::Seller, |m| m["invoice"]["root"] = other.clone());
        ends_with(&mut pair, Role::Seller, "bad_invoice", "its digest or root");
        evidence(&pair.b)
    };
    let found = lied(setting());
    let seller = key(1).public();
    assert!(found.iter().all(|message| message.is_by(&seller)));
    let numbers: Vec<u64> = found.iter().map(|message| message.number).collect();
    assert_eq!(numbers, [2, 5, 6, 7], "invoice 2, and the items of its window before the last");
    let invoice: DataInvoice = sdpp::message::reread(&found[0]).unwrap();
    let leaves = found[1..].iter().map(|message| message.commitment);
    let leaves: Vec<_> = leaves.chain(invoice.leaf).collect();
    assert_ne!(merkle::root(&leaves), invoice.invoice.root, "anybody can see it");
    assert_eq!(lied(setting().under_mac()).len(), 1, "what is under a MAC proves nothing");
    let large = setting().order("co2", Some(600)).windows(300, 1);
    assert_eq!(lied(large).len(), 1, "and so many are not kept");
}
