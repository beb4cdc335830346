//! An account's numbers when somebody else uses them, or the ledger loses what used them.

use super::node::Node;
use super::*;
use crate::journal::delivery::State as Way;
use crate::journal::obligation::State;
use crate::journal::outbox::{Answer, Step, perform};
use sdpp_ledger::LedgerError;

#[test]
fn a_stranger_costs_numbers_and_no_obligation() {
    let mut node = Node::new(1);
    let first = node.owe(1, payment(session(1), 1));
    node.send();
    for _ in 0..3 {
        node.toy.chain().stranger();
    }
    node.settle();
    assert!(matches!(node.state(&first), State::Met { .. }));
    let numbers: Vec<u64> = node.deliveries().iter().map(|row| row.id.number).collect();
    assert_eq!(numbers, [5, 8], "the ledger was asked before the next was signed");
}

#[test]
fn the_ledger_is_asked_after_each_restart() {
    let mut node = Node::new(1);
    node.owe(1, payment(session(1), 1));
    node.settle();
    node.toy.chain().stranger();
    node.restart();
    node.owe(2, payment(session(1), 2));
    node.settle();
    let numbers: Vec<u64> = node.deliveries().iter().map(|row| row.id.number).collect();
    assert_eq!((&numbers[..], node.met().len()), (&[5, 7][..], 2));
}

#[test]
fn what_the_ledger_lost_is_sent_again_before_anything_new() {
    let mut node = Node::new(1);
    for number in 1..=3 {
        node.owe(number, payment(session(1), number));
    }
    node.settle();
    let before: Vec<Delivery> = node.deliveries();
    node.toy.chain().lose_all();
    node.restart();
    let next = node.owe(4, payment(session(1), 4));
    node.settle();
    assert!(matches!(node.state(&next), State::Met { .. }));
    assert_eq!(node.deliveries()[..3], before[..], "what is done stays done");
    let mined: Vec<u64> = node.toy.chain().mined().map(|mined| mined.number).collect();
    assert_eq!(mined, [5, 6, 7, 8]);
}

#[test]
fn what_a_stranger_left_free_in_a_reorg_is_used_by_the_next() {
    let mut node = Node::new(1);
    node.toy.chain().stranger();
    node.owe(1, payment(session(1), 1));
    let row = node.send();
    assert_eq!(row.id.number, 6);
    node.toy.chain().lose_all();
    node.restart();
    let next = node.owe(2, payment(session(1), 2));
    node.settle();
    assert!(matches!(node.state(&next), State::Met { .. }));
    let numbers: Vec<u64> = node.deliveries().iter().map(|row| row.id.number).collect();
    assert_eq!((&numbers[..], node.met().len()), (&[5, 6][..], 2));
}

#[test]
fn a_gap_that_nothing_can_fill_is_told_with_its_number() {
    let mut node = Node::new(1);
    node.toy.chain().stranger();
    node.owe(1, payment(session(1), 1));
    node.send();
    node.toy.chain().lose_all();
    node.now_ms += 6_000;
    let step = node.plan().remove(0);
    assert!(matches!(step, Step::Raise { .. }), "{step:?}");
    let answer = super::ledger::now(perform(&node.toy, &step));
    let Answer::Gap(gap) = &answer else {
        panic!("no gap: {answer:?}");
    };
    let LedgerError::Unavailable { what, .. } = gap.error() else {
        panic!("no warning");
    };
    let (number, account) = (format!("number {}", gap.free), account(1));
    assert!(what.contains(&number) && what.contains(account.as_str()), "{what}");
    node.answer(step, answer);
    let variants = node.deliveries()[0].variants.len();
    assert_eq!((gap_free(&what), variants), (5, 1), "nothing was signed beyond it");
    // Whoever does as it says is heard.
    node.toy.chain().stranger();
    node.settle();
    assert_eq!(node.met().len(), 1);
    assert!(matches!(node.deliveries()[0].state, Way::Final { .. }));
}

fn gap_free(what: &str) -> u64 {
    let at = what.find("number ").unwrap() + "number ".len();
    what[at..].split(' ').next().unwrap().parse().unwrap()
}
