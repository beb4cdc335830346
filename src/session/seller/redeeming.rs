//! When a voucher in hand is redeemed while its session goes on. That it is owed is all that the
//! session does about it: items and payments wait for no ledger. What it was decided by is recorded
//! whenever it is decided otherwise than before.

use super::purse::Purse;
use super::stream::Stream;
use crate::message::{CurrencyOffer, Menu};
use crate::record::{Act, Owed, Record};
use crate::session::Outputs;
use crate::settling::{Hand, Policy, Why, fee_in};
use crate::terms::{Currency, Purpose};
use sdpp_ledger::{Amount, Asset, Call, LedgerId, Redeem, Reference};

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
        Some(Hand { value, since_ms: self.since_ms.unwrap_or(now_ms), fee: self.fee })
    }

    /// It is redeemed: its number among those that are, from 1.
    fn redeem(&mut self, best: Amount) -> u64 {
        (self.amount, self.since_ms, self.mind) = (best, None, None);
        self.times = self.times.saturating_add(1);
        self.times
    }
}

impl Purse {
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
    /// Owes the best voucher to be redeemed, if it is time. Whether it was.
    pub(super) fn redeem_if_due(&mut self, now_ms: u64, out: &mut Outputs) -> bool {
        let Some(purse) = self.purse.as_mut() else { return false };
        let Some(redeem) = purse.redeem() else { return false };
        let Some(thought) = purse.redeemed.think(redeem.amount, now_ms) else { return false };
        let currency = &self.terms.currency;
        let told = thought.is_new.then(|| purse.told(currency, thought.why, thought.hand));
        if thought.why.is_now() {
            let number = purse.redeemed.redeem(redeem.amount);
            // The session's end has number 0.
            let reference = self.terms.session.reference(Purpose::Settle, number);
            purse.redeemed.pending = Some(reference);
            let owed = owed(reference, currency, redeem);
            out.record(Record::Redeeming { channel: purse.id, owed });
        }
        out.extend_records(told);
        thought.why.is_now()
    }

    /// The session ends, and with it whatever waiting could bring: what is said of that.
    pub(super) fn redeem_at_end(&self) -> Option<Record> {
        let purse = self.purse.as_ref().filter(|purse| !purse.redeemed.policy.is_silent())?;
        let since_ms = purse.redeemed.since_ms?;
        let hand = purse.redeemed.hand(purse.redeem()?.amount, since_ms)?;
        Some(purse.told(&self.terms.currency, Why::Close, hand))
    }

    /// What redeeming would ask of the ledger now, where the fee decides whether it is.
    pub(super) fn redeemable(&self) -> Option<(LedgerId, Call)> {
        let purse = self.purse.as_ref()?;
        purse.redeemed.policy.fee_below_permille?;
        let redeem = purse.redeem().filter(|redeem| redeem.amount > purse.redeemed.amount)?;
        Some((self.terms.currency.ledger.clone(), Call::Settle(redeem)))
    }

    /// What redeeming costs on a ledger, in its coin's smallest unit.
    pub(super) fn hear_fee(
        &mut self,
        ledger: &LedgerId,
        fee: Option<Amount>,
        now_ms: u64,
        out: &mut Outputs,
    ) {
        let currency = &self.terms.currency;
        if currency.ledger != *ledger {
            return;
        }
        let fee = fee.and_then(|fee| in_currency(fee, currency, &self.offer.menu));
        if let Some(purse) = self.purse.as_mut() {
            purse.redeemed.fee = fee;
        }
        self.redeem_if_due(now_ms, out);
    }

    /// When the channel is to be looked at, or a voucher of it redeemed.
    pub(super) fn wakes_ms(&self) -> Option<u64> {
        let redeem_ms = self.purse.as_ref().and_then(|purse| purse.redeemed.due_ms());
        [self.look_at_ms(), redeem_ms].into_iter().flatten().min()
    }

    /// Does what is due of that. Whether anything was.
    pub(super) fn wake(&mut self, now_ms: u64, out: &mut Outputs) -> bool {
        let looked = self.look_if_due(now_ms, out);
        self.redeem_if_due(now_ms, out) || looked
    }
}

fn owed(reference: Reference, currency: &Currency, redeem: Redeem) -> Owed {
    let (purpose, ledger) = (Purpose::Settle, currency.ledger.clone());
    Owed { reference, purpose, ledger, act: Act::Do(Call::Settle(redeem)), held: false }
}

/// A fee in the ledger's coin, in a currency there: as they stand on the menu.
fn in_currency(fee: Amount, currency: &Currency, menu: &Menu) -> Option<Amount> {
    let coin = Asset::coin();
    if currency.asset == coin || fee.is_zero() {
        return Some(fee);
    }
    let is_coin = |offer: &&CurrencyOffer| offer.ledger == currency.ledger && offer.asset == coin;
    let paid_in = menu.currencies_accepted.iter().find(is_coin)?;
    fee_in(fee, &paid_in.rate, &currency.rate)
}
