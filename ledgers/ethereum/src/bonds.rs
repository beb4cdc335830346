//! Bonds in their contract, read where they are final.

mod calls;
mod told;

use crate::abi::{self, Body};
use crate::artifact::{BONDS, MadeBonds};
use crate::escrow::{BLOCKS_ASKED, block_of};
use crate::events::{Pages, events_of};
use crate::evidence::CHANNELS_ASKED;
use crate::finality::stands;
use crate::ledger::{Chain, EthereumLedger};
use crate::names;
use crate::rpc::{Answer, Rpc, Trouble};
use crate::view::at;
use async_trait::async_trait;
use ethers_core::abi::Token as Word;
use ethers_core::types::{Address, H256, U256};
use sdpp_ledger::bond::{BondChange, BondChanges, Held};
use sdpp_ledger::{
    Account, Amount, Asset, Bond, BondAct, BondId, Bonding, Bonds, Call, Domain, LedgerError,
    Result, Signed,
};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The most pages of events that are read downwards for the words of one bond.
const PAGES_MAX: u32 = 5_000;

/// The contract of bonds as it was found.
pub(crate) struct BondsContract {
    pub address: Address,
    pub domain: Domain,
    pub period: Duration,
}

/// The contract of bonds at an account, checked to be ours and our escrow's: its code to the last
/// byte, with what the constructor filled in.
pub(crate) async fn found(chain: &Chain, account: &Account) -> Result<BondsContract> {
    let address = names::address(account)?;
    let Some(escrow) = chain.escrow_address() else {
        let why = "bonds are for channels of an escrow: name that too";
        return Err(LedgerError::refused("NotTheBonds", why));
    };
    let chain_id = chain.settings.chain_id;
    let asked = |node: Arc<Rpc>| async move {
        let period = period_of(&node, address).await?;
        let made = MadeBonds { escrow, period, chain_id };
        match made.code() == node.code(address).await? {
            true => Ok(period),
            false => Err(not_ours(address)),
        }
    };
    let period = chain.nodes.ask(|node| Box::pin(asked(node))).await?;
    let domain = Domain { chain_id, contract: account.clone() };
    Ok(BondsContract { address, domain, period: Duration::from_secs(period) })
}

fn not_ours(address: Address) -> Trouble {
    let why = "its code is not that of the bonds that this was built with, for the escrow that the \
               settings name";
    Trouble::refused("NotTheBonds", format!("{address:?}: {why}"))
}

async fn period_of(node: &Rpc, address: Address) -> Answer<u64> {
    let answer = match node.call(address, &calls::input("PERIOD", &[]), json!("latest")).await {
        Err(Trouble::Said { .. }) => return Err(not_ours(address)),
        answer => answer?,
    };
    let period = abi::word(&answer, 0).and_then(|seconds| u64::try_from(seconds).ok());
    period.ok_or_else(|| not_ours(address))
}

#[async_trait]
impl Bonds for EthereumLedger {
    fn domain(&self) -> &Domain {
        &self.bonds_there().domain
    }

    fn period(&self) -> Duration {
        self.bonds_there().period
    }

    async fn bond_call(&self, number: u64, call: &Call) -> Result<Signed> {
        if !matches!(call, Call::Bond(_)) {
            return Err(LedgerError::refused("NotACallOfBonds", "it is not about a bond"));
        }
        self.prepared(number, call).await
    }

    async fn held(&self, bond: &Bond) -> Result<Option<Held>> {
        self.chain.nodes.ask(|node| Box::pin(self.held_on(node, bond))).await
    }

    async fn pledged(&self, id: &BondId) -> Result<Option<Bond>> {
        self.chain.nodes.ask(|node| Box::pin(self.pledged_on(node, id))).await
    }

    async fn credited(&self, asset: &Asset) -> Result<Amount> {
        let words = [Word::Address(names::token(asset)?), Word::Address(self.own.address)];
        let input = calls::input("credited", &words);
        let (input, contract) = (&input, self.bonds_there().address);
        let asked = |node: Arc<Rpc>| async move {
            let head = node.head().await?;
            let Some(height) = self.chain.final_height(&head) else { return Ok(Amount::ZERO) };
            let answer = node.call(contract, input, at(height)).await?;
            // Before the contract was there, it owed nobody anything.
            let word = if answer.is_empty() { Some(0) } else { abi::word(&answer, 0) };
            word.map(Amount::new).ok_or_else(|| node.trouble("an absurd credit"))
        };
        self.chain.nodes.ask(|node| Box::pin(asked(node))).await
    }

    async fn needs_leave(&self, asset: &Asset, amount: Amount) -> Result<bool> {
        let token = names::token(asset)?;
        if token.is_zero() {
            return Ok(false);
        }
        self.lacks_leave(token, self.bonds_there().address, amount).await
    }

    async fn bond_changes(&self, bonds: &[BondId], from: u64) -> Result<BondChanges> {
        self.chain.nodes.ask(|node| Box::pin(self.bond_changes_on(node, bonds, from))).await
    }
}

impl EthereumLedger {
    /// The contract of bonds, where the settings name one.
    pub(crate) fn bonds_contract(&self) -> Result<&BondsContract> {
        let lacks =
            || LedgerError::refused("NoSuchAbility", "no contract of bonds is configured here");
        self.chain.bonds.as_ref().ok_or_else(lacks)
    }

    fn bonds_there(&self) -> &BondsContract {
        // The ability is handed out by `Ledger::bonds` where there is a contract and nowhere else;
        // the type is public, so a caller could come another way.
        #[allow(clippy::expect_used)]
        self.chain.bonds.as_ref().expect("asked for by the ability that `bonds()` answers")
    }

