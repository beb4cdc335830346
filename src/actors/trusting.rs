//! What a seller's session is told beside its items: how far its buyer is trusted, and what settling
//! costs.

use crate::actors::fees::{EVERY, Fees};
use crate::actors::now_ms;
use crate::actors::selling::Selling;
use crate::actors::session::{Ctx, SessionActor};
use crate::session::{Input, PaceRule};
use crate::standing::PacePolicy;
use actix::prelude::*;
use sdpp_ledger::{Amount, LedgerId};

type Actor = SessionActor<Selling>;

/// How a session's buyer is trusted, and what the session was told.
#[derive(Debug, Clone)]
pub struct Trusting {
    policy: PacePolicy,
    fees: Fees,
    has_begun: bool,
    told: Option<(LedgerId, Option<Amount>)>,
}

impl Trusting {
    /// Before the session's order.
    pub fn new(policy: PacePolicy, fees: Fees) -> Self {
        Trusting { policy, fees, has_begun: false, told: None }
    }
}

/// Once there is an order: the session follows what its buyer has earned before, and hears of fees.
pub(super) fn begin(actor: &mut Actor, ctx: &mut Ctx<Selling>) {
    let Some((buyer, side)) = actor.core.buyer().zip(actor.side.as_mut()) else { return };
    if std::mem::replace(&mut side.trusting.has_begun, true) {
        return;
    }
    let policy = side.trusting.policy;
    if !policy.is_fixed() {
        match side.reader.standing(&buyer) {
            Ok(standing) => {
                actor.core.follow(PaceRule::new(move |facts| policy.pace(&standing, facts)));
            }
            // It goes on as everybody does.
            Err(error) => tracing::error!(%error, "what the buyer has earned cannot be read"),
        }
    }
    ctx.run_interval(EVERY, ask);
}

/// Asks what redeeming the voucher in hand costs, where that decides whether it is redeemed.
fn ask(actor: &mut Actor, ctx: &mut Ctx<Selling>) {
    let Some(((on, call), side)) = actor.core.redeemable().zip(actor.side.as_ref()) else { return };
    let (fees, ledger) = (side.trusting.fees.clone(), side.ledgers.get(&on).cloned());
    let Some(ledger) = ledger.filter(|_| fees.is_due(&on, now_ms())) else {
        return tell(actor, on, ctx);
    };
    let asked = async move { ledger.cost(&call).await };
    ctx.spawn(asked.into_actor(actor).map(move |answer, actor, ctx| {
        fees.told(&on, answer);
        tell(actor, on, ctx);
    }));
}

/// Tells the core, where it was told otherwise before.
fn tell(actor: &mut Actor, ledger: LedgerId, ctx: &mut Ctx<Selling>) {
    let Some(side) = actor.side.as_mut() else { return };
    let fee = side.trusting.fees.fee(&ledger);
    let news = Some((ledger.clone(), fee));
    if std::mem::replace(&mut side.trusting.told, news.clone()) != news {
        actor.tell(Input::Fee { ledger, fee }, ctx);
    }
}
