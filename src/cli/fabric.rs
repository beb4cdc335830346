//! The double of a Fabric network that `scripts/fabric up` has started, for commands that play on
//! it.

use super::exit::{Exit, Failure, Outcome};
use sdpp_ledger::Asset;
use serde::Deserialize;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Its name in our configs.
pub(super) const FABRIC: &str = "fabric";

/// What a person must know before believing what was played on it.
pub(super) const DOUBLE: [&str; 2] = [
    "this is no Fabric network but a double of one: the chaincode is the real one, peer, orderer and",
    "gateway are not. It does not prove that a real network does the same, and nothing on it lasts",
];

/// What the script says of itself; a few lines.
const NETWORK_BYTES_MAX: u64 = 64 * 1024;

/// Where it is, and who can sign there.
#[derive(Deserialize)]
pub(super) struct Network {
    url: String,
    channel: String,
    chaincode: String,
    signers: Vec<Signer>,
}

/// Somebody whom the gateway signs for.
#[derive(Deserialize)]
struct Signer {
    name: String,
    msp: String,
    admin: bool,
}

impl Network {
    /// Looks where the script keeps it: in `$SDPP_FABRIC_DIR`, or `.fabric` in this folder or one
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

    /// What a config says of it, where the gateway signs as `signer`.
    pub(super) fn toml(&self, signer: &str) -> String {
        let Network { url, channel, chaincode, .. } = self;
        let [url, channel, chaincode, signer] =
            [url, channel, chaincode, signer].map(|text| toml::Value::from(text.to_owned()));
        format!(
            r#"
[ledgers.{FABRIC}]
kind = "fabric"
gateway = {url}
channel = {channel}
chaincode = {chaincode}
signer = {signer}
poll_ms = 50
"#
        )
    }

    /// The name of somebody who makes money there, and what money.
    pub(super) fn maker(&self) -> Outcome<(&str, Asset)> {
        let admin = self.signers.iter().find(|signer| signer.admin);
        let admin = admin.ok_or_else(|| not_up("nobody there may make money"))?;
        let asset = format!("{}/USD", admin.msp).parse();
        Ok((&admin.name, asset.map_err(|error| not_up(&format!("its admin: {error}")))?))
    }
}

fn file() -> Outcome<PathBuf> {
    let network = |dir: &Path| dir.join("network.json");
    if let Some(dir) = std::env::var_os("SDPP_FABRIC_DIR").filter(|dir| !dir.is_empty()) {
        let file = network(Path::new(&dir));
        let nothing = || not_up(&format!("{} holds none", Path::new(&dir).display()));
        return if file.exists() { Ok(file) } else { Err(nothing()) };
    }
    let here = std::env::current_dir()
        .map_err(|error| Failure::new(Exit::Failed, format!("where are we? {error}")))?;
    let mut above = here.ancestors().map(|folder| network(&folder.join(".fabric")));
    let nothing = || not_up(&format!("there is no .fabric in {} or above", here.display()));
    above.find(|file| file.exists()).ok_or_else(nothing)
}

/// The sentence for whoever has none.
pub(super) fn not_up(why: &str) -> Failure {
    let hint = "run `scripts/fabric up` in the project's folder first";
    Failure::new(Exit::Ledger, format!("no double of a Fabric network is up: {why}: {hint}"))
}
