//! What a backup forgot and the ledger did is not done again: a real journal, a real outbox and a
//! real ledger.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use sdpp::actors::recalling::{RecallError, recall};
use sdpp::crypto::layout::MessageKind;
use sdpp::journal::obligation::State;
use sdpp::journal::outbox::{Outbox, Policy, perform};
use sdpp::journal::restore::restore;
use sdpp::journal::{Journal, Release, Write};
use sdpp::record::{Act, Leaves, Owed, Record, SignedMessage};
use sdpp::terms::{Purpose, Role, SessionId};
use sdpp_ledger::{
    Account, Amount, Asset, Call, Digest, Key, Ledger, LedgerId, Payments, Signature, Transfer,
};
use sdpp_ledger_embedded::{EmbeddedLedger, Genesis, LocalNode, Node};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const NOW: u64 = 1_700_000_000_000;
const PRICE: u128 = 10;

fn key(n: u8) -> Key {
    Key::from_bytes(&[n; 32]).unwrap()
}

fn session() -> SessionId {
    SessionId(Digest([1; 32]))
}

fn payee() -> Account {
    key(9).public().account()
}

fn message(kind: MessageKind, number: u64) -> SignedMessage {
    SignedMessage {
        kind,
        session: SessionId::NONE,
        number,
        commitment: Digest::ZERO,
        amount_total: Amount::new(7),
        data: None,
        data_digest: Digest::ZERO,
        verification: String::new(),
        signature: Signature([0; 65]),
    }
}

fn append(record: Record) -> Write {
    Write::Append { session: Some(session()), record: Box::new(record) }
}

fn order() -> Record {
    let of = |kind| Box::new(message(kind, 0));
    let (menu, order) = (of(MessageKind::Menu), of(MessageKind::Order));
    Record::Order { role: Role::Buyer, peer: key(2).public(), menu, order, owed: None }
}

/// A window's invoice, which is to be paid.
fn invoice(ledger: &LedgerId, number: u64) -> Record {
    let reference = session().reference(Purpose::Payment, number);
    let (to, asset, amount) = (payee(), Asset::coin(), Amount::new(PRICE));
    let owed = Owed {
        reference,
        purpose: Purpose::Payment,
        ledger: ledger.clone(),
        act: Act::Do(Call::Transfer(Transfer { to, asset, amount, reference })),
        held: false,
    };
    Record::Invoice {
        message: message(MessageKind::DataInvoice, number),
        from_seq: number,
        to_seq: number,
        digest: Digest::ZERO,
        leaves: Leaves::default(),
        owed: Some(owed),
    }
}

/// A buyer with an account, and where its journals stand.
struct Buyer {
    dir: tempfile::TempDir,
    ledger: Arc<EmbeddedLedger>,
}

