//! `exit`: the end, said by either side and answered by the other's. The seller's is the buyer's
//! final receipt.

use crate::crypto::layout::MessageKind;
use crate::message::envelope::{Body, Facts};
use crate::message::invoice::Anchored;
use crate::message::strict::left_out;
use sdpp_ledger::{Amount, Digest};
use serde::{Deserialize, Serialize};
use std::fmt;

/// `data` of an `exit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// Why.
    pub reason: Reason,
    /// Items sent (seller) or opened (buyer).
    pub items: u64,
    /// What they cost.
    pub amount_total: Amount,
    /// What was paid for good, as far as this side knows.
    pub paid_total: Amount,
    /// What was anchored since the last message that told.
    pub anchored: Vec<Anchored>,
    /// Buyer: what becomes of the channel that paid. Left out, a session that ends complete closes
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<AfterExit>,
    /// What the legs before the one came to that `items` stands in: both totals above are that one's.
    #[serde(default, deserialize_with = "left_out", skip_serializing_if = "Vec::is_empty")]
    pub legs: Vec<ExitLeg>,
    /// Seller: the session is under a bond, and `paid_total` is a receipt by this message's layout too.
    #[serde(default, deserialize_with = "left_out", skip_serializing_if = "std::ops::Not::not")]
    pub bonded: bool,
}

/// What an earlier leg came to, in its currency's smallest unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitLeg {
    /// Its first item.
    pub from_seq: u64,
    /// What its items cost.
    pub amount_total: Amount,
    /// What of that was paid for good, as far as this side knows.
    pub paid_total: Amount,
}

impl Exit {
    /// What a leg came to by this, by its first item; `None` where this says nothing of it.
    pub fn leg(&self, from_seq: u64) -> Option<&ExitLeg> {
        self.legs.iter().find(|leg| leg.from_seq == from_seq)
    }
}

/// What becomes of a channel after the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterExit {
    /// It stays open for the next session.
    Keep,
}

impl Body for Exit {
    const KIND: MessageKind = MessageKind::Exit;

    fn facts(&self) -> Facts {
        let mut commitment = Digest::ZERO;
        if self.bonded {
            commitment.0[16..].copy_from_slice(&self.paid_total.units().to_be_bytes());
        }
        Facts { commitment, amount_total: self.amount_total, ..Facts::default() }
    }
}

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// All that was ordered was delivered.
    Complete,
    /// The source has no more items.
    SourceEnded,
    /// Somebody stopped this side.
    Stopped,
    /// The buyer's ceiling would be passed.
    Ceiling,
    /// The buyer wanted items only for so long, or the ledger does not make a payment final in
    /// the time that the seller gives it.
    TimeUp,
    /// The channel that pays is about to be closed by its payer.
    ChannelClosing,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Reason::Complete => "all that was ordered is delivered",
            Reason::SourceEnded => "the source has no more items",
            Reason::Stopped => "stopped",
            Reason::Ceiling => "the buyer's ceiling is reached",
            Reason::TimeUp => "the time is up",
            Reason::ChannelClosing => "the channel's payer asked to close it",
        })
    }
}
