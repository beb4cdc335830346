//! The chain that `scripts/anvil up` has started, for commands that play on it.

use super::exit::{Exit, Failure, Outcome};
use super::script::Script;
use crate::config::ledgers::{Keyring, OpenError, Opened};
use crate::config::{Config, Ethereum, LedgerAt};
use sdpp_ledger::{Account, Amount, Asset};

/// Its name in the configs that the script writes, and in ours.
pub(super) const ANVIL: &str = "anvil";

/// What starts it.
pub(super) const SCRIPT: Script =
    Script { name: "anvil", starts: "Anvil", writes: "operator.toml" };

/// Where it is, and whose money it is.
pub(super) struct Anvil {
    /// Who has all the ether that is given away here.
    pub(super) operator: Config,
    chain: Ethereum,
}

impl Anvil {
    /// Looks where the script keeps it: in `$SDPP_ANVIL_DIR`, or `.anvil` in this folder or one
    /// above.
    pub(super) fn find() -> Outcome<Anvil> {
        let operator = Config::load(&SCRIPT.find()?)?;
        let Some(LedgerAt::Ethereum(chain)) = operator.ledgers.get(ANVIL).map(|ledger| &ledger.at)
        else {
            return Err(SCRIPT.not_up("its operator.toml names no such chain"));
        };
        Ok(Anvil { chain: chain.clone(), operator })
    }

    /// How many blocks make something final on it.
    pub(super) fn depth(&self) -> u64 {
        self.chain.depth
    }

    /// What a config says of it, and of its ether, paid by escrow.
    pub(super) fn toml(&self) -> Outcome<String> {
        let Ethereum { chain_id, endpoints, depth, poll_ms, .. } = &self.chain;
        let none = || SCRIPT.not_up("its operator.toml names no escrow or no endpoint");
        let escrow = self.chain.escrow.as_ref().ok_or_else(none)?;
        let endpoint = endpoints.first().ok_or_else(none)?;
        Ok(format!(
            r#"
[ledgers.{ANVIL}]
kind = "ethereum"
chain_id = {chain_id}
endpoints = ["{endpoint}"]
escrow = "{escrow}"
depth = {depth}
poll_ms = {poll_ms}

[currencies.ETH]
ledger = "{ANVIL}"
asset = "coin"
decimals = 18
methods = ["escrow"]
"#
        ))
    }
}

/// Reaches it by any config that names it.
pub(super) async fn reach(config: &Config, keys: &mut Keyring) -> Outcome<Opened> {
    match Opened::open(config, ANVIL, keys).await {
        Err(error @ OpenError::Unreachable { .. }) => Err(SCRIPT.not_up(&error.to_string())),
        opened => Ok(opened?),
    }
}

/// Gives an account what it needs of an asset, unless it has that much.
pub(super) async fn fund(
    giver: &Opened,
    account: &Account,
    asset: &Asset,
    need: Amount,
) -> Outcome {
    let none = || Failure::new(Exit::Ledger, "this ledger moves no money");
    let payments = giver.ledger().payments().ok_or_else(none)?;
    let has = payments.balance(account, asset).await?;
    match need.checked_sub(has) {
        Some(more) if more > Amount::ZERO => {
            Ok(giver.fund(account, asset, more).await.map(drop)?)
        }
        _ => Ok(()),
    }
}
