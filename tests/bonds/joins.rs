//! A seller that joins the bonds that its buyers open, by itself, while it sells: nothing is typed there, nothing
//! is pledged twice, and no more than its config says.

use crate::contract::DAY;
use crate::court::{Court, acts, refused, told};
use crate::rig;
use crate::whole::Node;
use sdpp::journal::Journal;
use sdpp::journal::bonds::act_of;
use sdpp_ledger::BondAct;
use serde_json::{Value, json};
use std::fs;
use std::process::{Output, Stdio};

/// What each has in a bond.
const BUYERS: u128 = 400;
const SELLERS: u128 = 301;

/// The secret of Anvil's third account.
const THIRD: &str = "5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a";

impl Court {
    /// A seller that joins bonds up to so much, and a buyer that wants one.
    async fn joins(at_most: &str) -> Option<Court> {
        let court = Court::without_bond().await?;
        court.seller_joins(at_most);
        Some(court)
    }

    fn seller_joins(&self, at_most: &str) {
        self.seller_sells();
        self.changes("seller", "fee = \"10\"", &format!("fee = \"10\"\n{at_most}"));
        self.side_wants("buyer", "301");
    }

    /// Opens a bond by the seller's menu.
    async fn opens_bond(&self, side: &str, seller: &Node, more: &[&str]) -> String {
        let menu = self.run(self.command(side, &["menu", &seller.address, "--json"])).await;
        fs::write(self.path("menu.json"), &menu.stdout).unwrap();
        let key = self.chain.sellers_key.public().to_string();
        let open = ["open", "--menu", "menu.json", "--currency", "ETH", "--seller-key", &key];
        let opened = self.bonding(side, &[&open[..], more].concat()).await;
        assert_eq!(acts(&opened).last(), Some(&"pledge"), "{opened}");
        opened["bond"].as_str().unwrap().to_owned()
    }

    fn buys_under(&self, side: &str, seller: &Node, bond: &str) -> std::process::Command {
        let verb = ["buy", &seller.address, "gas", "2", "--trust-on-first-use", "--bond", bond];
        self.command(side, &[&verb[..], &["--json", "--output", side]].concat())
    }

    /// The bonds that the seller says it has part in.
    async fn bonds_shown(&self) -> Value {
        let status = ["status", "--journal", "seller-journal", "--json"];
        told(&self.run(self.bare(&status)).await)["bonds"].clone()
    }

    async fn bought_under(&self, side: &str, seller: &Node, bond: &str) -> Output {
        self.run(self.buys_under(side, seller, bond)).await
    }
}

impl Court {
    /// What the seller did about a bond, while it does not run.
    fn sellers_acts(&self, bond: &str) -> Vec<BondAct> {
        let (dir, key) = (self.path("seller-journal"), self.chain.sellers_key.public());
        let journal = Journal::open(&dir, key).unwrap();
        let rows = journal.reader().bond_rows(&bond.parse().unwrap()).unwrap();
        rows.iter().filter_map(|row| act_of(row).cloned()).collect()
    }
}

/// A seller that joins bonds up to so much, and one that each of two buyers has opened.
async fn two_bonds(at_most: &str) -> Option<(Court, [String; 2])> {
    let court = Court::joins(&format!("pledge_at_most = \"{at_most}\"")).await?;
    court.write_config("other", THIRD);
    court.side_wants("other", "301");
    let seller = court.sell();
    let bonds = [
        court.opens_bond("buyer", &seller, &[]).await,
        court.opens_bond("other", &seller, &[]).await,
    ];
    Some((court, bonds))
}

fn is_paid(bought: &Output) -> Value {
    let bought = told(bought);
    assert_eq!(
        (&bought["end"], &bought["owed"]),
        (&json!("complete"), &bought["paid"]),
        "{bought}"
    );
    bought
}

#[tokio::test]
async fn a_stranger_opens_a_bond_and_buys_under_it_with_nothing_typed_at_the_seller() {
    let Some(court) = Court::joins("pledge_at_most = \"301\"").await else { return };
    let seller = court.sell();
    let bond = court.opens_bond("buyer", &seller, &[]).await;
    let bought = is_paid(&court.bought_under("buyer", &seller, &bond).await);
    assert_eq!(court.held().await, BUYERS + SELLERS);
    assert_eq!(fs::read_to_string(court.path("buyer")).unwrap(), "1\n2\n");
    fs::remove_file(court.path("buyer")).unwrap();
    is_paid(&court.bought_under("buyer", &seller, &bond).await);
    assert_eq!(court.held().await, BUYERS + SELLERS, "once for all sessions under it");
    let shown = court.bonds_shown().await;
    assert_eq!((&shown[0]["bond"], &shown[0]["pledged"]), (&json!(bond), &json!("301")));
    drop(seller);
    let session = bought["session"].as_str().unwrap();
    let shown = ["dispute", "settle", session, "--dry-run", "--json"];
    let shown = told(&court.run(court.command("seller", &shown)).await);
    assert_eq!((&shown["bond"]["bond"], &shown["bond"]["next"]), (&json!(bond), &Value::Null));
}

