//! What the buyer sends back: acks and payments, and what the ledger says of them.

use super::purse::Brought;
use super::stream::Stream;
use super::tab::Tab;
use crate::crypto::layout::MessageKind;
use crate::message::{Ack, AfterExit, Anchored, Code, Cumulative, Envelope, Exit, PaymentAck};
use crate::record::{Act, Owed, Record, SignedMessage};
use crate::session::{Fault, Outputs, unexpected};
use crate::terms::{Method, Purpose, Role};
use sdpp_ledger::{Claim, Reference, Transfer, TxId};
use std::collections::VecDeque;

/// Items that were not acknowledged.
#[derive(Debug, Default)]
pub(super) struct Acks {
    /// Items sent whose arrival was not acknowledged, the oldest first.
    unacked: VecDeque<Unacked>,
    /// How long the messages are that they went out in.
    unacked_bytes: usize,
    acked_seq: u64,
    /// Since when there are such items and nothing was acknowledged.
    silent_since_ms: u64,
    /// The latest signed ack, while it is not on disk.
    unkept: Option<SignedMessage>,
}

/// An item on its way.
#[derive(Debug)]
pub(super) struct Unacked {
    pub(super) cumulative: Cumulative,
    pub(super) bytes: usize,
}

impl Acks {
    /// The items up to this one were acknowledged, and none is on its way.
    pub(super) fn from(acked_seq: u64) -> Self {
        Acks { acked_seq, ..Acks::default() }
    }

    pub(super) fn sent(&mut self, item: Unacked, now_ms: u64) {
        if self.unacked.is_empty() {
            self.silent_since_ms = now_ms;
        }
        self.unacked_bytes += item.bytes;
        self.unacked.push_back(item);
    }

    pub(super) fn unacked_bytes(&self) -> usize {
        self.unacked_bytes
    }

    /// The latest signed ack, to be kept.
    pub(super) fn unkept(&mut self) -> Option<SignedMessage> {
        self.unkept.take()
    }

    /// The last item that was acknowledged.
    pub(super) fn acked_seq(&self) -> u64 {
        self.acked_seq
    }

    /// The buyer's time to acknowledge begins anew.
    pub(super) fn wait_from(&mut self, now_ms: u64) {
        self.silent_since_ms = now_ms;
    }

    /// Since when items are out and nothing was acknowledged.
    pub(super) fn silent_since_ms(&self) -> Option<u64> {
        (!self.unacked.is_empty()).then_some(self.silent_since_ms)
    }

    /// Whether `ack` fits what was sent; forgets what it covers. `Ok(false)`: nothing new.
    fn acknowledge(&mut self, ack: Cumulative, now_ms: u64) -> Result<bool, Fault> {
        if ack.seq == self.acked_seq {
            return Ok(false);
        }
        let bad = |why: &str| Fault::theirs(Code::BadItem, format!("ack of {}: {why}", ack.seq));
        if ack.seq < self.acked_seq {
            return Err(bad("an ack does not go back"));
        }
        let at = self.unacked.partition_point(|item| item.cumulative.seq < ack.seq);
        let sent = self.unacked.get(at).ok_or_else(|| bad("so many items were not sent"))?;
        if sent.cumulative != ack {
            return Err(bad("its digest is not that of the items sent"));
        }
        self.unacked_bytes -= self.unacked.drain(..=at).map(|item| item.bytes).sum::<usize>();
        (self.acked_seq, self.silent_since_ms) = (ack.seq, now_ms);
        Ok(true)
    }
}

impl Stream {
    /// Takes an ack or a payment.
    pub(super) fn hear(
        &mut self,
        envelope: &Envelope<'_>,
        now_ms: u64,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        match envelope.kind() {
            MessageKind::Ack => self.hear_ack(envelope, now_ms, out),
            MessageKind::PaymentAck => self.hear_payment(envelope, now_ms, out),
            MessageKind::Amend => self.hear_amend(envelope, out),
            kind => Err(unexpected(&kind.to_string(), Some(self.terms.session))),
        }
    }

