//! Items of a dataset under a bond, with the real binary: one that is not there costs the seller its bond, and
//! one that is there is shown, whatever has become of the file.

use crate::contract::DAY;
use crate::court::{Court, SECRET, acts, broken, ended, refused, told};
use crate::relay::{self, Heard, Relay};
use crate::whole::{self, Node};
use sdpp::crypto::{dataset_leaf, leaf, salt};
use sdpp::journal::Journal;
use sdpp::message::{Base64, Body, Data, DataInvoice, Path};
use sdpp::record::{End, Invoiced, Record, SignedMessage, Stray};
use sdpp::terms::Role;
use sdpp_ledger::{Digest, keccak, merkle};
use serde_json::{Value, json};
use std::fs;
use std::process::Command;

/// The event that an item was shown.
const SHOWN: &[u8] = b"Shown(bytes32)";

/// How many items the dataset has: no power of two.
const COUNT: u64 = 100;

/// Not one of its items.
const MADE_UP: &str = "reading 101";

/// Not one of its nodes.
const MADE_UP_DIGEST: Digest = Digest([7; 32]);

fn reading(seq: u64) -> String {
    format!("reading {seq}")
}

fn lines() -> String {
    (1..=COUNT).map(|seq| reading(seq) + "\n").collect()
}

fn tree() -> merkle::Tree {
    let leaf = |seq| dataset_leaf(&keccak(&[reading(seq).as_bytes()]));
    merkle::Tree::over((1..=COUNT).map(leaf).collect())
}

impl Court {
    /// The seller has promised its file once, and sold of it.
    async fn of_readings() -> Option<Court> {
        let court = Court::opens_of(tree().root()).await?;
        court.seller_sells();
        court.changes("seller", "format = \"lines\"", "format = \"lines\", committed = true");
        fs::write(court.path("items"), lines()).unwrap();
        drop(court.sell());
        court.remembers(Role::Seller, vec![broken()]);
        Some(court)
    }

    /// What a purchase of two items under a bond came to, where the first of these messages was forged.
    async fn buys_from_liar<T: Body>(
        &self,
        seller: &Node,
        kind: &'static str,
        lie: fn(&mut Value),
        bond: &str,
    ) -> Value {
        let key = self.chain.sellers_key.clone();
        let forged = move |heard: &Heard<'_>| {
            heard.instead(heard.frame.forged::<T>((&key, heard.session), lie))
        };
        let liar = Relay::to(&seller.address, relay::first(Role::Seller, kind, forged));
        let _ = fs::remove_file(self.path("stream"));
        let verb = ["buy", &liar.address, "gas", "2", "--trust-on-first-use", "--json"];
        let verb = [&verb[..], &["--output", "stream", "--bond", bond]].concat();
        let bought = self.run(self.command("buyer", &verb)).await;
        assert_eq!(bought.status.code(), Some(4), "{bought:?}");
        let bought: Value = serde_json::from_slice(&bought.stdout).unwrap();
        assert_eq!(bought["end"], "misconduct", "{bought}");
        bought
    }

    /// The datasets that the seller can still show items of.
    fn kept(&self) -> Vec<Digest> {
        let journal = Journal::open_existing(&self.path("seller-journal")).unwrap();
        let mut roots = journal.reader().kept_datasets().unwrap();
        roots.sort();
        roots
    }

    /// The buyer was sent this as the third item, with a way up to somewhere.
    fn brings(&self, text: &str, path: Option<Path>) {
        let (seq, item) = (3, text.as_bytes());
        let salt = salt(&SECRET, seq);
        let leaf = leaf(&self.terms.session, seq, &salt, item);
        let data = Data { seq, body: Base64(vec![1, 2, 3]), leaf, path };
        let stray = Stray { seq, content: keccak(&[item]), salt, invoiced: None };
        self.strays(stray, self.sign(Role::Seller, &data));
    }

    /// The same as the last item of its window: nothing that the seller signed has it but the invoice.
    fn brings_last(&self, text: &str) {
        let (seq, item) = (5, text.as_bytes());
        let salt = salt(&SECRET, seq);
        let mut leaves = self.leaves();
        leaves[4] = leaf(&self.terms.session, seq, &salt, item);
        let invoice = self.invoice_over(&leaves, merkle::root(&leaves), None);
        let proof = merkle::prove(&leaves, 4).unwrap();
        let invoiced = Some(Invoiced { number: 1, proof });
        self.strays(Stray { seq, content: keccak(&[item]), salt, invoiced }, invoice);
    }

    fn strays(&self, stray: Stray, message: SignedMessage) {
        let why = "it is not that of the dataset on the menu".to_owned();
        let end = ended(End::Misconduct, why, vec![message]);
        self.remembers(Role::Buyer, vec![Record::Stray(stray), end]);
    }

    /// The time to answer is over, and the buyer has what it won.
    async fn is_convicted(&self) {
        self.chain.pass(DAY).await;
        let last = self.settle("buyer").await;
        assert_eq!(acts(&last), ["conclude_challenge", "withdraw"], "{last}");
        assert_eq!(last["of_seller"], "0");
        assert_eq!(self.chain.credits().await, [0, 0]);
        let (buyer, seller) = (self.chain.bonds.buyer.units(), self.chain.bonds.seller.units());
        assert_eq!(self.held().await, buyer + seller / 2);
    }

    /// The stake is the seller's, and so is its bond.
    async fn is_acquitted(&self) {
        assert_eq!(self.chain.credits().await, [0, self.chain.stake()]);
        let again = self.settle("buyer").await;
        assert_eq!(acts(&again), [""; 0], "what was shown is not asked for again: {again}");
        assert_eq!(again["of_seller"], self.chain.bonds.seller.to_string());
    }

    async fn is_shown(&self) {
        self.tells(&keccak(&[SHOWN]).to_string()).await.unwrap();
    }
}

