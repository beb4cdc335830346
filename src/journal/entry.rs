//! Entries: records in their place in the chain.
//!
//! An entry's stored bytes are its canonical form: they are hashed as they are and never made
//! again from the parsed value. Each entry names the digest of the one before it; the first names
//! the genesis of whose journal it is.

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
}

impl Entry {
    /// The bytes that are stored and hashed. JSON.
    pub(super) fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }

    /// Reads stored bytes.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// The same entry for somebody who must not know its secrets: a salt secret reads as zeros.
    pub fn redacted(mut self) -> Self {
        if let Record::Epoch { salt_secret, .. } = &mut self.record {
            *salt_secret = SaltSecret(Digest::ZERO);
        }
        self
    }
}

/// The digest of an entry's stored bytes.
pub fn digest(bytes: &[u8]) -> Digest {
    keccak(&[bytes])
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

/// Checks a chain, one entry after the other.
#[derive(Debug)]
pub(super) struct Walk {
    head: Head,
}

impl Walk {
    pub(super) fn new(identity: &PublicKey) -> Self {
        let digest = genesis(identity);
        Walk { head: Head { seq: 0, digest, at_ms: 0 } }
    }

    /// Takes the next entry as stored: the seq of its key, and its bytes.
    pub(super) fn step(&mut self, key_seq: u64, bytes: &[u8]) -> Result<(), Broken> {
        let seq = self.head.seq + 1;
        let broken = |what: String| Err(Broken { seq, what });
        if key_seq != seq {
            return broken(format!("is missing; the next one there is {key_seq}"));
        }
        let entry = match Entry::decode(bytes) {
            Ok(entry) => entry,
            // Where, and no more: what stands there may be a secret.
            Err(e) => return broken(format!("cannot be read at {}:{}", e.line(), e.column())),
        };
        if entry.seq != seq {
            return broken(format!("says that it is entry {}", entry.seq));
        }
        if entry.prev != self.head.digest {
            return broken("does not follow from the entry before it".to_owned());
        }
        if entry.at_ms < self.head.at_ms {
            return broken("is older than the entry before it".to_owned());
        }
        self.head = Head { seq, digest: digest(bytes), at_ms: entry.at_ms };
        Ok(())
    }

    /// Ends the walk: `head` is what the journal says its last entry is.
    pub(super) fn end(self, head: Head) -> Result<Head, Broken> {
        if self.head == head {
            return Ok(head);
        }
        Err(Broken {
            seq: self.head.seq + 1,
            what: format!("is missing; the journal's head is entry {}", head.seq),
        })
    }
}
