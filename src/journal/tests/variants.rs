//! Fees that are raised, transactions that are cancelled, and payments that were named twice.

use super::ledger::now;
use super::node::Node;
use super::*;
use crate::journal::delivery::{Cancel, State as Way};
use crate::journal::obligation::State;
use crate::journal::outbox::{Answer, Step, perform};
use sdpp_ledger::{Finality, Ledger, LedgerError, Signed};

/// A payment that is sent at a price of one, and then waits because the price is ten.
fn starved(node: &mut Node) -> (Reference, Delivery) {
    let reference = node.owe(1, payment(session(1), 1));
    let row = node.send();
    node.toy.chain().reprice(10);
    (reference, row)
}

fn tx_met(node: &Node) -> TxId {
    node.met()[0].1.tx.clone()
}

#[test]
fn a_starved_payment_is_raised_under_its_number_and_the_new_one_is_met() {
    let mut node = Node::new(1);
    let (reference, first) = starved(&mut node);
    node.settle();
    assert!(matches!(node.state(&reference), State::Met { .. }));
    let deliveries = node.deliveries();
    let [row] = &deliveries[..] else {
        panic!("not one number: {deliveries:?}");
    };
    assert_eq!((row.variants.len(), row.own().len()), (2, 2));
    assert_eq!(row.variants[1].number, first.id.number);
    let [old, new] = [0, 1].map(|at| row.variants[at].tx.clone().unwrap());
    assert_eq!(tx_met(&node), new, "the evidence names what landed");
    let told = [NewsKind::Signed(old), NewsKind::Signed(new)];
    assert_eq!(node.news[..2], told, "the session hears of the new transaction");
}

#[test]
fn nothing_is_raised_before_its_time_nor_where_it_offers_enough() {
    let mut node = Node::new(1);
    let (_, row) = starved(&mut node);
    node.now_ms += 4_000;
    node.turn();
    assert_eq!(node.deliveries()[0].variants, row.variants, "it is not time");
    node.toy.chain().reprice(1);
    node.now_ms += 2_000;
    let steps = node.plan();
    assert!(matches!(steps[..], [Step::Raise { .. }]), "{steps:?}");
    node.turn();
    let kept = node.deliveries().remove(0);
    assert_eq!((&kept.variants, kept.priced_ms), (&row.variants, node.now_ms));
    assert!(!matches!(node.plan()[..], [Step::Raise { .. }]), "it is looked at after some time");
}

/// A payment at a price of one whose bytes were handed over, and nobody knows what became of them;
/// the price is ten since.
fn in_doubt(node: &mut Node) -> (Reference, Delivery) {
    let reference = node.owe(1, payment(session(1), 1));
    node.turn();
    hand_over_in_vain(node);
    node.toy.chain().reprice(10);
    (reference, node.deliveries().remove(0))
}

fn hand_over_in_vain(node: &mut Node) {
    let step = node.plan().remove(0);
    assert!(matches!(step, Step::Submit { .. }), "{step:?}");
    let lost = LedgerError::unavailable("the answer is lost");
    node.answer(step, Answer::Submitted(Err(lost)));
    node.now_ms += 6_000;
}

#[test]
fn a_refusal_of_the_newest_variant_is_none_of_those_before() {
    let mut node = Node::new(1);
    let (reference, first) = in_doubt(&mut node);
    node.toy.chain().refused_above = 5;
    node.settle();
    let row = node.deliveries().remove(0);
    assert_eq!((row.own().len(), &row.state), (2, &Way::Sent), "the older one is out again");
    node.toy.chain().reprice(1);
    node.settle();
    assert!(matches!(node.state(&reference), State::Met { .. }));
    assert_eq!(Some(tx_met(&node)), first.variants[0].tx);
    assert_eq!(node.deliveries().len(), 1);
}

#[test]
fn what_is_refused_of_all_variants_is_refused() {
    let mut node = Node::new(1);
    let (reference, _) = in_doubt(&mut node);
    node.toy.chain().refused_above = 0;
    node.settle();
    let why = "TooDear: nobody takes so much".to_owned();
    assert_eq!(node.state(&reference), State::Refused { why });
    let row = node.deliveries().remove(0);
    assert_eq!(row.own().len(), 2);
    assert!(matches!(row.state, Way::Dead { number_spent: false, .. }), "{:?}", row.state);
}

