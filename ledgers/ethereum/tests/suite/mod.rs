//! The conformance suite's rig over a chain of our own.

#![allow(dead_code, clippy::unwrap_used, reason = "each test file is a program, uses its own part")]

use crate::rig::{Anvil, key, with_escrow, with_token};
use async_trait::async_trait;
use sdpp_ledger::conformance::Rig;
use sdpp_ledger::{Asset, Key, Ledger};
use sdpp_ledger_ethereum::{EthereumLedger, Settings};
use serde_json::json;
use std::time::Duration;

/// The conformance suite's rig.
pub struct EthereumRig {
    pub anvil: Anvil,
    pub settings: Settings,
    pub ledgers: [EthereumLedger; 3],
    key: Key,
    asset: Asset,
}

impl EthereumRig {
    pub async fn new(anvil: Anvil, depth: u64, is_token: bool) -> Self {
        let settings = with_escrow(&anvil, depth).await;
        let asset = if is_token { with_token(&anvil, &settings).await } else { Asset::coin() };
        let payer = EthereumLedger::connect(settings.clone(), key(0)).await.unwrap();
        let ledgers = [payer.clone(), payer.signed_by(key(1)), payer.signed_by(key(2))];
        EthereumRig { anvil, settings, ledgers, key: key(0), asset }
    }
}

#[async_trait]
impl Rig for EthereumRig {
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
        Some(&self.key)
    }

    fn asset(&self) -> Asset {
        self.asset.clone()
    }

    async fn mine(&self, blocks: u64) {
        self.anvil.mine(blocks).await;
    }

    async fn pass(&self, time: Duration) {
        self.anvil.ask("evm_increaseTime", json!([time.as_secs()])).await;
        self.anvil.mine(1).await;
    }
}