    /// Takes the buyer's exit.
    pub(super) fn hear_exit(
        &mut self,
        envelope: &Envelope<'_>,
        out: &mut Outputs,
    ) -> Result<Exit, Fault> {
        let exit = envelope.signed_by::<Exit>(&self.terms.buyer, self.terms.session)?;
        if exit.body.bonded {
            return Err(Fault::theirs(Code::Malformed, "the buyer's exit is no receipt"));
        }
        let arrived_to = self.again.as_ref().map_or(0, |again| again.arrived_to());
        if exit.body.items > self.windows.items().max(arrived_to) {
            let fault = Fault::theirs(Code::BadItem, "the buyer's exit names items never sent");
            return Err(fault.shown_by(exit.message));
        }
        if let Some(message) = exit.message {
            out.record(Record::Exit { by: Role::Buyer, message, owed: None });
        }
        if exit.body.channel == Some(AfterExit::Keep) {
            self.purses_mut().for_each(|purse| purse.keep = true);
        }
        Ok(exit.body)
    }

    /// The transaction of something that we owe is known.
    pub(super) fn signed(&mut self, reference: Reference, tx: TxId) {
        // A claim's transaction is the buyer's own; only anchors are worth telling.
        if self.number_of(reference).is_none() {
            self.untold.push(Anchored { reference, tx, proof: None });
        }
    }

    /// Something owed is done, for good.
    pub(super) fn met(&mut self, reference: Reference) {
        self.purses_mut().for_each(|purse| purse.redeemed.over(reference));
        if let Some(number) = self.number_of(reference) {
            self.tab_of(number).met(number);
        }
    }

    /// So many blocks hold a payment that was said. Credit follows: what is given back by the ledger
    /// is out on credit again, and no item leaves until it counts once more.
    pub(super) fn seen(&mut self, reference: Reference, blocks: u64) {
        if let Some(number) = self.number_of(reference) {
            self.tab_of(number).seen(number, blocks);
        }
    }

    /// Something owed will never be done. A missing anchor is the auditor's business; a payment
    /// that is none ends the session.
    pub(super) fn refused(&mut self, reference: Reference, why: &str) -> Result<(), Fault> {
        self.purses_mut().for_each(|purse| purse.redeemed.over(reference));
        match self.number_of(reference) {
            Some(number) => {
                let why = format!("the payment of window {number} is not good: {why}");
                Err(Fault::theirs(Code::BadPayment, why))
            }
            None => Ok(()),
        }
    }

    /// The tab that an invoice stands on.
    pub(super) fn tab_of(&mut self, number: u64) -> &mut Tab {
        self.tabs.last_that(|tab| tab.first() <= number)
    }

    /// The invoice that a payment is for, while that is not final.
    fn number_of(&self, reference: Reference) -> Option<u64> {
        let of =
            |number: &u64| self.terms.session.reference(Purpose::Payment, *number) == reference;
        self.tabs.all().flat_map(Tab::numbers).find(of)
    }

    fn hear_ack(
        &mut self,
        envelope: &Envelope<'_>,
        now_ms: u64,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        let (buyer, session) = (&self.terms.buyer, self.terms.session);
        let ack = if self.terms.signed_items {
            envelope.signed_by::<Ack>(buyer, session)?
        } else {
            envelope.under_mac::<Ack>(self.keys.from(Role::Buyer).mac(), session)?
        };
        if self.is_early(&ack.body, &ack.message) {
            return Ok(());
        }
        self.take_ack(ack.body, ack.message, now_ms, out)
    }

    /// Takes an ack that was proven.
    pub(super) fn take_ack(
        &mut self,
        Ack { seq, digest, voucher }: Ack,
        message: Option<SignedMessage>,
        now_ms: u64,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        let acked = self.acks.acknowledge(Cumulative { seq, digest }, now_ms);
        let fresh = self.is_proven(seq, acked).map_err(|fault| fault.shown_by(message.clone()))?;
        out.arrived(seq);
        if let (true, Some(message)) = (fresh, message) {
            self.keep_ack(message, seq, voucher.is_some(), out);
        }
        match voucher {
            Some(voucher) => {
                let brought = Brought { voucher, items: seq, number: None };
                self.take_voucher(brought, now_ms, out)
            }
            None => Ok(()),
        }
    }

