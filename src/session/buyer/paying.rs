//! The buyer's payments on their way: each is told to the seller when its voucher is signed or its
//! transaction known, in the order of the invoices.

use super::stream::Stream;
use crate::message::{Cumulative, Draft, PaymentAck, Voucher};
use crate::record::Record;
use crate::session::{Fault, Outputs};
use crate::terms::Purpose;
use sdpp_ledger::{Amount, Reference, TxId};

/// An accepted invoice whose payment is under way.
#[derive(Debug)]
pub(super) struct Unpaid {
    pub(super) number: u64,
    pub(super) amount_total: Amount,
    pub(super) window_end: Cumulative,
    /// By transfer: the transaction, once it is known.
    pub(super) tx: Option<TxId>,
}

impl Stream {
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
            self.said.forget(number);
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
        if let Some(unpaid) = self.unpaid.iter_mut().find(|unpaid| unpaid.number == number) {
            unpaid.tx = Some(tx);
            self.pay(out)?;
        } else if let Some(unpaid) = self.said.again(number, &tx, is_final) {
            self.say_paid(&unpaid, None, out);
        }
        Ok(Some(number))
    }

    /// The window that a payment of ours is for, while that is not final.
    fn number_of(&self, reference: Reference) -> Option<u64> {
        let mut numbers = self.unpaid.iter().map(|one| one.number).chain(self.said.numbers());
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

    /// Tells the seller of payments in the order of the invoices: by voucher at once, by transfer
    /// as far as transactions are known.
    pub(super) fn pay(&mut self, out: &mut Outputs) -> Result<(), Fault> {
        let by_voucher = self.purse.is_some() && !self.is_short();
        while let Some(unpaid) =
            self.unpaid.pop_front_if(|unpaid| by_voucher || unpaid.tx.is_some())
        {
            let voucher = match self.purse {
                Some(_) => Some(self.voucher(unpaid.window_end.seq, out)?),
                None => None,
            };
            self.say_paid(&unpaid, voucher, out);
            if let Some(tx) = unpaid.tx.clone() {
                self.said.add(unpaid, tx);
            }
        }
        Ok(())
    }

    fn say_paid(&mut self, unpaid: &Unpaid, voucher: Option<Voucher>, out: &mut Outputs) {
        let Unpaid { number, amount_total, window_end: ack, .. } = *unpaid;
        let tx = unpaid.tx.as_ref().map_or("", TxId::as_str);
        let payment = PaymentAck { number, amount_total, ack, voucher };
        let (message, frame) = Draft::new(self.terms.session, &payment).sign(&self.key, tx);
        out.record(Record::Payment { message, owed: None });
        out.send(frame);
        self.paid = self.paid.max(amount_total);
    }

    pub(super) fn voucher(&mut self, items: u64, out: &mut Outputs) -> Result<Voucher, Fault> {
        let too_much = || Fault::ours("the price of this session passes 128 bits");
        let owed = self.owed_for(items).ok_or_else(too_much)?;
        self.within_ceiling(owed)?;
        let credit = self.agreed().pace(items.saturating_add(1)).credit_items();
        let ahead = self.owed_for(items.saturating_add(credit));
        let limit = self.limit();
        let ahead = ahead.unwrap_or(limit).min(limit);
        let purse = self.purse.as_mut().ok_or_else(|| Fault::ours("there is no channel"))?;
        purse.sign(owed, ahead, &self.key, out)
    }
}
