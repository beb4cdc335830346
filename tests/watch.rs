//! A watch on a real ledger in this process that goes away, loses words and reorganises: what
//! happened to a channel is in the journal once each, over restarts too.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use actix::prelude::*;
use async_trait::async_trait;
use sdpp::actors::busy::{Busy, Serving};
use sdpp::actors::journal::{Commit, JournalActor};
use sdpp::actors::keeper::Keeper;
use sdpp::actors::ledger::LedgerActor;
use sdpp::actors::session::{Over, Stop};
use sdpp::actors::watch::{Pace, WatchActor};
use sdpp::journal::outbox::Policy;
use sdpp::journal::watch::Life;
use sdpp::journal::{Journal, Reader, Watched, Write};
use sdpp::record::{Act, Owed, Record};
use sdpp::terms::{Purpose, Role, SessionId};
use sdpp_ledger::{
    Amount, Asset, Call, ChangeKind, ChannelId, Digest, InChannel, Key, Ledger, LedgerError,
    LedgerId, Open, Redeem, TopUp, Voucher, channel_id, prepare,
};
use sdpp_ledger_embedded::faults::{Faulty, Odds};
use sdpp_ledger_embedded::{
    Allocation, Answer, EmbeddedLedger, Genesis, LocalNode, Node, Origin, Request, system_clock,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const DEPOSIT: Amount = Amount::new(1_000);

fn key(owner: u8) -> Key {
    Key::from_bytes(&[owner; 32]).unwrap()
}

/// A node that counts what a watch asks: its height, then what happened to channels. Some channels
/// it cannot show.
struct Counted {
    node: Arc<Faulty>,
    asked: AtomicU64,
    hidden: Mutex<BTreeMap<ChannelId, LedgerError>>,
    /// Of what happened it tells the top-ups alone.
    is_forgetful: AtomicBool,
}

#[async_trait]
impl Node for Counted {
    fn origin(&self) -> &Origin {
        self.node.origin()
    }

    async fn ask(&self, request: Request) -> Result<Answer, LedgerError> {
        if let Request::Channel(id) = &request
            && let Some(error) = self.hidden.lock().unwrap().get(id)
        {
            return Err(error.clone());
        }
        let is_watch = matches!(request, Request::Head | Request::Changes(..));
        let mut answer = self.node.ask(request).await;
        if let Ok(Answer::Changes(changes)) = &mut answer
            && self.is_forgetful.load(Ordering::SeqCst)
        {
            changes.list.retain(|change| matches!(change.kind, ChangeKind::ToppedUp { .. }));
        }
        self.asked.fetch_add(u64::from(is_watch), Ordering::SeqCst);
        answer
    }
}

/// A chain, a buyer's journal, and the channel that the buyer opens.
struct Place {
    node: Arc<LocalNode>,
    faulty: Arc<Faulty>,
    counted: Arc<Counted>,
    dir: TempDir,
    channel: ChannelId,
    opening: Open,
    /// Further channels that the buyer opens.
    more: Vec<(ChannelId, Open)>,
    /// Channels that sessions have.
    busy: Busy,
}

impl Place {
    fn new(depth: u64, seed: u64) -> Place {
        let payer = key(1).public().account();
        let coin = Asset::coin();
        let rich = Allocation { account: payer, asset: coin.clone(), amount: Amount::new(10_000) };
        let genesis = Genesis { depth, allocations: vec![rich], ..Genesis::default() };
        let node = Arc::new(LocalNode::in_memory(genesis, system_clock()).unwrap());
        let faulty = Arc::new(Faulty::new(Arc::clone(&node), seed));
        let asked = AtomicU64::new(0);
        let hidden = Mutex::default();
        let counted = Arc::new(Counted {
            node: Arc::clone(&faulty),
            asked,
            hidden,
            is_forgetful: AtomicBool::new(false),
        });
        let payee = key(2).public().account();
        let payer = key(1).public().account();
        let domain = node.origin().domain();
        let channel = channel_id(domain, &payer, &payee, &coin, &Digest::ZERO, None);
        let opening =
            Open { payee, asset: coin, deposit: DEPOSIT, salt: Digest::ZERO, signer: None };
        let dir = tempfile::tempdir().unwrap();
        let busy = Busy::default();
        Place { node, faulty, counted, dir, channel, opening, more: Vec::new(), busy }
    }

    /// An account's own way to the chain, without faults.
    fn ledger(&self, owner: u8) -> EmbeddedLedger {
        EmbeddedLedger::new(Arc::clone(&self.node) as Arc<dyn Node>, key(owner))
    }

    /// Does something on the chain, and makes it final.
    async fn does(&self, owner: u8, call: Call) {
        self.submits(owner, call).await;
        self.node.seal_empty(self.node.origin().genesis().depth).await.unwrap();
    }

    async fn submits(&self, owner: u8, call: Call) {
        let ledger = self.ledger(owner);
        let number = ledger.next_number().await.unwrap();
        let signed = prepare(&ledger, number, &call).await.unwrap();
        ledger.submit(&signed).await.unwrap();
    }

    fn in_channel(&self) -> InChannel {
        InChannel { channel: self.channel }
    }

    fn top_up(&self, units: u128) -> Call {
        Call::TopUp(TopUp { channel: self.channel, amount: Amount::new(units) })
    }

    fn redeem(&self, units: u128) -> Redeem {
        let (channel, amount) = (self.channel, Amount::new(units));
        let signature = Voucher { channel, amount }.sign(self.node.origin().domain(), &key(1));
        Redeem { channel, amount, signature }
    }

    fn funding(&self, channel: ChannelId, opening: &Open) -> Write {
        let Open { payee, asset, .. } = opening.clone();
        let owed = Owed {
            reference: SessionId(Digest(channel.0)).reference(Purpose::Open, 0),
            purpose: Purpose::Open,
            ledger: self.node.origin().ledger().clone(),
            act: Act::Do(Call::Open(opening.clone())),
            held: false,
        };
        let record = Record::Funding { channel, payee, asset, owed };
        Write::Append { session: None, record: Box::new(record) }
    }

    /// One life of a buyer's process, with its outbox and its watch, until `until` is done.
    fn live(&self, until: impl AsyncFnOnce(&Place, &Reader)) {
        let system = System::new();
        let arbiter = Arbiter::new();
        system.block_on(async {
            let journal = Journal::open(&self.dir.path().join("journal"), key(1).public()).unwrap();
            let (journal, reader) = JournalActor::start_on(&arbiter, journal);
            let node = Arc::clone(&self.counted) as Arc<dyn Node>;
            let ledger: Arc<dyn Ledger> = Arc::new(EmbeddedLedger::new(node, key(1)));
            let (keeper, carried, kept) = (Keeper::default(), ledger.clone(), journal.clone());
            LedgerActor::start_for(&keeper, carried, policy(), reader.clone(), kept);
            let all: BTreeMap<LedgerId, Arc<dyn Ledger>> = [(ledger.id().clone(), ledger)].into();
            let (every, at_most) = (Duration::from_millis(1), Duration::from_millis(4));
            let pace = Pace { every, at_most, outage: Duration::MAX };
            WatchActor::start_all(&keeper, &Arc::new(all), &reader, &journal, &self.busy, pace);
            let mut funding = vec![self.funding(self.channel, &self.opening)];
            funding.extend(self.more.iter().map(|(channel, open)| self.funding(*channel, open)));
            journal.send(Commit(funding)).await.unwrap().unwrap();
            until(self, &reader).await;
        });
        arbiter.stop();
        arbiter.join().unwrap();
    }
}

/// An outbox that never waits for long.
fn policy() -> Policy {
    Policy {
        anchors_at_most: 1,
        redeems_at_most: 1,
        raise_after_ms: 30_000,
        in_flight_max: 1,
        poll_ms: 1,
        backoff_base_ms: 1,
        backoff_max_ms: 1,
    }
}

/// What the journal says that happened.
fn facts(reader: &Reader) -> Vec<ChangeKind> {
    let entries = reader.entries(0, 1_000).unwrap();
    let told = entries.into_iter().filter_map(|entry| match entry.record {
        Record::ChannelChange { change, .. } => Some(change.kind),
        _ => None,
    });
    told.collect()
}

/// Waits until something is so; what never comes is a failure.
async fn until(mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < Duration::from_secs(60), "it never came");
        tokio::task::yield_now().await;
    }
}

