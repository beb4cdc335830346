//! A watch: asks one ledger, again and again, what happened to the channels that we have part in,
//! and has the journal keep it. It serves the journal, and the sessions: a seller's whose channel is
//! closing, or is not watched any more, is asked to end in good order, and one of either side whose
//! channel is over ends at once. It decides nothing: the journal's table does.
//!
//! Mailbox: actix's default; who wants it to look at once writes to it and waits.

use crate::actors::Ledgers;
use crate::actors::alarm::Alarm;
use crate::actors::busy::Busy;
use crate::actors::journal::{Commit, JournalActor};
use crate::actors::keeper::{Keeper, Kept};
use crate::actors::sight::Sight;
use crate::journal::watch::{Plan, View, Watch};
use crate::journal::{JournalError, Reader, Write};
use crate::message::Reason;
use actix::prelude::*;
use sdpp_ledger::{Change, ChangeKind, Changes, Channel, ChannelId, Escrow, Ledger, LedgerError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How many new channels a ledger is asked for in one turn.
const NEW_AT_ONCE: usize = 50;

/// How many channels a ledger is asked for again in one turn, after what happened to them.
const AGAIN_AT_ONCE: usize = 200;

/// How many channels one question names.
const CHANNELS_AT_ONCE: usize = 500;

/// How far back a new channel's past is read, in blocks. What came before stands in no fact, and
/// is in the channel's state all the same.
const LOOK_BACK: u64 = 1_000;

/// How many questions the past of new channels may take in one turn.
const QUESTIONS_AT_MOST: usize = 8;

/// How far the height to read may be ahead of the one that is written, in blocks, where nothing
/// happened: so far back is read again after a restart.
const UNWRITTEN_MAX: u64 = 256;

/// How many new channels a ledger may be asked for in vain in one turn before it counts as away.
const IN_VAIN_AT_MOST: usize = 3;

/// Nobody is blind before so many turns have passed, whatever outage is planned for.
const TURNS_AT_LEAST: u32 = 4;

/// How often a ledger is asked.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// While all is well.
    pub every: Duration,
    /// At the longest, while it does not answer: the wait doubles with each time that it does not.
    pub at_most: Duration,
    /// How long it may not be read before its channels count as not watched.
    pub outage: Duration,
}

/// A watch.
pub struct WatchActor {
    ledger: Arc<dyn Ledger>,
    reader: Reader,
    journal: Addr<JournalActor>,
    busy: Busy,
    sight: Sight,
    pace: Pace,
    /// The height to read next, which the one that is written follows.
    cursor: Option<u64>,
    /// How often in a row the ledger did not answer.
    failures: u32,
    /// The next turn, unless one is under way.
    timer: Option<SpawnHandle>,
    /// Who waits for the next turn.
    waiting: Vec<oneshot::Sender<()>>,
    /// Who waits for the turn that is under way, and those that follow it at once.
    served: Vec<oneshot::Sender<()>>,
    /// New channels that could not be looked at.
    passed: BTreeMap<ChannelId, Passed>,
    /// It was said that channels are not watched any more.
    is_blind: bool,
    alarm: Alarm,
}

/// When a channel was asked for in vain.
#[derive(Debug, Clone, Copy)]
struct Passed {
    since: Instant,
    last: Instant,
}

/// Looks at once. Answers when the ledger has told all that is final by then, or did not answer.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Look;

/// What came of a turn.
enum Turned {
    /// Look again after the usual time.
    Quiet,
    /// There is news, after which more may be asked for: look again at once.
    More,
    /// There are final blocks that were not read yet: look again at once, unless the ledger did
    /// not tell of any of them.
    Behind { at_once: bool },
    /// The ledger did not answer as it should.
    Failed(String),
}

impl WatchActor {
    /// Starts a watch for each ledger that has an escrow, and has it kept. Gives what they see, and
    /// them.
    pub fn start_all(
        keeper: &Keeper,
        ledgers: &Ledgers,
        reader: &Reader,
        journal: &Addr<JournalActor>,
        busy: &Busy,
        pace: Pace,
    ) -> (Sight, Vec<Kept<WatchActor>>) {
        let sight = Sight::new(pace.outage.max(pace.every.saturating_mul(TURNS_AT_LEAST)));
        let start = |ledger: &Arc<dyn Ledger>| {
            let (ledger, reader, journal) = (ledger.clone(), reader.clone(), journal.clone());
            let (busy, sight) = (busy.clone(), sight.clone());
            keeper.actor(format!("watch {}", ledger.id()), move || WatchActor {
                ledger: ledger.clone(),
                reader: reader.clone(),
                journal: journal.clone(),
                busy: busy.clone(),
                sight: sight.clone(),
                pace,
                cursor: None,
                failures: 0,
                timer: None,
                waiting: Vec::new(),
                served: Vec::new(),
                passed: BTreeMap::new(),
                is_blind: false,
                alarm: Alarm::default(),
            })
        };
        let watched = ledgers.values().filter(|ledger| ledger.escrow().is_some());
        let watches = watched.map(start).collect();
        (sight, watches)
    }

