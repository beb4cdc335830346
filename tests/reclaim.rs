//! A buyer gets back what is left in its channel, whatever its seller does: real actors and a real
//! ledger in this process, whose clock the stories set.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use actix::{Addr, Arbiter, System};
use sdpp::actors::busy::Busy;
use sdpp::actors::journal::{Commit, JournalActor};
use sdpp::actors::keeper::Keeper;
use sdpp::actors::ledger::LedgerActor;
use sdpp::actors::reclaim::{self, Policy, ReclaimActor, Reclaiming};
use sdpp::actors::watch::{self, WatchActor};
use sdpp::journal::obligation::State;
use sdpp::journal::{Doing, Journal, Write, outbox};
use sdpp::record::{Act, Owed, Record};
use sdpp::terms::{Purpose, SessionId};
use sdpp_ledger::{
    Account, Amount, Asset, Call, Channel, ChannelId, Digest, Escrow, Key, Ledger, LedgerId, Open,
    Payments, Redeem, Voucher, channel_id, prepare,
};
use sdpp_ledger_embedded::{Allocation, EmbeddedLedger, Genesis, LocalNode, Node, system_clock};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const FUNDS: u128 = 10_000;
const DEPOSIT: u128 = 1_000;

fn key(owner: u8) -> Key {
    Key::from_bytes(&[owner; 32]).unwrap()
}

fn account(owner: u8) -> Account {
    key(owner).public().account()
}

/// A chain, a buyer's journal, and the channel that the buyer opens.
struct Place {
    node: Arc<LocalNode>,
    /// How far the chain's clock is ahead of ours, in milliseconds.
    ahead_ms: Arc<AtomicU64>,
    dir: TempDir,
    channel: ChannelId,
    opening: Open,
}

/// What runs in a buyer's process.
struct Process {
    journal: Addr<JournalActor>,
    reclaiming: Reclaiming,
}

/// Which of a process's actors live.
#[derive(Clone, Copy, PartialEq)]
enum Life {
    Whole,
    /// It dies before its outbox has looked at anything.
    WithoutOutbox,
    /// It dies before its watch was told anything.
    WithoutWatch,
}

impl Place {
    fn new() -> Place {
        let coin = Asset::coin();
        let rich =
            Allocation { account: account(1), asset: coin.clone(), amount: Amount::new(FUNDS) };
        let genesis = Genesis { allocations: vec![rich], ..Genesis::default() };
        let ahead_ms = Arc::<AtomicU64>::default();
        let (ahead, clock) = (ahead_ms.clone(), system_clock());
        let clock = Arc::new(move || clock() + ahead.load(Ordering::SeqCst));
        let node = Arc::new(LocalNode::in_memory(genesis, clock).unwrap());
        let (payer, payee, salt) = (account(1), account(2), Digest::ZERO);
        let channel = channel_id(node.origin().domain(), &payer, &payee, &coin, &salt, None);
        let deposit = Amount::new(DEPOSIT);
        let opening = Open { payee, asset: coin, deposit, salt, signer: None };
        Place { node, ahead_ms, dir: tempfile::tempdir().unwrap(), channel, opening }
    }

    fn ledger(&self, owner: u8) -> EmbeddedLedger {
        EmbeddedLedger::new(Arc::clone(&self.node) as Arc<dyn Node>, key(owner))
    }

