//! What runs under every verb that has sessions: a journal and its actor, the ledgers and theirs.

use super::exit::{Exit, Failure, Outcome};
use super::note;
use crate::actors::busy::{Busy, Taken};
use crate::actors::joining::Joining;
use crate::actors::journal::{Commit, JournalActor};
use crate::actors::keeper::{Keeper, Kept};
use crate::actors::lag::Lag;
use crate::actors::ledger::LedgerActor;
use crate::actors::reclaim::{ReclaimActor, Reclaiming};
use crate::actors::sight::Sight;
use crate::actors::waiting::{Waiting, waiting};
use crate::actors::watch::{Look, Pace, WatchActor};
use crate::actors::{Ledgers, interrupted, now_ms, reclaim, restarting};
use crate::config::ledgers::Opened;
use crate::config::{Buyer, Config, LedgerAt, RecordsBatch};
use crate::journal::outbox::{Policy, RAISE_AFTER_MS};
use crate::journal::{Journal, Quarantine, Reader, Remainder, Unjust, Unsettled, Write};
use crate::message::Moment;
use crate::terms::SessionId;
use actix::prelude::*;
use sdpp_ledger::{Amount, Escrow, Key, Ledger, LedgerId};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often the outbox is looked at while somebody waits for it.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long a ledger may take to tell what happened to channels.
const LOOK_AT_MOST: Duration = Duration::from_secs(5);

/// How often the journal is looked at while the seller serves.
const JOURNAL_LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long the journal may take at the end to write what waits for it.
const WRITTEN_AT_MOST: Duration = Duration::from_secs(5);

/// How often ledgers are asked what happened to channels.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// How long ledgers that do not answer are left alone at the longest.
const WATCH_AT_MOST: Duration = Duration::from_secs(30);

/// How long a seller is given to close a channel before its buyer's process ends, and how often
/// that is looked for: enough where blocks are quick; elsewhere it closes later.
const CLOSE_AT_MOST: Duration = Duration::from_secs(3);
const CLOSE_LOOK_EVERY: Duration = Duration::from_millis(50);

/// How often channels are looked at that nobody may need any more.
const RECLAIM_EVERY: Duration = Duration::from_secs(10);

/// The most transactions on their way where a ledger has no bound of its own.
pub(super) const ON_WAY_AT_MOST: usize = 64;

/// The most anchors under one root, where records ride together.
const ANCHORS_AT_MOST: usize = 1024;

/// One side's journal, ledgers and actors.
pub(super) struct Running {
    /// The key that signs messages.
    pub(super) key: Key,
    /// The journal's actor.
    pub(super) journal: Addr<JournalActor>,
    /// The journal, to read.
    pub(super) reader: Reader,
    /// The ledgers by id.
    pub(super) ledgers: Ledgers,
    /// Their ids by the names in the config.
    pub(super) ids: BTreeMap<String, LedgerId>,
    /// Their actors.
    pub(super) actors: BTreeMap<LedgerId, Kept<LedgerActor>>,
    /// What keeps them, and all else that is to run as long as the process.
    pub(super) keeper: Keeper,
    /// Bonds that wait for our part.
    pub(super) joining: Joining,
    /// Channels that serve a session of ours.
    pub(super) busy: Busy,
    /// Which ledgers' channels are watched.
    pub(super) sight: Sight,
    /// How long the journal takes.
    pub(super) lag: Lag,
    /// Buyer: sessions that a kill left and that their own command may go on with.
    pub(super) waiting: Vec<Waits>,
    watches: Vec<Kept<WatchActor>>,
    /// Claims that were known to be unjust before.
    known: Vec<Unjust>,
    arbiter: Arbiter,
}

/// A session that is left for the command that began it.
pub(super) struct Waits {
    /// The session.
    pub(super) session: Waiting,
    /// Its channels, so that nobody draws on them or closes them meanwhile.
    pub(super) holds: Vec<Taken>,
}

