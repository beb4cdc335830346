//! The double of an IOTA node that `scripts/iota up` has started, for commands that play on it.

use super::exit::{Exit, Failure, Outcome};
use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Its name in our configs.
pub(super) const IOTA: &str = "iota";

/// What a person must know before believing what was played on it.
pub(super) const DOUBLE: [&str; 2] = [
    "this is no IOTA network but a double of a node: it checks bytes, signatures, coins and gas as a",
    "node does. It does not prove that a real network does the same, and nothing on it lasts",
];

/// What the script says of itself; a few lines.
const NETWORK_BYTES_MAX: u64 = 64 * 1024;

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
        let path = file()?;
        let wrong = |why: String| not_up(&format!("{}: {why}", path.display()));
        let mut text = String::new();
        let read = File::open(&path)
            .and_then(|file| file.take(NETWORK_BYTES_MAX).read_to_string(&mut text));
        read.map_err(|error| wrong(error.to_string()))?;
        serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))
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

fn file() -> Outcome<PathBuf> {
    let network = |dir: &Path| dir.join("network.json");
    if let Some(dir) = std::env::var_os("SDPP_IOTA_DIR").filter(|dir| !dir.is_empty()) {
        let file = network(Path::new(&dir));
        let nothing = || not_up(&format!("{} holds none", Path::new(&dir).display()));
        return if file.exists() { Ok(file) } else { Err(nothing()) };
    }
    let here = std::env::current_dir()
        .map_err(|error| Failure::new(Exit::Failed, format!("where are we? {error}")))?;
    let mut above = here.ancestors().map(|folder| network(&folder.join(".iota")));
    let nothing = || not_up(&format!("there is no .iota in {} or above", here.display()));
    above.find(|file| file.exists()).ok_or_else(nothing)
}

/// The sentence for whoever has none.
pub(super) fn not_up(why: &str) -> Failure {
    let hint = "run `scripts/iota up` in the project's folder first";
    Failure::new(Exit::Ledger, format!("no double of an IOTA node is up: {why}: {hint}"))
}
