//! What the stories stand on: a double of a node, or a real one where the environment names it,
//! and three accounts with coins.

#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    reason = "each test file is a program, uses its own part"
)]

mod liar;

pub use liar::Liar;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::Signer as _;
use iota_sdk_types::{
    Address, Argument, Command, Ed25519PublicKey, Ed25519Signature, Input, ObjectId,
    ObjectReference, ProgrammableTransaction, SenderSignedTransaction, SimpleSignature,
    Transaction, TransactionKind, TransactionV1, UserSignature,
};
use sdpp_iota_double::{Double, Options};
use sdpp_ledger::conformance::Rig;
use sdpp_ledger::{
    Account, Amount, Asset, Endpoint, Evidence, Finality, Key, Ledger, LedgerError, Payments,
    Reference, Signed, Transfer, keccak,
};
use sdpp_ledger_iota::{IotaLedger, Scheme, Settings};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The most times that something is asked for again: where a node is real, half a minute.
const ASKED_MAX: usize = 300;

/// A network with three accounts.
pub struct Network {
    /// The double, where it is none that others run.
    pub double: Option<Double>,
    pub settings: Settings,
    pub faucet: Endpoint,
    pub ledgers: [IotaLedger; 3],
}

impl Network {
    /// The network that the environment names, else a double as it comes.
    pub async fn new(scheme: Scheme) -> Self {
        let named = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        match (named("SDPP_IOTA_URL"), named("SDPP_IOTA_FAUCET_URL")) {
            (Some(url), Some(faucet)) => Network::at(&url, &faucet, None, scheme).await,
            _ => Network::double(Options::default(), scheme).await,
        }
    }

    /// A double.
    pub async fn double(options: Options, scheme: Scheme) -> Self {
        let double = Double::start(options).unwrap();
        let (url, faucet) = (double.url(), double.faucet_url());
        Network::at(&url, &faucet, Some(double), scheme).await
    }

    async fn at(url: &str, faucet: &str, double: Option<Double>, scheme: Scheme) -> Self {
        let chain = match &double {
            Some(double) => double.chain_id(),
            None => chain_of(url).await,
        };
        let settings = Settings {
            chain,
            endpoint: url.parse().unwrap(),
            scheme,
            fee_ceiling: Amount::new(100_000_000),
            coins: 24,
            patience: Duration::from_secs(20),
        };
        let faucet: Endpoint = faucet.parse().unwrap();
        let ledgers = [
            IotaLedger::connect(settings.clone(), fresh_key()).await.unwrap(),
            IotaLedger::connect(settings.clone(), fresh_key()).await.unwrap(),
            IotaLedger::connect(settings.clone(), fresh_key()).await.unwrap(),
        ];
        for ledger in &ledgers {
            ledger.fund(&faucet).await.unwrap();
        }
        Network { double, settings, faucet, ledgers }
    }

    /// The double.
    pub fn of_ours(&self) -> &Double {
        self.double.as_ref().unwrap()
    }

    pub fn payer(&self) -> &IotaLedger {
        &self.ledgers[0]
    }

    pub fn payee(&self) -> &IotaLedger {
        &self.ledgers[1]
    }

    /// What the double answers to whoever asks.
    pub async fn asked(&self, method: &str, params: Value) -> Value {
        ask(&self.of_ours().url(), method, params).await
    }

    /// A transfer to the payee with a reference of its own.
    pub fn transfer(&self, nanos: u128) -> Transfer {
        let (to, asset) = (self.payee().account().clone(), Asset::coin());
        Transfer { to, asset, amount: Amount::new(nanos), reference: fresh_reference() }
    }

    /// Prepares a transfer.
    pub async fn prepared(&self, nanos: u128) -> Signed {
        self.payer().transfer(0, &self.transfer(nanos)).await.unwrap()
    }

    /// Makes a transfer and waits until it is final.
    pub async fn paid(&self, nanos: u128) -> (Transfer, Evidence) {
        let transfer = self.transfer(nanos);
        let signed = self.payer().transfer(0, &transfer).await.unwrap();
        self.payer().submit(&signed).await.unwrap();
        (transfer, landed(self.payer(), &signed).await)
    }
}

/// What became of something that must become final.
pub async fn landed(ledger: &IotaLedger, signed: &Signed) -> Evidence {
    for _ in 0..ASKED_MAX {
        match ledger.finality(signed).await.unwrap() {
            Finality::Final(evidence) => return evidence,
            Finality::Unknown | Finality::Pending(_) => pause().await,
            other => panic!("it had to become final, but is {other:?}"),
        }
    }
    panic!("{:?} did not become final", signed.tx);
}

/// Where a node of others works at its own pace it is asked now and then; a double needs no time.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// A key that nobody had before.
pub fn fresh_key() -> Key {
    Key::from_bytes(&fresh()).unwrap()
}

/// The account of a key, under Ed25519.
pub fn address_of(key: &Key) -> Address {
    let key = ed25519_dalek::SigningKey::from_bytes(&key.to_bytes());
    Ed25519PublicKey::new(key.verifying_key().to_bytes()).derive_address()
}

pub fn fresh_reference() -> Reference {
    Reference(fresh())
}

fn fresh() -> [u8; 32] {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let process = std::process::id();
    keccak(&[&count.to_be_bytes(), &since.as_nanos().to_be_bytes(), &process.to_be_bytes()]).0
}

async fn chain_of(url: &str) -> String {
    ask(url, "iota_getChainIdentifier", json!([])).await.as_str().unwrap().to_owned()
}

