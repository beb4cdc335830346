//! What the buyer sends back: acks and payments, and what the ledger says of them.

use super::purse::Brought;
use super::stream::Stream;
use crate::crypto::layout::MessageKind;
use crate::message::{Ack, AfterExit, Anchored, Code, Cumulative, Envelope, Exit, PaymentAck};
use crate::record::{Act, FURTHER_TXS_MAX, Owed, Record, SignedMessage};
use crate::session::{Fault, Outputs, unexpected};
use crate::terms::{CountsWhen, Method, Purpose, Role};
use sdpp_ledger::{Amount, Claim, Reference, Transfer, TxId};
use std::collections::VecDeque;

/// Items that were not acknowledged, and invoices that are not paid for good.
#[derive(Debug, Default)]
pub(super) struct Bills {
    /// Items sent whose arrival was not acknowledged, the oldest first.
    unacked: VecDeque<Unacked>,
    /// How long the messages are that they went out in.
    unacked_bytes: usize,
    acked_seq: u64,
    /// Since when there are such items and nothing was acknowledged.
    silent_since_ms: u64,
    /// The latest signed ack, while it is not on disk.
    unkept_ack: Option<SignedMessage>,
    /// Invoices that are not paid for good, the oldest first.
    open: VecDeque<Bill>,
    billed: Amount,
    paid_items: u64,
    paid_total: Amount,
    last_claim_ms: u64,
    /// The last invoice whose payment was said.
    claimed_to: u64,
}

/// An item on its way.
#[derive(Debug)]
pub(super) struct Unacked {
    pub(super) cumulative: Cumulative,
    pub(super) bytes: usize,
}

/// An invoice that is not paid for good.
#[derive(Debug)]
pub(super) struct Bill {
    number: u64,
    amount: Amount,
    amount_total: Amount,
    window_end: Cumulative,
    due_ms: u64,
    payment: Payment,
    /// How many blocks hold the payment that was said or stand on it.
    blocks: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Payment {
    /// Nothing was heard of it.
    Due,
    /// The buyer says that it is paid, by one of these transactions (none by voucher).
    Claimed { since_ms: u64, txs: Vec<TxId> },
    /// It is, for good, while an older one is not yet.
    Final,
}

impl Bill {
    pub(super) fn new(
        number: u64,
        amount: Amount,
        amount_total: Amount,
        window_end: Cumulative,
        due_ms: u64,
    ) -> Bill {
        let (payment, blocks) = (Payment::Due, 0);
        Bill { number, amount, amount_total, window_end, due_ms, payment, blocks }
    }
}

impl Bills {
    pub(super) fn sent(&mut self, item: Unacked, now_ms: u64) {
        if self.unacked.is_empty() {
            self.silent_since_ms = now_ms;
        }
        self.unacked_bytes += item.bytes;
        self.unacked.push_back(item);
    }

    /// Adds an invoice. One that costs nothing is paid as it is.
    pub(super) fn add(&mut self, mut bill: Bill) {
        self.billed = bill.amount_total;
        if bill.amount == Amount::ZERO {
            bill.payment = Payment::Final;
        }
        self.open.push_back(bill);
        self.collect();
    }

    pub(super) fn unacked_bytes(&self) -> usize {
        self.unacked_bytes
    }

    pub(super) fn billed(&self) -> Amount {
        self.billed
    }

    pub(super) fn paid_items(&self) -> u64 {
        self.paid_items
    }

    pub(super) fn paid_total(&self) -> Amount {
        self.paid_total
    }

