//! The channel that pays for a session, as the seller holds it.

use super::redeeming::Redeemed;
use super::stream::Stream;
use super::tab::Tab;
use crate::message::{Code, Voucher};
use crate::record::{Act, Owed, Record};
use crate::session::{ChannelView, Fault, Output, Outputs};
use crate::settling::Policy;
use crate::terms::Role;
use sdpp_ledger::{Account, Amount, Call, ChannelId, Domain, Redeem};

/// How often the channel is looked at while vouchers wait, within our patience.
const LOOKS: u64 = 10;

/// A channel, and the best voucher on it.
#[derive(Debug)]
pub(super) struct Purse {
    pub(super) id: ChannelId,
    domain: Domain,
    signer: Account,
    /// What was vouched before this session.
    base: Amount,
    /// As the ledger showed it last.
    deposit: Amount,
    best: Option<Voucher>,
    pub(super) redeemed: Redeemed,
    /// The buyer wants the channel for its next session.
    pub(super) keep: bool,
    /// Closed or withdrawn, when nothing was owed on it: there is nothing to redeem.
    is_over: bool,
    /// Vouchers beyond the deposit, the oldest first: the buyer may have topped the channel up.
    waiting: Vec<Brought>,
    look: Look,
}

/// A voucher, and what it came with.
#[derive(Debug, Clone)]
pub(super) struct Brought {
    pub(super) voucher: Voucher,
    /// The items that it pays for.
    pub(super) items: u64,
    /// The window that it pays; none where an ack brought it.
    pub(super) number: Option<u64>,
}

/// Whether the channel is being looked at for vouchers that wait.
#[derive(Debug)]
enum Look {
    /// Nothing waits.
    No,
    /// The ledger was asked.
    Asked { since_ms: u64 },
    /// It did not show enough: it is asked again.
    Again { since_ms: u64, at_ms: u64 },
}

/// What a voucher is.
enum Worth {
    /// We had as good a one.
    Known,
    /// Better than all before it: to be kept.
    Better(Box<Record>),
    /// Signed as it must be, and more than the deposit that we know of.
    Beyond,
}

impl Purse {
    /// A channel before its first voucher in this session.
    pub(super) fn new(
        id: ChannelId,
        domain: Domain,
        signer: Account,
        base: Amount,
        deposit: Amount,
        policy: Policy,
    ) -> Purse {
        let (best, waiting, look) = (None, Vec::new(), Look::No);
        let redeemed = Redeemed::new(policy, base);
        let (keep, is_over) = (false, false);
        Purse { id, domain, signer, base, deposit, best, redeemed, keep, is_over, waiting, look }
    }

    /// The best voucher in this session.
    pub(super) fn best(&self) -> Option<&Voucher> {
        self.best.as_ref()
    }

    /// What the best voucher is worth in this session.
    pub(super) fn worth(&self) -> Option<Amount> {
        self.best.as_ref().map(|best| best.cumulative_amount.saturating_sub(self.base))
    }

    /// A voucher that was kept, each better than the one before.
    pub(super) fn recall(&mut self, voucher: Voucher) {
        self.deposit = self.deposit.max(voucher.cumulative_amount);
        self.best = Some(voucher);
    }

    /// A voucher was redeemed, or is owed to be.
    pub(super) fn recall_redeemed(&mut self, owed: &Owed) {
        if let Act::Do(Call::Settle(redeem)) = &owed.act {
            self.redeemed.recall(redeem.amount, owed.reference);
        }
    }

    /// What the channel has for this session.
    pub(super) fn room(&self) -> Amount {
        self.deposit.saturating_sub(self.base)
    }

    /// What the best voucher gives; nothing where it is not above what was vouched before.
    pub(super) fn redeem(&self) -> Option<Redeem> {
        let best = self.best.as_ref().filter(|_| !self.is_over);
        let best = best.filter(|best| best.cumulative_amount > self.base)?;
        let (amount, signature) = (best.cumulative_amount, best.signature);
        Some(Redeem { channel: self.id, amount, signature })
    }