/// Where what cancels it is refused because the payment arrived, and a node that is behind knows of
/// neither, nothing is over yet.
#[test]
fn a_refusal_of_what_cancels_a_payment_is_no_refusal_of_the_payment() {
    let mut node = Node::new(1);
    let (reference, first) = in_doubt(&mut node);
    done(&mut node.journal, Write::Cancel { reference });
    hand_over_in_vain(&mut node);
    hand_over_in_vain(&mut node);
    node.toy.chain().refused_above = 5;
    node.settle();
    let row = node.deliveries().remove(0);
    assert_eq!(row.cancelling().len(), 1);
    assert!(row.state.is_live(), "{:?}", row.state);
    assert!(node.toy.chain().pool.is_empty(), "what was cancelled is not sent again");
    let arrived = first.variants[0].raw.clone();
    node.toy.chain().reprice(1);
    node.toy.chain().pool.insert(row.id.number, arrived);
    node.settle();
    assert!(matches!(node.state(&reference), State::Met { .. }));
    assert_eq!(Some(tx_met(&node)), first.variants[0].tx);
}

#[test]
fn an_older_variant_that_lands_meets_what_is_owed() {
    let mut node = Node::new(1);
    let (reference, first) = starved(&mut node);
    node.now_ms += 6_000;
    node.turn();
    let row = node.deliveries().remove(0);
    assert_eq!((row.own().len(), &row.state), (2, &Way::Prepared { accepted: true }));
    // The newer one never leaves: the price falls, and the old one is in a block first.
    node.toy.chain().reprice(1);
    node.toy.chain().mine();
    node.settle();
    assert!(matches!(node.state(&reference), State::Met { .. }));
    assert_eq!(Some(tx_met(&node)), first.variants[0].tx);
    assert_eq!(node.deliveries().len(), 1, "and nothing is paid twice");
}

#[test]
fn each_raise_waits_twice_as_long_as_the_one_before() {
    let mut node = Node::new(1);
    starved(&mut node);
    for (raises, wait_ms) in [5_000, 10_000, 20_000, 40_000, 80_000].into_iter().enumerate() {
        let row = node.deliveries().remove(0);
        assert_eq!(row.own().len(), 1 + raises);
        node.toy.chain().reprice(10 + 2 * u128::try_from(raises).unwrap());
        let since_ms = row.priced_ms;
        node.now_ms = since_ms + wait_ms - 1;
        assert!(!is_raise(&node.plan()), "raise {raises} came too soon");
        node.now_ms = since_ms + wait_ms;
        assert!(is_raise(&node.plan()), "raise {raises} came too late");
        node.turn();
        node.turn();
    }
}

#[test]
fn however_often_it_was_raised_it_follows_the_price_up_to_what_may_be_offered() {
    let mut node = Node::new(1);
    let (reference, _) = starved(&mut node);
    for price in 11..=super::ledger::CEILING - 2 {
        node.toy.chain().reprice(price);
        node.now_ms += 600_000;
        node.turn();
        node.turn();
    }
    assert!(node.deliveries()[0].own().len() > 8);
    node.settle();
    assert!(matches!(node.state(&reference), State::Met { .. }), "it is stuck");
    assert_eq!((node.deliveries().len(), node.met().len()), (1, 1));
}

#[test]
fn a_cancellation_follows_the_price_as_well() {
    let mut node = Node::new(1);
    let (reference, _) = starved(&mut node);
    done(&mut node.journal, Write::Cancel { reference });
    node.turn();
    node.turn();
    assert_eq!(node.deliveries()[0].cancelling().len(), 1);
    node.toy.chain().reprice(20);
    node.settle();
    let row = node.deliveries().remove(0);
    assert!(matches!(row.state, Way::Cancelled { .. }), "{:?}", row.state);
    assert_eq!(row.cancelling().len(), 2);
}

#[test]
fn the_number_of_variants_has_an_end() {
    let mut node = Node::new(1);
    let (_, row) = starved(&mut node);
    for _ in 1..64 {
        node.now_ms += 600_000;
        assert!(is_raise(&node.plan()));
        let (delivery, signed) = (row.id.clone(), Box::new(row.variants[0].clone()));
        done(&mut node.journal, Write::Raise { delivery, signed });
    }
    node.now_ms += 600_000;
    assert!(!is_raise(&node.plan()));
}

