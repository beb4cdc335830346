//! What a real node was asked and answered, and byte vectors that three implementations agree on,
//! for the tests. What is not looked at here was left out of the data.

use serde_json::Value;

/// An exchange by its name.
pub(crate) fn exchange(name: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("../tests/data/recorded.json")).unwrap();
    assert!(all[name].is_object(), "nothing was recorded as {name}");
    all[name].clone()
}

/// What was answered.
pub(crate) fn answer(name: &str) -> String {
    exchange(name)["response"].to_string()
}

/// The vectors.
pub(crate) fn vectors() -> Vec<Value> {
    serde_json::from_str(include_str!("../tests/data/vectors.json")).unwrap()
}

mod bytes {
    use super::*;
    use crate::shape::{Does, Shape};
    use crate::signer::{Scheme, Signer, signer_of};
    use crate::tx::{Draft, Tx};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use iota_sdk_types::{
        Address, ObjectReference, Secp256k1Signature, SenderSignedTransaction, SimpleSignature,
        Transaction, TransactionEffects, TransactionExpiration, TransactionKind, TransactionV1,
        UserSignature,
    };
    use sdpp_ledger::Key;

    fn signer(secret: u8, scheme: Scheme) -> Signer {
        Signer::new(Key::from_bytes(&[secret; 32]).unwrap(), scheme)
    }

    fn text(value: &Value) -> &str {
        value.as_str().unwrap()
    }

    fn raw(name: &str) -> Vec<u8> {
        STANDARD.decode(text(&exchange(name)["response"]["result"]["rawTransaction"])).unwrap()
    }

    fn payment(to: &str, amount: u64, record: Vec<u8>, coin: (&str, u64, &str)) -> Draft {
        let does = Does::Pay { to: Address::from_hex(to).unwrap(), amount };
        let (id, version, digest) = coin;
        let (id, version) = (id.parse().unwrap(), version.into());
        let gas = vec![ObjectReference::new(id, version, digest.parse().unwrap())];
        let shape = Shape { does, record, split: None };
        Draft { shape, gas, price: 1_000, budget: 10_000_000 }
    }

    #[test]
    fn the_vector_is_rebuilt_byte_for_byte() {
        let vector = &vectors()[0];
        let coin = (
            "0xd8792bce2743e002673752902c0e7348dfffd78638cb5367b0b85857bceb9821",
            2,
            "2ZigdvsZn5BMeszscPQZq9z8ebnS2FpmAuRbAi9ednCk",
        );
        let payee = "0x0000a4984bd495d4346fa208ddff4f5d5e5ad48c21dec631ddebc99809f16900";
        let draft = payment(payee, 1_000_000, vec![0xab; 32], coin);
        let signer = signer(7, Scheme::Ed25519);
        assert_eq!(signer.address.to_hex(), text(&vector["from"]));
        let transaction = draft.build(signer.address);
        assert_eq!(transaction.to_base64(), text(&vector["b64"]));
        assert_eq!(transaction.digest().to_base58(), text(&vector["digest"]));
        assert_eq!(transaction.signing_digest_hex(), text(&vector["signing_digest"]));
        assert_eq!(signer.sign(&transaction).to_base64(), text(&vector["signature"]));
        let signed = draft.sign(5, &signer);
        let tx = Tx::own(&signed, signer.address).unwrap();
        assert_eq!((tx.draft(), tx.is_signed(), signed.number), (Some(draft), true, 5));
    }

    #[test]
    fn every_vector_has_its_digest_and_signature() {
        for vector in vectors() {
            let transaction = Transaction::from_base64(text(&vector["b64"])).unwrap();
            assert_eq!(transaction.digest().to_base58(), text(&vector["digest"]));
            let signature = UserSignature::from_base64(text(&vector["signature"])).unwrap();
            let by = signer_of(&transaction, &signature).map(|by| by.to_hex());
            assert_eq!(by.as_deref(), vector["from"].as_str());
        }
    }

    #[test]
    fn the_recorded_payment_is_rebuilt_byte_for_byte() {
        let recorded = exchange("09-execute-pay-record32");
        let hex = "c1753282b52c102847888443f5e6ac5626ff503b86642a4d380e318e269a25be";
        let coins = &exchange("07-coins")["response"]["result"]["data"];
        let coin = (
            text(&coins[0]["coinObjectId"]),
            text(&coins[0]["version"]).parse().unwrap(),
            text(&coins[0]["digest"]),
        );
        let payee = "0xcf878085b89626e9f9ae128fdfecff80d40d19215cc1c9b380d7bd52a12277fb";
        let draft = payment(payee, 1_000_000, hex::decode(hex).unwrap(), coin);
        let signed = draft.sign(0, &signer(7, Scheme::Ed25519));
        assert_eq!(signed.raw, raw("09-execute-pay-record32"), "as the chain keeps it");
        let (bytes, signatures) = Tx::read(&signed.raw).unwrap().to_send();
        assert_eq!(bytes, text(&recorded["request"]["params"][0]), "as it is sent");
        assert_eq!(signatures[0], text(&recorded["request"]["params"][1][0]));
        let digest = text(&recorded["response"]["result"]["digest"]);
        assert_eq!(signed.tx.unwrap().as_str(), digest);
    }

