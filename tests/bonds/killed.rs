//! Commands of a dispute that are killed at each of their writes: the same command goes on, nothing is done
//! twice, and the bonds are where they belong in the end.

use crate::contract::DAY;
use crate::court::{Court, acts, told};
use serde_json::Value;
use std::os::unix::process::ExitStatusExt;

impl Court {
    /// `dispute settle`, killed at its first write, then typed again and killed at its second, and so on:
    /// what it says when it comes to its end.
    async fn settles_though_killed(&self, side: &str) -> Value {
        let session = self.terms.session.to_string();
        for write in 1..40 {
            let mut command = self.command(side, &["dispute", "settle", &session, "--json"]);
            command.env("SDPP_DIES_AT", format!("{write}:synced"));
            let output = self.run(command).await;
            if output.status.signal().is_none() {
                assert!(write > 2, "it died on its way");
                return told(&output)["bond"].clone();
            }
        }
        panic!("it never ends");
    }
}

#[tokio::test]
async fn a_complaint_is_made_once_and_won_once() {
    let Some(court) = Court::opens().await else { return };
    court.seller_cheats();
    let held = court.held().await;
    let asked = court.settles_though_killed("buyer").await;
    assert!(asked["until_ms"].as_u64().is_some(), "{asked}");
    assert_eq!(court.held().await, held + court.chain.stake());
    court.chain.pass(DAY).await;
    let won = court.settles_though_killed("buyer").await;
    assert_eq!(won["of_seller"], "0", "{won}");
    let (buyer, seller) = (court.chain.bonds.buyer.units(), court.chain.bonds.seller.units());
    assert_eq!(court.held().await, buyer + seller / 2);
    assert_eq!(court.chain.credits().await, [0, 0]);
    assert_eq!(acts(&court.settle("buyer").await), [""; 0]);
}

#[tokio::test]
async fn a_complaint_is_answered_once() {
    let Some(court) = Court::opens().await else { return };
    court.seller_cheats();
    court.seller_remembers_what_it_invoiced();
    let held = court.held().await;
    assert_eq!(acts(&court.settle("buyer").await), ["challenge_root"]);
    let _ = court.settles_though_killed("seller").await;
    assert_eq!(court.events("Shown(bytes32)").await.len(), 1);
    assert_eq!(court.chain.credits().await, [0, 0], "the stake was fetched");
    assert_eq!(court.held().await, held);
}

#[tokio::test]
async fn a_demand_is_made_once() {
    let Some(court) = Court::opens().await else { return };
    court.buyer_is_gone();
    let held = court.held().await;
    let asked = court.settles_though_killed("seller").await;
    assert!(asked["until_ms"].as_u64().is_some(), "{asked}");
    assert_eq!(court.held().await, held + court.chain.stake());
    assert_eq!(court.events(DEMANDED).await.len(), 1);
}

const DEMANDED: &str = "Demanded(bytes32,(bytes32,uint128,uint128,uint128,uint128),uint256)";
