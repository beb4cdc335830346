//! `sdpp dispute settle` under a bond, with the real binary: what a session's two sides signed becomes a
//! complaint, and with the second command the bonds are where they belong.

use crate::contract::DAY;
use crate::court::{Court, acts};
use crate::rig::PATIENCE;
use crate::rig::proxy::{Fault, Proxy};
use sdpp_ledger::{Amount, keccak};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

/// Half of a lost bond is burnt, and stays in the contract beside the other side's.
fn left(other: Amount, lost: Amount) -> u128 {
    other.units() + lost.units() / 2
}

#[tokio::test]
async fn the_seller_signs_one_reading_and_invoices_another() {
    let Some(court) = Court::opens().await else { return };
    court.seller_cheats();
    let first = court.settle("buyer").await;
    assert_eq!(acts(&first), ["challenge_root"], "{first}");
    assert!(first["until_ms"].as_u64().is_some(), "{first}");
    let again = court.settle("buyer").await;
    assert_eq!(acts(&again), [""; 0], "typed twice it complains once: {again}");
    court.chain.pass(DAY).await;
    let last = court.settle("buyer").await;
    assert_eq!(acts(&last), ["conclude_challenge", "withdraw"], "{last}");
    assert_eq!(last["of_seller"], "0");
    assert_eq!(court.chain.credits().await, [0, 0]);
    let bonds = &court.chain.bonds;
    assert_eq!(court.held().await, left(bonds.buyer, bonds.seller));
    assert_eq!(acts(&court.settle("buyer").await), [""; 0]);
}

#[tokio::test]
async fn the_buyer_acknowledges_is_asked_in_public_and_stays_silent() {
    let Some(court) = Court::opens().await else { return };
    court.buyer_is_gone();
    let first = court.settle("seller").await;
    assert_eq!(acts(&first), ["demand"], "{first}");
    assert_eq!(acts(&court.settle("seller").await), [""; 0]);
    court.chain.pass(DAY).await;
    let last = court.settle("seller").await;
    assert_eq!(acts(&last), ["conclude_demand", "withdraw"], "{last}");
    assert_eq!(last["of_buyer"], "0");
    let bonds = &court.chain.bonds;
    assert_eq!(court.held().await, left(bonds.seller, bonds.buyer));
}

/// A session's sides do not look at v, and the contract recovers by it: the submitter writes it.
#[tokio::test]
async fn what_is_signed_with_the_other_v_counts_all_the_same() {
    let Some(court) = Court::opens_with_other_vs().await else { return };
    court.seller_cheats();
    assert_eq!(acts(&court.settle("buyer").await), ["challenge_root"]);
    court.buyer_is_gone();
    assert_eq!(acts(&court.settle("seller").await)[0], "demand");
    let Some(court) = Court::opens_with_other_vs().await else { return };
    court.seller_signs_twice();
    assert_eq!(acts(&court.settle("buyer").await), ["convict_of_items", "withdraw"]);
}

#[tokio::test]
async fn a_seller_demands_what_it_receipted_and_loses_its_bond() {
    let Some(court) = Court::opens_with_other_vs().await else { return };
    court.buyer_is_gone();
    court.buyer_has_a_receipt();
    assert_eq!(acts(&court.settle("seller").await), ["demand"]);
    let refuted = court.settle("buyer").await;
    assert_eq!(acts(&refuted), ["refute_by_exit", "withdraw"], "{refuted}");
    assert_eq!(refuted["of_seller"], "0");
}

/// A root has no leaves that the buyer could point at: it asks for one item after the other, and the
/// seller shows those that are there.
#[tokio::test]
async fn a_seller_shows_what_it_can_and_loses_its_bond_to_the_rest() {
    let Some(court) = Court::opens().await else { return };
    court.seller_cheats();
    court.seller_remembers_what_it_invoiced();
    for _ in 0..2 {
        let asked = court.settle("buyer").await;
        assert_eq!(acts(&asked), ["challenge_root"], "{asked}");
        let shown = court.settle("seller").await;
        assert_eq!(acts(&shown), ["show", "withdraw"], "{shown}");
    }
    assert_eq!(acts(&court.settle("buyer").await), ["challenge_root"]);
    assert_eq!(acts(&court.settle("seller").await), [""; 0], "the third is another reading");
    court.chain.pass(DAY).await;
    let last = court.settle("buyer").await;
    assert_eq!(acts(&last), ["conclude_challenge", "withdraw"], "{last}");
}

/// Nobody was there when it was complained of: a seller that is started again answers by itself.
#[tokio::test]
async fn a_seller_that_was_down_answers_when_it_sells_again() {
    let Some(court) = Court::opens().await else { return };
    court.seller_cheats();
    court.seller_remembers_what_it_invoiced();
    assert_eq!(acts(&court.settle("buyer").await), ["challenge_root"]);
    court.seller_sells();
    let mut sell = court.command("seller", &["sell"]);
    let mut seller = sell.stdout(Stdio::null()).spawn().unwrap();
    let answered = court.tells(&keccak(&[b"Shown(bytes32)"]).to_string()).await;
    let (kept, _) = (seller.kill(), seller.wait());
    kept.unwrap();
    answered.unwrap();
}

/// A file that is promised is read to its end first, which takes the longer the larger it is.
#[tokio::test]
async fn a_seller_answers_before_it_listens() {
    let Some(court) = Court::opens().await else { return };
    court.seller_cheats();
    court.seller_remembers_what_it_invoiced();
    assert_eq!(acts(&court.settle("buyer").await), ["challenge_root"]);
    court.seller_sells();
    court.changes("seller", "format = \"lines\"", "format = \"lines\", committed = true");
    fs::write(court.path("items"), "1\n".repeat(8_000_000)).unwrap();
    let mut sell = court.command("seller", &["sell"]);
    let mut seller = sell.stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(seller.stdout.take().unwrap());
    let listens = tokio::task::spawn_blocking(move || said.read_line(&mut String::new()));
    let answered = court.tells(&keccak(&[b"Shown(bytes32)"]).to_string()).await;
    let is_first = !listens.is_finished();
    let (kept, _) = (seller.kill(), seller.wait());
    kept.unwrap();
    answered.unwrap();
    assert!(is_first, "it listened before");
}

/// It was pledged from elsewhere, and its words are in an event that the endpoint does not keep.
#[tokio::test]
async fn a_seller_says_which_bond_it_cannot_look_up() {
    let Some(court) = Court::opens().await else { return };
    court.seller_remembers_what_it_invoiced();
    court.seller_sells();
    let proxy = Proxy::start(court.chain.anvil.port).await;
    court.changes("seller", &court.chain.anvil.url(), &proxy.url());
    let gone = || Fault::Error("old events are not kept here".to_owned());
    proxy.rule(move |method, _| (method == "eth_getLogs").then(gone));
    let mut sell = court.command("seller", &["sell"]);
    let mut seller = sell.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(seller.stderr.take().unwrap());
    let is_it = |line: &String| line.contains("a bond cannot be looked up");
    let looks = tokio::task::spawn_blocking(move || said.lines().map(Result::unwrap).find(is_it));
    let told = tokio::time::timeout(PATIENCE, looks).await;
    let (kept, _) = (seller.kill(), seller.wait());
    kept.unwrap();
    let line = told.expect("it is said").unwrap().unwrap();
    assert!(line.contains(&court.chain.id.to_string()), "{line}");
}