/// Who we are, and the ledgers that we have: what a menu is made from.
pub(super) struct Means {
    /// The key that signs messages.
    pub(super) key: Key,
    /// The ledgers by id.
    pub(super) ledgers: Ledgers,
    /// Their ids by the names in the config.
    pub(super) ids: BTreeMap<String, LedgerId>,
}

impl Means {
    /// The id of a ledger that the config names.
    pub(super) fn id(&self, name: &str) -> Outcome<LedgerId> {
        id(&self.ids, name)
    }
}

fn id(ids: &BTreeMap<String, LedgerId>, name: &str) -> Outcome<LedgerId> {
    let unknown = || Failure::usage(format!("the config has no ledger {name:?}"));
    ids.get(name).cloned().ok_or_else(unknown)
}

impl Running {
    /// Opens the journal and starts everything; whatever is owed is gone on with at once.
    pub(super) fn start(config: &Config, key: Key, opened: &[(&str, &Opened)]) -> Outcome<Running> {
        let journal = Journal::open(&config.journal.dir, key.public())?;
        Running::start_on(config, key, opened, journal)
    }

    /// The same on a journal that is open.
    pub(super) fn start_on(
        config: &Config,
        key: Key,
        opened: &[(&str, &Opened)],
        mut journal: Journal,
    ) -> Outcome<Running> {
        check_quarantine(&journal.reader())?;
        survive_limits()?;
        let ledgers = opened.iter().map(|(_, opened)| opened.ledger().clone());
        // Those of a seller that go on when their buyers come back are taken up as it begins to sell.
        let resumes = config.seller.as_ref().is_some_and(|seller| seller.resume_s > 0);
        let kept = if resumes { restarting::kept(&journal.reader())? } else { Vec::new() };
        let waiting = waiting(&journal.reader(), now_ms())?;
        let ledgers: BTreeMap<_, _> = ledgers.map(|l| (l.id().clone(), l)).collect();
        let is_left =
            |id: &SessionId| kept.contains(id) || waiting.iter().any(|one| one.session == *id);
        end_interrupted(&mut journal, &ledgers, is_left)?;
        let arbiter = Arbiter::new();
        let (keeper, lag) = (Keeper::default(), Lag::default());
        let (journal, reader) = JournalActor::start_with(&arbiter, journal, lag.clone());
        let (mut ledgers, mut ids, mut actors) = Default::default();
        for (name, opened) in opened {
            let ledger = opened.ledger().clone();
            let id = ledger.id().clone();
            let (reader, journal) = (reader.clone(), journal.clone());
            let policy = policy(config, name, ledger.as_ref());
            let actor = LedgerActor::start_for(&keeper, ledger.clone(), policy, reader, journal);
            BTreeMap::insert(&mut ids, (*name).to_owned(), id.clone());
            BTreeMap::insert(&mut actors, id.clone(), actor);
            if BTreeMap::insert(&mut ledgers, id.clone(), ledger).is_some() {
                let why = format!(
                    "two ledgers of the config are the same one, {id}: drop [ledgers.{name}]"
                );
                return Err(Failure::usage(why));
            }
        }
        let known = reader.unjust()?;
        let (ledgers, busy) = (Arc::new(ledgers), Busy::default());
        let waiting = waiting.into_iter().map(|session| {
            let holds = session.channels.iter().filter_map(|channel| busy.hold(*channel)).collect();
            Waits { session, holds }
        });
        let waiting = waiting.collect();
        let (sight, watches) =
            WatchActor::start_all(&keeper, &ledgers, &reader, &journal, &busy, pace(config));
        let running = Running {
            keeper,
            joining: Joining::default(),
            busy,
            sight,
            lag,
            key,
            journal,
            reader,
            ledgers,
            ids,
            actors,
            waiting,
            watches,
            known,
            arbiter,
        };
        if let Some(buyer) = &config.buyer {
            let first = Duration::from_millis(buyer.patience_ms);
            let pace = reclaim::Pace { first, every: RECLAIM_EVERY };
            let policy = running.reclaim_policy(config, buyer);
            ReclaimActor::start_with(&running.keeper, running.reclaiming(), policy, pace);
        }
        Ok(running)
    }