    fn turn(&mut self, ctx: &mut Context<Self>) {
        self.timer = None;
        self.served.append(&mut self.waiting);
        let mut plan = match self.plan() {
            Ok(plan) => plan,
            Err(error) => return self.again(&Turned::Failed(error.to_string()), ctx),
        };
        let written = plan.cursor;
        plan.cursor = self.cursor.or(written);
        if plan.new.is_empty() && plan.known.is_empty() {
            // Whatever comes next is read from where the ledger is then.
            self.cursor = None;
            return self.again(&Turned::Quiet, ctx);
        }
        let asked = ask(self.ledger.clone(), plan).into_actor(self);
        ctx.spawn(
            asked
                .then(move |heard, actor, _| match heard {
                    Ok(heard) => actor.take(written, heard),
                    Err(error) => {
                        let failed = Turned::Failed(error.to_string());
                        Box::pin(async { failed }.into_actor(actor))
                    }
                })
                .map(|turned, actor, ctx| actor.again(&turned, ctx)),
        );
    }

    fn plan(&mut self) -> Result<Plan, JournalError> {
        let Some(escrow) = self.ledger.escrow() else { return Ok(Plan::default()) };
        let id = self.ledger.id();
        let serving = self.busy.serving_on(id);
        let mut plan = self.reader.watch_plan(id, escrow.domain(), &serving)?;
        let new: BTreeSet<ChannelId> = plan.new.iter().copied().collect();
        self.passed.retain(|channel, _| new.contains(channel));
        // Those that were asked for in vain keep nobody else waiting.
        plan.new.sort_by_key(|channel| self.passed.get(channel).map(|passed| passed.last));
        Ok(plan)
    }

    /// Makes durable what is worth it; `written` is the height to read that is.
    fn take(&mut self, written: Option<u64>, heard: Heard) -> ResponseActFuture<Self, Turned> {
        let Heard { watch, passed, unread } = heard;
        self.pass(passed);
        self.cursor = Some(watch.next);
        let is_news = !watch.changes.is_empty() || !watch.seen.is_empty();
        let is_close =
            written.is_some_and(|at| (at..at.saturating_add(UNWRITTEN_MAX)).contains(&watch.next));
        let after = match unread {
            Some(at_once) => Turned::Behind { at_once },
            None if is_news => Turned::More,
            None => Turned::Quiet,
        };
        if !is_news && is_close {
            return Box::pin(async { after }.into_actor(self));
        }
        let write = Write::Watch(Box::new(watch));
        let committed = self.journal.send(Commit(vec![write])).into_actor(self);
        Box::pin(committed.map(|committed, _, _| {
            let failed = match committed {
                Ok(Ok(answers)) => answers.into_iter().find_map(Result::err).map(|e| e.to_string()),
                Ok(Err(error)) => Some(error.to_string()),
                Err(error) => Some(error.to_string()),
            };
            failed.map_or(after, Turned::Failed)
        }))
    }

    /// Remembers what was asked for in vain.
    fn pass(&mut self, passed: Vec<(ChannelId, String)>) {
        let last = Instant::now();
        for (channel, why) in passed {
            let before = self.passed.get(&channel).map(|passed| passed.since);
            if before.is_none() {
                tracing::warn!(%channel, why, "it is not watched yet: it is asked for again");
            }
            self.passed.insert(channel, Passed { since: before.unwrap_or(last), last });
        }
    }

    fn again(&mut self, turned: &Turned, ctx: &mut Context<Self>) {
        if !self.journal.connected() {
            // Its journal was stopped, in a process that goes on: there is nothing to watch for.
            return ctx.stop();
        }
        self.alarm.look(self.ledger.id(), &self.reader, &self.busy);
        let wait = match turned {
            Turned::More | Turned::Behind { at_once: true } => Duration::ZERO,
            Turned::Quiet | Turned::Behind { at_once: false } => self.pace.every,
            Turned::Failed(why) => {
                if self.failures == 0 {
                    tracing::warn!(ledger = %self.ledger.id(), why, "channels are not watched");
                }
                // What could not be written is read again.
                self.cursor = None;
                self.failures = self.failures.saturating_add(1);
                self.wait_after_failures()
            }
        };
        if !matches!(turned, Turned::Failed(_)) {
            self.failures = 0;
        }
        if matches!(turned, Turned::Quiet | Turned::More) {
            self.sight.saw(self.ledger.id());
        }
        if !matches!(turned, Turned::More | Turned::Behind { at_once: true }) {
            for served in self.served.drain(..) {
                // Whoever no longer waits needs no answer.
                let _ = served.send(());
            }
        }
        let wait = if self.waiting.is_empty() { wait } else { Duration::ZERO };
        self.timer = Some(ctx.run_later(wait, Self::turn));
    }

