//! `sdpp ledger deploy`: puts the contract on a chain that channels and records need, or a token
//! to try things out with.

use super::{Which, at};
use crate::cli::exit::Outcome;
use crate::config::ledgers::Opened;
use clap::Args;
use sdpp_ledger::Amount;
use serde_json::json;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// What the contract takes as its grace period.
const GRACE_PERIOD_S: RangeInclusive<u64> = 600..=90 * 24 * 60 * 60;

/// Put the escrow contract on a chain, once for all who use it there; or a test token.
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
    /// A token of this symbol instead, which anybody can mint and which is worth nothing.
    #[arg(long, value_name = "SYMBOL", conflicts_with = "grace_period", value_parser = symbol)]
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
        let Deploy { name, config, grace_period, test_token, decimals, json } = self;
        let which = Which { config, ledger: Some(name.clone()), json };
        let mut chosen = which.choose()?;
        let _journal = chosen.hold_journal(&name, true)?;
        let opened = Opened::open_to_deploy(&chosen.config, &name, &mut chosen.keys).await?;
        let deployed = match &test_token {
            None => opened.deploy_escrow(grace_period).await,
            Some(symbol) => {
                // Ten to the thirtieth, a million times, fits.
                let supply = Amount::new(SUPPLY * 10_u128.pow(decimals.into()));
                opened.deploy_test_token(symbol, decimals, supply).await
            }
        };
        let deployed = deployed.map_err(at(&name))?;
        let (contract, tx, height) = (&deployed.contract, &deployed.tx, deployed.height);
        let next = match &test_token {
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