/// The contract of the bonds is given leave first, and what the buyer waits for is two things.
#[tokio::test]
async fn a_bond_in_a_token_is_joined_as_well() {
    let Some(court) = Court::without_bond_in_token().await else { return };
    court.seller_joins("pledge_at_most = \"301\"");
    let seller = court.sell();
    let bond = court.opens_bond("buyer", &seller, &[]).await;
    is_paid(&court.bought_under("buyer", &seller, &bond).await);
    drop(seller);
    assert_eq!(court.sellers_acts(&bond), [BondAct::Allow, BondAct::Pledge]);
}

#[tokio::test]
async fn a_seller_pledges_nothing_by_itself_where_its_config_does_not_say_so() {
    let Some(court) = Court::joins("").await else { return };
    let seller = court.sell();
    let bond = court.opens_bond("buyer", &seller, &[]).await;
    refused(
        &court.bought_under("buyer", &seller, &bond).await,
        "it is not in force: its seller has not pledged",
    );
    assert_eq!(court.held().await, BUYERS);
}

/// What was had back may be pledged again, for another; a bond that was joined by hand counts as any.
#[tokio::test]
async fn a_seller_pledges_no_more_at_one_time_than_its_config_says() {
    let Some((court, [bond, others])) = two_bonds("601").await else { return };
    let joined = court.bonding("seller", &["join", &bond, "--at-most", "301"]).await;
    assert_eq!(joined["held"]["is_good"], true, "{joined}");

    let seller = court.sell();
    is_paid(&court.bought_under("buyer", &seller, &bond).await);
    let bought = court.bought_under("other", &seller, &others).await;
    refused(&bought, "this seller pledges no more just now");
    assert_eq!(court.held().await, 2 * BUYERS + SELLERS);
    drop(seller);

    assert_eq!(acts(&court.bonding("seller", &["end", &bond]).await), ["request_end"]);
    let seller = court.sell();
    refused(&court.bought_under("other", &seller, &others).await, "pledges no more just now");
    drop(seller);
    court.chain.pass(DAY).await;
    assert_eq!(acts(&court.bonding("seller", &["end", &bond]).await), ["end", "withdraw"]);
    let seller = court.sell();
    is_paid(&court.bought_under("other", &seller, &others).await);
}

/// Each would take our part once more.
#[tokio::test]
async fn a_seller_joins_one_bond_for_a_channel_and_no_larger_one_than_it_offers() {
    let Some(court) = Court::joins("pledge_at_most = \"100000\"").await else { return };
    let seller = court.sell();
    let bond = court.opens_bond("buyer", &seller, &[]).await;
    let second = court.opens_bond("buyer", &seller, &["--number", "2"]).await;
    let dear = court.opens_bond("buyer", &seller, &["--number", "3", "--seller", "302"]).await;
    refused(&court.bought_under("buyer", &seller, &dear).await, "it takes 302 of us");
    is_paid(&court.bought_under("buyer", &seller, &bond).await);
    fs::remove_file(court.path("buyer")).unwrap();
    refused(&court.bought_under("buyer", &seller, &second).await, "and pledges one alone");
    assert_eq!(court.held().await, 3 * BUYERS + SELLERS);
    is_paid(&court.bought_under("buyer", &seller, &bond).await);
}

/// The other obligations of its account would wait behind a pledge that cannot be paid.
#[tokio::test]
async fn a_seller_pledges_nothing_that_its_account_does_not_have() {
    // Twice what it has.
    let (ours, all) = ("20000000000000000000000", 20_000_000_000_000_000_000_000);
    let Some(court) = Court::joins(&format!("pledge_at_most = \"{ours}\"")).await else { return };
    court.changes("seller", "seller = \"301\"", &format!("seller = \"{ours}\""));
    let seller = court.sell();
    let bond = court.opens_bond("buyer", &seller, &[]).await;
    refused(&court.bought_under("buyer", &seller, &bond).await, "pledges no more just now");
    assert_eq!(court.held().await, BUYERS);
    drop(seller);
    let more = format!("{:#x}", 2 * all);
    court.chain.anvil.ask("anvil_setBalance", json!([rig::account(1), more])).await;
    let seller = court.sell();
    is_paid(&court.bought_under("buyer", &seller, &bond).await);
    assert_eq!(court.held().await, BUYERS + all);
}

