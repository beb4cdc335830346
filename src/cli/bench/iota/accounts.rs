//! Accounts that are made for a bench, each with a single coin, and what the double tells of what
//! it was asked.

use crate::actors::random_key;
use crate::cli::bench::setting::{self, folder};
use crate::cli::bench::work::failed;
use crate::cli::exit::Outcome;
use crate::cli::iota::{IOTA, Network};
use crate::config::Config;
use crate::config::ledgers::Opened;
use sdpp_ledger::{Account, Amount, Asset, Key};
use serde::Deserialize;
use std::collections::BTreeMap;
use tempfile::TempDir;

/// What a payment of ours takes from an account at the most, in NANOS, with what is kept back for
/// the next ones on the same coin.
const FOR_EACH: u128 = 5_000_000;

/// What an account needs beside, so that its coin is worth splitting, in NANOS.
const TO_BEGIN: u128 = 2_000_000_000;

/// Who pays others their first coin.
pub(super) struct Accounts<'n> {
    funder: Opened,
    network: &'n Network,
    http: reqwest::Client,
    /// Configs and journals live in it; removed at the end.
    dir: TempDir,
}

/// An account of its own, in this process.
pub(super) struct Own {
    pub(super) key: Key,
    pub(super) opened: Opened,
}

/// What the double was asked, and what came of it.
#[derive(Deserialize)]
pub(super) struct Tally {
    requests: BTreeMap<String, u64>,
    /// Transactions, those of the faucet apart.
    pub(super) executed: u64,
    /// Of these, what came to nothing.
    pub(super) failed: u64,
    /// Refusals because another transaction had the coin.
    pub(super) conflicts: u64,
    /// Requests that no node would have understood.
    pub(super) strange: Vec<String>,
}

impl Tally {
    pub(super) fn exchanges(&self) -> u64 {
        self.requests.values().sum()
    }
}

impl<'n> Accounts<'n> {
    /// Reaches the node, and makes an account that the faucet gives to.
    pub(super) async fn new(network: &'n Network) -> Outcome<Accounts<'n>> {
        let http = reqwest::Client::builder().no_proxy().build().map_err(failed)?;
        let dir = folder()?;
        let config = config(network, &dir, "nobody")?;
        let nobody = Opened::open_to_read(&config, IOTA).await?;
        let funder = nobody.signed_by(random_key().map_err(failed)?)?;
        Ok(Accounts { funder, network, http, dir })
    }

    /// Who pays the others.
    pub(super) fn funder(&self) -> &Opened {
        &self.funder
    }

    /// A config for an account's own journal.
    pub(super) fn config(&self, own: &Own) -> Outcome<Config> {
        config(self.network, &self.dir, own.account().as_str())
    }

    /// A new account with one coin that is good for so many payments.
    pub(super) async fn with_one_coin(&self, payments: u32) -> Outcome<Own> {
        let (own, coin) = (self.with_nothing()?, Asset::coin());
        let needs = Amount::new(TO_BEGIN + FOR_EACH * u128::from(payments));
        let funder = self.funder.ledger();
        let Some(money) = funder.payments() else { return Err(failed("no money")) };
        while money.balance(funder.account(), &coin).await?.units() < 2 * needs.units() {
            self.funder.fund(funder.account(), &coin, needs).await?;
        }
        self.funder.fund(own.account(), &coin, needs).await?;
        Ok(own)
    }

    /// A new account.
    pub(super) fn with_nothing(&self) -> Outcome<Own> {
        let key = random_key().map_err(failed)?;
        let opened = self.funder.signed_by(key.clone())?;
        Ok(Own { key, opened })
    }

    /// What the double was asked so far.
    pub(super) async fn tally(&self) -> Outcome<Tally> {
        let answer = self.http.get(&self.network.control).send().await.map_err(failed)?;
        let text = answer.error_for_status().map_err(failed)?.text().await.map_err(failed)?;
        let tally: Tally = serde_json::from_str(&text).map_err(failed)?;
        match tally.strange.first() {
            None => Ok(tally),
            Some(strange) => {
                Err(failed(format!("the node was asked something strange: {strange}")))
            }
        }
    }

    /// Asks the node for next to nothing.
    pub(super) async fn exchange(&self) -> Outcome {
        const QUESTION: &str =
            r#"{"jsonrpc":"2.0","id":1,"method":"iota_getChainIdentifier","params":[]}"#;
        let asked = self.http.post(&self.network.url).header("content-type", "application/json");
        let answer = asked.body(QUESTION).send().await.map_err(failed)?;
        answer.error_for_status().map_err(failed)?.bytes().await.map_err(failed).map(drop)
    }
}

impl Own {
    pub(super) fn account(&self) -> &Account {
        self.opened.ledger().account()
    }

    /// What it has.
    pub(super) async fn holds(&self) -> Outcome<Amount> {
        let Some(money) = self.opened.ledger().payments() else { return Err(failed("no money")) };
        Ok(money.balance(self.account(), &Asset::coin()).await?)
    }
}

/// A config with a journal of its own.
fn config(network: &Network, dir: &TempDir, name: &str) -> Outcome<Config> {
    let ledger = network.toml();
    let text = format!(
        r#"{ledger}
[buyer]
currencies = [{{ currency = "IOTA", max_total = "1" }}]
"#
    );
    setting::config(dir, name, &text)
}
