//! What was signed for a ledger, and how final it is there.

use crate::{Amount, ChannelId, TxId};
use serde::{Deserialize, Serialize};

/// Something prepared for a ledger and not yet sent, or sent and perhaps lost: the bytes that
/// go out, and the transaction id that they will have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// Our account's number (nonce) in it.
    pub number: u64,
    /// The transaction's id; `None` where a gateway signs and tells it later.
    pub tx: Option<TxId>,
    /// The bytes to submit.
    #[serde(with = "hex_bytes")]
    pub raw: Vec<u8>,
    /// The most that it can cost in fees, in the ledger's own coin.
    pub fee: Amount,
}

/// How final a transaction is. "I do not know" is a state of its own: a time-out is
/// neither failed nor done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finality {
    /// The ledger has never heard of it, or has forgotten it: send the same bytes again.
    Unknown,
    /// On its way: in a pool, or in a block that is not deep enough yet.
    Pending(Option<Inclusion>),
    /// Done, for good.
    Final(Evidence),
    /// Its number, or what it alone may spend, was used up, for good, by another transaction: it
    /// can never happen.
    Replaced,
    /// In a block, for good, without effect: it happened and did nothing.
    Reverted {
        /// The ledger's reason.
        why: String,
        /// Where.
        evidence: Evidence,
    },
}

/// Where a transaction stands while it is not yet final.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inclusion {
    /// Height of its block.
    pub height: u64,
    /// Hash of its block.
    pub block: String,
}

/// What the ledger says of a final transaction, read back from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The transaction.
    pub tx: TxId,
    /// Height of its block.
    pub height: u64,
    /// Hash of its block.
    pub block: String,
    /// Time of its block, in milliseconds since 1970 UTC.
    pub at_ms: u64,
    /// What it moved to the payee in a transfer, settle or close, as read back, in all rows of a
    /// batch; zero otherwise.
    pub amount: Amount,
    /// The fee paid, in the ledger's own coin: less the rebate, and never less than nothing.
    pub fee: Amount,
    /// What it had given back of deposits for what the ledger no longer keeps, in the ledger's own
    /// coin; zero on a ledger that takes no deposits.
    #[serde(default, skip_serializing_if = "Amount::is_zero")]
    pub rebate: Amount,
    /// What became of each row of a batch, in the batch's order; none otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<Row>,
}

impl Evidence {
    /// That a transaction stands at a height, in a block of a hash and a time (milliseconds since
    /// 1970 UTC): it moved nothing and cost nothing.
    pub fn new(tx: TxId, height: u64, block: impl Into<String>, at_ms: u64) -> Self {
        Evidence {
            tx,
            height,
            block: block.into(),
            at_ms,
            amount: Amount::ZERO,
            fee: Amount::ZERO,
            rebate: Amount::ZERO,
            rows: Vec::new(),
        }
    }
}

/// What became of one row of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The channel.
    pub channel: ChannelId,
    /// What it moved to the payee.
    pub amount: Amount,
    /// Why the row was passed over, as the same call alone would have been refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

mod hex_bytes {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("0x{}", hex::encode(bytes)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_prefix("0x").ok_or_else(|| de::Error::custom("expected 0x"))?;
        hex::decode(digits).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Journals hash what they wrote: what says nothing of a rebate is written again as it was.
    #[test]
    fn evidence_from_before_rebates_reads_as_none_and_is_written_as_it_was() {
        let old =
            r#"{"tx":"0x01","height":7,"block":"0xb7","at_ms":9,"amount":"18","fee":"1980400"}"#;
        let mut evidence: Evidence = serde_json::from_str(old).unwrap();
        assert_eq!(evidence.rebate, Amount::ZERO);
        assert_eq!(serde_json::to_string(&evidence).unwrap(), old);
        evidence.rebate = Amount::new(980_400);
        let new = serde_json::to_string(&evidence).unwrap();
        assert!(new.contains(r#""fee":"1980400","rebate":"980400""#), "{new}");
        assert_eq!(serde_json::from_str::<Evidence>(&new).unwrap(), evidence);
    }
}