    /// Judges a voucher that must be worth `owed` in this session.
    fn take(&mut self, voucher: &Voucher, owed: Amount) -> Result<Worth, Fault> {
        let bad = |why: String| Fault::theirs(Code::BadPayment, why);
        let amount = voucher.cumulative_amount;
        let worth = amount.saturating_sub(self.base);
        if worth != owed {
            return Err(bad(format!("the voucher is worth {worth} in this session, owed {owed}")));
        }
        if self.best.as_ref().is_some_and(|best| best.cumulative_amount >= amount) {
            return Ok(Worth::Known);
        }
        let signed = sdpp_ledger::Voucher { channel: self.id, amount };
        // As the contract does it: a signature whose v is the other one verifies, and is worth
        // nothing there.
        let signer = voucher.signature.recover(&signed.digest(&self.domain));
        if signer.as_ref() != Some(&self.signer) {
            return Err(bad("the voucher is not signed by the channel's signer".to_owned()));
        }
        // Only who signs can make us ask the ledger.
        if amount > self.deposit {
            return Ok(Worth::Beyond);
        }
        self.best = Some(voucher.clone());
        let (channel, domain, signature) = (self.id, self.domain.clone(), voucher.signature);
        let record = Record::Voucher { channel, domain, amount, signature };
        Ok(Worth::Better(Box::new(record)))
    }

    /// Keeps a voucher until the ledger has shown the channel. Of those that acks brought only the
    /// last counts, so at most one for each open window waits, and one more.
    fn wait(&mut self, brought: Brought) {
        if brought.number.is_none() {
            self.waiting.retain(|other| other.number.is_some());
        }
        self.waiting.push(brought);
    }

    /// Whether the ledger is to be asked now.
    fn must_look(&mut self, now_ms: u64) -> bool {
        let since_ms = match self.look {
            Look::No if !self.waiting.is_empty() => now_ms,
            Look::Again { since_ms, at_ms } if at_ms <= now_ms => since_ms,
            _ => return false,
        };
        self.look = Look::Asked { since_ms };
        true
    }
}

impl Stream {
    /// A voucher is money in hand, once its channel's deposit covers it.
    pub(super) fn take_voucher(
        &mut self,
        brought: Brought,
        now_ms: u64,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        // Money is for the leg that the items stand in, on that leg's channel.
        let place = self.agreed().leg_place(brought.items);
        let owed = self.owed_in(place, brought.items)?;
        let tab = self.tabs.at_mut(place);
        let Some(purse) = &mut tab.purse else {
            return Err(Fault::theirs(Code::BadPayment, "a voucher where none was agreed"));
        };
        match purse.take(&brought.voucher, owed)? {
            // What is in hand covers it: a void has made less be owed than was vouched before.
            Worth::Known => tab.pay(brought.items, owed),
            Worth::Better(record) => {
                out.record(*record);
                tab.pay(brought.items, owed);
                self.redeem_if_due(now_ms, out);
            }
            Worth::Beyond => {
                purse.wait(brought);
                self.look_if_due(now_ms, out);
                return Ok(());
            }
        }
        let numbers = brought.number.into_iter();
        numbers.for_each(|number| self.tabs.at_mut(place).met(number));
        Ok(())
    }

    /// The channels that pay for this session.
    pub(super) fn purses(&self) -> impl Iterator<Item = &Purse> {
        self.tabs.all().filter_map(|tab| tab.purse.as_ref())
    }

    pub(super) fn purses_mut(&mut self) -> impl Iterator<Item = &mut Purse> {
        self.tabs.all_mut().filter_map(|tab| tab.purse.as_mut())
    }

    /// Whether the session needs a channel still: for the leg that is on, for one that is not paid, or for
    /// one that the buyer may sign.
    pub(super) fn needs(&self, channel: ChannelId) -> bool {
        let (items, place) = (self.windows.items(), self.place());
        let is_paid = |at, tab: &Tab| {
            self.agreed().owed_in(at, items).is_some_and(|owed| owed <= tab.paid_total())
        };
        let of_leg = |(at, tab): (usize, &Tab)| {
            let is_it = tab.purse.as_ref().is_some_and(|purse| purse.id == channel);
            is_it && (at >= place || !is_paid(at, tab))
        };
        let asked = self.amends.leg.as_ref();
        self.tabs.all().enumerate().any(of_leg) || asked.is_some_and(|leg| leg.proposes(channel))
    }

