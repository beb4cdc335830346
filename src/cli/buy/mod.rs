//! `sdpp buy`: buys items from a seller.

mod after;
mod bill;
mod bonded;
mod going_on;
mod kept;
mod spending;
mod told;

use super::desk::{BuyersDesk, Desk};
use super::dial::{dial, host, host_port, way};
use super::dispute::guard::Guard;
use super::exit::{Exit, Failure, Outcome};
use super::items::{Bar, Items};
use super::remainders::Teller;
use super::running::{Running, Signals, in_system};
use super::tls::Believing;
use crate::actors::asking::Asking;
use crate::actors::busy::Taken;
use crate::actors::buying::{Buying, Delivering, Event, ITEMS_WAITING};
use crate::actors::ledger::TellHealth;
use crate::actors::resuming::Dialing;
use crate::actors::session::{Ended, SessionActor, SilenceMax, Stop};
use crate::actors::wire::Wire;
use crate::actors::{now_ms, random_digest, random_key};
use crate::config::ledgers::{Keyring, Ledgers, Opened};
use crate::config::{AnchorWhen, Buyer as BuyerConfig, Config, RecordsBatch, Spending};
use crate::message::Reason;
use crate::session::{Buyer, BuyerPolicy, BuyerRandomness, Progress, Wish};
use actix::prelude::*;
use after::{at_once, away, settle};
use clap::Args;
use going_on::LeftOver;
use sdpp_ledger::{Amount, BondId, Digest, LedgerId, PublicKey};
pub(super) use spending::pinned;
use spending::spending;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use told::{Told, report};

/// How far a seller's clock may be off, in milliseconds.
const CLOCK_SKEW_MS: u64 = 60_000;

/// The largest K that is ordered from: the leaves of an open window are kept in memory.
const GRANULARITY_MAX: u32 = 100_000;

/// How often it is ordered again where that is good at once: the seller has shown what a crash of ours
/// had hidden, or takes the order only where it is paid otherwise.
const ORDERED_AGAIN_MAX: usize = 16;

