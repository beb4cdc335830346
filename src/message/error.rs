//! `error`: what went wrong, sent before closing. Never signed: it decides nothing by itself.

use crate::crypto::layout::MessageKind;
use crate::message::data::Voucher;
use crate::message::envelope::{Body, Draft};
use crate::terms::SessionId;
use serde::{Deserialize, Serialize};
use std::fmt;

/// `data` of an `error`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorMessage {
    /// For programs.
    pub code: Code,
    /// For people.
    pub message: String,
    /// With `channel`: the voucher of the receiver's own that shows why its base is too low.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub voucher: Option<Voucher>,
}

impl Body for ErrorMessage {
    const KIND: MessageKind = MessageKind::Error;
}

impl ErrorMessage {
    /// The frame to send.
    pub fn frame(&self) -> Vec<u8> {
        Draft::new(SessionId::NONE, self).bare()
    }
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Too much to do just now: try again later.
    Busy,
    /// A frame is not JSON, or not of the right shape.
    Malformed,
    /// A frame is longer than allowed.
    FrameTooLong,
    /// A message that has no place in this state of the session.
    Unexpected,
    /// A signature or MAC is not good.
    BadSignature,
    /// No version or encoding in common.
    Version,
    /// The menu of this order has expired, or is not this connection's.
    MenuExpired,
    /// No such topic.
    UnknownTopic,
    /// No such currency or method.
    UnknownCurrency,
    /// More was ordered than there is, or nothing.
    Quantity,
    /// The order is refused for another reason, which the message names.
    OrderRefused,
    /// The channel serves another session just now.
    ChannelBusy,
    /// The channel is not there, not ours, or holds too little.
    Channel,
    /// No more may be out on credit in this currency just now.
    Credit,
    /// A seq, leaf, digest or root does not fit what was delivered.
    BadItem,
    /// An invoice does not fit the terms or the items.
    BadInvoice,
    /// A payment is short, pays somebody else, or was used before.
    BadPayment,
    /// A change inside the session does not fit it.
    BadAmend,
    /// The session that is to go on is over, or was never here.
    NoSuchSession,
    /// Nothing came for longer than this side waits.
    TimedOut,
    /// This side cannot go on, by its own fault.
    Internal,
    /// A code of a later version.
    #[serde(other)]
    Other,
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}
