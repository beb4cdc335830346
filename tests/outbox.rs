//! A ledger's actor on a ledger without numbers that hangs, and tells when it likes: what one turn
//! waits for holds up no other, and what is told is looked up long before it is due.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use actix::prelude::*;
use async_trait::async_trait;
use sdpp::actors::journal::{Commit, JournalActor};
use sdpp::actors::keeper::Keeper;
use sdpp::actors::ledger::LedgerActor;
use sdpp::crypto::layout::MessageKind;
use sdpp::journal::obligation::State;
use sdpp::journal::outbox::Policy;
use sdpp::journal::{Journal, Reader, Write};
use sdpp::record::{Act, Owed, Record, SignedMessage};
use sdpp::terms::{Purpose, SessionId};
use sdpp_ledger::{
    Account, Amount, Asset, Call, Claim, Digest, Escrow, Evidence, Finality, Key, Ledger,
    LedgerError, LedgerId, Payments, Records, Reference, Result, Signed, Status, Transfer, TxId,
    keccak,
};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// A desk that takes requests under their references, each once.
struct Desk {
    id: LedgerId,
    account: Account,
    taken: Mutex<BTreeMap<Reference, TxId>>,
    /// Who hands one of these over waits until it is let go.
    held: Mutex<BTreeSet<Reference>>,
    released: Notify,
    /// Who hands this one over panics, each time.
    cursed: Mutex<Option<Reference>>,
    panics: AtomicU64,
    /// What is told next.
    news: Mutex<Vec<Reference>>,
    told: Notify,
    /// It tells the same again and again.
    is_chatty: bool,
    checks: AtomicU64,
}

impl Desk {
    fn new(is_chatty: bool) -> Arc<Desk> {
        Arc::new(Desk {
            id: "desk:1".parse().unwrap(),
            account: key(1).public().account(),
            taken: Mutex::default(),
            held: Mutex::default(),
            released: Notify::new(),
            cursed: Mutex::default(),
            panics: AtomicU64::new(0),
            news: Mutex::default(),
            told: Notify::new(),
            is_chatty,
            checks: AtomicU64::new(0),
        })
    }

    fn hold(&self, reference: Reference) {
        self.held.lock().unwrap().insert(reference);
    }

    fn release(&self) {
        self.held.lock().unwrap().clear();
        self.released.notify_waiters();
    }

    /// Somebody pays under this reference.
    fn pay(&self, reference: Reference) {
        self.taken.lock().unwrap().insert(reference, tx_of(&reference));
    }

    fn tell(&self, reference: Reference) {
        self.news.lock().unwrap().push(reference);
        self.told.notify_one();
    }

    fn look(&self, reference: &Reference) -> Finality {
        match self.taken.lock().unwrap().get(reference).cloned() {
            Some(tx) => {
                Finality::Final(Evidence { amount: Amount::new(1), ..Evidence::new(tx, 1, "1", 0) })
            }
            None => Finality::Unknown,
        }
    }
}

#[async_trait]
impl Ledger for Desk {
    fn id(&self) -> &LedgerId {
        &self.id
    }

    fn account(&self) -> &Account {
        &self.account
    }

    async fn status(&self) -> Result<Status> {
        Ok(Status { height: 1, at_ms: 0, depth: 1 })
    }

    fn has_numbers(&self) -> bool {
        false
    }

    async fn next_number(&self) -> Result<u64> {
        Ok(0)
    }

    async fn heard(&self) -> Vec<Reference> {
        loop {
            let waits = self.told.notified();
            let news = match self.is_chatty {
                true => self.news.lock().unwrap().clone(),
                false => std::mem::take(&mut *self.news.lock().unwrap()),
            };
            match news.is_empty() {
                true => waits.await,
                false => return news,
            }
        }
    }

    async fn submit(&self, signed: &Signed) -> Result<TxId> {
        let reference = Reference(signed.raw.clone().try_into().unwrap());
        let is_cursed = *self.cursed.lock().unwrap() == Some(reference);
        if is_cursed {
            self.panics.fetch_add(1, Ordering::SeqCst);
            panic!("a mistake of ours, which this story is about");
        }
        loop {
            let waits = self.released.notified();
            if !self.held.lock().unwrap().contains(&reference) {
                break;
            }
            waits.await;
        }
        self.pay(reference);
        Ok(tx_of(&reference))
    }

    async fn finality(&self, signed: &Signed) -> Result<Finality> {
        Ok(self.look(&Reference(signed.raw.clone().try_into().unwrap())))
    }

    fn records(&self) -> Option<&dyn Records> {
        None
    }

    fn payments(&self) -> Option<&dyn Payments> {
        Some(self)
    }

    fn escrow(&self) -> Option<&dyn Escrow> {
        None
    }
}

#[async_trait]
impl Payments for Desk {
    async fn transfer(&self, number: u64, transfer: &Transfer) -> Result<Signed> {
        let raw = transfer.reference.0.to_vec();
        Ok(Signed { number, tx: None, raw, fee: Amount::ZERO })
    }

    async fn paid(&self, claim: &Claim) -> Result<Finality, LedgerError> {
        self.checks.fetch_add(1, Ordering::SeqCst);
        Ok(self.look(&claim.transfer.reference))
    }

    async fn balance(&self, _: &Account, _: &Asset) -> Result<Amount> {
        Ok(Amount::ZERO)
    }
}

fn key(owner: u8) -> Key {
    Key::from_bytes(&[owner; 32]).unwrap()
}

fn tx_of(reference: &Reference) -> TxId {
    keccak(&[&reference.0]).to_string().parse().unwrap()
}

