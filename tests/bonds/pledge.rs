//! `sdpp ledger bond`, with the real binary of both sides: what is pledged, and what never is.

use crate::court::{Court, acts, refused, told};
use crate::rig;
use sdpp::record::{Act, Owed, Record};
use sdpp::terms::{Purpose, Role, SessionId};
use sdpp_ledger::{Amount, Asset, Call, Digest, Key, Open};
use serde_json::Value;
use std::os::unix::process::ExitStatusExt;
use std::process::Output;

/// What a buyer types to open a bond: the amounts that the seller's config asks for.
const AMOUNTS: [&str; 8] = ["--buyer", "400", "--seller", "301", "--stake", "20", "--fee", "10"];

impl Court {
    async fn bond(&self, side: &str, verb: &[&str]) -> Output {
        let verb = [&["ledger", "bond"], verb, &["--json"]].concat();
        self.run(self.command(side, &verb)).await
    }

    /// The buyer opens a bond for its channel, with the seller's key as it is told.
    async fn opened(&self, sellers_key: &Key, amounts: &[&str]) -> Value {
        let (channel, key) = (self.chain.channel.to_string(), sellers_key.public().to_string());
        let verb = [&["open", &channel, "--seller-key", &key], amounts].concat();
        told(&self.bond("buyer", &verb).await)
    }
}