    pub(super) fn all_paid(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn unkept_ack(&mut self) -> Option<SignedMessage> {
        self.unkept_ack.take()
    }

    /// When the oldest payment that nothing was heard of is late.
    pub(super) fn next_due_ms(&self) -> Option<u64> {
        self.open.iter().find(|bill| bill.payment == Payment::Due).map(|bill| bill.due_ms)
    }

    /// Since when items are out and nothing was acknowledged.
    pub(super) fn silent_since_ms(&self) -> Option<u64> {
        (!self.unacked.is_empty()).then_some(self.silent_since_ms)
    }

    /// Since when the oldest payment that the buyer has said is not final.
    pub(super) fn claimed_since_ms(&self) -> Option<u64> {
        self.open.iter().find_map(|bill| match bill.payment {
            Payment::Claimed { since_ms, .. } => Some(since_ms),
            Payment::Due | Payment::Final => None,
        })
    }

    pub(super) fn last_claim_ms(&self) -> u64 {
        self.last_claim_ms
    }

    /// The payment that is late, if one is.
    pub(super) fn late(&self, now_ms: u64) -> Option<Fault> {
        let due = |bill: &&Bill| bill.payment == Payment::Due && bill.due_ms <= now_ms;
        let bill = self.open.iter().find(due)?;
        let why = format!("the payment of window {} is late: {} owed", bill.number, bill.amount);
        Some(Fault::timed_out(why))
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

    /// The buyer says that it paid this invoice: the oldest that nothing was heard of.
    fn claim(&mut self, payment: &PaymentAck, now_ms: u64) -> Result<(), Fault> {
        let bad = |why: String| Fault::theirs(Code::BadPayment, why);
        let number = payment.number;
        let due = self.open.iter_mut().find(|bill| bill.payment == Payment::Due);
        let bill = due.ok_or_else(|| bad(format!("window {number} is not to be paid now")))?;
        if bill.number != number {
            return Err(bad(format!("window {} is to be paid now, not {number}", bill.number)));
        }
        let (asked, paid) = (bill.amount_total, payment.amount_total);
        if paid != asked {
            let still = asked.saturating_sub(paid);
            let why = format!("window {number} asks {asked} in all, {paid} is paid: {still} owed");
            return Err(bad(why));
        }
        if payment.ack != bill.window_end {
            return Err(bad(format!("the payment's ack does not fit window {number}")));
        }
        bill.payment = Payment::Claimed { since_ms: now_ms, txs: Vec::new() };
        (self.last_claim_ms, self.claimed_to) = (now_ms, number);
        Ok(())
    }

    /// The buyer names a transaction for a payment that it has said. Answers what that payment is
    /// worth, or nothing where the payment is final and needs no more proof. When the ledger's
    /// time began does not change, however often the fee is raised.
    fn name(
        &mut self,
        payment: &PaymentAck,
        tx: &TxId,
        now_ms: u64,
    ) -> Result<Option<Amount>, Fault> {
        let number = payment.number;
        let bad = |why: &str| Fault::theirs(Code::BadPayment, format!("window {number} {why}"));
        let Some(bill) = self.open.iter_mut().find(|bill| bill.number == number) else {
            return Ok(None);
        };
        if (payment.amount_total, payment.ack) != (bill.amount_total, bill.window_end) {
            return Err(bad("was said to be paid, and not so"));
        }
        let Payment::Claimed { txs, .. } = &mut bill.payment else {
            return Ok(None);
        };
        if txs.contains(tx) {
            return Err(bad("is said to be paid by that transaction already"));
        }
        if txs.len() > FURTHER_TXS_MAX {
            return Err(bad("is said to be paid by too many transactions"));
        }
        txs.push(tx.clone());
        self.last_claim_ms = now_ms;
        Ok(Some(bill.amount))
    }

    /// A window is paid, for good.
    pub(super) fn met(&mut self, number: u64) {
        if let Some(bill) = self.open.iter_mut().find(|bill| bill.number == number) {
            bill.payment = Payment::Final;
        }
        self.collect();
    }

    /// So many blocks hold the payment of a window or stand on it; fewer than before where some were
    /// given up.
    pub(super) fn seen(&mut self, number: u64, blocks: u64) {
        if let Some(bill) = self.open.iter_mut().find(|bill| bill.number == number) {
            bill.blocks = blocks;
        }
    }

    /// Up to which item payments count for credit. At stake with each is all that is said and not
    /// final up to it, so many small payments are no safer than a large one.
    pub(super) fn counted_items(&self, when: &CountsWhen) -> u64 {
        let (mut counted, mut at_stake) = (self.paid_items, 0_u128);
        for bill in &self.open {
            match bill.payment {
                Payment::Final => {}
                Payment::Due => break,
                Payment::Claimed { .. } => {
                    at_stake = at_stake.saturating_add(bill.amount.units());
                    let needed = when.blocks(Amount::new(at_stake));
                    if needed.is_none_or(|needed| bill.blocks < needed) {
                        break;
                    }
                }
            }
            counted = counted.max(bill.window_end.seq);
        }
        counted
    }

    /// Takes off the oldest invoices that are paid for good.
    fn collect(&mut self) {
        while let Some(bill) = self.open.pop_front_if(|bill| bill.payment == Payment::Final) {
            self.pay(bill.window_end.seq, bill.amount_total);
        }
    }

    /// Money is in hand for so many items.
    pub(super) fn pay(&mut self, items: u64, total: Amount) {
        self.paid_items = self.paid_items.max(items);
        self.paid_total = self.paid_total.max(total);
    }

    fn number_of(&self, reference: Reference, stream: &Stream) -> Option<u64> {
        let of = |bill: &&Bill| {
            stream.terms.session.reference(Purpose::Payment, bill.number) == reference
        };
        self.open.iter().find(of).map(|bill| bill.number)
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
        if exit.body.items > self.windows.items() {
            let fault = Fault::theirs(Code::BadItem, "the buyer's exit names items never sent");
            return Err(fault.shown_by(exit.message));
        }
        if let Some(message) = exit.message {
            out.record(Record::Exit { by: Role::Buyer, message, owed: None });
        }
        if let (Some(purse), Some(AfterExit::Keep)) = (&mut self.purse, exit.body.channel) {
            purse.keep = true;
        }
        Ok(exit.body)
    }

    /// The transaction of something that we owe is known.
    pub(super) fn signed(&mut self, reference: Reference, tx: TxId) {
        // A claim's transaction is the buyer's own; only anchors are worth telling.
        if self.bills.number_of(reference, self).is_none() {
            self.untold.push(Anchored { reference, tx, proof: None });
        }
    }

    /// Something owed is done, for good.
    pub(super) fn met(&mut self, reference: Reference) {
        self.purse.iter_mut().for_each(|purse| purse.redeemed.over(reference));
        if let Some(number) = self.bills.number_of(reference, self) {
            self.bills.met(number);
        }
    }

    /// So many blocks hold a payment that was said. Credit follows: what is given back by the ledger
    /// is out on credit again, and no item leaves until it counts once more.
    pub(super) fn seen(&mut self, reference: Reference, blocks: u64) {
        if let Some(number) = self.bills.number_of(reference, self) {
            self.bills.seen(number, blocks);
        }
    }

    /// Something owed will never be done. A missing anchor is the auditor's business; a payment
    /// that is none ends the session.
    pub(super) fn refused(&mut self, reference: Reference, why: &str) -> Result<(), Fault> {
        self.purse.iter_mut().for_each(|purse| purse.redeemed.over(reference));
        match self.bills.number_of(reference, self) {
            Some(number) => {
                let why = format!("the payment of window {number} is not good: {why}");
                Err(Fault::theirs(Code::BadPayment, why))
            }
            None => Ok(()),
        }
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
        let Ack { seq, digest, voucher } = ack.body;
        let fresh = self
            .bills
            .acknowledge(Cumulative { seq, digest }, now_ms)
            .map_err(|fault| fault.shown_by(ack.message.clone()))?;
        if let (true, Some(message)) = (fresh, ack.message) {
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
        let covers = |bill: &Bill| bill.payment == Payment::Due && bill.window_end.seq <= seq;
        if vouches || self.bills.open.iter().any(covers) {
            self.bills.unkept_ack = None;
            out.record(Record::Ack { message });
        } else {
            self.bills.unkept_ack = Some(message);
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
        let is_transfer = self.terms.currency.method == Method::Transfer;
        let is_said = (1..=self.bills.claimed_to).contains(&payment.number);
        if !(is_transfer && is_said) {
            let claimed = self.bills.claim(&payment, now_ms);
            claimed.map_err(|fault| fault.shown_by(evidence.clone()))?;
            self.bills.acknowledge(payment.ack, now_ms).or_else(|fault| match payment.ack.seq {
                older if older < self.bills.acked_seq => Ok(false),
                _ => Err(fault),
            })?;
        }
        let message = message.ok_or_else(|| Fault::ours("a payment without its signature"))?;
        if is_transfer {
            let owed = self.check(&payment, envelope.verification(), now_ms);
            if let Some(owed) = owed.map_err(|fault| fault.shown_by(evidence))? {
                out.record(Record::Payment { message, owed: Some(owed) });
            }
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
        let Some(amount) = self.bills.name(payment, &tx, now_ms)? else {
            return Ok(None);
        };
        let reference = self.terms.session.reference(Purpose::Payment, number);
        let currency = &self.terms.currency;
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