    /// Has the ledgers tell what happened to our channels up to now. Who does not answer in time
    /// is not waited for.
    pub(super) async fn look(&self) {
        let looks = self.watches.iter().map(|watch| watch.addr().send(Look));
        for look in looks.collect::<Vec<_>>() {
            let _ = tokio::time::timeout(LOOK_AT_MOST, look).await;
        }
    }

    /// Fails where a seller has had more than we vouched, unless that was known before: the watch
    /// has said so aloud, and a script must hear of it too.
    pub(super) fn check_claims(&self) -> Outcome {
        let unjust = self.reader.unjust()?;
        let Some(new) = unjust.iter().find(|one| !self.known.contains(one)) else { return Ok(()) };
        let Unjust { channel, settled, vouched, .. } = new;
        let why =
            format!("channel {channel} paid out {settled}, and {vouched} was vouched at the most");
        Err(Failure::new(Exit::Peer, why))
    }

    /// What it takes to get back what is left in channels.
    pub(super) fn reclaiming(&self) -> Reclaiming {
        let (ledgers, reader) = (self.ledgers.clone(), self.reader.clone());
        let (journal, busy) = (self.journal.clone(), self.busy.clone());
        Reclaiming { ledgers, reader, journal, busy }
    }

    /// Has owed what it is time for to get back what is left in channels that nobody needs. How
    /// many steps that were.
    pub(super) async fn take_back(&self, policy: &reclaim::Policy) -> Outcome<usize> {
        self.look().await;
        let steps = self.reclaiming().idle(policy).await;
        steps.map_err(|error| Failure::new(Exit::Failed, error))
    }

    /// What is left in open channels that we pay into, as their ledgers tell it now.
    pub(super) async fn left(&self) -> Outcome<Vec<Remainder>> {
        self.look().await;
        let mut remainders = self.reader.remainders()?;
        remainders.retain(|one| one.left > Amount::ZERO);
        Ok(remainders)
    }

    /// The same, when sellers had a moment to close what was left to them since then.
    pub(super) async fn left_since(&self, since_ms: u64) -> Outcome<Vec<Remainder>> {
        let began = Instant::now();
        loop {
            let left = self.left().await?;
            let closes = |one: &Remainder| one.watched.is_left && one.watched.used_ms >= since_ms;
            if !left.iter().any(closes) || began.elapsed() >= CLOSE_AT_MOST {
                return Ok(left);
            }
            tokio::time::sleep(CLOSE_LOOK_EVERY).await;
        }
    }

    /// When a buyer's channel is one that nobody needs any more.
    pub(super) fn reclaim_policy(&self, config: &Config, buyer: &Buyer) -> reclaim::Policy {
        let kept = buyer.currencies.iter().filter(|spending| spending.keep_channel);
        let kept = kept.filter_map(|spending| {
            let currency = config.currencies.get(&spending.currency)?;
            Some((self.ids.get(&currency.ledger)?.clone(), currency.asset.clone()))
        });
        let after = Duration::from_secs(buyer.reclaim_after_s);
        reclaim::Policy { after, kept: kept.collect() }
    }

    /// The id of a ledger that the config names.
    pub(super) fn id(&self, name: &str) -> Outcome<LedgerId> {
        id(&self.ids, name)
    }

    /// What a menu is made from.
    pub(super) fn means(&self) -> Means {
        let (ledgers, ids) = (self.ledgers.clone(), self.ids.clone());
        Means { key: self.key.clone(), ledgers, ids }
    }

