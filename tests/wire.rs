//! The wire, byte for byte: what `tests/vectors` holds is what a second implementation must make
//! and take. `SDPP_WRITE_VECTORS=1 cargo test --test wire` writes them anew.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "session/pair.rs"]
#[allow(dead_code)]
mod pair;

use pair::*;
use proptest::prelude::*;
use sdpp::crypto::SaltSecret;
use sdpp::crypto::layout::{Layout, MessageKind};
use sdpp::crypto::{leaf, running_digest, salt};
use sdpp::message::{Ack, Body, Data, DataInvoice, Draft, Envelope, Hello, Menu, Order, reread};
use sdpp::record::Record;
use sdpp::session::Output;
use sdpp::terms::{Purpose, SessionId};
use sdpp_ledger::{Amount, Digest, Key, keccak};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Compares with the file, or writes it where that was asked for.
fn is_vector(name: &str, made: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name);
    if std::env::var_os("SDPP_WRITE_VECTORS").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    for (at, (made, kept)) in made.lines().zip(kept.lines()).enumerate() {
        assert_eq!(made, kept, "{name}, line {}", at + 1);
    }
    assert_eq!(made.len(), kept.len(), "{name} has another length");
}

/// Every line of a session in the order sent, with who sent it.
fn lines(setting: Setting) -> String {
    let mut pair = setting.start();
    pair.run();
    let mut text = String::new();
    for (who, side) in [("seller", &pair.s), ("buyer", &pair.b)] {
        for output in &side.log {
            if let Output::Send(bytes) = output {
                for line in String::from_utf8_lossy(bytes).lines() {
                    text.push_str(&format!("{who} {line}\n"));
                }
            }
        }
    }
    text
}

#[test]
fn the_papers_run_is_the_same_bytes_each_time() {
    is_vector("papers-run.txt", &lines(Setting::default()));
    is_vector("under-mac.txt", &lines(Setting::default().under_mac().anchored_after()));
    is_vector("by-escrow.txt", &lines(Setting::default().by_escrow().no_records()));
}

#[test]
fn digests_and_layouts_are_these() {
    let session = SessionId::of(&keccak(&[b"menu"]), &keccak(&[b"order"]));
    let secret = SaltSecret(Digest([7; 32]));
    let leaves: Vec<Digest> =
        (1..=3).map(|seq| leaf(&session, seq, &salt(&secret, seq), &item(seq))).collect();
    let digest = leaves.iter().fold(session.0, |digest, leaf| running_digest(&digest, leaf));
    let layout = Layout {
        session,
        kind: MessageKind::DataInvoice,
        number: 2,
        commitment: sdpp_ledger::merkle::root(&leaves),
        amount_total: Amount::new(9),
        data: keccak(&[b"data"]),
        verification: keccak(&[b""]),
    };
    let signature = key(1).sign(&layout.digest());
    let vectors = json!({
        "session": session,
        "reference_payment_2": session.reference(Purpose::Payment, 2),
        "salt_secret": secret,
        "salt_1": salt(&secret, 1),
        "items": (1..=3).map(|seq| String::from_utf8(item(seq)).unwrap()).collect::<Vec<_>>(),
        "leaves": leaves,
        "digest": digest,
        "root": layout.commitment,
        "layout": format!("0x{}", hex::encode(layout.to_bytes())),
        "layout_digest": layout.digest(),
        "signed_by": key(1).public(),
        "signature": signature,
    });
    is_vector("digests.json", &(serde_json::to_string_pretty(&vectors).unwrap() + "\n"));
}

/// What the seller's journal keeps is what it signed, and proves it to anybody.
#[test]
fn what_was_kept_proves_what_was_said() {
    let mut pair = Setting::default().start();
    pair.run();
    let mut seen = 0;
    for record in pair.s.records.iter().chain(&pair.b.records) {
        if let Record::Invoice { message, to_seq, .. } = record {
            assert!(message.is_by(&key(1).public()));
            assert!(!message.is_by(&key(2).public()));
            assert_eq!(reread::<DataInvoice>(message).unwrap().invoice.to, *to_seq);
            let mut changed = message.clone();
            changed.data = changed.data.map(|data| data.replace("12", "11"));
            assert!(!changed.is_by(&key(1).public()));
            seen += 1;
        }
    }
    assert_eq!(seen, 4, "two invoices in each journal");
}

