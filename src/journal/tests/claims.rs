//! Stories of claims: what a stranger says that pays, and how long it is believed to come.

use super::ledger::now;
use super::node::Node;
use super::*;
use crate::journal::NewsKind;
use crate::journal::obligation::State;
use crate::journal::outbox::{self, Step, perform};
use sdpp_ledger::{Finality, Inclusion};

const DAY_MS: u64 = 24 * 3_600_000;

/// A node that is told of a payment by these transactions, each for a window of its own.
fn told(txs: &[&str]) -> (Node, Vec<Reference>) {
    let mut node = Node::new(1);
    let mut references = Vec::new();
    for (number, name) in (1..).zip(txs) {
        let record = claim(session(1), number, tx(name));
        done(&mut node.journal, append(session(1), record));
        references.push(session(1).reference(Purpose::Payment, number));
    }
    (node, references)
}

/// Answers the one question that is due, and waits as long as the outbox does.
fn answered(node: &mut Node, finality: Finality) -> u64 {
    let mut plan = node.plan();
    let (Some(step @ Step::Check { .. }), true) = (plan.pop(), plan.is_empty()) else {
        panic!("not one question");
    };
    node.answer(step, outbox::Answer::Finality(Ok(finality)));
    let next_ms = node.outbox.next_due(&node.journal.reader()).unwrap();
    let waits_ms = next_ms.map_or(0, |next_ms| next_ms - node.now_ms);
    node.now_ms += waits_ms;
    waits_ms
}

fn included() -> Finality {
    Finality::Pending(Some(Inclusion { height: 3, block: "0xa".to_owned() }))
}

#[test]
fn an_invented_transaction_is_asked_for_ever_less_and_given_up_after_days() {
    let (mut node, references) = told(&["invented"]);
    let mut waits = Vec::new();
    while matches!(node.state(&references[0]), State::Watching) {
        waits.push(answered(&mut node, Finality::Unknown));
        assert!(waits.len() < 1_000, "asked for ever");
    }
    assert_eq!(waits[..6], [1_000, 1_000, 1_000, 1_000, 2_000, 2_000]);
    assert!(waits[..waits.len() - 1].is_sorted() && waits.iter().all(|ms| *ms <= 600_000));
    assert!((3 * DAY_MS..3 * DAY_MS + 600_000).contains(&(node.now_ms - NOW)), "after three days");
    let State::Refused { why } = node.state(&references[0]) else { panic!("it was met") };
    assert!(why.starts_with("NotIncluded: "), "{why}");
    assert_eq!(node.outbox.next_due(&node.journal.reader()).unwrap(), None);
}

#[test]
fn a_payment_that_is_minutes_late_is_seen_within_minutes() {
    let (mut node, references) = told(&["late"]);
    while node.now_ms < NOW + 20 * 60_000 {
        let (before_ms, went_by_ms) = (node.now_ms, node.now_ms - NOW);
        answered(&mut node, Finality::Pending(None));
        assert!(node.now_ms - before_ms <= went_by_ms.max(5_000) / 2, "after {went_by_ms} ms");
    }
    answered(&mut node, included());
    assert!(matches!(node.state(&references[0]), State::Watching));
}

#[test]
fn a_claim_that_gets_somewhere_is_asked_for_as_often_as_at_first() {
    let (mut node, _) = told(&["reorganised"]);
    for _ in 0..30 {
        answered(&mut node, Finality::Unknown);
    }
    assert_eq!(answered(&mut node, included()), 1_000);
    assert_eq!(answered(&mut node, Finality::Unknown), 1_000, "its block was taken back");
    for _ in 0..30 {
        answered(&mut node, Finality::Unknown);
    }
    let another = claim(session(1), 1, tx("the-same-for-a-higher-fee"));
    let now_ms = node.now_ms;
    node.journal.commit(now_ms, vec![append(session(1), another)]).unwrap().remove(0).unwrap();
    assert_eq!(answered(&mut node, Finality::Unknown), 1_000, "another transaction was named");
}

#[test]
fn a_session_hears_how_deep_its_payment_stands_and_that_its_block_was_given_up() {
    let (mut node, _) = told(&["paid"]);
    answered(&mut node, Finality::Pending(None));
    answered(&mut node, included());
    let Some(step) = node.plan().pop() else { panic!("it is looked for") };
    node.answer(step, outbox::Answer::Shallow { blocks: 3 });
    node.now_ms += 1_000;
    answered(&mut node, Finality::Unknown);
    let told = [0, 1, 3, 0].map(|blocks| NewsKind::Included { blocks });
    assert_eq!(node.news, told);
}

/// The toy ledger shows what is claimed in block 9.
#[test]
fn how_deep_a_claim_stands_is_asked_of_the_ledger() {
    let (node, _) = told(&["paid"]);
    let Some(step) = node.plan().pop() else { panic!("it is looked for") };
    for (mined, answer) in [
        (9, outbox::Answer::Finality(Ok(Finality::Pending(None)))),
        (10, outbox::Answer::Shallow { blocks: 2 }),
        (11, outbox::Answer::Shallow { blocks: 3 }),
    ] {
        while node.toy.chain().blocks.len() < mined {
            node.toy.chain().mine();
        }
        assert_eq!(now(perform(&node.toy, &step)), answer);
    }
}

#[test]
fn a_clock_that_leaps_gives_no_claim_up() {
    let (mut node, references) = told(&["good"]);
    answered(&mut node, Finality::Unknown);
    node.now_ms += 400 * DAY_MS;
    answered(&mut node, Finality::Unknown);
    assert_eq!(node.state(&references[0]), State::Watching);
}

#[test]
fn claims_of_strangers_wait_for_what_is_ours() {
    let names: Vec<String> = (0..100).map(|n| format!("invented-{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let (mut node, references) = told(&names);
    let voucher = node.owe(200, settle(session(1), 200, 7, 100));
    let plan = node.plan();
    assert!(matches!(plan[0], Step::Prepare { .. }), "{:?}", plan[0]);
    assert_eq!(plan.len(), 2, "and one claim beside it");
    while !matches!(node.state(&voucher), State::Met { .. }) {
        for step in node.plan() {
            let answer = match &step {
                Step::Check { .. } => outbox::Answer::Finality(Ok(Finality::Unknown)),
                step => now(perform(&node.toy, step)),
            };
            node.answer(step, answer);
        }
        node.toy.chain().mine();
        node.now_ms += 400;
    }
    let tries = |r| node.journal.reader().obligation(r).unwrap().unwrap().tries;
    assert!(references.iter().any(|r| tries(r) > 0), "and they get their turn");
}