    /// One life of the buyer's process.
    fn live<T>(&self, life: Life, story: impl AsyncFnOnce(&Place, &Process) -> T) -> T {
        let system = System::new();
        let arbiter = Arbiter::new();
        let told = system.block_on(async {
            let journal = Journal::open(&self.dir.path().join("journal"), key(1).public()).unwrap();
            let (journal, reader) = JournalActor::start_on(&arbiter, journal);
            let ledger: Arc<dyn Ledger> = Arc::new(self.ledger(1));
            let keeper = Keeper::default();
            if life != Life::WithoutOutbox {
                let (ledger, reader) = (ledger.clone(), reader.clone());
                LedgerActor::start_for(&keeper, ledger, policy(), reader, journal.clone());
            }
            let all: BTreeMap<LedgerId, Arc<dyn Ledger>> = [(ledger.id().clone(), ledger)].into();
            let (ledgers, busy) = (Arc::new(all), Busy::default());
            if life != Life::WithoutWatch {
                let (every, at_most) = (Duration::from_millis(1), Duration::from_millis(4));
                let outage = Duration::from_secs(300);
                let pace = watch::Pace { every, at_most, outage };
                WatchActor::start_all(&keeper, &ledgers, &reader, &journal, &busy, pace);
            }
            let reclaiming = Reclaiming { ledgers, reader, journal: journal.clone(), busy };
            story(self, &Process { journal, reclaiming }).await
        });
        arbiter.stop();
        arbiter.join().unwrap();
        told
    }

    /// The payee does something with a voucher.
    async fn redeems(&self, call: fn(Redeem) -> Call, units: u128) {
        let (channel, amount) = (self.channel, Amount::new(units));
        let signature = Voucher { channel, amount }.sign(self.node.origin().domain(), &key(1));
        let ledger = self.ledger(2);
        let number = ledger.next_number().await.unwrap();
        let call = call(Redeem { channel, amount, signature });
        ledger.submit(&prepare(&ledger, number, &call).await.unwrap()).await.unwrap();
    }

    /// So much time passes on the chain, and a block shows it.
    async fn passes(&self, time: Duration) {
        let ms = u64::try_from(time.as_millis()).unwrap();
        self.ahead_ms.fetch_add(ms, Ordering::SeqCst);
        self.node.seal_empty(1).await.unwrap();
    }

    fn grace(&self) -> Duration {
        self.ledger(1).grace_period()
    }

    async fn shown(&self) -> Channel {
        self.ledger(1).channel(&self.channel).await.unwrap().unwrap()
    }

    /// The books and the chain agree: so much was settled, and all else is the buyer's again.
    async fn is_back(&self, process: &Process, settled: u128) {
        let ledger = self.ledger(1);
        let has = async |owner| ledger.balance(&account(owner), &Asset::coin()).await.unwrap();
        assert_eq!(has(1).await, Amount::new(FUNDS - settled), "the buyer's account");
        assert_eq!(has(2).await, Amount::new(settled), "the seller's account");
        assert!(self.shown().await.finalized);
        let row = process.row(self);
        assert_eq!((row.is_over, row.settled), (true, Amount::new(settled)));
        assert_eq!(row.left(), Amount::new(DEPOSIT - settled));
        assert_eq!(process.reclaiming.reader.remainders().unwrap(), []);
        assert!(process.reclaiming.reader.verify().unwrap().is_ok());
    }
}

impl Process {
    fn row(&self, place: &Place) -> sdpp::journal::Watched {
        self.reclaiming.reader.watched(&place.channel).unwrap().unwrap()
    }

    /// Opens the channel, and waits until the watch knows it.
    async fn opens(&self, place: &Place) {
        let Open { payee, asset, .. } = place.opening.clone();
        let owed = Owed {
            reference: SessionId(Digest(place.channel.0)).reference(Purpose::Open, 0),
            purpose: Purpose::Open,
            ledger: place.node.origin().ledger().clone(),
            act: Act::Do(Call::Open(place.opening.clone())),
            held: false,
        };
        let record = Box::new(Record::Funding { channel: place.channel, payee, asset, owed });
        let write = Write::Append { session: None, record };
        self.journal.send(Commit(vec![write])).await.unwrap().unwrap();
        until(|| self.row(place).is_usable()).await;
    }

    /// How many steps it was time for.
    async fn reclaims(&self) -> usize {
        self.reclaiming.idle(&at_once()).await.unwrap()
    }