#[tokio::test]
async fn an_item_that_is_not_of_the_dataset_costs_the_seller_its_bond_by_two_commands() {
    let Some(court) = Court::of_readings().await else { return };
    court.brings(MADE_UP, None);
    let first = court.settle("buyer").await;
    assert_eq!(acts(&first), ["challenge_item"], "{first}");
    assert!(first["until_ms"].as_u64().is_some(), "{first}");
    assert_eq!(acts(&court.settle("seller").await), [""; 0], "there is nothing to show");
    court.is_convicted().await;
}

#[tokio::test]
async fn the_last_item_of_a_window_is_asked_for_by_its_invoice() {
    let Some(court) = Court::of_readings().await else { return };
    court.brings_last(MADE_UP);
    assert_eq!(acts(&court.settle("buyer").await), ["challenge_invoiced"]);
    assert_eq!(acts(&court.settle("seller").await), [""; 0], "there is nothing to show");
    court.is_convicted().await;
}

/// Its seller signed no way up, and has the item all the same: how a complaint ends is known to who has the
/// whole dataset.
/// Its seller signed no way up, and has the item all the same: how a complaint ends is known to who has the
/// whole dataset.
#[tokio::test]
async fn an_item_that_is_there_is_shown_by_a_command_though_its_file_is_gone() {
    let Some(court) = Court::of_readings().await else { return };
    court.brings(&reading(77), None);
    assert_eq!(acts(&court.settle("buyer").await), ["challenge_item"]);
    fs::remove_file(court.path("items")).unwrap();
    let shown = court.settle("seller").await;
    assert_eq!(acts(&shown), ["show", "withdraw"], "{shown}");
    assert_eq!(court.chain.credits().await, [0, 0]);
    let again = court.settle("buyer").await;
    assert_eq!(acts(&again), [""; 0], "what was shown is not asked for again: {again}");
}

#[tokio::test]
async fn a_seller_that_sells_shows_an_item_though_its_file_is_another() {
    let Some(court) = Court::of_readings().await else { return };
    court.brings(&reading(COUNT), None);
    assert_eq!(acts(&court.settle("buyer").await), ["challenge_item"]);
    fs::write(court.path("items"), "another\n").unwrap();
    let seller = court.sell();
    court.is_shown().await;
    drop(seller);
    court.is_acquitted().await;
}

