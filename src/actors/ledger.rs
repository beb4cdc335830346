//! A ledger's actor: carries the outbox of one signing account, so that one place gives its
//! numbers. It serves the journal, which wakes it, and hears what its ledger tells; it decides
//! nothing: [`Outbox`] does.
//!
//! Mailbox: actix's default; what is sent to it are wake-ups, and one that is lost is made up for
//! when a turn ends. All that wait there lead to one plan.

use crate::actors::journal::{Commit, JournalActor, Serve, Wake};
use crate::actors::keeper::{Keeper, Kept};
use crate::actors::now_ms;
use crate::journal::Reader;
use crate::journal::outbox::{
    Ailment, Answer, Health, Outbox, Policy, Step, Trouble, Turn, take, unbroken,
};
use actix::prelude::*;
use sdpp_ledger::{Ledger, LedgerId, Reference};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A ledger's actor.
pub struct LedgerActor {
    ledger: Arc<dyn Ledger>,
    outbox: Outbox,
    reader: Reader,
    journal: Addr<JournalActor>,
    /// A plan is about to be made.
    is_planning: bool,
    timer: Option<SpawnHandle>,
    health: Health,
    /// What was told of it last.
    ailment: Option<Ailment>,
    hearers: Hearers,
}

/// Who wants to be told how a ledger is, while they live; the next life of its actor knows the same.
type Hearers = Arc<Mutex<Vec<Recipient<Ailing>>>>;

/// Whether a ledger is well: what is wrong with it, if anything is.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct Ailing {
    /// Which.
    pub ledger: LedgerId,
    /// What is wrong.
    pub ailment: Option<Ailment>,
}

/// Has somebody told at once where the ledger is not well, and whenever that changes.
#[derive(Message)]
#[rtype(result = "()")]
pub struct TellHealth(pub Recipient<Ailing>);

/// Asks for the oldest thing that the ledger does not do for us, if there is one.
#[derive(Message)]
#[rtype(result = "Option<Trouble>")]
pub struct AskHealth;

/// What there is to ask is asked.
#[derive(Message)]
#[rtype(result = "()")]
struct Plan;

/// How long the ledger is not listened to after it told something, in milliseconds: what it tells
/// all the time leads to no more plans than that.
const MOMENT_MS: u64 = 20;

/// How long a trouble lasts before sessions are told of it, in milliseconds: a request that was lost is
/// made again by then.
const AILING_MS: u64 = 5_000;

/// How long to wait before the journal is read again after it could not be, in milliseconds.
const JOURNAL_AGAIN_MS: u64 = 1_000;

/// How long the ledger is not listened to after that panicked, in milliseconds.
const LISTEN_AGAIN_MS: u64 = 1_000;

impl LedgerActor {
    /// Starts the actor for the account of `ledger`, and has it kept; it goes on with whatever is
    /// open.
    pub fn start_for(
        keeper: &Keeper,
        ledger: Arc<dyn Ledger>,
        policy: Policy,
        reader: Reader,
        journal: Addr<JournalActor>,
    ) -> Kept<LedgerActor> {
        let hearers = Hearers::default();
        keeper.actor(format!("ledger {}", ledger.id()), move || LedgerActor {
            ledger: ledger.clone(),
            outbox: Outbox::new(ledger.as_ref(), policy.clone()),
            reader: reader.clone(),
            journal: journal.clone(),
            is_planning: false,
            timer: None,
            health: Health::default(),
            ailment: None,
            hearers: hearers.clone(),
        })
    }

