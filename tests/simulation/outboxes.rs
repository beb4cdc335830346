//! The outboxes' turns: the program's own planner and tables, between the real journal and a ledger
//! that loses things, with a crash between any two steps.

use crate::chain::tx_of;
use crate::plant::{Plant, Rule};
use crate::teller::{Teller, now};
use crate::world::{Event, World};
use sdpp::journal::Write;
use sdpp::journal::delivery::Event as Happened;
use sdpp::journal::outbox::{Answer, Step, perform};
use sdpp_ledger::{
    Amount, Call, Evidence, Finality, Ledger, LedgerError, Reference, Signed, Transfer, prepare,
};

impl World {
    /// Sees to it that an outbox has a turn by then.
    pub fn wake(&mut self, node: usize, ledger: usize, wait_ms: u64) {
        let at_ms = self.now_ms + wait_ms;
        let Some(next_ms) = self.nodes[node].memory.turns_ms.get_mut(ledger) else { return };
        if at_ms < *next_ms {
            *next_ms = at_ms;
            self.after(wait_ms, Event::Turn { node, ledger, at_ms });
        }
    }

    /// One turn, as the actor takes it.
    pub fn turn(&mut self, node: usize, ledger: usize, at_ms: u64) {
        let is_it = self.nodes[node].memory.turns_ms.get(ledger) == Some(&at_ms);
        if !is_it || self.nodes[node].journal.is_none() {
            return;
        }
        self.nodes[node].memory.turns_ms[ledger] = u64::MAX;
        let reader = self.nodes[node].reader();
        let steps = self.nodes[node].memory.outboxes[ledger].plan(&reader, self.now_ms).unwrap();
        drop(reader);
        for step in steps {
            if !self.step(node, ledger, step) {
                return;
            }
        }
        let reader = self.nodes[node].reader();
        let due_ms = self.nodes[node].memory.outboxes[ledger].next_due(&reader).unwrap();
        drop(reader);
        if let Some(due_ms) = due_ms {
            let wait_ms = due_ms.saturating_sub(self.now_ms).max(10);
            self.wake(node, ledger, wait_ms);
        }
    }

    /// One question to a ledger, and what its answer means; false where the node is down then.
    fn step(&mut self, node: usize, ledger: usize, step: Step) -> bool {
        if self.burns(node) {
            return false;
        }
        let teller = self.nodes[node].tellers[ledger].clone();
        let before = teller.chain().handed.len();
        let answer = now(perform(teller.as_ref(), &step));
        let answer = self.misread(&teller, &step, answer);
        let extra = self.misdo(&teller, &step, &answer);
        self.see_handed(node, &teller, before);
        if self.burns(node) {
            return false;
        }
        let jitter = self.dice.roll();
        let outbox = &mut self.nodes[node].memory.outboxes[ledger];
        let mut writes = outbox.outcome(step, answer, self.now_ms, jitter);
        if !extra.is_empty() {
            writes = extra;
        }
        self.commit(node, writes);
        !self.burns(node)
    }

    /// All that was handed over must stand in the journal of who did.
    fn see_handed(&mut self, node: usize, teller: &Teller, before: usize) {
        let handed = teller.chain().handed[before..].to_vec();
        for (account, number, raw) in handed {
            let id = sdpp::journal::DeliveryId { ledger: teller.id().clone(), account, number };
            let row = self.nodes[node].reader().delivery(&id).unwrap();
            let is_known = row.is_some_and(|row| row.variants.iter().any(|one| one.raw == raw));
            if !is_known {
                let what = format!("number {number} on {} left before it was durable", id.ledger);
                self.witness.blame(Rule::BytesAreDurable, what);
            }
        }
    }

    /// Planted faults: an answer is taken for another.
    fn misread(&mut self, teller: &Teller, step: &Step, answer: Answer) -> Answer {
        match (self.plant, step, &answer) {
            (Plant::BelieveClaims, Step::Check { claims, .. }, _) => {
                let claim = claims.first().expect("something is claimed");
                let (tx, at_ms) = (claim.tx.clone(), self.now_ms);
                let amount = claim.transfer.amount;
                let evidence = Evidence { amount, ..Evidence::new(tx, 1, "believed", at_ms) };
                Answer::Finality(Ok(Finality::Final(evidence)))
            }
            (
                Plant::BelieveInclusion,
                Step::Finality { variants, .. },
                Answer::Finality(Ok(Finality::Pending(Some(place)))),
            ) => {
                let tx = variants.last().map(|signed| tx_of(&signed.raw)).expect("it is signed");
                let evidence = Evidence::new(tx, place.height, &*place.block, self.now_ms);
                let moved = teller.chain().tip().paid.values().flatten().last().copied();
                let amount = Amount::new(moved.unwrap_or_default());
                Answer::Finality(Ok(Finality::Final(Evidence { amount, ..evidence })))
            }
            _ => answer,
        }
    }

    /// Planted faults: something is done that nobody asked for. What is written instead, if anything.
    fn misdo(&mut self, teller: &Teller, step: &Step, answer: &Answer) -> Vec<Write> {
        let unavailable = matches!(answer, Answer::Submitted(Err(LedgerError::Unavailable { .. })));
        match (self.plant, step, answer) {
            (Plant::SubmitBeforePrepared, _, Answer::Prepared(Ok(signed))) => {
                let _ = now(teller.submit(signed));
                Vec::new()
            }
            (Plant::SignAgainWhenUnavailable, Step::Submit { delivery, .. }, _) if unavailable => {
                let (id, event, due_ms) = (delivery.clone(), Happened::Replaced, self.now_ms);
                vec![Write::Delivery { id, event, due_ms }]
            }
            (Plant::OtherReferenceOnRetry, Step::Submit { signed, .. }, _) if unavailable => {
                self.pay_otherwise(teller, signed);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// Pays the same once more under a name that it makes up.
    fn pay_otherwise(&mut self, teller: &Teller, signed: &Signed) {
        let (_, _, call, _): (sdpp_ledger::Account, u64, Call, u64) =
            serde_json::from_slice(&signed.raw).unwrap();
        let Call::Transfer(transfer) = call else { return };
        let call = Call::Transfer(Transfer { reference: Reference(self.dice.bytes()), ..transfer });
        // As one would that takes the ledger's word for the next number and writes nothing down.
        let Ok(number) = now(teller.next_number()) else { return };
        if let Ok(again) = now(prepare(teller, number, &call)) {
            let chain = &mut teller.chain();
            chain.take(&again);
            chain.handed.pop();
        }
    }
}
