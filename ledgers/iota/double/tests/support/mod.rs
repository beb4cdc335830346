//! How tests ask a double, and compare what it answers with what was recorded.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::future::Future;
use std::sync::LazyLock;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer, SigningKey};
use iota_sdk_types::{
    Address, Argument, Command, Ed25519PublicKey, Ed25519Signature, GasPayment, Input,
    ObjectDigest, ObjectId, ObjectReference, ProgrammableTransaction, SenderSignedTransaction,
    SimpleSignature, Transaction, TransactionDigest, TransactionExpiration, TransactionKind,
    TransactionV1, UserSignature, Version,
};
use sdpp_iota_double::Double;
use serde_json::{Value, json};

/// One exchange with a real node.
pub struct Recorded {
    pub request: Value,
    pub status: u64,
    pub response: Value,
}

/// The text of a file under `data`.
pub fn data(name: &str) -> String {
    let path = format!("{}/tests/data/{name}.json", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

pub fn recorded(name: &str) -> Recorded {
    let all: Value = serde_json::from_str(&data(name)).unwrap();
    Recorded {
        request: all["request"].clone(),
        status: all["status"].as_u64().unwrap(),
        response: all["response"].clone(),
    }
}

/// Keeps no connection, which would belong to the runtime of one test.
static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
    reqwest::Client::builder().pool_max_idle_per_host(0).build().expect("a client")
});

/// Status and body of an answer; a body that is no JSON is a text.
pub async fn post(url: &str, body: &Value) -> (u64, Value) {
    let answer = CLIENT.post(url).body(body.to_string()).send().await.unwrap();
    let status = u64::from(answer.status().as_u16());
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// What ought to come at once, so that a test that fails does not wait for ever.
pub async fn in_time<T>(coming: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), coming).await.expect("it comes in time")
}

pub fn request(method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params })
}

/// The whole answer of the node.
pub async fn ask(double: &Double, method: &str, params: Value) -> Value {
    let (status, answer) = post(&double.url(), &request(method, &params)).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

/// Panics unless both are equal, but for the fields of these names, whose kind alone is compared.
pub fn same(what: &str, expected: &Value, got: &Value, undetermined: &[&str]) {
    compare(what, "", expected, got, &|field| undetermined.contains(&field));
}

/// Panics unless both have the same fields and kinds of values everywhere.
pub fn same_shape(what: &str, expected: &Value, got: &Value) {
    compare(what, "", expected, got, &|_| true);
}

fn compare(what: &str, at: &str, expected: &Value, got: &Value, loose: &dyn Fn(&str) -> bool) {
    match (expected, got) {
        (Value::Object(expected), Value::Object(got)) => {
            let keys =
                |map: &serde_json::Map<String, Value>| map.keys().cloned().collect::<Vec<_>>();
            assert_eq!(keys(expected), keys(got), "{what}: the fields of {at}");
            for (name, value) in expected {
                compare(what, &format!("{at}.{name}"), value, &got[name], loose);
            }
        }
        (Value::Array(expected), Value::Array(got)) => {
            assert_eq!(expected.len(), got.len(), "{what}: the length of {at}");
            for (index, (expected, got)) in expected.iter().zip(got).enumerate() {
                compare(what, &format!("{at}[{index}]"), expected, got, loose);
            }
        }
        _ => {
            let field = at.rsplit('.').next().unwrap_or("");
            if loose(field) {
                let kind = std::mem::discriminant::<Value>;
                assert_eq!(kind(expected), kind(got), "{what}: {at} is {got}");
            } else {
                assert_eq!(expected, got, "{what}: {at}");
            }
        }
    }
}

/// The transaction without its signatures, of what a node keeps.
pub fn unsigned(raw: &str) -> String {
    let signed: SenderSignedTransaction = bcs::from_bytes(&STANDARD.decode(raw).unwrap()).unwrap();
    STANDARD.encode(bcs::to_bytes(&signed.signed_transaction().transaction).unwrap())
}

/// Somebody who pays.
pub struct Payer {
    key: SigningKey,
}

/// A transaction that is ready to be sent.
pub struct Signed {
    pub bytes: String,
    pub signature: String,
    pub digest: TransactionDigest,
}

impl Payer {
    pub fn new(seed: u8) -> Payer {
        Payer { key: SigningKey::from_bytes(&[seed; 32]) }
    }

    /// The one of the recordings.
    pub fn recorded() -> Payer {
        Payer::new(7)
    }

    pub fn public_key(&self) -> Ed25519PublicKey {
        Ed25519PublicKey::new(self.key.verifying_key().to_bytes())
    }

    pub fn address(&self) -> Address {
        self.public_key().derive_address()
    }

    /// Pays `amount` NANOS out of a coin to the payee of the recordings.
    pub fn pay(&self, coin: ObjectId, version: u64, digest: ObjectDigest, amount: u64) -> Signed {
        self.sign(
            self.payment(ObjectReference::new(coin, Version::from_u64(version), digest), amount),
        )
    }

    /// Such a payment, not signed.
    pub fn payment(&self, coin: ObjectReference, amount: u64) -> TransactionV1 {
        let payee: Address = PAYEE.parse().unwrap();
        self.transaction(
            vec![Input::pure(&payee), Input::pure(&amount)],
            vec![
                Command::new_split_coins(Argument::Gas, vec![Argument::Input(1)]),
                Command::new_transfer_objects(vec![Argument::Result(0)], Argument::Input(0)),
            ],
            vec![coin],
        )
    }

    /// Any transaction with a budget of 10,000,000 NANOS.
    pub fn transaction(
        &self,
        inputs: Vec<Input>,
        commands: Vec<Command>,
        gas: Vec<ObjectReference>,
    ) -> TransactionV1 {
        TransactionV1 {
            kind: TransactionKind::new_programmable(ProgrammableTransaction { inputs, commands }),
            sender: self.address(),
            gas_payment: GasPayment {
                objects: gas,
                owner: self.address(),
                price: 1_000,
                budget: 10_000_000,
            },
            expiration: TransactionExpiration::None,
        }
    }

    pub fn sign(&self, transaction: TransactionV1) -> Signed {
        let signature = self.key.sign(&transaction.signing_digest()).to_bytes();
        let signature =
            SimpleSignature::new_ed25519(Ed25519Signature::new(signature), self.public_key());
        Signed {
            digest: transaction.digest(),
            bytes: STANDARD.encode(bcs::to_bytes(&Transaction::V1(transaction)).unwrap()),
            signature: UserSignature::Simple(signature).to_base64(),
        }
    }
}

/// The payee of the recordings: the address of the key `[8; 32]`.
pub const PAYEE: &str = "0xcf878085b89626e9f9ae128fdfecff80d40d19215cc1c9b380d7bd52a12277fb";

impl Signed {
    /// The request that executes it, and waits until the node knows it.
    pub fn execute(&self) -> Value {
        self.execute_with("WaitForLocalExecution")
    }

    pub fn execute_with(&self, wait: &str) -> Value {
        let parts = json!({ "showEffects": true });
        let params = json!([self.bytes, [self.signature], parts, wait]);
        request("iota_executeTransactionBlock", &params)
    }
}
