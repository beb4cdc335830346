//! What is held against a side of a bond, and what it is asked for then: the other's words, in the layouts that
//! they are signed in.

use crate::{Amount, Digest, Signature, merkle};
use serde::{Deserialize, Serialize};

/// What a message is signed with, beside what its layout says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    /// Keccak-256 of what was said.
    pub data: Digest,
    /// Keccak-256 of what verifies it.
    pub verification: Digest,
    /// The signature.
    pub signature: Signature,
}

/// Terms under a bond, and a party's word for them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedTerms {
    /// Keccak-256 of what was offered.
    pub menu: Digest,
    /// Keccak-256 of what was ordered.
    pub order: Digest,
    /// What was vouched on the channel before.
    pub base: Amount,
    /// What an item costs.
    pub price: Amount,
    /// The currency's rate, above the line.
    pub numerator: Amount,
    /// The currency's rate, below the line.
    pub denominator: Amount,
    /// How many items make a window.
    pub granularity: u32,
    /// How many windows may be unpaid.
    pub windows: u32,
    /// The root of the dataset that all items are of; zero where none was named.
    pub dataset: Digest,
    /// The party's word.
    pub word: Word,
}

/// The seller's word for an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedItem {
    /// The item's number.
    pub seq: u64,
    /// Its leaf.
    pub leaf: Digest,
    /// The seller's word.
    pub word: Word,
}

/// The seller's word for a window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedInvoice {
    /// The window's number.
    pub number: u64,
    /// The root of its leaves.
    pub root: Digest,
    /// What all up to here costs.
    pub amount_total: Amount,
    /// The seller's word.
    pub word: Word,
}

/// An item as the buyer opened it, and its place under its invoice's root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    /// The item's number.
    pub seq: u64,
    /// The salt of its leaf.
    pub salt: Digest,
    /// Keccak-256 of the item itself.
    pub content: Digest,
    /// Its leaf's place, and its sisters up to the root.
    pub proof: merkle::Proof,
}

/// The buyer's word for what it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedAck {
    /// Which message it is, as its layout has it.
    pub kind: u8,
    /// The last item, or the last window.
    pub number: u64,
    /// What its layout commits to.
    pub digest: Digest,
    /// The total amount in its layout.
    pub amount_total: Amount,
    /// The buyer's word.
    pub word: Word,
}

/// The seller's last word for what it had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// What all costs.
    pub amount_total: Amount,
    /// What was paid of it.
    pub paid_total: Amount,
    /// The seller's word.
    pub word: Word,
}

/// What a seller is asked to show: that a leaf is under a root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenge {
    /// The leaf.
    pub leaf: Digest,
    /// The root.
    pub root: Digest,
    /// Where it must stand; the largest number for anywhere.
    pub index: u32,
    /// How many leaves there can be at most.
    pub most: u32,
}

impl Challenge {
    /// The index that stands for anywhere.
    pub const ANYWHERE: u32 = u32::MAX;

    /// Whether it asks for an item of a dataset, which may stand anywhere among any number.
    pub fn is_of_dataset(&self) -> bool {
        self.index == Challenge::ANYWHERE && self.most == Challenge::ANYWHERE
    }
}

/// What a buyer is asked to pay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Demand {
    /// The session's id.
    pub session: Digest,
    /// The invoice's total, or what was acknowledged of it.
    pub amount_total: Amount,
    /// All that the channel pays with the voucher that answers.
    pub voucher: Amount,
    /// The first item that the seller signs only once it is paid.
    #[serde(with = "as_text")]
    pub paid_before: u128,
    /// The last invoice that it signs before.
    #[serde(with = "as_text")]
    pub last_unpaid: u128,
}

/// Large numbers as text: JSON's own are not read back from inside a tagged value.
mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(number: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}
