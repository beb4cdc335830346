//! Writes about deliveries: a transaction is prepared, moves, and hands on to its obligations
//! what it has come to.

use super::{Fault, Stage};
use crate::journal::delivery::{self, Cancel, Delivery, DeliveryId, Numbers};
use crate::journal::entry::{self, Head};
use crate::journal::keys;
use crate::journal::obligation::{Event, Illegal, Obligation, State};
use crate::journal::outbox::{self, Packed};
use crate::journal::tree::Tree;
use crate::journal::write::{NewsKind, Prepare, WriteError};
use sdpp_ledger::{Call, Evidence, Reference, Row, Signed, TxId, merkle};

/// What an operator's wish makes of an obligation.
const CANCELLED: &str = "cancelled by the operator";

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
            again: 0,
            priced_ms: self.now_ms,
            cancel: Cancel::No,
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
        let key = keys::delivery(&id.ledger, &id.account, id.number);
        let row: Option<Delivery> = self.row(Tree::Deliveries, &key)?;
        match row.as_ref().is_none_or(Delivery::leaves_number) {
            true => Ok(row),
            false => Err(WriteError::NumberUsed(id.clone()).into()),
        }
    }

    fn numbers(&self, id: &DeliveryId) -> Result<Numbers, Fault> {
        let numbers = self.row(Tree::Accounts, &keys::account(&id.ledger, &id.account))?;
        Ok(numbers.unwrap_or_default())
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
        self.tell_newest(row)
    }

    pub(super) fn delivery_event(
        &mut self,
        id: &DeliveryId,
        event: delivery::Event,
        due_ms: u64,
    ) -> Result<(), Fault> {
        let old = self.delivery(id)?;
        let mut row = old.clone();
        let event = as_cancelled(&old, event);
        row.state = old.state.clone().next(event.clone())?;
        row.due_ms = due_ms;
        row.tries = 0;
        if let Some(tx) = named_by(event) {
            self.learn_tx(&mut row, tx)?;
        }
        self.put_delivery(Some(&old), &row)?;
        self.unload(&row)
    }

    /// A higher fee for the same call, or for what cancels it.
    pub(super) fn raise(&mut self, id: &DeliveryId, signed: Signed) -> Result<(), Fault> {
        let old = self.delivery(id)?;
        let row = self.sign_again(old, signed, None)?;
        match &row.cancel {
            Cancel::Signed { .. } => Ok(()),
            _ => self.tell_newest(&row),
        }
    }

    pub(super) fn keep(&mut self, id: &DeliveryId) -> Result<(), Fault> {
        let old = self.delivery(id)?;
        let row = Delivery { priced_ms: self.now_ms, ..old.clone() };
        self.put_delivery(Some(&old), &row)
    }

    pub(super) fn void(
        &mut self,
        id: &DeliveryId,
        signed: Result<Box<Signed>, String>,
    ) -> Result<(), Fault> {
        let old = self.delivery(id)?;
        match signed {
            Ok(signed) => {
                let from = old.variants.len();
                self.sign_again(old, *signed, Some(Cancel::Signed { from })).map(drop)
            }
            Err(why) => {
                let row = Delivery { cancel: Cancel::Refused { why }, ..old.clone() };
                self.put_delivery(Some(&old), &row)
            }
        }
    }

    fn sign_again(
        &mut self,
        old: Delivery,
        signed: Signed,
        cancel: Option<Cancel>,
    ) -> Result<Delivery, Fault> {
        if signed.number != old.id.number {
            return Err(WriteError::NotWhatIsOwed("the number is another").into());
        }
        let mut row = old.clone();
        let event = match cancel {
            Some(_) => delivery::Event::Voided,
            None => delivery::Event::Resigned,
        };
        row.state = old.state.clone().next(event)?;
        row.variants.push(signed);
        row.again = old.again.saturating_add(1);
        row.cancel = cancel.unwrap_or(row.cancel);
        (row.priced_ms, row.due_ms, row.tries) = (self.now_ms, self.now_ms, 0);
        self.put_delivery(Some(&old), &row)?;
        Ok(row)
    }

    /// An operator's wish. What is not signed yet is refused at once.
    pub(super) fn cancel(&mut self, reference: &Reference) -> Result<(), Fault> {
        let event = Event::Refused { why: CANCELLED.to_owned() };
        let row = self.obligation(reference)?;
        match &row.state {
            State::Open { .. } => self.obligation_event(reference, event, None),
            State::Riding { delivery } => self.wish(delivery),
            state => Err(Illegal::new(state, &event).into()),
        }
    }

    fn wish(&mut self, id: &DeliveryId) -> Result<(), Fault> {
        let old = self.delivery(id)?;
        if matches!(old.cancel, Cancel::Signed { .. }) {
            return Ok(());
        }
        let (due_ms, tries) = (self.now_ms, 0);
        let row = Delivery { cancel: Cancel::Wished, due_ms, tries, ..old.clone() };
        self.has_work(&id.ledger);
        self.put_delivery(Some(&old), &row)
    }

    /// A gateway that signs tells the transaction's id only when it takes it; where that answer was
    /// lost, when it is found.
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
            State::Reverted { why, .. } => self.fail(row, why, true),
            State::Cancelled { .. } => self.refuse(row, CANCELLED),
            State::Dead { number_spent, why } => {
                if !number_spent {
                    self.free_number(&row.id)?;
                }
                if matches!(row.cancel, Cancel::Wished | Cancel::Signed { .. }) {
                    self.refuse(row, CANCELLED)
                } else if *number_spent {
                    self.drop_spent(row)
                } else {
                    self.fail(row, why, false)
                }
            }
            _ => Ok(()),
        }
    }

    /// The ledger refused it as a whole: of each thing that shared it this says nothing.
    fn fail(&mut self, row: &Delivery, why: &str, is_final: bool) -> Result<(), Fault> {
        match outbox::is_shared(&row.call) {
            true => self.unload_each(row, &[Event::Dropped, Event::Separated]),
            false => row.references.iter().try_for_each(|r| self.refused(r, why, is_final)),
        }
    }

    fn meet(&mut self, row: &Delivery, evidence: &Evidence) -> Result<(), Fault> {
        if let Call::SettleMany(batch) | Call::CloseMany(batch) = &row.call {
            for (reference, asked) in row.references.iter().zip(&batch.rows) {
                let told = evidence.rows.iter().find(|told| told.channel == asked.channel);
                match of_row(evidence, told) {
                    Ok(evidence) => {
                        self.obligation_event(reference, Event::Met { evidence }, None)?;
                    }
                    Err(why) => self.refused(reference, &why, true)?,
                }
            }
            return Ok(());
        }
        let owed = self.owed_by(&row.references)?;
        let packed = outbox::pack(&owed, row.head, self.identity);
        let leaves = packed.map_or(Vec::new(), |Packed { leaves, .. }| leaves);
        let tree = merkle::Tree::over(leaves);
        for (index, reference) in row.references.iter().enumerate() {
            let evidence = evidence.clone();
            let proof = tree.prove(index);
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
        match id.number < self.numbers(id)?.next {
            true => Ok(()),
            false => self.renumber(id, id.number.saturating_add(1), false),
        }
    }

    /// The largest number is given back: the outbox waits for it to be accepted before the next.
    /// One that filled a gap leaves the gap, which the ledger tells of again.
    fn free_number(&mut self, id: &DeliveryId) -> Result<(), Fault> {
        match self.numbers(id)?.next == id.number.saturating_add(1) {
            true => self.renumber(id, id.number, true),
            false => Ok(()),
        }
    }

    fn renumber(&mut self, id: &DeliveryId, next: u64, given_back: bool) -> Result<(), Fault> {
        let key = keys::account(&id.ledger, &id.account);
        let numbers = Numbers { next, given_back };
        self.put_row("an account", Tree::Accounts, key, &numbers)
    }

    fn tell_newest(&mut self, row: &Delivery) -> Result<(), Fault> {
        match row.signed().and_then(|signed| signed.tx.clone()) {
            Some(tx) => self.tell_signed(row, &tx),
            None => Ok(()),
        }
    }

    fn tell_signed(&mut self, row: &Delivery, tx: &TxId) -> Result<(), Fault> {
        for owed in self.owed_by(&row.references)? {
            self.tell(&owed, NewsKind::Signed(tx.clone()));
        }
        Ok(())
    }
}

/// The transaction that an event names.
fn named_by(event: delivery::Event) -> Option<TxId> {
    use delivery::Event;
    match event {
        Event::Sent { tx } => Some(tx),
        Event::Final { evidence } => Some(evidence.tx),
        _ => None,
    }
}

/// What is said of a delivery's cancelling variant is the end of it, not its success.
fn as_cancelled(row: &Delivery, event: delivery::Event) -> delivery::Event {
    use delivery::Event;
    match event {
        Event::Final { evidence } | Event::Reverted { evidence, .. }
            if row.cancelling().iter().any(|signed| delivery::is_of(signed, &evidence)) =>
        {
            Event::Cancelled { evidence }
        }
        event => event,
    }
}

/// What a final batch comes to for one of its rows. A row of which the ledger tells nothing may
/// have been passed over: it is never met unseen.
fn of_row(batch: &Evidence, told: Option<&Row>) -> Result<Evidence, String> {
    match told {
        None => Err("the ledger tells nothing of this row".to_owned()),
        Some(Row { refused: Some(why), .. }) => Err(why.clone()),
        Some(row) => {
            let (amount, rows) = (row.amount, vec![row.clone()]);
            Ok(Evidence { amount, rows, ..batch.clone() })
        }
    }
}
