//! The suite that every ledger runs: on a double that this test starts, and on a real gateway where
//! `SDPP_FABRIC_URL` names one.
//!
//! A real one needs `SDPP_FABRIC_CHANNEL`, `SDPP_FABRIC_CHAINCODE` and `SDPP_FABRIC_SIGNER`, and a
//! CA that lets the gateway register clients: three that pay each other, and one that makes their
//! money. `SDPP_FABRIC_AUTHORIZATION` is the header's value where something in front asks for one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod rig;

use async_trait::async_trait;
use rig::{Double, Gateway, Signer, connected, settings, with_ious};
use sdpp_ledger::conformance::{Rig, run_all};
use sdpp_ledger::{Asset, Key, Ledger};
use sdpp_ledger_fabric::{FabricLedger, Login, Settings};
use std::time::Duration;

/// Longer than a real gateway waits for a transaction, where nobody set that otherwise.
const COMMIT_PATIENCE: Duration = Duration::from_secs(75);

/// The conformance suite's rig: clients of its own at a gateway.
struct FabricRig {
    gateway: Gateway,
    // Makes the blocks that a story waits for.
    clerk: Signer,
    ledgers: [FabricLedger; 3],
    asset: Asset,
}

impl FabricRig {
    async fn new(gateway: Gateway, asset: &str) -> FabricRig {
        let admin = gateway.new_signer(true).await;
        let money = format!("{}/USD", admin.account.split(':').next().unwrap());
        let mut signers = Vec::new();
        for _ in 0..3 {
            signers.push(gateway.new_signer(false).await);
        }
        gateway.mint(&admin.name, &signers[0].account, &money, 10_000_000).await;
        let asset = asset.replace("MSP/USD", &money);
        let mut ledgers = Vec::new();
        for signer in &signers {
            let settings = with_login(settings(&gateway, &signer.name), &gateway);
            let settings = Settings { commit_patience: COMMIT_PATIENCE, ..settings };
            let settings = with_ious(settings, &money, 10_000_000, &[&signers[0].account]);
            ledgers.push(connected(settings).await);
        }
        let ledgers = ledgers.try_into().ok().unwrap();
        FabricRig { gateway, clerk: admin, ledgers, asset: asset.parse().unwrap() }
    }
}

#[async_trait]
impl Rig for FabricRig {
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
        self.asset.clone()
    }

    async fn mine(&self, blocks: u64) {
        for _ in 0..blocks {
            // An account that is open already: a valid transaction in a block, and no more.
            self.gateway.submit(&self.clerk.name, "OpenAccount", &[]).await;
        }
    }

    async fn pass(&self, _: Duration) {}
}

/// The real gateway that the environment names.
fn real() -> Option<Gateway> {
    let url = std::env::var("SDPP_FABRIC_URL").ok().filter(|url| !url.is_empty())?;
    let url = url.trim_end_matches('/').to_owned();
    let needed = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} must be set"));
    let channel = needed("SDPP_FABRIC_CHANNEL");
    // Whom the network knows already: it must be there, though the stories are told by others.
    assert!(!needed("SDPP_FABRIC_SIGNER").is_empty(), "SDPP_FABRIC_SIGNER names nobody");
    let authorization = std::env::var("SDPP_FABRIC_AUTHORIZATION").ok();
    Some(Gateway::at(url, channel, needed("SDPP_FABRIC_CHAINCODE"), authorization))
}

/// What the header says, as the adapter wants to be told.
fn with_login(settings: Settings, gateway: &Gateway) -> Settings {
    let Some(authorization) = &gateway.authorization else { return settings };
    let (scheme, rest) = authorization.split_once(' ').expect("a scheme and what it says");
    let login = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => Login::Bearer(rest.to_owned().into()),
        "basic" => {
            let both = String::from_utf8(rig::gateway::base64(rest)).unwrap();
            let (user, password) = both.split_once(':').expect("a name and a password");
            Login::Basic { user: user.to_owned(), password: password.to_owned().into() }
        }
        other => panic!("SDPP_FABRIC_AUTHORIZATION says {other}, and not bearer or basic"),
    };
    Settings { login: Some(login), ..settings }
}

async fn passes(asset: &str) {
    let double = match real() {
        Some(gateway) => return twice(&FabricRig::new(gateway, asset).await).await,
        None => Double::start(&[]),
    };
    let Some(double) = double else { return };
    twice(&FabricRig::new(Gateway::of(&double), asset).await).await;
}

async fn twice(rig: &FabricRig) {
    run_all(rig).await;
    run_all(rig).await;
}

#[tokio::test]
async fn account_money() {
    passes("MSP/USD").await;
}

#[tokio::test]
async fn ious() {
    passes("iou:MSP/USD").await;
}