    #[test]
    fn what_another_implementation_made_is_read() {
        let shapes =
            ["ts-pay+pure-0", "ts-secp256k1-sender", "ts-record-only-pure-0"].map(|name| {
                let tx = Tx::read(&raw(name)).unwrap();
                assert!(tx.is_signed(), "{name}");
                tx.shape().unwrap_or_else(|| panic!("{name} is not of our shape"))
            });
        for paid in &shapes[..2] {
            assert!(matches!(paid.does, Does::Pay { amount: 1_000, .. }), "{paid:?}");
        }
        assert_eq!(shapes[1].record, [1; 32]);
        assert_eq!(shapes[2], Shape { does: Does::Record, record: vec![0xab; 32], split: None });
    }

    #[test]
    fn a_record_alone_is_rebuilt_byte_for_byte() {
        let tx = Tx::read(&raw("ts-record-only-pure-0")).unwrap();
        let draft = tx.draft().unwrap();
        assert_eq!(draft.build(tx.sender()).to_base64(), tx.to_send().0);
    }

    #[test]
    fn a_secp256k1_account_is_the_networks_and_its_signature_holds() {
        let recorded = Tx::read(&raw("ts-secp256k1-sender")).unwrap();
        let ours = (1..=255).map(|secret| signer(secret, Scheme::Secp256k1));
        let signer = ours.into_iter().find(|signer| signer.address == recorded.sender()).unwrap();
        let (bytes, signatures) = recorded.to_send();
        let signed = signer.sign(&Transaction::from_base64(&bytes).unwrap());
        assert_eq!(signed.to_base64(), signatures[0], "made by another implementation");
        let signature = STANDARD.decode(&signatures[0]).unwrap();
        assert_eq!((signature[0], signature.len()), (1, 1 + 64 + 33));
    }

    #[test]
    fn the_other_half_of_a_secp256k1_signature_is_none() {
        let recorded = Tx::read(&raw("ts-secp256k1-sender")).unwrap();
        let (bytes, signatures) = recorded.to_send();
        let transaction = Transaction::from_base64(&bytes).unwrap();
        let signature = UserSignature::from_base64(&signatures[0]).unwrap();
        assert_eq!(signer_of(&transaction, &signature), Some(recorded.sender()));
        let (low, public) = signature.into_simple().into_secp256k1();
        let low = k256::ecdsa::Signature::from_slice(low.bytes()).unwrap();
        let high = k256::ecdsa::Signature::from_scalars(low.r(), -low.s()).unwrap();
        let high = Secp256k1Signature::new(high.to_bytes().into());
        let high = UserSignature::Simple(SimpleSignature::new_secp256k1(high, public));
        assert_eq!(signer_of(&transaction, &high), None);
    }

    #[test]
    fn what_another_pays_for_or_what_expires_is_not_of_our_shape() {
        type Change = fn(&mut TransactionV1);
        let changes: [Change; 2] = [
            |body| body.gas_payment.owner = Address::new([1; 32]),
            |body| body.expiration = TransactionExpiration::Epoch(9),
        ];
        let recorded = Tx::read(&raw("09-execute-pay-record32")).unwrap();
        assert!(recorded.shape().is_some());
        for change in changes {
            let mut body = Transaction::from_base64(&recorded.to_send().0).unwrap().into_v1();
            change(&mut body);
            let transaction = Transaction::V1(body);
            let signatures = vec![signer(7, Scheme::Ed25519).sign(&transaction)];
            let signed = SenderSignedTransaction::new(transaction, signatures);
            let tx = Tx::read(&signed.to_bcs()).unwrap();
            assert_eq!((tx.is_signed(), tx.shape()), (true, None));
        }
    }

    #[test]
    fn effects_are_read_by_the_networks_own_types() {
        for (name, is_success) in
            [("10-get-tx-all", true), ("22-execute-insufficient-funds", false)]
        {
            let result = &exchange(name)["response"]["result"];
            let bytes: Vec<u8> = serde_json::from_value(result["rawEffects"].clone()).unwrap();
            let effects = TransactionEffects::from_bcs(&bytes).unwrap().into_v1();
            assert_eq!(effects.transaction_digest.to_base58(), text(&result["digest"]));
            assert_eq!(effects.status.is_success(), is_success);
            let computed = Tx::read(&raw(name)).unwrap().digest;
            assert_eq!(computed, effects.transaction_digest);
        }
    }

    #[test]
    fn a_signature_is_its_senders_over_its_bytes_alone() {
        let tx = Tx::read(&raw("09-execute-pay-record32")).unwrap();
        let draft = Draft { budget: 1, ..tx.draft().unwrap() };
        let (mine, other) = (signer(7, Scheme::Ed25519), signer(8, Scheme::Ed25519));
        let transaction = draft.build(mine.address);
        assert!(
            matches!(&transaction, Transaction::V1(v) if matches!(v.kind, TransactionKind::Programmable(_)))
        );
        assert_eq!(signer_of(&transaction, &mine.sign(&transaction)), Some(mine.address));
        assert_eq!(signer_of(&transaction, &other.sign(&transaction)), Some(other.address));
        let elsewhere = draft.build(other.address);
        assert_eq!(signer_of(&transaction, &mine.sign(&elsewhere)), None);
        assert!(!format!("{mine:?}").contains("0707"), "a key is not printed");
    }
}