#[test]
fn unknown_keys_in_data_are_ignored_and_missing_ones_are_named() {
    let read = |data: Value| {
        let line = json!({
            "message_type": "ack", "data": data, "signature": "", "verification": ""
        });
        let line = line.to_string();
        Envelope::parse(line.as_bytes()).unwrap().unproven::<Ack>().map_err(|e| e.to_string())
    };
    let digest = Digest::ZERO;
    assert!(read(json!({"seq": 1, "digest": digest, "later": {"a": 1}})).is_ok());
    assert!(read(json!({"seq": 1})).unwrap_err().contains("missing field `digest`"));
    assert!(read(json!({"seq": "1", "digest": digest})).unwrap_err().contains("expected u64"));
    assert!(read(json!({"seq": -1, "digest": digest})).unwrap_err().contains("expected u64"));
    assert!(read(json!({"seq": 1.5, "digest": digest})).is_err());
}

proptest! {
    #[test]
    fn no_bytes_break_the_envelope(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = Envelope::parse(&bytes);
    }

    #[test]
    fn no_json_breaks_a_body(text in "[\\[\\]{}:,\"a-z0-9.eE+-]{0,120}") {
        let line = format!(
            "{{\"message_type\":\"menu\",\"data\":{text},\"signature\":\"\",\"verification\":\"\"}}"
        );
        if let Ok(envelope) = Envelope::parse(line.as_bytes()) {
            let _ = envelope.unproven::<Menu>();
        }
    }

    /// Changing any byte of a signed frame makes it another message or none.
    #[test]
    fn a_signed_frame_is_good_as_it_is_alone(at in 0usize..2000, to: u8, seq: u64, body: Vec<u8>) {
        let data = Data { seq, body: sdpp::message::Base64(body), leaf: Digest([3; 32]) };
        let session = SessionId(Digest([1; 32]));
        let (_, mut frame) = Draft::new(session, &data).sign(&key(1), "");
        frame.pop();
        let public = key(1).public();
        let take = |frame: &[u8]| {
            Envelope::parse(frame)
                .and_then(|envelope| match envelope.kind() {
                    MessageKind::Data => envelope.signed_by::<Data>(&public, session),
                    kind => Err(sdpp::message::WireError::BadSignature(kind)),
                })
                .map(|verified| verified.body)
        };
        prop_assert_eq!(take(&frame), Ok(data.clone()));
        let at = at % frame.len();
        let before = frame[at];
        frame[at] = to;
        if let Ok(other) = take(&frame) {
            // White space between tokens is nobody's, and what stands in a key's place is checked.
            prop_assert_eq!(&other, &data, "byte {} from {} to {}", at, before, to);
        }
    }

    #[test]
    fn what_is_signed_is_read_back(secret in 1u8..255, seq: u64, text in ".{0,40}") {
        let key = Key::from_bytes(&[secret; 32]).unwrap();
        let session = SessionId(keccak(&[text.as_bytes()]));
        let ack = Ack { seq, digest: keccak(&[b"d"]), voucher: None };
        let (message, frame) = Draft::new(session, &ack).sign(&key, "");
        let envelope = Envelope::parse(&frame[..frame.len() - 1]).unwrap();
        let verified = envelope.signed_by::<Ack>(&key.public(), session).unwrap();
        prop_assert_eq!(verified.body, ack);
        prop_assert!(message.is_by(&key.public()));
        prop_assert_eq!(verified.message, Some(message));
    }
}

#[test]
fn hello_is_empty_or_says_what_it_speaks() {
    let read = |data: Value| serde_json::from_value::<Hello>(data).is_ok();
    assert!(read(json!("")));
    assert!(read(json!({"versions": ["SDPP/1"], "encodings": ["json"]})));
    assert!(!read(json!(5)));
    assert_eq!(Hello::KIND, MessageKind::Hello);
    assert_eq!(Order::KIND.to_string(), "order");
}
