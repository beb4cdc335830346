//! Stories of one node: restart, torn end, damage, lock, many callers, reorganisation.

use super::*;
use crate::EmbeddedLedger;
use crate::faults::{Fault, Faulty, Odds};
use sdpp_ledger::{
    Account, Amount, Anchor, Asset, Claim, Digest, Finality, Key, Ledger, Payments, Records,
    Reference, Signed, Transfer,
};
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

/// A folder, a clock, and a genesis: what is left when a node is gone.
struct Place {
    folder: tempfile::TempDir,
    time: Arc<AtomicU64>,
    genesis: Genesis,
}

impl Place {
    fn new(genesis: Genesis) -> Self {
        Place {
            folder: tempfile::tempdir().unwrap(),
            time: Arc::new(AtomicU64::new(1_000)),
            genesis: Genesis { faucet: Some(Amount::new(100)), ..genesis },
        }
    }

    fn clock(&self) -> Clock {
        let time = Arc::clone(&self.time);
        Arc::new(move || time.load(Ordering::SeqCst))
    }

    fn try_open(&self) -> Result<LocalNode, OpenError> {
        LocalNode::open(self.folder.path(), self.genesis.clone(), self.clock())
    }

    fn open(&self) -> Arc<LocalNode> {
        Arc::new(self.try_open().unwrap())
    }

    fn blocks(&self) -> PathBuf {
        self.folder.path().join("blocks")
    }

    fn damage(&self) -> u64 {
        match self.try_open() {
            Err(OpenError::Damaged { offset, .. }) => offset,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("damage was not noticed"),
        }
    }
}

fn ledger(node: &Arc<LocalNode>) -> EmbeddedLedger {
    let node = Arc::clone(node) as Arc<dyn Node>;
    EmbeddedLedger::new(node, Key::from_bytes(&[7; 32]).unwrap())
}

fn anchor(digest: u64) -> Anchor {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&digest.to_be_bytes());
    Anchor::One { reference: Reference([0; 32]), digest: Digest(bytes) }
}

async fn submit(ledger: &EmbeddedLedger, number: u64) -> Signed {
    let signed = ledger.anchor(number, &anchor(number)).await.unwrap();
    ledger.submit(&signed).await.unwrap();
    signed
}

/// Everything that a node tells of its account.
async fn told(ledger: &EmbeddedLedger) -> String {
    let (node, account) = (ledger.node(), ledger.account());
    let head = node.head().await.unwrap();
    let history = node.history(account, 100).await.unwrap();
    let balance = node.balance(account, &Asset::coin()).await.unwrap();
    format!("{head:?} {history:?} {balance}")
}

async fn live(place: &Place, count: u64) -> String {
    let node = place.open();
    let ledger = ledger(&node);
    let coin = Asset::coin();
    let fund = ledger.node().fund(ledger.account(), &coin, Amount::new(9));
    fund.await.unwrap();
    for number in 0..count {
        place.time.fetch_add(10, Ordering::SeqCst);
        submit(&ledger, number).await;
    }
    told(&ledger).await
}

#[tokio::test]
async fn a_restart_changes_nothing() {
    let place = Place::new(Genesis::default());
    let before = live(&place, 5).await;
    let node = place.open();
    assert_eq!(told(&ledger(&node)).await, before);
}

#[tokio::test]
async fn a_folder_keeps_its_first_start_and_rules() {
    let mut place = Place::new(Genesis::default());
    let first = place.open().origin().clone();
    place.genesis.started_ms = 5;
    assert_eq!(*place.open().origin(), first);
    place.genesis.depth = 2;
    let error = place.try_open().err().unwrap().to_string();
    assert!(error.contains("depth is 1, not 2"), "{error}");
}

#[tokio::test]
async fn every_torn_end_is_cut_off_and_the_rest_is_there() {
    let place = Place::new(Genesis::default());
    let whole = live(&place, 2).await;
    let sound = fs::read(place.blocks()).unwrap();
    live_one_more(&place).await;
    let longer = fs::read(place.blocks()).unwrap();
    for cut in (sound.len() + 1..longer.len()).step_by(29) {
        fs::write(place.blocks(), &longer[..cut]).unwrap();
        let node = place.open();
        assert_eq!(told(&ledger(&node)).await, whole, "cut at {cut}");
        drop(node);
        assert_eq!(fs::read(place.blocks()).unwrap(), sound);
    }
    // A page in the middle of the last record that never came, though its end did.
    let mut holed = longer.clone();
    holed[sound.len() + 20..sound.len() + 60].fill(0);
    fs::write(place.blocks(), &holed).unwrap();
    let node = place.open();
    assert_eq!(told(&ledger(&node)).await, whole);
    // And the file goes on from there.
    drop(node);
    live_one_more(&place).await;
    assert_eq!(fs::read(place.blocks()).unwrap(), longer);
}

