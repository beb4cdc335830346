//! Sealing items with AES-256-GCM and authenticating messages with HMAC-SHA256, under keys that
//! one epoch of one session has for each direction.

use crate::crypto::layout::{Layout, MessageKind};
use crate::crypto::leaf::SaltSecret;
use crate::terms::{Role, SessionId};
use aes_gcm::aead::{Aead, KeyInit, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sdpp_ledger::Digest;
use sha2::Sha256;
use std::fmt;
use zeroize::Zeroizing;

/// What could not be sealed or opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Longer than the cipher takes.
    #[error("an item is too long to be sealed")]
    TooLong,
    /// Not sealed under this key, seq, session and epoch, or changed on the way.
    #[error("a sealed item does not open: it was changed, or sealed under another key or seq")]
    DoesNotOpen,
}

/// The keys of one epoch of one session, derived from the session's key. Not printed.
pub struct Keys {
    lanes: [Lane; 2],
    salt_secret: SaltSecret,
}

impl Keys {
    /// Derives all keys by HKDF-SHA256 (RFC 5869) with the session's id as salt.
    pub fn derive(session_key: &Zeroizing<[u8; 32]>, session: SessionId, epoch: u32) -> Keys {
        let hkdf = Hkdf::<Sha256>::new(Some(&session.0.0), session_key.as_slice());
        let lane = |from: Role| Lane {
            cipher: Aes256Gcm::new((&*expand(&hkdf, "item", from, epoch)).into()),
            mac: MacKey(expand(&hkdf, "mac", from, epoch)),
            session,
            epoch,
        };
        // Salts must stay what they are over all epochs: they come from the first one's key.
        let salt_secret = SaltSecret(Digest(*expand(&hkdf, "salt", Role::Seller, 0)));
        Keys { lanes: [lane(Role::Seller), lane(Role::Buyer)], salt_secret }
    }

    /// What one side sends with.
    pub fn from(&self, role: Role) -> &Lane {
        &self.lanes[role as usize]
    }

    /// What the salts of this session are made from, if this is its first epoch.
    pub fn salt_secret(&self) -> &SaltSecret {
        &self.salt_secret
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(kept secret)")
    }
}

fn expand(hkdf: &Hkdf<Sha256>, purpose: &str, from: Role, epoch: u32) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    let info = format!("SDPP/1 {purpose} from {from} in epoch {epoch}");
    // HKDF-SHA256 fails only beyond 8,160 bytes of output; this is 32.
    #[allow(clippy::expect_used)]
    hkdf.expand(info.as_bytes(), key.as_mut_slice()).expect("32 bytes are few enough");
    key
}

/// One direction in one epoch.
pub struct Lane {
    cipher: Aes256Gcm,
    mac: MacKey,
    session: SessionId,
    epoch: u32,
}

impl Lane {
    /// Seals an item under its seq, which is the nonce: each seq is sealed once in an epoch.
    ///
    /// # Errors
    /// [`SealError::TooLong`] beyond 64 GiB.
    pub fn seal(&self, kind: MessageKind, seq: u64, item: &[u8]) -> Result<Vec<u8>, SealError> {
        let aad = self.associated(kind, seq);
        self.cipher
            .encrypt(&nonce(seq), Payload { msg: item, aad: &aad })
            .map_err(|_| SealError::TooLong)
    }

    /// Opens what [`Lane::seal`] made.
    ///
    /// # Errors
    /// [`SealError::DoesNotOpen`] for anything else.
    pub fn open(&self, kind: MessageKind, seq: u64, body: &[u8]) -> Result<Vec<u8>, SealError> {
        let aad = self.associated(kind, seq);
        self.cipher
            .decrypt(&nonce(seq), Payload { msg: body, aad: &aad })
            .map_err(|_| SealError::DoesNotOpen)
    }

    /// The key that authenticates messages in this direction.
    pub fn mac(&self) -> &MacKey {
        &self.mac
    }

    /// session (32) || epoch (u32) || type (1) || seq (u64), big-endian.
    fn associated(&self, kind: MessageKind, seq: u64) -> [u8; 45] {
        let mut aad = [0; 45];
        aad[..32].copy_from_slice(&self.session.0.0);
        aad[32..36].copy_from_slice(&self.epoch.to_be_bytes());
        aad[36] = kind as u8;
        aad[37..].copy_from_slice(&seq.to_be_bytes());
        aad
    }
}

/// 32 zero bits, then the seq as u64, big-endian.
fn nonce(seq: u64) -> Nonce<aes_gcm::aead::consts::U12> {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&seq.to_be_bytes());
    nonce.into()
}

/// Authenticates messages where the menu asks for no signature on them.
pub struct MacKey(Zeroizing<[u8; 32]>);

impl MacKey {
    /// HMAC-SHA256 over the signed layout's bytes.
    pub fn tag(&self, layout: &Layout) -> [u8; 32] {
        self.over(layout).finalize().into_bytes().into()
    }

    /// Whether a tag is this key's over the layout; takes the same time for every wrong one.
    pub fn verify(&self, layout: &Layout, tag: &[u8; 32]) -> bool {
        self.over(layout).verify_slice(tag).is_ok()
    }

    fn over(&self, layout: &Layout) -> Hmac<Sha256> {
        // HMAC takes keys of any length.
        #[allow(clippy::expect_used)]
        let mut hmac =
            <Hmac<Sha256> as Mac>::new_from_slice(self.0.as_slice()).expect("any length will do");
        hmac.update(&layout.to_bytes());
        hmac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(epoch: u32) -> Keys {
        Keys::derive(&Zeroizing::new([9; 32]), SessionId(Digest([1; 32])), epoch)
    }

    #[test]
    fn an_item_opens_only_in_its_place() {
        let keys_0 = keys(0);
        let lane = keys_0.from(Role::Seller);
        let body = lane.seal(MessageKind::Data, 7, b"21.3").unwrap();
        assert_eq!(lane.open(MessageKind::Data, 7, &body).unwrap(), b"21.3");
        assert!(lane.open(MessageKind::Data, 8, &body).is_err());
        assert!(lane.open(MessageKind::DataInvoice, 7, &body).is_err());
        assert!(keys_0.from(Role::Buyer).open(MessageKind::Data, 7, &body).is_err());
        assert!(keys(1).from(Role::Seller).open(MessageKind::Data, 7, &body).is_err());
        let mut changed = body.clone();
        changed[0] ^= 1;
        assert!(lane.open(MessageKind::Data, 7, &changed).is_err());
    }

    #[test]
    fn keys_are_not_printed() {
        assert_eq!(format!("{:?}", keys(0)), "Keys(kept secret)");
    }
}
