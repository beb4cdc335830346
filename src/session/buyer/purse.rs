//! The channel that pays for a session, as the buyer holds it.

use super::wish::ChannelPlan;
use crate::message::Voucher;
use crate::record::Record;
use crate::session::{Fault, Outputs, channel_over};
use sdpp_ledger::{Amount, ChannelId, Domain, Key, PublicKey};

/// A channel, and how far vouchers on it may be signed.
#[derive(Debug)]
pub(super) struct Purse {
    pub(super) channel: ChannelId,
    domain: Domain,
    /// What was vouched before this session.
    pub(super) base: Amount,
    /// As the ledger has it for good.
    deposit: Amount,
    /// The most that is on disk as allowed to be vouched.
    ceiling: Amount,
    /// The most that was vouched.
    vouched: Amount,
    plan: ChannelPlan,
    growth: Growth,
    /// Closed or withdrawn: a voucher on it is worth nothing to anybody.
    is_over: bool,
    /// More may have been vouched than is known here: a kill hid how much.
    is_doubted: bool,
}

/// Whether the deposit grows.
#[derive(Debug, PartialEq, Eq)]
enum Growth {
    /// It can.
    Can,
    /// A top-up is under way.
    UnderWay,
    /// Not any more: a top-up was refused, or none is wanted.
    Cannot,
}

impl Purse {
    /// A channel before its first voucher in this session: what is known to be vouched on it, what
    /// may be, and its deposit.
    pub(super) fn new(
        (channel, domain): (ChannelId, Domain),
        (base, ceiling, deposit): (Amount, Amount, Amount),
        plan: ChannelPlan,
    ) -> Purse {
        let growth = if plan.deposit == Amount::ZERO { Growth::Cannot } else { Growth::Can };
        Purse {
            channel,
            domain,
            base,
            deposit,
            ceiling,
            vouched: base,
            plan,
            growth,
            is_over: false,
            is_doubted: false,
        }
    }

    /// So much was vouched on it, as far as anybody can tell.
    pub(super) fn note_vouched(&mut self, amount: Amount) {
        self.vouched = self.vouched.max(amount);
    }

    /// So much may have been vouched for this session, where its ceiling allowed that.
    pub(super) fn reckon(&mut self, owed: Amount) {
        self.note_vouched(self.base.saturating_add(owed).min(self.ceiling));
    }

    /// What was vouched is worth in this session, as far as anybody can tell.
    pub(super) fn worth(&self) -> Amount {
        self.vouched.saturating_sub(self.base)
    }

    /// More may have been vouched than we can tell.
    pub(super) fn doubt(&mut self) {
        self.is_doubted = true;
    }

    /// Whether more may have been vouched than we can tell.
    pub(super) fn is_doubted(&self) -> bool {
        self.is_doubted
    }

    /// The seller shows the best voucher that it has. One of ours for this channel ends a doubt.
    pub(super) fn shown(&mut self, shown: &Voucher, signer: &PublicKey) {
        let amount = shown.cumulative_amount;
        let voucher = sdpp_ledger::Voucher { channel: self.channel, amount };
        if signer.verify(&voucher.digest(&self.domain), &shown.signature) {
            self.note_vouched(amount);
            self.is_doubted = false;
        }
    }

    /// The most that this session can spend from it as it is.
    pub(super) fn room(&self) -> Amount {
        self.deposit.saturating_sub(self.base)
    }

    /// Whether it can still be given more room, for a session that can cost so much.
    pub(super) fn may_grow(&self, spendable: Amount) -> bool {
        self.growth == Growth::UnderWay || self.growth == Growth::Can && self.room() < spendable
    }

    /// Whether a top-up is under way.
    pub(super) fn is_growing(&self) -> bool {
        self.growth == Growth::UnderWay
    }

