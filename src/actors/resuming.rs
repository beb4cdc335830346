//! Connections that break under a session. The buyer's side makes another; on the seller's, whoever
//! takes that one brings it to the actor of the session that is to go on there. Whether it does, the
//! session decides.

use crate::actors::buying::Buying;
use crate::actors::node::Find;
use crate::actors::selling::Selling;
use crate::actors::session::{Ctx, SessionActor};
use crate::actors::wire::{Unreached, Way, Wire};
use crate::actors::{now_ms, random_key, restarting};
use crate::journal::Reader;
use crate::message::Code;
use crate::record::{Record, SignedMessage};
use crate::session::{Claim, Input, NotResumed};
use crate::terms::{Role, SessionId};
use crate::tls::DialError;
use actix::prelude::*;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// How long to wait before the first connection after one that broke.
const FIRST_WAIT: Duration = Duration::from_millis(50);

/// The longest wait between two of them.
const LONGEST_WAIT: Duration = Duration::from_secs(3);

/// How long a connection may take to be made, and then the seller's first word on it: who answers and
/// says nothing is not waited for while another connection may be good.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// The sessions that are over whose last word is remembered: the last so many.
const LAST_WORDS: usize = 1_024;

/// How a buyer makes another connection to its seller.
#[derive(Debug)]
pub struct Dialing {
    way: Way,
    /// How long to wait before the next; longer each time until one carried the session.
    wait: Duration,
    /// A connection was just made, and nothing was said on it.
    has_line: bool,
}

impl Dialing {
    /// To a seller.
    pub fn to(way: Way) -> Self {
        Dialing { way, wait: FIRST_WAIT, has_line: false }
    }

    /// The same, where a session is to go on and its first connection is there.
    pub fn on_line_to(way: Way) -> Self {
        Dialing { has_line: true, ..Dialing::to(way) }
    }

    /// A connection carries the session.
    pub fn succeeded(&mut self) {
        self.wait = FIRST_WAIT;
    }

    fn next_wait(&mut self) -> Duration {
        let wait = self.wait;
        self.wait = (2 * wait).min(LONGEST_WAIT);
        wait
    }
}

/// Makes another connection, as often as it takes: the core ends the session when it took too long, and
/// this with it.
pub(super) fn dial(actor: &mut SessionActor<Buying>, ctx: &mut Ctx<Buying>) -> Result<(), String> {
    let has_line =
        actor.side.as_mut().is_some_and(|side| std::mem::take(&mut side.dialing.has_line));
    if has_line {
        let encryption = random_key().map_err(|error| error.to_string())?;
        actor.expect_word(CONNECT_WITHIN, ctx);
        actor.core.handle(Input::Connected { encryption }, now_ms());
        return Ok(());
    }
    actor.drop_line(ctx);
    let Some(side) = actor.side.as_mut() else { return Ok(()) };
    let (way, wait) = (side.dialing.way.clone(), side.dialing.next_wait());
    if wait == FIRST_WAIT {
        tracing::warn!(address = way.at, "the connection to the seller broke: connecting again");
    }
    let encryption = random_key().map_err(|error| error.to_string())?;
    let connected = async move {
        tokio::time::sleep(wait).await;
        let reached = way.go(CONNECT_WITHIN).await;
        reached.map_err(|unreached| tell_unreached(&way.at, &unreached))
    };
    ctx.spawn(connected.into_actor(actor).map(|wire, actor, ctx| match wire {
        Ok(wire) => {
            actor.take_line(wire, ctx);
            actor.expect_word(CONNECT_WITHIN, ctx);
            actor.tell(Input::Connected { encryption }, ctx);
        }
        Err(()) => {
            if let Err(why) = dial(actor, ctx) {
                actor.fail(why, ctx);
            }
        }
    }));
    Ok(())
}

/// Somebody answers who is not the seller that was meant, or with whom there is no speaking: a person
/// may put that right. That nobody answers is nothing to tell each time.
fn tell_unreached(address: &str, unreached: &Unreached) {
    if let Unreached::Tls(DialError::Unproven(why) | DialError::WeAreRefused(why)) = unreached {
        tracing::warn!(address, why, "no TLS with who answers: connecting again");
    }
}

/// A buyer's word that a session is to go on over this connection, for the actor of that session.
#[derive(Message)]
#[rtype(result = "Resumed")]
pub(super) struct Resume {
    claim: Claim,
    wire: Wire,
    from: IpAddr,
}

/// Why it does not, and the connection back.
type Resumed = Result<(), (NotResumed, Wire)>;

/// A connection that comes back while records are on their way to the disk, and who waits for the answer.
type Waits = (Resume, oneshot::Sender<Resumed>);

fn busy() -> NotResumed {
    let why = "this seller cannot take another connection just now".to_owned();
    NotResumed { code: Code::Busy, why }
}

impl Handler<Resume> for SessionActor<Selling> {
    type Result = ResponseFuture<Resumed>;