fn is_raise(steps: &[Step]) -> bool {
    steps.iter().any(|step| matches!(step, Step::Raise { .. }))
}

#[test]
fn what_would_not_fit_its_row_is_not_raised() {
    let mut node = Node::new(1);
    let (_, row) = starved(&mut node);
    let large = vec![7; 60 * 1024];
    let signed = Box::new(Signed { raw: large, ..row.variants[0].clone() });
    done(&mut node.journal, Write::Raise { delivery: row.id, signed });
    node.now_ms += 60_000;
    let steps = node.plan();
    assert!(matches!(steps[..], [Step::Submit { .. }]), "{steps:?}");
}

#[test]
fn what_is_not_signed_is_cancelled_at_once_and_can_be_tried_again() {
    let mut node = Node::new(1);
    let reference = node.owe(1, payment(session(1), 1));
    done(&mut node.journal, Write::Cancel { reference });
    let why = "cancelled by the operator".to_owned();
    assert_eq!(node.state(&reference), State::Refused { why });
    assert!(node.plan().is_empty());
    let event = obligation::Event::Retried;
    done(&mut node.journal, Write::Obligation { reference, event });
    node.settle();
    assert!(matches!(node.state(&reference), State::Met { .. }));
    let late = one(&mut node.journal, Write::Cancel { reference });
    assert!(matches!(late, Err(WriteError::Illegal(_))), "{late:?}");
}

#[test]
fn a_stuck_payment_is_cancelled_by_a_transaction_without_effect() {
    let mut node = Node::new(1);
    let (reference, _) = starved(&mut node);
    let written = done(&mut node.journal, Write::Cancel { reference });
    assert_eq!(written.ledgers, [ledger_id()], "the ledger's actor is woken");
    // A kill forgets no wish.
    node.restart();
    node.settle();
    let why = "cancelled by the operator".to_owned();
    assert_eq!(node.state(&reference), State::Refused { why });
    let row = node.deliveries().remove(0);
    assert!(matches!(row.state, Way::Cancelled { .. }), "{:?}", row.state);
    assert_eq!((row.cancelling().len(), &row.cancel), (1, &Cancel::Signed { from: 1 }));
    assert!(node.toy.chain().mined().all(|mined| mined.call.is_none()), "nobody was paid");
    let signed = node.news.iter().filter(|news| matches!(news, NewsKind::Signed(_)));
    assert_eq!(signed.count(), 1, "no session hears of what cancels");
    // The number is used: the next payment takes the next.
    let next = node.owe(2, payment(session(1), 2));
    node.settle();
    assert!(matches!(node.state(&next), State::Met { .. }));
    assert_eq!(node.deliveries()[1].id.number, row.id.number + 1);
}

#[test]
fn a_cancellation_that_comes_too_late_leaves_the_payment_met() {
    let mut node = Node::new(1);
    let (reference, first) = starved(&mut node);
    done(&mut node.journal, Write::Cancel { reference });
    node.turn();
    assert!(matches!(node.deliveries()[0].cancel, Cancel::Signed { .. }));
    node.toy.chain().reprice(1);
    node.toy.chain().mine();
    node.settle();
    assert!(matches!(node.state(&reference), State::Met { .. }));
    assert_eq!(Some(tx_met(&node)), first.variants[0].tx);
}

#[test]
fn a_variant_is_refused_under_another_number_and_after_the_end() {
    let mut node = Node::new(1);
    let (_, row) = starved(&mut node);
    let raised = now(node.toy.raise(row.own())).unwrap().unwrap();
    let (delivery, mut signed) = (row.id.clone(), Box::new(raised));
    signed.number += 1;
    let other = one(&mut node.journal, Write::Raise { delivery, signed: signed.clone() });
    assert!(matches!(other, Err(WriteError::NotWhatIsOwed(_))), "{other:?}");
    node.settle();
    signed.number -= 1;
    let over = one(&mut node.journal, Write::Raise { delivery: row.id, signed });
    assert!(matches!(over, Err(WriteError::Illegal(_))), "{over:?}");
}