fn id(bond: &Value) -> String {
    bond["bond"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn both_pledge_a_bond_and_have_it_back() {
    let Some(court) = Court::without_bond().await else { return };
    court.seller_sells();
    let opened = court.opened(&court.chain.sellers_key, &AMOUNTS).await;
    assert_eq!(acts(&opened), ["pledge"], "{opened}");
    let bond = id(&opened);
    let joined = told(&court.bond("seller", &["join", &bond, "--at-most", "301"]).await);
    assert_eq!(acts(&joined), ["pledge"], "{joined}");
    assert_eq!(joined["held"]["is_good"], true, "{joined}");
    let again = told(&court.bond("seller", &["join", &bond, "--at-most", "301"]).await);
    assert_eq!(acts(&again), [""; 0], "{again}");
    let shown = told(&court.bond("buyer", &["show", &bond]).await);
    let key = |key: &Key| key.public().account().to_string();
    assert_eq!(shown["seller_key"], key(&court.chain.sellers_key), "{shown}");
    assert_eq!(shown["buyer_key"], key(&court.chain.buyers_key));
    assert_eq!((&shown["stake"], &shown["fee"]), (&"20".into(), &"10".into()));
    let added = told(&court.bond("buyer", &["add", &bond, "--amount", "5"]).await);
    assert_eq!(added["held"]["of_buyer"], "405", "{added}");
    let asked = told(&court.bond("buyer", &["end", &bond]).await);
    assert_eq!(acts(&asked), ["request_end"], "{asked}");
    court.chain.pass(crate::contract::DAY).await;
    let ended = told(&court.bond("buyer", &["end", &bond]).await);
    assert_eq!(acts(&ended), ["end", "withdraw"], "{ended}");
    let ended = told(&court.bond("seller", &["end", &bond]).await);
    assert!(acts(&ended).contains(&"withdraw"), "{ended}");
    assert_eq!((court.held().await, court.chain.credits().await), (0, [0, 0]));
    let again = court.run(court.command("buyer", &["ledger", "bond", "end", &bond])).await;
    let said = String::from_utf8(again.stdout).unwrap();
    assert!(said.contains("it is over") && !said.contains("until"), "{said}");
    let buy = ["buy", "127.0.0.1:1", "gas", "2", "--trust-on-first-use", "--bond", &bond];
    let show = format!("`sdpp ledger bond show {bond} --config FILE`");
    let refusal = court.run(court.command("buyer", &buy)).await;
    refused(&refusal, "not in force: it is over");
    refused(&refusal, &show);
}

/// Who opens a bond writes all of it: with a key of its own in the seller's place it would convict the
/// seller of whatever it likes.
#[tokio::test]
async fn nobody_pledges_for_what_another_signs() {
    let Some(court) = Court::without_bond().await else { return };
    court.seller_sells();
    let strangers = Key::from_bytes(&[3; 32]).unwrap();
    let bond = id(&court.opened(&strangers, &AMOUNTS).await);
    let joined = court.bond("seller", &["join", &bond, "--at-most", "301"]).await;
    refused(&joined, "whoever has that key could take what we pledge");
    let channel = court.chain.channel.to_string();
    let key = strangers.public().to_string();
    let open = [&["open", &channel, "--seller-key", &key], &AMOUNTS[..]].concat();
    refused(&court.bond("seller", &open).await, "whoever has that key");
    assert_eq!(court.held().await, 400, "the buyer's own alone");
}

#[tokio::test]
async fn a_seller_pledges_for_no_less_than_its_config_asks_for() {
    let Some(court) = Court::without_bond().await else { return };
    let amounts = ["--buyer", "399", "--seller", "301", "--stake", "20", "--fee", "10"];
    let bond = id(&court.opened(&court.chain.sellers_key, &amounts).await);
    let join = ["join", &bond, "--at-most", "301"];
    refused(&court.bond("seller", &join).await, "[seller.bonds.NAME]");
    court.seller_sells();
    refused(&court.bond("seller", &join).await, "[seller.bonds] asks for 400 of the buyer's");
    assert_eq!(court.held().await, 399);
}

/// A fee as high as the bond, and a seller that pledges next to nothing.
#[tokio::test]
async fn a_buyer_says_what_it_takes_of_a_bond_that_its_seller_wrote() {
    let Some(court) = Court::without_bond().await else { return };
    court.seller_sells();
    let channel = court.chain.channel.to_string();
    let key = court.chain.sellers_key.public().to_string();
    let open = [&["open", &channel, "--seller-key", &key], &AMOUNTS[..]].concat();
    let bond = id(&told(&court.bond("seller", &open).await));
    let join = ["join", &bond, "--at-most", "400"];
    refused(&court.bond("buyer", &join).await, "--seller-at-least");
    let says = |seller, stake, fee| {
        let wants = ["--seller-at-least", seller, "--stake-at-most", stake, "--fee-at-most", fee];
        [&join[..], &wants[..]].concat()
    };
    refused(&court.bond("buyer", &says("302", "20", "10")).await, "302 was asked for");
    refused(&court.bond("buyer", &says("301", "19", "10")).await, "its stake is 20");
    refused(&court.bond("buyer", &says("301", "20", "9")).await, "its fee is 10");
    let joined = told(&court.bond("buyer", &says("301", "20", "10")).await);
    assert_eq!(acts(&joined), ["pledge"], "{joined}");
}

/// A demand is heard of when it is final, and what goes before its answer must be so too.
#[tokio::test]
async fn a_buyer_has_no_part_in_a_bond_that_is_lost_before_it_can_answer() {
    let Some(court) = Court::opens().await else { return };
    court.hears_late("buyer").await;
    let (channel, id) = (court.chain.channel.to_string(), court.chain.id.to_string());
    let buy = ["buy", "127.0.0.1:1", "gas", "2", "--trust-on-first-use", "--bond", &id];
    refused(&court.run(court.command("buyer", &buy)).await, "hear of one 32400 s late");
    let key = court.chain.sellers_key.public().to_string();
    let open = [&["open", &channel, "--seller-key", &key], &AMOUNTS[..]].concat();
    refused(&court.bond("buyer", &open).await, "hear of one 32400 s late");
}

impl Court {
    /// The same, killed at one of its writes. Whether it was.
    async fn is_killed_at(&self, write: u32, side: &str, verb: &[&str]) -> bool {
        let mut command = self.command(side, &[&["ledger", "bond"], verb, &["--json"]].concat());
        command.env("SDPP_DIES_AT", format!("{write}:synced"));
        let output = self.run(command).await;
        let is_killed = output.status.signal().is_some();
        assert!(is_killed || output.status.success(), "{output:?}");
        is_killed
    }
}

/// Wherever it is killed, the same command goes on: what was pledged comes back whole.
#[tokio::test]
async fn a_pledge_is_taken_back_wherever_the_command_is_killed() {
    let Some(court) = Court::without_bond().await else { return };
    let bond = id(&court.opened(&court.chain.sellers_key, &AMOUNTS).await);
    let mut write = 1;
    while court.is_killed_at(write, "buyer", &["revoke", &bond]).await {
        write += 1;
        assert!(write < 40, "it never ends");
    }
    assert!(write > 2, "it died on its way");
    assert_eq!((court.held().await, court.chain.credits().await), (0, [0, 0]));
    let again = told(&court.bond("buyer", &["revoke", &bond]).await);
    assert_eq!(acts(&again), [""; 0], "{again}");
}

#[tokio::test]
async fn what_was_being_added_when_the_command_was_killed_is_added_once() {
    for write in 1..=3 {
        let Some(court) = Court::opens().await else { return };
        let bond = court.chain.id.to_string();
        let add = ["add", &bond, "--amount", "5"];
        assert!(court.is_killed_at(write, "buyer", &add).await, "write {write}");
        let added = told(&court.bond("buyer", &add).await);
        assert_eq!(added["held"]["of_buyer"], "405", "write {write}: {added}");
    }
}

/// What answers a demand is paid from the channel: it stays open until the bond was had back.
#[tokio::test]
async fn a_channel_is_not_closed_under_a_bond() {
    let Some(court) = Court::without_bond().await else { return };
    let (channel, payee, asset) = (court.chain.channel, rig::account(1), Asset::coin());
    let signer = Some(court.chain.buyers_key.public().account());
    let (deposit, salt) = (Amount::new(crate::contract::DEPOSIT), Digest([9; 32]));
    let open = Open { payee: payee.clone(), asset: asset.clone(), deposit, salt, signer };
    let owed = Owed {
        reference: SessionId(Digest(channel.0)).reference(Purpose::Open, 0),
        purpose: Purpose::Open,
        ledger: "eip155:31337".parse().unwrap(),
        act: Act::Do(Call::Open(open)),
        held: false,
    };
    court.knows(Role::Buyer, Record::Funding { channel, payee, asset, owed });
    let bond = id(&court.opened(&court.chain.sellers_key, &AMOUNTS).await);
    let name = channel.to_string();
    let close =
        |verb: &[&str]| court.run(court.command("buyer", &[&["ledger", "close"], verb].concat()));
    refused(&close(&[&name]).await, "`sdpp ledger bond end` has that back first");
    let all = close(&["--all"]).await;
    assert!(String::from_utf8_lossy(&all.stderr).contains("stays open"), "{all:?}");
    assert_eq!(String::from_utf8_lossy(&all.stdout), "", "there is an open channel");
    told(&court.bond("buyer", &["revoke", &bond]).await);
    let closed = close(&[&name]).await;
    let said = String::from_utf8_lossy(&closed.stdout);
    assert!(said.contains("can be withdrawn from"), "{closed:?}");
}
