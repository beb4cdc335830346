//! The suite that every ledger runs, on a real Anvil that this test starts.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod rig;
mod suite;

use rig::Anvil;
use sdpp_ledger::conformance::run_all;
use suite::EthereumRig;

/// Blocks at once, final at once.
const AT_ONCE: (&[&str], u64) = (&[], 1);

/// Blocks when the story says so, final at the third.
const IN_TIME: (&[&str], u64) = (&["--no-mining"], 3);

async fn passes((args, depth): (&[&str], u64), is_token: bool) {
    let Some(anvil) = Anvil::start(args).await else { return };
    let rig = EthereumRig::new(anvil, depth, is_token).await;
    run_all(&rig).await;
    run_all(&rig).await;
}

#[tokio::test]
async fn coin_with_blocks_at_once() {
    passes(AT_ONCE, false).await;
}

#[tokio::test]
async fn coin_with_blocks_in_time() {
    passes(IN_TIME, false).await;
}

#[tokio::test]
async fn a_token_with_blocks_at_once() {
    passes(AT_ONCE, true).await;
}

#[tokio::test]
async fn a_token_with_blocks_in_time() {
    passes(IN_TIME, true).await;
}