    /// The journal may be asked what was said before: nothing is on its way there then.
    fn handle(&mut self, resume: Resume, ctx: &mut Ctx<Selling>) -> Self::Result {
        let (sender, receiver) = oneshot::channel();
        let answer = |actor: &mut Self, (resume, sender): Waits, ctx: &mut Ctx<Selling>| {
            // Who brought the connection may be gone, and its place with it.
            let _ = sender.send(take_up(actor, resume, ctx));
        };
        if let Some((Resume { wire, .. }, _)) = self.when_idle((resume, sender), answer, ctx) {
            return Box::pin(async move { Err((busy(), wire)) });
        }
        // A session that ends just now takes the connection with it.
        Box::pin(async move { receiver.await.unwrap_or(Ok(())) })
    }
}

fn take_up(
    actor: &mut SessionActor<Selling>,
    Resume { claim, mut wire, from }: Resume,
    ctx: &mut Ctx<Selling>,
) -> Resumed {
    if let Err(refused) = go_on(actor, &claim, &mut wire, ctx) {
        return Err((refused, wire));
    }
    tracing::info!(session = %claim.session, "the session goes on over another connection");
    let seat = actor.side.as_mut().and_then(|side| side.seat.as_mut());
    seat.into_iter().for_each(|seat| seat.is_from(from));
    actor.take_line(wire, ctx);
    Ok(())
}

/// Whether it does, in its core.
fn go_on(
    actor: &mut SessionActor<Selling>,
    claim: &Claim,
    wire: &mut Wire,
    ctx: &mut Ctx<Selling>,
) -> Result<(), NotResumed> {
    wire.bring_here().map_err(|_| busy())?;
    let resumed = actor.core.resume(claim, now_ms());
    resumed.or_else(|refused| resume_anew(actor, claim, refused, ctx))
}

/// The buyer lacks what is kept in memory no more: where the source can be read again, the session goes
/// on from its journal, as if this process had been started anew.
fn resume_anew(
    actor: &mut SessionActor<Selling>,
    claim: &Claim,
    refused: NotResumed,
    ctx: &mut Ctx<Selling>,
) -> Result<(), NotResumed> {
    let (Some(side), Code::OrderRefused) = (actor.side.as_ref(), refused.code) else {
        return Err(refused);
    };
    let offer = actor.core.offer().clone();
    let of = (&*side.topics, &side.ledgers);
    let built =
        restarting::rebuild(&side.reader, &offer, of, (claim.session, actor.core.is_anew()));
    let Ok(Ok(mut core)) = built else { return Err(refused) };
    core.resume(claim, now_ms())?;
    actor.core.rule().into_iter().for_each(|rule| core.follow(rule));
    actor.core = core;
    restarting::tell_outcomes(actor, ctx);
    Ok(())
}

/// Brings a connection to the session that is to go on there; says there why it does not.
pub(super) fn hand_over(
    actor: &mut SessionActor<Selling>,
    session: SessionId,
    ctx: &mut Ctx<Selling>,
) {
    let wire = actor.hand_over(ctx);
    let claim = actor.core.claim().cloned();
    let (Some(wire), Some(claim), Some(side)) = (wire, claim, actor.side.as_ref()) else { return };
    let (node, reader) = (side.place.node.clone(), side.reader.clone());
    let (last_words, from) = (side.last_words.clone(), side.from);
    let brought = async move {
        let of = node.addr().send(Find(session)).await.ok().flatten();
        let (refused, wire) = match of {
            // Where that one ends just now the connection goes with it, and the buyer makes another.
            Some(of) => of.send(Resume { claim, wire, from }).await.unwrap_or(Ok(())).err()?,
            None => (NotResumed::unknown(), wire),
        };
        let instead = match refused.code {
            Code::NoSuchSession => last_words.said(&session, &reader),
            _ => Input::NotResumed(refused),
        };
        Some((instead, wire))
    };
    ctx.spawn(brought.into_actor(actor).map(|back, actor, ctx| match back {
        // Its place here is given back; the session has its own.
        None => drop(actor.release(ctx)),
        Some((instead, wire)) => {
            actor.take_line(wire, ctx);
            actor.tell(instead, ctx);
        }
    }));
}

/// What we said last in sessions that are over: their buyers may not have heard it.
#[derive(Debug, Clone, Default)]
pub struct LastWords(Arc<Mutex<VecDeque<(SessionId, SignedMessage)>>>);

impl LastWords {
    /// Takes note of what a session records.
    pub(super) fn note(&self, session: SessionId, record: &Record) {
        let Record::Exit { by: Role::Seller, message, .. } = record else { return };
        let mut words = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if words.len() == LAST_WORDS {
            words.pop_front();
        }
        words.push_back((session, message.clone()));
    }

    /// What the buyer of a session is told that is not carried any more.
    fn said(&self, session: &SessionId, reader: &Reader) -> Input<'static> {
        let words = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let exit = words.iter().rev().find(|(of, _)| of == session).map(|(_, exit)| exit.clone());
        let parted = exit.zip(buyer_of(session, reader));
        match parted {
            Some((exit, buyer)) => Input::Parted { buyer, exit: Box::new(exit) },
            None => Input::NotResumed(NotResumed::unknown()),
        }
    }
}

/// Whose session it was, as our journal has it.
fn buyer_of(session: &SessionId, reader: &Reader) -> Option<sdpp_ledger::PublicKey> {
    let known = reader.session(session).ok().flatten()?;
    match reader.entry(known.first_seq).ok().flatten()?.record {
        Record::Order { role: Role::Seller, peer, .. } => Some(peer),
        _ => None,
    }
}