#[tokio::test]
async fn a_seller_that_sells_shows_the_last_item_of_a_window() {
    let Some(court) = Court::of_readings().await else { return };
    court.brings_last(&reading(1));
    assert_eq!(acts(&court.settle("buyer").await), ["challenge_invoiced"]);
    // It promises nothing any more.
    court.changes("seller", ", committed = true", "");
    let seller = court.sell();
    court.is_shown().await;
    drop(seller);
    court.is_acquitted().await;
}

/// It has nothing to sell, and ends; a complaint does not wait until it has.
#[tokio::test]
async fn a_seller_that_cannot_start_shows_what_it_is_asked_for() {
    let Some(court) = Court::of_readings().await else { return };
    court.brings(&reading(77), None);
    assert_eq!(acts(&court.settle("buyer").await), ["challenge_item"]);
    fs::remove_file(court.path("items")).unwrap();
    let ended = court.run(court.command("seller", &["sell"])).await;
    refused(&ended, "no topic of this config can be sold");
    court.is_acquitted().await;
}

/// The contract asks whether it is anywhere in the dataset, and it is: the stake would be lost.
#[tokio::test]
async fn nobody_complains_of_an_item_in_anothers_place() {
    let Some(court) = Court::of_readings().await else { return };
    let path = tree().prove(76).unwrap().path;
    court.brings(&reading(77), Some(Path::of(&path, &salt(&SECRET, 3))));
    let told = told(&court.settles("buyer", &["--dry-run"]).await)["bond"].clone();
    assert_eq!((&told["complaints"], &told["next"]), (&json!(0), &Value::Null), "{told}");
}

/// The bait of a seller that sends items without their way: it has one stake by it, whatever it sends and however
/// often, unless the buyer wants it so.
#[tokio::test]
async fn nobody_stakes_by_itself_again_on_an_item_of_a_dataset() {
    let Some(mut court) = Court::of_readings().await else { return };
    court.brings(&reading(77), None);
    assert_eq!(acts(&court.settle("buyer").await), ["challenge_item"]);
    assert_eq!(acts(&court.settle("seller").await), ["show", "withdraw"]);
    court.begins_again();
    court.brings(&reading(77), None);
    let same = told(&court.settles("buyer", &["--stake", "1000"]).await)["bond"].clone();
    assert_eq!(acts(&same), [""; 0], "it was shown: {same}");
    court.begins_again();
    court.brings(&reading(78), None);
    let other = court.settle("buyer").await;
    let why = other["why"].as_str().unwrap_or_default();
    assert!(acts(&other).is_empty() && why.contains("--stake 40"), "{other}");
    let less = told(&court.settles("buyer", &["--stake", "39"]).await)["bond"].clone();
    assert_eq!(acts(&less), [""; 0], "{less}");
    let staked = told(&court.settles("buyer", &["--stake", "40"]).await)["bond"].clone();
    assert_eq!(acts(&staked), ["challenge_item"], "{staked}");
}

/// A file that grows is promised by another root at each start.
#[tokio::test]
async fn what_was_sold_under_a_bond_is_kept_and_what_was_only_promised_is_not() {
    let Some(court) = Court::of_readings().await else { return };
    let root = |text: &str| {
        let leaves = text.lines().map(|line| dataset_leaf(&keccak(&[line.as_bytes()])));
        merkle::root(&leaves.collect::<Vec<_>>())
    };
    let promises = |text: String| {
        fs::write(court.path("items"), &text).unwrap();
        drop(court.sell());
        let mut both = vec![tree().root(), root(&text)];
        both.sort();
        assert_eq!(court.kept(), both);
    };
    assert_eq!(court.kept(), [tree().root()]);
    promises(lines() + "reading 101\n");
    promises(lines() + "reading 101\nreading 102\n");
    court.changes("seller", ", committed = true", "");
    drop(court.sell());
    assert_eq!(court.kept(), [tree().root()]);
}

