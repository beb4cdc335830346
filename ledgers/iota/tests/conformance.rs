//! The stories that every ledger tells, on the double or on a real network, under both schemes.

mod rig;

use rig::Network;
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