    /// Twice as long each time, and not so long that the outage that was planned for is over.
    fn wait_after_failures(&self) -> Duration {
        let Pace { every, at_most, outage } = self.pace;
        let doubled = every.saturating_mul(1 << self.failures.min(16));
        doubled.min(at_most).min((outage / 4).max(every))
    }

    /// Ends in good order the sessions whose channel's payer could have asked to close it, unseen
    /// for longer than was planned for.
    fn end_unwatched(&mut self) {
        let id = self.ledger.id();
        let blind = self.sight.blind_for(id);
        let serving = self.busy.selling_on(id);
        let is_unwatched = |channel: &&ChannelId| {
            let passed = self.passed.get(channel);
            blind.is_some()
                || passed.is_some_and(|passed| self.sight.is_too_long(passed.since.elapsed()))
        };
        for channel in serving.iter().filter(is_unwatched) {
            if self.busy.stop(channel, Reason::Stopped) {
                tracing::warn!(%channel, "it is not watched any more: its session is ended");
            }
        }
        match (blind, self.is_blind) {
            (Some(unread), false) => tracing::error!(
                ledger = %id,
                unread_s = unread.as_secs(),
                "channels were not watched for longer than outage_s: nothing is sold by escrow here"
            ),
            (None, true) => tracing::info!(ledger = %id, "channels are watched again"),
            _ => {}
        }
        self.is_blind = blind.is_some();
    }
}

impl Actor for WatchActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        self.sight.begin(self.ledger.id());
        // Apart from the turns: a ledger may take any time to answer.
        ctx.run_interval(self.pace.every, |actor, _| actor.end_unwatched());
        self.turn(ctx);
    }
}

impl Handler<Look> for WatchActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _: Look, ctx: &mut Context<Self>) -> Self::Result {
        let (sender, receiver) = oneshot::channel();
        self.waiting.push(sender);
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
            self.turn(ctx);
        }
        Box::pin(async move {
            // A watch that has ended has nothing more to tell.
            let _ = receiver.await;
        })
    }
}

/// What a ledger said in one turn.
struct Heard {
    watch: Watch,
    /// New channels that it was asked for in vain, and why.
    passed: Vec<(ChannelId, String)>,
    /// There are final blocks that were not read yet, and whether any were.
    unread: Option<bool>,
}

/// Asks a ledger for what is planned. What it says is bounded by what it was asked.
async fn ask(ledger: Arc<dyn Ledger>, plan: Plan) -> Result<Heard, LedgerError> {
    let no_escrow = || LedgerError::refused("NoSuchAbility", "this ledger has no escrow");
    let escrow = ledger.escrow().ok_or_else(no_escrow)?;
    let status = ledger.status().await?;
    // The first height that is not final.
    let end = status.height.saturating_add(2).saturating_sub(status.depth);
    let from = start(&plan, end);
    let mut told = changes_of(escrow, &plan.known, from, end).await?;
    let Introduced { mut seen, past, passed } = introduce(escrow, &plan.new, end).await;
    seen.extend(seen_again(escrow, &told.list).await?);
    told.list.extend(past);
    let unread = (told.next < end).then_some(told.next > from);
    let Changes { list: changes, next } = told;
    let watch = Watch { ledger: ledger.id().clone(), changes, seen, next };
    Ok(Heard { watch, passed, unread })
}

/// What came of asking for new channels.
#[derive(Default)]
struct Introduced {
    seen: Vec<(ChannelId, View)>,
    past: Vec<Change>,
    passed: Vec<(ChannelId, String)>,
}

/// Asks for new channels, one by one: what is wrong with one is no other's concern.
async fn introduce(escrow: &dyn Escrow, new: &[ChannelId], end: u64) -> Introduced {
    let mut all = Introduced::default();
    let mut in_vain = 0;
    for id in new.iter().take(NEW_AT_ONCE) {
        match introduced(escrow, id, end).await {
            Ok(Some((view, past))) => {
                all.seen.push((*id, view));
                all.past.extend(past);
            }
            Ok(None) => all.passed.push((*id, "the ledger does not show it".to_owned())),
            Err(error) => {
                in_vain += usize::from(matches!(error, LedgerError::Unavailable { .. }));
                all.passed.push((*id, error.to_string()));
            }
        }
        if in_vain >= IN_VAIN_AT_MOST {
            break;
        }
    }
    all
}