    /// How often each thing was owed to get the rest back, and how it went.
    fn owed(&self) -> Vec<(Purpose, State)> {
        let rows = self.reclaiming.reader.obligations(None, 100).unwrap();
        let mut rows: Vec<_> =
            rows.into_iter().filter(|row| row.owed.purpose != Purpose::Open).collect();
        rows.sort_by_key(|row| row.entry);
        rows.into_iter().map(|row| (row.owed.purpose, row.state)).collect()
    }

    async fn nothing_is_owed(&self) {
        until(|| self.reclaiming.reader.counts().unwrap().unsettled.is_empty()).await;
    }
}

/// Nobody needs a channel that no session has just now.
fn at_once() -> Policy {
    Policy { after: Duration::ZERO, kept: Vec::new() }
}

fn policy() -> outbox::Policy {
    outbox::Policy {
        anchors_at_most: 1,
        redeems_at_most: 1,
        raise_after_ms: 30_000,
        in_flight_max: 1,
        poll_ms: 1,
        backoff_base_ms: 1,
        backoff_max_ms: 1,
    }
}

/// Waits until something is so; what never comes is a failure.
async fn until(mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "it never came");
        tokio::task::yield_now().await;
    }
}

fn is_met(one: &(Purpose, State), purpose: Purpose) -> bool {
    one.0 == purpose && matches!(one.1, State::Met { .. })
}

#[test]
fn a_seller_that_never_closes_keeps_what_it_settled_and_no_more() {
    let place = Place::new();
    place.live(Life::Whole, async |place, buyer| {
        buyer.opens(place).await;
        place.redeems(Call::Settle, 300).await;
        assert_eq!(buyer.reclaims().await, 1);
        until(|| buyer.row(place).ready_ms.is_some()).await;
    });
    // Its next life comes before the grace period is over, and the one after that when it is.
    place.live(Life::Whole, async |place, buyer| {
        place.passes(place.grace() - Duration::from_secs(60)).await;
        assert_eq!(buyer.reclaims().await, 0, "its seller may still redeem");
        let doing = buyer.reclaiming.reader.remainders().unwrap().remove(0).doing;
        assert!(matches!(doing, Doing::Closing(_)), "{doing:?}");
        place.redeems(Call::Settle, 400).await;
    });
    place.live(Life::Whole, async |place, buyer| {
        place.passes(Duration::from_secs(120)).await;
        until(|| buyer.row(place).settled == Amount::new(400)).await;
        // The watch may have been quicker than the outbox.
        buyer.nothing_is_owed().await;
        assert_eq!(buyer.reclaims().await, 1);
        until(|| buyer.row(place).is_over).await;
        buyer.nothing_is_owed().await;
        place.is_back(buyer, 400).await;
        let owed = buyer.owed();
        assert_eq!(owed.len(), 2, "{owed:?}");
        assert!(is_met(&owed[0], Purpose::RequestClose) && is_met(&owed[1], Purpose::Withdraw));
        assert_eq!(place.ledger(1).next_number().await.unwrap(), 3, "and each was sent once");
    });
}

#[test]
fn a_kill_before_the_outbox_or_the_watch_has_looked_asks_once_all_the_same() {
    let place = Place::new();
    place.live(Life::Whole, async |place, buyer| buyer.opens(place).await);
    place.live(Life::WithoutOutbox, async |_, buyer| {
        assert_eq!(buyer.reclaims().await, 1);
        assert_eq!(buyer.reclaims().await, 0, "it is owed already");
    });
    place.live(Life::WithoutWatch, async |place, buyer| {
        buyer.nothing_is_owed().await;
        assert!(place.shown().await.close_requested_ms.is_some());
        assert_eq!(buyer.reclaims().await, 0, "it is done, and nobody has told of it");
    });
    place.live(Life::Whole, async |place, buyer| {
        until(|| buyer.row(place).ready_ms.is_some()).await;
        place.passes(place.grace()).await;
    });
    place.live(Life::WithoutOutbox, async |_, buyer| {
        assert_eq!(buyer.reclaims().await, 1);
    });
    place.live(Life::Whole, async |place, buyer| {
        until(|| buyer.row(place).is_over).await;
        buyer.nothing_is_owed().await;
        assert_eq!(place.ledger(1).next_number().await.unwrap(), 3);
        place.is_back(buyer, 0).await;
    });
}

