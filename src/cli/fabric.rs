//! The double of a Fabric network that `scripts/fabric up` has started, for commands that play on
//! it.

use super::exit::Outcome;
use super::script::Script;
use sdpp_ledger::Asset;
use serde::Deserialize;

/// Its name in our configs.
pub(super) const FABRIC: &str = "fabric";

/// What a person must know before believing what was played on it.
pub(super) const DOUBLE: [&str; 2] = [
    "this is no Fabric network but a double of one: the chaincode is the real one, peer, orderer and",
    "gateway are not. It does not prove that a real network does the same, and nothing on it lasts",
];

/// What starts it.
pub(super) const SCRIPT: Script =
    Script { name: "fabric", starts: "double of a Fabric network", writes: "network.json" };

/// Where it is, and who can sign there.
#[derive(Deserialize)]
pub(super) struct Network {
    /// The gateway's URL.
    pub(super) url: String,
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
        SCRIPT.read()
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
        let admin = admin.ok_or_else(|| SCRIPT.not_up("nobody there may make money"))?;
        let asset = format!("{}/USD", admin.msp).parse();
        Ok((&admin.name, asset.map_err(|error| SCRIPT.not_up(&format!("its admin: {error}")))?))
    }
}