/// What the buyer sees as final is not so for its seller yet, both of its own part and of the seller's.
#[tokio::test]
async fn a_buyer_that_is_ahead_of_its_seller_is_served_when_that_sees_the_bond_too() {
    let Some(court) = Court::joins("pledge_at_most = \"301\"").await else { return };
    court.changes("seller", "depth = 1", "depth = 10");
    court.chain.anvil.mine(10).await;
    let seller = court.sell();
    let bond = court.opens_bond("buyer", &seller, &[]).await;
    let bought = court.bought_under("buyer", &seller, &bond);
    is_paid(&rig::mining(&court.chain.anvil, bought).await);
}

/// Both see it pledged for some blocks more: what the ledger would refuse is not begun.
#[tokio::test]
async fn a_bond_that_its_buyer_takes_back_meanwhile_is_not_joined() {
    let Some(court) = Court::joins("pledge_at_most = \"100000\"").await else { return };
    let seller = court.sell();
    let bond = court.opens_bond("buyer", &seller, &[]).await;
    drop(seller);
    court.chain.anvil.mine(10).await;
    assert_eq!(acts(&court.bonding("buyer", &["revoke", &bond]).await), ["revoke", "withdraw"]);
    ["buyer", "seller"].iter().for_each(|side| court.changes(side, "depth = 1", "depth = 10"));
    let seller = court.sell();
    for _ in 0..2 {
        let bought = court.bought_under("buyer", &seller, &bond).await;
        refused(&bought, "does not pledge its part of it by itself");
    }
    drop(seller);
    assert_eq!((court.held().await, court.sellers_acts(&bond)), (0, vec![]));
}

/// By its buyer, say, who waits for nobody with it.
#[tokio::test]
async fn a_bond_that_another_has_ended_takes_no_room_any_more() {
    let Some((court, [bond, others])) = two_bonds("301").await else { return };
    let seller = court.sell();
    is_paid(&court.bought_under("buyer", &seller, &bond).await);
    refused(&court.bought_under("other", &seller, &others).await, "pledges no more just now");
    assert_eq!(acts(&court.bonding("buyer", &["end", &bond]).await), ["request_end"]);
    court.chain.pass(DAY).await;
    assert_eq!(acts(&court.bonding("buyer", &["end", &bond]).await), ["end", "withdraw"]);
    drop(seller);
    let seller = court.sell();
    is_paid(&court.bought_under("other", &seller, &others).await);
    let shown = court.bonds_shown().await;
    assert_eq!(shown.as_array().map(Vec::len), Some(1), "{shown}");
    assert_eq!(shown[0]["bond"], json!(others));
}

#[tokio::test]
async fn a_buyer_that_waited_for_its_sellers_part_in_vain_is_told_and_buys_later() {
    let Some(court) = Court::joins("pledge_at_most = \"301\"").await else { return };
    court.changes("buyer", "[buyer]\n", "[buyer]\npatience_ms = 3000\n");
    let seller = court.sell();
    let bond = court.opens_bond("buyer", &seller, &[]).await;
    court.chain.anvil.ask("evm_setAutomine", json!([false])).await;
    refused(&court.bought_under("buyer", &seller, &bond).await, "nothing was served under bond");
    refused(&court.bought_under("buyer", &seller, &bond).await, "nothing was served under bond");
    court.chain.anvil.ask("evm_setAutomine", json!([true])).await;
    court.chain.anvil.mine(1).await;
    is_paid(&court.bought_under("buyer", &seller, &bond).await);
    drop(seller);
    assert_eq!(court.sellers_acts(&bond), [BondAct::Pledge]);
}

/// Killed at its first write, then at its second, and so on, until the buyer is served.
#[tokio::test]
async fn a_seller_that_is_killed_while_it_joins_pledges_once() {
    let Some(court) = Court::joins("pledge_at_most = \"100000\"").await else { return };
    let seller = court.sell();
    let bond = court.opens_bond("buyer", &seller, &[]).await;
    drop(seller);
    for write in 1..60 {
        let mut command = court.command("seller", &["sell"]);
        command.env("SDPP_DIES_AT", format!("{write}:synced"));
        let Some(mut seller) = court.sells(command) else { continue };
        let _ = fs::remove_file(court.path("buyer"));
        let mut buy = court.buys_under("buyer", &seller, &bond);
        let mut buyer = buy.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let over = async || {
            let is_dead = seller.child.try_wait().unwrap().is_some();
            let bought = buyer.try_wait().unwrap();
            (is_dead || bought.is_some()).then_some(bought)
        };
        let bought = rig::until("somebody ends", over).await;
        let _ = buyer.kill();
        let _ = buyer.wait();
        let held = court.held().await;
        assert!(held == BUYERS || held == BUYERS + SELLERS, "write {write}: {held}");
        if bought.is_some_and(|bought| bought.success()) {
            assert!(write > 3, "it died on its way");
            assert_eq!(held, BUYERS + SELLERS);
            drop(seller);
            assert_eq!(court.sellers_acts(&bond), [BondAct::Pledge]);
            return;
        }
    }
    panic!("it never ends");
}