/// Waits until so many facts are there.
async fn told(reader: &Reader, count: usize) -> Vec<ChangeKind> {
    until(|| facts(reader).len() >= count).await;
    facts(reader)
}

/// Waits until the watch has looked at all that is on the chain now, or tried to: two turns.
async fn looked(place: &Place) {
    let before = place.counted.asked.load(Ordering::SeqCst);
    until(|| place.counted.asked.load(Ordering::SeqCst) >= before + 4).await;
}

fn watched(place: &Place, reader: &Reader) -> Option<Watched> {
    reader.watched(&place.channel).unwrap()
}

/// Waits until the opening is final, and known.
async fn opened(place: &Place, reader: &Reader) {
    let began = Instant::now();
    while place.ledger(1).next_number().await.unwrap() == 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "it was never opened");
        tokio::task::yield_now().await;
    }
    let depth = place.node.origin().genesis().depth;
    place.node.seal_empty(depth).await.unwrap();
    until(|| watched(place, reader).is_some_and(|row| row.is_usable())).await;
}

fn is_asked(kind: &ChangeKind) -> bool {
    matches!(kind, ChangeKind::CloseRequested { .. })
}

#[test]
fn a_buyer_sees_what_was_settled_and_forgets_a_channel_that_is_over() {
    let place = Place::new(1, 0);
    place.live(async |place, reader| {
        opened(place, reader).await;
        place.does(2, Call::Settle(place.redeem(300))).await;
        told(reader, 2).await;
        let row = watched(place, reader).unwrap();
        assert_eq!((row.deposit, row.settled), (DEPOSIT, Amount::new(300)));
        assert!(row.is_usable(), "it may serve the next session");
        place.does(2, Call::Close(place.redeem(400))).await;
        let facts = told(reader, 3).await;
        assert_eq!(
            facts,
            [
                ChangeKind::Opened { deposit: DEPOSIT },
                ChangeKind::Settled { settled: Amount::new(300) },
                ChangeKind::Closed { settled: Amount::new(400) },
            ]
        );
        assert!(!watched(place, reader).unwrap().is_usable(), "and not this one");
        assert_eq!(reader.open_channels(None, 10).unwrap(), []);
    });
}