/// Buys items: each a line on standard output, or in a file. Ctrl-C ends in good order, with the
/// last window paid. Where a seller cheats in a session under a bond, that is complained of at once.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  sdpp buy 127.0.0.1:9620 cpu_load 60 --config buyer.toml")]
pub(super) struct Buy {
    /// Where the seller listens, HOST:PORT, or tls://HOST:PORT for one that speaks TLS.
    #[arg(value_name = "ADDR")]
    address: String,
    /// What to buy; `sdpp menu ADDR` shows what there is.
    topic: String,
    /// How many items, or `all`.
    #[arg(value_parser = quantity)]
    quantity: Quantity,
    /// The buyer's config.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Pay in this currency; without it, the first of the config that the seller takes too, that
    /// may be spent, and that our account can pay.
    #[arg(long, value_name = "NAME")]
    currency: Option<String>,
    /// The most that it may cost, in the currency's smallest unit; never more than the config has.
    /// Where the config has several currencies, --currency says which one's.
    #[arg(long, value_name = "AMOUNT")]
    max_total: Option<Amount>,
    /// Stop after this long, such as `90s` or `10m`.
    #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
    lasting: Option<Duration>,
    /// Write the items to this new file. The same command once more, after a kill, goes on with the file
    /// and the session that it began.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Begin anew: end the sessions that a kill left of the same order, and do not go on with one.
    #[arg(long)]
    new: bool,
    /// The seller's public key, where the config does not have it.
    #[arg(long, value_name = "KEY")]
    seller: Option<PublicKey>,
    /// Believe whoever answers. Its key is said at the end, to be kept.
    #[arg(long)]
    trust_on_first_use: bool,
    /// Order under this bond for the channel that pays, which keep_channel keeps open. Where its seller has not
    /// pledged and does so by itself, it is waited for.
    #[arg(long, value_name = "BOND")]
    bond: Option<BondId>,
    /// Buy of no other dataset than the one with this root; `sdpp dataset root` computes it of a file.
    #[arg(long, value_name = "ROOT")]
    dataset: Option<Digest>,
    /// Show the bill and buy nothing: what it would cost in each currency of the config, and in which
    /// it would be paid. Nothing is signed, and the seller hears our public key alone, where
    /// it has prices for single buyers.
    #[arg(long, conflicts_with = "output")]
    dry_run: bool,
    /// One JSON object about the session on standard output; needs `--output` for the items, unless
    /// nothing is bought.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy)]
struct Quantity(Option<u64>);

fn quantity(text: &str) -> Result<Quantity, String> {
    match text {
        "all" => Ok(Quantity(None)),
        _ => match text.parse() {
            Ok(count) if count > 0 => Ok(Quantity(Some(count))),
            _ => Err("write a number of items from 1 on, or `all`".to_owned()),
        },
    }
}

impl Buy {
    /// Runs it.
    pub(super) fn run(self) -> Outcome {
        if self.json && !self.dry_run && self.output.is_none() {
            return Err(Failure::usage(
                "--json needs --output FILE: standard output is one of them",
            ));
        }
        host(&self.address)?;
        let config = Config::load(&self.config)?;
        in_system(buy(self, config))
    }
}

async fn buy(ask: Buy, config: Config) -> Outcome {
    let buyer = config.buyer.as_ref().ok_or_else(|| {
        Failure::usage("this config has no [buyer]: `sdpp init` writes one to start from")
    })?;
    if ask.dry_run {
        return bill::show(&ask, &config, buyer).await;
    }
    let (seller, spending) = (seller_key(&ask, buyer)?, spending(&ask, buyer)?);
    let mut keys = Keyring::default();
    let key = keys.open(&config.identity)?;
    let opened = Ledgers::open(&config, &mut keys).await?;
    let opened: Vec<(&str, &Opened)> = opened.iter().collect();
    let mut running = Running::start(&config, key, &opened)?;
    let mut guard = Guard::default();
    guard.answered(&running, Duration::from_millis(buyer.patience_ms)).await;
    let left = going_on::left(&ask, &mut running);
    let bought = bought(&ask, (&config, buyer), (&running, left), (seller, spending));
    tokio::select! {
        bought = bought => bought,
        never = guard.keep(&running) => match never {},
    }
}

/// Orders, and follows what comes of it to its end.
async fn bought(
    ask: &Buy,
    (config, buyer): (&Config, &BuyerConfig),
    (running, mut left): (&Running, LeftOver),
    (seller, spending): (Option<PublicKey>, Vec<&Spending>),
) -> Outcome {
    let desk = Desk { reader: running.reader.clone(), journal: running.journal.clone() };
    let desk = BuyersDesk::open(&config.journal.dir, desk);
    let policy = running.reclaim_policy(config, buyer);
    let teller = Teller { config, ids: &running.ids, policy: Some(&policy) };
    let (started, began_ms) = (Instant::now(), now_ms());
    let is_left = left.goes_on.is_some();
    let begun = begin(ask, config, spending, seller, (running, &mut left)).await;
    let (session, items) = match begun {
        Ok(begun) => begun,
        Err(failure) => return Err(away(failure, running, &policy, &teller).await?),
    };
    desk.serve(session.actor.clone());
    let bar = || Bar::new(ask.quantity.0);
    let (mut ended, mut items) = follow(session, items, bar(), ask.lasting).await?;
    let rest = || ask.lasting.map(|time| time.saturating_sub(started.elapsed()));
    let patience = Duration::from_millis(buyer.patience_ms);
    let mut waiting =
        bonded::Waiting::for_seller(rest().map_or(patience, |rest| rest.min(patience)));
    for _ in 0..ORDERED_AGAIN_MAX {
        let Some(wish) = ended.again.take() else { break };
        tracing::warn!(why = ended.why, "ordering again");
        let delivering = Delivering::new(&ask.address, going_on::named(ask.output.as_deref()));
        let ordered = async {
            let wish = waiting.over(*wish, (ended.end, &ended.why), running).await?;
            order(&ask.address, config, wish, running, delivering).await
        };
        let session = match ordered.await {
            Ok(session) => session,
            Err(failure) => return Err(away(failure, running, &policy, &teller).await?),
        };
        desk.serve(session.actor.clone());
        (ended, items) = follow(session, items, bar(), rest()).await?;
    }
    let complained = bonded::complain(&ended, running, patience).await?;
    let mut signals = Signals::listen()?;
    let left = tokio::select! {
        left = settle(running, &policy, buyer, (ended.end, began_ms)) => left?,
        // The session has ended in good order before.
        () = signals.next() => return Err(at_once()),
    };
    let money = items.money().cloned();
    let took = started.elapsed();
    let told = Told { ended: &ended, money: money.as_ref(), complained, took };
    if is_left {
        going_on::tell(ask, &ended);
    }
    report(ask, told, &teller, &left)?;
    items.close()?;
    running.check_claims()
}

/// Says what may be paid with, and connects, for what a kill left or for another session.
async fn begin(
    ask: &Buy,
    config: &Config,
    spending: Vec<&Spending>,
    seller: Option<PublicKey>,
    (running, LeftOver { goes_on, ending }): (&Running, &mut LeftOver),
) -> Outcome<(Session, Items)> {
    let spending = match goes_on {
        None => bonded::allowed(spending, ask.bond.as_ref())?,
        Some(left) => bonded::going_on(spending, &left.session.currencies),
    };
    let but = goes_on.as_ref().map(|left| left.session.session);
    let answer = |query: &_| Ok(running.reader.answer(query)?);
    let spent = spending::spent_today(&spending, but, answer)?;
    let mut currencies = pinned(config, &spending, |name| running.ledger(name))?;
    spending::limit(&mut currencies, &spending, &spent);
    let bond = match &ask.bond {
        // What goes on is under what it was ordered under, whatever became of that since.
        Some(id) if goes_on.is_none() => Some(bonded::under(*id, config, running).await?),
        _ => None,
    };
    let wish = Wish {
        topic: ask.topic.clone(),
        quantity: ask.quantity.0,
        currencies,
        max_total: ask.max_total,
        seller,
        bond,
        dataset: ask.dataset,
    };
    if let Some(left) = goes_on {
        return going_on::go_on(ask, config, wish, left, running).await;
    }
    let items = Items::open(ask.output.as_deref())?;
    // All that can be known before has been looked at: what cannot begin anew ends nothing.
    running.end(std::mem::take(ending)).await?;
    let delivering = Delivering::new(&ask.address, going_on::named(ask.output.as_deref()));
    Ok((order(&ask.address, config, wish, running, delivering).await?, items))
}

/// A session under way.
pub(super) struct Session {
    /// What carries it.
    pub(super) actor: Addr<SessionActor<Buying>>,
    /// What it tells while it lasts.
    pub(super) events: mpsc::Receiver<Event>,
    /// How it ended.
    pub(super) done: oneshot::Receiver<Ended>,
    /// The channels that it had before it began here.
    holds: Vec<Taken>,
}

/// Connects and begins, for whoever takes the items.
pub(super) async fn start(
    address: &str,
    config: &Config,
    wish: Wish,
    running: &Running,
) -> Outcome<Session> {
    order(address, config, wish, running, Delivering::new(address, None)).await
}

async fn order(
    address: &str,
    config: &Config,
    wish: Wish,
    running: &Running,
    delivering: Delivering,
) -> Outcome<Session> {
    let policy = session_policy(config, running)?;
    let patience = Duration::from_millis(policy.patience_ms);
    let believing = believing(config, address);
    let way = way(address, &believing)?;
    let wire = dial(&way, (address, &believing), patience).await?;
    let randomness = BuyerRandomness {
        encryption: random_key().map_err(unsafe_system)?,
        nonce: random_digest().map_err(unsafe_system)?,
    };
    let core = Buyer::new(running.key.clone(), wish, policy, randomness, now_ms());
    Ok(carry((Some(wire), core), Dialing::to(way), delivering, (running, config, patience)))
}

/// Has an actor carry a session.
fn carry(
    (wire, core): (Option<Wire>, Buyer),
    dialing: Dialing,
    delivering: Delivering,
    (running, config, patience): (&Running, &Config, Duration),
) -> Session {
    let (sender, events) = mpsc::channel(ITEMS_WAITING);
    let (told, done) = oneshot::channel();
    let side = Buying {
        ledgers: running.ledgers.clone(),
        reader: running.reader.clone(),
        busy: running.busy.clone(),
        signer: running.key.public().account(),
        patience,
        holds: Vec::new(),
        events: sender,
        done: told,
        delivered: Vec::new(),
        told: Progress::default(),
        asking: Asking::default(),
        asked: Default::default(),
        dialing,
        delivering,
    };
    // Whoever answers nothing at first the core's own patience ends.
    let silence_max =
        SilenceMax { first: None, idle: Duration::from_millis(config.limits.idle_ms) };
    let journal = running.journal.clone();
    let actor = match wire {
        Some(wire) => SessionActor::start_on(wire, core, side, journal, silence_max),
        None => SessionActor::start_without(core, side, journal, silence_max, |_, _| {}),
    };
    for ledger in running.actors.values() {
        ledger.addr().do_send(TellHealth(actor.clone().recipient()));
    }
    Session { actor, events, done, holds: Vec::new() }
}

fn unsafe_system(error: crate::actors::NoRandomness) -> Failure {
    Failure::new(Exit::Failed, error)
}

/// What is believed of who answers at an address under TLS.
fn believing(config: &Config, address: &str) -> Believing {
    let believing = config.buyer.as_ref().map(|buyer| Believing::of(buyer, host_port(address)));
    believing.unwrap_or_default()
}

/// Writes items out until the session is over. The first signal asks it to end in good order,
/// the second ends at once. Where items cannot be written the session ends in good order too,
/// because what came is owed for; [`Items::close`] tells why.
pub(super) async fn follow(
    session: Session,
    items: Items,
    bar: Bar,
    lasting: Option<Duration>,
) -> Outcome<(Ended, Items)> {
    // Its channels are its own until it is over.
    let Session { actor, events, mut done, holds: _holds } = session;
    let stop = |reason| actor.do_send(Stop::from(reason));
    let (mut signals, mut asked) = (Signals::listen()?, 0);
    let broken = actor.clone();
    let writing = items.drain(events, bar, move || broken.do_send(Stop::from(Reason::Stopped)))?;
    let time_up = tokio::time::sleep(lasting.unwrap_or(Duration::MAX / 4));
    tokio::pin!(time_up);
    let ended = loop {
        tokio::select! {
            ended = &mut done => break ended,
            () = &mut time_up, if lasting.is_some() && asked == 0 => {
                asked = 1;
                stop(Reason::TimeUp);
            }
            () = signals.next() => {
                asked += 1;
                if asked > 1 {
                    return Err(at_once());
                }
                stop(Reason::Stopped);
            }
        }
    };
    let gone = || Failure::new(Exit::Failed, "the session's actor is gone");
    let ended = ended.map_err(|_| gone())?;
    // Whoever reads slowly must not keep what is owed from being paid meanwhile.
    let written = tokio::task::spawn_blocking(move || writing.join()).await;
    match written {
        Ok(Ok(items)) => Ok((ended, items)),
        _ => Err(gone()),
    }
}

/// Whose menu is believed: the key that was given, or the config's, or anybody's where that was
/// said aloud.
fn seller_key(ask: &Buy, buyer: &BuyerConfig) -> Outcome<Option<PublicKey>> {
    // The same seller, whether it is reached under TLS or not.
    let pinned = [ask.address.as_str(), host_port(&ask.address)];
    let pinned = pinned.iter().find_map(|address| buyer.sellers.get(*address).copied());
    let known = ask.seller.or(pinned);
    if known.is_some() || ask.trust_on_first_use || buyer.trust_on_first_use {
        return Ok(known);
    }
    let address = &ask.address;
    Err(Failure::usage(format!(
        "no key is known for the seller at {address}: write it under [buyer.sellers], give it \
         with --seller KEY, or say --trust-on-first-use"
    )))
}

/// How a session behaves by the config, and which ledger its records go to.
fn session_policy(config: &Config, running: &Running) -> Outcome<BuyerPolicy> {
    let records = config.records.as_ref();
    let records = records.map(|records| running.id(&records.ledger)).transpose()?;
    Ok(policy(config, records))
}

fn policy(config: &Config, ledger: Option<LedgerId>) -> BuyerPolicy {
    let records = config.records.as_ref();
    let buyer = config.buyer.as_ref();
    BuyerPolicy {
        patience_ms: buyer.map_or(30_000, |buyer| buyer.patience_ms),
        resume_ms: Some(buyer.map_or(30_000, |buyer| buyer.patience_ms)),
        records: ledger,
        anchor_before: records.is_some_and(|r| r.anchor == AnchorWhen::Before),
        hold_records: records.is_some_and(|r| r.batch == RecordsBatch::Session),
        frame_bytes_max: config.limits.frame_bytes_max,
        clock_skew_ms: CLOCK_SKEW_MS,
        granularity_max: GRANULARITY_MAX,
        settling: config.settling_payments(),
        fail_over_after_ms: buyer.and_then(|buyer| buyer.fail_over_after_s).map(|s| s * 1_000),
        rate_slack_permille: buyer.map_or(50, |buyer| buyer.rate_slack_permille),
    }
}
