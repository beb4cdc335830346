//! The suite that every ledger runs, over each way to reach this one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use async_trait::async_trait;
use rig::{EmbeddedRig, Time, genesis, slow_genesis};
use sdpp_ledger::conformance::run_all;
use sdpp_ledger::{
    Account, Escrow, Finality, Key, Ledger, LedgerId, Payments, Records, Result, Signed, Status,
    TxId,
};
use sdpp_ledger_embedded::{EmbeddedLedger, Genesis, LocalNode, Node, RemoteNode, serve};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

async fn in_this_process(genesis: Genesis) {
    let (time, folder) = (Time::new(), tempfile::tempdir().unwrap());
    let node = LocalNode::open(folder.path(), genesis, time.clock()).unwrap();
    let node = Arc::new(node);
    let reached = || Arc::clone(&node) as Arc<dyn Node>;
    let rig = EmbeddedRig::new(Arc::clone(&node), [reached(), reached(), reached()], time);
    run_all(&rig).await;
    run_all(&rig).await;
}

async fn over_tcp(genesis: Genesis) {
    let time = Time::new();
    let node = Arc::new(LocalNode::in_memory(genesis, time.clock()).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serving = serve(listener, Arc::clone(&node) as _, std::future::pending());
    tokio::spawn(serving);
    let mut reached: Vec<Arc<dyn Node>> = Vec::new();
    for _ in 0..3 {
        reached.push(Arc::new(RemoteNode::connect(address.as_str()).await.unwrap()));
    }
    let reached = reached.try_into().ok().unwrap();
    run_all(&EmbeddedRig::new(node, reached, time)).await;
}

#[tokio::test]
async fn blocks_at_once_in_this_process() {
    in_this_process(genesis()).await;
}

#[tokio::test]
async fn blocks_at_once_and_deep_in_this_process() {
    let deep = Genesis { depth: 3, ..genesis() };
    in_this_process(deep).await;
}

#[tokio::test]
async fn blocks_in_time_in_this_process() {
    in_this_process(slow_genesis()).await;
}

#[tokio::test]
async fn blocks_at_once_over_tcp() {
    over_tcp(genesis()).await;
}

#[tokio::test]
async fn blocks_in_time_over_tcp() {
    over_tcp(slow_genesis()).await;
}

/// A ledger that keeps records and does nothing else, as some do.
struct RecordsOnly(Box<dyn Ledger>);

#[async_trait]
impl Ledger for RecordsOnly {
    fn id(&self) -> &LedgerId {
        self.0.id()
    }

    fn account(&self) -> &Account {
        self.0.account()
    }

    async fn status(&self) -> Result<Status> {
        self.0.status().await
    }

    async fn next_number(&self) -> Result<u64> {
        self.0.next_number().await
    }

    async fn submit(&self, signed: &Signed) -> Result<TxId> {
        self.0.submit(signed).await
    }

    async fn finality(&self, signed: &Signed) -> Result<Finality> {
        self.0.finality(signed).await
    }

    fn records(&self) -> Option<&dyn Records> {
        self.0.records()
    }

    fn payments(&self) -> Option<&dyn Payments> {
        None
    }

    fn escrow(&self) -> Option<&dyn Escrow> {
        None
    }
}

#[tokio::test]
async fn a_ledger_that_keeps_records_only_passes_with_those() {
    let time = Time::new();
    let node = Arc::new(LocalNode::in_memory(slow_genesis(), time.clock()).unwrap());
    let reached = || Arc::clone(&node) as Arc<dyn Node>;
    let rig = EmbeddedRig::new(Arc::clone(&node), [reached(), reached(), reached()], time);
    run_all(&rig.with_ledgers(|ledger| Box::new(RecordsOnly(ledger)))).await;
}

#[tokio::test]
async fn how_late_a_request_is_told_is_by_the_rules() {
    for (depth, block_time_ms, lag_ms) in [(1, 500, 0), (4, 0, 0), (4, 500, 1_500)] {
        let rules = Genesis { depth, block_time_ms, ..genesis() };
        let node = Arc::new(LocalNode::in_memory(rules, Time::new().clock()).unwrap());
        let key = Key::from_bytes(&[1; 32]).unwrap();
        let ledger = EmbeddedLedger::new(node as Arc<dyn Node>, key);
        assert_eq!(ledger.lag().await, Ok(Duration::from_millis(lag_ms)));
    }
}