#[test]
fn a_watch_goes_on_where_it_was_over_restarts() {
    let place = Place::new(1, 0);
    place.live(async |place, reader| {
        opened(place, reader).await;
        place.does(1, place.top_up(10)).await;
        told(reader, 2).await;
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        place.does(1, Call::RequestClose(place.in_channel())).await;
        // Far more than it leaves unwritten.
        place.node.seal_empty(2_000).await.unwrap();
        place.does(1, place.top_up(20)).await;
    });
    for life in 0..2 {
        place.live(async |_, reader| {
            let facts = told(reader, 4).await;
            assert_eq!(facts.len(), 4, "life {life}: {facts:?}");
            assert!(is_asked(&facts[2]), "{facts:?}");
            assert_eq!(facts[3], ChangeKind::ToppedUp { deposit: Amount::new(1_030) });
        });
    }
}

#[test]
fn words_that_are_lost_are_asked_for_again() {
    for seed in [1, 2, 3] {
        println!("seed {seed}");
        let place = Place::new(1, seed);
        place.faulty.set_odds(Odds { lose_request: 200, lose_answer: 200, ..Odds::default() });
        place.live(async |place, reader| {
            opened(place, reader).await;
            for units in 1..=20 {
                place.does(1, place.top_up(units)).await;
            }
            place.faulty.set_down(true);
            place.does(1, Call::RequestClose(place.in_channel())).await;
            looked(place).await;
            place.faulty.set_down(false);
            let facts = told(reader, 22).await;
            assert_eq!(facts.len(), 22);
            assert!(is_asked(&facts[21]));
            let deposits = facts[..21].iter().map(|kind| match kind {
                ChangeKind::Opened { deposit } | ChangeKind::ToppedUp { deposit } => deposit,
                other => panic!("{other:?}"),
            });
            assert!(deposits.is_sorted(), "{facts:?}");
        });
    }
}

