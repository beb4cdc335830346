//! What the outbox's stories are told with: a node, and a ledger that behaves unless told not to.

use super::ledger::{Toy, now};
use super::*;
use crate::journal::delivery::State as Way;
use crate::journal::obligation::State;
use crate::journal::outbox::{self, Outbox, Policy, Step, perform};
use sdpp_ledger::Evidence;

/// A node that takes its outbox's turns.
pub(super) struct Node {
    _dir: Dir,
    pub(super) journal: Journal,
    pub(super) outbox: Outbox,
    pub(super) toy: Toy,
    pub(super) now_ms: u64,
    pub(super) news: Vec<NewsKind>,
}

pub(super) fn policy(anchors_at_most: usize) -> Policy {
    Policy {
        anchors_at_most,
        redeems_at_most: 4,
        raise_after_ms: 5_000,
        in_flight_max: 4,
        poll_ms: 1_000,
        backoff_base_ms: 500,
        backoff_max_ms: 60_000,
    }
}

impl Node {
    pub(super) fn new(anchors_at_most: usize) -> Self {
        let dir = Dir::new();
        let mut journal = dir.open();
        done(&mut journal, append(session(1), order()));
        Node {
            _dir: dir,
            journal,
            outbox: Outbox::new(ledger_id(), account(1), policy(anchors_at_most)),
            toy: Toy::new(1, false),
            now_ms: NOW,
            news: Vec::new(),
        }
    }

    pub(super) fn owe(&mut self, number: u64, owed: Owed) -> Reference {
        let reference = owed.reference;
        done(&mut self.journal, append(session(1), invoice(number, Some(owed))));
        reference
    }

    pub(super) fn plan(&self) -> Vec<Step> {
        let reader = self.journal.reader();
        self.outbox.plan(&reader, self.now_ms).unwrap()
    }

    pub(super) fn answer(&mut self, step: Step, answer: outbox::Answer) {
        let writes = self.outbox.outcome(step, answer, self.now_ms, 0);
        for answer in self.journal.commit(self.now_ms, writes).unwrap() {
            let news = answer.unwrap().news;
            self.news.extend(news.into_iter().map(|news| news.kind));
        }
    }

    /// Turns until nothing is due at once; then a block and some time.
    pub(super) fn settle(&mut self) {
        for _ in 0..60 {
            self.turn();
            self.toy.chain().mine();
            self.now_ms += 400;
        }
    }

    /// All that is due now, once.
    pub(super) fn turn(&mut self) {
        for step in self.plan() {
            let answer = now(perform(&self.toy, &step));
            self.answer(step, answer);
        }
    }

    /// Turns until the ledger has had the delivery, without a block.
    pub(super) fn send(&mut self) -> Delivery {
        for _ in 0..10 {
            self.turn();
            let last = self.deliveries().pop();
            if let Some(row) = last.filter(|row| matches!(row.state, Way::Sent)) {
                return row;
            }
        }
        panic!("not sent: {:?}", self.deliveries());
    }

    /// As after a kill: all that is not on disk is gone.
    pub(super) fn restart(&mut self) {
        self.outbox = Outbox::new(ledger_id(), account(1), policy(1));
    }

    pub(super) fn state(&self, reference: &Reference) -> State {
        let row = self.journal.reader().obligation(reference).unwrap();
        row.unwrap().state
    }

    pub(super) fn deliveries(&self) -> Vec<Delivery> {
        self.journal.reader().deliveries(None, 100).unwrap()
    }

    pub(super) fn met(&self) -> Vec<(Reference, Evidence, Option<sdpp_ledger::merkle::Proof>)> {
        let entries = self.journal.reader().entries(0, 100).unwrap();
        let met = entries.into_iter().filter_map(|entry| match entry.record {
            Record::Met { reference, evidence, proof } => Some((reference, evidence, proof)),
            _ => None,
        });
        met.collect()
    }
}
