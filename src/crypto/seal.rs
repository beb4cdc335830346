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

/// The most epochs of one session: whoever's line breaks more often begins another.
pub const EPOCHS_MAX: u32 = 1_000;

impl Keys {
    /// The keys of a session's first epoch, derived by HKDF-SHA256 (RFC 5869) with the session's id as
    /// salt.
    pub fn first(session_key: &Zeroizing<[u8; 32]>, session: SessionId) -> Keys {
        let hkdf = extract(session_key, session);
        let salt_secret = SaltSecret(Digest(*expand(&hkdf, "salt", Role::Seller, 0)));
        Keys::derive(&hkdf, session, 0, salt_secret)
    }

    /// Those of a later epoch, from a key of its own. The salts of leaves stay what they are in the
    /// first: an item has one leaf, whenever it leaves.
    pub fn next(
        session_key: &Zeroizing<[u8; 32]>,
        session: SessionId,
        epoch: u32,
        salt_secret: SaltSecret,
    ) -> Keys {
        Keys::derive(&extract(session_key, session), session, epoch, salt_secret)
    }

    fn derive(
        hkdf: &Hkdf<Sha256>,
        session: SessionId,
        epoch: u32,
        salt_secret: SaltSecret,
    ) -> Keys {
        let lane = |from: Role| Lane {
            cipher: Aes256Gcm::new((&*expand(hkdf, "item", from, epoch)).into()),
            mac: MacKey(expand(hkdf, "mac", from, epoch)),
            session,
            epoch,
        };
        Keys { lanes: [lane(Role::Seller), lane(Role::Buyer)], salt_secret }
    }

    /// What one side sends with.
    pub fn from(&self, role: Role) -> &Lane {
        &self.lanes[role as usize]
    }

    /// What the salts of this session are made from, in all its epochs.
    pub fn salt_secret(&self) -> &SaltSecret {
        &self.salt_secret
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys(kept secret)")
    }
}

fn extract(session_key: &Zeroizing<[u8; 32]>, session: SessionId) -> Hkdf<Sha256> {
    Hkdf::<Sha256>::new(Some(&session.0.0), session_key.as_slice())
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

    const SESSION: SessionId = SessionId(Digest([1; 32]));

    fn keys(epoch: u32) -> Keys {
        let key = Zeroizing::new([9; 32]);
        let first = Keys::first(&key, SESSION);
        match epoch {
            0 => first,
            _ => Keys::next(&key, SESSION, epoch, first.salt_secret().clone()),
        }
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
    fn salts_stay_what_they_are_in_every_epoch_and_keys_do_not() {
        let (first, key) = (keys(0), Zeroizing::new([8; 32]));
        let next = Keys::next(&key, SESSION, 1, first.salt_secret().clone());
        assert_eq!(next.salt_secret(), first.salt_secret());
        let body = first.from(Role::Seller).seal(MessageKind::Data, 7, b"21.3").unwrap();
        assert!(next.from(Role::Seller).open(MessageKind::Data, 7, &body).is_err());
        let again = next.from(Role::Seller).seal(MessageKind::Data, 7, b"21.3").unwrap();
        assert_ne!(again, body, "no nonce meets a key twice");
    }

    #[test]
    fn keys_are_not_printed() {
        assert_eq!(format!("{:?}", keys(0)), "Keys(kept secret)");
    }
}
