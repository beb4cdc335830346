//! The suite that every ledger runs, over each way to reach this one.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;

use rig::{EmbeddedRig, Time, genesis, slow_genesis};
use sdpp_ledger::conformance::run_all;
use sdpp_ledger_embedded::{Genesis, LocalNode, Node, RemoteNode, serve};
use std::sync::Arc;
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
        reached.push(Arc::new(
            RemoteNode::connect(address.as_str()).await.unwrap(),
        ));
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
    let deep = Genesis {
        depth: 3,
        ..genesis()
    };
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