    /// How much is to be added now, for a session that owes `owed`, can cost `spendable` in all,
    /// and must have room for `next` to go on without a pause.
    pub(super) fn top_up(
        &mut self,
        owed: Amount,
        next: Amount,
        spendable: Amount,
    ) -> Option<Amount> {
        let left = self.room().saturating_sub(owed);
        let low = self.plan.top_up_below.unwrap_or_default().max(next);
        if self.growth != Growth::Can || left >= low {
            return None;
        }
        let wanted = self.plan.deposit.max(low.saturating_sub(left));
        let amount = wanted.min(spendable.saturating_sub(self.room()));
        if amount == Amount::ZERO || self.deposit.checked_add(amount).is_none() {
            return None;
        }
        self.growth = Growth::UnderWay;
        Some(amount)
    }

    /// The deposit has grown.
    pub(super) fn topped_up(&mut self, deposit: Amount) {
        self.deposit = self.deposit.max(deposit);
        if self.growth == Growth::UnderWay {
            self.growth = Growth::Can;
        }
    }

    /// The deposit does not grow any more.
    pub(super) fn not_topped_up(&mut self) {
        self.growth = Growth::Cannot;
    }

    /// It is closed or withdrawn: nothing more is vouched on it.
    pub(super) fn end(&mut self) {
        self.is_over = true;
    }

    /// Whether it is closed or withdrawn.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether we want it for the next session.
    pub(super) fn keeps(&self) -> bool {
        self.plan.keep
    }

    /// Whether it stays open when all is well: the seller closes what it can redeem, unless asked
    /// not to.
    pub(super) fn stays_open(&self) -> bool {
        !self.is_over && (self.plan.keep || self.vouched == self.base)
    }

    /// Whether it served a session before this one.
    pub(super) fn is_reused(&self) -> bool {
        self.ceiling != Amount::ZERO
    }

    /// What is to be remembered of it when the session is over.
    pub(super) fn spent(&self, kept: bool) -> Record {
        Record::Spent { channel: self.channel, amount: self.vouched, kept }
    }

    /// What is to be remembered of it when no session began on it.
    pub(super) fn refused(&self) -> Record {
        Record::Spent { channel: self.channel, amount: self.ceiling, kept: false }
    }

    /// What is to be remembered when somebody shows a voucher of ours, by `signer`, for more than
    /// we knew of; `None` where it is none.
    pub(super) fn reminded(&self, shown: &Voucher, signer: &PublicKey) -> Option<[Record; 2]> {
        let Voucher { cumulative_amount: amount, signature } = shown;
        let (channel, amount) = (self.channel, *amount);
        let voucher = sdpp_ledger::Voucher { channel, amount };
        if amount <= self.base || !signer.verify(&voucher.digest(&self.domain), signature) {
            return None;
        }
        // Above the ceiling, where this is an older copy of our journal.
        let ceiling = Record::Ceiling { channel, amount: self.ceiling.max(amount) };
        Some([ceiling, Record::Spent { channel, amount, kept: true }])
    }

    /// Signs a voucher worth `owed` in this session. The ceiling is on disk first; it is raised to
    /// what `ahead` is worth, so that it is written once for many vouchers.
    pub(super) fn sign(
        &mut self,
        owed: Amount,
        ahead: Amount,
        key: &Key,
        out: &mut Outputs,
    ) -> Result<Voucher, Fault> {
        if self.is_over {
            return Err(channel_over());
        }
        let too_little = || Fault::ours("the channel's deposit does not cover what is owed");
        let amount = self.base.checked_add(owed).ok_or_else(too_little)?;
        if amount > self.deposit {
            return Err(too_little());
        }
        if amount > self.ceiling {
            let reach = self.base.checked_add(ahead).unwrap_or(self.deposit);
            self.ceiling = reach.min(self.deposit).max(amount);
            out.record(Record::Ceiling { channel: self.channel, amount: self.ceiling });
        }
        self.vouched = self.vouched.max(amount);
        let voucher = sdpp_ledger::Voucher { channel: self.channel, amount };
        let signature = voucher.sign(&self.domain, key);
        Ok(Voucher { cumulative_amount: amount, signature })
    }
}
