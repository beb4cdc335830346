//! Vouchers between us and others: what cast signed we sign to the same byte and recover, and what
//! we sign cast verifies.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use sdpp_ledger::{Account, Domain, Key, Signature, Voucher};
use serde::Deserialize;
use std::path::PathBuf;
use std::process::Command;

#[derive(Deserialize)]
struct Vectors {
    vouchers: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    /// Anybody's: keys that every test chain knows.
    private_key: String,
    signer: Account,
    signature: Signature,
    typed_data: serde_json::Value,
}

impl Vector {
    fn key(&self) -> Key {
        let mut bytes = [0; 32];
        hex::decode_to_slice(&self.private_key[2..], &mut bytes).unwrap();
        Key::from_bytes(&bytes).unwrap()
    }

    fn domain(&self) -> Domain {
        let domain = &self.typed_data["domain"];
        Domain {
            chain_id: domain["chainId"].as_u64().unwrap(),
            contract: text(&domain["verifyingContract"]).parse().unwrap(),
        }
    }

    fn voucher(&self) -> Voucher {
        let message = &self.typed_data["message"];
        Voucher {
            channel: text(&message["channelId"]).parse().unwrap(),
            amount: text(&message["cumulativeAmount"]).parse().unwrap(),
        }
    }
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap()
}

fn vectors() -> Vec<Vector> {
    let vectors: Vectors = serde_json::from_str(include_str!("data/vouchers.json")).unwrap();
    vectors.vouchers
}

#[test]
fn what_another_implementation_signed_is_what_we_sign() {
    for vector in vectors() {
        let (voucher, domain) = (vector.voucher(), vector.domain());
        assert_eq!(voucher.sign(&domain, &vector.key()), vector.signature, "{voucher:?}");
        let signer = vector.signature.recover(&voucher.digest(&domain));
        assert_eq!(signer, Some(vector.signer), "{voucher:?}");
    }
}

#[test]
fn both_ends_that_a_signature_can_have_are_among_them() {
    let ends: Vec<u8> = vectors().iter().map(|vector| vector.signature.0[64]).collect();
    assert!(ends.contains(&27) && ends.contains(&28), "{ends:?}");
}

#[test]
fn what_we_sign_another_implementation_verifies() {
    let Some(cast) = cast() else {
        assert!(std::env::var_os("CI").is_none(), "CI needs cast: npm ci in contracts/ethereum");
        eprintln!("SKIPPED: no cast here; `npm ci` in contracts/ethereum brings it");
        return;
    };
    for vector in vectors() {
        // Vouchers that nobody else has signed yet: each is for another amount.
        let mut typed_data = vector.typed_data.clone();
        let amount = vector.voucher().amount.units() / 2 + 7;
        typed_data["message"]["cumulativeAmount"] = amount.to_string().into();
        let ours = Vector { typed_data, ..vector };
        let signature = ours.voucher().sign(&ours.domain(), &ours.key());
        assert!(verifies(&cast, &ours, &signature), "{:?}", ours.voucher());
        let mut other = ours.typed_data.clone();
        other["message"]["cumulativeAmount"] = (amount + 1).to_string().into();
        let other = Vector { typed_data: other, ..ours };
        assert!(!verifies(&cast, &other, &signature), "{:?}", other.voucher());
    }
}

fn verifies(cast: &PathBuf, vector: &Vector, signature: &Signature) -> bool {
    let verify = Command::new(cast)
        .args(["wallet", "verify", "--address", vector.signer.as_str(), "--data"])
        .args([vector.typed_data.to_string(), signature.to_string()])
        .output();
    verify.unwrap().status.success()
}

/// The project's own cast, or else the one that is installed.
fn cast() -> Option<PathBuf> {
    let own =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../contracts/ethereum/node_modules/.bin/cast");
    let works = |cast: &PathBuf| Command::new(cast).arg("--version").output().is_ok();
    [own.into(), "cast".into()].into_iter().find(works)
}
