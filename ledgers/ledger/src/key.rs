//! secp256k1 keys and the 65-byte signatures that contracts check too.

use crate::bytes::{hex_text, parse_hex};
use crate::{Account, Digest, ParseBytesError, keccak};
use k256::ecdsa::signature::hazmat::PrehashVerifier;
use k256::ecdsa::{RecoveryId, Signature as Ecdsa, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// A secret signing key. Wiped from memory when dropped; never printed.
#[derive(Clone)]
pub struct Key(SigningKey);

/// What is wrong with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a number that can be a secret key.
    #[error("these 32 bytes are not a secp256k1 secret key")]
    Secret,
    /// Not a point on the curve in compressed form.
    #[error(
        "expected a secp256k1 public key: 0x and 66 lower-case hex digits (33 bytes, compressed)"
    )]
    Public,
}

impl Key {
    /// The key with these 32 secret bytes.
    ///
    /// # Errors
    /// [`KeyError::Secret`] for zero and for numbers beyond the curve's order.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        SigningKey::from_bytes(bytes.into()).map(Key).map_err(|_| KeyError::Secret)
    }

    /// The 32 secret bytes, for a keystore.
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.0.to_bytes().into())
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey(*self.0.verifying_key())
    }

    /// Signs a digest: deterministic (RFC 6979), low s.
    pub fn sign(&self, digest: &Digest) -> Signature {
        // The curve's only failure here needs a digest that makes r or s zero, which nobody can
        // find; k256 itself calls the probability negligible.
        #[allow(clippy::expect_used)]
        let (signature, recovery) =
            self.0.sign_prehash_recoverable(&digest.0).expect("r and s are not zero");
        let mut bytes = [0; 65];
        bytes[..64].copy_from_slice(&signature.to_bytes());
        bytes[64] = 27 + recovery.to_byte();
        Signature(bytes)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key(of {})", self.public())
    }
}

/// A public key: 33 bytes, compressed, as `0x` hex in text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads the 33 bytes of a compressed point.
    ///
    /// # Errors
    /// [`KeyError::Public`] for anything else.
    pub fn from_bytes(bytes: &[u8; 33]) -> Result<Self, KeyError> {
        VerifyingKey::from_sec1_bytes(bytes).map(PublicKey).map_err(|_| KeyError::Public)
    }

    /// The compressed point.
    pub fn to_bytes(&self) -> [u8; 33] {
        let mut bytes = [0; 33];
        bytes.copy_from_slice(self.0.to_encoded_point(true).as_bytes());
        bytes
    }

    /// The account that this key controls on EVM ledgers and on the embedded one: the last 20
    /// bytes of the Keccak-256 of the uncompressed point, `0x` and lower-case hex.
    pub fn account(&self) -> Account {
        let point = self.0.to_encoded_point(false);
        let digest = keccak(&[&point.as_bytes()[1..]]);
        let text = format!("0x{}", hex::encode(&digest.0[12..]));
        // 42 visible ASCII characters, made on the line above.
        #[allow(clippy::expect_used)]
        text.parse().expect("hex is visible ASCII")
    }

    /// Whether `signature` is this key's over `digest`. A high s is refused.
    pub fn verify(&self, digest: &Digest, signature: &Signature) -> bool {
        signature.split().is_some_and(|(ecdsa, _)| self.0.verify_prehash(&digest.0, &ecdsa).is_ok())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{}", hex::encode(self.to_bytes()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for PublicKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bytes = parse_hex::<33>(text).map_err(|_| KeyError::Public)?;
        PublicKey::from_bytes(&bytes)
    }
}

impl Serialize for PublicKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PublicKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// 65 bytes: r, s (low), and v (27 or 28), as `0x` hex in text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 65]);

hex_text!(Signature);

impl Signature {
    /// The account whose key made this signature over `digest`, or `None` when there is none,
    /// s is high or v is neither 27 nor 28. As a contract's `ecrecover` does it; where the key
    /// is known, [`PublicKey::verify`] takes a third of the time.
    pub fn recover(&self, digest: &Digest) -> Option<Account> {
        let (ecdsa, recovery) = self.split()?;
        let key = VerifyingKey::recover_from_prehash(&digest.0, &ecdsa, recovery).ok()?;
        Some(PublicKey(key).account())
    }

    /// The two halves, when s is low and v is one that is in use.
    fn split(&self) -> Option<(Ecdsa, RecoveryId)> {
        let ecdsa = Ecdsa::from_slice(&self.0[..64]).ok()?;
        let recovery = match self.0[64] {
            27 => RecoveryId::new(false, false),
            28 => RecoveryId::new(true, false),
            _ => return None,
        };
        ecdsa.normalize_s().is_none().then_some((ecdsa, recovery))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key::from_bytes(&[7; 32]).unwrap()
    }

    #[test]
    fn a_well_known_key_has_its_well_known_account() {
        // The first account of every Anvil and Hardhat node.
        let secret = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
        let key = Key::from_bytes(&parse_hex(secret).unwrap()).unwrap();
        let account = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
        assert_eq!(key.public().account().as_str(), account);
    }

    #[test]
    fn a_signature_verifies_and_recovers_for_its_digest_alone() {
        let (digest, other) = (keccak(&[b"a"]), keccak(&[b"b"]));
        let signature = key().sign(&digest);
        assert!(key().public().verify(&digest, &signature));
        assert!(!key().public().verify(&other, &signature));
        assert_eq!(signature.recover(&digest), Some(key().public().account()));
        assert_ne!(signature.recover(&other), Some(key().public().account()));
    }

    #[test]
    fn the_other_half_of_a_signature_is_refused() {
        let digest = keccak(&[b"a"]);
        let signature = key().sign(&digest);
        let ecdsa = Ecdsa::from_slice(&signature.0[..64]).unwrap();
        let high = Ecdsa::from_scalars(ecdsa.r(), -ecdsa.s()).unwrap();
        let mut malleated = signature;
        malleated.0[..64].copy_from_slice(&high.to_bytes());
        malleated.0[64] = 27 + 28 - signature.0[64];
        assert!(!key().public().verify(&digest, &malleated));
        assert_eq!(malleated.recover(&digest), None);
    }

    #[test]
    fn a_v_that_is_not_in_use_is_refused() {
        let digest = keccak(&[b"a"]);
        for v in [0, 1, 26, 29, 255] {
            let mut signature = key().sign(&digest);
            signature.0[64] = v;
            assert!(!key().public().verify(&digest, &signature), "v = {v} was taken");
        }
    }

    #[test]
    fn a_key_is_not_printed() {
        assert!(!format!("{:?}", key()).contains("0707"));
    }
}
