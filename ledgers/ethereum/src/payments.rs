//! Payments: coin with the reference as its data, tokens with the reference behind the call.

use crate::abi;
use crate::evidence::arrived;
use crate::finality::Place;
use crate::ledger::{Chain, EthereumLedger};
use crate::names;
use crate::records::effective;
use crate::rpc::{Answer, Rpc, Trouble};
use async_trait::async_trait;
use ethers_core::abi::Token as Word;
use ethers_core::types::{Address, U256};
use sdpp_ledger::{
    Account, Amount, Asset, Call, Claim, Finality, Ledger, LedgerError, Payments, Result, Signed,
    Transfer,
};
use serde_json::json;
use std::fmt::Display;
use std::sync::Arc;

/// The newest block there is.
const LATEST: &str = "latest";

#[async_trait]
impl Payments for EthereumLedger {
    async fn transfer(&self, number: u64, transfer: &Transfer) -> Result<Signed> {
        self.prepared(number, &Call::Transfer(transfer.clone())).await
    }

    async fn paid(&self, claim: &Claim) -> Result<Finality> {
        self.chain.nodes.ask(|node| Box::pin(self.chain.paid_on(node, claim))).await
    }

    async fn balance(&self, account: &Account, asset: &Asset) -> Result<Amount> {
        let (account, token) = (names::address(account)?, names::token(asset)?);
        self.chain.nodes.ask(|node| Box::pin(self.chain.holds(node, account, token, LATEST))).await
    }
}

impl EthereumLedger {
    /// By how much more of an asset we hold once the node's pool is mined.
    pub(crate) async fn coming_in(&self, asset: &Asset) -> Result<Amount> {
        let (account, token) = (names::address(self.account())?, names::token(asset)?);
        let nodes = &self.chain.nodes;
        nodes.ask(|node| Box::pin(self.chain.coming(node, account, token))).await
    }
}

impl Chain {
    async fn paid_on(&self, node: Arc<Rpc>, claim: &Claim) -> Answer<Finality> {
        let hash = names::hash(&claim.tx)?;
        let Some(seen) = node.seen(hash).await? else {
            return Ok(Finality::Unknown);
        };
        let place = self.place(&node, hash).await?;
        if !self.counts(&node, &seen, &place).await? {
            return self.told(&node, place, None, seen.from).await;
        }
        let Some(Call::Transfer(made)) = abi::call(&seen.body(), self.escrow_address()) else {
            return Err(Trouble::refused("NotATransfer", claim.tx.as_str()));
        };
        fits(&made, &claim.transfer).map_err(Trouble::told)?;
        if let Place::Deep(receipt, _) = &place
            && receipt.took_effect()
        {
            let amount = arrived(receipt, &made, seen.from)?.unwrap_or_default();
            is_enough(amount, claim.transfer.amount).map_err(Trouble::told)?;
        }
        let call = Call::Transfer(made);
        effective(self.told(&node, place, Some(&call), seen.from).await?)
    }

    async fn coming(&self, node: Arc<Rpc>, account: Address, token: Address) -> Answer<Amount> {
        let now = self.holds(node.clone(), account, token, LATEST).await?;
        Ok(self.holds(node, account, token, "pending").await?.saturating_sub(now))
    }

    async fn holds(
        &self,
        node: Arc<Rpc>,
        account: Address,
        token: Address,
        block: &str,
    ) -> Answer<Amount> {
        let held = match token.is_zero() {
            true => node.coin(account, block).await?,
            false => self.tokens(&node, token, account, block).await?,
        };
        names::amount(held).ok_or_else(|| node.trouble("an absurd balance"))
    }

    /// What an account holds of a token.
    pub async fn tokens(
        &self,
        node: &Rpc,
        token: Address,
        account: Address,
        block: &str,
    ) -> Answer<U256> {
        let input = abi::input(abi::BALANCE_OF, &[Word::Address(account)]);
        let answer = node.call(token, &input, json!(block)).await?;
        let word = answer.get(..32).map(U256::from_big_endian);
        let why = || Trouble::refused("NotAToken", format!("{token:?} tells no balance"));
        word.ok_or_else(why)
    }
}

/// Whether a transfer is what was claimed.
fn fits(made: &Transfer, claimed: &Transfer) -> Result<()> {
    same("WrongPayee", "pays", &made.to, &claimed.to)?;
    same("WrongAsset", "pays in", &made.asset, &claimed.asset)?;
    same("WrongReference", "pays for", &made.reference, &claimed.reference)?;
    is_enough(made.amount, claimed.amount)
}

fn is_enough(amount: Amount, claimed: Amount) -> Result<()> {
    if amount >= claimed {
        return Ok(());
    }
    Err(LedgerError::refused("AmountTooLow", format!("it pays {amount}, claimed were {claimed}")))
}

fn same<T: PartialEq + Display>(code: &str, does: &str, made: &T, claimed: &T) -> Result<()> {
    if made == claimed {
        return Ok(());
    }
    Err(LedgerError::refused(code, format!("it {does} {made}, claimed was {claimed}")))
}