fn reference(number: u64) -> Reference {
    SessionId(Digest::ZERO).reference(Purpose::Payment, number)
}

/// A journal and the actor of a desk, until `story` is told.
fn live(desk: &Arc<Desk>, story: impl AsyncFnOnce(&Addr<JournalActor>, &Reader)) {
    let dir = tempfile::tempdir().unwrap();
    let system = System::new();
    let arbiter = Arbiter::new();
    system.block_on(async {
        let journal = Journal::open(&dir.path().join("journal"), key(1).public()).unwrap();
        let (journal, reader) = JournalActor::start_on(&arbiter, journal);
        let policy = Policy {
            anchors_at_most: 1,
            redeems_at_most: 1,
            raise_after_ms: 30_000,
            in_flight_max: 4,
            // Nobody looks again in the time of a story.
            poll_ms: 3_600_000,
            backoff_base_ms: 3_600_000,
            backoff_max_ms: 3_600_000,
        };
        let (desk, keeper) = (desk.clone(), Keeper::default());
        LedgerActor::start_for(&keeper, desk, policy, reader.clone(), journal.clone());
        story(&journal, &reader).await;
    });
    arbiter.stop();
    arbiter.join().unwrap();
}

/// Something that is owed to the desk.
async fn owe(journal: &Addr<JournalActor>, number: u64, is_claim: bool) -> Reference {
    let reference = reference(number);
    let (to, asset) = (key(2).public().account(), Asset::coin());
    let transfer = Transfer { to, asset, amount: Amount::new(1), reference };
    let act = match is_claim {
        true => Act::Check(Claim { tx: tx_of(&reference), transfer }),
        false => Act::Do(Call::Transfer(transfer)),
    };
    let (purpose, ledger) = (Purpose::Payment, "desk:1".parse().unwrap());
    let owed = Some(Owed { reference, purpose, ledger, act, held: false });
    let message = SignedMessage {
        kind: MessageKind::PaymentAck,
        session: SessionId::NONE,
        number,
        commitment: Digest::ZERO,
        amount_total: Amount::new(1),
        data: None,
        data_digest: Digest::ZERO,
        verification: String::new(),
        signature: key(2).sign(&Digest::ZERO),
    };
    let record = Box::new(Record::Payment { message, owed });
    let write = Write::Append { session: None, record };
    journal.send(Commit(vec![write])).await.unwrap().unwrap().remove(0).unwrap();
    reference
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "it never came: {what}");
        tokio::task::yield_now().await;
    }
}

fn is_met(reader: &Reader, reference: &Reference) -> bool {
    let row = reader.obligation(reference).unwrap().unwrap();
    matches!(row.state, State::Met { .. })
}

fn deliveries(reader: &Reader) -> usize {
    reader.deliveries(None, 100).unwrap().len()
}

#[test]
fn a_submission_that_hangs_holds_up_no_other_and_no_claim() {
    let desk = Desk::new(false);
    live(&desk, async |journal, reader| {
        desk.hold(reference(1));
        let slow = owe(journal, 1, false).await;
        until("it is on its way", || deliveries(reader) == 1).await;
        let quick = owe(journal, 2, false).await;
        desk.pay(reference(3));
        let claim = owe(journal, 3, true).await;
        until("the claim is checked", || is_met(reader, &claim)).await;
        until("the other is handed over", || desk.taken.lock().unwrap().len() == 2).await;
        desk.tell(quick);
        until("the other is met", || is_met(reader, &quick)).await;
        assert!(!is_met(reader, &slow));
        desk.release();
        until("it is handed over", || desk.taken.lock().unwrap().len() == 3).await;
        // It may be told of before the answer is durable, and is asked about all the same.
        desk.tell(slow);
        until("it is met", || is_met(reader, &slow)).await;
        assert_eq!(deliveries(reader), 2);
    });
}

#[test]
fn a_mistake_that_hits_one_thing_that_is_owed_does_not_end_the_others() {
    let desk = Desk::new(false);
    live(&desk, async |journal, reader| {
        *desk.cursed.lock().unwrap() = Some(reference(1));
        let cursed = owe(journal, 1, false).await;
        until("it breaks", || desk.panics.load(Ordering::SeqCst) == 1).await;
        let other = owe(journal, 2, false).await;
        until("the other is handed over", || desk.taken.lock().unwrap().len() == 1).await;
        desk.tell(other);
        until("the other is met", || is_met(reader, &other)).await;
        assert!(!is_met(reader, &cursed), "nobody knows what became of it");
        assert_eq!(desk.panics.load(Ordering::SeqCst), 1, "it is put off like an outage");
    });
}

#[test]
fn what_is_told_is_looked_up_long_before_it_is_due() {
    let desk = Desk::new(false);
    live(&desk, async |journal, reader| {
        let claim = owe(journal, 1, true).await;
        let is_put_off = || reader.obligation(&claim).unwrap().unwrap().tries == 1;
        until("it is looked up once, in vain", is_put_off).await;
        desk.pay(claim);
        desk.tell(claim);
        until("it is found", || is_met(reader, &claim)).await;
    });
}

#[test]
fn a_ledger_that_tells_all_the_time_is_asked_once_a_moment() {
    let desk = Desk::new(true);
    live(&desk, async |journal, reader| {
        let claim = owe(journal, 1, true).await;
        let began = Instant::now();
        desk.tell(claim);
        let checks = || desk.checks.load(Ordering::SeqCst);
        until("it is asked about", || checks() >= 10).await;
        let moments = began.elapsed().as_millis() / 20;
        assert!(u128::from(checks()) <= moments + 3, "{} in {moments} moments", checks());
        assert!(!is_met(reader, &claim));
    });
}
