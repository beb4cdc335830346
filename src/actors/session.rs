//! A session's actor: one connection, carried. It serves the core, seller's or buyer's alike:
//! gives it what was read and when, and does what it wants, in order.
//!
//! While records are on their way to the disk the core is told on, and nothing is asked of it: what it
//! wants stays with it in its order, so nothing overtakes a record. Mailbox: actix's default of 16, which
//! only the journal, the node and the ledgers' actors write to.

mod connection;
mod silence;
#[cfg(test)]
mod tests;
mod writing;

pub use silence::SilenceMax;

use crate::actors::journal::{JournalActor, Listen, Told};
use crate::actors::ledger::Ailing;
use crate::actors::now_ms;
use crate::actors::wire::{Line, Wire};
use crate::actors::writer::Writer;
use crate::journal::outbox::Ailment;
use crate::journal::{NewsKind, Reader, Write};
use crate::message::{LegReason, Reason};
use crate::record::{End, Record};
use crate::session::{Input, Output, Progress, Wish};
use crate::terms::SessionId;
use actix::prelude::*;
use sdpp_ledger::{ChannelId, Reference};
use silence::Silence;
use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;
use writing::write_later;

/// The most bytes that wait for a peer that does not read.
const UNSENT_BYTES_MAX: usize = 4 << 20;

/// How much may wait until a session has nothing else to do.
const WHEN_IDLE_MAX: usize = 4;

/// A core of either side.
pub trait Core: Unpin + 'static {
    /// Takes in what happened.
    fn handle(&mut self, input: Input<'_>, now_ms: u64);
    /// The next thing to be done.
    fn poll(&mut self) -> Option<Output>;
    /// The same, and it stays there.
    fn peek(&self) -> Option<&Output>;
    /// Takes out the next record, where nothing but bytes that are to leave stand before it, and these and
    /// it may go.
    fn poll_record(&mut self, may_go: &dyn Fn(&Output) -> bool) -> Option<Output>;
    /// When the core wants to be told of the time.
    fn poll_timeout(&self) -> Option<u64>;
    /// That time has come.
    fn handle_timeout(&mut self, now_ms: u64);
    /// Where the session stands.
    fn progress(&self) -> Progress;
    /// The session has no connection just now, and waits for another.
    fn is_away(&self) -> bool;
}

/// What one side does beyond what both do.
pub trait Side: Sized + Unpin + 'static {
    /// Its core.
    type Core: Core;

    /// Does what only this side's core wants.
    ///
    /// # Errors
    /// Why the session cannot go on.
    fn carry_out(
        actor: &mut SessionActor<Self>,
        output: Output,
        ctx: &mut Ctx<Self>,
    ) -> Result<(), String>;

    /// A fact is on the disk.
    fn noted(&mut self, _: SessionId, _: &Record) {}

    /// What is to be written with a fact, that the core knows nothing of.
    fn beside(&self, _: &Record) -> Option<Record> {
        None
    }

    /// Whether something must have happened before the core gets what it wants.
    fn waits(&self, _: &Output) -> bool {
        false
    }

    /// Has that happen.
    fn before(&mut self, _: &Output) -> Before {
        Box::pin(async {})
    }

    /// Records are on their way to the disk, and what may go on meanwhile does.
    fn meanwhile(_: &mut SessionActor<Self>, _: &mut Ctx<Self>) {}

    /// Everything that the core wanted is done for now.
    fn idle(actor: &mut SessionActor<Self>, ctx: &mut Ctx<Self>);

    /// The session is over.
    fn ended(self, ended: Ended);
}

/// What a session waits for.
pub type Before = Pin<Box<dyn Future<Output = ()>>>;

/// What is done when a session has nothing else to do.
type WhenIdle<S> = Box<dyn FnOnce(&mut SessionActor<S>, &mut Ctx<S>)>;

/// A session actor's context.
pub type Ctx<S> = Context<SessionActor<S>>;

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The session, if there was one.
    pub session: Option<SessionId>,
    /// How.
    pub end: End,
    /// A sentence for people.
    pub why: String,
    /// Where it stood.
    pub progress: Progress,
    /// Buyer: what can be ordered on another connection now, or once its bond is in force.
    pub again: Option<Box<Wish>>,
}

