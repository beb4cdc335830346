//! The stories that every ledger tells, on the double or on a real network, under both schemes.

mod rig;

use rig::Network;
use sdpp_iota_double::{Clock, Options};
use sdpp_ledger::conformance::run_all;
use sdpp_ledger_iota::Scheme;

#[tokio::test]
async fn an_ed25519_account_conforms() {
    run_all(&Network::new(Scheme::Ed25519).await).await;
}

#[tokio::test]
async fn a_secp256k1_account_conforms() {
    run_all(&Network::new(Scheme::Secp256k1).await).await;
}

#[tokio::test]
async fn an_account_conforms_where_checkpoints_take_their_time() {
    let options = Options { checkpoint_ms: 250, clock: Clock::Manual, ..Options::default() };
    run_all(&Network::double(options, Scheme::Ed25519).await).await;
}
