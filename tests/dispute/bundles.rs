//! A bundle is refused in any single changed byte, with its reason.

use crate::pair::{Setting, key};
use crate::{both, bundle, lie};
use sdpp::dispute::{BUNDLE_BYTES_MAX, Bundle, BundleError};
use sdpp::terms::Role;

fn small() -> Vec<u8> {
    let mut pair = Setting::default().no_records().order("gas", Some(1)).start();
    pair.run();
    bundle(&pair, Role::Buyer).write()
}

#[test]
fn a_bundle_is_read_as_it_was_written() {
    for setting in crate::settings() {
        let mut pair = setting().start();
        pair.run();
        for bundle in both(&pair) {
            let bytes = bundle.write();
            let read = Bundle::parse(&bytes).unwrap();
            assert_eq!(read, bundle);
            assert_eq!((read.write(), read.digest()), (bytes, bundle.digest()));
        }
    }
}

#[test]
fn any_single_changed_byte_is_refused_with_its_reason() {
    let bytes = small();
    assert!(Bundle::parse(&bytes).is_ok());
    for at in 0..bytes.len() {
        // Other bytes, the other case of a letter, and a byte that JSON does not mind.
        for flip in [0x01, 0x20, 0x80] {
            let mut changed = bytes.clone();
            changed[at] ^= flip;
            let error = Bundle::parse(&changed).expect_err("a changed byte was taken");
            assert!(!error.to_string().is_empty(), "byte {at}");
        }
    }
    for at in (0..=bytes.len()).step_by(7) {
        let mut longer = bytes.clone();
        longer.insert(at, b' ');
        assert!(Bundle::parse(&longer).is_err(), "a blank at {at} was taken");
        let mut shorter = bytes.clone();
        shorter.remove(at.min(bytes.len() - 1));
        assert!(Bundle::parse(&shorter).is_err(), "byte {at} was not missed");
    }
}

/// Every part of the file has a reason of its own.
#[test]
fn the_reason_says_what_is_wrong() {
    let bytes = small();
    let text = String::from_utf8(bytes.clone()).unwrap();
    let read = |text: String| Bundle::parse(text.as_bytes()).unwrap_err();
    assert!(matches!(read(text.replace("bundle 1", "bundle 2")), BundleError::Version(_)));
    assert_eq!(read(text.clone() + "\n"), BundleError::Changed);
    assert_eq!(read(text.replace("{\"bundle\"", "{ \"bundle\"")), BundleError::Changed);
    assert!(matches!(
        read(text.replace("\"exporter\"", "\"exported\"")),
        BundleError::Malformed(_)
    ));
    assert_eq!(read(text.replace("\"buyer\"", "\"seller\"")), BundleError::Signature);
    // The last byte of the signature, 1b or 1c, is not what the key makes: it is looked at too.
    let end = text.trim_end().len() - 4;
    let other = if &text[end..end + 2] == "1b" { "1c" } else { "1b" };
    let v = format!("{}{other}{}", &text[..end], &text[end + 2..]);
    assert_eq!(read(v), BundleError::Signature);
    let upper = text.replacen("\"exporter\":\"0x0", "\"exporter\":\"0X0", 1);
    assert!(Bundle::parse(upper.as_bytes()).is_err());
    assert_eq!(
        Bundle::parse(&vec![b' '; BUNDLE_BYTES_MAX + 1]),
        Err(BundleError::TooLong(BUNDLE_BYTES_MAX + 1))
    );
}

/// A body that its exporter signed and that is not written as bodies are.
#[test]
fn a_body_with_a_key_twice_or_a_key_too_many_is_refused() {
    let bundle = Bundle::parse(&small()).unwrap();
    let text = String::from_utf8(bundle.write()).unwrap();
    let (start, end) = (text.find("\"body\":").unwrap() + 7, text.rfind(",\"signature\"").unwrap());
    for (from, to) in [
        ("{\"session\":", "{\"session\":null,\"session\":"),
        ("{\"session\":", "{\"note\":1,\"session\":"),
        ("{\"session\":", "{\"session\": "),
        ("\"proofs\":[]", "\"proofs\":[ ]"),
    ] {
        let body = text[start..end].replacen(from, to, 1);
        assert_ne!(body, text[start..end], "{from} is there");
        let inner = sdpp_ledger::keccak(&[body.as_bytes()]);
        let digest = sdpp_ledger::keccak(&[b"\x19SDPP/1 bundle\n", &inner.0]);
        let signature = key(2).sign(&digest);
        let forged = format!("{}{body},\"signature\":\"{signature}\"}}\n", &text[..start]);
        assert!(Bundle::parse(forged.as_bytes()).is_err(), "{to} was taken");
    }
    let again = lie(&bundle, |_| {});
    assert_eq!(again, bundle, "signing again makes the same bundle");
}

/// A name of one letter takes many times its bytes in memory: so many of them fill it.
#[test]
fn a_flood_of_transactions_is_refused() {
    let mut pair = Setting::default().no_records().order("gas", Some(1)).start();
    pair.run();
    let flood = |count: usize| {
        lie(&bundle(&pair, Role::Buyer), |body| {
            body.ledgers.acts[0].txs = vec!["a".parse().unwrap(); count];
        })
    };
    assert!(Bundle::parse(&flood(64).write()).is_ok());
    let error = Bundle::parse(&flood(65).write()).unwrap_err().to_string();
    assert!(error.contains("at most 64 transactions"), "{error}");
}
