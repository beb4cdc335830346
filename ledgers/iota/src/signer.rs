//! Who signs: one secret of 32 bytes under one of two schemes, the address that the network
//! derives from it, and what a signature is worth. The secret never leaves this file.

use ed25519_dalek::Signer as _;
use iota_sdk_types::{
    Address, Ed25519PublicKey, Ed25519Signature, Secp256k1PublicKey, Secp256k1Signature,
    SimpleSignature, Transaction, UserSignature,
};
use k256::ecdsa::VerifyingKey;
use k256::ecdsa::signature::hazmat::PrehashVerifier;
use sdpp_ledger::{Digest, Key};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// How an account signs. The same 32 secret bytes are another account under each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Scheme {
    /// Ed25519: what wallets of this network use where nothing else is said.
    #[default]
    Ed25519,
    /// secp256k1, as on EVM ledgers.
    Secp256k1,
}

/// A key with its address. Wiped from memory when dropped; never printed.
pub(crate) struct Signer {
    secret: Secret,
    /// The account.
    pub address: Address,
}

enum Secret {
    Ed25519(Box<ed25519_dalek::SigningKey>),
    Secp256k1(Key),
}

impl Signer {
    /// The account of these secret bytes under a scheme.
    pub fn new(key: Key, scheme: Scheme) -> Self {
        match scheme {
            Scheme::Ed25519 => {
                let secret = Box::new(ed25519_dalek::SigningKey::from_bytes(&key.to_bytes()));
                let public = Ed25519PublicKey::new(secret.verifying_key().to_bytes());
                let address = public.derive_address();
                Signer { secret: Secret::Ed25519(secret), address }
            }
            Scheme::Secp256k1 => {
                let public = Secp256k1PublicKey::new(key.public().to_bytes());
                let address = public.derive_address();
                Signer { secret: Secret::Secp256k1(key), address }
            }
        }
    }

    /// Signs a transaction: deterministic.
    pub fn sign(&self, transaction: &Transaction) -> UserSignature {
        let message = transaction.signing_digest();
        let message: &[u8] = message.as_ref();
        let signature = match &self.secret {
            Secret::Ed25519(secret) => SimpleSignature::new_ed25519(
                Ed25519Signature::new(secret.sign(message).to_bytes()),
                Ed25519PublicKey::new(secret.verifying_key().to_bytes()),
            ),
            Secret::Secp256k1(key) => {
                let signed = key.sign(&Digest(Sha256::digest(message).into()));
                let mut halves = [0; 64];
                halves.copy_from_slice(&signed.0[..64]);
                SimpleSignature::new_secp256k1(
                    Secp256k1Signature::new(halves),
                    Secp256k1PublicKey::new(key.public().to_bytes()),
                )
            }
        };
        UserSignature::Simple(signature)
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer(of {})", self.address)
    }
}

/// Who made a signature over a transaction, by one of the two schemes; nobody where it is no
/// signature over it, or of another scheme.
pub(crate) fn signer_of(transaction: &Transaction, signature: &UserSignature) -> Option<Address> {
    let message = transaction.signing_digest();
    let message: &[u8] = message.as_ref();
    match signature {
        UserSignature::Simple(SimpleSignature::Ed25519 { signature, public_key }) => {
            let key = ed25519_dalek::VerifyingKey::from_bytes(public_key.bytes()).ok()?;
            let signature = ed25519_dalek::Signature::from_bytes(signature.bytes());
            key.verify_strict(message, &signature).ok()?;
            Some(public_key.derive_address())
        }
        UserSignature::Simple(SimpleSignature::Secp256k1 { signature, public_key }) => {
            let key = VerifyingKey::from_sec1_bytes(public_key.bytes()).ok()?;
            let signature = k256::ecdsa::Signature::from_slice(signature.bytes()).ok()?;
            // A high s is refused by this as well.
            key.verify_prehash(&Sha256::digest(message), &signature).ok()?;
            Some(public_key.derive_address())
        }
        _ => None,
    }
}