    /// The ledger that the config names.
    pub(super) fn ledger(&self, name: &str) -> Option<&Arc<dyn Ledger>> {
        self.ids.get(name).and_then(|id| self.ledgers.get(id))
    }

    /// Waits until nothing is owed to any ledger any more, so long at most; gives what still is.
    pub(super) async fn settle(&self, at_most: Duration) -> Outcome<Vec<Unsettled>> {
        let give_up_ms = now_ms() + u64::try_from(at_most.as_millis()).unwrap_or(u64::MAX / 2);
        loop {
            let unsettled = self.reader.counts()?.unsettled;
            if unsettled.is_empty() || now_ms() >= give_up_ms {
                return Ok(unsettled);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Answers when the journal can never be written again, and why. One whose disk is full is
    /// waited for.
    pub(super) async fn stopped(&self) -> Failure {
        while self.journal.connected() {
            tokio::time::sleep(JOURNAL_LOOK_EVERY).await;
        }
        match self.reader.head() {
            Err(error) => error.into(),
            Ok(_) => {
                Failure::new(Exit::Failed, "what writes the journal has broken: the log says why")
            }
        }
    }

    /// Writes what is no session's, or says why the first of it is refused.
    pub(super) async fn commit(&self, writes: Vec<Write>) -> Outcome {
        let committed = self.journal.send(Commit(writes)).await.map_err(failed)?;
        let mut answers = committed.map_err(failed)?.into_iter();
        answers.try_for_each(|one| one.map(drop)).map_err(failed)
    }

    /// Ends sessions that a kill left: their channels are anybody's again.
    pub(super) async fn end(&self, left: Vec<Waits>) -> Outcome {
        if left.is_empty() {
            return Ok(());
        }
        let mut writes = Vec::new();
        for Waits { session, .. } in &left {
            writes.extend(interrupted::end(&self.reader, &self.ledgers, session.session)?);
        }
        let no_end =
            |Failure { exit, why }| Failure::new(exit, format!("no session is ended: {why}"));
        self.commit(writes).await.map_err(no_end)?;
        for Waits { session, .. } in left {
            note(format_args!("session {} is ended, as it was left", session.session));
        }
        Ok(())
    }

    /// Answers when all that waits for the journal is on disk: what it answered before is already.
    pub(super) async fn written(&self) -> Outcome {
        let written = self.journal.send(Commit(Vec::new()));
        let why = match tokio::time::timeout(WRITTEN_AT_MOST, written).await {
            Ok(Ok(Ok(_))) => return Ok(()),
            Ok(Ok(Err(error))) => error.to_string(),
            Ok(Err(gone)) => gone.to_string(),
            Err(_) => format!("it takes longer than {} s", WRITTEN_AT_MOST.as_secs()),
        };
        Err(Failure::new(Exit::Failed, format!("what waits for the journal is not kept: {why}")))
    }

    /// Ends the journal's thread, and with it the lock on its folder once all readers are gone.
    pub(super) fn stop(self) {
        self.arbiter.stop();
        if self.arbiter.join().is_err() {
            tracing::error!("the journal's thread ended badly");
        }
    }
}

fn failed(why: impl Display) -> Failure {
    Failure::new(Exit::Failed, why)
}

/// Reads what may take long, while all else of this thread goes on.
pub(super) async fn aside<T: Send + 'static>(
    read: impl FnOnce() -> Outcome<T> + Send + 'static,
) -> Outcome<T> {
    tokio::task::spawn_blocking(read).await.map_err(failed)?
}

/// A file that may not grow is a disk that is full, and not the end of this process.
fn survive_limits() -> Outcome {
    let too_large = SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw());
    let failed = |error| Failure::new(Exit::Failed, format!("cannot listen for signals: {error}"));
    // Who listens once is never ended by it any more.
    signal(too_large).map(drop).map_err(failed)
}

/// Nothing is signed by a journal that has forgotten what it signed before.
fn check_quarantine(reader: &Reader) -> Outcome {
    let Some(quarantine) = reader.quarantine()? else { return Ok(()) };
    let Quarantine { after_seq, backup_ms, .. } = quarantine;
    let since = Moment(backup_ms);
    if !quarantine.is_on() {
        tracing::info!(%since, after_seq, "this journal was restored: what came then is not in it");
        return Ok(());
    }
    Err(Failure::new(
        Exit::Failed,
        format!(
            "this journal was restored from the backup of {since}: all that was signed, sold, bought \
             and paid after it, behind entry {after_seq}, is missing in it, so nothing is signed by \
             it yet. Run `sdpp journal release --config FILE`, which asks the ledgers what they \
             have; name evidence of sessions since then with --learn BUNDLE"
        ),
    ))
}

/// Ends what a kill left without an end, but for what is left as it is.
fn end_interrupted(
    journal: &mut Journal,
    ledgers: &BTreeMap<LedgerId, Arc<dyn Ledger>>,
    is_left: impl Fn(&SessionId) -> bool,
) -> Outcome {
    let ends = interrupted::ends(&journal.reader(), ledgers, is_left)?;
    let written = journal.commit(now_ms(), ends)?;
    let failed = |error| Failure::new(Exit::Failed, format!("a session cannot be ended: {error}"));
    written.into_iter().try_for_each(|one| one.map(drop)).map_err(failed)
}

/// How ledgers are watched. A buyer's own channels are at nobody else's mercy.
fn pace(config: &Config) -> Pace {
    let outage = config.seller.as_ref().map(|seller| Duration::from_secs(seller.outage_s));
    let outage = outage.unwrap_or(Duration::MAX);
    Pace { every: WATCH_EVERY, at_most: WATCH_AT_MOST, outage }
}

/// How the outbox behaves for a ledger of this config.
fn policy(config: &Config, name: &str, ledger: &dyn Ledger) -> Policy {
    let together = config.records.as_ref().is_some_and(|r| r.batch == RecordsBatch::Session);
    let at = config.ledgers.get(name).map(|ledger| &ledger.at);
    let poll_ms = at.map_or(1_000, LedgerAt::poll_ms);
    Policy {
        anchors_at_most: if together { ANCHORS_AT_MOST } else { 1 },
        redeems_at_most: ledger.escrow().map_or(1, <dyn Escrow>::rows_at_most),
        raise_after_ms: RAISE_AFTER_MS,
        in_flight_max: match at {
            // How many the gateway is given at once is the ledger's affair: what waits there for
            // others of its account must not keep a record from being sent.
            Some(LedgerAt::Embedded(_) | LedgerAt::Fabric(_)) => ON_WAY_AT_MOST,
            // Each lives on coins that no other may touch, so there is no sense in more.
            Some(LedgerAt::Iota(iota)) => iota.coins,
            // What geth's pool keeps of one account even when it is full.
            Some(LedgerAt::Ethereum(_)) | None => 16,
        },
        poll_ms,
        backoff_base_ms: poll_ms.max(200),
        backoff_max_ms: 30_000,
    }
}

/// Runs a verb's actors until it is done.
pub(super) fn in_system<T>(verb: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    System::new().block_on(async {
        let outcome = verb.await;
        // An actor that had no turn yet would begin when it is dropped, without a runtime.
        tokio::task::yield_now().await;
        outcome
    })
}

/// Those who want this process to end: Ctrl-C and SIGTERM.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From here on none is lost.
    pub(super) fn listen() -> Outcome<Signals> {
        let listen = |kind| {
            let failed = |error| format!("cannot listen for signals: {error}");
            signal(kind).map_err(|error| Failure::new(Exit::Failed, failed(error)))
        };
        let terminate = listen(SignalKind::terminate())?;
        Ok(Signals { terminate, interrupt: listen(SignalKind::interrupt())? })
    }

    /// Answers when the next one comes.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
