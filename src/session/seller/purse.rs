//! The channel that pays for a session, as the seller holds it.

use crate::message::{Code, Voucher};
use crate::record::Record;
use crate::session::Fault;
use sdpp_ledger::{Account, Amount, ChannelId, Domain, Redeem};

/// A channel, and the best voucher on it.
#[derive(Debug)]
pub(super) struct Purse {
    pub(super) id: ChannelId,
    pub(super) domain: Domain,
    pub(super) signer: Account,
    /// What was vouched before this session.
    pub(super) base: Amount,
    pub(super) deposit: Amount,
    pub(super) best: Option<Voucher>,
}

impl Purse {
    /// Takes a voucher that must be worth `owed` in this session; gives the record to keep, or
    /// nothing when we had as good a one.
    pub(super) fn take(
        &mut self,
        voucher: &Voucher,
        owed: Amount,
    ) -> Result<Option<Record>, Fault> {
        let bad = |why: String| Fault::theirs(Code::BadPayment, why);
        let amount = voucher.cumulative_amount;
        let worth = amount.saturating_sub(self.base);
        if worth != owed {
            return Err(bad(format!("the voucher is worth {worth} in this session, owed {owed}")));
        }
        if amount > self.deposit {
            return Err(bad(format!("the voucher {amount} passes the deposit {}", self.deposit)));
        }
        if self.best.as_ref().is_some_and(|best| best.cumulative_amount >= amount) {
            return Ok(None);
        }
        let signed = sdpp_ledger::Voucher { channel: self.id, amount };
        // As the contract does it: a signature whose v is the other one verifies, and is worth
        // nothing there.
        let signer = voucher.signature.recover(&signed.digest(&self.domain));
        if signer.as_ref() != Some(&self.signer) {
            return Err(bad("the voucher is not signed by the channel's signer".to_owned()));
        }
        self.best = Some(voucher.clone());
        let (channel, domain, signature) = (self.id, self.domain.clone(), voucher.signature);
        Ok(Some(Record::Voucher { channel, domain, amount, signature }))
    }

    /// What the best voucher gives; nothing where it is not above what was vouched before.
    pub(super) fn redeem(&self) -> Option<Redeem> {
        let best = self.best.as_ref().filter(|best| best.cumulative_amount > self.base)?;
        let (amount, signature) = (best.cumulative_amount, best.signature);
        Some(Redeem { channel: self.id, amount, signature })
    }
}
