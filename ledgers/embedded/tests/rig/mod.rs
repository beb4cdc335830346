//! What the embedded ledger's tests stand on: a clock that is told the time, three accounts,
//! and the conformance suite's rig over any way to reach a node.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file is a program, uses its own part, and fails by panicking"
)]

use async_trait::async_trait;
use sdpp_ledger::conformance::Rig;
use sdpp_ledger::{Account, Amount, Asset, Key, Ledger};
use sdpp_ledger_embedded::{Allocation, Clock, EmbeddedLedger, Genesis, LocalNode, Node};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub const START_MS: u64 = 1_700_000_000_000;

/// A clock that stands still until it is told to go on.
#[derive(Clone)]
pub struct Time(Arc<AtomicU64>);

impl Time {
    pub fn new() -> Self {
        Time(Arc::new(AtomicU64::new(START_MS)))
    }

    pub fn clock(&self) -> Clock {
        let time = Arc::clone(&self.0);
        Arc::new(move || time.load(Ordering::SeqCst))
    }

    pub fn pass_ms(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

pub fn key(owner: u8) -> Key {
    Key::from_bytes(&[owner; 32]).unwrap()
}

pub fn account(owner: u8) -> Account {
    key(owner).public().account()
}

/// A genesis in which account 1 is rich.
pub fn genesis() -> Genesis {
    Genesis {
        started_ms: START_MS,
        faucet: Some(Amount::new(1_000)),
        allocations: vec![Allocation {
            account: account(1),
            asset: Asset::coin(),
            amount: Amount::new(1_000_000),
        }],
        ..Genesis::default()
    }
}

/// Blocks every second, final at the third.
pub fn slow_genesis() -> Genesis {
    Genesis { block_time_ms: 1_000, depth: 3, ..genesis() }
}

/// The rig over any handle on a node; blocks and time are made by the node itself.
pub struct EmbeddedRig {
    ledgers: [Box<dyn Ledger>; 3],
    key: Key,
    node: Arc<LocalNode>,
    time: Time,
}

impl EmbeddedRig {
    pub fn new(node: Arc<LocalNode>, reached: [Arc<dyn Node>; 3], time: Time) -> Self {
        let mut owner = 0;
        let ledgers = reached.map(|reached| {
            owner += 1;
            Box::new(EmbeddedLedger::new(reached, key(owner))) as Box<dyn Ledger>
        });
        EmbeddedRig { ledgers, key: key(1), node, time }
    }

    /// The same with other hands on the accounts.
    pub fn with_ledgers(self, change: fn(Box<dyn Ledger>) -> Box<dyn Ledger>) -> Self {
        let ledgers = self.ledgers.map(change);
        EmbeddedRig { ledgers, ..self }
    }
}

#[async_trait]
impl Rig for EmbeddedRig {
    fn payer(&self) -> &dyn Ledger {
        self.ledgers[0].as_ref()
    }

    fn payee(&self) -> &dyn Ledger {
        self.ledgers[1].as_ref()
    }

    fn stranger(&self) -> &dyn Ledger {
        self.ledgers[2].as_ref()
    }

    fn payer_key(&self) -> Option<&Key> {
        Some(&self.key)
    }

    fn asset(&self) -> Asset {
        Asset::coin()
    }

    async fn mine(&self, blocks: u64) {
        match self.node.origin().genesis().block_time_ms {
            0 => self.node.seal_empty(blocks).await.unwrap(),
            block_time => self.time.pass_ms(blocks * block_time),
        }
    }

    async fn pass(&self, time: Duration) {
        self.time.pass_ms(u64::try_from(time.as_millis()).unwrap());
    }
}
