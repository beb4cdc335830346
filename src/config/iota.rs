//! A network of IOTA, and how it is reached.

use super::EndpointFrom;
use sdpp_ledger::{Amount, Asset};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// A network of IOTA, and how we use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Iota {
    /// Its chain identifier: 8 lower-case hex digits.
    pub chain: String,
    /// Who answers for it, in JSON-RPC over HTTP.
    pub endpoint: EndpointFrom,
    /// Who gives coins away there; `None` where nobody does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub faucet: Option<EndpointFrom>,
    /// How our key signs, and so which account it is.
    pub scheme: IotaScheme,
    /// The most that one transaction may cost, deposits included, in NANOS.
    pub fee_ceiling: Amount,
    /// How many coins our account keeps, and so how many transactions are on their way at once; 1
    /// to 500.
    pub coins: usize,
    /// How often a transaction under way is looked for, in milliseconds.
    pub poll_ms: u64,
}

/// How a key signs on IOTA. The same secret is another account under each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IotaScheme {
    /// Ed25519, as wallets of this network do.
    #[default]
    Ed25519,
    /// secp256k1, as on EVM chains.
    Secp256k1,
}

impl Iota {
    /// How many decimals its coin has: it is counted in NANOS.
    pub const COIN_DECIMALS: u8 = 9;

    /// Whether this is the only money that is paid with here: the network's own coin.
    pub fn is_money(asset: &Asset) -> bool {
        *asset == Asset::coin()
    }

    /// The files that must be there, by the config's keys.
    pub fn files(&self) -> Vec<(&'static str, &Path)> {
        let all = [("endpoint", Some(&self.endpoint)), ("faucet", self.faucet.as_ref())];
        all.into_iter().filter_map(|(key, from)| Some((key, from?.file()?))).collect()
    }
}
