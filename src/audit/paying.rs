//! What payments pay: the window that each is under, or several of one leg that end with it.

use super::fold::{Fold, Window};
use super::ground::Under;
use super::proof::Found;
use crate::crypto::layout::MessageKind;
use crate::message::{Cumulative, PaymentAck, reread};
use crate::record::{Act, Owed, SignedMessage};
use crate::terms::{Currency, Method, Purpose};
use sdpp_ledger::{Amount, Call, Claim, Transfer};

/// What one payment pays.
pub(super) struct Pays {
    /// The window that it is under, the last of them.
    pub(super) number: u64,
    /// How much, in its leg's smallest unit.
    pub(super) amount: Amount,
    /// How many items.
    pub(super) items: u64,
    /// The place of their leg.
    pub(super) leg: u16,
    /// When the last of the windows was invoiced, in milliseconds since 1970 UTC.
    pub(super) at_ms: u64,
}

impl Fold {
    pub(super) fn payment(
        &mut self,
        under: &Under,
        message: &SignedMessage,
        owed: Option<&Owed>,
    ) -> Found {
        let by = (&under.terms().buyer, self.session);
        self.signed("payment", message, MessageKind::PaymentAck, by)?;
        let (number, amount_total) = (message.number, message.amount_total);
        let words = match self.is_pruned {
            true => None,
            false => Some(reread::<PaymentAck>(message).map_err(|e| e.to_string())?),
        };
        let ack = words.as_ref().map(|words| words.ack);
        let window = self.windows.get(self.place(number));
        let fits = |window: &&Window| {
            let acked = |ack: Cumulative| (ack.seq, ack.digest) == (window.to_seq, window.digest);
            window.total == amount_total && ack.is_none_or(acked)
        };
        let Some(window) = window.filter(fits) else {
            return Err(format!("the payment of window {number} does not fit its invoice"));
        };
        let to_seq = window.to_seq;
        let pays = self.answer(number, words.map(|words| words.first()))?;
        self.pays_for(&pays);
        self.acked = self.acked.max(to_seq);
        let count = self.counts.on(pays.leg.into());
        count.paid = count.paid.max(amount_total);
        let currency = &under.agreed().leg(to_seq).currency;
        if currency.method == Method::Escrow {
            return Ok(());
        }
        if let Some(owed) = owed {
            let Act::Check(Claim { tx, transfer }) = &owed.act else {
                return Err(format!("the payment of window {number} is not the buyer's own"));
            };
            self.is_agreed(currency, &pays, owed, transfer)?;
            if tx.as_str() != message.verification {
                return Err(format!("the payment of window {number} names another transaction"));
            }
        }
        match self.due(self.session.reference(Purpose::Payment, number)) {
            Some(_) => Ok(()),
            None => Err(format!("no transfer stands behind the payment of window {number}")),
        }
    }

    /// A buyer owes one transfer for windows of one leg.
    pub(super) fn gathered(
        &mut self,
        under: &Under,
        (from, number): (u64, u64),
        owed: &Owed,
    ) -> Found {
        let pays = self.pays(from, number)?;
        self.pays_for(&pays);
        let Act::Do(Call::Transfer(transfer)) = &owed.act else {
            return Err(format!("what pays windows {from} to {number} is no transfer"));
        };
        let leg = under.agreed().legs().nth(pays.leg.into());
        let leg = leg.ok_or_else(|| format!("window {number} stands in no leg"))?;
        self.is_agreed(&leg.currency, &pays, owed, transfer)
    }

    /// What is owed for this payment pays for so many items, invoiced at that time.
    pub(super) fn pays_for(&mut self, pays: &Pays) {
        let reference = self.session.reference(Purpose::Payment, pays.number);
        if let Some(due) = self.due(reference).filter(|due| due.items == 0) {
            (due.items, due.leg, due.at_ms) = (pays.items, pays.leg, pays.at_ms);
        }
    }

    /// A transfer must pay exactly this to the payee of its leg.
    pub(super) fn is_agreed(
        &self,
        currency: &Currency,
        pays: &Pays,
        owed: &Owed,
        transfer: &Transfer,
    ) -> Found {
        let Pays { number, amount, .. } = *pays;
        let reference = self.session.reference(Purpose::Payment, number);
        let (to, asset) = (currency.payee.clone(), currency.asset.clone());
        let agreed = Transfer { to, asset, amount, reference };
        let is_there = owed.ledger == currency.ledger && owed.reference == reference;
        if *transfer == agreed && is_there {
            return Ok(());
        }
        Err(format!("the transfer for window {number} is not the one that was agreed"))
    }

    /// The buyer says that this window is paid, and those before it from the one that it names:
    /// where its words were pruned, from the oldest of the leg that no payment answered.
    fn answer(&mut self, number: u64, from: Option<u64>) -> Result<Pays, String> {
        let from = from.unwrap_or_else(|| self.oldest(number));
        let pays = self.pays(from, number)?;
        let (first, last) = (self.place(from), self.place(number));
        for window in self.windows.iter_mut().take(last + 1).skip(first) {
            if window.answered != 0 && window.answered != number {
                let (at, other) = (window.number, window.answered);
                return Err(format!(
                    "the payment of window {number} pays window {at}, as that of window {other} does"
                ));
            }
            window.answered = number;
        }
        Ok(pays)
    }

    /// What windows cost that are paid together: all of one leg.
    pub(super) fn pays(&self, from: u64, number: u64) -> Result<Pays, String> {
        let wrong = || format!("windows {from} to {number} are not paid by one payment");
        let place = self.place(from);
        let first = self.windows.get(place).filter(|_| from > 0).ok_or_else(wrong)?;
        let last = self.windows.get(self.place(number));
        let last = last.filter(|last| from <= number && !last.is_void).ok_or_else(wrong)?;
        if first.leg != last.leg {
            return Err(wrong());
        }
        let (items, total) = self.before(place);
        let amount = last.total.saturating_sub(total);
        let items = last.items.saturating_sub(items);
        Ok(Pays { number, amount, items, leg: last.leg, at_ms: last.at_ms })
    }

    /// The items before the window at a place among all, and what its leg asked for before it.
    fn before(&self, place: usize) -> (u64, Amount) {
        let before = place.checked_sub(1).and_then(|place| self.windows.get(place));
        let leg = self.windows.get(place).map(|window| window.leg);
        let total = before.filter(|before| Some(before.leg) == leg).map(|before| before.total);
        (before.map_or(0, |before| before.items), total.unwrap_or_default())
    }

    /// The oldest window up to this one, and of its leg, that another payment has not answered and
    /// that costs anything.
    fn oldest(&self, number: u64) -> u64 {
        let last = self.place(number);
        let Some(leg) = self.windows.get(last).map(|window| window.leg) else { return number };
        let is_open = |window: &Window| {
            window.leg == leg && (window.answered == 0 || window.answered == number)
        };
        let before = self.windows.iter().take(last).rev().take_while(|window| is_open(window));
        let oldest = last - before.count();
        let costs = |(place, one): &(usize, &Window)| one.total != self.before(*place).1;
        let first = self.windows.iter().enumerate().take(last).skip(oldest).find(costs);
        first.map_or(number, |(_, window)| window.number)
    }

    /// Where the window of a number stands among all, or the void that it is of; behind all where there is
    /// no such.
    fn place(&self, number: u64) -> usize {
        self.windows.partition_point(|window| window.number < number)
    }
}
