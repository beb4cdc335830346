//! Invoices by transfer that are not paid one by one: several of one leg are held back and owed to
//! their ledger as one payment, once its fee is worth it. They wait no longer than the seller does:
//! it is left the credit for two windows more, so that it goes on while the payment becomes final,
//! and half of its patience.

use super::paying::{Bill, Unpaid};
use super::stream::Stream;
use crate::message::Menu;
use crate::record::Record;
use crate::session::{Outputs, fee_in_currency};
use crate::settling::{Hand, Policy, Why};
use crate::terms::{Currency, Method};
use sdpp_ledger::{Amount, Call, LedgerId};
use std::collections::BTreeMap;

/// When we pay together what may be paid together.
#[derive(Debug)]
pub(super) struct Gather {
    /// By the currency's name.
    pub(super) policies: BTreeMap<String, Policy>,
    /// How long we wait for the peer, in milliseconds: as long, we take it, as it waits for us.
    pub(super) patience_ms: u64,
}

impl Gather {
    /// When invoices in a currency are paid by this seller's menu; silent where each is at once.
    pub(super) fn policy(&self, menu: &Menu, currency: &Currency) -> Policy {
        let may = menu.payments_together && currency.method == Method::Transfer;
        let policy = self.policies.get(&currency.name).filter(|_| may);
        policy.copied().unwrap_or_default()
    }

    /// Until when an invoice that came now can wait: half of the time that its seller gives it, for
    /// clocks differ, and a transaction takes time.
    fn latest_ms(&self, due_ms: u64, now_ms: u64) -> u64 {
        let left_ms = due_ms.saturating_sub(now_ms).min(self.patience_ms);
        now_ms.saturating_add(left_ms / 2)
    }
}

/// The invoices of one leg that are held back.
#[derive(Debug)]
pub(super) struct Gathered {
    policy: Policy,
    /// What a payment costs, in the leg's currency, as far as anybody knows.
    fee: Option<Amount>,
    held: Option<Held>,
    /// What was decided last about what is held.
    mind: Option<Why>,
}

/// Invoices that follow one another, as one payment.
#[derive(Debug)]
struct Held {
    payment: Unpaid,
    value: Amount,
    /// Their first item.
    from_seq: u64,
    latest_ms: u64,
}

impl Held {
    /// Another is paid with them.
    fn grow(&mut self, next: Held) {
        let (from, since_ms) = (self.payment.from, self.payment.since_ms);
        let value = self.value.saturating_add(next.value);
        self.payment = Unpaid { from, since_ms, ..next.payment };
        (self.value, self.latest_ms) = (value, self.latest_ms.min(next.latest_ms));
    }
}

impl Gathered {
    /// A leg of which nothing is held back.
    pub(super) fn new(policy: Policy) -> Gathered {
        Gathered { policy, fee: None, held: None, mind: None }
    }

    /// Whether invoices are held back at all.
    pub(super) fn holds(&self) -> bool {
        !self.policy.is_silent()
    }

    /// What is held back, if anything is.
    fn hand(&self) -> Option<Hand> {
        let Held { payment, value, latest_ms, .. } = self.held.as_ref()?;
        let (since_ms, latest_ms) = (payment.since_ms, Some(*latest_ms));
        Some(Hand { value: *value, since_ms, fee: self.fee, latest_ms })
    }

    /// When it is paid at the latest.
    fn due_ms(&self) -> Option<u64> {
        self.policy.due_ms(&self.hand()?)
    }
}

impl Stream {
    /// An accepted invoice that costs something waits to be paid with others.
    pub(super) fn hold(&mut self, place: usize, payment: Unpaid, bill: &Bill) {
        let latest_ms = self.gather.latest_ms(bill.due_ms, payment.since_ms);
        let (value, from_seq) = (bill.amount, bill.from_seq);
        let next = Held { payment, value, from_seq, latest_ms };
        match &mut self.tabs.at_mut(place).gathered.held {
            Some(held) => held.grow(next),
            none => *none = Some(next),
        }
    }

