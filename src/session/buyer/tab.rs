//! What one leg of a session costs, as the buyer has it.

use super::gathering::Gathered;
use super::paying::Unpaid;
use super::purse::Purse;
use super::said::Said;
use crate::session::Paying;
use crate::settling::Policy;
use crate::terms::{Currency, Leg};
use sdpp_ledger::Amount;
use std::collections::VecDeque;

/// The invoices and payments of one leg.
#[derive(Debug)]
pub(super) struct Tab {
    /// The leg's first item.
    pub(super) from_seq: u64,
    pub(super) currency: Currency,
    pub(super) purse: Option<Purse>,
    /// The most that we want this leg to cost.
    pub(super) ceiling: Amount,
    /// Up to where an ack with a voucher was sent.
    pub(super) vouched_seq: u64,
    /// Invoices that are held back to be paid together.
    pub(super) gathered: Gathered,
    /// Payments that the seller was not told of yet, the oldest first.
    pub(super) unpaid: VecDeque<Unpaid>,
    /// Payments by transfer that the seller was told of and that are not final.
    pub(super) said: Said,
    pub(super) invoiced: Amount,
    pub(super) paid: Amount,
    /// What the seller had heard of as paid when we said `exit`: what it hears after that gives it no
    /// more credit.
    pub(super) farewell: Option<Amount>,
}

impl Tab {
    /// A leg of which nothing is invoiced.
    pub(super) fn new(leg: &Leg, purse: Option<Purse>, ceiling: Amount, policy: Policy) -> Tab {
        Tab {
            from_seq: leg.from_seq,
            currency: leg.currency.clone(),
            purse,
            ceiling,
            vouched_seq: 0,
            gathered: Gathered::new(policy),
            unpaid: VecDeque::new(),
            said: Said::default(),
            invoiced: Amount::ZERO,
            paid: Amount::ZERO,
            farewell: None,
        }
    }

    /// The numbers that payments are under which are owed and not final.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.unpaid.iter().map(|one| one.number).chain(self.said.numbers())
    }

    /// Since when the oldest payment is owed that is not final.
    pub(super) fn unpaid_since_ms(&self) -> Option<u64> {
        let waiting = self.unpaid.front().map(|unpaid| unpaid.since_ms);
        waiting.into_iter().chain(self.said.since_ms()).min()
    }

    /// The most that can be spent as things stand.
    pub(super) fn limit(&self) -> Amount {
        self.ceiling.min(self.room())
    }

    /// What the channel has for this session.
    pub(super) fn room(&self) -> Amount {
        self.purse.as_ref().map_or(Amount::new(u128::MAX), Purse::room)
    }
}

/// What is paid in, for people.
pub(super) fn paying(Currency { name, decimals, method, .. }: &Currency) -> Paying {
    Paying { currency: name.clone(), decimals: *decimals, method: *method, passed: Vec::new() }
}
