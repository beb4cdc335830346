//! The fixed layout under each signature, so that a contract can check it without parsing JSON.

use crate::terms::SessionId;
use sdpp_ledger::{Amount, Digest, keccak};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Which message. The number is the layout's type byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// Asks for the menu, or to resume.
    Hello = 1,
    /// What is sold.
    Menu = 2,
    /// What is bought.
    Order = 3,
    /// The session's key, wrapped to the buyer.
    SessionKey = 4,
    /// One item.
    Data = 5,
    /// Items arrived.
    Ack = 6,
    /// The last item of a window, and the demand for it.
    DataInvoice = 7,
    /// A window is paid.
    PaymentAck = 8,
    /// A change inside a session.
    Amend = 9,
    /// The end.
    Exit = 10,
    /// What went wrong; never signed.
    Error = 11,
}

impl fmt::Display for MessageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// What is signed with each message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The session, or [`SessionId::NONE`] before there is one.
    pub session: SessionId,
    /// The message's type.
    pub kind: MessageKind,
    /// Seq for data and ack, invoice number for data_invoice and payment_ack, else 0.
    pub number: u64,
    /// Leaf of an item, digest of an ack, root of an invoice, else zero.
    pub commitment: Digest,
    /// The total amount where money is asked or given, else zero.
    pub amount_total: Amount,
    /// Keccak-256 of the raw bytes of `data` as sent.
    pub data: Digest,
    /// Keccak-256 of `verification`.
    pub verification: Digest,
}

impl Layout {
    /// The length of the layout in bytes.
    pub const LENGTH: usize = 8 + 32 + 1 + 8 + 32 + 16 + 32 + 32;

    /// The bytes, in order:
    /// `"\x19SDPP/1\n" || session || type (1) || number (u64) || commitment || amount_total (u128)
    /// || keccak(data) || keccak(verification)`, integers big-endian.
    pub fn to_bytes(&self) -> [u8; Self::LENGTH] {
        let parts: [&[u8]; 8] = [
            b"\x19SDPP/1\n",
            &self.session.0.0,
            &[self.kind as u8],
            &self.number.to_be_bytes(),
            &self.commitment.0,
            &self.amount_total.units().to_be_bytes(),
            &self.data.0,
            &self.verification.0,
        ];
        let mut bytes = [0; Self::LENGTH];
        let mut at = 0;
        for part in parts {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        bytes
    }

    /// What a signature is made over.
    pub fn digest(&self) -> Digest {
        keccak(&[&self.to_bytes()])
    }
}
