//! What a session's messages say, held against its terms and against each other.

use super::fold::{Fold, Window};
use super::proof::{Found, is_by};
use crate::crypto::layout::MessageKind;
use crate::message::{Ack, DataInvoice, Exit, PaymentAck, reread};
use crate::record::{Act, Owed, SignedMessage};
use crate::terms::{InEscrow, Method, Purpose, Role, Terms};
use sdpp_ledger::{Amount, Call, Claim, Digest, Domain, Signature, Transfer, Voucher};

impl Fold {
    pub(super) fn invoice(
        &mut self,
        terms: &Terms,
        message: &SignedMessage,
        (from_seq, to_seq): (u64, u64),
        digest: &Digest,
        owed: Option<&Owed>,
    ) -> Found {
        let (items, before) = self.invoiced();
        let (number, next) = (message.number, self.windows.len() as u64 + 1);
        let total = terms.owed_for(to_seq).ok_or("the price passes 128 bits")?;
        let amount = total.saturating_sub(before);
        // Counted as agreed, whatever is wrong with it: what follows is judged on its own.
        self.windows.push(Window { to_seq, digest: *digest, total });
        self.note(is_by("invoice", message, MessageKind::DataInvoice, &terms.seller, self.session));
        if (from_seq, number) != (items + 1, next) || to_seq < from_seq {
            return Err(format!("invoice {number} does not follow the one before"));
        }
        if to_seq - items > u64::from(terms.granularity) {
            return Err(format!("invoice {number} is for more than K items"));
        }
        if message.amount_total != total {
            let said = message.amount_total;
            return Err(format!("invoice {number} asks {said} in all, {total} is agreed"));
        }
        if message.data.is_some() {
            self.is_as_recorded(terms, message, (from_seq, to_seq, amount, *digest))?;
        }
        let anchored = self.is_anchored(terms, Purpose::Invoice, number, &message.data_digest);
        self.note(anchored);
        match owed.map(|owed| (owed, &owed.act)) {
            Some((owed, Act::Do(Call::Transfer(transfer)))) => {
                self.is_agreed(terms, (number, amount), owed, transfer)
            }
            _ => Ok(()),
        }
    }

    /// The invoice's own words must be what stands beside them.
    fn is_as_recorded(
        &self,
        terms: &Terms,
        message: &SignedMessage,
        recorded: (u64, u64, Amount, Digest),
    ) -> Found {
        let body: DataInvoice = reread(message).map_err(|e| e.to_string())?;
        let (invoice, currency) = (&body.invoice, &terms.currency);
        let number = invoice.number;
        if (invoice.from, invoice.to, invoice.amount, invoice.digest) != recorded {
            return Err(format!("invoice {number} is not what was recorded of it"));
        }
        if invoice.payment_address != currency.payee || invoice.currency != currency.name {
            return Err(format!("invoice {number} asks to pay another than was agreed"));
        }
        if invoice.reference != self.session.reference(Purpose::Payment, number) {
            return Err(format!("invoice {number} has another reference than was agreed"));
        }
        Ok(())
    }

    pub(super) fn ack(&mut self, terms: &Terms, message: &SignedMessage) -> Found {
        is_by("ack", message, MessageKind::Ack, &terms.buyer, self.session)?;
        let Ack { seq, digest, .. } = reread(message).map_err(|e| e.to_string())?;
        let next = self.windows.partition_point(|window| window.to_seq < seq);
        let ends = |window: &&Window| window.to_seq == seq;
        if self.windows.get(next).filter(ends).is_some_and(|window| window.digest != digest) {
            return Err(format!("the ack of item {seq} is of other items than were invoiced"));
        }
        self.acked = self.acked.max(seq);
        Ok(())
    }

