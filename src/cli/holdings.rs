//! What accounts hold on the ledgers of a config, as people read it.

use crate::config::ledgers::Opened;
use crate::config::{Config, Fabric, Iota, LedgerAt};
use sdpp_ledger::{Account, Amount, Asset, LedgerError};
use serde::Serialize;
use std::fmt;

/// An EVM chain counts its coin in wei.
const CHAIN_DECIMALS: u8 = 18;

/// An asset as a config speaks of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Named {
    pub(super) asset: Asset,
    symbol: String,
    decimals: u8,
}

/// What an account holds of an asset.
#[derive(Debug, Serialize)]
pub(super) struct Holding {
    #[serde(flatten)]
    of: Named,
    amount: Amount,
    /// What it owes in open promises of the same, where money is a promise.
    #[serde(skip_serializing_if = "Option::is_none")]
    owed: Option<Amount>,
}

impl Named {
    /// An amount with its decimals and symbol, and whether it is a promise.
    pub(super) fn money(&self, amount: Amount) -> String {
        let promised = Fabric::unit_of(&self.asset).map_or("", |_| " in IOUs");
        format!("{} {}{promised}", amount.to_decimal(self.decimals), self.symbol)
    }
}

impl fmt::Display for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.of.money(self.amount))?;
        self.owed.map_or(Ok(()), |owed| write!(f, ", and owes {}", self.of.money(owed)))
    }
}

/// What an account holds of all that the config knows on a ledger.
pub(super) async fn holdings(
    config: &Config,
    name: &str,
    opened: &Opened,
    account: &Account,
) -> Result<Vec<Holding>, LedgerError> {
    let Some(payments) = opened.ledger().payments() else { return Ok(Vec::new()) };
    let mut held = Vec::new();
    for of in assets(config, name) {
        let amount = payments.balance(account, &of.asset).await?;
        let owed = opened.owed(account, &of.asset).await?;
        held.push(Holding { of, amount, owed });
    }
    Ok(held)
}

/// The assets that the config knows on a ledger. A chain's coin is always among them, since every
/// transaction costs some; a channel of Fabric has none.
pub(super) fn assets(config: &Config, ledger: &str) -> Vec<Named> {
    let mut assets: Vec<Named> = Vec::new();
    for currency in config.currencies.values().filter(|c| c.ledger == ledger) {
        if assets.iter().all(|known| known.asset != currency.asset) {
            let (asset, symbol) = (currency.asset.clone(), currency.symbol.clone());
            assets.push(Named { asset, symbol, decimals: currency.decimals });
        }
    }
    let coin = |decimals| Named { asset: Asset::coin(), symbol: "coin".to_owned(), decimals };
    match config.ledgers.get(ledger).map(|ledger| &ledger.at) {
        Some(LedgerAt::Ethereum(_)) if !assets.iter().any(|of| of.asset == Asset::coin()) => {
            assets.push(coin(CHAIN_DECIMALS));
        }
        Some(LedgerAt::Iota(_)) if assets.is_empty() => assets.push(coin(Iota::COIN_DECIMALS)),
        Some(LedgerAt::Embedded(_)) if assets.is_empty() => assets.push(coin(0)),
        _ => {}
    }
    assets
}

/// An asset on a ledger, in the config's words where it has some.
pub(super) fn named(config: &Config, ledger: &str, asset: &Asset) -> Named {
    let known = assets(config, ledger).into_iter().find(|of| of.asset == *asset);
    let unknown = || Named { asset: asset.clone(), symbol: format!("of {asset}"), decimals: 0 };
    known.unwrap_or_else(unknown)
}
