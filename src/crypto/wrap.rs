//! Wrapping the session's key to the buyer: ECIES over secp256k1. Both keys in it are fresh for
//! each session (and epoch), so a long-term key that leaks later opens no past session.

use crate::terms::SessionId;
use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use hkdf::Hkdf;
use k256::ecdh::diffie_hellman;
use sdpp_ledger::{Key, PublicKey};
use sha2::Sha256;
use zeroize::Zeroizing;

/// A wrapped session key, as it travels in `session_key`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapped {
    /// The seller's fresh public key.
    pub ephemeral: PublicKey,
    /// AES-256-GCM's nonce.
    pub nonce: [u8; 12],
    /// The 32-byte key and its 16-byte tag.
    pub sealed: [u8; 48],
}

/// What could not be unwrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session's key does not unwrap: it was wrapped to another key or for another session")]
pub struct WrapError;

/// Wraps `session_key` to the buyer's fresh key `to`, with a fresh `ephemeral` key and `nonce`.
///
/// # Errors
/// [`WrapError`] when `ephemeral` or `to` is not usable.
pub fn wrap(
    session_key: &Zeroizing<[u8; 32]>,
    to: &PublicKey,
    ephemeral: &Key,
    nonce: [u8; 12],
    session: SessionId,
) -> Result<Wrapped, WrapError> {
    let cipher = shared_cipher(ephemeral, to, &ephemeral.public(), to, session)?;
    let sealed = cipher
        .encrypt(&Nonce::from(nonce), session_key.as_slice())
        .map_err(|_| WrapError)?
        .try_into()
        .map_err(|_| WrapError)?;
    Ok(Wrapped { ephemeral: ephemeral.public(), nonce, sealed })
}

/// Unwraps what [`wrap`] made, with the secret half of the key it was wrapped to.
///
/// # Errors
/// [`WrapError`] for anything else.
pub fn unwrap_key(
    wrapped: &Wrapped,
    secret: &Key,
    session: SessionId,
) -> Result<Zeroizing<[u8; 32]>, WrapError> {
    let theirs = &wrapped.ephemeral;
    let cipher = shared_cipher(secret, theirs, theirs, &secret.public(), session)?;
    let opened = cipher
        .decrypt(&Nonce::from(wrapped.nonce), wrapped.sealed.as_slice())
        .map(Zeroizing::new)
        .map_err(|_| WrapError)?;
    let key: [u8; 32] = opened.as_slice().try_into().map_err(|_| WrapError)?;
    Ok(Zeroizing::new(key))
}

/// The cipher under HKDF-SHA256 of the shared point, over both public keys and the session.
fn shared_cipher(
    ours: &Key,
    theirs: &PublicKey,
    ephemeral: &PublicKey,
    to: &PublicKey,
    session: SessionId,
) -> Result<Aes256Gcm, WrapError> {
    let secret = k256::SecretKey::from_slice(&*ours.to_bytes()).map_err(|_| WrapError)?;
    let point = k256::PublicKey::from_sec1_bytes(&theirs.to_bytes()).map_err(|_| WrapError)?;
    let shared = diffie_hellman(secret.to_nonzero_scalar(), point.as_affine());
    let hkdf = Hkdf::<Sha256>::new(Some(&session.0.0), shared.raw_secret_bytes());
    let info = [b"SDPP/1 wrap".as_slice(), &ephemeral.to_bytes(), &to.to_bytes()].concat();
    let mut key = Zeroizing::new([0; 32]);
    hkdf.expand(&info, key.as_mut_slice()).map_err(|_| WrapError)?;
    Ok(Aes256Gcm::new((&*key).into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sdpp_ledger::Digest;

    #[test]
    fn a_key_unwraps_for_its_buyer_and_session_alone() {
        let key = |byte| Key::from_bytes(&[byte; 32]).unwrap();
        let (session, other) = (SessionId(Digest([1; 32])), SessionId(Digest([2; 32])));
        let secret = Zeroizing::new([5; 32]);
        let wrapped = wrap(&secret, &key(3).public(), &key(4), [0; 12], session).unwrap();
        assert_eq!(unwrap_key(&wrapped, &key(3), session), Ok(secret));
        assert_eq!(unwrap_key(&wrapped, &key(6), session), Err(WrapError));
        assert_eq!(unwrap_key(&wrapped, &key(3), other), Err(WrapError));
    }
}