    /// Owes what is held back to its ledger, where it is time. Whether it was for any.
    pub(super) fn owe_gathered(&mut self, now_ms: u64, out: &mut Outputs) -> bool {
        let places = 0..self.tabs.count();
        places.filter(|place| self.owe_in(*place, now_ms, out)).count() > 0
    }

    fn owe_in(&mut self, place: usize, now_ms: u64, out: &mut Outputs) -> bool {
        let gathered = &self.tabs.at(place).gathered;
        let (Some(hand), Some(held)) = (gathered.hand(), &gathered.held) else { return false };
        let policy = gathered.policy;
        let why = self.must(place, held).unwrap_or_else(|| policy.decide(&hand, now_ms));
        if !why.is_now() && gathered.mind == Some(why) {
            return false;
        }
        let (from, number) = (held.payment.from, held.payment.number);
        let owed = why.is_now().then(|| self.transfer(place, number, hand.value));
        let Currency { ledger, name: currency, .. } = self.tabs.at(place).currency.clone();
        out.record(Record::Gathering { from, number, ledger, currency, why, hand, policy, owed });
        self.decided(number, why, now_ms);
        why.is_now()
    }

    /// What was decided about what is held back up to this invoice.
    pub(super) fn decided(&mut self, number: u64, why: Why, now_ms: u64) {
        let is_it = |held: &Held| held.payment.number == number;
        let mut tabs = self.tabs.all_mut();
        let Some(tab) = tabs.find(|tab| tab.gathered.held.as_ref().is_some_and(is_it)) else {
            return;
        };
        tab.gathered.mind = Some(why).filter(|why| !why.is_now());
        let held = tab.gathered.held.take_if(|_| why.is_now());
        // How long its ledger takes is counted from when it was owed there.
        let payment = held.map(|held| Unpaid { since_ms: now_ms, ..held.payment });
        tab.unpaid.extend(payment);
    }

    /// Why what is held back must be paid now, whatever the policy says, if it must.
    fn must(&self, place: usize, held: &Held) -> Option<Why> {
        let items = self.windows.items();
        let is_over = self.leaving
            || place < self.place()
            || self.agreed().is_last(items)
            || self.windows.ended_short(self.agreed());
        if is_over {
            return Some(Why::Close);
        }
        let pace = self.agreed().pace(items.saturating_add(1));
        let given = |seq| self.agreed().given(seq);
        let unpaid = given(held.payment.window_end.seq).saturating_sub(given(held.from_seq - 1));
        let room = pace.credit_items().saturating_sub(unpaid);
        // One window that comes, and one while the payment becomes final.
        (room < 2 * u64::from(pace.granularity)).then_some(Why::Credit)
    }

    /// When something that is held back is paid at the latest.
    pub(super) fn owes_at_ms(&self) -> Option<u64> {
        self.tabs.all().filter_map(|tab| tab.gathered.due_ms()).min()
    }

    /// What paying what is held back would ask of a ledger now, where the fee decides whether it is.
    pub(super) fn to_settle(&self) -> Option<(LedgerId, Call)> {
        self.tabs.all().enumerate().find_map(|(place, tab)| {
            tab.gathered.policy.fee_below_permille?;
            let held = tab.gathered.held.as_ref()?;
            let call = self.asked_for(place, held.payment.number, held.value);
            Some((tab.currency.ledger.clone(), Call::Transfer(call)))
        })
    }

    /// What a payment costs on a ledger, in its coin's smallest unit.
    pub(super) fn hear_fee(&mut self, ledger: &LedgerId, fee: Option<Amount>) {
        for tab in self.tabs.all_mut().filter(|tab| tab.currency.ledger == *ledger) {
            let in_currency = |fee| fee_in_currency(fee, &tab.currency, &self.offered);
            tab.gathered.fee = fee.and_then(in_currency);
        }
    }
}
