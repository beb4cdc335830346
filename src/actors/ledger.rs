//! A ledger's actor: carries the outbox of one signing account, so that one place gives its
//! numbers. It serves the journal, which wakes it, and decides nothing: [`Outbox`] does.
//!
//! Mailbox: actix's default; what is sent to it are wake-ups, and one that is lost while it turns
//! is made up for by looking again.

use crate::actors::journal::{Commit, JournalActor, Serve, Wake};
use crate::actors::now_ms;
use crate::journal::Reader;
use crate::journal::outbox::{Answer, Health, Outbox, Policy, Step, Trouble, perform};
use actix::prelude::*;
use sdpp_ledger::Ledger;
use std::sync::Arc;
use std::time::Duration;

/// A ledger's actor.
pub struct LedgerActor {
    ledger: Arc<dyn Ledger>,
    outbox: Outbox,
    reader: Reader,
    journal: Addr<JournalActor>,
    turn: Turn,
    timer: Option<SpawnHandle>,
    health: Health,
}

/// Whether a turn is under way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// None: the next wake-up begins one.
    Idle,
    /// One is.
    Turning,
    /// One is, and there was a wake-up since it began.
    Again,
}

/// Asks for the oldest thing that the ledger does not do for us, if there is one.
#[derive(Message)]
#[rtype(result = "Option<Trouble>")]
pub struct AskHealth;

/// How long to wait before the journal is read again after it could not be, in milliseconds.
const JOURNAL_AGAIN_MS: u64 = 1_000;

impl LedgerActor {
    /// Starts the actor for the account of `ledger`; it goes on with whatever is open.
    pub fn start_for(
        ledger: Arc<dyn Ledger>,
        policy: Policy,
        reader: Reader,
        journal: Addr<JournalActor>,
    ) -> Addr<LedgerActor> {
        let outbox = Outbox::new(ledger.id().clone(), ledger.account().clone(), policy);
        let (turn, timer, health) = (Turn::Idle, None, Health::default());
        LedgerActor { ledger, outbox, reader, journal, turn, timer, health }.start()
    }

    fn begin(&mut self, ctx: &mut Context<Self>) {
        if self.turn != Turn::Idle {
            self.turn = Turn::Again;
            return;
        }
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        match self.outbox.plan(&self.reader, now_ms()) {
            Ok(steps) if steps.is_empty() => self.sleep(ctx),
            Ok(steps) => {
                self.turn = Turn::Turning;
                let asked = ask(self.ledger.clone(), steps).into_actor(self);
                ctx.spawn(asked.then(|answers, actor, _| actor.commit(answers)).map(
                    |(), actor, ctx| {
                        actor.turn = Turn::Idle;
                        actor.begin(ctx);
                    },
                ));
            }
            Err(error) => {
                tracing::error!(%error, ledger = %self.ledger.id(), "the outbox cannot be read");
                self.wake_at(now_ms() + JOURNAL_AGAIN_MS, ctx);
            }
        }
    }

    /// Makes what the ledger said durable.
    fn commit(&mut self, answers: Vec<(Step, Answer)>) -> ResponseActFuture<Self, ()> {
        let (now_ms, mut writes) = (now_ms(), Vec::new());
        for (step, answer) in answers {
            self.notice(&step, &answer, now_ms);
            let jitter = getrandom_u64();
            writes.extend(self.outbox.outcome(step, answer, now_ms, jitter));
        }
        let committed = self.journal.send(Commit(writes)).into_actor(self);
        Box::pin(committed.then(|committed, actor, _| {
            let failed = match &committed {
                Ok(Ok(answers)) => {
                    answers.iter().find_map(|a| a.as_ref().err().map(|e| e.to_string()))
                }
                Ok(Err(error)) => Some(error.to_string()),
                Err(error) => Some(error.to_string()),
            };
            let ledger = actor.ledger.id().clone();
            let wait = failed.map(|error| {
                tracing::error!(%error, %ledger, "the outbox could not be written");
                Duration::from_millis(JOURNAL_AGAIN_MS)
            });
            // What could not be written is planned again, and must not be in a tight loop.
            async move { tokio::time::sleep(wait.unwrap_or_default()).await }.into_actor(actor)
        }))
    }

    fn notice(&mut self, step: &Step, answer: &Answer, now_ms: u64) {
        let is_first = self.health.hear(step, answer, now_ms);
        if let (true, Some(Trouble { what, .. })) = (is_first, self.health.trouble()) {
            tracing::warn!(ledger = %self.ledger.id(), what, "the ledger is away");
        }
    }

    fn sleep(&mut self, ctx: &mut Context<Self>) {
        let due = self.health.forget_settled(&self.outbox, &self.reader);
        match due.and_then(|()| self.outbox.next_due(&self.reader)) {
            Ok(Some(due_ms)) => self.wake_at(due_ms, ctx),
            Ok(None) => {}
            Err(error) => {
                tracing::error!(%error, ledger = %self.ledger.id(), "the outbox cannot be read");
                self.wake_at(now_ms() + JOURNAL_AGAIN_MS, ctx);
            }
        }
    }

    fn wake_at(&mut self, due_ms: u64, ctx: &mut Context<Self>) {
        let wait = Duration::from_millis(due_ms.saturating_sub(now_ms()));
        self.timer = Some(ctx.run_later(wait, |actor, ctx| {
            actor.timer = None;
            actor.begin(ctx);
        }));
    }
}

/// Asks a ledger one thing after the other.
async fn ask(ledger: Arc<dyn Ledger>, steps: Vec<Step>) -> Vec<(Step, Answer)> {
    let mut answers = Vec::with_capacity(steps.len());
    for step in steps {
        let answer = perform(ledger.as_ref(), &step).await;
        answers.push((step, answer));
    }
    answers
}

/// Any number will do where the system gives none: it only spreads waits.
fn getrandom_u64() -> u64 {
    crate::actors::random::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

impl Actor for LedgerActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let (ledger, recipient) = (self.ledger.id().clone(), ctx.address().recipient());
        self.journal.do_send(Serve { ledger, recipient });
    }
}

impl Handler<Wake> for LedgerActor {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Context<Self>) {
        self.begin(ctx);
    }
}

impl Handler<AskHealth> for LedgerActor {
    type Result = MessageResult<AskHealth>;

    fn handle(&mut self, _: AskHealth, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.health.trouble().cloned())
    }
}
