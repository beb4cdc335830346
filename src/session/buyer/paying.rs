//! The buyer's payments on their way: each is told to the seller when its voucher is signed or its
//! transaction known, in the order of the invoices.

use super::stream::Stream;
use super::tab::Tab;
use crate::message::{Cumulative, Draft, PaymentAck, Voucher};
use crate::record::{Record, SignedMessage};
use crate::session::{Fault, Outputs};
use crate::terms::Purpose;
use sdpp_ledger::{Amount, Reference, TxId};

/// An accepted invoice whose payment is under way, or several that are paid together.
#[derive(Debug)]
pub(super) struct Unpaid {
    /// The first of them.
    pub(super) from: u64,
    /// The last of them, which the payment is under.
    pub(super) number: u64,
    pub(super) amount_total: Amount,
    pub(super) window_end: Cumulative,
    /// When its invoice came; of several, when their payment was owed.
    pub(super) since_ms: u64,
    /// By transfer: the transaction, once it is known.
    pub(super) tx: Option<TxId>,
}

/// What an accepted invoice asks for.
pub(super) struct Bill {
    pub(super) number: u64,
    /// Its window's first item.
    pub(super) from_seq: u64,
    pub(super) amount: Amount,
    pub(super) amount_total: Amount,
    /// Until when the seller waits for it, by the seller's clock, in milliseconds since 1970 UTC.
    pub(super) due_ms: u64,
    /// It is held back to be paid with others.
    pub(super) is_held: bool,
}

impl Stream {
    /// An accepted invoice is to be paid: at once, or with others. What costs nothing needs no payment.
    pub(super) fn bill(&mut self, place: usize, bill: &Bill, now_ms: u64) {
        let Bill { number, amount, amount_total, is_held, .. } = *bill;
        self.tabs.at_mut(place).invoiced = amount_total;
        if amount == Amount::ZERO {
            return;
        }
        let (from, window_end, since_ms) = (number, self.cumulative(), now_ms);
        let unpaid = Unpaid { from, number, amount_total, window_end, since_ms, tx: None };
        match is_held {
            true => self.hold(place, unpaid, bill),
            false => self.tabs.at_mut(place).unpaid.push_back(unpaid),
        }
    }

    /// The transaction of a payment is known, or it has another because its fee was raised: the
    /// seller is told, in the order of the invoices.
    pub(super) fn signed(
        &mut self,
        reference: Reference,
        tx: TxId,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        self.is_under(reference, tx, false, out).map(drop)
    }

    /// Something that we owe a ledger is done, for good.
    pub(super) fn met(
        &mut self,
        reference: Reference,
        tx: TxId,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        if let Some(number) = self.is_under(reference, tx, true, out)? {
            self.tabs.all_mut().for_each(|tab| tab.said.forget(number));
        }
        Ok(())
    }

    /// A payment is under this transaction; gives the number of its window.
    fn is_under(
        &mut self,
        reference: Reference,
        tx: TxId,
        is_final: bool,
        out: &mut Outputs,
    ) -> Result<Option<u64>, Fault> {
        let Some(number) = self.number_of(reference) else { return Ok(None) };
        let has = |tab: &Tab| tab.numbers().any(|one| one == number);
        let Some(place) = self.tabs.all().position(has) else { return Ok(None) };
        let tab = self.tabs.at_mut(place);
        if let Some(unpaid) = tab.unpaid.iter_mut().find(|unpaid| unpaid.number == number) {
            unpaid.tx = Some(tx);
            self.tell(out)?;
        } else if let Some(unpaid) = tab.said.again(number, &tx, is_final) {
            self.say_paid(place, &unpaid, None, out);
        }
        Ok(Some(number))
    }

    /// The window that a payment of ours is for, while that is not final.
    fn number_of(&self, reference: Reference) -> Option<u64> {
        let mut numbers = self.tabs.all().flat_map(Tab::numbers);
        let of = |number| self.terms.session.reference(Purpose::Payment, number);
        numbers.find(|number| of(*number) == reference)
    }