/// Asks a session to end in good order.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Stop {
    /// Why.
    pub reason: Reason,
    /// The channel that it is for, if one is: a session that needs it no more goes on.
    pub channel: Option<ChannelId>,
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Stop { reason, channel: None }
    }
}

/// Tells a session that a channel of its own is over: nothing more can be paid on it.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Over(pub ChannelId);

/// Tells a session that its buyer has begun another one where this stands in its way.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct GiveWay;

/// A session's actor.
pub struct SessionActor<S: Side> {
    /// The core.
    pub core: S::Core,
    /// What is the side's own; taken at the end.
    pub side: Option<S>,
    /// The journal.
    pub journal: Addr<JournalActor>,
    session: Option<SessionId>,
    /// Records are on their way to the disk: until they are there nothing is asked of the core.
    is_writing: bool,
    /// What is to be done when nothing is, and all that the core wanted is done.
    when_idle: VecDeque<WhenIdle<S>>,
    writer: Writer,
    /// The connection, until the actor has started.
    wire: Option<Wire>,
    /// The same from then on.
    line: Option<Line>,
    /// It is read until this is cancelled.
    reading: Option<SpawnHandle>,
    /// How many bytes were read since records are on their way to the disk.
    ahead: usize,
    timer: Option<(u64, SpawnHandle)>,
    silence: Silence,
    /// The journal or the peer failed: the core was told, and is not told again.
    failed: bool,
    /// The last records of a session that failed, that the disk did not take.
    unwritten: Vec<Write>,
}

impl<S: Side> SessionActor<S> {
    /// Starts a session on a connection, whose peer may stay silent for no longer than `silence_max`.
    /// Must be called on the arbiter that is to carry it, where the connection is registered.
    pub fn start_on(
        wire: Wire,
        core: S::Core,
        side: S,
        journal: Addr<JournalActor>,
        silence_max: SilenceMax,
    ) -> Addr<Self> {
        let actor = SessionActor::new(core, side, journal, silence_max);
        SessionActor { wire: Some(wire), ..actor }.start()
    }

    /// Starts a session that has no connection, and waits for one; before anything else it takes what
    /// is its own.
    pub fn start_without(
        core: S::Core,
        side: S,
        journal: Addr<JournalActor>,
        silence_max: SilenceMax,
        take: fn(&mut Self, &mut Ctx<S>),
    ) -> Addr<Self> {
        SessionActor::create(|ctx| {
            let mut actor = SessionActor::new(core, side, journal, silence_max);
            take(&mut actor, ctx);
            actor
        })
    }

    fn new(core: S::Core, side: S, journal: Addr<JournalActor>, silence_max: SilenceMax) -> Self {
        SessionActor {
            core,
            side: Some(side),
            journal,
            session: None,
            is_writing: false,
            when_idle: VecDeque::new(),
            writer: Writer::idle(),
            wire: None,
            line: None,
            reading: None,
            ahead: 0,
            timer: None,
            silence: Silence::new(silence_max),
            failed: false,
            unwritten: Vec::new(),
        }
    }

    /// Tells the core what happened, and does what it wants.
    pub fn tell(&mut self, input: Input<'_>, ctx: &mut Ctx<S>) {
        self.core.handle(input, now_ms());
        self.drive(ctx);
    }

    /// Says something to the core that it answers at once, and does what it then wants.
    pub fn consult<T>(&mut self, say: impl FnOnce(&mut S::Core) -> T, ctx: &mut Ctx<S>) -> T {
        let answer = say(&mut self.core);
        self.drive(ctx);
        answer
    }

    /// This side cannot go on: what the core still wanted is dropped, and it is told. Where records are on
    /// their way to the disk, what stands behind them is done first.
    pub fn fail(&mut self, why: String, ctx: &mut Ctx<S>) {
        match self.is_writing {
            true => self.when_idle.push_back(Box::new(move |actor, ctx| actor.fail(why, ctx))),
            false => self.fail_with(Vec::new(), why, ctx),
        }
    }

