//! What a session may still cost: our ceiling, and the room in the channel, which grows.

use super::purse::Purse;
use super::stream::Stream;
use crate::record::{End, Record};
use crate::session::Output;
use crate::terms::Pace;
use sdpp_ledger::Amount;

impl Stream {
    /// Whether what the seller may still send on credit could pass our ceiling, or a deposit that
    /// does not grow.
    pub(super) fn reaches_ceiling(&self) -> bool {
        self.cost_ahead().is_none_or(|cost| cost > self.reach())
    }

    /// Whether we could pay for all that the seller may send at another pace, once so many items came.
    pub(super) fn bears(&self, items: u64, pace: Pace) -> bool {
        self.cost_at(items, pace).is_some_and(|cost| cost <= self.reach())
    }

    /// The most that this session may come to cost, where the deposit grows if it can.
    fn reach(&self) -> Amount {
        match &self.purse {
            Some(purse) if !purse.may_grow(self.spendable()) => self.limit(),
            _ => self.ceiling,
        }
    }

    /// What it costs when the seller sends all that it may once what came is paid.
    fn cost_ahead(&self) -> Option<Amount> {
        let items = self.windows.items();
        self.cost_at(items, self.agreed().pace(items.saturating_add(1)))
    }

    fn cost_at(&self, items: u64, pace: Pace) -> Option<Amount> {
        let left = self.terms.quantity.map_or(u64::MAX, |all| all.saturating_sub(items));
        self.owed_for(items.saturating_add(pace.credit_items().min(left)))
    }

    /// Whether to pay for what came would give the seller credit that the channel does not have,
    /// yet: what we owe is held back until it is topped up.
    pub(super) fn is_short(&self) -> bool {
        let room = self.room();
        !self.leaving && self.cost_ahead().is_none_or(|cost| cost > room)
    }

    pub(super) fn note_shortage(&mut self, now_ms: u64) {
        let since_ms = self.short_since_ms.unwrap_or(now_ms);
        self.short_since_ms = self.is_short().then_some(since_ms);
    }

    /// The channel is closed or withdrawn: nothing more is vouched on it.
    pub(super) fn channel_is_over(&mut self) {
        self.purse.iter_mut().for_each(Purse::end);
    }

    /// Since when what we owe is held back.
    pub(super) fn short_since_ms(&self) -> Option<u64> {
        self.short_since_ms
    }

    /// What the channel has for this session.
    fn room(&self) -> Amount {
        self.purse.as_ref().map_or(Amount::new(u128::MAX), Purse::room)
    }

    /// The most that can be spent as things stand.
    pub(super) fn limit(&self) -> Amount {
        self.ceiling.min(self.room())
    }

    /// The most that this session can come to cost.
    fn spendable(&self) -> Amount {
        let ordered = self.terms.quantity.and_then(|all| self.owed_for(all));
        ordered.map_or(self.ceiling, |cost| cost.min(self.ceiling))
    }

    /// Adds to the deposit, when little is left of it.
    pub(super) fn top_up(&mut self) -> Option<Output> {
        let spendable = self.spendable();
        let pace = self.agreed().pace(self.windows.items().saturating_add(1));
        let next = pace.credit_items() + u64::from(pace.granularity);
        let next = self.terms.owed_for(next)?;
        let owed = self.owed_for(self.windows.items())?;
        let purse = self.purse.as_mut()?;
        let amount = purse.top_up(owed, next, spendable)?;
        let (ledger, channel) = (self.terms.currency.ledger.clone(), purse.channel);
        Some(Output::TopUp { ledger, channel, amount })
    }

    /// The deposit has grown.
    pub(super) fn topped_up(&mut self, deposit: Amount) {
        if let Some(purse) = &mut self.purse {
            purse.topped_up(deposit);
        }
        let short = self.is_short();
        self.short_since_ms = self.short_since_ms.filter(|_| short);
    }

    /// The deposit does not grow any more.
    pub(super) fn not_topped_up(&mut self) {
        if let Some(purse) = &mut self.purse {
            purse.not_topped_up();
        }
    }

    /// What becomes of the channel when the session ends so.
    pub(super) fn spent(&self, end: End) -> Option<Record> {
        let purse = self.purse.as_ref()?;
        Some(purse.spent((end != End::Complete && !purse.is_over()) || purse.stays_open()))
    }
}
