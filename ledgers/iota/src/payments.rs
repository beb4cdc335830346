//! Payments: the network's own coin, with the reference in the record that the payer signs along.

use crate::ledger::{Chain, IotaLedger};
use crate::names;
use crate::prepare::call_of;
use crate::rpc::{Answer, Trouble};
use crate::view::Seen;
use async_trait::async_trait;
use sdpp_ledger::{
    Account, Amount, Asset, Call, Claim, Finality, LedgerError, Payments, Result, Signed, Transfer,
};
use std::fmt::Display;

#[async_trait]
impl Payments for IotaLedger {
    async fn transfer(&self, number: u64, transfer: &Transfer) -> Result<Signed> {
        self.prepared(number, &Call::Transfer(transfer.clone())).await
    }

    async fn paid(&self, claim: &Claim) -> Result<Finality> {
        Ok(self.chain.paid(claim).await?)
    }

    async fn balance(&self, account: &Account, asset: &Asset) -> Result<Amount> {
        if *asset != Asset::coin() {
            let why = format!("{asset} is not kept here, only the network's own coin");
            return Err(LedgerError::refused("NoSuchAsset", why));
        }
        Ok(Amount::new(self.chain.node.holds(&names::address(account)?).await?))
    }
}

impl Chain {
    async fn paid(&self, claim: &Claim) -> Answer<Finality> {
        let not_one = || Trouble::refused("NotATransfer", claim.tx.as_str());
        let Some(seen) = self.seen(claim.tx.as_str(), &names::digest(&claim.tx)?, not_one).await?
        else {
            return Ok(Finality::Unknown);
        };
        let Some(Call::Transfer(made)) = seen.tx.shape().as_ref().and_then(call_of) else {
            return Err(not_one());
        };
        fits(&made, &claim.transfer)?;
        effective(self.told(&seen).await?)
    }

    /// What a stranger named, if the node has it and its sender signed it. What is longer than
    /// anything of ours is not what it is said to be.
    pub async fn seen(
        &self,
        name: &str,
        digest: &iota_sdk_types::TransactionDigest,
        is_another: impl FnOnce() -> Trouble,
    ) -> Answer<Option<Seen>> {
        match self.node.seen(digest).await {
            // That it is long is believed of what the node can name in a short answer.
            Err(Trouble::TooLong { .. }) if self.node.knows(digest).await? => Err(is_another()),
            Ok(Some(seen)) if !seen.tx.is_signed() => {
                let why = format!("{name} is signed by nobody, or by a scheme that is not read");
                Err(Trouble::refused("InvalidSignature", why))
            }
            answer => answer,
        }
    }
}

/// A finality, unless it is there for good without effect.
pub(crate) fn effective(finality: Finality) -> Answer<Finality> {
    match finality {
        Finality::Reverted { why, .. } => Err(Trouble::refused("Reverted", why)),
        finality => Ok(finality),
    }
}

/// Whether a transfer is what was claimed.
fn fits(made: &Transfer, claimed: &Transfer) -> Result<()> {
    same("WrongPayee", "pays", &made.to, &claimed.to)?;
    same("WrongAsset", "pays in", &made.asset, &claimed.asset)?;
    same("WrongReference", "pays for", &made.reference, &claimed.reference)?;
    if made.amount >= claimed.amount {
        return Ok(());
    }
    let why = format!("it pays {}, claimed were {}", made.amount, claimed.amount);
    Err(LedgerError::refused("AmountTooLow", why))
}

fn same<T: PartialEq + Display>(code: &str, does: &str, made: &T, claimed: &T) -> Result<()> {
    if made == claimed {
        return Ok(());
    }
    Err(LedgerError::refused(code, format!("it {does} {made}, claimed was {claimed}")))
}
