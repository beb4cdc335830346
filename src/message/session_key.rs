//! `session_key`: the key of an epoch, wrapped to the buyer. Signed by the seller.

use crate::crypto::Wrapped;
use crate::crypto::layout::MessageKind;
use crate::message::envelope::{Body, Facts};
use crate::message::resume::Resumed;
use crate::message::text::Hex;
use crate::terms::{BondTerms, Terms};
use sdpp_ledger::{Digest, PublicKey};
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
    /// Where the session goes on from; left out in epoch 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed: Option<Resumed>,
    /// What the order commits to, where the session is under a bond: the seller's word for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bond: Option<Digest>,
}

impl SessionKey {
    /// The message for the wrapped key of a session that begins.
    pub fn first(wrapped: &Wrapped) -> Self {
        SessionKey::new(0, wrapped, None)
    }

    /// The message for the wrapped key of a session that goes on.
    pub fn next(epoch: u32, wrapped: &Wrapped, resumed: Resumed) -> Self {
        SessionKey::new(epoch, wrapped, Some(resumed))
    }

    fn new(epoch: u32, wrapped: &Wrapped, resumed: Option<Resumed>) -> Self {
        SessionKey {
            epoch,
            ephemeral_key: wrapped.ephemeral,
            nonce: Hex(wrapped.nonce),
            sealed: Hex(wrapped.sealed),
            resumed,
            bond: None,
        }
    }

    /// The same under a bond, where there is one.
    #[must_use]
    pub fn under(self, terms: &Terms) -> Self {
        SessionKey { bond: BondTerms::of(terms).map(|terms| terms.digest()), ..self }
    }

    /// The wrapped key in it.
    pub fn wrapped(&self) -> Wrapped {
        Wrapped { ephemeral: self.ephemeral_key, nonce: self.nonce.0, sealed: self.sealed.0 }
    }
}

impl Body for SessionKey {
    const KIND: MessageKind = MessageKind::SessionKey;

    fn facts(&self) -> Facts {
        Facts { commitment: self.bond.unwrap_or_default(), ..Facts::default() }
    }
}