    /// Does what the core wants, in order, and then what was put off until all that is done. What is
    /// behind a record stays in the core until that is durable.
    pub fn drive(&mut self, ctx: &mut Ctx<S>) {
        // Something is waited for, and drives on when it has happened. What was read is told to us all the
        // same where a message of the mailbox began the wait: actix polls one item more before it waits.
        while !ctx.waiting() {
            if self.is_writing || !self.carry_all_out(ctx) {
                break;
            }
            let Some(next) = self.when_idle.pop_front() else { return self.rest(ctx) };
            next(self, ctx);
        }
        if self.is_writing && !ctx.waiting() {
            self.set_timer(ctx);
            S::meanwhile(self, ctx);
        }
    }

    /// Whether all that the core wants is done: not where something is to happen first.
    fn carry_all_out(&mut self, ctx: &mut Ctx<S>) -> bool {
        while let Some(next) = self.core.peek() {
            if self.waits(next) {
                self.wait_before(ctx);
                return false;
            }
            let done = match self.core.poll() {
                Some(Output::Record { session, record }) => {
                    self.commit(session, record, ctx);
                    if self.is_writing {
                        return false;
                    }
                    Ok(())
                }
                Some(Output::Close { end, why, progress, again }) => {
                    let session = self.session;
                    self.close(Ended { session, end, why, progress, again }, ctx);
                    return false;
                }
                Some(Output::Send(bytes)) => self.send(bytes),
                output => output.map_or(Ok(()), |output| S::carry_out(self, output, ctx)),
            };
            if let Err(why) = done {
                self.fail(why, ctx);
                return false;
            }
        }
        true
    }

    fn send(&mut self, bytes: Vec<u8>) -> Result<(), String> {
        self.writer.send(bytes);
        let is_read = self.failed || self.writer.unsent() <= UNSENT_BYTES_MAX;
        is_read.then_some(()).ok_or_else(|| "the peer does not read what is sent".to_owned())
    }

    fn waits(&self, output: &Output) -> bool {
        self.side.as_ref().is_some_and(|side| side.waits(output))
    }

    /// Everything that the core wanted is done.
    fn rest(&mut self, ctx: &mut Ctx<S>) {
        self.read_on(ctx);
        S::idle(self, ctx);
        self.set_timer(ctx);
    }

    /// Does something once nothing of this session is on its way to the disk: what it reads there is all
    /// that the core has said. Where much waits for that already it is given back.
    pub(super) fn when_idle<T: 'static>(
        &mut self,
        given: T,
        what: impl FnOnce(&mut Self, T, &mut Ctx<S>) + 'static,
        ctx: &mut Ctx<S>,
    ) -> Option<T> {
        if self.when_idle.len() >= WHEN_IDLE_MAX {
            return Some(given);
        }
        self.when_idle.push_back(Box::new(|actor, ctx| what(actor, given, ctx)));
        self.drive(ctx);
        None
    }

    /// Has happen what the next output waits for; until then the whole actor waits.
    fn wait_before(&mut self, ctx: &mut Ctx<S>) {
        let Some((side, next)) = self.side.as_mut().zip(self.core.peek()) else { return };
        let before = side.before(next).into_actor(self);
        ctx.wait(before.map(|(), actor, ctx| actor.drive(ctx)));
    }

    /// From the first record on, the journal tells us what becomes of what we owe.
    pub(super) fn begin(&mut self, session: SessionId, ctx: &mut Ctx<S>) {
        if self.session.is_none() {
            self.session = Some(session);
            let recipient = Some(ctx.address().recipient());
            self.journal.do_send(Listen { session, recipient });
        }
    }

    fn set_timer(&mut self, ctx: &mut Ctx<S>) {
        let wanted = self.core.poll_timeout();
        if wanted == self.timer.map(|(at_ms, _)| at_ms) {
            return;
        }
        if let Some((_, timer)) = self.timer.take() {
            ctx.cancel_future(timer);
        }
        self.timer = wanted.map(|at_ms| {
            let wait = Duration::from_millis(at_ms.saturating_sub(now_ms()));
            let timer = ctx.run_later(wait, |actor, ctx| {
                actor.timer = None;
                actor.core.handle_timeout(now_ms());
                actor.drive(ctx);
            });
            (at_ms, timer)
        });
    }

    fn close(&mut self, ended: Ended, ctx: &mut Ctx<S>) {
        let unwritten = std::mem::take(&mut self.unwritten);
        actix::spawn(write_later(self.journal.clone(), unwritten));
        let left = self.writer.finish().into_actor(self);
        ctx.wait(left.map(|(), actor, ctx| {
            if let Some(side) = actor.side.take() {
                side.ended(ended);
            }
            ctx.stop();
        }));
    }
}