/// Channels as they are after what happened to them, where it may be closing or not by that. The
/// state may be ahead of what is read: that a channel is over is left to what is told of it, as
/// nothing is asked any more of one that is, and the facts would never come.
async fn seen_again(
    escrow: &dyn Escrow,
    changes: &[Change],
) -> Result<Vec<(ChannelId, View)>, LedgerError> {
    let is_meant = |kind: &ChangeKind| {
        matches!(kind, ChangeKind::CloseRequested { .. } | ChangeKind::ToppedUp { .. })
    };
    let meant = changes.iter().filter(|change| is_meant(&change.kind));
    let channels: BTreeSet<ChannelId> = meant.map(|change| change.channel).collect();
    let mut seen = Vec::new();
    for id in channels.into_iter().take(AGAIN_AT_ONCE) {
        match escrow.channel(&id).await {
            Ok(shown) => {
                let view = shown.map(|shown| view(&shown, escrow.grace_period()));
                seen.extend(view.map(|view| (id, View { is_over: false, ..view })));
            }
            Err(away @ LedgerError::Unavailable { .. }) => return Err(away),
            // What is told of it stands all the same.
            Err(error) => tracing::warn!(channel = %id, %error, "it is not shown"),
        }
    }
    Ok(seen)
}

/// Where to read on. Without a channel that was seen before there is nothing to catch up with; and
/// a ledger that is behind what it told before (another of its endpoints, or a chain that began
/// anew) is followed back: what it tells again changes nothing.
fn start(plan: &Plan, end: u64) -> u64 {
    let cursor = plan.cursor.filter(|_| !plan.known.is_empty());
    cursor.map_or(end, |cursor| cursor.min(end))
}

/// What happened to channels from a height on, up to the height that the first answer to stop
/// reached, and no further than `end`.
async fn changes_of(
    escrow: &dyn Escrow,
    channels: &[ChannelId],
    from: u64,
    end: u64,
) -> Result<Changes, LedgerError> {
    let mut all = Changes { list: Vec::new(), next: end };
    for part in channels.chunks(CHANNELS_AT_ONCE) {
        let Changes { list, next } = escrow.changes(part, from).await?;
        all.next = all.next.min(next.max(from));
        all.list.extend(list.into_iter().filter(|change| part.contains(&change.channel)));
    }
    all.list.sort_by_key(|change| change.height);
    Ok(all)
}

/// A channel's past and, asked after it, how it is; `None` while its ledger does not show it.
async fn introduced(
    escrow: &dyn Escrow,
    id: &ChannelId,
    end: u64,
) -> Result<Option<(View, Vec<Change>)>, LedgerError> {
    if escrow.channel(id).await?.is_none() {
        return Ok(None);
    }
    let (mut past, mut from) = (Vec::new(), end.saturating_sub(LOOK_BACK));
    for _ in 0..QUESTIONS_AT_MOST {
        let Changes { list, next } = changes_of(escrow, &[*id], from, end).await?;
        past.extend(list);
        if next <= from {
            break;
        }
        from = next;
    }
    let view = escrow.channel(id).await?.map(|channel| view(&channel, escrow.grace_period()));
    let ends =
        |change: &Change| matches!(change.kind, ChangeKind::Closed { .. } | ChangeKind::Withdrawn);
    if view.as_ref().is_some_and(|view| view.is_over) && !past.iter().any(ends) {
        // It may have ended since: nothing is asked any more of a channel that is over.
        past.extend(changes_of(escrow, &[*id], from, u64::MAX).await?.list);
    }
    Ok(view.map(|view| (view, past)))
}

fn view(channel: &Channel, grace: Duration) -> View {
    let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    View {
        deposit: channel.deposit,
        settled: channel.settled,
        ready_ms: channel.close_requested_ms.map(|asked| asked.saturating_add(grace_ms)),
        is_over: channel.finalized,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_goes_on_from_the_cursor_and_never_beyond_the_end() {
        let channel = ChannelId([1; 32]);
        let plan = |known: &[ChannelId], cursor| {
            let known = known.to_vec();
            start(&Plan { known, cursor, ..Plan::default() }, 100)
        };
        assert_eq!(plan(&[channel], Some(40)), 40);
        assert_eq!(plan(&[channel], Some(900)), 100, "the chain is behind what it told");
        assert_eq!(plan(&[channel], None), 100);
        assert_eq!(plan(&[], Some(40)), 100, "there is nothing to catch up with");
    }
}
