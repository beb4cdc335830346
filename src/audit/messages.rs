//! What a session's messages say, held against its terms and against each other.

use super::fold::{Early, Fold, Window};
use super::proof::{Found, ToVerify, VOUCHER, is_of};
use crate::crypto::layout::MessageKind;
use crate::crypto::running_digest;
use crate::message::{Ack, Cumulative, DataInvoice, Exit, PaymentAck, reread};
use crate::record::{Act, Leaves, Owed, SignedMessage};
use crate::terms::{InEscrow, Method, Purpose, Role, SessionId, Terms};
use sdpp_ledger::{
    Amount, Call, Claim, Digest, Domain, PublicKey, Signature, Transfer, Voucher, merkle,
};

/// The most digests of items that are kept for acks that come later: the last window's, and of
/// those before it as many as fit.
const LATE_MAX: usize = 4 * 1024;

/// The most items that may be acknowledged beyond the last invoice and are compared with it when
/// it comes: as many acks as a window of the largest kind can have.
const EARLY_MAX: usize = 1 << 20;

impl Fold {
    /// A message must be of this kind and session; who signed it is verified later.
    pub(super) fn signed(
        &mut self,
        what: &'static str,
        message: &SignedMessage,
        kind: MessageKind,
        (key, session): (&PublicKey, SessionId),
    ) -> Found {
        is_of(what, message, kind, session)?;
        self.to_verify.push(ToVerify::message((self.entry, self.session), what, message, *key));
        Ok(())
    }

    pub(super) fn invoice(
        &mut self,
        (role, terms): (Role, &Terms),
        message: &SignedMessage,
        (from_seq, to_seq): (u64, u64),
        (digest, leaves): (&Digest, &Leaves),
        owed: Option<&Owed>,
    ) -> Found {
        let by = (&terms.seller, self.session);
        let signed = self.signed("invoice", message, MessageKind::DataInvoice, by);
        self.note(signed);
        let recomputed = self.recompute(message, (from_seq, to_seq), digest, leaves);
        self.note(recomputed);
        let (items, before) = self.invoiced();
        let (number, next) = (message.number, self.windows.len() as u64 + 1);
        let agreed = self.credited.agreed(terms);
        let most = agreed.window_end(items.saturating_add(1));
        let total = agreed.owed_for(to_seq).ok_or("the price passes 128 bits")?;
        let amount = total.saturating_sub(before);
        // Counted as agreed, whatever is wrong with it: what follows is judged on its own.
        self.windows.push(Window { to_seq, digest: *digest, total, at_ms: self.at_ms });
        if (from_seq, number) != (items + 1, next) || to_seq < from_seq {
            return Err(format!("invoice {number} does not follow the one before"));
        }
        if to_seq > most {
            return Err(format!("invoice {number} is for more than K items"));
        }
        if message.amount_total != total {
            let said = message.amount_total;
            return Err(format!("invoice {number} asks {said} in all, {total} is agreed"));
        }
        if message.data.is_some() {
            self.is_as_recorded((role, terms), message, (from_seq, to_seq, amount, *digest))?;
        }
        let anchored = self.is_anchored(terms, Purpose::Invoice, number, &message.data_digest);
        self.note(anchored);
        match owed.map(|owed| (owed, &owed.act)) {
            Some((owed, Act::Do(Call::Transfer(transfer)))) => {
                self.pays_for(number, (to_seq - items, self.at_ms));
                self.is_agreed(terms, (number, amount), owed, transfer)
            }
            _ => Ok(()),
        }
    }

    /// The window's root and the digest that runs over it, from its leaves; and what was
    /// acknowledged of it before it was invoiced. A window without leaves (of too many items, or
    /// pruned) has nothing to be recomputed from.
    fn recompute(
        &mut self,
        message: &SignedMessage,
        (from_seq, to_seq): (u64, u64),
        digest: &Digest,
        leaves: &Leaves,
    ) -> Found {
        let number = message.number;
        let before = self.windows.last().map_or(self.session.0, |window| window.digest);
        let mut early = std::mem::take(&mut self.early);
        self.early = early.split_off(early.partition_point(|ack| ack.seq <= to_seq));
        let leaves = leaves.as_slice();
        if leaves.is_empty() {
            let ends = early.iter().rev().find(|ack| ack.seq == to_seq);
            ends.filter(|ack| ack.digest != *digest).into_iter().for_each(|ack| self.other(ack));
            return Ok(());
        }
        let items = to_seq.checked_add(1).and_then(|end| end.checked_sub(from_seq));
        if items != Some(leaves.len() as u64) || merkle::root(leaves) != message.commitment {
            return Err(format!("the leaves of window {number} are others"));
        }
        let (mut runs, mut acks) = (before, early.iter().peekable());
        for (seq, leaf) in (from_seq..).zip(leaves) {
            runs = running_digest(&runs, leaf);
            self.late.push_back((seq, runs));
            while let Some(ack) = acks.next_if(|ack| ack.seq <= seq) {
                if ack.seq == seq && ack.digest != runs {
                    self.other(ack);
                }
            }
        }
        let most = LATE_MAX.max(leaves.len());
        self.late.drain(..self.late.len().saturating_sub(most));
        if runs != *digest {
            return Err(format!("the digest of window {number} is not what its leaves make"));
        }
        self.recomputed += 1;
        Ok(())
    }