async fn live_one_more(place: &Place) {
    let node = place.open();
    let ledger = ledger(&node);
    let number = ledger.next_number().await.unwrap();
    submit(&ledger, number).await;
}

#[tokio::test]
async fn damage_in_the_middle_is_named_with_its_place() {
    let place = Place::new(Genesis::default());
    live(&place, 3).await;
    let good = fs::read(place.blocks()).unwrap();
    let starts: Vec<usize> = std::iter::once(0)
        .chain(good.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(i, _)| i + 1))
        .collect();
    let records = starts.len() - 1;
    for record in 0..records - 1 {
        let mut bad = good.clone();
        bad[starts[record] + 40] ^= 1;
        fs::write(place.blocks(), &bad).unwrap();
        assert_eq!(place.damage(), starts[record] as u64, "record {record}");
    }
    // A whole record taken out: each line is sound, the chain is not.
    let mut gap = good.clone();
    gap.drain(starts[2]..starts[3]);
    fs::write(place.blocks(), &gap).unwrap();
    assert_eq!(place.damage(), starts[2] as u64);
    fs::write(place.blocks(), b"").unwrap();
    assert_eq!(place.damage(), 0);
}

#[tokio::test]
async fn a_forged_record_with_a_good_checksum_is_damage() {
    let place = Place::new(Genesis::default());
    live(&place, 1).await;
    let good = fs::read_to_string(place.blocks()).unwrap();
    let last = good.lines().last().unwrap();
    let forged = last[17..].replace("\"at_ms\":1010", "\"at_ms\":1011");
    assert_ne!(forged, last[17..], "the story needs that block");
    // Another time makes another hash, so whatever follows does not fit.
    let sum = hex::encode(&sdpp_ledger::keccak(&[forged.as_bytes()]).0[..8]);
    let next = "{\"height\":3,\"parent\":\"0x00\",\"at_ms\":1,\"ops\":[]}";
    let sum_next = hex::encode(&sdpp_ledger::keccak(&[format!("[{next}]").as_bytes()]).0[..8]);
    let start = good.len() - last.len() - 1;
    let text = format!("{}{sum} {forged}\n{sum_next} [{next}]\n", &good[..start]);
    fs::write(place.blocks(), &text).unwrap();
    assert_eq!(place.damage(), (start + last.len() + 1) as u64);
}

#[tokio::test]
async fn a_second_process_is_told_who_holds_the_folder() {
    let place = Place::new(Genesis::default());
    let node = place.open();
    let error = place.try_open().err().unwrap();
    let pid = std::process::id().to_string();
    assert!(matches!(&error, OpenError::InUse { holder, .. } if *holder == pid));
    drop(node);
    place.open();
}

#[tokio::test]
async fn callers_that_come_together_share_one_sync() {
    let place = Place::new(Genesis::default());
    let node = place.open();
    let turn = node.turn.lock().await;
    let mut callers: Vec<_> = (1..=32)
        .map(|owner| {
            let node = Arc::clone(&node) as Arc<dyn Node>;
            let ledger = EmbeddedLedger::new(node, Key::from_bytes(&[owner; 32]).unwrap());
            tokio::spawn(async move { submit(&ledger, 0).await })
        })
        .collect();
    while node.arrivals.lock().unwrap().len() < callers.len() {
        tokio::task::yield_now().await;
    }
    // Who goes away leaves its transaction behind, and takes nobody else's along.
    let gone = callers.swap_remove(0);
    gone.abort();
    assert!(gone.await.unwrap_err().is_cancelled());
    drop(turn);
    for caller in callers {
        caller.await.unwrap();
    }
    let head = ledger(&node).status().await.unwrap();
    assert_eq!(head.height, 32, "each has a block of its own");
    drop(node);
    let records = fs::read_to_string(place.blocks()).unwrap().lines().count();
    assert_eq!(records, 2, "the genesis, and all callers' blocks in one record");
    let node = place.open();
    assert_eq!(ledger(&node).status().await.unwrap(), head);
}

