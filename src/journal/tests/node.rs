//! What the outbox's stories are told with: a node, and a ledger that behaves unless told not to.

use super::ledger::{Toy, now};
use super::unnumbered::Kind;
use super::*;
use crate::journal::delivery::State as Way;
use crate::journal::obligation::State;
use crate::journal::outbox::{self, Outbox, Policy, Step, Turn, perform};
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
        Node::on(Toy::new(1, false), anchors_at_most)
    }

    /// The same on a ledger without numbers.
    pub(super) fn without_numbers(kind: Kind) -> Self {
        Node::on(Toy::without_numbers(1, false, kind), 1)
    }

    fn on(toy: Toy, anchors_at_most: usize) -> Self {
        let dir = Dir::new();
        let mut journal = dir.open();
        done(&mut journal, append(session(1), order()));
        Node {
            _dir: dir,
            journal,
            outbox: Outbox::new(&toy, policy(anchors_at_most)),
            toy,
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

    /// Begins all turns that may be taken now.
    pub(super) fn turns(&mut self) -> Vec<Turn> {
        let reader = self.journal.reader();
        self.outbox.turns(&reader, self.now_ms).unwrap()
    }

    /// Takes a turn and makes it durable.
    pub(super) fn take(&mut self, Turn { id, steps }: Turn) {
        for (step, answer) in now(outbox::take(&self.toy, steps)) {
            self.answer(step, answer);
        }
        self.outbox.end(id);
    }

    /// The ledger tells of these.
    pub(super) fn hear(&mut self, references: &[Reference]) {
        let reader = self.journal.reader();
        self.outbox.hear(&reader, references).unwrap();
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
        self.outbox = Outbox::new(&self.toy, policy(1));
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
