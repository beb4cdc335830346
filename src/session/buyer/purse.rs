//! The channel that pays for a session, as the buyer holds it.

use crate::message::Voucher;
use crate::record::Record;
use crate::session::{Fault, Outputs};
use sdpp_ledger::{Amount, ChannelId, Domain, Key};

/// A channel, and how far vouchers on it may be signed.
#[derive(Debug)]
pub(super) struct Purse {
    pub(super) channel: ChannelId,
    pub(super) domain: Domain,
    /// What was vouched before this session.
    pub(super) base: Amount,
    pub(super) deposit: Amount,
    /// The most that is on disk as allowed to be vouched.
    pub(super) ceiling: Amount,
}

impl Purse {
    /// The most that this session can spend from it.
    pub(super) fn room(&self) -> Amount {
        self.deposit.saturating_sub(self.base)
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
        let voucher = sdpp_ledger::Voucher { channel: self.channel, amount };
        let signature = voucher.sign(&self.domain, key);
        Ok(Voucher { cumulative_amount: amount, signature })
    }
}