    /// Has a plan made after all that waits in the mailbox by then.
    fn begin(&mut self, ctx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.is_planning, true) {
            ctx.notify(Plan);
        }
    }

    fn plan(&mut self, ctx: &mut Context<Self>) {
        if let Some(timer) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        match self.outbox.turns(&self.reader, now_ms()) {
            Ok(turns) => {
                turns.into_iter().for_each(|turn| self.turn(turn, ctx));
                self.sleep(ctx);
            }
            Err(error) => {
                tracing::error!(%error, ledger = %self.ledger.id(), "the outbox cannot be read");
                self.wake_at(now_ms() + JOURNAL_AGAIN_MS, ctx);
            }
        }
    }

    fn turn(&mut self, Turn { id, steps }: Turn, ctx: &mut Context<Self>) {
        let ledger = self.ledger.clone();
        let asked = async move { take(ledger.as_ref(), steps).await }.into_actor(self);
        let committed = asked.then(|answers, actor, _| actor.commit(answers));
        ctx.spawn(committed.map(move |(), actor, ctx| {
            actor.outbox.end(id);
            actor.begin(ctx);
        }));
    }

    /// Waits until the ledger tells something, and after a moment again.
    fn listen(&mut self, ctx: &mut Context<Self>) {
        let ledger = self.ledger.clone();
        let heard = async move { unbroken(ledger.heard()).await }.into_actor(self);
        ctx.spawn(heard.map(|heard, actor, ctx| {
            let wait_ms = if heard.is_some() { MOMENT_MS } else { LISTEN_AGAIN_MS };
            actor.hear(&heard.unwrap_or_default(), ctx);
            ctx.run_later(Duration::from_millis(wait_ms), |actor, ctx| actor.listen(ctx));
        }));
    }

    fn hear(&mut self, references: &[Reference], ctx: &mut Context<Self>) {
        match self.outbox.hear(&self.reader, references) {
            Ok(()) => self.begin(ctx),
            // It is found when it is due.
            Err(error) => {
                tracing::error!(%error, ledger = %self.ledger.id(), "the outbox cannot be read");
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
        if let (true, Some(Trouble { what, .. })) = (is_first, self.health.trouble(now_ms)) {
            tracing::warn!(ledger = %self.ledger.id(), what, "the ledger is away");
        }
    }

    /// Tells how the ledger is, where that is news. When there may be news again, if nothing happens
    /// before.
    fn tell_health(&mut self) -> Option<u64> {
        let (ailment, at_ms) = self.health.ailment(now_ms(), AILING_MS);
        if ailment != self.ailment {
            self.ailment = ailment;
            self.tell_hearers();
        }
        at_ms
    }

    fn tell_hearers(&self) {
        let (ailing, mut hearers) = (self.ailing(), self.hearers());
        hearers.retain(Recipient::connected);
        hearers.iter().for_each(|hearer| hearer.do_send(ailing.clone()));
    }

    fn hearers(&self) -> MutexGuard<'_, Vec<Recipient<Ailing>>> {
        self.hearers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ailing(&self) -> Ailing {
        Ailing { ledger: self.ledger.id().clone(), ailment: self.ailment }
    }

    fn sleep(&mut self, ctx: &mut Context<Self>) {
        let due = self.health.forget_settled(&self.outbox, &self.reader);
        let news_ms = self.tell_health();
        match due.and_then(|()| self.outbox.next_due(&self.reader)) {
            Ok(due_ms) => {
                let wake_ms = due_ms.into_iter().chain(news_ms).min();
                wake_ms.into_iter().for_each(|at_ms| self.wake_at(at_ms, ctx));
            }
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

/// Any number will do where the system gives none: it only spreads waits.
fn getrandom_u64() -> u64 {
    crate::actors::random::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

impl Actor for LedgerActor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let (ledger, recipient) = (self.ledger.id().clone(), ctx.address().recipient());
        self.journal.do_send(Serve { ledger, recipient });
        // What an earlier life told them may be over, and is told again if it is not.
        self.tell_hearers();
        self.listen(ctx);
    }
}

impl Handler<Wake> for LedgerActor {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Context<Self>) {
        self.begin(ctx);
    }
}

impl Handler<Plan> for LedgerActor {
    type Result = ();

    fn handle(&mut self, _: Plan, ctx: &mut Context<Self>) {
        self.is_planning = false;
        self.plan(ctx);
    }
}

impl Handler<AskHealth> for LedgerActor {
    type Result = MessageResult<AskHealth>;

    fn handle(&mut self, _: AskHealth, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.health.trouble(now_ms()).cloned())
    }
}

impl Handler<TellHealth> for LedgerActor {
    type Result = ();

    fn handle(&mut self, TellHealth(hearer): TellHealth, _: &mut Context<Self>) {
        if self.ailment.is_some() {
            hearer.do_send(self.ailing());
        }
        // Sessions come and go, and a ledger may be well for years.
        let mut hearers = self.hearers();
        hearers.retain(Recipient::connected);
        hearers.push(hearer);
    }
}
