//! When a voucher in hand is redeemed while its session goes on. That it is owed is all that the
//! session does about it: items and payments wait for no ledger.

use super::stream::Stream;
use super::tab::Tab;
use crate::record::{Act, End, Owed, Record};
use crate::session::Outputs;
use crate::terms::{Purpose, number_in_leg};
use sdpp_ledger::{Amount, Call, ChannelId, Reference};

/// When it pays to redeem before a session ends. Where nothing is said it is not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RedeemWhen {
    /// A voucher that is worth so much more than what is redeemed, in the currency's smallest
    /// unit.
    pub above: Option<Amount>,
    /// One that was not redeemed for so long, in milliseconds.
    pub every_ms: Option<u64>,
}

/// What of a channel is redeemed, as its session has it.
#[derive(Debug)]
pub(super) struct Redeemed {
    when: RedeemWhen,
    /// The largest amount that is redeemed, or is owed to be.
    amount: Amount,
    /// Since when there is a larger one in hand.
    since_ms: Option<u64>,
    /// How often this session had one redeemed.
    times: u64,
    /// The last of them, while its ledger has not done it: where that takes long, the vouchers of
    /// the meantime are redeemed as one.
    pending: Option<Reference>,
}

impl Redeemed {
    /// Before a session's first voucher: what was vouched before is redeemed by whoever had it.
    pub(super) fn new(when: RedeemWhen, base: Amount) -> Self {
        Redeemed { when, amount: base, since_ms: None, times: 0, pending: None }
    }

    /// When the voucher in hand has waited long enough.
    pub(super) fn due_ms(&self) -> Option<u64> {
        let due_ms = self.since_ms?.saturating_add(self.when.every_ms?);
        self.pending.is_none().then_some(due_ms)
    }

    /// With a voucher of so much in hand: its number among those that are redeemed, where it is to
    /// be now.
    pub(super) fn next(&mut self, best: Amount, now_ms: u64) -> Option<u64> {
        if best <= self.amount {
            return None;
        }
        self.since_ms.get_or_insert(now_ms);
        if self.pending.is_some() {
            return None;
        }
        let more = best.saturating_sub(self.amount);
        let is_much = self.when.above.is_some_and(|above| more >= above);
        let is_old = self.due_ms().is_some_and(|due_ms| due_ms <= now_ms);
        (is_much || is_old).then(|| {
            (self.amount, self.since_ms) = (best, None);
            self.times = self.times.saturating_add(1);
            self.times
        })
    }

    /// Something owed is done, or never will be.
    pub(super) fn over(&mut self, reference: Reference) {
        self.pending = self.pending.filter(|pending| *pending != reference);
    }
}

impl Stream {
    /// Owes the best vouchers to be redeemed, where it is time. Whether it was for one.
    pub(super) fn redeem_if_due(&mut self, now_ms: u64, out: &mut Outputs) -> bool {
        let mut redeemed = false;
        for place in 0..self.tabs.count() {
            let session = self.terms.session;
            let tab = self.tabs.at_mut(place);
            let Some(purse) = tab.purse.as_mut() else { continue };
            let Some(redeem) = purse.redeem() else { continue };
            let Some(number) = purse.redeemed.next(redeem.amount, now_ms) else { continue };
            let channel = redeem.channel;
            let reference = session.reference(Purpose::Settle, number_in_leg(place, number));
            purse.redeemed.pending = Some(reference);
            let owed = Owed {
                reference,
                purpose: Purpose::Settle,
                ledger: tab.currency.ledger.clone(),
                act: Act::Do(Call::Settle(redeem)),
                held: false,
            };
            out.record(Record::Redeeming { channel, owed });
            redeemed = true;
        }
        redeemed
    }

    /// What redeeming the best voucher of each leg owes when the session ends so: the channel is
    /// closed, and the buyer has its rest back at once, when all is well and the buyer did not ask to
    /// keep it; otherwise it stays open for a session to come.
    pub(super) fn redeem_all(&self, end: End) -> Vec<(ChannelId, Owed)> {
        let redeem = |(place, tab): (usize, &Tab)| {
            let purse = tab.purse.as_ref()?;
            let redeem = purse.redeem()?;
            let (purpose, call) = match end {
                End::Complete if !purse.keep => (Purpose::Close, Call::Close(redeem)),
                _ => (Purpose::Settle, Call::Settle(redeem)),
            };
            let owed = Owed {
                reference: self.terms.session.reference(purpose, number_in_leg(place, 0)),
                purpose,
                ledger: tab.currency.ledger.clone(),
                act: Act::Do(call),
                held: false,
            };
            Some((purse.id, owed))
        };
        self.tabs.all().enumerate().filter_map(redeem).collect()
    }

    /// When a channel is to be looked at, a voucher of it redeemed, or no longer waited for a look at
    /// the channel of a leg that was asked for.
    pub(super) fn wakes_ms(&self) -> Option<u64> {
        let redeem_ms = self.purses().filter_map(|purse| purse.redeemed.due_ms()).min();
        [self.look_at_ms(), redeem_ms, self.leg_gives_up_ms()].into_iter().flatten().min()
    }

    /// Does what is due of that. Whether anything was.
    pub(super) fn wake(&mut self, now_ms: u64, out: &mut Outputs) -> bool {
        let looked = self.look_if_due(now_ms, out);
        let gave_up = self.give_up_leg_if_due(now_ms, out);
        self.redeem_if_due(now_ms, out) || looked || gave_up
    }
}
