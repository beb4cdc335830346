//! What a session may still cost: our ceiling, and the room in the channel, which grows. Each leg is
//! counted by itself.

use super::purse::Purse;
use super::stream::Stream;
use super::tab::Tab;
use crate::record::{End, Record};
use crate::session::Output;
use crate::terms::{Agreed, Pace};
use sdpp_ledger::{Amount, ChannelId};

impl Stream {
    /// Whether what the seller may still send on credit could pass our ceiling, or a deposit that
    /// does not grow.
    pub(super) fn reaches_ceiling(&self) -> bool {
        let place = self.place();
        self.cost_ahead(place).is_none_or(|cost| cost > self.reach(place))
    }

    /// Whether we can pay for all that the seller may send at another pace, once so many items came: it may
    /// the moment we sign, and waits for no deposit of ours to grow.
    pub(super) fn bears(&self, items: u64, pace: Pace) -> bool {
        let place = self.agreed().leg_place(items.saturating_add(1));
        let ahead = self.agreed().credited_to(items, pace);
        let cost = self.agreed().owed_in(place, ahead);
        cost.is_some_and(|cost| cost <= self.tabs.at(place).limit())
    }

    /// The most that a leg may come to cost, where the deposit grows if it can.
    fn reach(&self, place: usize) -> Amount {
        let tab = self.tabs.at(place);
        match &tab.purse {
            Some(purse) if !purse.may_grow(self.spendable(place)) => tab.limit(),
            _ => tab.ceiling,
        }
    }

    /// What a leg costs when the seller sends all that it may once what came is paid.
    fn cost_ahead(&self, place: usize) -> Option<Amount> {
        let items = self.windows.items();
        let ahead = self.agreed().credited_to(items, self.agreed().pace(items.saturating_add(1)));
        self.agreed().owed_in(place, ahead)
    }

    /// Whether to pay for what came would give the seller credit that the leg's channel does not
    /// have, yet: what we owe is held back until it is topped up.
    pub(super) fn is_short(&self, place: usize) -> bool {
        let room = self.tabs.at(place).room();
        !self.leaving && self.cost_ahead(place).is_none_or(|cost| cost > room)
    }

    pub(super) fn note_shortage(&mut self, now_ms: u64) {
        let since_ms = self.short_since_ms.unwrap_or(now_ms);
        self.short_since_ms = self.is_short(self.place()).then_some(since_ms);
    }

    /// The channel is closed or withdrawn: nothing more is vouched on it.
    pub(super) fn channel_is_over(&mut self, channel: ChannelId) {
        let is_it = |purse: &&mut Purse| purse.channel == channel;
        self.purses_mut().find(is_it).into_iter().for_each(Purse::end);
        self.turning.asked_purse().filter(is_it).into_iter().for_each(Purse::end);
    }

    /// Whether the session needs a channel still: for the leg that is on, or for one that is not paid.
    pub(super) fn needs(&self, channel: ChannelId) -> bool {
        let (items, place) = (self.windows.items(), self.place());
        let of_leg = |(at, tab): (usize, &Tab)| {
            let is_it = tab.purse.as_ref().is_some_and(|purse| purse.channel == channel);
            is_it && (at >= place || self.agreed().owed_in(at, items) != Some(tab.paid))
        };
        self.tabs.all().enumerate().any(of_leg)
    }

    /// Since when what we owe is held back.
    pub(super) fn short_since_ms(&self) -> Option<u64> {
        self.short_since_ms
    }

    /// The most that a leg can come to cost.
    fn spendable(&self, place: usize) -> Amount {
        let ceiling = self.tabs.at(place).ceiling;
        let ordered = self.agreed().last_seq().and_then(|last| self.agreed().owed_in(place, last));
        ordered.map_or(ceiling, |cost| cost.min(ceiling))
    }

    /// Adds to the deposit, when little is left of it.
    pub(super) fn top_up(&mut self) -> Option<Output> {
        let place = self.place();
        let spendable = self.spendable(place);
        let pace = self.agreed().pace(self.windows.items().saturating_add(1));
        let next = pace.credit_items() + u64::from(pace.granularity);
        let leg = self.agreed().leg(self.windows.items().saturating_add(1));
        let next = leg.price_for(next)?;
        let owed = self.agreed().owed_in(place, self.windows.items())?;
        let tab = self.tabs.at_mut(place);
        let purse = tab.purse.as_mut()?;
        let amount = purse.top_up(owed, next, spendable)?;
        let (ledger, channel) = (tab.currency.ledger.clone(), purse.channel);
        Some(Output::TopUp { ledger, channel, amount })
    }

    /// The deposit of a channel has grown.
    pub(super) fn topped_up(&mut self, channel: ChannelId, deposit: Amount) {
        let purse = self.purses_mut().find(|purse| purse.channel == channel);
        purse.into_iter().for_each(|purse| purse.topped_up(deposit));
        let short = self.is_short(self.place());
        self.short_since_ms = self.short_since_ms.filter(|_| short);
    }

    /// The deposit of a channel does not grow any more.
    pub(super) fn not_topped_up(&mut self, channel: ChannelId) {
        let purse = self.purses_mut().find(|purse| purse.channel == channel);
        purse.into_iter().for_each(Purse::not_topped_up);
    }

    /// What becomes of the channels when the session ends so.
    pub(super) fn spent(&self, end: End) -> Vec<Record> {
        let kept = |purse: &Purse| (end != End::Complete && !purse.is_over()) || purse.stays_open();
        // Of one that is doubted its ceiling stands, as after any kill.
        let known = self.purses().filter(|purse| !purse.is_doubted());
        known.map(|purse| purse.spent(kept(purse))).collect()
    }

    /// The channels that this session draws on.
    pub(super) fn purses(&self) -> impl Iterator<Item = &Purse> {
        self.tabs.all().filter_map(|tab| tab.purse.as_ref())
    }

    pub(super) fn purses_mut(&mut self) -> impl Iterator<Item = &mut Purse> {
        self.tabs.all_mut().filter_map(|tab| tab.purse.as_mut())
    }

    /// The place of the leg that the next item stands in.
    pub(super) fn place(&self) -> usize {
        self.agreed().leg_place(self.windows.items().saturating_add(1))
    }

    /// What is left of our ceiling when the last leg of these is over, in the currency of the leg
    /// that follows, rounded down.
    pub(super) fn ceiling_after(&self, then: &Agreed) -> Amount {
        let most = Amount::new(u128::MAX);
        let last = self.tabs.count() - 1;
        let Tab { ceiling, currency, .. } = self.tabs.at(last);
        if *ceiling == most {
            return most;
        }
        let cost = then.owed_in(last, u64::MAX).unwrap_or(most);
        let left = currency.rate.in_default(ceiling.saturating_sub(cost));
        then.last_leg().currency.rate.from_default(left)
    }
}