    /// A channel that is not needed any more is over: nothing is redeemed on it, and no leg begins.
    pub(super) fn channel_is_over(&mut self, channel: ChannelId, out: &mut Outputs) {
        let purse = self.purses_mut().find(|purse| purse.id == channel);
        purse.into_iter().for_each(|purse| purse.is_over = true);
        if self.amends.leg.as_ref().is_some_and(|leg| leg.names(channel)) {
            self.refuse_leg("the channel is over", out);
        }
    }

    /// The ledger refuses to show a channel. Only a leg that was asked for can do without it.
    pub(super) fn not_shown(
        &mut self,
        channel: ChannelId,
        why: String,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        if self.amends.leg.as_ref().is_some_and(|leg| leg.looks_at(channel)) {
            self.refuse_leg("the channel cannot be looked at", out);
            return Ok(());
        }
        Err(Fault::private(Role::Seller, why))
    }

    /// Looks at the channels once: the ledger's word on them was not kept.
    pub(super) fn look_at_all(&mut self, now_ms: u64, out: &mut Outputs) {
        self.purses_mut().for_each(|purse| purse.look = Look::Again { since_ms: now_ms, at_ms: 0 });
        self.look_if_due(now_ms, out);
    }

    /// When a channel is to be looked at again.
    pub(super) fn look_at_ms(&self) -> Option<u64> {
        let at_ms = |purse: &Purse| match purse.look {
            Look::Again { at_ms, .. } => Some(at_ms),
            Look::No | Look::Asked { .. } => None,
        };
        self.purses().filter_map(at_ms).min()
    }

    /// Looks at the channels that this is due for now. Whether there was one.
    pub(super) fn look_if_due(&mut self, now_ms: u64, out: &mut Outputs) -> bool {
        let mut looked = false;
        for tab in self.tabs.all_mut() {
            let Some(purse) = tab.purse.as_mut() else { continue };
            if purse.must_look(now_ms) {
                let (ledger, channel) = (tab.currency.ledger.clone(), purse.id);
                out.push(Output::Look {
                    ledger,
                    channel,
                    signer: purse.signer.clone(),
                    bond: None,
                });
                looked = true;
            }
        }
        looked
    }

    /// The channel as it is now: what waits for it is judged. The ledger that we ask may be behind
    /// the buyer's, so it is asked again for as long as our patience lasts.
    pub(super) fn see_channel(
        &mut self,
        view: &ChannelView,
        now_ms: u64,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        let patience_ms = self.offer.policy.patience_ms;
        let is_it = |purse: &&mut Purse| purse.id == view.id;
        let Some(purse) = self.purses_mut().find(is_it) else { return Ok(()) };
        let Look::Asked { since_ms } = purse.look else { return Ok(()) };
        if let Some(channel) = view.channel.as_ref().filter(|channel| !channel.finalized) {
            purse.deposit = purse.deposit.max(channel.deposit);
        }
        let at_ms = now_ms.saturating_add((patience_ms / LOOKS).max(1));
        purse.look = Look::Again { since_ms, at_ms };
        for brought in std::mem::take(&mut purse.waiting) {
            self.take_voucher(brought, now_ms, out)?;
        }
        let Some(purse) = self.purses_mut().find(is_it) else { return Ok(()) };
        let Some(beyond) = purse.waiting.last() else {
            purse.look = Look::No;
            return Ok(());
        };
        if now_ms < since_ms.saturating_add(patience_ms) {
            return Ok(());
        }
        let (amount, deposit) = (beyond.voucher.cumulative_amount, purse.deposit);
        let why = format!("the voucher {amount} passes the deposit {deposit}");
        Err(Fault::theirs(Code::BadPayment, why))
    }
}