impl<S: Side> Actor for SessionActor<S> {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Ctx<S>) {
        if let Some(wire) = self.wire.take() {
            self.take_line(wire, ctx);
        }
        self.expect_first_word(ctx);
        self.drive(ctx);
    }

    fn stopped(&mut self, _: &mut Ctx<S>) {
        if let Some(session) = self.session {
            self.journal.do_send(Listen { session, recipient: None });
        }
    }
}

impl<S: Side> Handler<Told> for SessionActor<S> {
    type Result = ();

    fn handle(&mut self, Told { reference, kind }: Told, ctx: &mut Ctx<S>) {
        let input = match kind {
            NewsKind::Signed(tx) => Input::Signed { reference, tx },
            NewsKind::Included { blocks } => Input::Included { reference, blocks },
            NewsKind::Met(evidence) => Input::Met { reference, tx: evidence.tx },
            NewsKind::Refused(why) => Input::Refused { reference, why },
        };
        self.tell(input, ctx);
    }
}

impl<S: Side> Handler<Stop> for SessionActor<S> {
    type Result = ();

    fn handle(&mut self, Stop { reason, channel }: Stop, ctx: &mut Ctx<S>) {
        let input = match channel {
            Some(channel) => Input::StopOn { channel, reason },
            None => Input::Stop(reason),
        };
        self.tell(input, ctx);
    }
}

impl<S: Side> Handler<Ailing> for SessionActor<S> {
    type Result = ();

    fn handle(&mut self, Ailing { ledger, ailment }: Ailing, ctx: &mut Ctx<S>) {
        let trouble = ailment.map(|ailment| match ailment {
            Ailment::Away => LegReason::Stalled,
            Ailment::Dear => LegReason::Dear,
        });
        self.tell(Input::Ledger { ledger, trouble }, ctx);
    }
}

impl<S: Side> Handler<Over> for SessionActor<S> {
    type Result = ();

    fn handle(&mut self, Over(channel): Over, ctx: &mut Ctx<S>) {
        self.tell(Input::ChannelOver(channel), ctx);
    }
}

impl<S: Side> SessionActor<S> {
    /// Tells a core that was built anew what became of what its journal says to be owed.
    pub(super) fn tell_became(&mut self, reader: &Reader, owed: Vec<Reference>, ctx: &mut Ctx<S>) {
        for reference in owed {
            match reader.became(&reference) {
                Ok(Some(kind)) => Handler::handle(self, Told { reference, kind }, ctx),
                Ok(None) => {}
                Err(error) => tracing::error!(%reference, %error, "what is owed cannot be read"),
            }
        }
    }
}

/// A fault that tests plant.
#[cfg(test)]
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Break;

#[cfg(test)]
impl<S: Side> Handler<Break> for SessionActor<S> {
    type Result = ();

    fn handle(&mut self, _: Break, _: &mut Ctx<S>) {
        panic!("a planted fault");
    }
}

impl<S: Side> Handler<GiveWay> for SessionActor<S> {
    type Result = ();

    fn handle(&mut self, GiveWay: GiveWay, ctx: &mut Ctx<S>) {
        self.tell(Input::Superseded, ctx);
    }
}