    /// An ack that covers an unpaid window is evidence, and so is one that brings a voucher: it says
    /// for what. Such goes to disk at once, others wait.
    fn keep_ack(&mut self, message: SignedMessage, seq: u64, vouches: bool, out: &mut Outputs) {
        if vouches || self.tabs.all().any(|tab| tab.is_due_by(seq)) {
            self.acks.unkept = None;
            out.record(Record::Ack { message });
        } else {
            self.acks.unkept = Some(message);
        }
    }

    fn hear_payment(
        &mut self,
        envelope: &Envelope<'_>,
        now_ms: u64,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        let (buyer, session) = (self.terms.buyer, self.terms.session);
        let verified = envelope.signed_by::<PaymentAck>(&buyer, session)?;
        let (payment, message) = (verified.body, verified.message);
        let evidence = message.clone();
        let takes_several = self.offer.menu.payments_together;
        if self.is_lost(payment.number) {
            let why = format!("window {} is void, and not to be paid", payment.number);
            return Err(Fault::theirs(Code::BadPayment, why).shown_by(evidence));
        }
        let tab = self.tab_of(payment.number);
        let is_transfer = tab.currency.method == Method::Transfer;
        if payment.first() != payment.number && !(is_transfer && takes_several) {
            let why = format!("window {} is to be paid by itself", payment.number);
            return Err(Fault::theirs(Code::BadPayment, why).shown_by(evidence));
        }
        if !(is_transfer && tab.is_said(payment.number)) {
            let claimed = tab.claim(&payment, now_ms);
            claimed.map_err(|fault| fault.shown_by(evidence.clone()))?;
            self.acks.acknowledge(payment.ack, now_ms).or_else(|fault| match payment.ack.seq {
                older if older < self.acks.acked_seq => Ok(false),
                _ => Err(fault),
            })?;
        }
        let message = message.ok_or_else(|| Fault::ours("a payment without its signature"))?;
        if is_transfer {
            let owed = self.check(&payment, envelope.verification(), now_ms);
            // Also where nothing is to be found out any more: papers are counted from the records.
            let owed = owed.map_err(|fault| fault.shown_by(evidence))?;
            out.record(Record::Payment { message, owed });
            return Ok(());
        }
        out.record(Record::Payment { message, owed: None });
        let number = payment.number;
        let voucher = payment.voucher.ok_or_else(|| {
            let why = format!("the payment of window {number} brings no voucher");
            Fault::theirs(Code::BadPayment, why)
        })?;
        let brought = Brought { voucher, items: payment.ack.seq, number: Some(number) };
        self.take_voucher(brought, now_ms, out)
    }

    /// What is to be found out about a payment by transfer; nothing where it is final. A payer
    /// that raises its fee names each transaction, all under the one reference.
    fn check(
        &mut self,
        payment: &PaymentAck,
        tx: &str,
        now_ms: u64,
    ) -> Result<Option<Owed>, Fault> {
        let number = payment.number;
        let tx: TxId = tx.parse().map_err(|_| {
            let why = format!("the payment of window {number} names no transaction");
            Fault::theirs(Code::BadPayment, why)
        })?;
        let reference = self.terms.session.reference(Purpose::Payment, number);
        let tab = self.tab_of(number);
        let Some(amount) = tab.name(payment, &tx, now_ms)? else {
            return Ok(None);
        };
        let currency = &tab.currency;
        let (to, asset) = (currency.payee.clone(), currency.asset.clone());
        let transfer = Transfer { to, asset, amount, reference };
        Ok(Some(Owed {
            reference,
            purpose: Purpose::Payment,
            ledger: currency.ledger.clone(),
            act: Act::Check(Claim { tx, transfer }),
            held: false,
        }))
    }
}