#[test]
fn a_payment_may_be_named_again_with_another_transaction() {
    let mut node = Node::new(1);
    // The first pays somebody else; the second is good.
    let first = done(&mut node.journal, append(session(1), claim(session(1), 1, tx("bad-1"))));
    let again = done(&mut node.journal, append(session(1), claim(session(1), 1, tx("good-1"))));
    assert!(again.seq > first.seq && !again.repeated, "its message is kept");
    let reference = session(1).reference(Purpose::Payment, 1);
    node.settle();
    let State::Met { evidence } = node.state(&reference) else {
        panic!("not met: {:?}", node.state(&reference));
    };
    assert_eq!(evidence.tx, tx("good-1"));
    // It pays only once.
    let used = one(&mut node.journal, append(session(1), claim(session(1), 2, tx("good-1"))));
    assert!(matches!(used, Err(WriteError::TxUsed { .. })), "{used:?}");
    // What is paid needs no more transactions.
    let late = done(&mut node.journal, append(session(1), claim(session(1), 1, tx("good-2"))));
    assert!(late.repeated);
}

#[test]
fn a_payment_is_not_named_again_for_another_amount_nor_without_end() {
    let mut node = Node::new(1);
    done(&mut node.journal, append(session(1), claim(session(1), 1, tx("good-1"))));
    let mut other = claim(session(1), 1, tx("good-2"));
    if let Record::Payment { owed: Some(Owed { act: Act::Check(claim), .. }), .. } = &mut other {
        claim.transfer.amount = Amount::new(1);
    }
    let other = one(&mut node.journal, append(session(1), other));
    assert!(matches!(other, Err(WriteError::ReferenceConflict { .. })), "{other:?}");
    for number in 1..=8 {
        let name = tx(&format!("again-{number}"));
        done(&mut node.journal, append(session(1), claim(session(1), 1, name)));
    }
    let more = one(&mut node.journal, append(session(1), claim(session(1), 1, tx("again-9"))));
    assert!(matches!(more, Err(WriteError::ReferenceConflict { .. })), "{more:?}");
}

#[test]
fn rows_from_before_there_were_variants_open_as_they_were_meant() {
    let mut node = Node::new(1);
    let (reference, row) = starved(&mut node);
    let mut old = serde_json::to_value(&row).unwrap();
    for new in ["again", "priced_ms", "cancel"] {
        assert!(old.as_object_mut().unwrap().remove(new).is_some(), "{new}");
    }
    // Another call was signed under the number before, and refused: it is not among its own.
    let earlier = old["variants"][0].clone();
    old["variants"].as_array_mut().unwrap().insert(0, earlier);
    let read: Delivery = serde_json::from_value(old).unwrap();
    assert_eq!((read.own(), read.cancelling().len()), (&row.variants[..], 0));
    assert_eq!(read.cancel, Cancel::No);
    let obligation = node.journal.reader().obligation(&reference).unwrap().unwrap();
    let text = serde_json::to_string(&obligation).unwrap();
    assert!(!text.contains("also"), "{text}");
    assert_eq!(serde_json::from_str::<Obligation>(&text).unwrap(), obligation);
    let evidence = serde_json::to_string(&super::tables::evidence("0x1")).unwrap();
    assert!(!evidence.contains("rows"), "{evidence}");
}

#[test]
fn what_was_looked_up_of_all_variants_decides_together() {
    let mut node = Node::new(1);
    let (_, row) = starved(&mut node);
    node.now_ms += 6_000;
    node.turn();
    // A stranger takes the number: neither variant can happen, and the payment goes elsewhere.
    node.toy.chain().stranger();
    let step = Step::Finality {
        delivery: row.id.clone(),
        variants: node.deliveries()[0].own().to_vec(),
        tries: 0,
    };
    let unknown = now(perform(&node.toy, &step));
    assert_eq!(unknown, Answer::Finality(Ok(Finality::Unknown)));
    node.settle();
    let deliveries = node.deliveries();
    assert!(matches!(deliveries[0].state, Way::Dead { number_spent: true, .. }));
    assert_eq!((deliveries.len(), node.met().len()), (2, 1));
}
