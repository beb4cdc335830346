//! What the stories on a Fabric network stand on: a double that the test starts and stops itself,
//! its gateway past the adapter, and a proxy in front of it.

#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "each test file is a program, uses its own part, and fails by panicking"
)]

pub mod double;
pub mod gateway;
pub mod proxy;

pub use double::{BLOCK_MS, Double, FIRST, Faults, MONEY};
pub use gateway::{Gateway, Signer, fresh};

use sdpp_ledger::{
    Account, Amount, Anchor, Asset, Call, Claim, Digest, Evidence, Finality, Ledger, LedgerError,
    Payments, Reference, Signed, Transfer, TxId, keccak, prepare,
};
use sdpp_ledger_fabric::{FabricLedger, Settings, Tls};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::{Duration, Instant};

/// How long a test waits for anything before it gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// IOUs in the double's money.
pub const IOUS: &str = "iou:Org1MSP/USD";

/// Settings for a signer of a gateway: whoever owes is trusted by nobody, and nobody may owe.
pub fn settings(gateway: &Gateway, signer: &str) -> Settings {
    Settings {
        gateway: gateway.url.parse().unwrap(),
        channel: gateway.channel.clone(),
        chaincode: gateway.chaincode.clone(),
        signer: signer.to_owned(),
        login: None,
        tls: Tls::default(),
        patience: Duration::from_secs(5),
        commit_patience: Duration::from_secs(15),
        in_flight_max: 32,
        events: false,
        ious_from: Vec::new(),
        owe_at_most: BTreeMap::new(),
    }
}

/// Settings of one who may owe so much of a unit, and takes the IOUs of those.
pub fn with_ious(settings: Settings, unit: &str, at_most: u128, ious_from: &[&str]) -> Settings {
    Settings {
        ious_from: ious_from.iter().map(|&from| from.to_owned()).collect(),
        owe_at_most: BTreeMap::from([(unit.to_owned(), Amount::new(at_most))]),
        ..settings
    }
}

pub async fn connected(settings: Settings) -> FabricLedger {
    FabricLedger::connect(settings).await.unwrap()
}

/// A double, its gateway, and its buyer and seller by their ledgers.
pub struct Market {
    pub double: Double,
    pub gateway: Gateway,
    pub buyer: FabricLedger,
    pub seller: FabricLedger,
}

impl Market {
    pub async fn open() -> Option<Market> {
        Market::open_with(&[]).await
    }

    pub async fn open_with(options: &[&str]) -> Option<Market> {
        let double = Double::start(options)?;
        let gateway = Gateway::of(&double);
        let owing = with_ious(settings(&gateway, "buyer"), MONEY, 1_000_000, &[]);
        let trusting = with_ious(settings(&gateway, "seller"), MONEY, 0, &["Org2MSP"]);
        let (buyer, seller) = (connected(owing).await, connected(trusting).await);
        Some(Market { double, gateway, buyer, seller })
    }

    /// A payment of the buyer to the seller.
    pub fn transfer(&self, asset: &str, units: u128) -> Transfer {
        transfer(self.seller.account(), asset, units)
    }

    /// What really happened under a reference of the buyer.
    pub async fn told_of(&self, reference: &Reference) -> Vec<gateway::Told> {
        let told = self.gateway.told_since("seller", 0).await;
        let name = reference.to_string();
        told.into_iter().filter(|one| one.reference.contains(&name)).collect()
    }

    /// What the seller has in all, as the chaincode says.
    pub async fn seller_has(&self) -> u128 {
        self.gateway.total("seller", self.seller.account().as_str(), MONEY).await
    }
}

pub fn transfer(to: &Account, asset: &str, units: u128) -> Transfer {
    Transfer {
        to: to.clone(),
        asset: asset.parse().unwrap(),
        amount: Amount::new(units),
        reference: reference(),
    }
}

/// A reference that nobody had before.
pub fn reference() -> Reference {
    Reference(keccak(&[fresh("reference").as_bytes()]).0)
}

pub fn anchor() -> Call {
    let digest = Digest(keccak(&[fresh("digest").as_bytes()]).0);
    Call::Anchor(Anchor::One { reference: reference(), digest })
}

pub async fn signed(ledger: &FabricLedger, call: &Call) -> Signed {
    prepare(ledger, 0, call).await.unwrap()
}

/// Does a call that must work.
pub async fn done(ledger: &FabricLedger, call: &Call) -> Evidence {
    let signed = signed(ledger, call).await;
    let tx = ledger.submit(&signed).await.unwrap();
    let evidence = evidence(ledger, &signed).await;
    assert_eq!(evidence.tx, tx);
    evidence
}

/// The evidence of what must be final.
pub async fn evidence(ledger: &FabricLedger, signed: &Signed) -> Evidence {
    match ledger.finality(signed).await.unwrap() {
        Finality::Final(evidence) => evidence,
        other => panic!("not final: {other:?}"),
    }
}

pub fn claim(tx: &TxId, transfer: &Transfer) -> Claim {
    Claim { tx: tx.clone(), transfer: transfer.clone() }
}

pub fn is_refused<T: Debug>(answer: &Result<T, LedgerError>, wanted: &str) -> String {
    match answer {
        Err(LedgerError::Refused { code, why }) if code == wanted => why.clone(),
        other => panic!("not refused with {wanted}: {other:?}"),
    }
}

pub fn is_unavailable<T: Debug>(answer: &Result<T, LedgerError>) -> String {
    match answer {
        Err(LedgerError::Unavailable { what, .. }) => what.clone(),
        other => panic!("not unavailable: {other:?}"),
    }
}

/// Submits until it is done, as the outbox does: the same bytes, after each outage. How often it
/// was refused for now.
pub async fn landed(ledger: &FabricLedger, signed: &Signed) -> (TxId, usize) {
    let since = Instant::now();
    for outages in 0.. {
        match ledger.submit(signed).await {
            Ok(tx) => return (tx, outages),
            Err(LedgerError::Unavailable { .. }) if since.elapsed() < PATIENCE => {}
            Err(error) => panic!("it never landed: {error}"),
        }
    }
    unreachable!("the loop ends by returning")
}

/// What a prepared call asks of the chaincode: the function and its arguments.
pub fn asked_of_chaincode(signed: &Signed) -> (String, Vec<String>) {
    let asked: serde_json::Value = serde_json::from_slice(&signed.raw).unwrap();
    let args = asked["args"].as_array().unwrap();
    let args = args.iter().map(|arg| arg.as_str().unwrap().to_owned()).collect();
    (asked["func"].as_str().unwrap().to_owned(), args)
}

/// Sends what was prepared past the adapter, as one with the same signer could: the transaction,
/// or what the gateway says against it.
pub async fn sent_past(gateway: &Gateway, signer: &str, signed: &Signed) -> Result<String, String> {
    let (func, args) = asked_of_chaincode(signed);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    gateway.try_submit(signer, &func, &args).await
}

pub fn id(tx: &str) -> TxId {
    tx.parse().unwrap()
}