/// What a node answers to whoever asks.
async fn ask(url: &str, method: &str, params: Value) -> Value {
    let question = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let request = reqwest::Client::new().post(url).header("content-type", "application/json");
    let answer = request.body(question.to_string()).send().await.unwrap().text().await.unwrap();
    let answer: Value = serde_json::from_str(&answer).unwrap();
    answer["result"].clone()
}

pub fn assert_refused<T: std::fmt::Debug>(answer: Result<T, LedgerError>, expected: &str) {
    match answer {
        Err(LedgerError::Refused { code, .. }) if code == expected => {}
        other => panic!("expected a refusal with {expected}, got {other:?}"),
    }
}

pub fn assert_away<T: std::fmt::Debug>(answer: Result<T, LedgerError>, expected: &str) {
    match answer {
        Err(LedgerError::Unavailable { what, .. }) if what.contains(expected) => {}
        other => panic!("expected an outage with {expected:?}, got {other:?}"),
    }
}

/// What an account holds, in NANOS.
pub async fn holds(ledger: &IotaLedger, account: &Account) -> u128 {
    ledger.balance(account, &Asset::coin()).await.unwrap().units()
}

#[async_trait]
impl Rig for Network {
    fn payer(&self) -> &dyn Ledger {
        &self.ledgers[0]
    }

    fn payee(&self) -> &dyn Ledger {
        &self.ledgers[1]
    }

    fn stranger(&self) -> &dyn Ledger {
        &self.ledgers[2]
    }

    fn payer_key(&self) -> Option<&Key> {
        None
    }

    fn asset(&self) -> Asset {
        Asset::coin()
    }

    async fn mine(&self, blocks: u64) {
        match &self.double {
            Some(double) => double.advance(Duration::from_millis(250 * blocks)),
            None => pause().await,
        }
    }

    async fn pass(&self, time: Duration) {
        if let Some(double) = &self.double {
            double.advance(time);
        }
    }
}

/// The coins that something signed lives on.
pub fn gas_of(signed: &Signed) -> Vec<ObjectId> {
    coins_of(signed).iter().map(|at| at.object_id).collect()
}

/// The same with their versions.
pub fn coins_of(signed: &Signed) -> Vec<ObjectReference> {
    transaction_of(signed).into_v1().gas_payment.objects
}

/// Somebody who signs what we never would.
pub struct Stranger {
    pub ledger: IotaLedger,
    key: ed25519_dalek::SigningKey,
}

impl Stranger {
    /// With coins of the faucet.
    pub async fn funded(network: &Network) -> Self {
        let stranger = Stranger::with(network, &fresh_key());
        stranger.ledger.fund(&network.faucet).await.unwrap();
        stranger
    }

    /// With the key of an account that may be somebody else's as well: a wallet beside it.
    pub fn with(network: &Network, key: &Key) -> Self {
        let ledger = network.payer().signed_by(key.clone());
        Stranger { ledger, key: ed25519_dalek::SigningKey::from_bytes(&key.to_bytes()) }
    }

    /// Has something executed, and waits until it is final.
    pub async fn lands(&self, signed: &Signed) {
        self.ledger.submit(signed).await.unwrap();
        landed(&self.ledger, signed).await;
    }

    /// Something signed, with other commands, signed again.
    pub fn changed(
        &self,
        signed: &Signed,
        change: impl FnOnce(&mut ProgrammableTransaction),
    ) -> Signed {
        self.rewritten(signed, |body| {
            let TransactionKind::Programmable(made) = &mut body.kind else { panic!("{body:?}") };
            change(made);
        })
    }

    /// Something signed that merges coins away on top of what it does, signed again.
    pub fn merging(&self, signed: &Signed, coins: Vec<ObjectReference>) -> Signed {
        self.changed(signed, |made| {
            for coin in coins {
                let at = Argument::Input(u16::try_from(made.inputs.len()).unwrap());
                made.inputs.push(Input::ImmutableOrOwned(coin));
                made.commands.push(Command::new_merge_coins(Argument::Gas, vec![at]));
            }
        })
    }

    /// Something signed, changed at will, signed again.
    pub fn rewritten(&self, signed: &Signed, change: impl FnOnce(&mut TransactionV1)) -> Signed {
        let mut body = transaction_of(signed).into_v1();
        change(&mut body);
        let transaction = Transaction::V1(body);
        let signature = self.key.sign(transaction.signing_digest().as_ref());
        let signature = SimpleSignature::new_ed25519(
            Ed25519Signature::new(signature.to_bytes()),
            Ed25519PublicKey::new(self.key.verifying_key().to_bytes()),
        );
        let tx = transaction.digest().to_base58().parse().ok();
        let signatures = vec![UserSignature::Simple(signature)];
        let raw = SenderSignedTransaction::new(transaction, signatures).to_bcs();
        Signed { tx, raw, ..signed.clone() }
    }
}

/// A signed transaction in base64 with another signature of the same form.
pub fn unsigned(raw: &str) -> String {
    let mut bytes = STANDARD.decode(raw).unwrap();
    // The signature's 64 bytes stand before the 32 of the public key, which end it all.
    let at = bytes.len() - 32 - 64;
    bytes[at] ^= 1;
    STANDARD.encode(bytes)
}

fn transaction_of(signed: &Signed) -> Transaction {
    let signed = SenderSignedTransaction::from_bcs(&signed.raw).unwrap();
    signed.into_signed_transaction().transaction
}
