//! `session_key`: the key of an epoch, wrapped to the buyer. Signed by the seller.

use crate::crypto::Wrapped;
use crate::crypto::layout::MessageKind;
use crate::message::envelope::Body;
use crate::message::text::Hex;
use sdpp_ledger::PublicKey;
use serde::{Deserialize, Serialize};

/// `data` of a `session_key`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionKey {
    /// From 0, one more after each resume.
    pub epoch: u32,
    /// The seller's fresh key.
    pub ephemeral_key: PublicKey,
    /// AES-256-GCM's nonce.
    pub nonce: Hex<12>,
    /// The sealed 32-byte key.
    pub sealed: Hex<48>,
}

impl SessionKey {
    /// The message for a wrapped key.
    pub fn new(epoch: u32, wrapped: &Wrapped) -> Self {
        SessionKey {
            epoch,
            ephemeral_key: wrapped.ephemeral,
            nonce: Hex(wrapped.nonce),
            sealed: Hex(wrapped.sealed),
        }
    }

    /// The wrapped key in it.
    pub fn wrapped(&self) -> Wrapped {
        Wrapped { ephemeral: self.ephemeral_key, nonce: self.nonce.0, sealed: self.sealed.0 }
    }
}

impl Body for SessionKey {
    const KIND: MessageKind = MessageKind::SessionKey;
}
