//! A block as it is hashed and kept: JSON whose Keccak-256 is its hash.

use crate::genesis::to_json;
use sdpp_ledger::{Account, Amount, Asset, Digest, keccak};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// One block. Its bytes are its JSON with the fields in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Block {
    pub height: u64,
    /// Hash of the block before it that is kept: empty ones between are not.
    pub parent: Digest,
    pub at_ms: u64,
    pub ops: Vec<Op>,
}

/// What a block does, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Op {
    /// A signed transaction.
    Tx(Raw),
    /// The faucet's money.
    Fund(Fund),
}

/// Money that the faucet creates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fund {
    pub account: Account,
    pub asset: Asset,
    pub amount: Amount,
}

impl Block {
    pub fn json(&self) -> Vec<u8> {
        to_json(self)
    }

    /// The hash of a block with these bytes.
    pub fn hash(json: &[u8]) -> Digest {
        keccak(&[json])
    }
}

/// Bytes that are plain lower-case hex in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Raw(pub Vec<u8>);

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        hex::decode(text.as_ref()).map(Raw).map_err(de::Error::custom)
    }
}
