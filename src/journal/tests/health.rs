//! Stories of what a ledger does not do, and when that is over.

use super::ledger::now;
use super::node::Node;
use super::*;
use crate::journal::outbox::{self, Ailment, Health, Step, perform};
use sdpp_ledger::LedgerError;
use std::time::Duration;

/// A node that hears what its ledger says.
struct Patient {
    node: Node,
    health: Health,
    /// When the ledger asks to be asked again, where it says so.
    retry_after: Option<Duration>,
}

impl Patient {
    fn new() -> Self {
        Patient { node: Node::new(1), health: Health::default(), retry_after: None }
    }

    /// A turn in which nothing can be signed: the ledger says why.
    fn turn(&mut self, why: Option<&str>) {
        for step in self.node.plan() {
            let answer = match (&step, why) {
                (Step::Prepare { .. }, Some(why)) => {
                    let (what, retry_after) = (why.to_owned(), self.retry_after);
                    outbox::Answer::Prepared(Err(LedgerError::Unavailable { what, retry_after }))
                }
                _ => now(perform(&self.node.toy, &step)),
            };
            self.health.hear(&step, &answer, self.node.now_ms);
            self.node.answer(step, answer);
        }
        let reader = self.node.journal.reader();
        self.health.forget_settled(&self.node.outbox, &reader).unwrap();
        self.node.toy.chain().mine();
        self.node.now_ms += 400;
    }

    fn trouble(&self) -> Option<(&str, u64)> {
        let trouble = self.health.trouble(self.node.now_ms)?;
        Some((&trouble.what, trouble.since_ms))
    }
}

#[test]
fn what_cannot_be_signed_is_said_for_as_long_as_that_lasts() {
    let mut patient = Patient::new();
    patient.node.owe(1, payment(session(1), 1));
    patient.node.send();
    patient.node.owe(2, payment(session(1), 2));
    let since_ms = patient.node.now_ms;
    for _ in 0..30 {
        patient.turn(Some("fees are above the ceiling"));
        assert_eq!(patient.trouble(), Some(("fees are above the ceiling", since_ms)));
    }
    assert_eq!(patient.node.met().len(), 1, "while all that was signed went on");
    while patient.node.met().len() < 2 {
        patient.turn(None);
    }
    assert_eq!(patient.trouble(), None);
}

#[test]
fn trouble_with_one_thing_is_not_over_when_another_is_done() {
    let mut patient = Patient::new();
    let (first, other) = (payment(session(1), 1), payment(session(1), 2));
    let first = patient.node.owe(1, first);
    patient.turn(Some("fund the account"));
    patient.node.owe(2, other);
    // The other one is due at once, and the first has to wait.
    let mut plan = patient.node.plan();
    let (Some(step @ Step::Prepare { .. }), 0) = (plan.pop(), plan.len()) else {
        panic!("not one thing to do");
    };
    assert!(matches!(&step, Step::Prepare { references, .. } if !references.contains(&first)));
    let answer = now(perform(&patient.node.toy, &step));
    patient.health.hear(&step, &answer, patient.node.now_ms);
    patient.node.answer(step, answer);
    assert!(patient.trouble().is_some());
    let cancel = Write::Cancel { reference: first };
    done(&mut patient.node.journal, cancel);
    patient.turn(None);
    assert_eq!(patient.trouble(), None, "nobody asks for it any more");
}

#[test]
fn a_ledger_that_is_away_from_everything_is_remembered_for_a_bounded_number_of_things() {
    let mut patient = Patient::new();
    for n in 1..=100 {
        patient.node.owe(n, payment(session(1), n));
    }
    for _ in 0..100 {
        patient.turn(Some("down"));
    }
    assert_eq!(patient.trouble(), Some(("down", NOW)));
    assert!(format!("{:?}", patient.health).matches("down").count() <= 64);
    while !patient.node.journal.reader().counts().unwrap().unsettled.is_empty() {
        patient.turn(None);
    }
    assert_eq!(patient.trouble(), None);
}

#[test]
fn a_ledger_that_is_busy_for_a_while_is_not_away() {
    let mut patient = Patient::new();
    patient.retry_after = Some(Duration::from_millis(500));
    patient.node.owe(1, payment(session(1), 1));
    let since_ms = patient.node.now_ms;
    patient.turn(Some("all coins are in use"));
    assert_eq!(patient.trouble(), None, "it said when it is to be asked again");
    patient.node.now_ms = since_ms + 40_000;
    patient.turn(Some("all coins are in use"));
    assert_eq!(patient.trouble(), Some(("all coins are in use", since_ms)), "and again, and again");
    while patient.node.met().is_empty() {
        patient.turn(None);
    }
    assert_eq!(patient.trouble(), None);
}

#[test]
fn only_a_trouble_that_lasts_is_reason_to_pay_elsewhere() {
    let mut patient = Patient::new();
    patient.node.owe(1, payment(session(1), 1));
    assert_eq!(patient.health.ailment(patient.node.now_ms, 5_000), (None, None));
    patient.turn(Some("down"));
    let at_ms = NOW + 5_000;
    assert_eq!(patient.health.ailment(at_ms - 1, 5_000), (None, Some(at_ms)));
    assert_eq!(patient.health.ailment(at_ms, 5_000), (Some(Ailment::Away), None));
    while patient.node.met().is_empty() {
        patient.turn(None);
    }
    assert_eq!(patient.health.ailment(at_ms, 5_000), (None, None));
}