#[tokio::test]
async fn after_a_failed_write_nothing_is_answered() {
    let place = Place::new(Genesis::default());
    let node = place.open();
    let ledger = ledger(&node);
    submit(&ledger, 0).await;
    {
        let mut inner = node.inner.lock().unwrap();
        inner.store.as_mut().unwrap().close_for_writing();
    }
    let signed = ledger.anchor(1, &anchor(1)).await.unwrap();
    for _ in 0..2 {
        let error = ledger.submit(&signed).await.unwrap_err();
        assert!(matches!(error, LedgerError::Unavailable { .. }), "{error}");
    }
    assert!(ledger.status().await.is_err());
    drop((ledger, node));
    let node = place.open();
    let ledger = self::ledger(&node);
    assert_eq!(ledger.finality(&signed).await, Ok(Finality::Unknown));
    assert_eq!(ledger.next_number().await, Ok(1));
}

#[tokio::test]
async fn the_pool_is_forgotten_by_a_restart_and_filled_by_the_owner() {
    let place = Place::new(Genesis { block_time_ms: 1_000, ..Genesis::default() });
    let node = place.open();
    let signed = submit(&ledger(&node), 0).await;
    let waiting = ledger(&node).finality(&signed).await;
    assert_eq!(waiting, Ok(Finality::Pending(None)));
    drop(node);
    let node = place.open();
    let ledger = ledger(&node);
    assert_eq!(ledger.finality(&signed).await, Ok(Finality::Unknown));
    ledger.submit(&signed).await.unwrap();
    place.time.fetch_add(1_000, Ordering::SeqCst);
    let known = ledger.finality(&signed).await.unwrap();
    assert!(matches!(known, Finality::Final(_)), "{known:?}");
}

#[tokio::test]
async fn a_reorganised_transaction_is_unknown_until_it_is_sent_again() {
    let place = Place::new(Genesis { depth: 3, ..Genesis::default() });
    let node = place.open();
    let ledger = ledger(&node);
    let for_good = submit(&ledger, 0).await;
    let lost = submit(&ledger, 1).await;
    node.seal_empty(1).await.unwrap();
    let first = ledger.finality(&lost).await.unwrap();
    assert!(matches!(first, Finality::Pending(Some(_))), "{first:?}");
    let undone = node.reorganise(9, false).await.unwrap();
    assert_eq!(undone, 2, "no further than what is final");
    assert_eq!(ledger.finality(&lost).await, Ok(Finality::Unknown));
    let kept = ledger.finality(&for_good).await.unwrap();
    assert!(matches!(kept, Finality::Final(_)), "{kept:?}");
    let after = told(&ledger).await;
    drop((ledger, node));
    let node = place.open();
    let ledger = self::ledger(&node);
    assert_eq!(told(&ledger).await, after, "it is so on the disk too");
    ledger.submit(&lost).await.unwrap();
    node.seal_empty(2).await.unwrap();
    let Finality::Final(evidence) = ledger.finality(&lost).await.unwrap() else {
        panic!("it was sent again, and two blocks stand on it");
    };
    let Finality::Pending(Some(inclusion)) = first else {
        panic!("it was in a block");
    };
    assert_ne!(evidence.block, inclusion.block, "another block");
}

#[tokio::test]
async fn of_two_with_one_number_the_other_is_replaced_for_good_only() {
    let place = Place::new(Genesis { depth: 2, ..Genesis::default() });
    let node = place.open();
    let ledger = ledger(&node);
    submit(&ledger, 0).await;
    let rival = ledger.anchor(0, &anchor(77)).await.unwrap();
    assert_eq!(ledger.finality(&rival).await, Ok(Finality::Unknown));
    node.seal_empty(1).await.unwrap();
    assert_eq!(ledger.finality(&rival).await, Ok(Finality::Replaced));
}

#[tokio::test]
async fn faults_come_on_order_and_are_survived_by_asking_again() {
    let place = Place::new(Genesis::default());
    let faulty = Arc::new(Faulty::new(place.open(), 1));
    let node = Arc::clone(&faulty) as Arc<dyn Node>;
    let ledger = EmbeddedLedger::new(node, Key::from_bytes(&[7; 32]).unwrap());
    let signed = ledger.anchor(0, &anchor(0)).await.unwrap();
    let is_out = |outcome: Result<TxId>| matches!(outcome, Err(LedgerError::Unavailable { .. }));
    faulty.order(Fault::LoseRequest);
    assert!(is_out(ledger.submit(&signed).await));
    assert_eq!(ledger.finality(&signed).await, Ok(Finality::Unknown));
    faulty.order(Fault::LoseAnswer);
    assert!(is_out(ledger.submit(&signed).await));
    let known = ledger.finality(&signed).await.unwrap();
    assert!(matches!(known, Finality::Final(_)), "it had arrived");
    faulty.set_down(true);
    assert!(ledger.status().await.is_err());
    faulty.set_down(false);
    faulty.order(Fault::ReorganiseDeep(1));
    assert_eq!(ledger.finality(&signed).await, Ok(Finality::Unknown));
    ledger.submit(&signed).await.unwrap();
}

