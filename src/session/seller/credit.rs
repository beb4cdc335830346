//! What a buyer may have out unsecured: by transfer, all that a pace leaves unpaid. The shell keeps
//! the book over all sessions, and is asked before a session is served, before its pace grows, and
//! before a leg begins. By escrow nothing is out beyond the deposit, and nobody is asked.

use super::stream::Stream;
use super::tab::Tab;
use crate::session::{Output, Outputs};
use crate::standing::Standing;
use crate::terms::{Currency, Leg, Method, Pace, Rate, Terms};
use sdpp_ledger::Amount;
use std::collections::BTreeMap;

/// What the shell lets a session have out, in each currency that it was asked for.
#[derive(Debug, Default)]
pub(super) struct Granted {
    amounts: BTreeMap<String, Amount>,
    /// What it was asked for and has not answered.
    asked: Option<(String, Amount)>,
    /// What earlier sessions say of the buyer, where somebody was asked.
    standing: Option<Standing>,
}

impl Granted {
    /// What a session begins with.
    pub(super) fn new(terms: &Terms, standing: Option<Standing>) -> Self {
        let amounts = BTreeMap::from([(terms.currency.name.clone(), unsecured(terms))]);
        Granted { amounts, asked: None, standing }
    }
}

/// What may be out unsecured under these terms as they were ordered, in the currency's smallest unit;
/// as much as there can be where it passes 128 bits. Rounded up: totals are rounded down, so that what
/// lies between two of them can be a unit more than what so many items cost.
pub(super) fn unsecured(terms: &Terms) -> Amount {
    let items = terms.credit_items().min(terms.quantity.unwrap_or(u64::MAX));
    let Rate { numerator, denominator } = terms.currency.rate;
    let scaled = terms.price.checked_mul(items.into());
    let scaled = scaled.and_then(|total| total.checked_mul(numerator.units()));
    match (terms.currency.method, scaled, denominator.units()) {
        (Method::Escrow, ..) => Amount::ZERO,
        (Method::Transfer, Some(scaled), down @ 1..) => Amount::new(scaled.units().div_ceil(down)),
        (Method::Transfer, ..) => Amount::new(u128::MAX),
    }
}

/// What a window costs as it was ordered, in the default currency's smallest unit.
pub(super) fn window(terms: &Terms) -> Amount {
    let items = u64::from(terms.granularity).min(terms.quantity.unwrap_or(u64::MAX));
    Amount::new(terms.price.units().saturating_mul(items.into()))
}

/// The same of a leg at a pace, with what the legs before it left over: that is asked for in its first
/// windows.
fn unsecured_in(leg: &Leg, pace: Pace, quantity: Option<u64>) -> Amount {
    let items = pace.credit_items().min(quantity.unwrap_or(u64::MAX));
    let cost = leg.price_for(items).map(Amount::units);
    let rounded = u128::from(leg.currency.rate.denominator != Amount::new(1));
    Amount::new(cost.unwrap_or(u128::MAX).saturating_add(rounded))
}

impl Stream {
    /// Whether the leg that is on may run at this pace; the shell is asked where that is not known.
    pub(super) fn may_pace(&mut self, pace: Pace, out: &mut Outputs) -> bool {
        let leg = self.agreed().leg(self.next_from()).clone();
        self.may_owe(&leg, pace, self.tabs.count() - 1, out)
    }

    /// Whether a leg may begin at the pace that is on. What is no leg is refused as it is proposed.
    pub(super) fn may_begin(&mut self, price: Amount, to: &Currency, out: &mut Outputs) -> bool {
        let (mut then, from_seq) = (self.agreed().clone(), self.next_from());
        if then.begin_leg(from_seq, price, to.clone(), None).is_err() {
            return true;
        }
        let (leg, pace) = (then.last_leg(), then.pace(from_seq));
        self.may_owe(leg, pace, self.tabs.count(), out)
    }

    /// Why no leg may be paid by this method, by what the buyer had done before this session and what it
    /// has paid since.
    pub(super) fn shut(&self, method: Method) -> Option<&'static str> {
        let mut standing = self.credit.standing?;
        standing.pay(self.pace_facts().settled, 0);
        self.offer
            .policy
            .door
            .judge(&standing, method, window(&self.terms))
            .err()
            .map(|shut| shut.why())
    }

    /// What the buyer may have out unsecured as things stand, by the currency: of the leg that is on at
    /// its pace, and of those before it.
    pub(super) fn recall_credit(&mut self) {
        let leg = self.agreed().last_leg().clone();
        if leg.currency.method == Method::Transfer {
            let pace = self.agreed().pace(self.next_from());
            let before = self.unpaid_before(self.tabs.count() - 1, &leg.currency.name);
            let all = unsecured_in(&leg, pace, self.terms.quantity).saturating_add(before);
            let known = self.credit.amounts.entry(leg.currency.name).or_default();
            *known = all.max(*known);
        }
    }

    /// What the shell lets it have out.
    pub(super) fn unsecured(&self) -> impl Iterator<Item = (&String, &Amount)> {
        self.credit.amounts.iter().filter(|(_, amount)| !amount.is_zero())
    }

    /// The shell's answer. Gives the currency in which it does not let more be out.
    pub(super) fn granted(&mut self, is_granted: bool) -> Option<String> {
        let (currency, amount) = self.credit.asked.take()?;
        if !is_granted {
            return Some(currency);
        }
        self.credit.amounts.insert(currency, amount);
        None
    }

    /// Whether the leg of this place may run at such a pace, beside what the legs before it have out in
    /// its currency.
    fn may_owe(&mut self, leg: &Leg, pace: Pace, place: usize, out: &mut Outputs) -> bool {
        if !self.offer.policy.asks_credit || leg.currency.method == Method::Escrow {
            return true;
        }
        let currency = leg.currency.name.clone();
        let before = self.unpaid_before(place, &currency);
        let amount = unsecured_in(leg, pace, self.terms.quantity).saturating_add(before);
        let most = self.credit.amounts.get(&currency).copied().unwrap_or_default();
        if amount <= most {
            return true;
        }
        if self.credit.asked.is_none() {
            self.credit.asked = Some((currency.clone(), amount));
            out.push(Output::Credit { buyer: self.terms.buyer, currency, amount });
        }
        false
    }

    /// What the legs before a place will have out in a currency that is paid by transfer, when the window
    /// that is open has left.
    fn unpaid_before(&self, place: usize, currency: &str) -> Amount {
        let sent = self.next_from() - 1;
        let unpaid = |(place, tab): (usize, &Tab)| {
            let is_out = tab.currency.name == currency && tab.currency.method == Method::Transfer;
            let owed = self.agreed().owed_in(place, sent).unwrap_or(Amount::new(u128::MAX));
            if is_out { owed.saturating_sub(tab.paid_total()) } else { Amount::ZERO }
        };
        let before = self.tabs.all().take(place).enumerate();
        before.map(unpaid).fold(Amount::ZERO, Amount::saturating_add)
    }

    /// The terms as if they had been ordered so.
    pub(super) fn terms_of(&self, price: Amount, currency: &Currency, pace: Pace) -> Terms {
        let (granularity, credit_windows) = (pace.granularity, pace.credit_windows);
        let (currency, terms) = (currency.clone(), self.terms.clone());
        Terms { price, currency, granularity, credit_windows, ..terms }
    }
}