#[test]
fn a_reorganisation_within_the_depth_fools_nobody() {
    let place = Place::new(4, 0);
    place.live(async |place, reader| {
        opened(place, reader).await;
        place.submits(1, Call::RequestClose(place.in_channel())).await;
        place.node.seal_empty(2).await.unwrap();
        looked(place).await;
        assert_eq!(place.node.reorganise(3, false).await.unwrap(), 3, "nothing of it is final");
        place.node.forget_pool().await.unwrap();
        place.does(1, place.top_up(5)).await;
        let facts = told(reader, 2).await;
        assert_eq!(facts[1], ChangeKind::ToppedUp { deposit: Amount::new(1_005) });
        assert!(!facts.iter().any(is_asked), "it never was final: {facts:?}");
        place.does(1, Call::RequestClose(place.in_channel())).await;
        let facts = told(reader, 3).await;
        assert!(facts.len() == 3 && is_asked(&facts[2]), "{facts:?}");
    });
}

#[test]
fn a_quiet_watch_keeps_how_far_it_has_read() {
    let place = Place::new(1, 0);
    place.live(async |place, reader| {
        opened(place, reader).await;
        let (ledger, domain) = (place.node.origin().ledger(), place.node.origin().domain());
        let cursor = || reader.watch_plan(ledger, domain, &[]).unwrap().cursor.unwrap();
        let before = cursor();
        for _ in 0..6 {
            place.node.seal_empty(50).await.unwrap();
            looked(place).await;
        }
        until(|| cursor() >= before + 256).await;
        assert_eq!(facts(reader).len(), 1, "nothing happened: {:?}", facts(reader));
    });
}

/// More than are asked for in one turn, and each by itself a reason to wait.
#[test]
fn channels_that_cannot_be_looked_at_keep_no_other_waiting_and_are_tried_again() {
    let mut place = Place::new(1, 0);
    for number in 1..=120 {
        let (deposit, salt) = (Amount::new(1), Digest([number; 32]));
        let open = Open { deposit, salt, ..place.opening.clone() };
        let (payer, domain) = (key(1).public().account(), place.node.origin().domain());
        let channel = channel_id(domain, &payer, &open.payee, &open.asset, &salt, None);
        let error = match number % 2 {
            0 => LedgerError::refused("Broken", "this one is not to be had"),
            _ => LedgerError::unavailable("this one is not to be had just now"),
        };
        place.counted.hidden.lock().unwrap().insert(channel, error);
        place.more.push((channel, open));
    }
    place.live(async |place, reader| {
        opened(place, reader).await;
        place.does(1, place.top_up(5)).await;
        told(reader, 2).await;
        let row = |channel| reader.watched(channel).unwrap().unwrap();
        assert!(place.more.iter().all(|(channel, _)| !row(channel).is_seen));
        place.counted.hidden.lock().unwrap().clear();
        until(|| place.more.iter().all(|(channel, _)| row(channel).is_seen)).await;
    });
}

/// What a ledger tells of a channel is an occasion to look at it: how it is decides.
#[test]
fn a_request_that_is_not_told_is_seen_in_the_channels_state() {
    let place = Place::new(1, 0);
    place.live(async |place, reader| {
        opened(place, reader).await;
        place.counted.is_forgetful.store(true, Ordering::SeqCst);
        place.faulty.set_down(true);
        place.does(1, Call::RequestClose(place.in_channel())).await;
        place.does(1, place.top_up(1)).await;
        place.does(1, Call::RequestClose(place.in_channel())).await;
        place.faulty.set_down(false);
        assert_eq!(told(reader, 2).await.len(), 2);
        assert_eq!(watched(place, reader).unwrap().life(), Life::Closing);
    });
}