    fn other(&mut self, ack: &Early) {
        let Early { entry, seq, .. } = *ack;
        self.note_at(entry, format!("the ack of item {seq} is of other items than were invoiced"));
    }

    /// What is owed for a window pays for so many items, invoiced at that time.
    fn pays_for(&mut self, number: u64, (items, at_ms): (u64, u64)) {
        let reference = self.session.reference(Purpose::Payment, number);
        if let Some(due) = self.due(reference).filter(|due| due.items == 0) {
            (due.items, due.at_ms) = (items, at_ms);
        }
    }

    /// The invoice's own words must be what stands beside them.
    fn is_as_recorded(
        &self,
        (role, terms): (Role, &Terms),
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
        let receipt = invoice.paid_total;
        if receipt > invoice.amount_total || (role == Role::Seller && receipt > self.settled) {
            return Err(format!("invoice {number} is a receipt for {receipt}, more than was paid"));
        }
        Ok(())
    }

    pub(super) fn ack(&mut self, terms: &Terms, message: &SignedMessage) -> Found {
        self.signed("ack", message, MessageKind::Ack, (&terms.buyer, self.session))?;
        if !self.is_pruned {
            reread::<Ack>(message).map_err(|e| e.to_string())?;
        }
        // All that counts stands in the signed layout; a reread message says the same.
        let (seq, digest) = (message.number, message.commitment);
        let is_early = seq > self.invoiced().0 && self.early.len() < EARLY_MAX;
        if is_early && self.early.last().is_none_or(|last| last.seq <= seq) {
            self.early.push(Early { entry: self.entry, seq, digest });
        }
        let next = self.windows.partition_point(|window| window.to_seq < seq);
        let ends = |window: &&Window| window.to_seq == seq;
        let at_end = self.windows.get(next).filter(ends).map(|window| window.digest);
        let inside = self.late.binary_search_by_key(&seq, |(seq, _)| *seq).ok();
        let inside = inside.and_then(|at| self.late.get(at)).map(|(_, digest)| *digest);
        if at_end.or(inside).is_some_and(|invoiced| invoiced != digest) {
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
        let by = (&terms.buyer, self.session);
        self.signed("payment", message, MessageKind::PaymentAck, by)?;
        let (number, amount_total) = (message.number, message.amount_total);
        let ack = match self.is_pruned {
            true => None,
            false => Some(reread::<PaymentAck>(message).map_err(|e| e.to_string())?.ack),
        };
        let index = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
        let window = index.and_then(|index| self.windows.get(index));
        let before = index.and_then(|index| self.windows.get(index.checked_sub(1)?));
        let paid_before = before.map_or(Amount::ZERO, |window| window.total);
        let fits = |window: &&Window| {
            let acked = |ack: Cumulative| (ack.seq, ack.digest) == (window.to_seq, window.digest);
            window.total == amount_total && ack.is_none_or(acked)
        };
        let Some(window) = window.filter(fits) else {
            return Err(format!("the payment of window {number} does not fit its invoice"));
        };
        let (to_seq, invoiced_ms) = (window.to_seq, window.at_ms);
        let amount = amount_total.saturating_sub(paid_before);
        let items_before = before.map_or(0, |window| window.to_seq);
        self.pays_for(number, (to_seq.saturating_sub(items_before), invoiced_ms));
        self.acked = self.acked.max(to_seq);
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
        let (at, of) = ((self.entry, self.session), (voucher.digest(domain), *signature));
        self.to_verify.push(ToVerify::digest(at, VOUCHER, of, terms.buyer));
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
        self.signed("exit", message, MessageKind::Exit, (key, self.session))?;
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
