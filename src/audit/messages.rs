//! What a session's messages say, held against its terms and against each other.

use super::counts::Count;
use super::fold::{Early, Fold, Window};
use super::ground::Under;
use super::paying::Pays;
use super::proof::{Found, ToVerify, VOUCHER, is_of};
use crate::crypto::layout::MessageKind;
use crate::crypto::running_digest;
use crate::message::{Ack, DataInvoice, reread};
use crate::record::{Act, Leaves, Owed, SignedMessage};
use crate::terms::{InEscrow, Purpose, Role, SessionId, Terms};
use sdpp_ledger::{Amount, Call, ChannelId, Digest, Domain, PublicKey, Signature, Voucher, merkle};

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
        under: &Under,
        message: &SignedMessage,
        (from_seq, to_seq): (u64, u64),
        (digest, leaves): (&Digest, &Leaves),
        owed: Option<&Owed>,
    ) -> Found {
        let (agreed, terms) = (under.agreed(), under.terms());
        let by = (&terms.seller, self.session);
        let signed = self.signed("invoice", message, MessageKind::DataInvoice, by);
        self.note(signed);
        let recomputed = self.recompute(message, (from_seq, to_seq), digest, leaves);
        let is_recomputed = recomputed == Ok(true);
        self.note(recomputed.map(|_| ()));
        let items = self.items();
        let (number, next) = (message.number, self.numbers() + 1);
        let most = agreed.window_end(items.saturating_add(1));
        let total = agreed.owed_for(to_seq).ok_or("the price passes 128 bits")?;
        let leg = agreed.leg_place(to_seq);
        let amount = total.saturating_sub(self.counts.of(leg).invoiced);
        // Counted as agreed, whatever is wrong with it: what follows is judged on its own.
        self.counts.on(leg).invoiced = total;
        let leg = u16::try_from(leg).unwrap_or(u16::MAX);
        let digest = *digest;
        self.windows.push(Window {
            number: next,
            to_seq,
            items: agreed.given(to_seq),
            is_void: false,
            is_recomputed,
            is_unrated: false,
            digest,
            total,
            leg,
            at_ms: self.at_ms,
            answered: 0,
        });
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
            self.is_as_recorded(under, message, (from_seq, to_seq, amount, digest))?;
        }
        let anchored = self.is_anchored(terms, Purpose::Invoice, number, &message.data_digest);
        self.note(anchored);
        match owed.map(|owed| (owed, &owed.act)) {
            Some((owed, Act::Do(Call::Transfer(transfer)))) => {
                let pays = Pays { number, amount, items: to_seq - items, leg, at_ms: self.at_ms };
                self.pays_for(&pays);
                self.is_agreed(&agreed.leg(to_seq).currency, &pays, owed, transfer)
            }
            _ => Ok(()),
        }
    }

    /// The window's root and the digest that runs over it, from its leaves; and what was
    /// acknowledged of it before it was invoiced. Whether they follow from them: a window without leaves
    /// (of too many items, or pruned) has nothing to be recomputed from.
    fn recompute(
        &mut self,
        message: &SignedMessage,
        (from_seq, to_seq): (u64, u64),
        digest: &Digest,
        leaves: &Leaves,
    ) -> Found<bool> {
        let number = message.number;
        let before = self.windows.last().map_or(self.session.0, |window| window.digest);
        let mut early = std::mem::take(&mut self.early);
        self.early = early.split_off(early.partition_point(|ack| ack.seq <= to_seq));
        let leaves = leaves.as_slice();
        if leaves.is_empty() {
            let ends = early.iter().rev().find(|ack| ack.seq == to_seq);
            ends.filter(|ack| ack.digest != *digest).into_iter().for_each(|ack| self.other(ack));
            return Ok(false);
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
        Ok(true)
    }

    fn other(&mut self, ack: &Early) {
        let Early { entry, seq, .. } = *ack;
        self.note_at(entry, format!("the ack of item {seq} is of other items than were invoiced"));
    }

    /// The invoice's own words must be what stands beside them.
    fn is_as_recorded(
        &mut self,
        under: &Under,
        message: &SignedMessage,
        recorded: (u64, u64, Amount, Digest),
    ) -> Found {
        let body: DataInvoice = reread(message).map_err(|e| e.to_string())?;
        let (invoice, agreed) = (&body.invoice, under.agreed());
        let (number, currency) = (invoice.number, &agreed.leg(invoice.to).currency);
        if (invoice.from, invoice.to, invoice.amount, invoice.digest) != recorded {
            return Err(format!("invoice {number} is not what was recorded of it"));
        }
        if invoice.payment_address != currency.payee || invoice.currency != currency.name {
            return Err(format!("invoice {number} asks to pay another than was agreed"));
        }
        if invoice.reference != self.session.reference(Purpose::Payment, number) {
            return Err(format!("invoice {number} has another reference than was agreed"));
        }
        let is_unrated = under.is_unrated(invoice);
        self.windows.last_mut().into_iter().for_each(|window| window.is_unrated = is_unrated);
        under.is_as_agreed(invoice)?;
        let receipt = invoice.paid_total;
        let settled = self.counts.of(agreed.leg_place(invoice.to)).settled;
        let is_seller = under.role == Role::Seller;
        if receipt > invoice.amount_total || (is_seller && receipt > settled) {
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
        let is_early = seq > self.items() && self.early.len() < EARLY_MAX;
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

    pub(super) fn voucher(
        &mut self,
        under: &Under,
        voucher: &Voucher,
        domain: &Domain,
        signature: &Signature,
    ) -> Found {
        let channels = || under.agreed().legs().filter_map(|leg| leg.escrow);
        if channels().next().is_none() {
            return Err("a voucher, and the order names no channel".to_owned());
        }
        if !channels().any(|on| on.channel == voucher.channel) {
            return Err("a voucher on another channel than the order's".to_owned());
        }
        let (at, of) = ((self.entry, self.session), (voucher.digest(domain), *signature));
        self.to_verify.push(ToVerify::digest(at, VOUCHER, of, under.terms().buyer));
        if let Some((count, worth)) = self.worth(under, voucher.channel, voucher.amount) {
            (count.paid, count.settled) = (count.paid.max(worth), count.settled.max(worth));
        }
        Ok(())
    }

    /// A buyer has vouched so much on a channel, and no more.
    pub(super) fn spent(&mut self, under: &Under, channel: ChannelId, amount: Amount) {
        if let Some((count, worth)) = self.worth(under, channel, amount) {
            count.paid = count.paid.max(worth);
        }
    }

    /// The leg that so much on a channel is for, and what it is worth there.
    fn worth(
        &mut self,
        under: &Under,
        channel: ChannelId,
        amount: Amount,
    ) -> Option<(&mut Count, Amount)> {
        let place = under.leg_on(channel, amount)?;
        let InEscrow { base, .. } = under.agreed().legs().nth(place)?.escrow?;
        Some((self.counts.on(place), amount.saturating_sub(base)))
    }
}
