//! `data` and `ack`: one item, and the buyer's word that items arrived.

use crate::crypto::layout::MessageKind;
use crate::message::envelope::{Body, Facts};
use crate::message::path::Path;
use crate::message::text::Base64;
use sdpp_ledger::{Amount, Digest, Signature};
use serde::{Deserialize, Serialize};

/// `data` of a `data` message: an item that does not end its window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// The item's place in the session, from 1.
    pub seq: u64,
    /// The sealed item.
    pub body: Base64,
    /// The item's salted digest.
    pub leaf: Digest,
    /// The item's way up to the root of its dataset; left out where the menu names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Path>,
}

impl Body for Data {
    const KIND: MessageKind = MessageKind::Data;

    fn facts(&self) -> Facts {
        Facts { number: self.seq, commitment: self.leaf, ..Facts::default() }
    }
}

/// `data` of an `ack`: all items up to `seq` arrived and were opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The last item that arrived.
    pub seq: u64,
    /// The running digest up to it.
    pub digest: Digest,
    /// What these items are worth, where acks are signed and the method is escrow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voucher: Option<Voucher>,
}

impl Body for Ack {
    const KIND: MessageKind = MessageKind::Ack;

    fn facts(&self) -> Facts {
        Facts { number: self.seq, commitment: self.digest, ..Facts::default() }
    }
}

/// A voucher on the order's channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voucher {
    /// What the payee may have in all out of the channel.
    pub cumulative_amount: Amount,
    /// EIP-712 signature of the channel's signer.
    pub signature: Signature,
}