#[test]
fn a_seller_that_closes_after_the_request_leaves_nothing_to_be_withdrawn() {
    let place = Place::new();
    place.live(Life::Whole, async |place, buyer| {
        buyer.opens(place).await;
        assert_eq!(buyer.reclaims().await, 1);
        until(|| buyer.row(place).ready_ms.is_some()).await;
        place.redeems(Call::Close, 250).await;
        place.passes(place.grace()).await;
        until(|| buyer.row(place).is_over).await;
        assert_eq!(buyer.reclaims().await, 0);
        place.is_back(buyer, 250).await;
        assert_eq!(buyer.owed().len(), 1, "{:?}", buyer.owed());
    });
}

/// The ledger knows more than the buyer: what it refuses is no harm, and is not tried again.
#[test]
fn a_withdrawal_that_comes_after_the_sellers_close_is_refused_and_forgotten() {
    let place = Place::new();
    place.live(Life::Whole, async |place, buyer| {
        buyer.opens(place).await;
        assert_eq!(buyer.reclaims().await, 1);
        until(|| buyer.row(place).ready_ms.is_some()).await;
        buyer.nothing_is_owed().await;
    });
    place.live(Life::WithoutWatch, async |place, buyer| {
        place.redeems(Call::Close, 250).await;
        place.passes(place.grace()).await;
        assert_eq!(buyer.reclaims().await, 1, "nobody has told it");
        buyer.nothing_is_owed().await;
        let owed = buyer.owed();
        let State::Refused { why } = &owed[1].1 else { panic!("{owed:?}") };
        assert!(why.contains("ChannelFinalized"), "{why}");
        assert_eq!(buyer.reclaims().await, 0);
    });
    place.live(Life::Whole, async |place, buyer| {
        until(|| buyer.row(place).is_over).await;
        assert_eq!(buyer.reclaims().await, 0);
        place.is_back(buyer, 250).await;
        assert_eq!(buyer.owed().len(), 2, "nothing more was tried");
    });
}

#[test]
fn a_channel_that_a_session_has_is_left_alone_and_so_is_one_that_is_kept() {
    let place = Place::new();
    place.live(Life::Whole, async |place, buyer| {
        buyer.opens(place).await;
        let taken = buyer.reclaiming.busy.hold(place.channel).unwrap();
        assert_eq!(buyer.reclaims().await, 0);
        drop(taken);
        let asset = (place.node.origin().ledger().clone(), Asset::coin());
        let kept = Policy { kept: vec![asset], ..at_once() };
        assert_eq!(buyer.reclaiming.idle(&kept).await.unwrap(), 0);
        assert_eq!(buyer.owed(), []);
        let remainders = buyer.reclaiming.reader.remainders().unwrap();
        assert_eq!(remainders[0].left, Amount::new(DEPOSIT));
        assert_eq!(buyer.reclaiming.asked(remainders).await.unwrap().len(), 1, "a person's word");
    });
}

#[test]
fn an_actor_of_a_long_life_does_both_steps_by_itself() {
    let place = Place::new();
    place.live(Life::Whole, async |place, buyer| {
        buyer.opens(place).await;
        let (first, every) = (Duration::ZERO, Duration::from_millis(1));
        let pace = reclaim::Pace { first, every };
        ReclaimActor::start_with(&Keeper::default(), buyer.reclaiming.clone(), at_once(), pace);
        until(|| buyer.row(place).ready_ms.is_some()).await;
        place.passes(place.grace()).await;
        until(|| buyer.row(place).is_over).await;
        buyer.nothing_is_owed().await;
        place.is_back(buyer, 0).await;
        assert_eq!(place.ledger(1).next_number().await.unwrap(), 3, "each once");
    });
}