impl Buyer {
    async fn new() -> Buyer {
        let genesis = Genesis { faucet: Some(Amount::new(1_000)), ..Genesis::default() };
        let node = Arc::new(LocalNode::in_memory(genesis, Arc::new(|| NOW)).unwrap());
        let ledger = Arc::new(EmbeddedLedger::new(node.clone(), key(1)));
        let node: Arc<dyn Node> = node;
        node.fund(ledger.account(), &Asset::coin(), Amount::new(500)).await.unwrap();
        Buyer { dir: tempfile::tempdir().unwrap(), ledger }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn open(&self, path: &Path) -> Journal {
        Journal::open(path, key(1).public()).unwrap()
    }

    /// Does all that is owed, as its actor would.
    async fn work(&self, journal: &mut Journal) {
        let policy = Policy {
            anchors_at_most: 1,
            redeems_at_most: 1,
            raise_after_ms: 30_000,
            in_flight_max: 4,
            poll_ms: 10,
            backoff_base_ms: 10,
            backoff_max_ms: 10,
        };
        let mut outbox = Outbox::new(self.ledger.as_ref(), policy);
        for turn in 0..200 {
            let now_ms = NOW + 100_000 + turn * 100;
            for step in outbox.plan(&journal.reader(), now_ms).unwrap() {
                let answer = perform(self.ledger.as_ref(), &step).await;
                let writes = outbox.outcome(step, answer, now_ms, turn);
                for written in journal.commit(now_ms, writes).unwrap() {
                    written.unwrap();
                }
            }
        }
    }

    async fn received(&self) -> u128 {
        self.ledger.balance(&payee(), &Asset::coin()).await.unwrap().units()
    }

    fn ledgers(&self) -> BTreeMap<LedgerId, Arc<dyn Ledger>> {
        let ledger: Arc<dyn Ledger> = self.ledger.clone();
        BTreeMap::from([(ledger.id().clone(), ledger)])
    }

    /// Two windows are invoiced, the journal is backed up, the first of them is paid, and the disk
    /// is lost.
    async fn loses_its_disk(&self) -> PathBuf {
        let mut journal = self.open(&self.path("lost"));
        let id = self.ledger.id();
        let written = journal.commit(NOW, vec![append(order()), append(invoice(id, 1))]).unwrap();
        assert!(written.iter().all(Result::is_ok));
        let backup = self.path("one.backup");
        journal.reader().back_up(&backup, NOW).unwrap();
        self.work(&mut journal).await;
        assert_eq!(self.received().await, PRICE);
        backup
    }
}

fn states(journal: &Journal) -> Vec<State> {
    journal.reader().obligations(None, 10).unwrap().into_iter().map(|row| row.state).collect()
}

#[tokio::test]
async fn a_payment_that_was_made_after_the_backup_is_not_made_again() {
    let buyer = Buyer::new().await;
    let backup = buyer.loses_its_disk().await;
    let new = buyer.path("new");
    restore(&new, &backup, NOW + 60_000).unwrap();
    let mut journal = buyer.open(&new);
    let recalled = recall(&journal.reader(), &buyer.ledgers()).await.unwrap();
    assert_eq!((recalled.release.found.len(), recalled.not_done.len()), (1, 0));
    let release = Write::Release(Box::new(recalled.release));
    journal.commit(NOW + 61_000, vec![release]).unwrap().remove(0).unwrap();
    buyer.work(&mut journal).await;
    assert_eq!(buyer.received().await, PRICE);
    assert!(matches!(&states(&journal)[..], [State::Met { .. }]), "{:?}", states(&journal));
    // The test would see it: without a word of the ledger it is paid twice.
    let careless = buyer.path("careless");
    restore(&careless, &backup, NOW + 70_000).unwrap();
    let mut journal = buyer.open(&careless);
    let release = Write::Release(Box::<Release>::default());
    journal.commit(NOW + 71_000, vec![release]).unwrap().remove(0).unwrap();
    buyer.work(&mut journal).await;
    assert_eq!(buyer.received().await, 2 * PRICE);
}

#[tokio::test]
async fn a_payment_that_was_not_made_goes_out_once() {
    let buyer = Buyer::new().await;
    let mut journal = buyer.open(&buyer.path("lost"));
    let id = buyer.ledger.id().clone();
    let writes = vec![append(order()), append(invoice(&id, 1)), append(invoice(&id, 2))];
    assert!(journal.commit(NOW, writes).unwrap().iter().all(Result::is_ok));
    let backup = buyer.path("one.backup");
    journal.reader().back_up(&backup, NOW).unwrap();
    let new = buyer.path("new");
    restore(&new, &backup, NOW + 60_000).unwrap();
    let journal = buyer.open(&new);
    let recalled = recall(&journal.reader(), &buyer.ledgers()).await.unwrap();
    assert_eq!((recalled.release.found.len(), recalled.not_done.len()), (0, 2));
    buyer.work(&mut released(&buyer, &new, journal)).await;
    assert_eq!(buyer.received().await, 2 * PRICE);
}

/// The same journal, opened anew and released.
fn released(buyer: &Buyer, path: &Path, journal: Journal) -> Journal {
    drop(journal);
    let mut journal = buyer.open(path);
    let release = Write::Release(Box::<Release>::default());
    journal.commit(NOW + 61_000, vec![release]).unwrap().remove(0).unwrap();
    journal
}

#[tokio::test]
async fn what_is_owed_to_a_ledger_that_nobody_asks_stays_in_quarantine() {
    let buyer = Buyer::new().await;
    let backup = buyer.loses_its_disk().await;
    let new = buyer.path("new");
    restore(&new, &backup, NOW + 60_000).unwrap();
    let journal = buyer.open(&new);
    let asked = recall(&journal.reader(), &BTreeMap::new()).await;
    assert!(matches!(asked, Err(RecallError::NoSuchLedger(..))), "{asked:?}");
    assert!(journal.reader().quarantine().unwrap().unwrap().is_on());
}
