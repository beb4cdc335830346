//! Who holds what, and the channels: what calls change, and the rules by which.
//!
//! A call either does all of what it says or, with a [`Refusal`], nothing. Numbers, signatures
//! of transactions and time are somebody else's: see `chain`.

use crate::Refusal;
use crate::effect::{Effect, no_bonds, nothing_to_approve};
use crate::genesis::{Genesis, is_account};
use sdpp_ledger::{
    Account, Amount, Asset, Call, ChangeKind, Channel, ChannelId, Domain, InChannel, Transfer,
};
use std::collections::BTreeMap;

/// Balances and channels after some block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct State {
    balances: BTreeMap<(Account, Asset), Amount>,
    /// All that was ever created of each asset. It fits, so no sum of balances can overflow.
    supply: BTreeMap<Asset, Amount>,
    pub(crate) channels: BTreeMap<ChannelId, Channel>,
}

/// What a call is made in: by whom, when, under which rules.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting<'a> {
    pub from: &'a Account,
    pub at_ms: u64,
    pub domain: &'a Domain,
    pub grace_period_ms: u64,
}

impl State {
    /// The state of block 0.
    pub fn founded(genesis: &Genesis) -> Result<State, Refusal> {
        let mut state = State::default();
        for first in &genesis.allocations {
            state.mint(&first.account, &first.asset, first.amount)?;
        }
        Ok(state)
    }

    /// What an account holds.
    pub fn balance(&self, account: &Account, asset: &Asset) -> Amount {
        let key = (account.clone(), asset.clone());
        self.balances.get(&key).copied().unwrap_or_default()
    }

    /// Creates money. `Err` when the account is none or the asset's supply would not fit.
    pub fn mint(
        &mut self,
        account: &Account,
        asset: &Asset,
        amount: Amount,
    ) -> Result<(), Refusal> {
        let supply = self.check_mint(account, asset, [amount])?;
        self.supply.insert(asset.clone(), supply);
        self.give(account, asset, amount);
        Ok(())
    }

    /// Whether so much can be created for an account; returns the supply that there would be.
    pub fn check_mint(
        &self,
        account: &Account,
        asset: &Asset,
        amounts: impl IntoIterator<Item = Amount>,
    ) -> Result<Amount, Refusal> {
        must_be_account(account)?;
        let supply = self.supply.get(asset).copied().unwrap_or_default();
        let mut amounts = amounts.into_iter();
        let sum = amounts.try_fold(supply, Amount::checked_add);
        sum.ok_or_else(|| {
            let why = format!("there would be more {asset} than 128 bits can count");
            Refusal::new("SupplyOverflow", why)
        })
    }

    /// Does what a call says; tells what that was.
    pub fn run(&mut self, call: &Call, setting: Setting<'_>) -> Result<Effect, Refusal> {
        match call {
            Call::Anchor(_) => Ok(Effect::default()),
            Call::Transfer(transfer) => self.transfer(transfer, setting.from).map(Effect::of),
            Call::Open(open) => self.opened(open, setting),
            Call::TopUp(top_up) => {
                let kind = |channel: &Channel| ChangeKind::ToppedUp { deposit: channel.deposit };
                self.change(top_up.channel, kind, &|state| state.top_up(top_up, setting))
            }
            Call::Settle(redeem) => self.settled(redeem, setting),
            Call::Close(redeem) => self.closed(redeem, setting),
            Call::RequestClose(InChannel { channel: id }) => {
                let ready = setting.at_ms.saturating_add(setting.grace_period_ms);
                let kind = |_: &Channel| ChangeKind::CloseRequested { ready_ms: ready };
                self.change(*id, kind, &|state| state.request_close(id, setting))
            }
            Call::Withdraw(InChannel { channel: id }) => {
                self.change(*id, |_| ChangeKind::Withdrawn, &|state| state.withdraw(id, setting))
            }
            Call::SettleMany(batch) => self.each_row(batch, |s, row| s.settled(row, setting)),
            Call::CloseMany(batch) => self.each_row(batch, |s, row| s.closed(row, setting)),
            Call::Approve(_) => Err(nothing_to_approve()),
            Call::Bond(_) => Err(no_bonds()),
        }
    }

    fn transfer(&mut self, transfer: &Transfer, from: &Account) -> Result<Amount, Refusal> {
        must_be_account(&transfer.to)?;
        self.take(from, &transfer.asset, transfer.amount)?;
        self.give(&transfer.to, &transfer.asset, transfer.amount);
        Ok(transfer.amount)
    }

    pub(crate) fn take(
        &mut self,
        from: &Account,
        asset: &Asset,
        amount: Amount,
    ) -> Result<(), Refusal> {
        let held = self.balance(from, asset);
        let rest = held.checked_sub(amount).ok_or_else(|| {
            let why = format!("{from} holds {held} {asset}, {amount} are needed");
            Refusal::new("InsufficientFunds", why)
        })?;
        self.balances.insert((from.clone(), asset.clone()), rest);
        Ok(())
    }

    pub(crate) fn give(&mut self, to: &Account, asset: &Asset, amount: Amount) {
        let held = self.balances.entry((to.clone(), asset.clone())).or_default();
        // All balances and deposits of an asset together are its supply, which fits.
        #[allow(clippy::expect_used)]
        let sum = held.checked_add(amount).expect("part of the supply");
        *held = sum;
    }

    /// All that is held of an asset, in balances and in channels that are open.
    #[cfg(test)]
    pub fn total(&self, asset: &Asset) -> Amount {
        let held = self.balances.iter().filter(|((_, a), _)| a == asset);
        let held: u128 = held.map(|(_, amount)| amount.units()).sum();
        let open = self.channels.values();
        let open = open.filter(|c| !c.finalized && c.asset == *asset);
        let open: u128 = open.map(|c| c.deposit.units() - c.settled.units()).sum();
        Amount::new(held + open)
    }
}

pub(crate) fn must_be_account(account: &Account) -> Result<(), Refusal> {
    if is_account(account) {
        return Ok(());
    }
    let why = format!("{account} is not an account here: 0x and 40 lower-case hex digits");
    Err(Refusal::new("InvalidAccount", why))
}