    /// Something that we owe a ledger will never be done. Without its payment a session is over,
    /// above all where the seller was told of it already; a missing anchor is the auditor's
    /// business.
    pub(super) fn refused(&self, reference: Reference, why: &str) -> Result<(), Fault> {
        match self.number_of(reference) {
            Some(number) => Err(Fault::ours(format!("window {number} cannot be paid: {why}"))),
            None => Ok(()),
        }
    }

    /// Pays what is to be paid now.
    pub(super) fn pay(&mut self, now_ms: u64, out: &mut Outputs) -> Result<(), Fault> {
        self.owe_gathered(now_ms, out);
        self.tell(out)
    }

    /// Tells the seller of payments in the order of the invoices: by voucher at once, by transfer
    /// as far as transactions are known.
    fn tell(&mut self, out: &mut Outputs) -> Result<(), Fault> {
        (0..self.tabs.count()).try_for_each(|place| self.tell_leg(place, out))
    }

    fn tell_leg(&mut self, place: usize, out: &mut Outputs) -> Result<(), Fault> {
        let has_purse = self.tabs.at(place).purse.is_some();
        let by_voucher = has_purse && !self.is_short(place);
        let is_payable = |unpaid: &mut Unpaid| by_voucher || unpaid.tx.is_some();
        while let Some(unpaid) = self.tabs.at_mut(place).unpaid.pop_front_if(is_payable) {
            let voucher = match has_purse {
                true => Some(self.voucher(unpaid.window_end.seq, out)?),
                false => None,
            };
            self.say_paid(place, &unpaid, voucher, out);
            if let Some(tx) = unpaid.tx.clone() {
                self.tabs.at_mut(place).said.add(unpaid, tx);
            }
        }
        Ok(())
    }

    fn say_paid(
        &mut self,
        place: usize,
        unpaid: &Unpaid,
        voucher: Option<Voucher>,
        out: &mut Outputs,
    ) {
        let Unpaid { from, number, amount_total, window_end: ack, .. } = *unpaid;
        let from = Some(from).filter(|from| *from != number);
        let tx = unpaid.tx.as_ref().map_or("", TxId::as_str);
        let payment = PaymentAck { number, from, amount_total, ack, voucher };
        let (message, frame) = Draft::new(self.terms.session, &payment).sign(&self.key, tx);
        out.record(Record::Payment { message, owed: None });
        out.send(frame);
        let tab = self.tabs.at_mut(place);
        tab.paid = tab.paid.max(amount_total);
    }

    /// What the seller was told of a payment, read back: its number, the item that it reaches to, and
    /// its transaction or voucher.
    pub(super) fn said_paid(&mut self, message: &SignedMessage, vouched: Option<Amount>) {
        let (number, paid) = (message.number, message.amount_total);
        let has = |tab: &&mut Tab| tab.numbers().any(|one| one == number);
        let Some(tab) = self.tabs.all_mut().find(has) else { return };
        tab.paid = tab.paid.max(paid);
        if let (Some(purse), Some(amount)) = (&mut tab.purse, vouched) {
            purse.note_vouched(amount);
        }
        let tx: Option<TxId> = message.verification.parse().ok();
        let unpaid = tab.unpaid.iter().position(|unpaid| unpaid.number == number);
        match (unpaid.and_then(|at| tab.unpaid.remove(at)), tx) {
            (Some(unpaid), Some(tx)) => tab.said.add(Unpaid { tx: Some(tx.clone()), ..unpaid }, tx),
            (None, Some(tx)) => drop(tab.said.again(number, &tx, true)),
            (_, None) => {}
        }
    }

    pub(super) fn voucher(&mut self, items: u64, out: &mut Outputs) -> Result<Voucher, Fault> {
        let too_much = || Fault::ours("the price of this session passes 128 bits");
        let place = self.agreed().leg_place(items);
        let owed = self.agreed().owed_in(place, items).ok_or_else(too_much)?;
        self.within_ceiling(place, owed)?;
        let credit = self.agreed().pace(items.saturating_add(1)).credit_items();
        let ahead = self.agreed().owed_in(place, items.saturating_add(credit));
        let tab = self.tabs.at_mut(place);
        let limit = tab.limit();
        let ahead = ahead.unwrap_or(limit).min(limit);
        let purse = tab.purse.as_mut().ok_or_else(|| Fault::ours("there is no channel"))?;
        purse.sign(owed, ahead, &self.key, out)
    }
}
