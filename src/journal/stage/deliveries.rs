//! Writes about deliveries: a transaction is prepared, moves, and hands on to its obligations
//! what it has come to.

use super::{Fault, Stage};
use crate::journal::delivery::{self, Delivery, DeliveryId, Numbers};
use crate::journal::entry::{self, Head};
use crate::journal::keys;
use crate::journal::obligation::{Event, Obligation};
use crate::journal::outbox::{self, Packed};
use crate::journal::tree::Tree;
use crate::journal::write::{NewsKind, Prepare, WriteError};
use sdpp_ledger::{Evidence, Reference, TxId, merkle};

impl Stage<'_> {
    pub(super) fn prepare(&mut self, prepare: Prepare) -> Result<(), Fault> {
        let id = DeliveryId {
            ledger: prepare.ledger,
            account: prepare.account,
            number: prepare.signed.number,
        };
        let earlier = self.earlier(&id)?;
        let owed = self.owed_by(&prepare.references)?;
        if owed.iter().any(|row| row.owed.ledger != id.ledger) {
            return Err(WriteError::NotWhatIsOwed("it is owed to another ledger").into());
        }
        let head = prepare.head;
        if let Some(head) = head {
            self.check_head(&head)?;
        }
        let packed = outbox::pack(&owed, head, self.identity);
        if packed.map(|p| p.call) != Some(prepare.call.clone()) {
            return Err(WriteError::NotWhatIsOwed("the call is another").into());
        }
        let mut variants = earlier.as_ref().map_or(Vec::new(), |d| d.variants.clone());
        variants.push(prepare.signed);
        let row = Delivery {
            id,
            call: prepare.call,
            references: prepare.references,
            head,
            variants,
            state: delivery::State::Prepared { accepted: false },
            at_ms: self.now_ms,
            due_ms: self.now_ms,
            tries: 0,
        };
        self.board(&row)?;
        self.use_number(&row.id)?;
        self.put_delivery(earlier.as_ref(), &row)
    }

    /// The delivery that used this number before without using it up.
    fn earlier(&mut self, id: &DeliveryId) -> Result<Option<Delivery>, Fault> {
        let account = keys::account(&id.ledger, &id.account);
        let numbers: Option<Numbers> = self.row(Tree::Accounts, &account)?;
        if id.number < numbers.unwrap_or_default().next {
            return Err(WriteError::NumberUsed(id.clone()).into());
        }
        Ok(self.row(Tree::Deliveries, &keys::delivery(&id.ledger, &id.account, id.number))?)
    }

    fn owed_by(&mut self, references: &[Reference]) -> Result<Vec<Obligation>, Fault> {
        references.iter().map(|r| self.obligation(r)).collect()
    }

    fn check_head(&mut self, head: &Head) -> Result<(), Fault> {
        let bytes = self.get(Tree::Entries, &keys::seq(head.seq))?;
        let digest = bytes.map(|bytes| entry::digest(&bytes));
        if digest != Some(head.digest) {
            return Err(WriteError::NotWhatIsOwed("the head is not of this journal").into());
        }
        Ok(())
    }

    fn board(&mut self, row: &Delivery) -> Result<(), Fault> {
        for reference in &row.references {
            let delivery = row.id.clone();
            self.obligation_event(reference, Event::Boarded { delivery }, None)?;
        }
        if let Some(tx) = row.signed().and_then(|signed| signed.tx.clone()) {
            self.tell_signed(row, &tx)?;
        }
        Ok(())
    }

    pub(super) fn delivery_event(
        &mut self,
        id: &DeliveryId,
        event: delivery::Event,
        due_ms: u64,
    ) -> Result<(), Fault> {
        let old = self.delivery(id)?;
        let mut row = old.clone();
        row.state = old.state.clone().next(event.clone())?;
        row.due_ms = due_ms;
        row.tries = 0;
        if let delivery::Event::Sent { tx } = event {
            self.learn_tx(&mut row, tx)?;
        }
        self.put_delivery(Some(&old), &row)?;
        self.unload(&row)
    }

    /// A gateway that signs tells the transaction's id only when it takes it.
    fn learn_tx(&mut self, row: &mut Delivery, tx: TxId) -> Result<(), Fault> {
        match row.variants.last_mut() {
            Some(signed) if signed.tx.is_none() => signed.tx = Some(tx.clone()),
            _ => return Ok(()),
        }
        self.tell_signed(row, &tx)
    }

    /// Hands on to its obligations what a delivery has come to.
    fn unload(&mut self, row: &Delivery) -> Result<(), Fault> {
        use delivery::State;
        match &row.state {
            State::Final { evidence } => self.meet(row, evidence),
            State::Reverted { why, .. } => self.refuse(row, why),
            State::Dead { number_spent, why } => {
                if !number_spent {
                    self.free_number(&row.id)?;
                }
                if *number_spent {
                    self.unload_each(row, &[Event::Dropped])
                } else if outbox::is_shared(&row.call) {
                    self.unload_each(row, &[Event::Dropped, Event::Separated])
                } else {
                    self.refuse(row, why)
                }
            }
            _ => Ok(()),
        }
    }

    fn meet(&mut self, row: &Delivery, evidence: &Evidence) -> Result<(), Fault> {
        let owed = self.owed_by(&row.references)?;
        let packed = outbox::pack(&owed, row.head, self.identity);
        let leaves = packed.map_or(Vec::new(), |Packed { leaves, .. }| leaves);
        for (index, reference) in row.references.iter().enumerate() {
            let evidence = evidence.clone();
            let proof = merkle::prove(&leaves, index);
            self.obligation_event(reference, Event::Met { evidence }, proof)?;
        }
        Ok(())
    }

    fn refuse(&mut self, row: &Delivery, why: &str) -> Result<(), Fault> {
        let why = why.to_owned();
        self.unload_each(row, &[Event::Refused { why }])
    }

    fn unload_each(&mut self, row: &Delivery, events: &[Event]) -> Result<(), Fault> {
        for reference in &row.references {
            for event in events {
                self.obligation_event(reference, event.clone(), None)?;
            }
        }
        Ok(())
    }

    pub(super) fn put_delivery(
        &mut self,
        old: Option<&Delivery>,
        row: &Delivery,
    ) -> Result<(), Fault> {
        let before = old.and_then(Delivery::index).into_iter().collect();
        self.reindex(before, row.index().into_iter().collect())?;
        if matches!(row.state, delivery::State::Prepared { .. }) {
            self.has_work(&row.id.ledger);
        }
        let key = keys::delivery(&row.id.ledger, &row.id.account, row.id.number);
        self.put_row("a delivery", Tree::Deliveries, key, row)
    }

    fn use_number(&mut self, id: &DeliveryId) -> Result<(), Fault> {
        let next = id.number.saturating_add(1);
        self.renumber(id, next, false)
    }

    /// Nothing larger was prepared: the outbox waits for a number to be accepted before the next.
    fn free_number(&mut self, id: &DeliveryId) -> Result<(), Fault> {
        self.renumber(id, id.number, true)
    }

    fn renumber(&mut self, id: &DeliveryId, next: u64, given_back: bool) -> Result<(), Fault> {
        let key = keys::account(&id.ledger, &id.account);
        let numbers = Numbers { next, given_back };
        self.put_row("an account", Tree::Accounts, key, &numbers)
    }

    fn tell_signed(&mut self, row: &Delivery, tx: &TxId) -> Result<(), Fault> {
        for owed in self.owed_by(&row.references)? {
            self.tell(&owed, NewsKind::Signed(tx.clone()));
        }
        Ok(())
    }
}