    pub(super) fn payment(
        &mut self,
        terms: &Terms,
        message: &SignedMessage,
        owed: Option<&Owed>,
    ) -> Found {
        is_by("payment", message, MessageKind::PaymentAck, &terms.buyer, self.session)?;
        let PaymentAck { number, amount_total, ack, .. } =
            reread(message).map_err(|e| e.to_string())?;
        let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        let window = index.and_then(|index| self.windows.get(index));
        let before = index.and_then(|index| self.windows.get(index.checked_sub(1)?));
        let paid_before = before.map_or(Amount::ZERO, |window| window.total);
        let fits = |window: &Window| {
            (window.to_seq, window.digest, window.total) == (ack.seq, ack.digest, amount_total)
        };
        if !window.is_some_and(fits) {
            return Err(format!("the payment of window {number} does not fit its invoice"));
        }
        let amount = amount_total.saturating_sub(paid_before);
        self.acked = self.acked.max(ack.seq);
        self.paid = self.paid.max(amount_total);
        if terms.currency.method == Method::Escrow {
            return Ok(());
        }
        if let Some(owed) = owed {
            let Act::Check(Claim { tx, transfer }) = &owed.act else {
                return Err(format!("the payment of window {number} is not the buyer's own"));
            };
            self.is_agreed(terms, (number, amount), owed, transfer)?;
            if tx.as_str() != message.verification {
                return Err(format!("the payment of window {number} names another transaction"));
            }
        }
        match self.due(self.session.reference(Purpose::Payment, number)) {
            Some(_) => Ok(()),
            None => Err(format!("no transfer stands behind the payment of window {number}")),
        }
    }

    /// A transfer must pay exactly this window to the payee of the terms.
    fn is_agreed(
        &self,
        terms: &Terms,
        (number, amount): (u64, Amount),
        owed: &Owed,
        transfer: &Transfer,
    ) -> Found {
        let currency = &terms.currency;
        let reference = self.session.reference(Purpose::Payment, number);
        let (to, asset) = (currency.payee.clone(), currency.asset.clone());
        let agreed = Transfer { to, asset, amount, reference };
        let is_there = owed.ledger == currency.ledger && owed.reference == reference;
        if *transfer == agreed && is_there {
            return Ok(());
        }
        Err(format!("the transfer for window {number} is not the one that was agreed"))
    }

    pub(super) fn voucher(
        &mut self,
        terms: &Terms,
        voucher: &Voucher,
        domain: &Domain,
        signature: &Signature,
    ) -> Found {
        let Some(InEscrow { channel, base }) = terms.escrow else {
            return Err("a voucher, and the order names no channel".to_owned());
        };
        if channel != voucher.channel {
            return Err("a voucher on another channel than the order's".to_owned());
        }
        if !terms.buyer.verify(&voucher.digest(domain), signature) {
            return Err("the voucher is not signed by the buyer".to_owned());
        }
        let worth = voucher.amount.saturating_sub(base);
        (self.paid, self.settled) = (self.paid.max(worth), self.settled.max(worth));
        Ok(())
    }

    pub(super) fn exit(
        &mut self,
        role: Role,
        terms: &Terms,
        by: Role,
        message: &SignedMessage,
    ) -> Found {
        let key = if by == Role::Seller { &terms.seller } else { &terms.buyer };
        is_by("exit", message, MessageKind::Exit, key, self.session)?;
        let (items, invoiced) = self.invoiced();
        let total = message.amount_total;
        if by == Role::Buyer {
            return match total > invoiced {
                true => Err(format!("the buyer's exit names {total}, {invoiced} was invoiced")),
                false => Ok(()),
            };
        }
        if total != invoiced {
            return Err(format!("the seller's exit names {total}, {invoiced} was invoiced"));
        }
        let anchored = self.is_anchored(terms, Purpose::Exit, 0, &message.data_digest);
        self.note(anchored);
        if message.data.is_none() {
            return Ok(());
        }
        let body: Exit = reread(message).map_err(|e| e.to_string())?;
        if body.items != items {
            let said = body.items;
            return Err(format!("the seller's exit names {said} items, {items} were invoiced"));
        }
        let receipt = body.paid_total;
        // What a buyer has under vouchers is settled by the seller's receipt for them.
        if role == Role::Buyer && terms.currency.method == Method::Escrow {
            self.settled = self.settled.max(receipt);
        }
        if receipt > invoiced || (role == Role::Seller && receipt > self.settled) {
            return Err(format!(
                "the seller's exit is a receipt for {receipt}, more than was paid"
            ));
        }
        Ok(())
    }
}