    /// What a call about a bond is on the chain.
    pub(crate) fn bond_body(&self, bonding: &Bonding) -> Result<Body> {
        let contract = self.bonds_contract()?.address;
        let Bonding { bond, act } = bonding;
        let token = names::token(&bond.asset)?;
        if *act == BondAct::Allow {
            if token.is_zero() {
                return Err(LedgerError::refused("NotAToken", "coin is pledged without leave"));
            }
            let words = [Word::Address(contract), Word::Uint(U256::MAX)];
            return Ok(Body::to(token, abi::input(abi::APPROVE, &words)));
        }
        let data = calls::data(bonding, self.own.address)?;
        let takes = names::word(act.takes(bond, &self.own.account));
        let value = if token.is_zero() { takes } else { U256::zero() };
        Ok(Body { value, ..Body::to(contract, data) })
    }

    async fn held_on(&self, node: Arc<Rpc>, bond: &Bond) -> Answer<Option<Held>> {
        let there = self.bonds_there();
        let head = node.head().await?;
        let Some(height) = self.chain.final_height(&head) else { return Ok(None) };
        let id = abi::bytes32(&bond.id(&there.domain).0);
        let ask = async |function: &str, words: &[Word]| {
            node.call(there.address, &calls::input(function, words), at(height)).await
        };
        let answer = ask("getBond", std::slice::from_ref(&id)).await?;
        // Before the contract was there, there was no bond either.
        if answer.is_empty() {
            return Ok(None);
        }
        let odd = || node.trouble("a bond that cannot be");
        let Some(held) = told::held(&answer).ok_or_else(odd)? else { return Ok(None) };
        let until = async |by_seller: bool| {
            let answer = ask("pendingUntil", &[id.clone(), Word::Bool(by_seller)]).await?;
            told::moment(&answer, 0).ok_or_else(odd)
        };
        let is_good = match ask("isGood", &[calls::bond(bond)?]).await {
            // It refuses a bond for what is no channel, or another's.
            Err(Trouble::Said { said: Some(_), .. }) => false,
            answer => abi::word(&answer?, 0) == Some(1),
        };
        let challenged_until_ms = until(false).await?;
        let demanded_until_ms = until(true).await?;
        Ok(Some(Held { challenged_until_ms, demanded_until_ms, is_good, ..held }))
    }

    /// The words of a bond by who pledged it. Its id is their hash, so no node can make them up.
    async fn pledged_on(&self, node: Arc<Rpc>, id: &BondId) -> Answer<Option<Bond>> {
        let there = self.bonds_there();
        let head = node.head().await?;
        let Some(height) = self.chain.final_height(&head) else { return Ok(None) };
        let input = calls::input("getBond", &[abi::bytes32(&id.0)]);
        let answer = node.call(there.address, &input, at(height)).await?;
        if answer.is_empty() || told::held(&answer).flatten().is_none() {
            return Ok(None);
        }
        let filter = bond_filter(there.address, &["Pledged"], &[*id]);
        let (mut pages, mut left) = (Pages::new(&node, vec![filter]), Some(height));
        for _ in 0..PAGES_MAX {
            let Some(to) = left else { break };
            let page = pages.last(0..=to).await?;
            let mut bonds = page.logs.iter().filter_map(|log| told::bond(&log.data));
            if let Some(bond) = bonds.find(|bond| bond.id(&there.domain) == *id) {
                return Ok(Some(bond));
            }
            left = page.blocks.start().checked_sub(1);
        }
        Err(node.trouble("who pledged a bond cannot be read: name an endpoint that keeps events"))
    }

    async fn bond_changes_on(
        &self,
        node: Arc<Rpc>,
        bonds: &[BondId],
        from: u64,
    ) -> Answer<BondChanges> {
        let contract = self.bonds_there().address;
        let head = node.head().await?;
        let final_height = self.chain.final_height(&head);
        let Some(to) = final_height.filter(|height| from <= *height && !bonds.is_empty()) else {
            let next = final_height.map_or(from, |height| from.max(height.saturating_add(1)));
            return Ok(BondChanges { list: Vec::new(), next });
        };
        let to = to.min(from.saturating_add(BLOCKS_ASKED - 1));
        let filters = bonds.chunks(CHANNELS_ASKED);
        let filters = filters.map(|ids| bond_filter(contract, &told::KINDS, ids)).collect();
        let (logs, next) = events_of(&node, filters, from..=to).await?;
        let (mut list, mut times) = (BTreeMap::new(), BTreeMap::new());
        for log in logs {
            let odd = || node.trouble("an event that was not asked for");
            let is_asked = log.address == contract && log.removed != Some(true);
            let told = told::change(&log).filter(|(_, change)| bonds.contains(&change.bond));
            let (place, change) = told.filter(|_| is_asked).ok_or_else(odd)?;
            let at_ms = match times.get(&change.height) {
                Some(at_ms) => *at_ms,
                None => block_of(&node, &log, change.height).await?.at_ms(),
            };
            times.insert(change.height, at_ms);
            list.insert(place, BondChange { at_ms, ..change });
        }
        if !stands(&node, &head).await? {
            return Err(node.trouble("the chain was rewritten while it was read"));
        }
        Ok(BondChanges { list: list.into_values().collect(), next })
    }
}

/// A question after some bonds' events of some kinds, in whatever blocks.
fn bond_filter(contract: Address, kinds: &[&str], ids: &[BondId]) -> Value {
    let kinds: Vec<H256> = kinds.iter().map(|kind| told::topic(kind)).collect();
    let ids: Vec<H256> = ids.iter().map(|id| H256(id.0)).collect();
    json!({ "address": contract, "topics": [kinds, ids] })
}