/// Many blocks at once are told in parts, and the state is ahead of the first part: the facts are
/// told all the same, as audit has nothing else to go by.
#[test]
fn the_end_of_a_channel_is_a_fact_however_long_nobody_looked() {
    let place = Place::new(1, 0);
    place.live(async |place, reader| {
        opened(place, reader).await;
        place.faulty.set_down(true);
        place.does(1, Call::RequestClose(place.in_channel())).await;
        for units in 1..=300 {
            place.does(2, Call::Settle(place.redeem(units))).await;
        }
        place.does(2, Call::Close(place.redeem(400))).await;
        place.faulty.set_down(false);
        let facts = told(reader, 303).await;
        assert_eq!(facts.last(), Some(&ChangeKind::Closed { settled: Amount::new(400) }));
        assert_eq!(watched(place, reader).unwrap().life(), Life::Over);
    });
}

/// A session that hears what it is told.
#[derive(Default)]
struct Heard {
    stops: Arc<AtomicU64>,
    overs: Arc<AtomicU64>,
}

impl Actor for Heard {
    type Context = Context<Self>;
}

impl Handler<Stop> for Heard {
    type Result = ();
    fn handle(&mut self, _: Stop, _: &mut Context<Self>) {
        self.stops.fetch_add(1, Ordering::SeqCst);
    }
}

impl Handler<Over> for Heard {
    type Result = ();
    fn handle(&mut self, _: Over, _: &mut Context<Self>) {
        self.overs.fetch_add(1, Ordering::SeqCst);
    }
}

/// The buyer's own request is its own affair; what its seller does ends the session.
#[test]
fn a_channel_that_is_closed_under_a_buyers_session_ends_it_at_once_and_once() {
    let place = Place::new(1, 7);
    place.live(async |place, reader| {
        opened(place, reader).await;
        let heard = Heard::default();
        let (stops, overs) = (Arc::clone(&heard.stops), Arc::clone(&heard.overs));
        let session = heard.start();
        let serving = Serving {
            ledger: place.node.origin().ledger().clone(),
            stop: session.clone().recipient(),
            over: session.recipient(),
            give_way: None,
            role: Role::Buyer,
        };
        let taken = place.busy.take(place.channel, serving).unwrap();
        place.does(1, Call::RequestClose(place.in_channel())).await;
        place.does(2, Call::Settle(place.redeem(300))).await;
        told(reader, 3).await;
        looked(place).await;
        place.does(2, Call::Close(place.redeem(400))).await;
        until(|| overs.load(Ordering::SeqCst) > 0).await;
        assert!(!place.busy.end(&place.channel), "it was told");
        drop(taken);
        assert_eq!((stops.load(Ordering::SeqCst), overs.load(Ordering::SeqCst)), (0, 1));
    });
}

/// Whoever has our key can sign for us: that is no secret to the ledger, and must be none to us.
#[test]
fn what_was_paid_out_beyond_all_vouchers_is_known_at_once_and_over_restarts() {
    let place = Place::new(1, 8);
    let ceiling = |units| {
        let record = Record::Ceiling { channel: place.channel, amount: Amount::new(units) };
        Write::Append { session: None, record: Box::new(record) }
    };
    place.live(async |place, reader| opened(place, reader).await);
    let mut journal = Journal::open(&place.dir.path().join("journal"), key(1).public()).unwrap();
    journal.commit(1, vec![ceiling(300)]).unwrap().remove(0).unwrap();
    drop(journal);
    place.live(async |place, reader| {
        place.does(2, Call::Settle(place.redeem(300))).await;
        told(reader, 2).await;
        assert_eq!(reader.unjust().unwrap(), [], "so much was vouched");
        place.does(2, Call::Close(place.redeem(301))).await;
        told(reader, 3).await;
        let found = reader.unjust().unwrap();
        let [unjust] = &found[..] else { panic!("{found:?}") };
        assert_eq!((unjust.settled, unjust.vouched), (Amount::new(301), Amount::new(300)));
    });
    place.live(async |_, reader| assert_eq!(reader.unjust().unwrap().len(), 1));
}
