//! Credit notes, between people and sessions: what a person at the seller's grants or declines, and
//! what one at the buyer's asks for. A session answers at once whether it goes on its way, and later
//! what became of it.

use crate::actors::buying::Buying;
use crate::actors::now_ms;
use crate::actors::selling::Selling;
use crate::actors::session::SessionActor;
use crate::session::{Answer, Complain, Grant, NoteEnd};
use crate::terms::SessionId;
use actix::prelude::*;
use tokio::sync::oneshot;

/// The most people that wait for what becomes of something in one session.
const WAITING_MAX: usize = 64;

/// Something on its way in a session: its number, and where it is told what became of it. The
/// sender is gone when the session ends first.
pub type OnItsWay<T> = (u64, oneshot::Receiver<T>);

/// Seller: a person wants items credited.
#[derive(Debug, Message)]
#[rtype(result = "Result<OnItsWay<NoteEnd>, String>")]
pub struct Credit(pub Grant);

/// Seller: a person does not grant what the buyer asks for.
#[derive(Debug, Message)]
#[rtype(result = "Result<(), String>")]
pub struct Decline {
    /// The request's number.
    pub ask: u64,
    /// What the buyer is told.
    pub why: String,
}

/// Buyer: a person complains of an item of this session.
#[derive(Debug, Message)]
#[rtype(result = "Result<OnItsWay<Answer>, String>")]
pub struct Ask {
    /// The session.
    pub session: SessionId,
    /// The item, with what the journal has of it.
    pub complain: Complain,
}

/// Those who wait for what becomes of something, by its number.
#[derive(Debug)]
pub struct Waiting<T>(Vec<(u64, oneshot::Sender<T>)>);

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Waiting(Vec::new())
    }
}

impl<T> Waiting<T> {
    /// One more waits.
    fn add(&mut self, number: u64) -> OnItsWay<T> {
        self.0.retain(|(_, sender)| !sender.is_closed());
        let (sender, receiver) = oneshot::channel();
        // Who comes when it is full is told at once that nobody will tell it more.
        if self.0.len() < WAITING_MAX {
            self.0.push((number, sender));
        }
        (number, receiver)
    }

    /// Tells those for whom there is something to tell.
    pub fn tell(&mut self, what: impl Fn(u64) -> Option<T>) {
        for (number, sender) in std::mem::take(&mut self.0) {
            match what(number) {
                // Whoever no longer waits needs no answer.
                Some(end) => drop(sender.send(end)),
                None => self.0.push((number, sender)),
            }
        }
    }
}

impl Handler<Credit> for SessionActor<Selling> {
    type Result = Result<OnItsWay<NoteEnd>, String>;

    fn handle(&mut self, Credit(grant): Credit, ctx: &mut Self::Context) -> Self::Result {
        let number = self.core.credit(grant, now_ms())?;
        let waits = self.side.as_mut().map(|side| side.notes.add(number));
        self.consult(|_| (), ctx);
        waits.ok_or_else(|| "the session is over".to_owned())
    }
}

impl Handler<Decline> for SessionActor<Selling> {
    type Result = Result<(), String>;

    fn handle(&mut self, Decline { ask, why }: Decline, ctx: &mut Self::Context) -> Self::Result {
        self.consult(|core| core.decline(ask, &why, now_ms()), ctx)
    }
}

impl Handler<Ask> for SessionActor<Buying> {
    type Result = Result<OnItsWay<Answer>, String>;

    fn handle(&mut self, Ask { session, complain }: Ask, ctx: &mut Self::Context) -> Self::Result {
        if self.core.terms().is_none_or(|terms| terms.session != session) {
            return Err(format!(
                "session {session} has no windows to come: `sdpp dispute bundle` has what proves it"
            ));
        }
        let number = self.core.ask(complain)?;
        let waits = self.side.as_mut().map(|side| side.asked.add(number));
        self.consult(|_| (), ctx);
        waits.ok_or_else(|| "the session is over".to_owned())
    }
}
