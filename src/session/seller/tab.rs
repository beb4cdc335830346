//! What one leg of a session owes, as the seller has it: its invoices, until they are paid for good.

use super::purse::Purse;
use crate::message::{Code, Cumulative, PaymentAck};
use crate::record::FURTHER_TXS_MAX;
use crate::session::Fault;
use crate::terms::{CountsWhen, Currency, Leg};
use sdpp_ledger::{Amount, TxId};
use std::collections::VecDeque;

/// The invoices of one leg.
#[derive(Debug)]
pub(super) struct Tab {
    /// The leg's first item.
    from_seq: u64,
    /// The number of its first window.
    first: u64,
    pub(super) currency: Currency,
    pub(super) purse: Option<Purse>,
    /// When its payments count for credit.
    counts: CountsWhen,
    /// Invoices that are not paid for good, the oldest first.
    open: VecDeque<Bill>,
    billed: Amount,
    paid_items: u64,
    paid_total: Amount,
    last_claim_ms: u64,
    /// The last invoice whose payment was said.
    claimed_to: u64,
}

/// An invoice that is not paid for good, or several that the buyer said to have paid together: from
/// then on they are one, that stands or falls with its one payment.
#[derive(Debug)]
pub(super) struct Bill {
    /// The first of several.
    from: u64,
    /// The last of them, which their payment is under.
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
        let (payment, blocks, from) = (Payment::Due, 0, number);
        Bill { from, number, amount, amount_total, window_end, due_ms, payment, blocks }
    }
}

impl Tab {
    /// A leg that begins with this window, and nothing of it is invoiced.
    pub(super) fn new(leg: &Leg, first: u64, purse: Option<Purse>, counts: CountsWhen) -> Tab {
        Tab {
            from_seq: leg.from_seq,
            first,
            currency: leg.currency.clone(),
            purse,
            counts,
            open: VecDeque::new(),
            billed: Amount::ZERO,
            paid_items: leg.from_seq.saturating_sub(1),
            paid_total: Amount::ZERO,
            last_claim_ms: 0,
            claimed_to: 0,
        }
    }

