//! Entries: records in their place in the chain.
//!
//! An entry is stored in two parts. Its *body* is its canonical form: JSON, hashed as it is and
//! never made again from the parsed value. Each body names the digest of the body before it; the
//! first names the genesis of whose journal it is. Its *payload*, where it has some, stands apart
//! and is bound by the digest that the body names it with: so payload can be pruned, and the chain
//! is the same after it.

use super::payload::Payload;
use crate::crypto::SaltSecret;
use crate::record::Record;
use crate::terms::SessionId;
use sdpp_ledger::{Digest, PublicKey, Reference, keccak};
use serde::{Deserialize, Serialize};

/// A record in its place in the chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its place: 1 for the first, then one more for each.
    pub seq: u64,
    /// When it was appended, in milliseconds since 1970 UTC. Never less than the entry before: a
    /// clock that was set back does not show here.
    pub at_ms: u64,
    /// The session that it belongs to.
    pub session: Option<SessionId>,
    /// The digest of the entry before; [`genesis`] in the first.
    pub prev: Digest,
    /// The fact.
    pub record: Record,
    /// Keccak-256 of the payload that was pruned from it: raw `data` and leaves that it was
    /// written with, and that its record does not have any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lacks: Option<Digest>,
}

/// An entry as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    /// JSON of the entry without its payload: what is hashed.
    pub(super) body: Vec<u8>,
    /// Its payload's bytes, where it has some.
    pub(super) payload: Option<Vec<u8>>,
}

impl Entry {
    /// The bytes that are stored. The body is the entry as it will be once it is pruned.
    pub(super) fn encode(mut self) -> Result<Stored, serde_json::Error> {
        let payload = Payload::take(&mut self.record).map(|payload| payload.to_bytes());
        self.lacks = payload.as_ref().map(|bytes| keccak(&[bytes])).or(self.lacks);
        Ok(Stored { body: serde_json::to_vec(&self)?, payload })
    }

    /// Reads a stored body: the entry without its payload.
    pub(super) fn decode(body: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(body)
    }

    /// The same entry with its payload, as far as that is still stored.
    ///
    /// # Errors
    /// What is wrong with it, where it is not the one that the entry was written with.
    pub(super) fn complete(mut self, payload: Option<&[u8]>) -> Result<Self, &'static str> {
        let Some(bytes) = payload else { return Ok(self) };
        if self.lacks.take() != Some(keccak(&[bytes])) {
            return Err("has another payload than it was written with");
        }
        let payload = Payload::read(bytes).ok_or("has a payload that cannot be read")?;
        payload.put_back(&mut self.record).ok_or("has the payload of another record")?;
        Ok(self)
    }

    /// Whether this very record would stand here, pruned or not.
    pub(super) fn holds(&self, record: Record) -> Result<bool, serde_json::Error> {
        let other = Entry { record, lacks: None, ..self.clone() };
        let (this, other) = (self.clone().encode()?, other.encode()?);
        Ok(this.body == other.body)
    }

    /// The same entry for somebody who must not know its secrets: a salt secret reads as zeros.
    pub fn redacted(mut self) -> Self {
        if let Record::Epoch { salt_secret, .. } = &mut self.record {
            *salt_secret = SaltSecret(Digest::ZERO);
        }
        self
    }
}

/// The digest of an entry: that of its stored body.
pub fn digest(body: &[u8]) -> Digest {
    keccak(&[body])
}

/// What stands before the first entry: `keccak("SDPP/1 journal" || identity (33 bytes))`.
pub fn genesis(identity: &PublicKey) -> Digest {
    keccak(&[b"SDPP/1 journal", &identity.to_bytes()])
}

/// The last entry of the chain; seq 0 and the genesis when there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its seq.
    pub seq: u64,
    /// Its digest.
    pub digest: Digest,
    /// Its time, in milliseconds since 1970 UTC.
    pub at_ms: u64,
}

impl Head {
    /// The reference that a head stands under when it is anchored as a leaf beside records:
    /// `keccak("SDPP/1 head" || identity (33 bytes) || seq (u64))`.
    pub fn reference(&self, identity: &PublicKey) -> Reference {
        let parts: [&[u8]; 3] = [b"SDPP/1 head", &identity.to_bytes(), &self.seq.to_be_bytes()];
        Reference(keccak(&parts).0)
    }
}

/// What is wrong with a chain, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("entry {seq}: {what}")]
pub struct Broken {
    /// The first entry that is not as it must be.
    pub seq: u64,
    /// What is wrong with it.
    pub what: String,
}
