//! When a voucher in hand is redeemed while its session goes on. That it is owed is all that the
//! session does about it: items and payments wait for no ledger. What it was decided by is recorded
//! whenever it is decided otherwise than before.

use super::purse::Purse;
use super::stream::Stream;
use super::tab::Tab;
use crate::record::{Act, End, Owed, Record};
use crate::session::{Outputs, fee_in_currency};
use crate::settling::{Hand, Policy, Why};
use crate::terms::{Currency, Purpose, SessionId, number_in_leg};
use sdpp_ledger::{Amount, Call, ChannelId, LedgerId, Redeem, Reference};

/// What of a channel is redeemed, as its session has it.
#[derive(Debug)]
pub(super) struct Redeemed {
    policy: Policy,
    /// The largest amount that is redeemed, or is owed to be.
    amount: Amount,
    /// Since when there is a larger one in hand.
    since_ms: Option<u64>,
    /// What redeeming costs, in the channel's currency, as far as anybody knows.
    fee: Option<Amount>,
    /// How often this session had one redeemed.
    times: u64,
    /// The last of them, while its ledger has not done it: where that takes long, the vouchers of
    /// the meantime are redeemed as one.
    pending: Option<Reference>,
    /// What was decided last about what is in hand.
    mind: Option<Why>,
}

/// What was decided, and by what.
struct Thought {
    why: Why,
    hand: Hand,
    /// It is decided otherwise than before.
    is_new: bool,
}

impl Redeemed {
    /// Before a session's first voucher: what was vouched before is redeemed by whoever had it.
    pub(super) fn new(policy: Policy, base: Amount) -> Self {
        let (since_ms, fee, pending, mind) = (None, None, None, None);
        Redeemed { policy, amount: base, since_ms, fee, times: 0, pending, mind }
    }

    /// It was redeemed before, or is owed to be.
    pub(super) fn recall(&mut self, amount: Amount, reference: Reference) {
        self.redeem(amount);
        self.pending = Some(reference);
    }

    /// What its ledger has not done yet.
    pub(super) fn awaits(&self) -> Option<Reference> {
        self.pending
    }

    /// When the voucher in hand has waited long enough.
    pub(super) fn due_ms(&self) -> Option<u64> {
        let due_ms = self.since_ms?.saturating_add(self.policy.age_ms?);
        self.pending.is_none().then_some(due_ms)
    }

    /// Something owed is done, or never will be.
    pub(super) fn over(&mut self, reference: Reference) {
        self.pending = self.pending.filter(|pending| *pending != reference);
    }

    /// With a voucher of so much in hand: whether it is to be redeemed now, where that is decided.
    fn think(&mut self, best: Amount, now_ms: u64) -> Option<Thought> {
        let hand = self.hand(best, now_ms)?;
        self.since_ms = Some(hand.since_ms);
        if self.pending.is_some() {
            return None;
        }
        let why = self.policy.decide(&hand, now_ms);
        let is_new = !self.policy.is_silent() && self.mind.replace(why) != Some(why);
        Some(Thought { why, hand, is_new })
    }

    /// What is in hand, if anything.
    fn hand(&self, best: Amount, now_ms: u64) -> Option<Hand> {
        let value = best.checked_sub(self.amount).filter(|value| !value.is_zero())?;
        let (since_ms, latest_ms) = (self.since_ms.unwrap_or(now_ms), None);
        Some(Hand { value, since_ms, fee: self.fee, latest_ms })
    }

    /// It is redeemed: its number among those that are, from 1.
    fn redeem(&mut self, best: Amount) -> u64 {
        (self.amount, self.since_ms, self.mind) = (best, None, None);
        self.times = self.times.saturating_add(1);
        self.times
    }
}

impl Purse {
    /// What is recorded where a voucher of a session's leg is redeemed while the session goes on.
    fn redeeming(
        &mut self,
        currency: &Currency,
        redeem: Redeem,
        (session, place): (SessionId, usize),
    ) -> Record {
        let number = number_in_leg(place, self.redeemed.redeem(redeem.amount));
        let reference = session.reference(Purpose::Settle, number);
        self.redeemed.pending = Some(reference);
        Record::Redeeming { channel: self.id, owed: owed(reference, currency, redeem) }
    }

    /// What is recorded of a decision on it.
    fn told(&self, currency: &Currency, why: Why, hand: Hand) -> Record {
        Record::Settling {
            channel: self.id,
            ledger: currency.ledger.clone(),
            currency: currency.name.clone(),
            why,
            hand,
            policy: self.redeemed.policy,
        }
    }
}

