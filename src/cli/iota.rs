//! The double of an IOTA node that `scripts/iota up` has started, for commands that play on it.

use super::exit::Outcome;
use super::script::Script;
use serde::Deserialize;

/// Its name in our configs.
pub(super) const IOTA: &str = "iota";

/// What a person must know before believing what was played on it.
pub(super) const DOUBLE: [&str; 2] = [
    "this is no IOTA network but a double of a node: it checks bytes, signatures, coins and gas as a",
    "node does. It does not prove that a real network does the same, and nothing on it lasts",
];

/// What starts it.
pub(super) const SCRIPT: Script =
    Script { name: "iota", starts: "double of an IOTA node", writes: "network.json" };

/// Where it is.
#[derive(Deserialize)]
pub(super) struct Network {
    /// The node's URL.
    pub(super) url: String,
    /// The faucet's URL.
    pub(super) faucet: String,
    /// Where the double tells what it was asked.
    #[cfg(feature = "iota")]
    pub(super) control: String,
    /// The network's identifier.
    pub(super) chain_id: String,
}

impl Network {
    /// Looks where the script keeps it: in `$SDPP_IOTA_DIR`, or `.iota` in this folder or one
    /// above.
    pub(super) fn find() -> Outcome<Network> {
        SCRIPT.read()
    }

    /// What a config says of it, and of its coin.
    pub(super) fn toml(&self) -> String {
        let [url, faucet, chain] = [&self.url, &self.faucet, &self.chain_id]
            .map(|text| toml::Value::from(text.to_owned()));
        format!(
            r#"
[ledgers.{IOTA}]
kind = "iota"
chain = {chain}
endpoint = {url}
faucet = {faucet}
poll_ms = 100

[currencies.IOTA]
ledger = "{IOTA}"
asset = "coin"
decimals = 9
methods = ["transfer"]
"#
        )
    }
}
