//! A watch: asks one ledger, again and again, what happened to the channels that we have part in,
//! and has the journal keep it. It serves the journal, and the sessions whose channel is about to
//! be emptied: they are asked to end in good order. It decides nothing: the journal's table does.
//!
//! Mailbox: actix's default; who wants it to look at once writes to it and waits.

use crate::actors::Ledgers;
use crate::actors::journal::{Commit, JournalActor};
use crate::actors::selling::Busy;
use crate::journal::watch::{Plan, View, Watch};
use crate::journal::{JournalError, Reader, Write};
use actix::prelude::*;
use sdpp_ledger::{Change, Changes, Channel, ChannelId, Escrow, Ledger, LedgerError};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How many new channels a ledger is asked for in one turn.
const NEW_AT_ONCE: usize = 50;

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

/// How often a ledger is asked.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// While all is well.
    pub every: Duration,
    /// At the longest, while it does not answer: the wait doubles with each time that it does not.
    pub at_most: Duration,
}

/// A watch.
pub struct WatchActor {
    ledger: Arc<dyn Ledger>,
    reader: Reader,
    journal: Addr<JournalActor>,
    busy: Busy,
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
}

/// Looks at once. Answers when the ledger has told all that is final by then, or did not answer.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Look;

/// What came of a turn.
enum Turned {
    /// Look again after the usual time.
    Quiet,
    /// There is more, or sessions to be told of it: look again at once.
    More,
    /// The ledger did not answer as it should.
    Failed(String),
}

impl WatchActor {
    /// Starts a watch for each ledger that has an escrow, and gives them.
    pub fn start_all(
        ledgers: &Ledgers,
        reader: &Reader,
        journal: &Addr<JournalActor>,
        busy: &Busy,
        pace: Pace,
    ) -> Vec<Addr<WatchActor>> {
        let start = |ledger: &Arc<dyn Ledger>| {
            let watch = WatchActor {
                ledger: ledger.clone(),
                reader: reader.clone(),
                journal: journal.clone(),
                busy: busy.clone(),
                pace,
                cursor: None,
                failures: 0,
                timer: None,
                waiting: Vec::new(),
                served: Vec::new(),
            };
            watch.start()
        };
        ledgers.values().filter(|ledger| ledger.escrow().is_some()).map(start).collect()
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
        for channel in &plan.closing {
            if self.busy.stop_closing(channel) {
                tracing::warn!(%channel, "its payer asked to close: its session is ended");
            }
        }
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

    fn plan(&self) -> Result<Plan, JournalError> {
        let Some(escrow) = self.ledger.escrow() else { return Ok(Plan::default()) };
        self.reader.watch_plan(self.ledger.id(), escrow.domain())
    }

    /// Makes durable what is worth it; `written` is the height to read that is.
    fn take(&mut self, written: Option<u64>, heard: Heard) -> ResponseActFuture<Self, Turned> {
        let Heard { watch, is_behind } = heard;
        self.cursor = Some(watch.next);
        let is_news = !watch.changes.is_empty() || !watch.seen.is_empty();
        let is_close =
            written.is_some_and(|at| (at..at.saturating_add(UNWRITTEN_MAX)).contains(&watch.next));
        let after = if is_behind || is_news { Turned::More } else { Turned::Quiet };
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

    fn again(&mut self, turned: &Turned, ctx: &mut Context<Self>) {
        if !self.journal.connected() {
            // Its journal was stopped, in a process that goes on: there is nothing to watch for.
            return ctx.stop();
        }
        let wait = match turned {
            Turned::More => Duration::ZERO,
            Turned::Quiet => self.pace.every,
            Turned::Failed(why) => {
                if self.failures == 0 {
                    tracing::warn!(ledger = %self.ledger.id(), why, "channels are not watched");
                }
                // What could not be written is read again.
                self.cursor = None;
                self.failures = self.failures.saturating_add(1);
                let doubled = self.pace.every.saturating_mul(1 << self.failures.min(16));
                doubled.min(self.pace.at_most)
            }
        };
        if !matches!(turned, Turned::Failed(_)) {
            self.failures = 0;
        }
        if !matches!(turned, Turned::More) {
            for served in self.served.drain(..) {
                // Whoever no longer waits needs no answer.
                let _ = served.send(());
            }
        }
        let wait = if self.waiting.is_empty() { wait } else { Duration::ZERO };
        self.timer = Some(ctx.run_later(wait, Self::turn));
    }
}

impl Actor for WatchActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
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
    /// There are final blocks that were not read yet.
    is_behind: bool,
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
    let mut seen = Vec::new();
    for id in plan.new.iter().take(NEW_AT_ONCE) {
        if let Some((view, past)) = introduced(escrow, id, end).await? {
            seen.push((*id, view));
            told.list.extend(past);
        }
    }
    let is_behind = told.next < end && told.next > from;
    let Changes { list: changes, next } = told;
    Ok(Heard { watch: Watch { ledger: ledger.id().clone(), changes, seen, next }, is_behind })
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