impl Stream {
    /// Owes the best vouchers to be redeemed, where it is time. Whether it was for one.
    pub(super) fn redeem_if_due(&mut self, now_ms: u64, out: &mut Outputs) -> bool {
        let (session, mut redeemed) = (self.terms.session, false);
        for place in 0..self.tabs.count() {
            let Tab { purse, currency, .. } = self.tabs.at_mut(place);
            let Some(purse) = purse.as_mut() else { continue };
            let Some(redeem) = purse.redeem() else { continue };
            let Some(thought) = purse.redeemed.think(redeem.amount, now_ms) else { continue };
            let told = thought.is_new.then(|| purse.told(currency, thought.why, thought.hand));
            if thought.why.is_now() {
                out.record(purse.redeeming(currency, redeem, (session, place)));
                redeemed = true;
            }
            out.extend_records(told);
        }
        redeemed
    }

    /// Owes the best voucher on a channel to be redeemed, whatever that costs.
    pub(super) fn redeem_now(&mut self, channel: ChannelId, out: &mut Outputs) {
        let session = self.terms.session;
        for place in 0..self.tabs.count() {
            let Tab { purse, currency, .. } = self.tabs.at_mut(place);
            let Some(purse) = purse.as_mut().filter(|purse| purse.id == channel) else { continue };
            let best = purse.redeem().filter(|best| best.amount > purse.redeemed.amount);
            if let Some(redeem) = best.filter(|_| purse.redeemed.pending.is_none()) {
                out.record(purse.redeeming(currency, redeem, (session, place)));
            }
        }
    }

    /// The session ends, and with it whatever waiting could bring: what is said of that.
    pub(super) fn redeem_at_end(&self) -> Vec<Record> {
        let told = |tab: &Tab| {
            let purse = tab.purse.as_ref().filter(|purse| !purse.redeemed.policy.is_silent())?;
            let since_ms = purse.redeemed.since_ms?;
            let hand = purse.redeemed.hand(purse.redeem()?.amount, since_ms)?;
            Some(purse.told(&tab.currency, Why::Close, hand))
        };
        self.tabs.all().filter_map(told).collect()
    }

    /// What redeeming would ask of a ledger now, where the fee decides whether it is.
    pub(super) fn redeemable(&self) -> Option<(LedgerId, Call)> {
        self.tabs.all().find_map(|tab| {
            let purse = tab.purse.as_ref()?;
            purse.redeemed.policy.fee_below_permille?;
            let redeem = purse.redeem().filter(|redeem| redeem.amount > purse.redeemed.amount)?;
            Some((tab.currency.ledger.clone(), Call::Settle(redeem)))
        })
    }

    /// What redeeming costs on a ledger, in its coin's smallest unit.
    pub(super) fn hear_fee(
        &mut self,
        ledger: &LedgerId,
        fee: Option<Amount>,
        now_ms: u64,
        out: &mut Outputs,
    ) {
        for place in 0..self.tabs.count() {
            let Tab { purse, currency, .. } = self.tabs.at_mut(place);
            if let Some(purse) = purse.as_mut().filter(|_| currency.ledger == *ledger) {
                let menu = &self.offer.menu;
                purse.redeemed.fee = fee.and_then(|fee| fee_in_currency(fee, currency, menu));
            }
        }
        self.redeem_if_due(now_ms, out);
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
    /// the channel of a leg that was asked for. [`Stream::wake`] does something then, whichever it is.
    pub(super) fn wakes_ms(&self) -> Option<u64> {
        let redeemable = self.purses().filter(|purse| purse.redeem().is_some());
        let redeem_ms = redeemable.filter_map(|purse| purse.redeemed.due_ms()).min();
        [self.look_at_ms(), redeem_ms, self.leg_gives_up_ms()].into_iter().flatten().min()
    }

    /// Does what is due of that. Whether anything was.
    pub(super) fn wake(&mut self, now_ms: u64, out: &mut Outputs) -> bool {
        let looked = self.look_if_due(now_ms, out);
        let gave_up = self.give_up_leg_if_due(now_ms, out);
        self.redeem_if_due(now_ms, out) || looked || gave_up
    }
}

fn owed(reference: Reference, currency: &Currency, redeem: Redeem) -> Owed {
    let (purpose, ledger) = (Purpose::Settle, currency.ledger.clone());
    Owed { reference, purpose, ledger, act: Act::Do(Call::Settle(redeem)), held: false }
}
