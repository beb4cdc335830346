//! `sdpp ledger deploy`: puts the contract on a chain that channels and records need, that of the
//! bonds beside it, or a token to try things out with.

use super::{Which, at};
use crate::cli::exit::{Failure, Outcome};
use crate::config::LedgerAt;
use crate::config::ledgers::{Deployed, Opened};
use clap::Args;
use sdpp_ledger::{Account, Amount};
use serde_json::json;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// What the contract takes as its grace period.
const GRACE_PERIOD_S: RangeInclusive<u64> = 600..=90 * 24 * 60 * 60;

/// Put the escrow contract on a chain, once for all who use it there; or the bonds beside it; or a
/// test token.
///
/// The config's own key for that ledger pays for it. The address that is printed goes into the
/// configs of seller and buyer; both can see with `sdpp config check --online` that the contract
/// there is this one.
#[derive(Args)]
#[command(
    after_help = "Example:\n  sdpp ledger deploy sepolia --grace-period 1h --config seller.toml"
)]
pub(super) struct Deploy {
    /// The ledger, by its name in the config.
    name: String,
    /// The config that names the ledger.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// How long a payee can still settle after the payer asked to close, for good: at least twice
    /// the longest outage that a seller must survive.
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    #[arg(value_parser = grace_period)]
    grace_period: Duration,
    /// The contract of bonds instead, for the channels of the escrow that the config names: an answer
    /// to a complaint may take so long, for good.
    #[arg(long, value_name = "PERIOD", conflicts_with = "grace_period")]
    #[arg(value_parser = grace_period)]
    bonds: Option<Duration>,
    /// A token of this symbol instead, which anybody can mint and which is worth nothing.
    #[arg(long, value_name = "SYMBOL", conflicts_with_all = ["grace_period", "bonds"], value_parser = symbol)]
    test_token: Option<String>,
    /// The token's decimals.
    #[arg(long, default_value_t = 6, requires = "test_token")]
    #[arg(value_parser = clap::value_parser!(u8).range(0..=30))]
    decimals: u8,
    /// Answer with JSON.
    #[arg(long)]
    json: bool,
}

/// How many whole test tokens its maker has at first.
const SUPPLY: u128 = 1_000_000;

impl Deploy {
    pub(super) async fn run(self) -> Outcome {
        let Deploy { name, config, grace_period, bonds, test_token, decimals, json } = self;
        let which = Which { config, ledger: Some(name.clone()), json };
        let mut chosen = which.choose()?;
        let escrow = chosen.config.ledgers.get(&name).and_then(|ledger| match &ledger.at {
            LedgerAt::Ethereum(chain) => chain.escrow.clone(),
            _ => None,
        });
        let _journal = chosen.hold_journal(&name, true)?;
        let opened = Opened::open_to_deploy(&chosen.config, &name, &mut chosen.keys).await?;
        let deployed = match (&test_token, bonds) {
            (None, None) => opened.deploy_escrow(grace_period).await,
            (None, Some(period)) => opened.deploy_bonds(&beside(&name, escrow)?, period).await,
            (Some(symbol), _) => {
                // Ten to the thirtieth, a million times, fits.
                let supply = Amount::new(SUPPLY * 10_u128.pow(decimals.into()));
                opened.deploy_test_token(symbol, decimals, supply).await
            }
        };
        let deployed = deployed.map_err(at(&name))?;
        let Deployed { contract, tx, height } = &deployed;
        let next = match &test_token {
            None if bonds.is_some() => format!("write bonds = \"{contract}\" in [ledgers.{name}]"),
            None => format!("write escrow = \"{contract}\" in [ledgers.{name}]"),
            Some(symbol) => format!(
                "write asset = \"{contract}\" and decimals = {decimals} in [currencies.{symbol}]"
            ),
        };
        chosen.print(
            &format!("{contract}\nmade by {tx} at height {height}; {next}"),
            &json!({
                "ledger": name, "id": opened.ledger().id(), "contract": contract, "tx": tx,
                "height": height, "test_token": test_token,
            }),
        )
    }
}

/// The escrow that bonds are for.
fn beside(name: &str, escrow: Option<Account>) -> Outcome<Account> {
    let none = || {
        let why =
            format!("[ledgers.{name}] names no escrow, whose channels the bonds would be for");
        Failure::usage(why)
    };
    escrow.ok_or_else(none)
}

fn grace_period(text: &str) -> Result<Duration, String> {
    let period = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    if period.subsec_nanos() == 0 && GRACE_PERIOD_S.contains(&period.as_secs()) {
        return Ok(period);
    }
    Err("whole seconds, from 10m to 90days".to_owned())
}

fn symbol(text: &str) -> Result<String, String> {
    if (1..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Ok(text.to_owned());
    }
    Err("1 to 16 letters and digits".to_owned())
}
