//! Sessions whose seller lost items with its process, before the judge: what both have signed to be void is
//! due by nobody, and whoever leaves that out convicts nobody.

use crate::line::Wire;
use crate::pair::Setting;
use crate::table::beyond;
use crate::{both, debts, key_of, lie, nth, offences, sign_again, verdict};
use sdpp::crypto::layout::MessageKind;
use sdpp::dispute::{Bundle, Offence};
use sdpp::record::Record;
use sdpp::session::Buyer;
use sdpp::terms::Role;
use serde_json::json;

fn settings() -> Vec<(&'static str, Setting)> {
    let base = || Setting::default().order("co2", Some(10)).windows(3, 2);
    vec![
        ("transfer", base()),
        ("transfer under MACs", base().under_mac().anchored_after()),
        ("escrow", base().by_escrow()),
        ("escrow under MACs", base().by_escrow().under_mac().windows(4, 1)),
    ]
}

/// Sessions that went on with a void after their seller was killed.
fn voided(what: &str) -> impl Iterator<Item = Wire> {
    (0..110).step_by(4).filter_map(move |at| {
        let setting = settings().into_iter().find(|(one, _)| *one == what).unwrap().1;
        let mut wire = Wire::new(setting);
        let is_there = (0..at).all(|_| wire.step()) && wire.pair.buyer.terms().is_some();
        if !is_there || wire.pair.s.closed.is_some() {
            return None;
        }
        println!("{what}: killed after step {at}");
        wire.restart(false).unwrap();
        wire.finish();
        (wire.pair.s.progress().void > 0).then_some(wire)
    })
}

fn without_amends(bundle: &Bundle) -> Bundle {
    lie(bundle, |body| body.messages.retain(|message| message.kind != MessageKind::Amend))
}

#[test]
fn the_judge_counts_what_was_given() {
    for (what, _) in settings() {
        let mut count = 0;
        for wire in voided(what) {
            let [seller, buyer] = both(&wire.pair);
            for bundles in [vec![seller.clone(), buyer.clone()], vec![seller], vec![buyer]] {
                let found = verdict(&bundles);
                assert_eq!((found.misdeeds, &found.parting), (0, &None), "{found}");
                assert_eq!(debts(&found), [], "{found}");
                let figure = (found.invoiced.items, found.invoiced.amount.units());
                assert_eq!(figure, (10, 50), "{found}");
                assert_eq!((found.acknowledged.items, found.due.units()), (10, 50), "{found}");
            }
            count += 1;
        }
        assert!(count > 2, "{what}: {count}");
    }
}

#[test]
fn who_leaves_a_void_out_convicts_nobody() {
    for (what, _) in settings() {
        for wire in voided(what) {
            let [seller, buyer] = both(&wire.pair);
            let found = verdict(&[without_amends(&buyer)]);
            assert!(offences(&found).iter().all(|(by, _)| *by == Role::Buyer), "{found}");
            let found = verdict(&[without_amends(&seller)]);
            assert!(offences(&found).iter().all(|(by, _)| *by == Role::Seller), "{found}");
            // Who is heard brings it.
            let found = verdict(&[without_amends(&buyer), seller.clone()]);
            assert_eq!((found.misdeeds, debts(&found)), (0, vec![]), "{found}");
            let found = verdict(&[without_amends(&seller), buyer.clone()]);
            assert_eq!((found.misdeeds, debts(&found)), (0, vec![]), "{found}");
        }
    }
}

#[test]
fn a_seller_that_asks_for_what_is_void_is_convicted() {
    let mut count = 0;
    for wire in voided("transfer") {
        let [seller, buyer] = both(&wire.pair);
        let lost = u128::from(wire.pair.s.progress().void) * 5;
        let asks = lie(&seller, |body| {
            let invoices = body.messages.iter();
            let invoices = invoices.filter(|one| one.kind == MessageKind::DataInvoice).count();
            let last = nth(body, MessageKind::DataInvoice, invoices - 1);
            sign_again(last, &key_of(Role::Seller), |data| {
                let invoice = &mut data["invoice"];
                for total in ["amount", "amount_total"] {
                    let asked: u128 = invoice[total].as_str().unwrap().parse().unwrap();
                    invoice[total] = json!((asked + lost).to_string());
                }
            });
        });
        let found = verdict(&[asks, buyer]);
        assert!(offences(&found).contains(&(Role::Seller, Offence::WrongInvoice)), "{found}");
        count += 1;
    }
    assert!(count > 2);
}

/// What only the seller has signed binds nobody: the buyer's acks are for items that it owes.
#[test]
fn a_void_that_the_buyer_did_not_sign_counts_for_nothing() {
    let mut count = 0;
    for wire in voided("transfer") {
        let [seller, buyer] = both(&wire.pair);
        let is_answer = |message: &sdpp::record::SignedMessage| {
            message.kind == MessageKind::Amend
                && message.signature == key_of(Role::Buyer).sign(&message.digest())
        };
        let unsigned =
            |bundle: &Bundle| lie(bundle, |body| body.messages.retain(|m| !is_answer(m)));
        let found = verdict(&[unsigned(&seller), unsigned(&buyer)]);
        assert!(offences(&found).contains(&(Role::Seller, Offence::WrongInvoice)), "{found}");
        count += 1;
    }
    assert!(count > 2);
}

/// Six items of gas in a session that outlives its connection.
fn resumed() -> [Bundle; 2] {
    let mut wire = Wire::new(Setting::default());
    wire.finish();
    both(&wire.pair)
}

/// Who brings one side's papers alone may have left out that items were lost, and others followed in their
/// place: so more than was ordered proves nothing.
#[test]
fn more_than_was_ordered_may_stand_behind_what_is_void() {
    let [seller, buyer] = resumed();
    let [caught, invoiced] = beyond([&seller, &buyer]);
    for bundle in [&caught, &invoiced] {
        let found = verdict(std::slice::from_ref(bundle));
        assert_eq!(offences(&found), [], "{found}");
    }
    let bare = lie(&buyer, |body| body.messages.retain(|m| m.kind != MessageKind::Exit));
    let found = verdict(&[caught, bare]);
    assert_eq!(offences(&found), [(Role::Buyer, Offence::WrongAck)], "{found}");
    assert_eq!((found.acknowledged.items, debts(&found)), (6, vec![]));
}

/// What is void is told from what both have signed; the note beside it says only how much had come.
#[test]
fn a_buyer_tells_what_is_void_from_what_both_have_signed() {
    for wire in voided("transfer") {
        let records = &wire.pair.b.records;
        let voids = Buyer::voids_of(records);
        assert!(!voids.is_empty());
        let noted = |record: &Record| match record.clone() {
            Record::Void { from_seq, to_seq, delivered, billed } => {
                assert_eq!((delivered.is_some(), billed), (true, None));
                Record::Void { from_seq: from_seq + 1, to_seq: to_seq + 9, delivered, billed }
            }
            other => other,
        };
        let other: Vec<Record> = records.iter().map(noted).collect();
        assert_eq!(Buyer::voids_of(&other), voids);
        let is_answer = |record: &&Record| matches!(record, Record::Amend { by: Role::Buyer, .. });
        let unsigned = records.iter().filter(|record| !is_answer(record));
        assert_eq!(Buyer::voids_of(unsigned), []);
        for record in &wire.pair.s.records {
            if let Record::Void { delivered, billed, .. } = record {
                assert_eq!((*delivered, billed.is_some()), (None, true));
            }
        }
    }
}
