//! What a buyer's config wants of a bond: nothing is ordered without one, a menu's is pledged as far as it is
//! that, and the channel that it is for is opened with it.

use crate::court::{CHANNEL_OPENED, Court, acts, refused, told};
use std::fs;
use std::process::Output;

impl Court {
    /// What the buyer's config says of bonds.
    fn wants(&self, seller: &str) {
        self.side_wants("buyer", seller);
    }

    /// The same of another buyer's.
    pub fn side_wants(&self, side: &str, seller: &str) {
        let path = self.path(&format!("{side}.toml"));
        let config = fs::read_to_string(&path).unwrap();
        let (before, after) = config.split_once("deposit = \"1000\"").unwrap();
        let (_, after) = after.split_once(" }]").unwrap();
        let bond =
            format!("{{ buyer = \"400\", seller = \"{seller}\", stake = \"20\", fee = \"10\" }}");
        let wants = format!("deposit = \"1000\", keep_channel = true, bond = {bond}");
        fs::write(path, format!("{before}{wants} }}]{after}")).unwrap();
    }

    /// How many channels were ever opened.
    async fn channels(&self) -> usize {
        self.events(CHANNEL_OPENED).await.len()
    }

    async fn buyer(&self, verb: &[&str]) -> Output {
        self.run(self.command("buyer", verb)).await
    }
}

#[tokio::test]
async fn what_a_buyers_config_wants_of_a_bond_is_pledged_and_ordered_under() {
    let Some(court) = Court::without_bond().await else { return };
    court.seller_sells();
    let _ = court.deploys().await;
    let seller = court.sell();
    let menu = court.buyer(&["menu", &seller.address, "--json"]).await;
    assert!(menu.status.success(), "{menu:?}");
    fs::write(court.path("menu.json"), &menu.stdout).unwrap();
    let shown = court.buyer(&["menu", &seller.address]).await;
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("bonds in") && shown.contains("0.000000000000000301"), "{shown}");
    let open = ["ledger", "bond", "open", "--menu", "menu.json", "--currency", "ETH", "--json"];
    refused(&court.buyer(&open).await, "no seller of this config");
    let key = court.chain.sellers_key.public().to_string();
    let open = [&open[..], &["--seller-key", &key]].concat();

    refused(&court.buyer(&open).await, "as bond = { ... } in [buyer] currencies");
    court.wants("302");
    let buy = ["buy", &seller.address, "gas", "2", "--trust-on-first-use"];
    let buy = [&buy[..], &["--json", "--output", "bought"]].concat();
    refused(&court.buyer(&buy).await, "this config buys under a bond alone");
    refused(&court.buyer(&[&buy[..5], &["--dry-run"]].concat()).await, "under a bond alone");
    let channels = court.channels().await;
    refused(&court.buyer(&open).await, "the seller pledges 301, and 302 was asked for at least");
    assert_eq!(court.channels().await, channels, "no money is put beside a bond that is not taken");

    court.wants("301");
    let opened = told(&court.buyer(&open).await);
    assert_eq!(acts(&opened), ["pledge"], "{opened}");
    assert_eq!(court.channels().await, channels + 1);
    let again = told(&court.buyer(&open).await);
    assert_eq!((&again["bond"], acts(&again).len()), (&opened["bond"], 0), "{again}");
    let bond = opened["bond"].as_str().unwrap();
    drop(seller);
    let joined = court.bonding("seller", &["join", bond, "--at-most", "301"]).await;
    assert_eq!(joined["held"]["is_good"], true, "{joined}");

    let seller = court.sell();
    let buy = ["buy", &seller.address, "gas", "2", "--trust-on-first-use", "--bond", bond];
    let buy = [&buy[..], &["--json", "--output", "bought"]].concat();
    court.wants("302");
    refused(&court.buyer(&buy).await, "302 was asked for at least");
    court.wants("301");
    let under = told(&court.buyer(&buy).await);
    assert_eq!((&under["end"], &under["owed"]), (&"complete".into(), &under["paid"]), "{under}");
}
