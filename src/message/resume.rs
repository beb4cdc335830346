//! What both sides say when a session goes on over another connection: the buyer in its `hello`, the
//! seller in the `session_key` that answers it.

use crate::message::data::Voucher;
use crate::terms::SessionId;
use sdpp_ledger::{Amount, Digest, PublicKey};
use serde::{Deserialize, Serialize};

/// `resume` of a `hello`: which session is to go on, and what the buyer has of it. A hello that has it
/// is signed by the session's buyer, under the session's id and over this connection's challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resume {
    /// The session.
    pub session: SessionId,
    /// That of the menu of this connection: the hello is good on no other.
    pub challenge: Digest,
    /// The last item that was opened; 0 before the first.
    pub received: u64,
    /// The last item that was acknowledged; 0 before the first.
    pub acked: u64,
    /// How many papers of the seller's were taken: invoices, amends, exits.
    pub heard: u64,
    /// Fresh: what the key of the next epoch is wrapped to.
    pub public_key_encryption: PublicKey,
}

/// `resumed` of a `session_key`: what the seller has of a session that goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// The first item that has not left yet: those before it that the buyer lacks come again.
    pub next_seq: u64,
    /// The last item whose ack was heard; 0 before the first.
    pub acked: u64,
    /// How many papers of the buyer's were taken: payments, amends, exits.
    pub heard: u64,
    /// What was paid for good, or vouched, of the leg that the last item stands in.
    pub paid_total: Amount,
    /// The best voucher on that leg's channel in this session; left out where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voucher: Option<Voucher>,
}
