//! What settling costs, asked for a session that has something in hand to settle and goes by its fee.

use crate::actors::fees::{EVERY, Fees};
use crate::actors::session::{Core, Ctx, SessionActor, Side};
use crate::actors::{Ledgers, now_ms};
use crate::session::Input;
use actix::prelude::*;
use sdpp_ledger::{Amount, Call, LedgerId};
use std::time::Duration;

/// What a session was told of fees.
#[derive(Debug, Clone, Default)]
pub struct Asking {
    fees: Fees,
    has_begun: bool,
    told: Option<(LedgerId, Option<Amount>)>,
}

impl Asking {
    /// Nothing was told; sessions with the same fees ask for each other.
    pub fn new(fees: Fees) -> Self {
        Asking { fees, has_begun: false, told: None }
    }
}

/// A core that settles.
pub(super) trait Settles: Core {
    /// What settling what is in hand would ask of its ledger, where the fee decides whether it is.
    fn to_settle(&self) -> Option<(LedgerId, Call)>;
}

/// A side whose core settles.
pub(super) trait Asks: Side<Core: Settles> {
    /// What its session was told.
    fn asking(&mut self) -> &mut Asking;

    /// Its ledgers.
    fn ledgers(&self) -> &Ledgers;
}

/// From here on the session hears of fees.
pub(super) fn begin<S: Asks>(actor: &mut SessionActor<S>, ctx: &mut Ctx<S>) {
    let Some(side) = actor.side.as_mut() else { return };
    if !std::mem::replace(&mut side.asking().has_begun, true) {
        ctx.run_later(Duration::ZERO, ask);
        ctx.run_interval(EVERY, ask);
    }
}

/// Asks what settling costs, where that decides whether it is done.
fn ask<S: Asks>(actor: &mut SessionActor<S>, ctx: &mut Ctx<S>) {
    let Some(((on, call), side)) = actor.core.to_settle().zip(actor.side.as_mut()) else { return };
    let fees = side.asking().fees.clone();
    let ledger = side.ledgers().get(&on).cloned().filter(|_| fees.is_due(&on, now_ms()));
    let Some(ledger) = ledger else {
        return tell(actor, on, ctx);
    };
    let asked = async move { ledger.cost(&call).await };
    ctx.spawn(asked.into_actor(actor).map(move |answer, actor, ctx| {
        fees.told(&on, answer);
        tell(actor, on, ctx);
    }));
}

/// Tells the core, where it was told otherwise before.
fn tell<S: Asks>(actor: &mut SessionActor<S>, ledger: LedgerId, ctx: &mut Ctx<S>) {
    let Some(side) = actor.side.as_mut() else { return };
    let asking = side.asking();
    let fee = asking.fees.fee(&ledger);
    let news = Some((ledger.clone(), fee));
    if std::mem::replace(&mut asking.told, news.clone()) != news {
        actor.tell(Input::Fee { ledger, fee }, ctx);
    }
}
