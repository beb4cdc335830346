//! An item that is not the one in its place of the dataset that the menu named: what opens its leaf, and
//! nothing of the item but its digest.

use crate::crypto::leaf_of;
use crate::terms::SessionId;
use sdpp_ledger::{Digest, merkle};
use serde::{Deserialize, Serialize};

/// Such an item. With the message that the seller signed it by it shows everybody what was sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stray {
    /// Its place in the session, from 1.
    pub seq: u64,
    /// Keccak-256 of the item.
    pub content: Digest,
    /// The salt of this item alone.
    pub salt: Digest,
    /// Where it came with its window's invoice: its place under the root that was signed.
    pub invoiced: Option<Invoiced>,
}

/// An item's place under an invoice's root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Invoiced {
    /// The invoice's number.
    pub number: u64,
    /// The place.
    pub proof: merkle::Proof,
}

impl Stray {
    /// The leaf that it opens.
    pub fn leaf(&self, session: &SessionId) -> Digest {
        leaf_of(session, self.seq, &self.salt, &self.content)
    }
}
