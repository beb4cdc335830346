//! The contracts as they are checked in, and their code as it must stand on a chain.

use ethers_core::abi::Abi;
use ethers_core::types::{Address, H256};
use sdpp_ledger::keccak;
use serde::{Deserialize, Deserializer, de};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A compiled contract as it is checked in.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Artifact {
    pub abi: Abi,
    #[serde(deserialize_with = "hex_bytes")]
    pub bytecode: Vec<u8>,
    #[serde(deserialize_with = "hex_bytes", default)]
    deployed_bytecode: Vec<u8>,
    /// Where the deployed code has words that the constructor fills in, by their Solidity names.
    #[serde(default)]
    immutables: BTreeMap<String, Vec<usize>>,
}

/// What one escrow was made with.
pub(crate) struct Made {
    /// In seconds.
    pub grace_period: u64,
    pub this: Address,
    /// The EIP-712 domain's separator.
    pub domain: [u8; 32],
    pub chain_id: u64,
}

impl Artifact {
    /// Its code as it must stand on the chain, to the last byte.
    fn code(&self, immutable: impl Fn(&str) -> Option<[u8; 32]>) -> Vec<u8> {
        let mut code = self.deployed_bytecode.clone();
        for (name, places) in &self.immutables {
            let word = immutable(name).unwrap_or_default();
            for start in places {
                if let Some(there) = code.get_mut(*start..start + 32) {
                    there.copy_from_slice(&word);
                }
            }
        }
        code
    }
}

impl Made {
    /// Its code as it must stand on the chain.
    pub fn code(&self) -> Vec<u8> {
        ESCROW.code(|name| self.immutable(name))
    }

    /// What the constructor makes of an immutable; those with an underscore are OpenZeppelin's.
    fn immutable(&self, name: &str) -> Option<[u8; 32]> {
        Some(match name {
            "CLOSE_GRACE_PERIOD" => H256::from_low_u64_be(self.grace_period).0,
            "HOME_CHAIN" | "_cachedChainId" => H256::from_low_u64_be(self.chain_id).0,
            "HOME_DOMAIN" | "_cachedDomainSeparator" => self.domain,
            "_cachedThis" => H256::from(self.this).0,
            "_name" => short_string(NAME),
            "_version" => short_string(VERSION),
            "_hashedName" => keccak(&[NAME]).0,
            "_hashedVersion" => keccak(&[VERSION]).0,
            _ => return None,
        })
    }
}

/// What one contract of bonds was made with.
pub(crate) struct MadeBonds {
    /// The escrow whose channels the bonds are for.
    pub escrow: Address,
    /// In seconds.
    pub period: u64,
    pub chain_id: u64,
}

impl MadeBonds {
    /// Its code as it must stand on the chain.
    pub fn code(&self) -> Vec<u8> {
        BONDS.code(|name| self.immutable(name))
    }

    fn immutable(&self, name: &str) -> Option<[u8; 32]> {
        Some(match name {
            "ESCROW" => H256::from(self.escrow).0,
            "PERIOD" => H256::from_low_u64_be(self.period).0,
            "HOME_CHAIN" => H256::from_low_u64_be(self.chain_id).0,
            _ => return None,
        })
    }
}

/// The name and version of the vouchers' EIP-712 domain.
const NAME: &[u8] = b"EVM Payment Channel";
const VERSION: &[u8] = b"1";

/// A text of under 32 bytes as the contract keeps it: in one word, its length at the end.
fn short_string(text: &[u8]) -> [u8; 32] {
    let mut word = [0; 32];
    word[..text.len()].copy_from_slice(text);
    word[31] = text.len() as u8;
    word
}

/// The escrow.
pub(crate) static ESCROW: LazyLock<Artifact> =
    LazyLock::new(|| artifact(include_str!("../../../contracts/ethereum/SdppEscrow.json")));

/// The bonds of channels.
pub(crate) static BONDS: LazyLock<Artifact> =
    LazyLock::new(|| artifact(include_str!("../../../contracts/ethereum/SdppBonds.json")));

/// A token for test chains.
pub(crate) static TEST_TOKEN: LazyLock<Artifact> =
    LazyLock::new(|| artifact(include_str!("../../../contracts/ethereum/TestToken.json")));

fn artifact(text: &str) -> Artifact {
    // Checked in, and read by this crate's tests.
    #[allow(clippy::expect_used)]
    serde_json::from_str(text).expect("the artifact is what artifact.mjs writes")
}

fn hex_bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    hex::decode(text.trim_start_matches("0x")).map_err(de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fills_in(artifact: &Artifact, immutable: impl Fn(&str) -> Option<[u8; 32]>) {
        for (name, places) in &artifact.immutables {
            assert!(immutable(name).is_some(), "{name} is filled in by nobody");
            let code = &artifact.deployed_bytecode;
            assert!(places.iter().all(|start| code.get(*start..start + 32) == Some(&[0; 32])));
        }
        assert!(!artifact.immutables.is_empty());
    }

    #[test]
    fn the_constructors_fill_in_what_the_artifacts_name() {
        let made = Made { grace_period: 1, this: Address::zero(), domain: [0; 32], chain_id: 1 };
        fills_in(&ESCROW, |name| made.immutable(name));
        let bonds = MadeBonds { escrow: Address::zero(), period: 1, chain_id: 1 };
        fills_in(&BONDS, |name| bonds.immutable(name));
        assert!(!TEST_TOKEN.bytecode.is_empty());
    }
}