/// Its seller types nothing for that: its ledger says that nothing of ours is in it.
#[tokio::test]
async fn what_was_sold_under_a_bond_is_kept_no_longer_than_that_also_where_the_buyer_ends_it() {
    let Some((court, _, bond)) = whole::pledged().await else { return };
    court.changes("seller", "format = \"lines\"", "format = \"lines\", committed = true");
    let seller = court.sell();
    assert_eq!(court.buy(&seller, &["--bond", &bond]).await["end"], "complete");
    drop(seller);
    court.changes("seller", ", committed = true", "");
    drop(court.sell());
    assert_eq!(court.kept().len(), 1, "it is not over");
    assert_eq!(acts(&court.bonding("buyer", &["end", &bond]).await), ["request_end"]);
    court.chain.pass(600).await;
    assert_eq!(acts(&court.bonding("buyer", &["end", &bond]).await), ["end", "withdraw"]);
    drop(court.sell());
    assert_eq!(court.kept(), []);
}

/// What answers other complaints is written in that room.
#[tokio::test]
async fn a_seller_keeps_no_dataset_that_leaves_too_little_room() {
    let Some(court) = Court::of_readings().await else { return };
    court.changes(
        "seller",
        "dir = \"seller-journal\"",
        "dir = \"seller-journal\"\nroom_mb = 1048576",
    );
    fs::write(court.path("items"), lines() + "reading 101\n").unwrap();
    // However large the disk is.
    let mut command = Command::new("bash");
    command.args(["-c", "ulimit -f 65536; exec \"$0\" sell --config seller.toml"]);
    command.arg(env!("CARGO_BIN_EXE_sdpp")).current_dir(court.path("."));
    let ended = court.run(command).await;
    refused(&ended, "has no room to keep what shows its items");
    assert_eq!(court.kept(), [tree().root()]);
}

/// Nobody could ask it for an item.
#[tokio::test]
async fn a_seller_without_bonds_keeps_nothing_of_what_it_promises() {
    let Some(court) = Court::opens_of(tree().root()).await else { return };
    court.seller_sells();
    court.changes("seller", "format = \"lines\"", "format = \"lines\", committed = true");
    court.changes(
        "seller",
        "[seller.bonds.ETH]\nbuyer = \"400\"\nseller = \"301\"\nstake = \"20\"\nfee = \"10\"\n",
        "",
    );
    drop(court.sell());
    assert_eq!(court.kept(), []);
}

/// Its buyer need type nothing for that. Here the item is of the dataset and only its way is not: a bait, which the
/// seller that runs answers. The next stake is a person's to decide on, whatever it is for.
#[tokio::test]
async fn a_buyer_complains_by_itself_once_under_a_bond() {
    let Some((court, _, bond)) = whole::pledged().await else { return };
    court.changes("seller", "format = \"lines\"", "format = \"lines\", committed = true");
    let seller = court.sell();
    let nowhere =
        |data: &mut Value| data["path"] = json!(Path::of(&[MADE_UP_DIGEST], &Digest::ZERO));
    let asked = court.buys_from_liar::<Data>(&seller, "data", nowhere, &bond).await;
    assert_eq!(acts(&asked["bond"]), ["challenge_item"], "{asked}");
    court.is_shown().await;

    let other = |data: &mut Value| data["invoice"]["root"] = json!(MADE_UP_DIGEST);
    let kept = court.buys_from_liar::<DataInvoice>(&seller, "data_invoice", other, &bond).await;
    let why = kept["bond"]["why"].as_str().unwrap_or_default();
    assert!(acts(&kept["bond"]).is_empty() && why.contains("--stake 40"), "{kept}");
    let session = kept["session"].as_str().unwrap();
    let verb = ["dispute", "settle", session, "--json"];
    let typed = told(&court.run(court.command("buyer", &verb)).await);
    assert_eq!(acts(&typed["bond"]), ["challenge_root"], "{typed}");
}
