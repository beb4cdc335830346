//! What a buyer may have out unsecured: by transfer, all that a pace leaves unpaid. The shell keeps
//! the book over all sessions, and is asked before a session is served, before its pace grows, and
//! before a leg begins. By escrow nothing is out beyond the deposit, and nobody is asked.

use super::stream::Stream;
use crate::session::{Output, Outputs};
use crate::terms::{Currency, Method, Pace, Terms};
use sdpp_ledger::Amount;
use std::collections::BTreeMap;

/// What the shell lets a session have out, in each currency that it was asked for.
#[derive(Debug, Default)]
pub(super) struct Granted {
    amounts: BTreeMap<String, Amount>,
    /// What it was asked for and has not answered.
    asked: Option<(String, Amount)>,
}

impl Granted {
    /// What a session begins with.
    pub(super) fn new(terms: &Terms) -> Self {
        let amounts = BTreeMap::from([(terms.currency.name.clone(), unsecured(terms))]);
        Granted { amounts, asked: None }
    }
}

/// What may be out unsecured under these terms as they were ordered, in the currency's smallest unit;
/// as much as there can be where it passes 128 bits.
pub(super) fn unsecured(terms: &Terms) -> Amount {
    let items = terms.credit_items().min(terms.quantity.unwrap_or(u64::MAX));
    match terms.currency.method {
        Method::Escrow => Amount::ZERO,
        Method::Transfer => terms.owed_for(items).unwrap_or(Amount::new(u128::MAX)),
    }
}

impl Stream {
    /// Whether the leg that is on may run at this pace; the shell is asked where that is not known.
    pub(super) fn may_pace(&mut self, pace: Pace, out: &mut Outputs) -> bool {
        let leg = self.agreed().leg(self.next_from());
        let terms = self.terms_of(leg.price, &leg.currency, pace);
        self.may_owe(&terms, out)
    }

    /// Whether a leg may begin at the pace that is on.
    pub(super) fn may_begin(&mut self, price: Amount, to: &Currency, out: &mut Outputs) -> bool {
        let terms = self.terms_of(price, to, self.agreed().pace(self.next_from()));
        self.may_owe(&terms, out)
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

    fn may_owe(&mut self, terms: &Terms, out: &mut Outputs) -> bool {
        let (amount, currency) = (unsecured(terms), terms.currency.name.clone());
        let most = self.credit.amounts.get(&currency).copied().unwrap_or_default();
        if !self.offer.policy.asks_credit || amount <= most {
            return true;
        }
        if self.credit.asked.is_none() {
            self.credit.asked = Some((currency.clone(), amount));
            out.push(Output::Credit { buyer: terms.buyer, currency, amount });
        }
        false
    }

    /// The terms as if they had been ordered so.
    pub(super) fn terms_of(&self, price: Amount, currency: &Currency, pace: Pace) -> Terms {
        let (granularity, credit_windows) = (pace.granularity, pace.credit_windows);
        let (currency, terms) = (currency.clone(), self.terms.clone());
        Terms { price, currency, granularity, credit_windows, ..terms }
    }
}