    /// The number of its first window.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Its first item.
    pub(super) fn first_item(&self) -> u64 {
        self.from_seq
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

    pub(super) fn billed(&self) -> Amount {
        self.billed
    }

    /// What the buyer has a receipt for: what is in hand, and was asked for. Vouchers in hand may be worth
    /// more, where what they were signed for is void since.
    pub(super) fn receipted(&self) -> Amount {
        self.paid_total.min(self.billed)
    }

    /// The windows from this number on are void, and nothing was heard of their payment: they are not
    /// owed.
    pub(super) fn withdraw_from(&mut self, number: u64) {
        let kept = self.open.partition_point(|bill| bill.number < number);
        if let Some(first) = self.open.get(kept) {
            self.billed = first.amount_total.saturating_sub(first.amount);
        }
        self.open.truncate(kept);
    }

    pub(super) fn paid_items(&self) -> u64 {
        self.paid_items
    }

    pub(super) fn paid_total(&self) -> Amount {
        self.paid_total
    }

    /// Whether all that was invoiced is paid for good.
    pub(super) fn is_paid(&self) -> bool {
        self.open.is_empty()
    }

    /// The buyer's time to pay what nothing was heard of lasts until then at least.
    pub(super) fn wait_until(&mut self, due_ms: u64) {
        self.open.iter_mut().for_each(|bill| bill.due_ms = bill.due_ms.max(due_ms));
    }

    /// When the oldest payment that nothing was heard of is late.
    pub(super) fn next_due_ms(&self) -> Option<u64> {
        self.open.iter().find(|bill| bill.payment == Payment::Due).map(|bill| bill.due_ms)
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

    /// Whether an invoice's payment was said already.
    pub(super) fn is_said(&self, number: u64) -> bool {
        (self.first..=self.claimed_to).contains(&number)
    }

    /// Numbers of invoices that are not paid for good.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.open.iter().map(|bill| bill.number)
    }

    /// Those whose payment was said.
    pub(super) fn claimed(&self) -> impl Iterator<Item = u64> {
        let is_claimed = |bill: &&Bill| matches!(bill.payment, Payment::Claimed { .. });
        self.open.iter().filter(is_claimed).map(|bill| bill.number)
    }

    /// A voucher worth so much is in hand, which pays for so many items and for what was said to be paid
    /// by it.
    pub(super) fn pay_by_voucher(&mut self, items: u64, worth: Amount) {
        self.pay(items, worth);
        for bill in self.open.iter_mut().filter(|bill| bill.amount_total <= worth) {
            if matches!(bill.payment, Payment::Claimed { .. }) {
                bill.payment = Payment::Final;
            }
        }
        self.collect();
    }

    /// Whether an ack up to this item covers a window whose payment was not said.
    pub(super) fn is_due_by(&self, seq: u64) -> bool {
        let covers = |bill: &Bill| bill.payment == Payment::Due && bill.window_end.seq <= seq;
        self.open.iter().any(covers)
    }

    /// The payment that is late, if one is.
    pub(super) fn late(&self, now_ms: u64) -> Option<Fault> {
        let due = |bill: &&Bill| bill.payment == Payment::Due && bill.due_ms <= now_ms;
        let bill = self.open.iter().find(due)?;
        let why = format!("the payment of window {} is late: {} owed", bill.number, bill.amount);
        Some(Fault::timed_out(why))
    }

    /// The buyer says that it paid these invoices: the oldest that nothing was heard of, and as many
    /// of those that follow as it names.
    pub(super) fn claim(&mut self, payment: &PaymentAck, now_ms: u64) -> Result<(), Fault> {
        let bad = |why: String| Fault::theirs(Code::BadPayment, why);
        let (from, number) = (payment.first(), payment.number);
        let is_due = |bill: &Bill| bill.payment == Payment::Due;
        let first = self.open.iter().position(is_due);
        let first = first.ok_or_else(|| bad(format!("window {number} is not to be paid now")))?;
        let oldest = self.open[first].number;
        if oldest != from {
            return Err(bad(format!("window {oldest} is to be paid now, not {from}")));
        }
        let is_last = |bill: &Bill| bill.number == number && is_due(bill);
        let last = self.open.iter().position(is_last);
        let last = last.ok_or_else(|| bad(format!("window {number} is not to be paid now")))?;
        let bill = &self.open[last];
        let (asked, paid) = (bill.amount_total, payment.amount_total);
        if paid != asked {
            let still = asked.saturating_sub(paid);
            let why = format!("window {number} asks {asked} in all, {paid} is paid: {still} owed");
            return Err(bad(why));
        }
        if payment.ack != bill.window_end {
            return Err(bad(format!("the payment's ack does not fit window {number}")));
        }
        self.merge(first, last);
        self.open[first].payment = Payment::Claimed { since_ms: now_ms, txs: Vec::new() };
        (self.last_claim_ms, self.claimed_to) = (now_ms, number);
        Ok(())
    }

    /// Makes one bill of those at these places, the last after the first or the same.
    fn merge(&mut self, first: usize, last: usize) {
        let before = self.open[first].amount_total.saturating_sub(self.open[first].amount);
        let merged = self.open.drain(first + 1..=last).next_back();
        let Some(Bill { number, amount_total, window_end, .. }) = merged else { return };
        let bill = &mut self.open[first];
        bill.amount = amount_total.saturating_sub(before);
        (bill.number, bill.amount_total, bill.window_end) = (number, amount_total, window_end);
    }

    /// The buyer names a transaction for a payment that it has said. Answers what that payment is
    /// worth, or nothing where the payment is final and needs no more proof. When the ledger's
    /// time began does not change, however often the fee is raised.
    pub(super) fn name(
        &mut self,
        payment: &PaymentAck,
        tx: &TxId,
        now_ms: u64,
    ) -> Result<Option<Amount>, Fault> {
        let number = payment.number;
        let bad = |why: &str| Fault::theirs(Code::BadPayment, format!("window {number} {why}"));
        let is_in = |bill: &&mut Bill| (bill.from..=bill.number).contains(&number);
        let Some(bill) = self.open.iter_mut().find(is_in) else {
            return Ok(None);
        };
        let said = (payment.first(), payment.amount_total, payment.ack);
        if said != (bill.from, bill.amount_total, bill.window_end) {
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
    pub(super) fn counted_items(&self) -> u64 {
        let (mut counted, mut at_stake) = (self.paid_items, Amount::ZERO);
        for bill in &self.open {
            match bill.payment {
                Payment::Final => {}
                Payment::Due => break,
                Payment::Claimed { .. } => {
                    at_stake = at_stake.saturating_add(bill.amount);
                    let needed = self.counts.blocks(at_stake);
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
}