#[tokio::test]
async fn chance_repeats_from_its_seed_and_patience_beats_it() {
    let slow = Genesis { block_time_ms: 10, depth: 3, ..Genesis::default() };
    let mut tellings = Vec::new();
    for _ in 0..2 {
        let seed = 42;
        println!("seed {seed}");
        let place = Place::new(slow.clone());
        let node = LocalNode::in_memory(place.genesis.clone(), place.clock()).unwrap();
        let faulty = Arc::new(Faulty::new(Arc::new(node), seed));
        faulty.set_odds(Odds {
            lose_request: 100,
            lose_answer: 100,
            forget_pool: 50,
            reorganise: 50,
        });
        let node = Arc::clone(&faulty) as Arc<dyn Node>;
        let ledger = EmbeddedLedger::new(node, Key::from_bytes(&[7; 32]).unwrap());
        tellings.push(anchor_with_patience(&ledger, &place.time, 20).await);
    }
    assert_eq!(tellings[0], tellings[1]);
    assert!(tellings[0].contains(&format!("{:?}", Amount::ZERO)));
}

/// The rule for any ledger: decide by looking up, and send the same bytes again.
async fn anchor_with_patience(ledger: &EmbeddedLedger, time: &AtomicU64, count: u64) -> String {
    let mut telling = String::new();
    for number in 0..count {
        let signed = ledger.anchor(number, &anchor(number)).await.unwrap();
        loop {
            match ledger.finality(&signed).await {
                Ok(Finality::Final(evidence)) => {
                    telling.push_str(&format!("{evidence:?}\n"));
                    break;
                }
                Ok(Finality::Unknown) => drop(ledger.submit(&signed).await),
                Ok(Finality::Pending(_)) | Err(LedgerError::Unavailable { .. }) => {}
                other => panic!("{other:?}"),
            }
            time.fetch_add(5, Ordering::SeqCst);
        }
    }
    telling
}

#[tokio::test]
async fn the_faucet_keeps_to_its_limit() {
    let place = Place::new(Genesis::default());
    let node = place.open() as Arc<dyn Node>;
    let account: Account = Key::from_bytes(&[7; 32]).unwrap().public().account();
    let token: Asset = "grain".parse().unwrap();
    node.fund(&account, &token, Amount::new(100)).await.unwrap();
    let refused = node.fund(&account, &token, Amount::new(101)).await;
    assert!(matches!(refused, Err(LedgerError::Refused { code, .. }) if code == "FaucetLimit"));
    let held = node.balance(&account, &token).await;
    assert_eq!(held, Ok(Amount::new(100)));
    let bob: Account = "bob".parse().unwrap();
    assert!(node.fund(&bob, &token, Amount::new(1)).await.is_err());
}

#[tokio::test]
async fn a_payment_that_was_reverted_pays_for_nothing() {
    let place = Place::new(Genesis { depth: 2, ..Genesis::default() });
    let node = place.open();
    let ledger = ledger(&node);
    let transfer = Transfer {
        to: ledger.account().clone(),
        asset: Asset::coin(),
        amount: Amount::new(1),
        reference: Reference([1; 32]),
    };
    let signed = ledger.transfer(0, &transfer).await.unwrap();
    let tx = ledger.submit(&signed).await.unwrap();
    let claim = Claim { tx, transfer };
    let waiting = ledger.paid(&claim).await.unwrap();
    assert!(matches!(waiting, Finality::Pending(Some(_))), "{waiting:?}");
    node.seal_empty(1).await.unwrap();
    let refused = ledger.paid(&claim).await;
    assert!(matches!(refused, Err(LedgerError::Refused { code, .. }) if code == "Reverted"));
    let known = ledger.finality(&signed).await.unwrap();
    let Finality::Reverted { why, evidence } = known else {
        panic!("{known:?}");
    };
    assert!(why.contains("InsufficientFunds"), "{why}");
    assert_eq!(evidence.amount, Amount::ZERO);
}

#[test]
fn a_half_made_chain_is_made_again() {
    let place = Place::new(Genesis::default());
    let mut aside = fs::File::create(place.folder.path().join("blocks.new")).unwrap();
    aside.write_all(b"half").unwrap();
    place.open();
}
